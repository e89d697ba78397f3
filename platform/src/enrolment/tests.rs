//! Enrolment on the real SDK, against a registry in memory that fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::AsyncSleep as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::testing::{self, Fault, Reply, Services};

const ARNS: &str = "arn:aws:iot:eu-west-1:123456789012:";

/// The registry of AWS IoT and the device directory, as far as enrolment uses them.
#[derive(Default)]
struct Registry {
    /// Type and attributes of each thing.
    things: BTreeMap<String, Value>,
    /// Their texts; the place of one is its id.
    certificates: Vec<String>,
    /// (policy, certificate).
    policies: BTreeSet<(String, String)>,
    /// (thing, certificate).
    principals: BTreeSet<(String, String)>,
    groups: BTreeSet<String>,
    billing_groups: BTreeSet<String>,
    /// Claims of the directory.
    items: BTreeMap<String, Value>,
    is_deployed: Option<bool>,
}

impl Registry {
    fn thing(&mut self, request: &HttpRequest, name: &str) -> Reply {
        let wanted = testing::body(request);
        let present = self.things.entry(name.to_owned()).or_insert_with(|| wanted.clone());
        if *present != wanted {
            return Reply::error(request, 409, "ResourceAlreadyExistsException");
        }
        Reply::ok(json!({ "thingName": name }).to_string())
    }

    fn certificate(&mut self, request: &HttpRequest) -> Reply {
        let pem = testing::body(request)["certificatePem"].as_str().expect("a text").to_owned();
        let known = self.certificates.iter().position(|known| *known == pem);
        let id = format!("{:0>64}", known.unwrap_or(self.certificates.len()));
        let arn = format!("{ARNS}cert/{id}");
        if known.is_some() {
            let body = json!({ "message": "m", "resourceId": id, "resourceArn": arn }).to_string();
            let headers = vec![("x-amzn-errortype", "ResourceAlreadyExistsException".to_owned())];
            return Reply { status: 409, headers, body: body.into_bytes() };
        }
        self.certificates.push(pem);
        Reply::ok(json!({ "certificateArn": arn, "certificateId": id }).to_string())
    }

    fn list(&self, request: &HttpRequest) -> Reply {
        let tenant =
            request.uri().split("attributeValue=").nth(1).map(|rest| rest.split('&').next().unwrap_or_default());
        let things = self.things.iter().map(|(name, thing)| {
            json!({ "thingName": name, "attributes": thing["attributePayload"]["attributes"], "version": 1 })
        });
        let things: Vec<Value> =
            things.filter(|thing| tenant.is_none_or(|tenant| thing["attributes"]["tenant"] == tenant)).collect();
        Reply::ok(json!({ "things": things }).to_string())
    }

    /// The directory, whose only items here are claims.
    fn directory(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        let body = testing::body(request);
        assert_eq!(body["TableName"], "iot-platform-sim-devices");
        let key = body["Key"]["device_key"]["S"].as_str().expect("a key").to_owned();
        match operation {
            "GetItem" => Reply::ok(self.items.get(&key).map_or(json!({}), |item| json!({ "Item": item })).to_string()),
            "DeleteItem" => {
                self.items.remove(&key);
                Reply::ok("{}")
            }
            _ => {
                let values = &body["ExpressionAttributeValues"];
                assert_eq!(body["ConditionExpression"], "attribute_not_exists(tenant_id) OR tenant_id = :tenant");
                if self.items.get(&key).is_some_and(|item| item["tenant_id"] != values[":tenant"]) {
                    return Reply::error(request, 400, "ConditionalCheckFailedException");
                }
                let item = json!({ "tenant_id": values[":tenant"], "expires_at": values[":until"] });
                self.items.insert(key, item);
                Reply::ok("{}")
            }
        }
    }

