//! Why a reading is refused.

use std::fmt;

/// Why a reading is refused. The code is part of the contract with the readers of the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The bytes are not one JSON document.
    NotJson,
    /// The document is not an object.
    NotAnObject,
    /// A number is beyond what a double holds.
    NumberOutOfRange,
    /// `v` is a version of the payload that this platform does not know.
    UnsupportedVersion,
    /// There is no `seq`.
    SeqMissing,
    /// `seq` is not a whole number.
    SeqNotAnInteger,
    /// `seq` is below zero.
    SeqNegative,
    /// `seq` is above 2^63 - 1.
    SeqOutOfRange,
    /// There is no `ts`.
    TsMissing,
    /// `ts` is not a whole number.
    TsNotAnInteger,
    /// `ts` is not between the years 2000 and 2100.
    TsOutOfRange,
    /// `sent_at` of version 2 is not a whole number.
    SentAtNotAnInteger,
    /// `sent_at` of version 2 is not between the years 2000 and 2100.
    SentAtOutOfRange,
    /// There are no `metrics`.
    MetricsMissing,
    /// `metrics` is not an object.
    MetricsNotAnObject,
    /// `metrics` has no member.
    MetricsEmpty,
    /// A metric is not a number, or in version 2 not one with a unit.
    MetricNotANumber,
    /// The unit that version 2 gives beside a value is not a text.
    UnitNotText,
    /// A metric is not finite in canonical units.
    MetricNotFinite,
    /// Two metrics have the same name.
    MetricDuplicated,
    /// There is no `tenant_id`.
    TenantMissing,
    /// There is no `device_id`.
    DeviceMissing,
    /// `tenant_id` or `device_id` is longer than any topic.
    IdTooLong,
    /// There is no `received_at`.
    ReceivedAtMissing,
    /// `received_at` is not between the years 2000 and 2100.
    ReceivedAtOutOfRange,
    /// `recorded_at` is neither a text nor null.
    RecordedAtNotText,
    /// The document is not a reading for another reason.
    Malformed,
    /// The directory has no such device for this tenant.
    UnknownDevice,
    /// The payload, or else the directory, gives a metric a unit that this platform does not know.
    UnknownUnit,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 29] = [
        Reason::NotJson,
        Reason::NotAnObject,
        Reason::NumberOutOfRange,
        Reason::UnsupportedVersion,
        Reason::SeqMissing,
        Reason::SeqNotAnInteger,
        Reason::SeqNegative,
        Reason::SeqOutOfRange,
        Reason::TsMissing,
        Reason::TsNotAnInteger,
        Reason::TsOutOfRange,
        Reason::SentAtNotAnInteger,
        Reason::SentAtOutOfRange,
        Reason::MetricsMissing,
        Reason::MetricsNotAnObject,
        Reason::MetricsEmpty,
        Reason::MetricNotANumber,
        Reason::UnitNotText,
        Reason::MetricNotFinite,
        Reason::MetricDuplicated,
        Reason::TenantMissing,
        Reason::DeviceMissing,
        Reason::IdTooLong,
        Reason::ReceivedAtMissing,
        Reason::ReceivedAtOutOfRange,
        Reason::RecordedAtNotText,
        Reason::Malformed,
        Reason::UnknownDevice,
        Reason::UnknownUnit,
    ];

    /// The code, as it is written to the quarantine.
    pub fn code(self) -> &'static str {
        match self {
            Reason::NotJson => "not-json",
            Reason::NotAnObject => "not-an-object",
            Reason::NumberOutOfRange => "number-out-of-range",
            Reason::UnsupportedVersion => "unsupported-version",
            Reason::SeqMissing => "seq-missing",
            Reason::SeqNotAnInteger => "seq-not-an-integer",
            Reason::SeqNegative => "seq-negative",
            Reason::SeqOutOfRange => "seq-out-of-range",
            Reason::TsMissing => "ts-missing",
            Reason::TsNotAnInteger => "ts-not-an-integer",
            Reason::TsOutOfRange => "ts-out-of-range",
            Reason::SentAtNotAnInteger => "sent-at-not-an-integer",
            Reason::SentAtOutOfRange => "sent-at-out-of-range",
            Reason::MetricsMissing => "metrics-missing",
            Reason::MetricsNotAnObject => "metrics-not-an-object",
            Reason::MetricsEmpty => "metrics-empty",
            Reason::MetricNotANumber => "metric-not-a-number",
            Reason::UnitNotText => "unit-not-text",
            Reason::MetricNotFinite => "metric-not-finite",
            Reason::MetricDuplicated => "metric-duplicated",
            Reason::TenantMissing => "tenant-missing",
            Reason::DeviceMissing => "device-missing",
            Reason::IdTooLong => "id-too-long",
            Reason::ReceivedAtMissing => "received-at-missing",
            Reason::ReceivedAtOutOfRange => "received-at-out-of-range",
            Reason::RecordedAtNotText => "recorded-at-not-text",
            Reason::Malformed => "malformed",
            Reason::UnknownDevice => "unknown-device",
            Reason::UnknownUnit => "unknown-unit",
        }
    }
}

/// A refusal: its reason, and what exactly was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub reason: Reason,
    pub detail: String,
}

impl Rejection {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejection { reason, detail: detail.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_has_a_code_of_its_own_in_lower_case() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        let plain = |code: &&str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(codes.iter().all(plain), "{codes:?}");
        let page = include_str!("../../../../docs/quarantine.md");
        let absent: Vec<&&str> = codes.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
        assert!(absent.is_empty(), "docs/quarantine.md does not tell of {absent:?}");
        // They were declared in order, and none is missing.
        assert!(Reason::ALL.windows(2).all(|pair| pair[1] as usize == pair[0] as usize + 1));
        assert_eq!((Reason::ALL[0], Reason::ALL[Reason::ALL.len() - 1]), (Reason::NotJson, Reason::UnknownUnit));
    }
}
