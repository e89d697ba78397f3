//! What a detector comes to on the corpus.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PerProfile;
use super::corpus::Corpus;
use super::score::{Judged, Outcome, Weights, best, outcome};
use super::split::Part;

/// What is detected with the threshold of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Detections {
    /// Windows with a detection.
    pub found: usize,
    /// Windows without one.
    pub missed: usize,
    /// Rows outside of windows that are detections.
    pub false_alarms: usize,
}

/// All figures. The order of the fields is the order of the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Scores of the whole corpus, with the best threshold for it, as the scoreboard has them.
    #[serde(flatten)]
    pub scores: PerProfile<f64>,
    /// Wall time that the detector takes for a reading, in nanoseconds; not decided by the corpus and the build.
    pub ns_per_reading: f64,
    /// Bytes of a detector as it is stored.
    pub bytes_per_series: usize,
    /// Series.
    pub series: usize,
    /// Rows of all series.
    pub readings: usize,
    /// The best threshold of the whole corpus; absent when it is best to detect nothing.
    pub thresholds: PerProfile<Option<f64>>,
    /// What is detected with it.
    pub detections: PerProfile<Detections>,
    /// Scores of the series that the detector was made with, with the best threshold for them.
    pub training: PerProfile<f64>,
    /// Scores of the series that were held out, with the threshold that is best for the others; absent when they are not
    /// judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<PerProfile<f64>>,
    /// That threshold.
    pub training_thresholds: PerProfile<Option<f64>>,
    /// Scores by folder, with the threshold of the whole corpus; absent where there is nothing to find.
    pub categories: BTreeMap<String, PerProfile<Option<f64>>>,
}

/// Judges the scores of all series, in the order of the corpus. Wall time and size of the detector are the caller's.
pub fn judge(corpus: &Corpus, scores: &[Vec<f64>]) -> Report {
    assert_eq!(scores.len(), corpus.series.len(), "each series has scores");
    let judged: Vec<Judged<'_>> = corpus
        .series
        .iter()
        .zip(scores)
        .map(|(recorded, scores)| {
            assert_eq!(scores.len(), recorded.series.rows.len(), "each row has a score");
            Judged { scores, windows: &recorded.windows }
        })
        .collect();
    let of_part = |wanted: Part| -> Vec<Judged<'_>> {
        let series = corpus.series.iter().zip(&judged);
        series.filter(|(recorded, _)| recorded.part == wanted).map(|(_, judged)| *judged).collect()
    };
    let (training, held_out) = (of_part(Part::Training), of_part(Part::HeldOut));
    let whole = corpus.profiles.map(|weights| best(&judged, weights));
    let trained = corpus.profiles.map(|weights| best(&training, weights));
    let tested = corpus.profiles.zip(&trained).map(|(weights, best)| outcome(&held_out, weights, best.threshold));
    let tested = (!held_out.is_empty()).then_some(tested);
    let mut categories: BTreeMap<String, Vec<Judged<'_>>> = BTreeMap::new();
    for (recorded, judged) in corpus.series.iter().zip(&judged) {
        categories.entry(recorded.category().to_owned()).or_default().push(*judged);
    }
    let of_category = |series: Vec<Judged<'_>>| {
        corpus
            .profiles
            .zip(&whole)
            .map(|(weights, best): &(&Weights, &Outcome)| outcome(&series, weights, best.threshold).score)
    };
    // A part without anything to find has lost and won nothing.
    let score = |outcome: &Outcome| outcome.score.unwrap_or(0.0);
    Report {
        scores: whole.map(score),
        ns_per_reading: 0.0,
        bytes_per_series: 0,
        series: corpus.series.len(),
        readings: corpus.readings(),
        thresholds: whole.map(|best| best.threshold),
        detections: whole.map(|best| Detections {
            found: best.found,
            missed: best.windows - best.found,
            false_alarms: best.false_alarms,
        }),
        training: trained.map(score),
        held_out: tested.map(|tested| tested.map(score)),
        training_thresholds: trained.map(|best| best.threshold),
        categories: categories.into_iter().map(|(name, series)| (name, of_category(series))).collect(),
    }
}
