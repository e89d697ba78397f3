//! What a fleet is made of: plain values, as a scenario describes them. Components (connections, sessions, random
//! streams) are built from these elsewhere.

use std::sync::Arc;
use std::time::Duration;

pub use super::payload::Version;
pub use super::twin::spec::{
    FAILURES, FailureContract, FailureKind, FailureSpec, Power, TwinKind, TwinMetric, TwinSpec, TwinValue,
};

/// One `[[fleet]]` of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetSpec {
    /// Unique in the scenario; the stem of the devices' names: `{name}-00001`.
    pub name: String,
    /// Tenants; devices are dealt to them in turn. Never empty.
    pub tenants: Vec<String>,
    /// Number of devices. For replayed series: the number of series.
    pub devices: u32,
    /// Access network of every device.
    pub network: Network,
    /// Whether the sessions of the devices outlive their connections.
    pub session: SessionKind,
    /// Whether the devices follow their shadows.
    /// Mean time between drops of a connection; that of the network when it is absent.
    pub disconnects: Option<Duration>,
    /// The version of the payload that the devices' first firmware writes.
    pub payload: Version,
    /// Whether every device keeps a shadow: it asks for what is desired of it, and reports.
    pub shadow: bool,
    /// What the devices measure and when they publish.
    pub model: ModelSpec,
    /// Whether the devices hold a claim certificate and join by themselves. Otherwise their owner has registered them.
    pub by_claim: bool,
    /// Within how long after the start the devices get power, when that is said. See [`FleetSpec::powers_within`].
    pub joins_within: Option<Duration>,
}

/// See [`FleetSpec::powers_within`].
const JOINS_WITHIN: Duration = Duration::from_secs(20 * 60);

impl FleetSpec {
    /// Within how long after the start the devices get power: those that join within 20 min unless something else is said.
    pub fn powers_within(&self) -> Option<Duration> {
        self.joins_within.or(self.by_claim.then_some(JOINS_WITHIN))
    }
}

/// What becomes of a session when its connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionKind {
    /// It ends too.
    #[default]
    Clean,
    /// The broker keeps it, with its subscriptions and what arrives for it.
    Persistent,
}

impl SessionKind {
    /// All kinds, with their names in scenario files.
    pub const ALL: [(&'static str, SessionKind); 2] =
        [("clean", SessionKind::Clean), ("persistent", SessionKind::Persistent)];
}

/// Access networks with a profile of latency (`fleet::conn`).
/// Access networks with a profile (`fleet::network`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A wired line.
    Ethernet,
    /// A wireless LAN.
    Wifi,
    /// A 4G mobile network.
    Lte,
    /// A narrow-band mobile network for small devices (3GPP Cat-NB1).
    NbIot,
    /// A geostationary satellite.
    Satellite,
}

impl Network {
    /// All networks, with their names in scenario files.
    pub const ALL: [(&'static str, Network); 5] = [
        ("ethernet", Network::Ethernet),
        ("wifi", Network::Wifi),
        ("lte", Network::Lte),
        ("nb-iot", Network::NbIot),
        ("satellite", Network::Satellite),
    ];
}

/// A device model.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSpec {
    /// Values from a formula.
    Synthetic(SyntheticSpec),
    /// Values from recorded series, one device a series.
    Replay(ReplaySpec),
    /// Values from physics.
    Twin(TwinSpec),
}

impl ModelSpec {
    /// The model's name in scenario files, and the devices' type in the device directory.
    pub fn kind(&self) -> &'static str {
        match self {
            ModelSpec::Synthetic(_) => "synthetic",
            ModelSpec::Replay(_) => "replay",
            ModelSpec::Twin(twin) => twin.kind.name(),
        }
    }

    /// The interval of publishes of devices that are numbered and have no end; nothing for replayed series.
    pub fn publish_every(&self) -> Option<Duration> {
        match self {
            ModelSpec::Synthetic(model) => Some(model.publish_every),
            ModelSpec::Twin(model) => Some(model.publish_every),
            ModelSpec::Replay(_) => None,
        }
    }
}

/// A device that publishes baseline + season + drift + noise for each metric.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticSpec {
    /// Interval of publishes. The first one comes at a phase within the interval that is drawn per device.
    pub publish_every: Duration,
    /// The metrics of every reading; never empty.
    pub metrics: Vec<MetricSpec>,
}

/// One metric of a synthetic device. `value(t) = baseline + season_amplitude * sin(2 pi t / season_period)
/// + drift_per_day * days(t) + N(0, noise)`, with t since the start of the run and a season phase drawn per device.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// Name, as in the reading.
    pub name: String,
    /// Unit, as the device directory declares it (`celsius`, `bar`); `None` when the directory says nothing.
    pub unit: Option<String>,
    /// Mean, in `unit`.
    pub baseline: f64,
    /// Standard deviation of Gaussian noise, in `unit`.
    pub noise: f64,
    /// Amplitude of the season, in `unit`.
    pub season_amplitude: f64,
    /// Period of the season.
    pub season_period: Duration,
    /// Linear drift, in `unit` a day.
    pub drift_per_day: f64,
    /// How likely a reading is an outlier. None is among the first [`SPIKES_AFTER`] readings of a device, and two are at
    /// least [`SPIKES_APART`] apart: a detector must have seen what is usual.
    pub spike_probability: f64,
    /// How far an outlier is above the value, in `unit`.
    pub spike: f64,
}

/// Readings of a device before the first outlier.
pub const SPIKES_AFTER: u64 = 40;
/// Readings from one outlier of a metric to the next, at least.
pub const SPIKES_APART: u64 = 12;

impl MetricSpec {
    /// Whether an outlier is so far from everything else that a detector must find it.
    pub fn spikes_are_plain(&self) -> bool {
        let usual = 20.0 * self.noise + 10.0 * self.season_amplitude + self.drift_per_day.abs();
        self.spike > usual + 0.05 * self.baseline.abs()
    }
}

/// Devices that play recorded series.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySpec {
    /// When rows are played.
    pub pace: Pace,
    /// One device a series, in the order of their paths.
    pub series: Vec<Arc<Series>>,
}

/// When the rows of a series are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One row each interval.
    Every(Duration),
    /// At the recorded intervals; a row that is not later than the one before follows it at once.
    Recorded,
}

/// A recorded series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// File name without its extension: `speed_6005`.
    pub name: String,
    /// Rows in the file's order.
    pub rows: Vec<SeriesRow>,
}

/// One row of a recorded series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesRow {
    /// The recorded timestamp exactly as the file writes it; travels as `recorded_at` of the reading.
    pub recorded_at: Box<str>,
    /// The same, in microseconds since the Unix epoch (the file's timestamps are taken as UTC).
    pub recorded_us: i64,
    /// The value; travels as the metric `value`.
    pub value: f64,
}
