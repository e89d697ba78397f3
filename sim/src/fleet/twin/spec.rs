//! Twins as a scenario describes them: plain values, and the tables that say what each kind measures and how it may fail.

use std::time::Duration;

use crate::fault::Probability;

/// A device with physics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwinKind {
    /// A centrifugal pump with a motor: flow, pressure, vibration that grows with the wear of its bearings, and heat.
    Pump,
    /// A room with a heat pump: walls and air that store heat, weather, a thermostat and its compressor.
    Hvac,
    /// An electricity meter of a household: a load over day and week, a counter of energy, voltage.
    Meter,
    /// A vehicle on a closed course, with places without coverage.
    Tracker,
}

/// One metric of a kind of twin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwinMetric {
    /// Name, as in the reading.
    pub name: &'static str,
    /// Unit, as the device directory declares it; the enrichment knows all of them.
    pub unit: &'static str,
    /// Decimals that are published.
    pub decimals: i32,
    /// Standard deviation of the sensor's noise, in `unit`.
    pub noise: f64,
    /// A sensor shows nothing below it.
    pub least: f64,
    /// Of a metric that stays near one value but for its noise: that value, and how far it moves beside the noise, in `unit`.
    pub steady: Option<(f64, f64)>,
}

const fn metric(name: &'static str, unit: &'static str, decimals: i32, noise: f64) -> TwinMetric {
    TwinMetric { name, unit, decimals, noise, least: 0.0, steady: None }
}

const fn below_zero(metric: TwinMetric) -> TwinMetric {
    TwinMetric { least: f64::NEG_INFINITY, ..metric }
}

const fn steady(metric: TwinMetric, around: f64, moves: f64) -> TwinMetric {
    TwinMetric { steady: Some((around, moves)), ..metric }
}

/// The battery's metric, which every twin with a battery has beside those of its kind.
pub(crate) const BATTERY: TwinMetric = metric("battery", "percent", 2, 0.0);

const PUMP: &[TwinMetric] = &[
    metric("vibration", "mm/s", 3, 0.05),
    below_zero(metric("motor_temp", "celsius", 2, 0.1)),
    metric("flow", "l/min", 2, 0.6),
    metric("pressure", "bar", 3, 0.01),
];
const HVAC: &[TwinMetric] = &[
    below_zero(metric("temp", "celsius", 2, 0.03)),
    below_zero(metric("outdoor", "celsius", 2, 0.05)),
    below_zero(metric("setpoint", "celsius", 2, 0.0)),
    metric("compressor", "count", 0, 0.0),
    metric("power", "kW", 3, 0.002),
];
const METER: &[TwinMetric] = &[
    metric("energy", "kWh", 3, 0.0),
    metric("power", "kW", 3, 0.0),
    steady(metric("voltage", "V", 1, 0.5), 230.0, 1.5),
];
const TRACKER: &[TwinMetric] = &[
    below_zero(metric("lat", "deg", 6, 0.000_03)),
    below_zero(metric("lon", "deg", 6, 0.000_03)),
    metric("speed", "km/h", 1, 0.2),
    metric("heading", "deg", 1, 0.0),
];

/// One number of a kind of twin that a scenario can say for a fleet; each device has one drawn around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwinValue {
    /// Its key in scenario files.
    pub key: &'static str,
    /// Unless the scenario says it.
    pub usual: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

impl TwinKind {
    /// All kinds, with their names in scenario files and in the device directory.
    pub const ALL: [(&'static str, TwinKind); 4] = [
        ("pump", TwinKind::Pump),
        ("hvac", TwinKind::Hvac),
        ("meter", TwinKind::Meter),
        ("tracker", TwinKind::Tracker),
    ];

    /// The kind's name.
    pub fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(_, kind)| *kind == self);
        row.map(|(name, _)| *name).expect("every kind has a row in the table")
    }

    /// What it measures, without its battery.
    pub fn metrics(self) -> &'static [TwinMetric] {
        match self {
            TwinKind::Pump => PUMP,
            TwinKind::Hvac => HVAC,
            TwinKind::Meter => METER,
            TwinKind::Tracker => TRACKER,
        }
    }

    /// The number that a scenario can say for a fleet of this kind.
    pub fn value(self) -> TwinValue {
        let (key, usual, min, max) = match self {
            TwinKind::Pump => ("flow", 120.0, 1.0, 100_000.0),
            TwinKind::Hvac => ("setpoint", 21.0, *super::hvac::SETPOINTS.start(), *super::hvac::SETPOINTS.end()),
            TwinKind::Meter => ("load", 0.5, 0.01, 1_000.0),
            TwinKind::Tracker => ("speed", 50.0, 20.0, super::tracker::KMH_MAX),
        };
        TwinValue { key, usual, min, max }
    }

    /// How often it publishes unless the scenario says it.
    pub fn publish_every(self) -> Duration {
        Duration::from_secs(match self {
            TwinKind::Pump | TwinKind::Tracker => 10,
            TwinKind::Hvac => 30,
            TwinKind::Meter => 60,
        })
    }

    /// Its access network unless the scenario says it.
    pub fn network(self) -> super::super::spec::Network {
        use super::super::spec::Network;
        match self {
            TwinKind::Pump => Network::Ethernet,
            TwinKind::Hvac => Network::Wifi,
            TwinKind::Meter => Network::NbIot,
            TwinKind::Tracker => Network::Lte,
        }
    }

    /// Its source of power unless the scenario says it.
    pub fn power(self) -> Power {
        if self == TwinKind::Tracker { Power::Battery } else { Power::Mains }
    }
}

