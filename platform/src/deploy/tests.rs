use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::settings::Settings;

pub(super) fn settings() -> Settings {
    Settings { env: "sim".to_owned(), ..Settings::default() }
}

/// Settings under which every stack and every resource is there.
pub(super) fn everything() -> Settings {
    let toml = "
        env = 'sim'
        artifact_bucket = 'builds'
        artifact_key = 'a/b.zip'
        [enrichment]
        reserved_concurrency = 10
        [anomaly_detection]
        reserved_concurrency = 10
        alert_email = 'devices@example.com'
        [curation]
        enabled = true
        [iot]
        logging = true
        fleet_provisioning = true
        [iot.domain]
        name = 'iot.example.com'
        certificate_arn = 'arn:aws:acm:eu-west-1:123456789012:certificate/0a1b'
        [alarms]
        email = 'operations@example.com'
        [cost]
        alert_email = 'money@example.com'
        [identity]
        threat_protection = true
        [security]
        compliance_rules = true
        trail_in_all_regions = true
        [pipeline]
        connection_arn = 'arn:aws:codeconnections:eu-west-1:123456789012:connection/0a1b'
        repository = 'acme/iot-platform'
        settings_file = 'settings/sim.toml'
    ";
    let settings = Settings::parse(toml, "everything").expect("settings");
    settings.validate().expect("valid settings");
    settings
}

pub(super) fn templates(settings: &Settings) -> Vec<(Stack, Value)> {
    let parse = |stack: Stack| {
        let template = serde_json::from_str(&stack.template.to_json()).expect("a template is JSON");
        (stack, template)
    };
    stacks(settings).into_iter().map(parse).collect()
}

/// (logical id, type, properties) of each resource.
pub(super) fn resources(template: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let declared = template["Resources"].as_object().expect("a template has resources");
    declared.iter().map(|(id, r)| (id.as_str(), r["Type"].as_str().expect("a resource has a type"), &r["Properties"]))
}

/// Every text inside a value, with the name of the intrinsic function around it.
fn texts<'v>(value: &'v Value, within: &'v str, visit: &mut impl FnMut(&'v str, &'v str)) {
    match value {
        Value::String(text) => visit(within, text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, within, visit)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let function = if name == "Ref" || name.starts_with("Fn::") { name } else { "" };
            texts(member, function, visit);
        }),
        _ => {}
    }
}

fn placeholders(text: &str) -> Vec<&str> {
    let all = text.split("${").skip(1).map(|rest| rest.split('}').next().expect("split gives one part"));
    all.filter(|name| !name.starts_with('!')).collect()
}

/// What references give, as far as names and ARNs can be known before anything is there.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// (`Ref`, `Arn`) by (stack, logical id).
    resources: BTreeMap<(String, String), (String, String)>,
    /// Values of SSM parameters by path.
    published: BTreeMap<String, String>,
}

impl Known {
    pub(super) fn of(templates: &[(Stack, Value)]) -> Self {
        let mut known = Known::default();
        for (stack, template) in templates {
            for (id, kind, properties) in resources(template) {
                let (reference, arn) = known.identity(&stack.name, id, kind, properties);
                known.resources.insert((stack.name.clone(), id.to_owned()), (reference, arn));
            }
            for (_, _, properties) in resources(template).filter(|(_, kind, _)| *kind == "AWS::SSM::Parameter") {
                let path = properties["Name"].as_str().expect("a parameter has a name").to_owned();
                let value = known.resolve(&stack.name, &properties["Value"]);
                known.published.insert(path, value);
            }
        }
        known
    }

