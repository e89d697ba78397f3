//! A raw reading: parsed in one pass when it is valid, looked at closely when it is not.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::rejection::{Reason, Rejection};

/// 2000-01-01 and 2100-01-01, ms since the Unix epoch. A clock outside of them was never set.
const TS_RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
/// No part of a topic is longer, because no topic is (quotas of IoT Core). It also fits a key of DynamoDB and a partition
/// key of Kinesis, so that one reading cannot make a call fail for all.
const ID_BYTES_MAX: usize = 256;
/// Up to so many metrics, names are compared in pairs.
const PAIRWISE_MAX: usize = 16;

/// A valid raw reading. Texts are borrowed from the payload where they hold no escapes.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Reading<'a> {
    pub seq: u64,
    pub ts: i64,
    #[serde(borrow)]
    pub metrics: Metrics<'a>,
    #[serde(borrow, default)]
    pub recorded_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    pub device_id: Cow<'a, str>,
    pub received_at: i64,
}

/// A text, borrowed where possible.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Values by name, in the order of the payload.
#[derive(Debug, PartialEq)]
pub(super) struct Metrics<'a>(pub Vec<(Cow<'a, str>, f64)>);

impl<'de: 'a, 'a> Deserialize<'de> for Metrics<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Metrics<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metrics by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics<'de>, A::Error> {
                let mut metrics = Vec::with_capacity(4);
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    metrics.push((name, number(value.get()).map_err(de::Error::custom)?));
                }
                Ok(Metrics(metrics))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The double nearest to a number of JSON. `serde_json` by itself may be off by one in the last place.
fn number(json: &str) -> Result<f64, &'static str> {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => json.parse().ok().filter(|n: &f64| n.is_finite()).ok_or("number out of range"),
        _ => Err("a metric is not a number"),
    }
}

impl<'a> Reading<'a> {
    /// Parses and checks a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Rejection> {
        // A list of the members' values would be taken for a reading otherwise.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(diagnose(payload, &"the payload is not an object"));
        }
        let reading: Reading<'a> = serde_json::from_slice(payload).map_err(|error| diagnose(payload, &error))?;
        reading.check()?;
        Ok(reading)
    }

    fn check(&self) -> Result<(), Rejection> {
        if i64::try_from(self.seq).is_err() {
            return Err(Rejection::new(Reason::SeqOutOfRange, format!("seq is {}", self.seq)));
        }
        if !TS_RANGE_MS.contains(&self.ts) {
            return Err(Rejection::new(Reason::TsOutOfRange, format!("ts is {}", self.ts)));
        }
        if self.metrics.0.is_empty() {
            return Err(Rejection::new(Reason::MetricsEmpty, "metrics is {}"));
        }
        if self.tenant_id.is_empty() {
            return Err(Rejection::new(Reason::TenantMissing, "tenant_id is empty"));
        }
        if self.device_id.is_empty() {
            return Err(Rejection::new(Reason::DeviceMissing, "device_id is empty"));
        }
        for (member, text) in [("tenant_id", &self.tenant_id), ("device_id", &self.device_id)] {
            if text.len() > ID_BYTES_MAX {
                let detail = format!("{member} has {} bytes, at most {ID_BYTES_MAX} are allowed", text.len());
                return Err(Rejection::new(Reason::IdTooLong, detail));
            }
        }
        match self.metrics.duplicate() {
            None => Ok(()),
            Some(name) => Err(Rejection::new(Reason::MetricDuplicated, format!("metric {name:?} comes twice"))),
        }
    }
}

impl Metrics<'_> {
    fn duplicate(&self) -> Option<&str> {
        let mut names = self.0.iter().map(|(name, _)| name.as_ref());
        if self.0.len() <= PAIRWISE_MAX {
            return names
                .enumerate()
                .find(|(n, name)| self.0[..*n].iter().any(|(other, _)| other == name))
                .map(|(_, n)| n);
        }
        let mut seen = BTreeSet::new();
        names.find(|name| !seen.insert(*name))
    }
}

