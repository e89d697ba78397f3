use serde_json::{Value, json};

use super::*;
use crate::settings::{Security, Settings};

fn template(settings: &Settings) -> Value {
    serde_json::from_str(&stack(settings).to_json()).unwrap()
}

#[test]
fn keys_rotate_and_can_be_saved_longest_where_data_is_kept() {
    for (env, days) in [("prod", 30), ("dev", 7)] {
        let template = template(&Settings { env: env.to_owned(), ..Settings::default() });
        for (key, alias) in [("DataKey", "data"), ("LogsKey", "logs")] {
            let properties = &template["Resources"][key]["Properties"];
            assert_eq!(properties["EnableKeyRotation"], true);
            assert_eq!(properties["PendingWindowInDays"], days);
            let named = &template["Resources"][format!("{key}Alias")]["Properties"];
            let expected =
                json!({"AliasName": format!("alias/iot-platform-{env}-{alias}"), "TargetKeyId": {"Ref": key}});
            assert_eq!(*named, expected);
        }
    }
}

#[test]
fn a_service_uses_a_key_for_this_account_only() {
    let template = template(&Settings::default());
    let mut services = 0;
    for key in ["DataKey", "LogsKey"] {
        let statements = template["Resources"][key]["Properties"]["KeyPolicy"]["Statement"].as_array().unwrap();
        // The account's own policies decide, or nobody could change the key any more.
        assert_eq!(statements[0]["Action"], json!(["kms:*"]));
        assert!(statements[0]["Principal"]["AWS"]["Fn::Sub"].as_str().unwrap().ends_with("${AWS::AccountId}:root"));
        for statement in &statements[1..] {
            assert!(statement["Principal"]["Service"].is_string() || statement["Principal"]["Service"].is_object());
            let condition = statement["Condition"].to_string();
            assert!(condition.contains("AWS::AccountId"), "{statement}");
            services += 1;
        }
    }
    assert_eq!(services, 5);
}

#[test]
fn the_boundary_denies_other_identities_and_plain_text_and_names_this_account() {
    let template = template(&Settings::default());
    let document = &template["Resources"]["Boundary"]["Properties"]["PolicyDocument"];
    let statements = document["Statement"].as_array().unwrap();
    let named = |sid: &str| statements.iter().find(|statement| statement["Sid"] == sid).expect("a statement");
    let identity = named("NoOtherIdentity");
    assert_eq!(identity["Effect"], "Deny");
    assert!(identity["Action"].as_array().unwrap().contains(&json!("iam:*")));
    let transport = named("NoUnencryptedTransport");
    assert_eq!((&transport["Effect"], &transport["Action"]), (&json!("Deny"), &json!(["*"])));
    for statement in statements.iter().filter(|statement| statement["Effect"] == "Allow") {
        let sid = statement["Sid"].as_str().unwrap();
        assert!(!statement["Action"].to_string().contains('*'), "{sid}");
        for resource in statement["Resource"].as_array().unwrap() {
            let text = resource.to_string();
            // Buckets have no account in their ARN: a condition says whose they are. Keys are those of this stack.
            let own = text.contains("${AWS::AccountId}") && text.contains("${AWS::Region}")
                || (sid == "Buckets" && statement["Condition"].to_string().contains("aws:ResourceAccount"))
                || sid == "Keys";
            assert!(own || sid == "WithoutResource", "{sid}: {text}");
        }
    }
}

#[test]
fn compliance_rules_come_only_when_they_are_asked_for() {
    let rules = |settings: &Settings| {
        let template = template(settings);
        let all = template["Resources"].as_object().unwrap();
        all.values().filter(|resource| resource["Type"] == "AWS::Config::ConfigRule").count()
    };
    assert_eq!(rules(&Settings::default()), 0);
    let security = Security { compliance_rules: true, ..Security::default() };
    assert_eq!(rules(&Settings { security, ..Settings::default() }), 11);
}