    /// `Ref` and `Arn` of a resource, by the return values of the CloudFormation reference.
    fn identity(&self, stack: &str, id: &str, kind: &str, properties: &Value) -> (String, String) {
        let named = |path: &[&str]| {
            let name = path.iter().fold(properties, |value, member| &value[*member]);
            if name.is_null() { format!("<{id}>") } else { self.resolve(stack, name) }
        };
        let arn = |service: &str, resource: String| format!("arn:aws:{service}:eu-west-1:{ACCOUNT}:{resource}");
        let (name, arn) = match kind {
            "AWS::Kinesis::Stream" => (named(&["Name"]), arn("kinesis", format!("stream/{}", named(&["Name"])))),
            "AWS::DynamoDB::Table" => {
                (named(&["TableName"]), arn("dynamodb", format!("table/{}", named(&["TableName"]))))
            }
            "AWS::Lambda::Function" => {
                (named(&["FunctionName"]), arn("lambda", format!("function:{}", named(&["FunctionName"]))))
            }
            "AWS::S3::Bucket" => (named(&["BucketName"]), format!("arn:aws:s3:::{}", named(&["BucketName"]))),
            "AWS::Logs::LogGroup" => {
                (named(&["LogGroupName"]), arn("logs", format!("log-group:{}:*", named(&["LogGroupName"]))))
            }
            "AWS::KMS::Key" => (format!("<{id}>"), arn("kms", format!("key/<{id}>"))),
            "AWS::SNS::Topic" => (arn("sns", named(&["TopicName"])), String::new()),
            "AWS::IAM::Role" => (named(&["RoleName"]), format!("arn:aws:iam::{ACCOUNT}:role/{}", named(&["RoleName"]))),
            "AWS::IAM::ManagedPolicy" => {
                (format!("arn:aws:iam::{ACCOUNT}:policy/{}", named(&["ManagedPolicyName"])), String::new())
            }
            "AWS::Glue::Database" => (named(&["DatabaseInput", "Name"]), String::new()),
            "AWS::Glue::Table" => (named(&["TableInput", "Name"]), String::new()),
            "AWS::Athena::WorkGroup" => (named(&["Name"]), String::new()),
            "AWS::CodeBuild::Project" => (named(&["Name"]), arn("codebuild", format!("project/{}", named(&["Name"])))),
            "AWS::CloudWatch::Alarm" => {
                (named(&["AlarmName"]), arn("cloudwatch", format!("alarm:{}", named(&["AlarmName"]))))
            }
            _ => (format!("<{id}>"), format!("<{id}.Arn>")),
        };
        (name, arn)
    }

    /// A text of a stack, with references filled in as an account would.
    pub(super) fn resolve(&self, stack: &str, value: &Value) -> String {
        let pseudo = |name: &str| match name {
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::Region" => "eu-west-1".to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            other => {
                let (id, attribute) = other.split_once('.').unwrap_or((other, ""));
                let found = self.resources.get(&(stack.to_owned(), id.to_owned()));
                match (found, attribute) {
                    (Some((reference, _)), "") => reference.clone(),
                    (Some((_, arn)), "Arn") => arn.clone(),
                    _ => format!("<{other}>"),
                }
            }
        };
        let mut text = match value {
            Value::String(text) => text.clone(),
            Value::Object(function) => match function.iter().next().expect("a function has a name") {
                (name, Value::String(id)) if name == "Ref" => pseudo(id),
                (name, Value::Array(parts)) if name == "Fn::GetAtt" => {
                    let part = |n: usize| parts[n].as_str().expect("two texts");
                    pseudo(&format!("{}.{}", part(0), part(1)))
                }
                (name, Value::String(text)) if name == "Fn::Sub" => {
                    let mut out = text.clone();
                    for name in placeholders(text) {
                        out = out.replace(&format!("${{{name}}}"), &pseudo(name));
                    }
                    out.replace("${!", "${")
                }
                other => panic!("{other:?} is not known to this test"),
            },
            other => panic!("{other} is not a text"),
        };
        for (path, value) in &self.published {
            text = text.replace(&format!("{{{{resolve:ssm:{path}}}}}"), value);
        }
        text
    }
}

const ACCOUNT: &str = "123456789012";

#[test]
fn every_reference_leads_to_a_resource_of_its_template() {
    let mut references = 0;
    for (stack, template) in templates(&everything()) {
        let ids: BTreeSet<&str> = resources(&template).map(|(id, _, _)| id).collect();
        let mut check = |id: &str| {
            references += 1;
            let known = ids.contains(id) || ["AWS::AccountId", "AWS::Region", "AWS::Partition"].contains(&id);
            assert!(known, "{}: {id} leads nowhere", stack.name);
        };
        for (_, _, properties) in resources(&template) {
            let mut get_att = Vec::new();
            texts(properties, "", &mut |function, text| match function {
                "Ref" => check(text),
                "Fn::GetAtt" => get_att.push(text),
                "Fn::Sub" => placeholders(text).iter().for_each(|name| check(name.split('.').next().unwrap_or(name))),
                _ => {}
            });
            get_att.chunks(2).for_each(|pair| check(pair[0]));
        }
    }
    assert!(references > 50, "{references} references: this check would pass for the wrong reason");
}

