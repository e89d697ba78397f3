//! Anomalies against the truth of the fleet: which failures were found, how late, and how many anomalies were false. It is a
//! measure and no invariant: a failure may be too slight to be found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use record::{Detection, DetectionFigures, NO_FAILURE};

use super::anomalies::{LEARNT_AFTER, ToldOf};
use crate::fleet::Truth;
use crate::fleet::twin::spec::FailureKind;
use crate::world::time::Time;

/// So long after its end a failure may still be told, at least: what was silent is noticed when it speaks again, and what was
/// stuck jumps when it is freed.
const GRACE: Duration = Duration::from_secs(120);
/// And for so many of the device's readings.
const GRACE_READINGS: u32 = 2;
/// The mode of outliers that synthetic devices show; they have no label.
const OUTLIER: &str = "outlier";
/// The kinds of anomalies that tell one as what it is.
const OUTLIER_TOLD_AS: &[&str] = &["spike"];

/// Something that an anomaly may find.
struct Failure<'t> {
    mode: &'static str,
    told_as: &'static [&'static str],
    device: u32,
    /// The whole device fails when it is absent.
    metric: Option<&'t str>,
    from: Time,
    /// Last instant at which a reading counts for it.
    until: Time,
}

/// An anomaly of a reading that the fleet knows.
struct Seen<'a> {
    at: Time,
    metric: &'a str,
    kind: &'a str,
}

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// What adds up to figures.
#[derive(Default)]
struct Counts {
    failures: u64,
    delays: Vec<f64>,
    anomalies: u64,
    right: u64,
}

impl Counts {
    fn figures(self) -> DetectionFigures {
        let precision = share(self.right, self.anomalies);
        self.figures_with(precision)
    }

    fn figures_with(mut self, precision: Option<f64>) -> DetectionFigures {
        self.delays.sort_by(f64::total_cmp);
        let found = self.delays.len() as u64;
        DetectionFigures {
            failures: self.failures,
            found,
            recall: share(found, self.failures),
            anomalies: self.anomalies,
            precision,
            delay_p50_s: self.delays.len().div_ceil(2).checked_sub(1).map(|middle| self.delays[middle]),
            delay_max_s: self.delays.last().copied(),
        }
    }
}

/// What adds up to the figures of one mode of failure.
#[derive(Default)]
struct Mode {
    counts: Counts,
    told_as: &'static [&'static str],
    /// The anomalies that lie in one: (device, its how manyeth).
    hits: BTreeSet<(u32, usize)>,
}

/// The usual time between readings of a device: half of them take no longer.
fn usual_step(truth: &Truth, device: u32) -> Duration {
    let at: Vec<Time> = (1..).map_while(|seq| truth.reading(device, seq)).map(|reading| reading.published_at).collect();
    let mut steps: Vec<Duration> = at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or_default()
}

/// Everything that the fleet suffered until `end`, when its devices stopped publishing.
fn failures(truth: &Truth, end: Time) -> Vec<Failure<'_>> {
    let mut grace: BTreeMap<u32, Duration> = BTreeMap::new();
    let labelled = truth.labels().iter().map(|labelled| {
        let label = &labelled.label;
        let of_device = || GRACE.max(usual_step(truth, labelled.device) * GRACE_READINGS);
        let grace = match label.kind {
            FailureKind::Spike => Duration::ZERO,
            _ => *grace.entry(labelled.device).or_insert_with(of_device),
        };
        let contract = label.kind.contract();
        Failure {
            mode: contract.id,
            told_as: contract.told_as,
            device: labelled.device,
            metric: label.metric,
            from: label.from,
            until: label.until.min(end).max(label.from) + grace,
        }
    });
    let mut failures: Vec<Failure<'_>> = labelled.collect();
    let spikes = |failure: &Failure<'_>| failure.mode == FailureKind::Spike.contract().id;
    let known: BTreeSet<(u32, Time)> = failures.iter().filter(|f| spikes(f)).map(|f| (f.device, f.from)).collect();
    failures.extend(truth.spikes().iter().filter_map(|spike| {
        let at = truth.reading(spike.device, spike.seq)?.published_at;
        let metric = Some(&*spike.metric);
        let unlabelled = !known.contains(&(spike.device, at));
        let (mode, told_as) = (OUTLIER, OUTLIER_TOLD_AS);
        unlabelled.then_some(Failure { mode, told_as, device: spike.device, metric, from: at, until: at })
    }));
    failures
}

