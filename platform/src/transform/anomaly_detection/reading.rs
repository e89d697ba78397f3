//! An enriched reading, borrowed from its record.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::transform::number::double;

/// 2000-01-01 and 2100-01-01, ms since the Unix epoch.
const RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
/// No part of a topic is longer; see the enrichment.
pub(super) const ID_BYTES_MAX: usize = 256;
/// Longer names of metrics have no detector.
pub(super) const METRIC_BYTES_MAX: usize = 256;

/// What detection needs of an enriched reading.
#[derive(Debug, Deserialize)]
pub(super) struct Reading<'a> {
    #[serde(borrow)]
    pub tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    pub device_id: Cow<'a, str>,
    pub seq: u64,
    pub ts: i64,
    /// `ts` corrected by the skew of the device's clock, where the enrichment knows it.
    #[serde(default)]
    pub event_at: Option<i64>,
    pub received_at: i64,
    #[serde(borrow)]
    pub metrics: Metrics<'a>,
}

/// Values by name, in the order of the record.
#[derive(Debug)]
pub(super) struct Metrics<'a>(pub Vec<(Cow<'a, str>, f64)>);

/// A text, borrowed where possible.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

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
                    metrics.push((name, double(value.get()).map_err(de::Error::custom)?));
                }
                Ok(Metrics(metrics))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'a> Reading<'a> {
    /// When it was measured, ms since the Unix epoch.
    pub fn at_ms(&self) -> i64 {
        self.event_at.unwrap_or(self.ts)
    }

    /// Parses a record's data. The stream holds what the enrichment wrote; anything else is refused with a reason.
    pub fn parse(payload: &'a [u8]) -> Result<Self, String> {
        let reading: Reading<'a> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        for (member, id) in [("tenant_id", &reading.tenant_id), ("device_id", &reading.device_id)] {
            if !(1..=ID_BYTES_MAX).contains(&id.len()) {
                return Err(format!("{member} has {} bytes, 1 to {ID_BYTES_MAX} are allowed", id.len()));
            }
        }
        if !RANGE_MS.contains(&reading.received_at) {
            return Err(format!("received_at is {}", reading.received_at));
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = r#"{"tenant_id":"acme","device_id":"pump-1","device_type":"pump","seq":7,"ts":1772323200000,
        "received_at":1772323200040,"metrics":{"temp":21.5,"rpm":900},"flags":["late"]}"#;

    #[test]
    fn an_enriched_reading_is_borrowed_from_its_record() {
        let reading = Reading::parse(VALID.as_bytes()).unwrap();
        assert!(matches!(reading.device_id, Cow::Borrowed("pump-1")));
        assert!(matches!(reading.metrics.0[0].0, Cow::Borrowed("temp")));
        assert_eq!(reading.metrics.0, [("temp".into(), 21.5), ("rpm".into(), 900.0)]);
        assert_eq!(reading.at_ms(), 1_772_323_200_000);
        let corrected = VALID.replace("\"received_at\"", "\"event_at\":1772323199000,\"received_at\"");
        assert_eq!(Reading::parse(corrected.as_bytes()).unwrap().at_ms(), 1_772_323_199_000);
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (from, to, reason) in [
            (VALID, "garbage", "expected value"),
            ("\"acme\"", "\"\"", "tenant_id has 0 bytes"),
            ("pump-1", &"x".repeat(257), "device_id has 257 bytes"),
            ("21.5", "null", "not a number"),
            ("21.5", "1e999", "number out of range"),
            ("\"received_at\":1772323200040", "\"received_at\":5", "received_at is 5"),
            ("\"seq\":7,", "", "missing field `seq`"),
        ] {
            let text = VALID.replace(from, to);
            assert_ne!(text, VALID, "{from}");
            let error = Reading::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