/// Where a twin has its power from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// The mains: it never ends.
    Mains,
    /// A battery, which every message drains.
    Battery,
}

impl Power {
    /// All sources, with their names in scenario files.
    pub const ALL: [(&'static str, Power); 2] = [("mains", Power::Mains), ("battery", Power::Battery)];
}

/// Devices with physics.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinSpec {
    /// Kind.
    pub kind: TwinKind,
    /// Interval of publishes. The first one comes at a phase within the interval that is drawn per device.
    pub publish_every: Duration,
    /// Where they have their power from.
    pub power: Power,
    /// The number of [`TwinKind::value`], around which each device has its own.
    pub value: f64,
    /// How they fail.
    pub failures: Vec<FailureSpec>,
}

/// How a twin may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// A sensor repeats its last value.
    Stuck,
    /// A sensor's error grows steadily.
    Drift,
    /// Single values are far off.
    Spike,
    /// A sensor, or the whole device, says nothing.
    Dropout,
    /// The bearings of a pump wear out fast.
    BearingWear,
    /// A tracker has no coverage.
    CoverageLoss,
}

/// What there is to know of a kind of failure.
#[derive(Clone, Copy, Debug)]
pub struct FailureContract {
    /// Kind.
    pub kind: FailureKind,
    /// Name in scenario files and labels.
    pub id: &'static str,
    /// Its keys, beside `kind`, `share`, `from` and `lasting`: (key, whether it must be there).
    pub keys: &'static [(&'static str, bool)],
    /// The only kind of twin that has it.
    pub only: Option<TwinKind>,
    /// The kinds of anomalies that tell it as what it is.
    pub told_as: &'static [&'static str],
    /// What it does.
    pub meaning: &'static str,
}

/// All kinds of failures.
pub const FAILURES: [FailureContract; 6] = [
    FailureContract {
        kind: FailureKind::Stuck,
        id: "stuck",
        keys: &[("metric", true)],
        only: None,
        told_as: &["flatline"],
        meaning: "The metric repeats the last value from before.",
    },
    FailureContract {
        kind: FailureKind::Drift,
        id: "drift",
        keys: &[("metric", true), ("amount", true)],
        only: None,
        told_as: &["drift", "level-shift"],
        meaning: "The metric's error grows by `amount`, in its unit, an hour.",
    },
    FailureContract {
        kind: FailureKind::Spike,
        id: "spike",
        keys: &[("metric", true), ("amount", true), ("probability", false)],
        only: None,
        told_as: &["spike"],
        meaning: "A reading's metric is `amount`, in its unit, too high, with `probability` (0.02 unless it is said): not among the first 40 readings, and at least 12 readings apart.",
    },
    FailureContract {
        kind: FailureKind::Dropout,
        id: "dropout",
        keys: &[("metric", false)],
        only: None,
        told_as: &["dropout"],
        meaning: "The metric is not in the readings; without `metric` there are no readings.",
    },
    FailureContract {
        kind: FailureKind::BearingWear,
        id: "bearing-wear",
        keys: &[("amount", false)],
        only: Some(TwinKind::Pump),
        told_as: &["drift", "level-shift"],
        meaning: "Wear grows by `amount` an hour (1 unless it is said; at 1 a bearing is at its end) for `lasting`, and stays: vibration and heat grow, pressure and flow fall. Its label lasts until the end.",
    },
    FailureContract {
        kind: FailureKind::CoverageLoss,
        id: "coverage-loss",
        keys: &[],
        only: Some(TwinKind::Tracker),
        told_as: &["dropout"],
        meaning: "Nothing passes between the device and the broker. Places without coverage on its course bear the same label.",
    },
];

impl FailureKind {
    /// What there is to know of it.
    pub fn contract(self) -> &'static FailureContract {
        FAILURES.iter().find(|contract| contract.kind == self).expect("every kind has a row in the table")
    }
}

/// One way in which devices of a fleet fail.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureSpec {
    /// How.
    pub kind: FailureKind,
    /// Part of the devices; drawn once for each.
    pub share: Probability,
    /// When it begins, after the start of the run.
    pub from: Duration,
    /// How long it lasts; until the end of the run when it is absent.
    pub lasting: Option<Duration>,
    /// The metric that fails; the whole device when it is absent.
    pub metric: Option<&'static str>,
    /// The number that the kind says.
    pub amount: Option<f64>,
    /// How likely each reading is struck.
    pub probability: Option<Probability>,
}
