use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::naming::Naming;
use crate::settings::Settings;

fn template(settings: &Settings) -> Value {
    serde_json::from_str(&stack(settings).to_json()).unwrap()
}

#[test]
fn every_function_has_its_log_group_with_key_and_retention_before_it_exists() {
    let settings = Settings::default();
    let template = template(&settings);
    let mut names = BTreeSet::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        if resource["Type"] == "AWS::Logs::LogGroup" {
            let properties = &resource["Properties"];
            assert_eq!(properties["RetentionInDays"], 30);
            assert_eq!(properties["KmsKeyId"], "{{resolve:ssm:/iot-platform/dev/eu-west-1/security/logs-key-arn}}");
            names.insert(properties["LogGroupName"].as_str().unwrap().to_owned());
        }
    }
    let naming = Naming::new(&settings);
    for function in ["enrichment", "device-tagger", "anomaly-detection", "curation", "cost-explorer"] {
        assert!(names.contains(&function_log_group(naming, function)), "{function}: {names:?}");
    }
    for delivery in ["raw", "processed"] {
        assert!(names.contains(&delivery_log_group(naming, delivery)), "{delivery}: {names:?}");
    }
    // The key is for groups of these names only.
    for name in &names {
        let covered = log_group_patterns(naming).iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        });
        assert!(covered, "the key of logs is not for {name}");
    }
}

#[test]
fn the_log_group_of_iot_core_belongs_to_one_environment() {
    for (env, expected) in [("prod", true), ("dev", false)] {
        let template = template(&Settings { env: env.to_owned(), ..Settings::default() });
        assert_eq!(template["Resources"]["IotLogs"].is_object(), expected, "{env}");
    }
}

#[test]
fn audit_records_are_locked_where_data_is_kept_and_versioned_everywhere() {
    for (env, expected) in
        [("prod", json!({"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 365}})), ("dev", Value::Null)]
    {
        let template = template(&Settings { env: env.to_owned(), ..Settings::default() });
        let bucket = &template["Resources"]["AuditBucket"]["Properties"];
        assert_eq!(bucket["ObjectLockConfiguration"]["Rule"], expected, "{env}");
        assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled", "{env}");
        let ends = &bucket["LifecycleConfiguration"]["Rules"][0];
        assert_eq!(ends["ExpirationInDays"], 366, "an object ends after its lock");
    }
}

#[test]
fn the_trail_waits_for_the_policy_that_names_it() {
    let template = template(&Settings::default());
    let trail = &template["Resources"]["Trail"];
    assert_eq!(trail["DependsOn"], json!(["AuditPolicy"]));
    let name = trail["Properties"]["TrailName"].as_str().unwrap();
    let arn = format!("arn:${{AWS::Partition}}:cloudtrail:${{AWS::Region}}:${{AWS::AccountId}}:trail/{name}");
    let policy = &template["Resources"]["AuditPolicy"]["Properties"]["PolicyDocument"]["Statement"];
    let statements = policy.as_array().unwrap();
    assert_eq!(statements.len(), 3);
    for statement in statements.iter().filter(|statement| statement["Effect"] == "Allow") {
        assert_eq!(statement["Condition"]["StringEquals"]["aws:SourceArn"], json!({ "Fn::Sub": arn }));
    }
}

#[test]
fn access_logs_are_encrypted_by_s3_because_their_delivery_knows_no_other_key() {
    let template = template(&Settings::default());
    let bucket = &template["Resources"]["AccessLogsBucket"]["Properties"];
    let rule = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(rule["ServerSideEncryptionByDefault"], json!({"SSEAlgorithm": "AES256"}));
    assert_eq!(bucket["LoggingConfiguration"], Value::Null);
}