#[test]
fn what_a_stack_reads_was_published_by_an_earlier_stack_of_its_or_the_last_stage() {
    let mut published: BTreeMap<String, Stage> = BTreeMap::new();
    let mut reads = 0;
    for (stack, template) in templates(&everything()) {
        for (_, _, properties) in resources(&template) {
            texts(properties, "", &mut |_, text| {
                for rest in text.split("{{resolve:ssm:").skip(1) {
                    let path = rest.split("}}").next().expect("split gives one part");
                    let owner =
                        published.get(path).unwrap_or_else(|| panic!("{}: nobody published {path}", stack.name));
                    let allowed = *owner == Stage::Foundation
                        || stack.stage == Stage::CrossCutting
                        || stack.stage as u8 - *owner as u8 <= 1;
                    assert!(allowed, "{}: {path} skips a stage", stack.name);
                    reads += 1;
                }
            });
        }
        for (_, _, properties) in resources(&template).filter(|(_, kind, _)| *kind == "AWS::SSM::Parameter") {
            let path = properties["Name"].as_str().expect("a parameter has a name").to_owned();
            assert!(path.starts_with("/iot-platform/sim/eu-west-1/"), "{path}");
            assert_eq!(published.insert(path.clone(), stack.stage), None, "{path} is published twice");
        }
    }
    assert!(reads > 10 && published.len() > 10, "{reads} reads of {} parameters", published.len());
}

#[test]
fn names_are_within_the_limits_of_aws() {
    // (type, path of the name, most characters, other characters than letters and digits). Sources: the properties' pages
    // in the CloudFormation reference; for roles and functions the quotas of IAM and Lambda.
    let limits: [(&str, &[&str], usize, &str); 29] = [
        ("AWS::IoT::Policy", &["PolicyName"], 128, "+=,.@-"),
        ("AWS::IoT::ThingType", &["ThingTypeName"], 128, ":_-"),
        ("AWS::IoT::TopicRule", &["RuleName"], 128, "_"),
        ("AWS::Kinesis::Stream", &["Name"], 128, "_.-"),
        ("AWS::KinesisFirehose::DeliveryStream", &["DeliveryStreamName"], 64, "_.-"),
        ("AWS::Lambda::Function", &["FunctionName"], 64, "-_"),
        ("AWS::IAM::Role", &["RoleName"], 64, "+=,.@-_"),
        ("AWS::S3::Bucket", &["BucketName"], 63, "-"),
        ("AWS::DynamoDB::Table", &["TableName"], 255, "_.-"),
        ("AWS::Glue::Database", &["DatabaseInput", "Name"], 255, "_"),
        ("AWS::Glue::Table", &["TableInput", "Name"], 255, "_"),
        ("AWS::Athena::WorkGroup", &["Name"], 128, "._-"),
        ("AWS::Athena::NamedQuery", &["Name"], 128, "._-"),
        ("AWS::IoT::ProvisioningTemplate", &["TemplateName"], 36, "_-"),
        ("AWS::IoT::DomainConfiguration", &["DomainConfigurationName"], 128, "_.-"),
        ("AWS::SNS::Topic", &["TopicName"], 256, "_-"),
        ("AWS::Scheduler::Schedule", &["Name"], 64, "_.-"),
        ("AWS::CloudWatch::Alarm", &["AlarmName"], 255, "_-"),
        ("AWS::CloudWatch::Dashboard", &["DashboardName"], 255, "_-"),
        ("AWS::Logs::LogGroup", &["LogGroupName"], 512, "_-/.#"),
        ("AWS::KMS::Alias", &["AliasName"], 256, "_-/"),
        ("AWS::IAM::ManagedPolicy", &["ManagedPolicyName"], 128, "+=,.@-_"),
        ("AWS::CloudTrail::Trail", &["TrailName"], 128, "._-"),
        ("AWS::Budgets::Budget", &["Budget", "BudgetName"], 100, "-"),
        ("AWS::CodeBuild::Project", &["Name"], 255, "_-"),
        ("AWS::CodePipeline::Pipeline", &["Name"], 100, ".@_-"),
        ("AWS::Cognito::IdentityPool", &["IdentityPoolName"], 128, "+=,.@-_"),
        ("AWS::Cognito::UserPool", &["UserPoolName"], 128, "+=,.@-_"),
        ("AWS::Config::ConfigRule", &["ConfigRuleName"], 128, "_-"),
    ];
    // The longest environment and Region that the settings allow.
    let mut longest = Settings { env: "abcdefghijkl".to_owned(), region: "ap-northeast-1".to_owned(), ..everything() };
    let certificate = &mut longest.iot.domain.as_mut().expect("everything has a domain").certificate_arn;
    *certificate = certificate.replace("eu-west-1", "ap-northeast-1");
    longest.validate().expect("the longest names are valid");
    let mut seen = BTreeSet::new();
    for settings in [settings(), longest] {
        let templates = templates(&settings);
        let known = Known::of(&templates);
        for (stack, template) in &templates {
            assert!(stack.name.len() <= 128, "{}", stack.name);
            for (id, kind, properties) in resources(template) {
                let Some((_, path, max, others)) = limits.iter().find(|(limited, ..)| *limited == kind) else {
                    continue;
                };
                seen.insert(kind.to_owned());
                let name = path.iter().fold(properties, |value, member| &value[*member]);
                let name = known.resolve(&stack.name, name);
                let allowed = name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
                assert!((3..=*max).contains(&name.len()) && allowed, "{} {id}: {name}", stack.name);
                if kind == "AWS::S3::Bucket" || kind.starts_with("AWS::Glue::") {
                    assert_eq!(name, name.to_lowercase(), "{} {id}", stack.name);
                }
            }
        }
    }
    assert_eq!(seen.len(), limits.len(), "a limit was never checked: {seen:?}");
}

