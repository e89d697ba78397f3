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
use crate::transform::number::double;

/// 2000-01-01 and 2100-01-01, ms since the Unix epoch. A clock outside of them was never set, and what is no time of it is
/// in another unit.
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
                    let value = double(value.get()).map_err(de::Error::custom)?;
                    metrics.push(Metric { name, value, form });
                }
                Ok(Metrics(metrics))
            }
        }
        deserializer.deserialize_map(Members)
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
        if !TS_RANGE_MS.contains(&self.received_at) {
            let detail = format!("received_at is {}", self.received_at);
            return Err(Rejection::new(Reason::ReceivedAtOutOfRange, detail));
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
mod tests;
