//! The hook on the real SDK, against a directory in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, START, Services};

/// Items by key.
#[derive(Default)]
struct Directory(BTreeMap<String, Value>);

impl Services for Directory {
    const VARIABLES: &'static [(&'static str, &'static str)] = &[("DIRECTORY_TABLE", "devices")];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        assert_eq!(operation, "GetItem");
        let body = testing::body(request);
        assert_eq!((&body["TableName"], &body["ConsistentRead"]), (&json!("devices"), &json!(true)));
        let item = self.0.get(body["Key"]["device_key"]["S"].as_str().expect("a key"));
        Reply::ok(item.map_or(json!({}), |item| json!({ "Item": item })).to_string())
    }
}

type Account = testing::Account<Directory>;

fn account() -> Account {
    let account = Account::default();
    let now = START.as_secs();
    for (claim, item) in [
        ("acme", json!({ "tenant_id": { "S": "acme" } })),
        ("until", json!({ "tenant_id": { "S": "acme" }, "expires_at": { "N": (now + 60).to_string() } })),
        ("over", json!({ "tenant_id": { "S": "acme" }, "expires_at": { "N": now.to_string() } })),
        ("odd", json!({ "tenant_id": { "S": "acme/device/+" } })),
        ("none", json!({})),
    ] {
        account.state().0.insert(format!("#claim#{claim}"), item);
    }
    // A device whose name looks like a claim's key has another one.
    account.state().0.insert("acme##claim#device".to_owned(), json!({ "tenant_id": { "S": "acme" } }));
    account
}

fn ask(account: &Account, claim: &str, parameters: &Value) -> Result<Value, FunctionError> {
    let hook = ProvisioningHook::new(&account.config(), &Account::environment()).expect("it is complete");
    let event = json!({
        "claimCertificateId": claim, "certificateId": "c", "certificatePem": "p", "templateArn": "a", "clientId": "claim-1",
        "parameters": parameters,
    });
    let answer = account.invoke_raw(&hook, event.to_string().as_bytes(), Duration::from_secs(5))?;
    Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
}

#[test]
fn a_claim_registers_devices_of_its_own_tenant_whatever_they_ask_for() {
    let account = account();
    let allowed = json!({ "allowProvisioning": true, "parameterOverrides": { "Tenant": "acme" } });
    let refused = json!({ "allowProvisioning": false });
    let pump = json!({ "Device": "pump-1", "DeviceType": "pump" });
    let with = |name: &str, value: &str| {
        let mut parameters = pump.clone();
        parameters[name] = value.into();
        parameters
    };
    for (claim, parameters, expected) in [
        ("acme", pump.clone(), &allowed),
        ("until", pump.clone(), &allowed),
        ("acme", with("Tenant", "acme"), &allowed),
        ("acme", with("Tenant", "globex"), &refused),
        ("over", pump.clone(), &refused),
        ("odd", pump.clone(), &refused),
        ("none", pump.clone(), &refused),
        ("device", pump.clone(), &refused),
        ("unknown", pump.clone(), &refused),
        ("acme", with("Device", "a/b"), &refused),
        ("acme", with("Device", "a+"), &refused),
        ("acme", with("Device", ""), &refused),
        ("acme", with("Device", "claim-7"), &refused),
        ("acme", with("Device", &"x".repeat(129)), &refused),
        ("acme", with("DeviceType", "#"), &refused),
        ("acme", json!({ "DeviceType": "pump" }), &refused),
        ("acme", json!({ "Device": "pump-1" }), &refused),
    ] {
        assert_eq!(&ask(&account, claim, &parameters).unwrap(), expected, "{claim} {parameters}");
    }
}

#[test]
fn a_directory_that_does_not_answer_allows_nothing_and_is_told_in_time() {
    for fault in
        [Fault::Answer(500, "InternalServerError"), Fault::Answer(400, "AccessDeniedException"), Fault::Silence]
    {
        let account = account();
        account.fail_calls(move |_| Some(fault));
        let error = ask(&account, "acme", &json!({ "Device": "pump-1", "DeviceType": "pump" })).unwrap_err();
        assert!(matches!(error, FunctionError::Directory(_)), "{error}");
        assert!(account.state().elapsed < Duration::from_secs(5), "{fault:?}");
    }
    let error = account().run(async {
        let account = account();
        let hook = ProvisioningHook::new(&account.config(), &Account::environment()).expect("it is complete");
        crate::function::Function::invoke(&hook, b"{}", &account.context(Duration::from_secs(5))).await.unwrap_err()
    });
    assert!(matches!(error, FunctionError::Event(_)), "{error}");
}

#[test]
fn the_policy_of_claims_reaches_provisioning_only_and_connects_as_no_device() {
    let document = serde_json::to_value(document("iot-platform-sim-fleet")).unwrap();
    let arn = |rest: &str| format!("arn:${{AWS::Partition}}:iot:${{AWS::Region}}:${{AWS::AccountId}}:{rest}");
    let mut found = Vec::new();
    for statement in document["Statement"].as_array().unwrap() {
        for resource in statement["Resource"].as_array().unwrap() {
            let rest = resource["Fn::Sub"].as_str().unwrap().strip_prefix(&arn("")).unwrap().to_owned();
            found.push((statement["Action"][0].as_str().unwrap().to_owned(), rest));
        }
    }
    let provision = "$aws/provisioning-templates/iot-platform-sim-fleet/provision/json";
    let names = ["$aws/certificates/create/json", "$aws/certificates/create-from-csr/json", provision];
    let mut expected = vec![("iot:Connect".to_owned(), "client/claim-*".to_owned())];
    for (action, before, after) in
        [("iot:Publish", "topic/", ""), ("iot:Subscribe", "topicfilter/", "/*"), ("iot:Receive", "topic/", "/*")]
    {
        expected.extend(names.map(|name| (action.to_owned(), format!("{before}{name}{after}"))));
    }
    assert_eq!(found, expected);
}
