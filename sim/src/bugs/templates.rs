//! Bugs of templates: what is deployed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::edit::replaced;
use crate::run::Harness;

/// Changes a text of the stack whose name ends with `stack`.
fn changed(stack: &'static str, from: &'static str, to: &'static str) -> Harness {
    let change = move |name: &str, body: String| match name.ends_with(stack) {
        true => replaced(name, &body, from, to),
        false => body,
    };
    Harness { change_template: Some(Arc::new(change)), ..Harness::default() }
}

pub(super) fn tenant_from_another_level() -> Harness {
    changed("-streaming", "topic(2) AS tenant_id", "topic(1) AS tenant_id")
}

pub(super) fn rule_partitions_at_random() -> Harness {
    changed("-streaming", "\"PartitionKey\": \"${topic(4)}\"", "\"PartitionKey\": \"${newuuid()}\"")
}

pub(super) fn rule_begins_at_two() -> Harness {
    changed("-streaming", "FROM 'tenant/+/device/+/data'", "FROM 'tenant/+/device/+/data' WHERE seq > 1")
}

/// Changes a property of the resource `id` in the stack whose name ends with `stack`.
fn set(stack: &'static str, id: &'static str, path: &'static str, to: &'static str) -> Harness {
    let change = move |name: &str, body: String| {
        if !name.ends_with(stack) {
            return body;
        }
        let mut template: Value = serde_json::from_str(&body).expect("a template is JSON");
        let property = template.pointer_mut(&format!("/Resources/{id}/Properties/{path}"));
        let property = property.unwrap_or_else(|| panic!("{name} has no {id} with {path}: the bug is not planted"));
        *property = serde_json::from_str(to).expect("the value is JSON");
        template.to_string()
    };
    Harness { change_template: Some(Arc::new(change)), ..Harness::default() }
}

pub(super) fn item_failures_not_reported() -> Harness {
    set("-enrichment", "RawStreamMapping", "FunctionResponseTypes", "[]")
}

pub(super) fn alerts_held_for_a_second() -> Harness {
    changed("-anomaly-detection", "\"ALERT_EVERY_S\": \"900\"", "\"ALERT_EVERY_S\": \"1\"")
}

pub(super) fn permission_missing() -> Harness {
    changed("-enrichment", "kinesis:PutRecords", "kinesis:PutRecord")
}

pub(super) fn batches_not_split() -> Harness {
    set("-enrichment", "RawStreamMapping", "BisectBatchOnFunctionError", "false")
}

pub(super) fn failures_kept_nowhere() -> Harness {
    set("-enrichment", "RawStreamMapping", "DestinationConfig", "{}")
}

pub(super) fn few_attempts() -> Harness {
    set("-enrichment", "RawStreamMapping", "MaximumRetryAttempts", "2")
}

pub(super) fn delivery_too_late() -> Harness {
    let path = "ExtendedS3DestinationConfiguration/BufferingHints/IntervalInSeconds";
    set("-data-lake", "ProcessedDelivery", path, "900")
}

pub(super) fn window_too_long() -> Harness {
    set("-enrichment", "RawStreamMapping", "MaximumBatchingWindowInSeconds", "300")
}

pub(super) fn lake_ends_an_hour_ago() -> Harness {
    changed("-data-lake", ",NOW\"", ",NOW-1HOURS\"")
}

pub(super) fn delivered_by_the_day() -> Harness {
    changed("-data-lake", "processed/!{timestamp:yyyy/MM/dd/HH}", "processed/!{timestamp:yyyy/MM/dd}")
}

pub(super) fn delivery_of_the_wrong_stream() -> Harness {
    changed("-data-lake", "streaming/enriched-stream-arn", "streaming/raw-stream-arn")
}

/// Adds a statement to the policy of devices: each action is allowed on the resource beside it.
fn devices_may(grants: &'static [(&'static str, &'static str)]) -> Harness {
    let change = move |name: &str, body: String| {
        if !name.ends_with("-iot-core") {
            return body;
        }
        let mut template: Value = serde_json::from_str(&body).expect("a template is JSON");
        let statements = template.pointer_mut("/Resources/DevicePolicy/Properties/PolicyDocument/Statement");
        let statements = statements.and_then(Value::as_array_mut).expect("devices have a policy");
        for (action, resource) in grants {
            let arn = format!("arn:${{AWS::Partition}}:iot:${{AWS::Region}}:${{AWS::AccountId}}:{resource}");
            let resource = json!({ "Fn::Sub": arn });
            statements.push(json!({ "Effect": "Allow", "Action": [action], "Resource": [resource] }));
        }
        template.to_string()
    };
    Harness { change_template: Some(Arc::new(change)), ..Harness::default() }
}

pub(super) fn devices_publish_for_all() -> Harness {
    devices_may(&[("iot:Publish", "topic/tenant/*")])
}

pub(super) fn devices_hear_all() -> Harness {
    devices_may(&[("iot:Subscribe", "topicfilter/*"), ("iot:Receive", "topic/*")])
}

pub(super) fn devices_connect_as_any() -> Harness {
    devices_may(&[("iot:Connect", "client/*")])
}
