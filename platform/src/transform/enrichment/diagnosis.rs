//! Why a payload is not a reading: looked at closely, as a document, because that is rare.

use std::fmt;

use serde_json::{Map, Value};

use super::reading::Version;
use super::rejection::{Reason, Rejection};

/// The precise reason why a payload is not a reading. `error` is what parsing said.
pub(super) fn diagnose(payload: &[u8], error: &dyn fmt::Display) -> Rejection {
    let document: Value = match serde_json::from_slice(payload) {
        Ok(document) => document,
        Err(error) if error.to_string().starts_with("number out of range") => {
            return Rejection::new(Reason::NumberOutOfRange, error.to_string());
        }
        Err(error) => return Rejection::new(Reason::NotJson, error.to_string()),
    };
    if !document.is_object() {
        return Rejection::new(Reason::NotAnObject, format!("the payload is {}", kind(&document)));
    }
    let checks = [check_version, check_seq, check_ts, check_metrics, check_texts, check_received_at];
    let found = checks.iter().find_map(|check| check(&document).err());
    found.unwrap_or_else(|| Rejection::new(Reason::Malformed, error.to_string()))
}

/// The version that a document names, when it is one that is known.
fn version(document: &Value) -> Option<Version> {
    match &document["v"] {
        Value::Null => Some(Version::One),
        other => other.as_u64().and_then(Version::of),
    }
}

fn check_version(document: &Value) -> Result<(), Rejection> {
    if version(document).is_some() {
        return Ok(());
    }
    let detail = format!("v is {}; payloads of version 1 (or without v) and 2 are known", kind(&document["v"]));
    Err(Rejection::new(Reason::UnsupportedVersion, detail))
}

fn check_seq(document: &Value) -> Result<(), Rejection> {
    match &document["seq"] {
        Value::Null => Err(Rejection::new(Reason::SeqMissing, "there is no seq")),
        Value::Number(n) if n.is_u64() => Ok(()),
        Value::Number(n) if n.is_i64() => Err(Rejection::new(Reason::SeqNegative, format!("seq is {n}"))),
        Value::Number(n) if n.as_f64().is_some_and(|n| n >= 2f64.powi(63)) => {
            Err(Rejection::new(Reason::SeqOutOfRange, format!("seq is {n}")))
        }
        other => Err(Rejection::new(Reason::SeqNotAnInteger, format!("seq is {}", kind(other)))),
    }
}

fn check_ts(document: &Value) -> Result<(), Rejection> {
    match &document["ts"] {
        Value::Null => Err(Rejection::new(Reason::TsMissing, "there is no ts")),
        Value::Number(n) if n.is_i64() => Ok(()),
        Value::Number(n) if n.as_f64().is_some_and(|n| n.abs() >= 2f64.powi(63)) => {
            Err(Rejection::new(Reason::TsOutOfRange, format!("ts is {n}")))
        }
        other => Err(Rejection::new(Reason::TsNotAnInteger, format!("ts is {}", kind(other)))),
    }
}

fn check_metrics(document: &Value) -> Result<(), Rejection> {
    let metrics = match &document["metrics"] {
        Value::Null => return Err(Rejection::new(Reason::MetricsMissing, "there are no metrics")),
        Value::Object(metrics) => metrics,
        other => return Err(Rejection::new(Reason::MetricsNotAnObject, format!("metrics is {}", kind(other)))),
    };
    let is_two = version(document) == Some(Version::Two);
    metrics.iter().try_for_each(|(name, value)| match value {
        Value::Number(_) => Ok(()),
        Value::Object(members) if is_two => check_measured(name, members),
        other => Err(Rejection::new(Reason::MetricNotANumber, format!("metric {name:?} is {}", kind(other)))),
    })
}

/// Checks a value of version 2 that has its unit beside it.
fn check_measured(name: &str, members: &Map<String, Value>) -> Result<(), Rejection> {
    let member = |member: &str| members.get(member).unwrap_or(&Value::Null);
    if !member("value").is_number() {
        let detail = format!("the value of metric {name:?} is {}", kind(member("value")));
        return Err(Rejection::new(Reason::MetricNotANumber, detail));
    }
    match member("unit") {
        Value::Null | Value::String(_) => Ok(()),
        other => Err(Rejection::new(Reason::UnitNotText, format!("the unit of metric {name:?} is {}", kind(other)))),
    }
}

fn check_texts(document: &Value) -> Result<(), Rejection> {
    for (member, reason) in [("tenant_id", Reason::TenantMissing), ("device_id", Reason::DeviceMissing)] {
        if !document[member].is_string() {
            return Err(Rejection::new(reason, format!("{member} is {}", kind(&document[member]))));
        }
    }
    match &document["recorded_at"] {
        Value::Null | Value::String(_) => Ok(()),
        other => Err(Rejection::new(Reason::RecordedAtNotText, format!("recorded_at is {}", kind(other)))),
    }
}

fn check_received_at(document: &Value) -> Result<(), Rejection> {
    match &document["received_at"] {
        Value::Number(n) if n.is_i64() => Ok(()),
        Value::Number(n) if n.as_f64().is_some_and(|n| n.abs() >= 2f64.powi(63)) => {
            Err(Rejection::new(Reason::ReceivedAtOutOfRange, format!("received_at is {n}")))
        }
        other => {
            let detail = format!("received_at is {}, not a whole number of ms", kind(other));
            Err(Rejection::new(Reason::ReceivedAtMissing, detail))
        }
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "missing or null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
