//! Least privilege: every action that the templates grant is taken away in turn, and a run must notice. What no run notices
//! is listed with the reason why AWS needs it; an entry that a run does notice fails the test, so that the list stays true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::Settings;
use platform::function::{Function, FunctionError, InvocationContext};
use record::Summary;
use serde_json::{Value, json};
use sim::run::{Harness, OwnersAct, RunOptions, run_with};
use sim::scenario::Scenario;

use crate::support::root;

/// One action that a statement of a role allows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    /// Stack inside the environment.
    stack: String,
    role: String,
    /// JSON pointer of the statement in the stack's template.
    statement: String,
    action: String,
}

impl Grant {
    fn shown(&self) -> String {
        format!("{} {} {}", self.stack, self.role, self.action)
    }
}

fn settings() -> Settings {
    Settings { env: "sim".to_owned(), ..Settings::default() }
}

/// All grants of inline policies, each once: a statement with several actions is several grants.
fn grants() -> Vec<Grant> {
    let mut grants = Vec::new();
    for stack in platform::stacks(&settings()) {
        let template: Value = serde_json::from_str(&stack.template.to_json()).expect("a template is JSON");
        let resources = template["Resources"].as_object().expect("a template has resources");
        for (role, declared) in resources.iter().filter(|(_, declared)| declared["Type"] == "AWS::IAM::Role") {
            let policies = declared["Properties"]["Policies"].as_array().into_iter().flatten().enumerate();
            for (p, policy) in policies {
                let statements = policy["PolicyDocument"]["Statement"].as_array().expect("a policy has statements");
                for (s, statement) in statements.iter().enumerate().filter(|(_, s)| s["Effect"] == "Allow") {
                    for action in statement["Action"].as_array().expect("actions are a list") {
                        grants.push(Grant {
                            stack: stack.name.trim_start_matches("iot-platform-sim-").to_owned(),
                            role: role.clone(),
                            statement: format!(
                                "/Resources/{role}/Properties/Policies/{p}/PolicyDocument/Statement/{s}"
                            ),
                            action: action.as_str().expect("an action is a text").to_owned(),
                        });
                    }
                }
            }
        }
    }
    grants
}

/// The template without a grant. A statement that is left without actions allows one that nothing does.
fn without(grant: &Grant, stack: &str, body: String) -> String {
    if stack.trim_start_matches("iot-platform-sim-") != grant.stack {
        return body;
    }
    let mut template: Value = serde_json::from_str(&body).expect("a template is JSON");
    let statement = template.pointer_mut(&grant.statement).expect("the grant is in the template");
    let actions = statement["Action"].as_array_mut().expect("actions are a list");
    actions.retain(|action| *action != grant.action.as_str());
    if actions.is_empty() {
        actions.push(json!("sts:GetCallerIdentity"));
        statement["Resource"] = json!("*");
        statement.as_object_mut().expect("a statement is a table").remove("Condition");
    }
    template.to_string()
}

/// A world in which roles do what they are for.
struct Stage {
    scenario: Scenario,
    harness: fn() -> Harness,
}

impl Stage {
    fn new(text: &str, harness: fn() -> Harness) -> Self {
        let path = root().join("scenarios/least-privilege.toml");
        let scenario = Scenario::parse(text, &path).unwrap_or_else(|error| panic!("{error}"));
        Stage { scenario, harness }
    }

    /// What a run without the grant comes to: everything that the absence of a permission can change.
    fn outcome(&self, removed: Option<&Grant>) -> Result<(record::Verdict, u64, u64), String> {
        let mut harness = (self.harness)();
        if let Some(grant) = removed.cloned() {
            let before = harness.change_template.take();
            harness.change_template = Some(Arc::new(move |stack, body| {
                let body = before.as_ref().map_or(body.clone(), |change| change(stack, body));
                without(&grant, stack, body)
            }));
        }
        let outcome = run_with(&self.scenario, RunOptions::seeded(1), harness).map_err(|error| error.to_string())?;
        let Summary { verdict, counters, .. } = outcome.summary;
        let counter = |name: &str| counters.get(name).copied().unwrap_or(0);
        Ok((verdict, counter("iam:AccessDenied"), counter("lambda:LogsDenied")))
    }
}

const READINGS: &str = r#"
title = "readings with jumps"
why = "every function of the data path works, anomalies among it"

[[fleet]]
name = "sensors"
kind = "synthetic"
tenant = "acme"
tenants = 2
devices = 4
publish_every = "5s"

[[fleet]]
name = "recorded"
kind = "replay"
tenant = "globex"
series = "../data/nab/data/artificialWithAnomaly/art_daily_jumpsup.csv"
pace = "20ms"

[[fleet]]
name = "asked"
kind = "synthetic"
tenant = "initech"
devices = 1
publish_every = "500ms"
shadow = true

[[fleet.metric]]
name = "temp"
unit = "celsius"
baseline = 20.0
noise = 0.5
spike_probability = 0.1
spike = 40.0

[phase]
hardship = "82s"
peace = "2min"

[platform]
anomaly_detection = { attention = { interval_min_ms = 100 } }
"#;

