//! The outcome of a run in one value. The order of the fields is the order of the JSON keys.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::detection::Detection;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every invariant held, everything owed has arrived, and no device gave a reading up that no fault made it give up.
    Held,
    /// At least one invariant was violated.
    Violated,
    /// No invariant was violated, but what is owed had not all arrived when the run's time was over, or a device gave a
    /// reading up because its queue was full.
    Unsettled,
    /// Two runs of the same value differed.
    NotDeterministic,
}

impl Verdict {
    /// The verdict as scenario files and reports write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Violated => "violated",
            Verdict::Unsettled => "unsettled",
            Verdict::NotDeterministic => "not-deterministic",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The rolling digest of a run; written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:016x}", self.0))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Digest)
            .map_err(|_| D::Error::custom(format!("`{text}` is not a digest of 16 hexadecimal digits")))
    }
}

/// What a latency is, for everything that prints one.
pub const LATENCY_MEANING: &str = "from publish to the moment the reading's file is in S3 (LastModified, rounded up to \
                                   the next second): from then on a query returns it";

/// Latency in simulated milliseconds: from publish to the moment the reading's file is in S3 (LastModified, rounded up to
/// the next second). From then on a query returns the reading. Absent where nothing was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyMs {
    /// Half of the readings were at most this late.
    pub p50: Option<f64>,
    /// 99 of 100 readings were at most this late.
    pub p99: Option<f64>,
    /// The latest reading.
    pub max: Option<f64>,
}

/// How the calls of one operation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Calls that were done.
    pub ok: u64,
    /// Calls refused by a rate or a quota.
    pub throttled: u64,
    /// Calls that ended in any other error.
    pub error: u64,
}

/// One violated invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The invariant's id, as scenario files name it.
    pub invariant: String,
    /// What was seen and what was promised, with an example.
    pub message: String,
    /// The first reading concerned, where it is one reading's story.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingId>,
}

/// Identity of a reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReadingId {
    /// Tenant.
    pub tenant: String,
    /// Device.
    pub device: String,
    /// Sequence number.
    pub seq: u64,
}

impl fmt::Display for ReadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} seq {}", self.tenant, self.device, self.seq)
    }
}

/// What a run came to. Counts are readings unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How the run ended.
    pub verdict: Verdict,
    /// Rolling digest of every event.
    pub digest: Digest,
    /// Name of the scenario: its file name without the extension.
    pub scenario: String,
    /// The run's seed.
    pub seed: u64,
    /// Simulated seconds from the first event to the last.
    pub simulated_s: f64,
    /// Seconds that the run took on the machine. Not decided by (scenario, seed, build).
    pub wall_s: f64,
    /// `simulated_s / wall_s`. Not decided by (scenario, seed, build).
    pub speedup: f64,
    /// Devices in the fleet.
    pub devices: u64,
    /// Readings that devices took into their queues, to be sent.
    pub published: u64,
    /// Readings for which the device saw the PUBACK: those that are owed.
    pub acknowledged: u64,
    /// Distinct readings that a reader of the processed table sees.
    pub delivered: u64,
    /// Rows beyond the first of the same reading in the processed table (at-least-once delivery).
    pub duplicates: u64,
    /// Owed readings that are neither delivered nor quarantined nor set aside.
    pub missing: u64,
    /// From publish to the reading's file in S3.
    pub latency_ms: LatencyMs,
    /// Delivered readings that no device sent.
    pub spurious: u64,
    /// Delivered readings whose content differs from what was sent.
    pub corrupt: u64,
    /// First deliveries that come after one of a higher sequence number of their device, through the lake's files in the
    /// order of writing and within each file.
    pub out_of_order: u64,
    /// Readings that a device gave up because its queue was full: never acknowledged, never owed.
    pub rejected: u64,
    /// Acknowledged readings that the platform refused with a reason.
    pub quarantined: u64,
    /// Acknowledged readings that the rule could not put into the stream, because a fault had struck its action, and that
    /// its error action stored: accounted for, and not delivered.
    #[serde(default)]
    pub set_aside: u64,
    /// Calls by `service:Operation`.
    pub calls: BTreeMap<String, Calls>,
    /// Throttled calls of all services.
    pub throttles: u64,
    /// How often each fault of the scenario struck, by its name.
    #[serde(default)]
    pub faults: BTreeMap<String, u64>,
    /// How often each sometimes-mark was reached, by its name; what was never reached is absent.
    #[serde(default)]
    pub marks: BTreeMap<String, u64>,
    /// Other counters by `service:name`; the name ends with its unit where it has one.
    pub counters: BTreeMap<String, u64>,
    /// How well anomalies told what devices suffered, where they suffered something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// Violated invariants, in the order in which they were found.
    pub violations: Vec<Violation>,
    /// Why the run did not settle, when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<String>,
    /// The first reading that such a run waited for, where it is readings that it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled_reading: Option<ReadingId>,
    /// Delivered readings per second of wall time, end to end. Not decided by (scenario, seed, build).
    pub messages_per_s: f64,
    /// Peak resident memory of the process, where the operating system tells. Not decided by (scenario, seed, build).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl Summary {
    /// An empty summary of a run that has not delivered anything.
    pub fn new(scenario: &str, seed: u64) -> Self {
        Summary {
            verdict: Verdict::Held,
            digest: Digest(0),
            scenario: scenario.to_owned(),
            seed,
            simulated_s: 0.0,
            wall_s: 0.0,
            speedup: 0.0,
            devices: 0,
            published: 0,
            acknowledged: 0,
            delivered: 0,
            duplicates: 0,
            missing: 0,
            latency_ms: LatencyMs::default(),
            spurious: 0,
            corrupt: 0,
            out_of_order: 0,
            rejected: 0,
            quarantined: 0,
            set_aside: 0,
            calls: BTreeMap::new(),
            throttles: 0,
            faults: BTreeMap::new(),
            marks: BTreeMap::new(),
            counters: BTreeMap::new(),
            detection: None,
            violations: Vec::new(),
            unsettled: None,
            unsettled_reading: None,
            messages_per_s: 0.0,
            peak_memory_bytes: None,
        }
    }

    /// Sets every value that depends on the machine: wall time, what follows from it, and peak memory.
    pub fn set_wall_clock(&mut self, wall_s: f64, peak_memory_bytes: Option<u64>) {
        let per_second = |n: f64| if wall_s > 0.0 { n / wall_s } else { 0.0 };
        self.wall_s = wall_s;
        self.speedup = per_second(self.simulated_s);
        self.messages_per_s = per_second(self.delivered as f64);
        self.peak_memory_bytes = peak_memory_bytes;
    }

    /// The part that (scenario, seed, build) decide: equal for two runs of the same value.
    #[must_use]
    pub fn without_wall_clock(&self) -> Self {
        let mut same = self.clone();
        same.set_wall_clock(0.0, None);
        same
    }
}

/// A number with its thousands set apart.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