/// The precise reason why a payload is not a reading. `error` is what parsing said.
fn diagnose(payload: &[u8], error: &dyn fmt::Display) -> Rejection {
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
    let checks = [check_seq, check_ts, check_metrics, check_texts, check_received_at];
    let found = checks.iter().find_map(|check| check(&document).err());
    found.unwrap_or_else(|| Rejection::new(Reason::Malformed, error.to_string()))
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
    match metrics.iter().find(|(_, value)| !value.is_number()) {
        None => Ok(()),
        Some((name, value)) => {
            Err(Rejection::new(Reason::MetricNotANumber, format!("metric {name:?} is {}", kind(value))))
        }
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
    if document["received_at"].is_i64() {
        return Ok(());
    }
    let found = kind(&document["received_at"]);
    Err(Rejection::new(Reason::ReceivedAtMissing, format!("received_at is {found}, not a whole number of ms")))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = r#"{"seq":7,"ts":1772323200000,"metrics":{"temp":21.5,"rpm":900},"tenant_id":"acme","device_id":"pump-1","received_at":1772323200050}"#;

    #[test]
    fn a_valid_reading_is_borrowed_from_its_payload() {
        let reading = Reading::parse(VALID.as_bytes()).unwrap();
        assert_eq!((reading.seq, reading.ts, reading.received_at), (7, 1_772_323_200_000, 1_772_323_200_050));
        assert_eq!(reading.metrics.0, [("temp".into(), 21.5), ("rpm".into(), 900.0)]);
        assert!(matches!(reading.tenant_id, Cow::Borrowed("acme")));
        assert!(matches!(reading.metrics.0[0].0, Cow::Borrowed("temp")));
        assert_eq!(reading.recorded_at, None);
    }

    #[test]
    fn unknown_members_are_ignored_and_escapes_are_decoded() {
        let text = VALID.replace("\"ts\"", r#""site":{"floor":[1,2]},"recorded_at":"2014-02-14 14:30:00","ts""#);
        let text = text.replace("\"temp\"", r#""t\u0065mp""#);
        let reading = Reading::parse(text.as_bytes()).unwrap();
        assert_eq!(reading.recorded_at, Some(Text("2014-02-14 14:30:00".into())));
        assert_eq!(reading.metrics.0[0].0, "temp");
    }

    #[test]
    fn each_defect_has_its_own_reason() {
        for (from, to, expected) in [
            (VALID, "", Reason::NotJson),
            (VALID, "temp=21", Reason::NotJson),
            (VALID, "{\"seq\":7", Reason::NotJson),
            (VALID, "[1]", Reason::NotAnObject),
            (VALID, " [7,1772323200000,{\"temp\":21.5},null,\"acme\",\"pump-1\",1772323200050]", Reason::NotAnObject),
            (VALID, "\"text\"", Reason::NotAnObject),
            ("\"seq\":7,", "", Reason::SeqMissing),
            ("\"seq\":7", "\"seq\":null", Reason::SeqMissing),
            ("\"seq\":7", "\"seq\":-1", Reason::SeqNegative),
            ("\"seq\":7", "\"seq\":7.5", Reason::SeqNotAnInteger),
            ("\"seq\":7", "\"seq\":\"7\"", Reason::SeqNotAnInteger),
            ("\"seq\":7", "\"seq\":9223372036854775808", Reason::SeqOutOfRange),
            ("\"seq\":7", "\"seq\":99999999999999999999", Reason::SeqOutOfRange),
            ("\"ts\":1772323200000,", "", Reason::TsMissing),
            ("\"ts\":1772323200000", "\"ts\":\"now\"", Reason::TsNotAnInteger),
            ("\"ts\":1772323200000", "\"ts\":1.5", Reason::TsNotAnInteger),
            ("\"ts\":1772323200000", "\"ts\":1772323200", Reason::TsOutOfRange),
            ("\"ts\":1772323200000", "\"ts\":-5", Reason::TsOutOfRange),
            ("\"ts\":1772323200000", "\"ts\":4102444800000", Reason::TsOutOfRange),
            ("\"ts\":1772323200000", "\"ts\":99999999999999999999", Reason::TsOutOfRange),
            (",\"metrics\":{\"temp\":21.5,\"rpm\":900}", "", Reason::MetricsMissing),
            ("{\"temp\":21.5,\"rpm\":900}", "[21.5]", Reason::MetricsNotAnObject),
            ("\"temp\":21.5,\"rpm\":900", "", Reason::MetricsEmpty),
            ("21.5", "\"21.5\"", Reason::MetricNotANumber),
            ("21.5", "null", Reason::MetricNotANumber),
            ("21.5", "1e999", Reason::NumberOutOfRange),
            ("21.5", "NaN", Reason::NotJson),
            ("\"rpm\"", "\"temp\"", Reason::MetricDuplicated),
            ("\"tenant_id\":\"acme\",", "", Reason::TenantMissing),
            ("\"acme\"", "\"\"", Reason::TenantMissing),
            ("\"acme\"", "5", Reason::TenantMissing),
            ("\"device_id\":\"pump-1\",", "", Reason::DeviceMissing),
            ("\"pump-1\"", "\"\"", Reason::DeviceMissing),
            ("pump-1", &"x".repeat(257), Reason::IdTooLong),
            ("acme", &"x".repeat(257), Reason::IdTooLong),
            (",\"received_at\":1772323200050", "", Reason::ReceivedAtMissing),
            ("\"seq\":7", "\"seq\":7,\"recorded_at\":5", Reason::RecordedAtNotText),
            ("\"seq\":7", "\"seq\":7,\"seq\":8", Reason::Malformed),
        ] {
            let text = VALID.replace(from, to);
            assert_ne!(text, VALID, "{from} is in the valid reading");
            let rejection = Reading::parse(text.as_bytes()).expect_err(&text);
            assert_eq!(rejection.reason, expected, "{text}: {rejection}");
            assert!(!rejection.detail.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_found_among_many() {
        let members = (0..40).map(|n| format!("\"m{}\":1", if n == 39 { 3 } else { n })).collect::<Vec<_>>().join(",");
        let text = VALID.replace("\"temp\":21.5,\"rpm\":900", &members);
        let rejection = Reading::parse(text.as_bytes()).unwrap_err();
        assert_eq!(rejection.to_string(), "metric-duplicated: metric \"m3\" comes twice");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(rejection) = Reading::parse(&payload) {
                prop_assert!(!rejection.detail.is_empty());
            }
        }

        #[test]
        fn numbers_come_back_as_they_were_sent(seq in 0..=i64::MAX, ts in TS_RANGE_MS, value in -1e12..1e12f64) {
            let text = VALID.replace("\"seq\":7", &format!("\"seq\":{seq}")).replace("1772323200000", &ts.to_string());
            let text = text.replace("21.5", &serde_json::to_string(&value).unwrap());
            let reading = Reading::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(i64::try_from(reading.seq).unwrap(), seq);
            prop_assert_eq!(reading.ts, ts);
            prop_assert_eq!(reading.metrics.0[0].1, value);
        }
    }
}