const SHORT: &str = r#"
title = "a few devices"
why = "a world in which something goes wrong on purpose"

[[fleet]]
name = "sensors"
kind = "synthetic"
tenant = "acme"
devices = 2
publish_every = "5s"

[phase]
hardship = "1min"
peace = "2min"
"#;

const HOURS: &str = r#"
title = "two devices for more than an hour"
why = "schedules come due: an hour is curated, costs are asked for"

[[fleet]]
name = "sensors"
kind = "synthetic"
tenant = "acme"
devices = 2
publish_every = "1min"

[phase]
hardship = "145min"
peace = "3min"

[platform]
curation = { enabled = true }
cost = { schedule = "rate(40 minutes)" }

# All but the one that asks for a peace until the last hour is curated.
[expect]
invariants = ["conservation", "order", "integrity", "quarantine", "anomalies-once", "tenant-isolation", "authorization"]
"#;

/// Refuses the first reading of each batch, as enrichment does with a clock that is far off.
struct Refusing(Box<dyn Function>);

#[async_trait]
impl Function for Refusing {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let mut event: Value = serde_json::from_slice(event).expect("Lambda sends JSON");
        let data = &mut event["Records"][0]["kinesis"]["data"];
        let mut reading: Value =
            serde_json::from_slice(&STANDARD.decode(data.as_str().expect("data is text")).expect("data is base64"))
                .expect("a reading is JSON");
        reading["ts"] = 5.into();
        *data = STANDARD.encode(reading.to_string()).into();
        self.0.invoke(event.to_string().as_bytes(), context).await
    }
}

fn refusing() -> Harness {
    let wrap = |name: &str, inner: Box<dyn Function>| -> Box<dyn Function> {
        if name.ends_with("-enrichment") { Box::new(Refusing(inner)) } else { inner }
    };
    Harness { wrap_function: Some(Arc::new(wrap)), ..Harness::default() }
}

/// The rules' own actions fail, so that their error actions are taken.
fn broken_rules() -> Harness {
    let change = |stack: &str, body: String| {
        if stack.ends_with("-streaming") {
            let mut template: Value = serde_json::from_str(&body).expect("a template is JSON");
            let rule = &mut template["Resources"]["ReadingsRule"]["Properties"]["TopicRulePayload"];
            rule["Actions"][0]["Kinesis"]["StreamName"] = json!("gone");
            return template.to_string();
        }
        if stack.ends_with("-device-registry") {
            let mut template: Value = serde_json::from_str(&body).expect("a template is JSON");
            let resources = template["Resources"].as_object_mut().expect("a template has resources");
            for (_, rule) in resources.iter_mut().filter(|(_, resource)| resource["Type"] == "AWS::IoT::TopicRule") {
                let function = &mut rule["Properties"]["TopicRulePayload"]["Actions"][0]["Lambda"]["FunctionArn"];
                *function = json!("arn:aws:lambda:eu-west-1:123456789012:function:gone");
            }
            return template.to_string();
        }
        body
    };
    // A newcomer is an event for the registry's rules.
    Harness { change_template: Some(Arc::new(change)), acts: joining().acts, ..Harness::default() }
}

/// A device joins, and moves to another tenant.
fn joining() -> Harness {
    fn rest(method: &'static str, attributes: Value) -> OwnersAct {
        Arc::new(move |account, now| {
            let body = json!({ "attributePayload": { "attributes": attributes } }).to_string();
            let request = sim::cloud::iot::RestRequest {
                method,
                path: "/things/newcomer",
                query: "",
                principal: None,
                body: body.as_bytes(),
            };
            let answer = account.as_owner(now, |services, cx| services.iot.rest(cx, &request));
            assert!(answer.is_ok(), "{answer:?}");
        })
    }
    let at = Duration::from_secs;
    let acts = vec![
        (at(5), rest("POST", json!({ "tenant": "acme", "device_type": "pump" }))),
        (at(30), rest("PATCH", json!({ "tenant": "globex" }))),
    ];
    Harness { acts, ..Harness::default() }
}

