//! Functions and mappings as the API describes them.

use serde_json::{Value, json};

use super::function::Function;
use super::mapping::Mapping;
use super::versions::LATEST;
use crate::core::Cx;
use crate::core::ports::StartingPosition;
use world::time::Time;

/// A function, or what a qualifier of it names and there is, as the API describes it.
pub(super) fn configuration(cx: &Cx<'_>, function: &Function, qualifier: Option<&str>) -> Value {
    let is_changing = qualifier.is_none() && function.is_changing(cx.now);
    let status = if is_changing { "InProgress" } else { "Successful" };
    let (function, version) = function.configured(qualifier).unwrap_or_else(|| (&function.info, LATEST.to_owned()));
    let arn = qualifier.map_or_else(|| function.arn.clone(), |qualifier| format!("{}:{qualifier}", function.arn));
    let mut answer = json!({
        "FunctionName": function.name,
        "FunctionArn": arn,
        "Runtime": function.runtime,
        "Role": function.role_arn,
        "Handler": function.handler,
        "Description": function.description,
        "Timeout": function.timeout.as_secs(),
        "MemorySize": function.memory_mib,
        "LastModified": function.last_modified.to_datetime().format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
        "Version": version,
        "Environment": { "Variables": function.environment },
        "TracingConfig": { "Mode": function.tracing },
        "RevisionId": function.revision_id,
        "State": "Active",
        "LastUpdateStatus": status,
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": { "Size": function.ephemeral_storage_mib },
        "LoggingConfig": { "LogGroup": function.log_group },
    });
    if let Some(key) = &function.kms_key_arn {
        answer["KMSKeyArn"] = key.as_str().into();
    }
    if let Some(topic) = &function.dead_letters {
        answer["DeadLetterConfig"] = json!({ "TargetArn": topic });
    }
    answer
}

/// A mapping as the API describes it.
pub(super) fn description(mapping: &Mapping, now: Time) -> Value {
    let (start, timestamp) = match mapping.start {
        StartingPosition::TrimHorizon => ("TRIM_HORIZON", None),
        StartingPosition::Latest => ("LATEST", None),
        StartingPosition::AtTimestamp(time) => ("AT_TIMESTAMP", Some(time.epoch_seconds())),
    };
    let response_types: &[&str] = if mapping.reports_item_failures { &["ReportBatchItemFailures"] } else { &[] };
    let on_failure =
        mapping.on_failure.as_ref().map_or(json!({}), |destination| json!({ "Destination": destination.arn() }));
    let mut answer = json!({
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping.arn,
        "StartingPosition": start,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.window.as_secs(),
        "ParallelizationFactor": mapping.lanes,
        "EventSourceArn": mapping.source_arn,
        "FunctionArn": mapping.function_arn,
        "LastModified": mapping.last_modified.epoch_seconds(),
        "LastProcessingResult": mapping.last_result,
        "State": mapping.shown_state(now),
        "StateTransitionReason": "User action",
        "DestinationConfig": { "OnFailure": on_failure },
        "MaximumRecordAgeInSeconds": mapping.age_max.map_or(json!(-1), |age| json!(age.as_secs())),
        "BisectBatchOnFunctionError": mapping.bisects,
        "MaximumRetryAttempts": mapping.retries_max.map_or(json!(-1), |most| json!(most)),
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": response_types,
    });
    if let Some(filters) = &mapping.filters {
        let filters: Vec<Value> = filters.texts().map(|pattern| json!({ "Pattern": pattern })).collect();
        answer["FilterCriteria"] = json!({ "Filters": filters });
    }
    if let Some(timestamp) = timestamp {
        answer["StartingPositionTimestamp"] = timestamp.into();
    }
    answer
}
