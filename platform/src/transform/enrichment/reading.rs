//! A raw reading: parsed in one pass when it is valid, looked at closely when it is not.
//!
//! Devices send payloads of two versions, as their firmware has it, and a batch may hold both:
//!
//! - version 1, `v` absent or 1: `{"seq","ts","metrics":{name: number}}`;
//! - version 2: `{"v":2,"seq","ts","sent_at","metrics":{name: number | {"value": number, "unit": text}}}`. `sent_at` is the
//!   device's clock when it hands this publish to the network, in ms, and may be missing; a unit that the payload gives wins
//!   over the directory's.
//!
//! Both may have `recorded_at`; the rule adds `tenant_id`, `device_id` and `received_at`. Unknown members are ignored, and
//! those of version 2 are unknown to version 1.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::diagnosis::diagnose;
use super::rejection::{Reason, Rejection};

/// 2000-01-01 and 2100-01-01, ms since the Unix epoch. A clock outside of them was never set.
pub(super) const TS_RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
/// No part of a topic is longer, because no topic is (quotas of IoT Core). It also fits a key of DynamoDB and a partition
/// key of Kinesis, so that one reading cannot make a call fail for all.
const ID_BYTES_MAX: usize = 256;
/// Up to so many metrics, names are compared in pairs.
const PAIRWISE_MAX: usize = 16;

/// A valid raw reading. Texts are borrowed from the payload where they hold no escapes.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Reading<'a> {
    #[serde(default)]
    v: Version,
    pub seq: u64,
    pub ts: i64,
    #[serde(default)]
    sent_at: SentAt,
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

/// A version of the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    #[default]
    One,
    Two,
}

impl Version {
    /// The version that a number names.
    pub fn of(number: u64) -> Option<Self> {
        match number {
            1 => Some(Version::One),
            2 => Some(Version::Two),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Option::<u64>::deserialize(deserializer)?;
        number.map_or(Ok(Version::One), |number| {
            Version::of(number).ok_or_else(|| de::Error::custom("this version is not known"))
        })
    }
}

/// What `sent_at` is. In version 1 it may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SentAt {
    #[default]
    Absent,
    Ms(i64),
    Other,
}

