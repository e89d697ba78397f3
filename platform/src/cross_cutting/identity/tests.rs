use serde_json::{Value, json};

use super::*;
use crate::settings::{Identity, Settings};

fn resource(settings: &Settings, id: &str) -> Value {
    let template: Value = serde_json::from_str(&stack(settings).to_json()).unwrap();
    template["Resources"][id]["Properties"].clone()
}

#[test]
fn a_user_never_writes_the_tenant_which_becomes_the_tag_of_the_session() {
    let settings = Settings::default();
    let users = resource(&settings, "UserPool");
    assert_eq!(users["Schema"][0]["Name"], "tenant_id");
    assert_eq!(users["Schema"][0]["Mutable"], false);
    assert_eq!(users["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"], true);
    let client = resource(&settings, "UserPoolClient");
    assert_eq!(client["WriteAttributes"], json!(["email"]));
    assert_eq!(client["GenerateSecret"], false);
    assert!(!client["ExplicitAuthFlows"].to_string().contains("PASSWORD"));
    let tags = resource(&settings, "TenantTag");
    assert_eq!((&tags["PrincipalTags"], &tags["UseDefaults"]), (&json!({"tenant": "custom:tenant_id"}), &json!(false)));
}

#[test]
fn strangers_get_no_credentials_and_tenants_those_of_this_pool_only() {
    let settings = Settings::default();
    let pool = resource(&settings, "IdentityPool");
    assert_eq!(pool["AllowUnauthenticatedIdentities"], false);
    assert_eq!(pool["AllowClassicFlow"], false);
    let role = resource(&settings, "TenantRole");
    let expected = json!([{
        "Effect": "Allow",
        "Principal": { "Federated": "cognito-identity.amazonaws.com" },
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
        "Condition": {
            "StringEquals": { "cognito-identity.amazonaws.com:aud": { "Ref": "IdentityPool" } },
            "ForAnyValue:StringLike": { "cognito-identity.amazonaws.com:amr": "authenticated" },
        },
    }]);
    assert_eq!(role["AssumeRolePolicyDocument"]["Statement"], expected);
}

#[test]
fn a_session_reads_items_of_its_tenant_and_nothing_without_one() {
    let role = resource(&Settings::default(), "TenantRole");
    let statements: Vec<&Value> = role["Policies"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        .collect();
    let condition = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "${aws:PrincipalTag/tenant}#*"}});
    assert_eq!(statements[0]["Condition"], condition);
    // Without a key in the request the condition holds, so nothing is granted that goes without one.
    assert_eq!(statements[0]["Action"], json!(["dynamodb:BatchGetItem", "dynamodb:GetItem"]));
    let last = statements.last().unwrap();
    assert_eq!(
        (&last["Effect"], &last["Condition"]),
        (&json!("Deny"), &json!({"Null": {"aws:PrincipalTag/tenant": "true"}}))
    );
}

#[test]
fn production_asks_for_a_second_factor_and_threat_protection_for_its_plan() {
    for (env, mfa, deletion) in [("prod", "ON", "ACTIVE"), ("dev", "OPTIONAL", "INACTIVE")] {
        let users = resource(&Settings { env: env.to_owned(), ..Settings::default() }, "UserPool");
        assert_eq!((&users["MfaConfiguration"], &users["DeletionProtection"]), (&json!(mfa), &json!(deletion)));
    }
    for (threat_protection, plan, mode) in [(true, "PLUS", json!("ENFORCED")), (false, "ESSENTIALS", Value::Null)] {
        let identity = Identity { threat_protection, ..Identity::default() };
        let users = resource(&Settings { identity, ..Settings::default() }, "UserPool");
        assert_eq!((&users["UserPoolTier"], &users["UserPoolAddOns"]["AdvancedSecurityMode"]), (&json!(plan), &mode));
    }
}