    fn made(set: &mut BTreeSet<String>, request: &HttpRequest, name: &str) -> Reply {
        match (request.method(), set.contains(name)) {
            ("POST", true) => Reply::error(request, 409, "ResourceAlreadyExistsException"),
            ("POST", false) => {
                set.insert(name.to_owned());
                Reply::ok("{}")
            }
            ("GET", false) => Reply::error(request, 404, "ResourceNotFoundException"),
            ("DELETE", _) => {
                set.remove(name);
                Reply::ok("{}")
            }
            _ => Reply::ok(json!({ "thingGroupName": name }).to_string()),
        }
    }
}

impl Services for Registry {
    const VARIABLES: &'static [(&'static str, &'static str)] = &[];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        if ["GetItem", "UpdateItem", "DeleteItem"].contains(&operation) {
            return self.directory(operation, request);
        }
        let path = testing::path(request).to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method(), &parts[..]) {
            ("GET", ["policies", name]) if self.is_deployed != Some(false) => {
                Reply::ok(json!({ "policyName": name, "policyArn": format!("{ARNS}policy/{name}") }).to_string())
            }
            ("GET", ["policies", _]) => Reply::error(request, 404, "ResourceNotFoundException"),
            ("POST", ["things", name]) => self.thing(request, name),
            ("GET", ["things", name]) => {
                let thing = &self.things[*name];
                let attributes = &thing["attributePayload"]["attributes"];
                Reply::ok(json!({ "thingName": name, "attributes": attributes, "version": 1 }).to_string())
            }
            ("GET", ["things"]) => self.list(request),
            ("PUT", ["things", name, "principals"]) => {
                let principal = request.headers().get("x-amzn-principal").expect("a principal").to_owned();
                self.principals.insert(((*name).to_owned(), principal));
                Reply::ok("{}")
            }
            ("POST", ["certificate", "register-no-ca"]) => self.certificate(request),
            ("PUT", ["certificates", _]) => Reply::ok("{}"),
            ("PUT", ["target-policies", policy]) => {
                let target = testing::body(request)["target"].as_str().expect("a target").to_owned();
                self.policies.insert(((*policy).to_owned(), target));
                Reply::ok("{}")
            }
            ("POST", ["policy-targets", policy]) => {
                let targets: Vec<&String> =
                    self.policies.iter().filter(|(name, _)| name == policy).map(|(_, target)| target).collect();
                Reply::ok(json!({ "targets": targets }).to_string())
            }
            ("GET", ["thing-groups"]) => {
                let groups: Vec<Value> = self.groups.iter().map(|name| json!({ "groupName": name })).collect();
                Reply::ok(json!({ "thingGroups": groups }).to_string())
            }
            (_, ["thing-groups", name]) => Registry::made(&mut self.groups, request, name),
            (_, ["billing-groups", name]) => Registry::made(&mut self.billing_groups, request, name),
            other => panic!("enrolment calls {other:?}"),
        }
    }
}

type Account = testing::Account<Registry>;

fn settings() -> Settings {
    Settings { env: "sim".to_owned(), ..Settings::default() }
}

/// An account with tenants.
fn account() -> Account {
    let account = Account::default();
    account.state().groups.extend(["acme", "globex"].map(|tenant| format!("iot-platform-sim-{tenant}")));
    account
}

/// A file of devices, every third of the second tenant.
fn fleet(folder: &Path, devices: usize) -> PathBuf {
    let mut text = "device,tenant,device_type,certificate_pem\n".to_owned();
    for n in 0..devices {
        let tenant = if n % 3 == 0 { "globex" } else { "acme" };
        let pem = format!("-----BEGIN CERTIFICATE-----\\n{n}\\n-----END CERTIFICATE-----");
        text.push_str(&format!("d{n},{tenant},pump,{pem}\n"));
    }
    let file = folder.join("fleet.csv");
    std::fs::write(&file, text).unwrap();
    file
}

fn run(account: &Account, file: &Path) -> Result<Outcome, EnrolError> {
    let request = Request { file: file.to_owned(), dry_run: false, concurrency: 4 };
    account.run(register(&account.config(), &settings(), &request, &mut Silent))
}