/// When the acknowledged readings of a device were taken, without those that the detectors learn from.
fn judged_at(truth: &Truth, device: u32) -> Vec<Time> {
    let readings = (1..).map_while(|seq| truth.reading(device, seq));
    let acknowledged = readings.filter(|reading| reading.acknowledged_at.is_some());
    acknowledged.skip(LEARNT_AFTER).map(|reading| reading.published_at).collect()
}

/// The anomalies of each device, in the order of their readings.
fn seen<'a>(truth: &Truth, told: impl Iterator<Item = ToldOf<'a>>) -> BTreeMap<u32, Vec<Seen<'a>>> {
    let mut seen: BTreeMap<u32, Vec<Seen<'a>>> = BTreeMap::new();
    for anomaly in told {
        let device = truth.find(anomaly.tenant, anomaly.device);
        let reading = device.and_then(|device| Some((device, truth.reading(device, anomaly.seq)?)));
        // What is of no reading is the ledger's matter.
        if let Some((device, reading)) = reading {
            let of_device = seen.entry(device).or_default();
            of_device.push(Seen { at: reading.published_at, metric: anomaly.metric, kind: anomaly.kind });
        }
    }
    seen.values_mut().for_each(|of_device| of_device.sort_by_key(|seen| seen.at));
    seen
}

/// How well the anomalies of a run tell what its fleet suffered until `end`; nothing when it suffered nothing.
pub fn judge<'a>(truth: &Truth, told: impl Iterator<Item = ToldOf<'a>>, end: Time) -> Option<Detection> {
    let failures = failures(truth, end);
    if failures.is_empty() {
        return None;
    }
    let seen = seen(truth, told);
    let mut all = Counts::default();
    let mut modes: BTreeMap<&str, Mode> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut judged: BTreeMap<u32, Vec<Time>> = BTreeMap::new();
    for failure in &failures {
        let of_device = seen.get(&failure.device).map_or(&[][..], Vec::as_slice);
        let mode = modes.entry(failure.mode).or_default();
        mode.told_as = failure.told_as;
        let mut hits: BTreeMap<&str, Time> = BTreeMap::new();
        for (n, anomaly) in of_device.iter().enumerate() {
            let same = failure.metric.is_none_or(|metric| metric == anomaly.metric);
            if same && (failure.from..=failure.until).contains(&anomaly.at) {
                mode.hits.insert((failure.device, n));
                hits.entry(anomaly.kind).or_insert(anomaly.at);
            }
        }
        let taken = judged.entry(failure.device).or_insert_with(|| judged_at(truth, failure.device));
        let first = taken.partition_point(|at| *at < failure.from);
        if taken.get(first).is_none_or(|at| *at > failure.until) {
            continue;
        }
        let delay = |at: &Time| at.since(failure.from).as_secs_f64();
        (all.failures, mode.counts.failures) = (all.failures + 1, mode.counts.failures + 1);
        if let Some(first) = hits.values().min() {
            all.delays.push(delay(first));
            mode.counts.delays.push(delay(first));
        }
        hits.iter().for_each(|(kind, at)| kinds.entry(kind).or_default().delays.push(delay(at)));
    }
    let mut told_as: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (device, n, kind) in each(&seen) {
        let of: Vec<&str> =
            modes.iter().filter(|(_, mode)| mode.hits.contains(&(device, n))).map(|(name, _)| *name).collect();
        for counts in [&mut all, kinds.entry(kind).or_default()] {
            (counts.anomalies, counts.right) = (counts.anomalies + 1, counts.right + u64::from(!of.is_empty()));
        }
        for mode in if of.is_empty() { vec![NO_FAILURE] } else { of } {
            *told_as.entry(mode.to_owned()).or_default().entry(kind.to_owned()).or_default() += 1;
        }
    }
    // Each kind is measured by all failures: which kind a failure is told as is in the table of both.
    kinds.values_mut().for_each(|counts| counts.failures = all.failures);
    let of_kinds = |mode: &str, kinds: &[&str]| -> u64 {
        told_as.get(mode).map_or(0, |of| kinds.iter().filter_map(|kind| of.get(*kind)).sum())
    };
    let failures = modes.into_iter().map(|(name, Mode { mut counts, told_as, hits })| {
        counts.anomalies = hits.len() as u64;
        let right = of_kinds(name, told_as);
        (name.to_owned(), counts.figures_with(share(right, right + of_kinds(NO_FAILURE, told_as))))
    });
    let failures = failures.collect();
    let anomalies = kinds.into_iter().map(|(name, counts)| (name.to_owned(), counts.figures())).collect();
    Some(Detection { all: all.figures(), failures, anomalies, told_as })
}