/// Grants that no run notices, and why they are there all the same.
const UNNOTICED: &[(&str, &str, &str, &str)] = &[
    ("enrichment", "FunctionRole", "kinesis:DescribeStreamSummary", LAMBDA_GUIDE),
    ("anomaly-detection", "FunctionRole", "kinesis:DescribeStreamSummary", LAMBDA_GUIDE),
    ("data-lake", "RawDeliveryRole", "s3:GetBucketLocation", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "s3:ListBucket", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "s3:ListBucketMultipartUploads", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "s3:AbortMultipartUpload", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "s3:GetObject", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "kms:Decrypt", FIREHOSE_GUIDE),
    ("data-lake", "RawDeliveryRole", "logs:PutLogEvents", LOGS),
    ("data-lake", "ProcessedDeliveryRole", "s3:GetBucketLocation", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "s3:ListBucket", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "s3:ListBucketMultipartUploads", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "s3:AbortMultipartUpload", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "s3:GetObject", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "kms:Decrypt", FIREHOSE_GUIDE),
    ("data-lake", "ProcessedDeliveryRole", "logs:PutLogEvents", LOGS),
    ("data-lake", "ProcessedDeliveryRole", "glue:GetTableVersion", FIREHOSE_GUIDE),
    ("data-lake", "CurationFunctionRole", "glue:GetDatabase", ATHENA_GUIDE),
    ("data-lake", "CurationFunctionRole", "glue:BatchCreatePartition", PARTITIONS),
    ("data-lake", "CurationFunctionRole", "glue:GetPartition", PARTITIONS),
    ("data-lake", "CurationFunctionRole", "glue:GetPartitions", PARTITIONS),
    ("data-lake", "CurationFunctionRole", "glue:UpdatePartition", PARTITIONS),
    ("data-lake", "CurationFunctionRole", "s3:GetBucketLocation", ATHENA_GUIDE),
    ("data-lake", "CurationFunctionRole", "s3:ListBucketMultipartUploads", ATHENA_GUIDE),
    ("data-lake", "CurationFunctionRole", "s3:AbortMultipartUpload", ATHENA_GUIDE),
    ("data-lake", "CurationFunctionRole", "s3:ListMultipartUploadParts", ATHENA_GUIDE),
    (
        "device-registry",
        "TaggerFunctionRole",
        "iot:TagResource",
        "AWS asks for it when a group is made with tags (unverified)",
    ),
    (
        "cost-monitoring",
        "FunctionRole",
        "ce:GetCostAndUsage",
        "Cost Explorer is not modelled: the call is refused as such",
    ),
];

const LAMBDA_GUIDE: &str = "Lambda's guide names it among what an event source mapping of a stream needs";
const FIREHOSE_GUIDE: &str = "Firehose's guide names it for its destination; objects are written in one piece here, and schemas read by two calls";
const ATHENA_GUIDE: &str = "Athena's guide names it; results and new files are written in one piece here";
const PARTITIONS: &str = "an INSERT on AWS may register the partition that it writes, which is not modelled";
const LOGS: &str = "what Firehose writes into its error log is not modelled";

/// Takes every grant of the roles of `stacks` away in turn.
fn every_grant_is_needed(stacks: &[&str], stages: &[Stage]) {
    let base: Vec<_> = stages
        .iter()
        .map(|stage| stage.outcome(None).unwrap_or_else(|error| panic!("{}: {error}", stage.scenario.title)))
        .collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for grant in grants().iter().filter(|grant| stacks.contains(&grant.stack.as_str())) {
        let noticed = stages.iter().zip(&base).any(|(stage, base)| stage.outcome(Some(grant)).as_ref() != Ok(base));
        let listed = UNNOTICED.iter().find(|(stack, role, action, _)| {
            (*stack, *role, *action) == (grant.stack.as_str(), grant.role.as_str(), grant.action.as_str())
        });
        match (noticed, listed) {
            (false, None) => wrong.push(format!("{}: no run notices that it is gone", grant.shown())),
            (false, Some(_)) => drop(seen.insert(grant.shown())),
            (true, _) => {}
        }
    }
    for (stack, role, action, why) in UNNOTICED.iter().filter(|(stack, ..)| stacks.contains(stack)) {
        assert!(!why.is_empty());
        if !seen.contains(&format!("{stack} {role} {action}")) {
            wrong.push(format!("{stack} {role} {action}: is listed, and a run notices it or it is not granted"));
        }
    }
    assert!(wrong.is_empty(), "{} of the grants:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn of_the_rule_and_of_enrichment() {
    let stages = [Stage::new(SHORT, Harness::default), Stage::new(SHORT, refusing), Stage::new(SHORT, broken_rules)];
    every_grant_is_needed(&["streaming", "enrichment"], &stages);
}

#[test]
fn of_anomaly_detection() {
    every_grant_is_needed(&["anomaly-detection"], &[Stage::new(READINGS, Harness::default)]);
}

#[test]
fn of_the_data_lake() {
    every_grant_is_needed(&["data-lake"], &[Stage::new(HOURS, Harness::default)]);
}

#[test]
fn of_the_registry_and_of_cost_monitoring() {
    let stages = [Stage::new(SHORT, joining), Stage::new(SHORT, broken_rules), Stage::new(HOURS, Harness::default)];
    every_grant_is_needed(&["device-registry", "cost-monitoring"], &stages);
}

#[test]
fn every_role_is_looked_at_or_does_nothing_in_a_run() {
    let looked_at = ["streaming", "enrichment", "anomaly-detection", "data-lake", "device-registry", "cost-monitoring"];
    // Services that are configuration only in a run: a trail, provisioning, sign-in. Their roles act on AWS alone.
    let on_aws_alone = [
        "logging TrailRole",
        "iot-core ProvisioningHookFunctionRole",
        "iot-core ProvisioningRole",
        "identity TenantRole",
    ];
    let roles: BTreeSet<String> = grants()
        .iter()
        .filter(|grant| !looked_at.contains(&grant.stack.as_str()))
        .map(|grant| format!("{} {}", grant.stack, grant.role))
        .collect();
    assert_eq!(roles, on_aws_alone.iter().map(|role| (*role).to_owned()).collect());
}