/// Every device of a fleet is registered, and nothing else is.
fn assert_registered(account: &Account, devices: usize) {
    let state = account.state();
    assert_eq!((state.things.len(), state.certificates.len()), (devices, devices));
    assert_eq!((state.principals.len(), state.policies.len()), (devices, devices));
    assert!(state.policies.iter().all(|(policy, _)| policy == "iot-platform-sim-device"));
    let thing = &state.things["d1"];
    assert_eq!(thing["attributePayload"]["attributes"], json!({ "tenant": "acme", "device_type": "pump" }));
    assert_eq!(thing["thingTypeName"], "iot-platform-sim-device");
}

#[test]
fn devices_are_registered_at_a_pace_below_aws_s_and_a_second_run_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (account, file) = (account(), fleet(folder.path(), 40));
    let outcome = run(&account, &file).unwrap();
    assert_eq!(outcome, Outcome { registered: 40, ..Outcome::default() });
    assert_registered(&account, 40);
    // Eight of ten a second.
    let elapsed = account.state().elapsed;
    assert!((Duration::from_secs(4)..Duration::from_secs(7)).contains(&elapsed), "{elapsed:?}");
    account.state().calls.clear();
    assert_eq!(run(&account, &file).unwrap(), Outcome { before: 40, ..Outcome::default() });
    let looks = [
        "GET policies/iot-platform-sim-device",
        "GET thing-groups/iot-platform-sim-acme",
        "GET thing-groups/iot-platform-sim-globex",
    ];
    assert_eq!(account.state().calls, looks);
    // Without the journal everything is done again, to the same end.
    std::fs::remove_file(journal_file(&file)).unwrap();
    assert_eq!(run(&account, &file).unwrap().registered, 40);
    assert_registered(&account, 40);
}

#[test]
fn an_interrupted_run_is_gone_on_with_and_whatever_fails_for_a_while_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (account, file) = (account(), fleet(folder.path(), 60));
    let mut calls = 0;
    account.fail_calls(move |_| {
        calls += 1;
        match calls % 11 {
            3 => Some(Fault::LostAnswer),
            6 => Some(Fault::Answer(400, "ThrottlingException")),
            8 => Some(Fault::Answer(500, "InternalFailureException")),
            _ => None,
        }
    });
    let request = Request { file: file.clone(), dry_run: false, concurrency: 4 };
    let (config, settings) = (account.config(), settings());
    let patience = account.sleep(Duration::from_secs(4));
    let cut = account.run(Timeout::new(register(&config, &settings, &request, &mut Silent), patience));
    assert!(cut.is_err(), "it was interrupted");
    let noted = std::fs::read_to_string(journal_file(&file)).unwrap().lines().count();
    assert!((5..55).contains(&noted), "{noted}");
    let outcome = run(&account, &file).unwrap();
    assert_eq!(outcome, Outcome { before: noted, registered: 60 - noted, ..Outcome::default() });
    assert_registered(&account, 60);
    assert!(!report_file(&file).exists());
}

#[test]
fn what_cannot_be_registered_is_reported_by_line_and_tried_again_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let (account, file) = (account(), fleet(folder.path(), 9));
    let other = json!({ "attributePayload": { "attributes": { "tenant": "globex" } } });
    account.state().things.insert("d4".to_owned(), other);
    account
        .fail_calls(|call| (call == "PUT things/d7/principals").then_some(Fault::Answer(403, "AccessDeniedException")));
    let outcome = run(&account, &file).unwrap();
    assert_eq!((outcome.registered, outcome.failures.len()), (7, 2));
    let report = std::fs::read_to_string(report_file(&file)).unwrap();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "line,device,reason");
    assert!(
        lines[1].starts_with("6,d4,") && lines[1].contains("another thing") && lines[1].contains("tenant globex"),
        "{report}"
    );
    assert!(
        report.contains("9,d7,") && report.contains("AttachThingPrincipal: ") && report.contains("AccessDenied"),
        "{report}"
    );
    account.state().things.remove("d4");
    account.fail_calls(|_| None);
    assert_eq!(run(&account, &file).unwrap(), Outcome { before: 7, registered: 2, ..Outcome::default() });
    assert_registered(&account, 9);
    assert!(!report_file(&file).exists(), "an old report would be taken for a new one");
}

