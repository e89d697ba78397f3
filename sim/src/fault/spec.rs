//! A fault as a scenario writes it.

use std::fmt;
use std::time::Duration;

use super::kinds::Kind;

/// A probability or a share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Always, or all.
    pub const ONE: Probability = Probability(1.0);

    /// Nothing when the number is not between 0 and 1.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Probability(value))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a fault strikes. What is absent is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Service that is called, by its signing name: `kinesis`, `s3`, `dynamodb`.
    pub service: Option<String>,
    /// Operation, such as `PutRecords`.
    pub operation: Option<String>,
    /// Handler of a function, such as `enrichment`: the function itself, or the caller of a service.
    pub function: Option<String>,
    /// Fleet, by its name.
    pub fleet: Option<String>,
    /// Stream: `raw` or `enriched`.
    pub stream: Option<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// Unique in the scenario; the seed of its choices, and its name in traces and summaries.
    pub name: String,
    /// What goes wrong.
    pub kind: Kind,
    /// Whom it strikes.
    pub target: Target,
    /// First instant, after the start of the run.
    pub from: Duration,
    /// When it ends, after the start; not later than hardship.
    pub until: Duration,
    /// How likely each opportunity is struck.
    pub probability: Probability,
    /// Which part of the devices (or shards, or objects) is struck at all.
    pub share: Probability,
    /// Between two strokes, for kinds that strike by themselves; once when absent.
    pub every: Option<Duration>,
    /// How long one stroke lasts, for kinds that last.
    pub lasting: Option<Duration>,
    /// Delay that it adds, for kinds that delay.
    pub delay: Option<Duration>,
    /// The number of kinds that have one; its unit and meaning are the kind's.
    pub amount: Option<f64>,
}

impl FaultSpec {
    /// A fault of a kind that strikes everything always, from the start to `until`.
    pub fn new(kind: Kind, until: Duration) -> Self {
        FaultSpec {
            name: kind.id().to_owned(),
            kind,
            target: Target::default(),
            from: Duration::ZERO,
            until,
            probability: Probability::ONE,
            share: Probability::ONE,
            every: None,
            lasting: None,
            delay: None,
            amount: None,
        }
    }
}
