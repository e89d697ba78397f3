//! How well the platform's anomaly detection found what devices really suffered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What the figures mean, for everything that prints them.
pub const DETECTION_MEANING: &str = "a failure is found by an anomaly of its device, and of its metric where one metric \
     fails, in a reading taken between its begin and two minutes after its end, or two of the device's readings where those \
     take longer; an outlier only by one of its own reading. Failures count once the detectors have learnt (36 readings), when \
     a reading shows them or follows within that time. Precision: anomalies that lie in a failure, of all; of a failure, of the \
     kinds that tell it as what it is (stuck: flatline; spike and outlier: spike; drift and bearing-wear: drift, level-shift; \
     dropout and coverage-loss: dropout), those that lie in one, of these and the ones that lie in no failure. Delay: from \
     the begin of the failure to the reading";

/// What anomalies lie in that lie in no failure, in [`Detection::told_as`].
pub const NO_FAILURE: &str = "none";

/// Anomalies of a run against the labels of its fleets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Of all failures and all anomalies.
    pub all: DetectionFigures,
    /// By the failure, as `labels.parquet` names it; `outlier` for those of synthetic devices, which have no label there.
    pub failures: BTreeMap<String, DetectionFigures>,
    /// By the kind of anomaly that found it.
    pub anomalies: BTreeMap<String, DetectionFigures>,
    /// Anomalies by the failure that they lie in ([`NO_FAILURE`] for the others) and by their kind. One that lies in two
    /// kinds of failures counts for both.
    #[serde(default)]
    pub told_as: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Figures of detection. What cannot be told is absent: a ratio of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DetectionFigures {
    /// Failures that could be found.
    pub failures: u64,
    /// Failures that were found.
    pub found: u64,
    /// `found / failures`.
    pub recall: Option<f64>,
    /// Anomalies that were told; of a kind of failure, those that lie in it.
    pub anomalies: u64,
    /// Part of the anomalies that lie in a failure; of a kind of failure, only the kinds of anomalies that tell it as what it
    /// is are considered.
    pub precision: Option<f64>,
    /// Simulated seconds from the begin of a failure to the first reading that is told as an anomaly: half of the found
    /// ones took no longer.
    pub delay_p50_s: Option<f64>,
    /// The longest.
    pub delay_max_s: Option<f64>,
}

impl Detection {
    /// All figures with their names, in the order in which they are printed.
    pub fn rows(&self) -> impl Iterator<Item = (String, &DetectionFigures)> {
        let failures = self.failures.iter().map(|(name, figures)| (format!("failure: {name}"), figures));
        let anomalies = self.anomalies.iter().map(|(name, figures)| (format!("anomaly: {name}"), figures));
        std::iter::once(("all".to_owned(), &self.all)).chain(failures).chain(anomalies)
    }

    /// The table of [`Self::told_as`]: the kinds, and for each failure how many anomalies of each.
    pub fn told_as_table(&self) -> (Vec<&str>, Vec<(&str, Vec<String>)>) {
        let kinds: BTreeSet<&str> = self.told_as.values().flat_map(|of| of.keys().map(String::as_str)).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let cells = |of: &BTreeMap<String, u64>| -> Vec<String> {
            kinds.iter().map(|kind| super::thousands(of.get(*kind).copied().unwrap_or(0))).collect()
        };
        let rows = self.told_as.iter().map(|(mode, of)| (mode.as_str(), cells(of))).collect();
        (kinds, rows)
    }
}

impl DetectionFigures {
    /// The figures as texts, in the order of [`Self::NAMES`].
    pub fn cells(&self) -> [String; 7] {
        let or_dash = |value: Option<f64>, decimals: usize| value.map_or("-".to_owned(), |v| format!("{v:.decimals$}"));
        [
            super::thousands(self.failures),
            super::thousands(self.found),
            or_dash(self.recall, 3),
            super::thousands(self.anomalies),
            or_dash(self.precision, 3),
            or_dash(self.delay_p50_s, 1),
            or_dash(self.delay_max_s, 1),
        ]
    }

    /// Names of the figures.
    pub const NAMES: [&str; 7] =
        ["failures", "found", "recall", "anomalies", "precision", "delay p50 s", "delay max s"];
}