#[test]
fn templates_stay_below_the_limits_of_cloudformation() {
    // Built again from the same settings, the text is the same.
    let again = stacks(&everything());
    for ((stack, template), again) in templates(&everything()).into_iter().zip(again) {
        let text = stack.template.to_json();
        // A longer template is handed over in S3. Only the pipeline's is, which holds three policies of what a deployment
        // needs.
        let size_max = if stack.name.ends_with("-pipeline") { 1_048_576 } else { 51_200 };
        assert!(text.len() <= size_max, "{}: {} bytes", stack.name, text.len());
        assert!(text.matches("{{resolve:").count() <= 60, "{}", stack.name);
        assert!(resources(&template).count() <= 500, "{}", stack.name);
        assert_eq!((stack.name, text), (again.name, again.template.to_json()));
    }
}

#[test]
fn data_outlives_its_stack_in_production_only() {
    let holding = [
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::Kinesis::Stream",
        "AWS::DynamoDB::Table",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::Cognito::UserPool",
    ];
    let kept = [("prod", "RetainExceptOnCreate", "Retain"), ("dev", "Delete", "Delete")];
    for (env, on_deletion, on_replacement) in kept {
        for (stack, template) in templates(&Settings { env: env.to_owned(), ..everything() }) {
            for (id, resource) in template["Resources"].as_object().expect("resources") {
                let kind = resource["Type"].as_str().expect("a type");
                let expected =
                    if holding.contains(&kind) { (on_deletion, on_replacement) } else { ("Delete", "Delete") };
                assert_eq!(resource["DeletionPolicy"], expected.0, "{} {id}", stack.name);
                assert_eq!(resource["UpdateReplacePolicy"], expected.1, "{} {id}", stack.name);
            }
        }
    }
}