/// All anomalies: device, place among its own, kind.
fn each<'s>(seen: &'s BTreeMap<u32, Vec<Seen<'_>>>) -> impl Iterator<Item = (u32, usize, &'s str)> {
    seen.iter().flat_map(|(device, of)| of.iter().enumerate().map(move |(n, anomaly)| (*device, n, anomaly.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Content, Label};

    const END: u64 = 1_000;

    fn at(second: u64) -> Time {
        Time::from_unix_secs(second)
    }

    /// Two devices, `a` and `b`, with a reading every ten seconds from 10 on, all acknowledged: `seq` is the second by ten.
    fn truth(labels: &[(u32, FailureKind, Option<&'static str>, u64, u64)]) -> Truth {
        let mut truth = Truth::new(at(0));
        for name in ["a", "b"] {
            let device = truth.add_device("acme", name);
            for seq in 1..=END / 10 {
                truth.published(device, seq, at(seq * 10), seq, Content::canonical(None, []));
                truth.acknowledged(device, seq, at(seq * 10 + 1));
            }
        }
        for (device, kind, metric, from, until) in labels {
            truth.planned(*device, Label { kind: *kind, metric: *metric, from: at(*from), until: at(*until) });
        }
        truth
    }

    /// The judgement of anomalies (device, second, metric, kind).
    fn judged(truth: &Truth, told: &[(&str, u64, &str, &str)]) -> Detection {
        let told = told.iter().map(|(device, second, metric, kind)| ToldOf {
            tenant: "acme",
            device,
            seq: second / 10,
            metric,
            kind,
        });
        judge(truth, told, at(END)).expect("something fails")
    }

    #[test]
    fn a_failure_is_found_from_its_begin_to_two_minutes_after_its_end() {
        let truth = truth(&[(0, FailureKind::Stuck, Some("temp"), 500, 600)]);
        for (second, delay) in [(490, None), (500, Some(0.0)), (600, Some(100.0)), (720, Some(220.0)), (730, None)] {
            let detection = judged(&truth, &[("a", second, "temp", "flatline")]);
            let found = delay.is_some();
            let share = Some(f64::from(u8::from(found)));
            assert_eq!((detection.all.recall, detection.all.precision), (share, share), "{second}");
            assert_eq!((detection.all.delay_p50_s, detection.all.delay_max_s), (delay, delay), "{second}");
            assert_eq!(detection.failures["stuck"].found, u64::from(found));
            assert_eq!(detection.failures["stuck"].precision, Some(f64::from(u8::from(found))), "{second}");
        }
    }

    #[test]
    fn a_slow_device_may_tell_a_failure_with_the_second_reading_after_it() {
        let mut truth = Truth::new(at(0));
        let device = truth.add_device("acme", "a");
        for seq in 1..=100 {
            truth.published(device, seq, at(seq * 300), seq, Content::canonical(None, []));
            truth.acknowledged(device, seq, at(seq * 300 + 1));
        }
        let label = Label { kind: FailureKind::Dropout, metric: None, from: at(15_010), until: at(16_000) };
        truth.planned(device, label);
        for (seq, found) in [(55, 1), (56, 0)] {
            let told = ToldOf { tenant: "acme", device: "a", seq, metric: "temp", kind: "dropout" };
            let detection = judge(&truth, std::iter::once(told), at(40_000)).expect("something fails");
            assert_eq!(detection.all.found, found, "{seq}");
        }
    }

    #[test]
    fn a_mode_has_the_precision_of_the_kinds_that_tell_it_as_what_it_is() {
        let labels = [
            (0, FailureKind::Stuck, Some("temp"), 500, 600),
            (0, FailureKind::Drift, Some("rpm"), 500, 600),
            (1, FailureKind::Dropout, None, 500, 600),
        ];
        let told = [
            ("a", 560, "temp", "flatline"),
            ("a", 610, "temp", "spike"),
            ("a", 570, "rpm", "level-shift"),
            ("a", 580, "rpm", "drift"),
            ("b", 610, "temp", "level-shift"),
            ("b", 900, "temp", "drift"),
            ("a", 900, "temp", "flatline"),
            ("a", 910, "temp", "flatline"),
        ];
        let detection = judged(&truth(&labels), &told);
        let of = |mode: &str| (detection.failures[mode].anomalies, detection.failures[mode].precision);
        assert_eq!(of("stuck"), (2, Some(1.0 / 3.0)), "two flatlines are false");
        assert_eq!(of("drift"), (2, Some(2.0 / 3.0)), "what lies in another failure is not false");
        assert_eq!(of("dropout"), (1, None), "it was told, and never as what it is");
        let row = |mode: &str| detection.told_as[mode].iter().map(|(kind, n)| (kind.as_str(), *n)).collect::<Vec<_>>();
        assert_eq!(row("stuck"), [("flatline", 1), ("spike", 1)]);
        assert_eq!(row("drift"), [("drift", 1), ("level-shift", 1)]);
        assert_eq!(row("dropout"), [("level-shift", 1)]);
        assert_eq!(row(NO_FAILURE), [("drift", 1), ("flatline", 2)]);
    }

    #[test]
    fn other_devices_and_other_metrics_find_nothing_unless_the_whole_device_fails() {
        let of_metric = truth(&[(0, FailureKind::Drift, Some("temp"), 500, 5_000)]);
        let told = [("b", 600, "temp", "drift"), ("a", 600, "rpm", "drift")];
        let detection = judged(&of_metric, &told);
        assert_eq!((detection.all.found, detection.all.anomalies, detection.all.precision), (0, 2, Some(0.0)));
        let whole = truth(&[(0, FailureKind::Dropout, None, 500, 600)]);
        let detection = judged(&whole, &told);
        assert_eq!((detection.all.found, detection.all.precision), (1, Some(0.5)));
    }

    #[test]
    fn a_spike_is_found_by_its_own_reading_alone_and_an_outlier_needs_no_label() {
        let mut truth = truth(&[(0, FailureKind::Spike, Some("temp"), 500, 500)]);
        truth.spiked(0, 50, "temp");
        truth.spiked(1, 60, "rpm");
        let detection = judged(&truth, &[("a", 500, "temp", "spike"), ("a", 510, "temp", "spike")]);
        let modes: Vec<(&str, u64, u64)> =
            detection.failures.iter().map(|(mode, f)| (mode.as_str(), f.failures, f.found)).collect();
        assert_eq!(modes, [("outlier", 1, 0), ("spike", 1, 1)], "the labelled one is not counted twice");
        assert_eq!((detection.all.recall, detection.all.precision), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn what_nobody_could_find_is_no_failure() {
        let early = (0, FailureKind::Stuck, Some("temp"), 50, 200);
        let after_the_end = (1, FailureKind::Stuck, Some("temp"), END + 10, END + 20);
        let until_learnt = (1, FailureKind::Stuck, Some("temp"), 50, 260);
        let detection = judged(&truth(&[early, after_the_end, until_learnt]), &[]);
        // The 37th reading is taken at 370; with two minutes more the last one reaches it.
        assert_eq!((detection.all.failures, detection.failures["stuck"].failures), (1, 1));
        assert_eq!((detection.all.recall, detection.all.precision), (Some(0.0), None));
        assert!(judge(&truth(&[]), std::iter::empty(), at(END)).is_none(), "nothing fails");
    }

    #[test]
    fn kinds_of_anomalies_have_their_own_precision_and_recall() {
        let stuck = |device| (device, FailureKind::Stuck, Some("temp"), 500, 600);
        let told = [
            ("a", 560, "temp", "flatline"),
            ("a", 610, "temp", "spike"),
            ("b", 620, "temp", "spike"),
            ("b", 900, "temp", "spike"),
        ];
        let detection = judged(&truth(&[stuck(0), stuck(1)]), &told);
        let figures = |kind: &str| {
            let f = detection.anomalies[kind];
            (f.anomalies, f.precision, f.found, f.recall, f.delay_p50_s, f.delay_max_s)
        };
        assert_eq!(figures("flatline"), (1, Some(1.0), 1, Some(0.5), Some(60.0), Some(60.0)));
        assert_eq!(figures("spike"), (3, Some(2.0 / 3.0), 2, Some(1.0), Some(110.0), Some(120.0)));
        assert_eq!((detection.all.delay_p50_s, detection.all.delay_max_s), (Some(60.0), Some(120.0)));
        assert_eq!((detection.all.anomalies, detection.all.precision), (4, Some(0.75)));
    }
}