#[test]
fn nothing_is_registered_when_a_tenant_or_the_environment_is_missing_or_the_run_is_dry() {
    let folder = tempfile::tempdir().unwrap();
    let file = fleet(folder.path(), 5);
    let account = Account::default();
    account.state().groups.insert("iot-platform-sim-acme".to_owned());
    let error = run(&account, &file).unwrap_err().to_string();
    assert!(
        error.starts_with("there is no tenant globex\n  hint: ") && error.contains("platform tenants add"),
        "{error}"
    );
    account.state().is_deployed = Some(false);
    let error = run(&account, &file).unwrap_err().to_string();
    assert!(
        error.contains("no device policy \"iot-platform-sim-device\" in eu-west-1") && error.contains("hint"),
        "{error}"
    );
    account.state().is_deployed = None;
    account.state().groups.insert("iot-platform-sim-globex".to_owned());
    let request = Request { file: file.clone(), dry_run: true, concurrency: 4 };
    let dry = account.run(register(&account.config(), &settings(), &request, &mut Silent)).unwrap();
    assert_eq!(dry, Outcome { registered: 5, ..Outcome::default() });
    assert!(account.state().things.is_empty() && !journal_file(&file).exists());
}

#[test]
fn when_everything_fails_the_rest_is_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let (account, file) = (account(), fleet(folder.path(), 100));
    account.fail_calls(|call| call.starts_with("POST things/").then_some(Fault::Answer(403, "AccessDeniedException")));
    let outcome = run(&account, &file).unwrap();
    assert!((20..30).contains(&outcome.failures.len()), "{}", outcome.failures.len());
    assert_eq!(outcome.failures.len() + outcome.not_tried, 100);
}

#[test]
fn a_tenant_comes_has_claims_and_goes_when_it_has_no_devices() {
    let account = Account::default();
    let (config, settings) = (account.config(), settings());
    assert!(account.run(add(&config, &settings, "acme")).unwrap());
    assert!(!account.run(add(&config, &settings, "acme")).unwrap(), "it is there");
    assert!(account.run(add(&config, &settings, "globex")).unwrap());
    let names = |account: &Account| {
        let found = account.run(list(&config, &settings)).unwrap();
        found.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&account), ["acme", "globex"]);
    for bad in ["", "a/b", "a+", "#", "${x}", "a*"] {
        let error = account.run(add(&config, &settings, bad)).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("hint: "), "{error}");
    }
    let certificate = "0a".repeat(32);
    account.run(grant(&config, &settings, "acme", &certificate, Some(Duration::from_secs(60)))).unwrap();
    let error = account.run(grant(&config, &settings, "globex", &certificate, None)).unwrap_err().to_string();
    assert!(error.contains("claim of another tenant"), "{error}");
    let error = account.run(grant(&config, &settings, "initech", &certificate, None)).unwrap_err().to_string();
    assert!(error.contains("no tenant initech"), "{error}");
    assert_eq!(account.state().items.len(), 1);

    let folder = tempfile::tempdir().unwrap();
    run(&account, &fleet(folder.path(), 6)).unwrap();
    let found = account.run(devices(&config, &settings, Some("globex"))).unwrap();
    assert_eq!(found.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["d0", "d3"]);
    let error = account.run(remove(&config, &settings, "acme")).unwrap_err().to_string();
    assert!(error.contains("\"acme\" has devices, such as \"d1\"") && error.contains("hint"), "{error}");
    account.state().things.retain(|_, thing| thing["attributePayload"]["attributes"]["tenant"] != "acme");
    account.run(remove(&config, &settings, "acme")).unwrap();
    assert_eq!(names(&account), ["globex"]);
    assert!(account.state().items.is_empty(), "its claims have ended");
    assert_eq!(account.calls(&format!("PUT certificates/{certificate}")), 1);
    account.run(remove(&config, &settings, "acme")).unwrap();
}