impl<'de> Deserialize<'de> for SentAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = SentAt;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_i64<E>(self, ms: i64) -> Result<SentAt, E> {
                Ok(SentAt::Ms(ms))
            }

            fn visit_u64<E>(self, ms: u64) -> Result<SentAt, E> {
                Ok(i64::try_from(ms).map_or(SentAt::Other, SentAt::Ms))
            }

            fn visit_unit<E>(self) -> Result<SentAt, E> {
                Ok(SentAt::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<SentAt, E> {
                Ok(SentAt::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<SentAt, E> {
                Ok(SentAt::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<SentAt, E> {
                Ok(SentAt::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SentAt, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(SentAt::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<SentAt, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(SentAt::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Metrics, in the order of the payload.
#[derive(Debug, PartialEq)]
pub(super) struct Metrics<'a>(pub Vec<Metric<'a>>);

/// A metric.
#[derive(Debug, PartialEq)]
pub(super) struct Metric<'a> {
    pub name: Cow<'a, str>,
    pub value: f64,
    pub form: Form<'a>,
}

/// How a metric is written.
#[derive(Debug, PartialEq)]
pub(super) enum Form<'a> {
    /// As a number.
    Number,
    /// As an object, with its unit where it gives one.
    Object(Option<Cow<'a, str>>),
}

impl Metric<'_> {
    /// The unit that the payload gives.
    pub fn unit(&self) -> Option<&str> {
        match &self.form {
            Form::Object(Some(unit)) => Some(unit),
            Form::Number | Form::Object(None) => None,
        }
    }
}

/// A value of version 2 as an object.
#[derive(Deserialize)]
struct Measured<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    unit: Option<Text<'a>>,
}

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
                    let (value, form) = if value.get().starts_with('{') {
                        let measured: Measured<'de> = serde_json::from_str(value.get()).map_err(de::Error::custom)?;
                        (measured.value, Form::Object(measured.unit.map(|Text(unit)| unit)))
                    } else {
                        (value, Form::Number)
                    };
                    let value = number(value.get()).map_err(de::Error::custom)?;
                    metrics.push(Metric { name, value, form });
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

    /// When the device handed it to the network, by its own clock, where it says so.
    pub fn sent_at(&self) -> Option<i64> {
        match (self.v, self.sent_at) {
            (Version::Two, SentAt::Ms(ms)) => Some(ms),
            _ => None,
        }
    }

    /// What versions have apart.
    fn check_version(&self) -> Result<(), Rejection> {
        match (self.v, self.sent_at) {
            (Version::One, _) => {
                let object = self.metrics.0.iter().find(|metric| metric.form != Form::Number);
                object.map_or(Ok(()), |Metric { name, .. }| {
                    Err(Rejection::new(Reason::MetricNotANumber, format!("metric {name:?} is an object in version 1")))
                })
            }
            (Version::Two, SentAt::Other) => {
                Err(Rejection::new(Reason::SentAtNotAnInteger, "sent_at is not a whole number of ms"))
            }
            (Version::Two, SentAt::Ms(ms)) if !TS_RANGE_MS.contains(&ms) => {
                Err(Rejection::new(Reason::SentAtOutOfRange, format!("sent_at is {ms}")))
            }
            (Version::Two, _) => Ok(()),
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        if i64::try_from(self.seq).is_err() {
            return Err(Rejection::new(Reason::SeqOutOfRange, format!("seq is {}", self.seq)));
        }
        if !TS_RANGE_MS.contains(&self.ts) {
            return Err(Rejection::new(Reason::TsOutOfRange, format!("ts is {}", self.ts)));
        }
        self.check_version()?;
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
        let mut names = self.0.iter().map(|metric| metric.name.as_ref());
        if self.0.len() <= PAIRWISE_MAX {
            return names
                .enumerate()
                .find(|(n, name)| self.0[..*n].iter().any(|other| other.name == *name))
                .map(|(_, n)| n);
        }
        let mut seen = BTreeSet::new();
        names.find(|name| !seen.insert(*name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: &str = r#"{"v":2,"seq":7,"ts":1772323200000,"sent_at":1772323200010,"metrics":{"temp":{"value":294.65,"unit":"kelvin"},"rpm":900,"load":{"value":-1}},"tenant_id":"acme","device_id":"pump-1","received_at":1772323200050}"#;
    const VALID: &str = r#"{"seq":7,"ts":1772323200000,"metrics":{"temp":21.5,"rpm":900},"tenant_id":"acme","device_id":"pump-1","received_at":1772323200050}"#;

    #[test]
    fn a_valid_reading_is_borrowed_from_its_payload() {
        let reading = Reading::parse(VALID.as_bytes()).unwrap();
        assert_eq!((reading.seq, reading.ts, reading.received_at), (7, 1_772_323_200_000, 1_772_323_200_050));
        let metrics: Vec<_> = reading.metrics.0.iter().map(|metric| (metric.name.as_ref(), metric.value)).collect();
        assert_eq!(metrics, [("temp", 21.5), ("rpm", 900.0)]);
        assert!(matches!(reading.tenant_id, Cow::Borrowed("acme")));
        assert!(matches!(reading.metrics.0[0].name, Cow::Borrowed("temp")));
        assert_eq!(reading.recorded_at, None);
    }

    #[test]
    fn unknown_members_are_ignored_and_escapes_are_decoded() {
        let text = VALID.replace("\"ts\"", r#""site":{"floor":[1,2]},"recorded_at":"2014-02-14 14:30:00","ts""#);
        let text = text.replace("\"temp\"", r#""t\u0065mp""#);
        let reading = Reading::parse(text.as_bytes()).unwrap();
        assert_eq!(reading.recorded_at, Some(Text("2014-02-14 14:30:00".into())));
        assert_eq!(reading.metrics.0[0].name, "temp");
    }

    #[test]
    fn the_second_version_has_units_and_says_when_it_was_sent_wherever_its_version_stands() {
        let moved = SECOND.replace("\"v\":2,", "").replace("\"tenant_id\"", "\"v\":2,\"tenant_id\"");
        for text in [SECOND, &moved] {
            let reading = Reading::parse(text.as_bytes()).unwrap();
            assert_eq!(reading.sent_at(), Some(1_772_323_200_010));
            let metrics = &reading.metrics.0;
            let units: Vec<_> = metrics.iter().map(|m| (m.name.as_ref(), m.value, m.unit())).collect();
            assert_eq!(units, [("temp", 294.65, Some("kelvin")), ("rpm", 900.0, None), ("load", -1.0, None)]);
            assert!(matches!(metrics[0].form, Form::Object(Some(Cow::Borrowed("kelvin")))), "nothing is copied");
        }
        let unstamped = SECOND.replace("\"sent_at\":1772323200010", "\"sent_at\":null");
        assert_eq!(Reading::parse(unstamped.as_bytes()).unwrap().sent_at(), None);
    }

    #[test]
    fn what_the_second_version_added_means_nothing_in_the_first() {
        let one = VALID.replace("{\"seq\"", "{\"v\":1,\"seq\"");
        let null = VALID.replace("{\"seq\"", "{\"v\":null,\"seq\"");
        assert!(Reading::parse(one.as_bytes()).is_ok() && Reading::parse(null.as_bytes()).is_ok());
        for sent_at in
            ["5", "1772323200010", "\"noon\"", "1.5", "true", "[1,{\"a\":2}]", "{\"v\":2}", "99999999999999999999"]
        {
            let text = VALID.replace("\"seq\"", &format!("\"sent_at\":{sent_at},\"seq\""));
            assert_eq!(Reading::parse(text.as_bytes()).unwrap().sent_at(), None, "{sent_at}");
        }
    }

    #[test]
    fn each_defect_of_the_second_version_has_its_own_reason() {
        for (from, to, expected) in [
            ("\"v\":2", "\"v\":3", Reason::UnsupportedVersion),
            ("\"v\":2", "\"v\":0", Reason::UnsupportedVersion),
            ("\"v\":2", "\"v\":-1", Reason::UnsupportedVersion),
            ("\"v\":2", "\"v\":2.5", Reason::UnsupportedVersion),
            ("\"v\":2", "\"v\":\"2\"", Reason::UnsupportedVersion),
            ("\"v\":2,\"seq\":7", "\"v\":[3]", Reason::UnsupportedVersion),
            ("\"v\":2", "\"v\":1", Reason::MetricNotANumber),
            ("1772323200010", "\"noon\"", Reason::SentAtNotAnInteger),
            ("1772323200010", "1.5", Reason::SentAtNotAnInteger),
            ("1772323200010", "{}", Reason::SentAtNotAnInteger),
            ("1772323200010", "0", Reason::SentAtOutOfRange),
            ("\"value\":294.65", "\"value\":\"294.65\"", Reason::MetricNotANumber),
            ("\"value\":294.65,", "", Reason::MetricNotANumber),
            ("\"value\":294.65", "\"value\":1e999", Reason::NumberOutOfRange),
            ("{\"value\":294.65,\"unit\":\"kelvin\"}", "[294.65,\"kelvin\"]", Reason::MetricNotANumber),
            ("\"kelvin\"", "5", Reason::UnitNotText),
            ("\"rpm\"", "\"temp\"", Reason::MetricDuplicated),
            ("\"v\":2", "\"v\":2,\"v\":2", Reason::Malformed),
        ] {
            let text = SECOND.replace(from, to);
            assert_ne!(text, SECOND, "{from} is in the valid reading");
            let rejection = Reading::parse(text.as_bytes()).expect_err(&text);
            assert_eq!(rejection.reason, expected, "{text}: {rejection}");
            assert!(!rejection.detail.is_empty(), "{text}");
        }
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
            prop_assert_eq!(reading.metrics.0[0].value, value);
        }
    }
}