/// (key, another value than the default) of every setting.
const CHANGES: &[(&str, &str)] = &[
    ("env", "'other'"),
    ("region", "'us-east-1'"),
    ("account", "'123456789012'"),
    ("retain_data", "true"),
    ("raw_stream_mode", "'on-demand'"),
    ("enriched_stream_mode", "'on-demand'"),
    ("raw_shards", "3"),
    ("enriched_shards", "3"),
    ("stream_retention_hours", "48"),
    ("raw_delivery.buffer_interval_s", "61"),
    ("raw_delivery.buffer_size_mib", "6"),
    ("processed_delivery.buffer_interval_s", "61"),
    ("processed_delivery.buffer_size_mib", "66"),
    ("enrichment.batch_size", "99"),
    ("enrichment.batch_window_s", "9"),
    ("enrichment.memory_mib", "999"),
    ("retention.raw_days", "31"),
    ("retention.processed_days", "91"),
    ("retention.curated_days", "366"),
    ("retention.log_days", "60"),
    ("retention.audit_days", "366"),
    ("enrichment.timeout_s", "99"),
    ("enrichment.reserved_concurrency", "9"),
    ("enrichment.retry_attempts", "11"),
    ("anomaly_detection.batch_size", "99"),
    ("anomaly_detection.batch_window_s", "9"),
    ("anomaly_detection.memory_mib", "999"),
    ("anomaly_detection.timeout_s", "99"),
    ("anomaly_detection.reserved_concurrency", "9"),
    ("anomaly_detection.retry_attempts", "9"),
    ("anomaly_detection.alert_email", "'a@example.com'"),
    ("anomaly_detection.alert_every_s", "99"),
    ("anomaly_detection.attention.enabled", "false"),
    ("anomaly_detection.attention.interval_min_ms", "999"),
    ("anomaly_detection.attention.quiet_s", "99"),
    ("curation.enabled", "true"),
    ("curation.schedule", "'rate(1 hour)'"),
    ("curation.scan_limit_bytes", "12345678"),
    ("iot.logging", "true"),
    ("iot.fleet_provisioning", "true"),
    ("iot.domain.name", "'b.example.com'"),
    ("iot.domain.certificate_arn", "'arn:aws:acm:eu-west-1:123456789012:certificate/2c'"),
    ("alarms.email", "'a@example.com'"),
    ("alarms.iterator_age_s", "61"),
    ("alarms.delivery_age_s", "901"),
    ("cost.monthly_budget_usd", "99"),
    ("cost.alert_email", "'a@example.com'"),
    ("cost.schedule", "'rate(1 day)'"),
    ("cost.device_month_cents_max", "99"),
    ("identity.password_length_min", "20"),
    ("identity.token_validity_minutes", "30"),
    ("identity.threat_protection", "true"),
    ("security.compliance_rules", "true"),
    ("security.trail_in_all_regions", "true"),
    ("pipeline.connection_arn", "'arn:aws:codeconnections:eu-west-1:123456789012:connection/2c'"),
    ("pipeline.repository", "'other/platform'"),
    ("pipeline.branch", "'next'"),
    ("pipeline.settings_file", "'other.toml'"),
    ("lake_start", "'2026/02/03/04'"),
    ("athena_scan_limit_bytes", "12345678"),
    ("artifact_bucket", "'builds'"),
    ("artifact_key", "'a/b.zip'"),
];

#[test]
fn every_setting_changes_a_template() {
    let texts = |settings: &Settings| stacks(settings).iter().map(|s| s.template.to_json()).collect::<Vec<_>>();
    // The members of an optional table are changed where it is there.
    let (without, with) = (Settings::default(), everything());
    let (texts_without, texts_with) = (texts(&without), texts(&with));
    for (key, value) in CHANGES {
        let toml = format!("{key} = {value}");
        let optional = key.starts_with("iot.domain.") || key.starts_with("pipeline.");
        let (before, before_texts) = if optional { (&with, &texts_with) } else { (&without, &texts_without) };
        let mut table = toml::Table::try_from(before).expect("settings are a table");
        set(&mut table, key, toml.parse::<toml::Table>().expect(&toml));
        let settings = Settings::parse(&toml::to_string(&table).expect("a table"), &toml).expect(&toml);
        settings.validate().expect(&toml);
        assert!(&texts(&settings) != before_texts, "{toml} changes nothing");
    }
    let (account, shards) = (Some(String::new()), Some(1));
    let all = Settings { account, retain_data: Some(true), raw_shards: shards, enriched_shards: shards, ..with };
    let keys = toml::Table::try_from(all).expect("settings are a table");
    let mut leaves = BTreeSet::new();
    leaf_keys(&keys, "", &mut leaves);
    assert_eq!(leaves, CHANGES.iter().map(|(key, _)| (*key).to_owned()).collect());
}

/// Sets the value at a dotted key, which `change` holds alone.
fn set(table: &mut toml::Table, key: &str, mut change: toml::Table) {
    match key.split_once('.') {
        None => table.extend(change),
        Some((name, rest)) => {
            let inner = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let Some(toml::Value::Table(change)) = change.remove(name) else { panic!("{key} holds a table") };
            set(inner.as_table_mut().expect("a table"), rest, change);
        }
    }
}

/// The keys of all values that are no tables, with the tables around them: `enrichment.batch_size`.
fn leaf_keys(table: &toml::Table, prefix: &str, leaves: &mut BTreeSet<String>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => leaf_keys(inner, &format!("{prefix}{name}."), leaves),
            _ => assert!(leaves.insert(format!("{prefix}{name}"))),
        }
    }
}

#[test]
fn the_templates_are_as_reviewed() {
    for stack in stacks(&settings()) {
        insta::assert_snapshot!(stack.name.as_str(), stack.template.to_json());
    }
}
