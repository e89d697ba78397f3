use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::settings::Settings;

fn settings() -> Settings {
    Settings { env: "sim".to_owned(), ..Settings::default() }
}

fn templates(settings: &Settings) -> Vec<(Stack, Value)> {
    let parse = |stack: Stack| {
        let template = serde_json::from_str(&stack.template.to_json()).expect("a template is JSON");
        (stack, template)
    };
    stacks(settings).into_iter().map(parse).collect()
}

/// (logical id, type, properties) of each resource.
fn resources(template: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
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

/// The value with references filled in as an account would: enough to judge lengths and characters.
fn resolve(value: &Value, published: &BTreeMap<String, String>) -> String {
    let pseudo = |name: &str| match name {
        "AWS::AccountId" => "123456789012".to_owned(),
        "AWS::Region" => "eu-west-1".to_owned(),
        "AWS::Partition" => "aws".to_owned(),
        other => format!("<{other}>"),
    };
    let mut text = match value {
        Value::String(text) => text.clone(),
        Value::Object(function) => match function.iter().next().expect("a function has a name") {
            (name, Value::String(id)) if name == "Ref" => pseudo(id),
            (name, Value::Array(parts)) if name == "Fn::GetAtt" => format!("<{}>", parts[0]),
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
    for (path, value) in published {
        text = text.replace(&format!("{{{{resolve:ssm:{path}}}}}"), value);
    }
    text
}

#[test]
fn every_reference_leads_to_a_resource_of_its_template() {
    let mut references = 0;
    for (stack, template) in templates(&settings()) {
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
    for (stack, template) in templates(&settings()) {
        for (_, _, properties) in resources(&template) {
            texts(properties, "", &mut |_, text| {
                for rest in text.split("{{resolve:ssm:").skip(1) {
                    let path = rest.split("}}").next().expect("split gives one part");
                    let owner =
                        published.get(path).unwrap_or_else(|| panic!("{}: nobody published {path}", stack.name));
                    assert!(stack.stage as u8 - *owner as u8 <= 1, "{}: {path} skips a stage", stack.name);
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
    let limits: [(&str, &[&str], usize, &str); 13] = [
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
    ];
    // The longest environment and Region that the settings allow.
    let longest =
        Settings { env: "abcdefghijkl".to_owned(), region: "ap-northeast-1".to_owned(), ..Settings::default() };
    longest.validate().expect("the longest names are valid");
    let mut seen = BTreeSet::new();
    for settings in [settings(), longest] {
        for (stack, template) in templates(&settings) {
            assert!(stack.name.len() <= 128, "{}", stack.name);
            for (id, kind, properties) in resources(&template) {
                let Some((_, path, max, others)) = limits.iter().find(|(limited, ..)| *limited == kind) else {
                    continue;
                };
                seen.insert(kind.to_owned());
                let name = path.iter().fold(properties, |value, member| &value[*member]);
                let name = resolve(name, &BTreeMap::new());
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
fn roles_may_do_named_actions_on_named_resources() {
    // A wildcard stands only at the end, after something that this platform names: objects below a prefix, the streams
    // of one log group. No action used here needs `*` as its resource.
    let mut checked = 0;
    for (stack, template) in templates(&settings()) {
        for (id, kind, properties) in resources(&template) {
            let documents: Vec<&Value> = match kind {
                "AWS::IAM::Role" => {
                    let policies = properties["Policies"].as_array().expect("a role has policies");
                    policies.iter().map(|policy| &policy["PolicyDocument"]).collect()
                }
                "AWS::IoT::Policy" => vec![&properties["PolicyDocument"]],
                _ => continue,
            };
            let size: usize = documents.iter().map(|document| document.to_string().len()).sum();
            let size_max = if kind == "AWS::IoT::Policy" { 2_048 } else { 10_240 };
            assert!(size <= size_max, "{} {id}: {size} characters", stack.name);
            for statement in documents.iter().flat_map(|document| document["Statement"].as_array().expect("statements"))
            {
                for action in statement["Action"].as_array().expect("actions") {
                    let action = action.as_str().expect("an action is a text");
                    assert!(action.contains(':') && !action.contains('*'), "{} {id}: {action}", stack.name);
                }
                for resource in statement["Resource"].as_array().expect("resources") {
                    let resource = resolve(resource, &BTreeMap::new());
                    let named = resource.strip_suffix("/*").or(resource.strip_suffix(":*")).unwrap_or(&resource);
                    assert!(!named.is_empty() && !named.contains('*'), "{} {id}: {resource}", stack.name);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 15, "{checked} resources: this check would pass for the wrong reason");
}

#[test]
fn templates_stay_below_the_limits_of_cloudformation() {
    // Built again from the same settings, the text is the same.
    let again = stacks(&settings());
    for ((stack, template), again) in templates(&settings()).into_iter().zip(again) {
        let text = stack.template.to_json();
        assert!(text.len() <= 51_200, "{}: {} bytes", stack.name, text.len());
        assert!(text.matches("{{resolve:").count() <= 60, "{}", stack.name);
        assert!(resources(&template).count() <= 500, "{}", stack.name);
        assert_eq!((stack.name, text), (again.name, again.template.to_json()));
    }
}

#[test]
fn data_outlives_its_stack_in_production_only() {
    let holding =
        ["AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table", "AWS::Glue::Database", "AWS::Glue::Table"];
    let kept = [("prod", "RetainExceptOnCreate", "Retain"), ("dev", "Delete", "Delete")];
    for (env, on_deletion, on_replacement) in kept {
        for (stack, template) in templates(&Settings { env: env.to_owned(), ..Settings::default() }) {
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

#[test]
fn every_setting_changes_a_template() {
    let changes = [
        ("env", "'other'"),
        ("region", "'us-east-1'"),
        ("account", "'123456789012'"),
        ("retain_data", "true"),
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
        ("enrichment.timeout_s", "99"),
        ("lake_start", "'2026/02/03/04'"),
        ("athena_scan_limit_bytes", "12345678"),
        ("artifact_bucket", "'builds'"),
        ("artifact_key", "'a/b.zip'"),
    ];
    let texts = |settings: &Settings| stacks(settings).iter().map(|s| s.template.to_json()).collect::<Vec<_>>();
    let before = texts(&Settings::default());
    for (key, value) in changes {
        let toml = format!("{key} = {value}");
        let settings = Settings::parse(&toml, &toml).expect(&toml);
        settings.validate().expect(&toml);
        assert_ne!(texts(&settings), before, "{toml}");
    }
    let all = Settings { account: Some(String::new()), retain_data: Some(true), ..Settings::default() };
    let all = Settings { artifact_bucket: Some(String::new()), artifact_key: Some(String::new()), ..all };
    let keys = toml::Table::try_from(all).expect("settings are a table");
    let mut leaves = BTreeSet::new();
    leaf_keys(&keys, "", &mut leaves);
    assert_eq!(leaves, changes.iter().map(|(key, _)| (*key).to_owned()).collect());
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
