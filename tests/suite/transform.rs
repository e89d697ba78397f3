//! The middle of the path under load and under faults: streams at their limits, functions that die, records that kill, files
//! that come twice or late. What holds of each scenario: conservation, order, and each reading once in the curated table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use record::{Summary, Verdict};
use serde_json::Value;
use sim::run::{Harness, RunOptions, run_with};
use sim::world::trace::{Event, EventSink, Level};

use crate::support::{scenario, summary};

/// What else a run of one of the scenarios must show.
type Shows = fn(&Summary);

/// The scenarios: states that they reach within their seeds, and what each of their runs shows.
const SCENARIOS: [(&str, &[&str], Shows); 7] = [
    (
        "shard-split-under-load",
        &["parent-drained-first", "partial-put", "reader-stood-still", "quota-lowered"],
        |seen| {
            assert!(seen.calls["kinesis:UpdateShardCount"].ok >= 4, "{:?}", seen.calls);
            assert!(seen.calls["kinesis:GetRecords"].throttled > 0, "{:?}", seen.calls);
        },
    ),
    ("hot-partition", &["rule-retried", "parent-drained-first"], |seen| {
        assert!(seen.calls["kinesis:PutRecord"].throttled > 100, "its shard refuses writes: {:?}", seen.calls);
        assert_eq!(seen.set_aside, 0, "the rule outlasts it");
    }),
    ("poison-message", &["batch-given-up", "message-quarantined"], each_poisoned_reading_is_kept_and_no_other),
    ("lambda-crash-loop", &["batch-repeated", "duplicate-delivered", "reader-behind"], |seen| {
        assert_eq!(counter(seen, "failure-destination:records"), 0, "attempts outlast it");
        assert_eq!(seen.delivered, seen.acknowledged);
    }),
    ("throttled-kinesis", &["partial-put", "partial-batch", "rule-retried"], |seen| {
        let calls = |name: &str| seen.calls[name].throttled;
        assert!(calls("kinesis:PutRecords").min(calls("kinesis:GetRecords")).min(calls("kinesis:PutRecord")) > 50);
    }),
    ("firehose-lost-response", &["cas-conflict"], |seen| {
        let repeated = seen.marks.get("delivery-repeated").copied().unwrap_or(0);
        assert!(repeated > 0 && seen.duplicates > 0, "readings are in the lake twice: {:?}", seen.marks);
    }),
    ("late-data", &["late-reading-curated", "timestamp-went-back", "keep-alive-ended"], |seen| {
        assert!(seen.latency_ms.max > Some(3_600_000.0), "a reading came an hour late: {:?}", seen.latency_ms);
    }),
];

fn counter(summary: &Summary, name: &str) -> u64 {
    summary.counters.get(name).copied().unwrap_or(0)
}

fn each_poisoned_reading_is_kept_and_no_other(seen: &Summary) {
    let poisoned = counter(seen, "failure-destination:poisoned_readings");
    assert_eq!(
        poisoned, seen.faults["poison-to-enrichment"],
        "what ended the enrichment is in its failure destination"
    );
    assert_eq!(seen.delivered + poisoned, seen.acknowledged, "and everything else is in the table");
    let kept = counter(seen, "failure-destination:records");
    assert_eq!(kept, poisoned + seen.faults["poison-to-detection"], "nothing else was given up");
}

/// Keeps what the raw stream does: seconds after the start, what, and the partition key.
#[derive(Clone, Default)]
struct RawStream(Arc<Mutex<Vec<(f64, &'static str, String)>>>);

impl EventSink for RawStream {
    fn push(&mut self, event: Event) {
        if event.source == "kinesis" && event.subject.ends_with("raw") {
            let detail: Value = serde_json::from_str(&event.detail).unwrap();
            let key = detail["key"].as_str().unwrap_or_default().to_owned();
            self.0.lock().unwrap().push((event.time.unix_micros() as f64 / 1e6, event.kind, key));
        }
    }
}

#[test]
fn no_split_helps_one_hot_device_and_the_others_do_not_starve() {
    let scenario = scenario("hot-partition");
    let start = scenario.start.unix_micros() as f64 / 1e6;
    for seed in &scenario.seeds {
        let raw = RawStream::default();
        let watch: Option<(Level, Box<dyn EventSink>)> = Some((Level::Message, Box::new(raw.clone())));
        let options = RunOptions { watch, ..RunOptions::seeded(*seed) };
        run_with(&scenario, options, Harness::default()).unwrap_or_else(|error| panic!("{error}"));
        let seen = raw.0.lock().unwrap();
        let of = |kind: &'static str| seen.iter().filter(move |(_, what, _)| *what == kind);
        let mut puts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        of("record").for_each(|(at, _, key)| puts.entry(key).or_default().push(at - start));
        let hot = *puts.iter().max_by_key(|(_, at)| at.len()).expect("devices publish").0;
        let split = of("stream resharded").next().expect("the stream is split").0;
        let refused: Vec<&String> =
            of("PutRecord throttled").filter(|(at, ..)| *at > split).map(|(.., key)| key).collect();
        let of_hot = refused.iter().filter(|key| ***key == hot).count();
        assert!(of_hot > 200, "seed {seed}: {of_hot} puts of {hot} are refused after the split");
        assert!(of_hot * 10 > refused.len() * 8, "seed {seed}: {of_hot} of {} refusals are of {hot}", refused.len());
        for (key, at) in puts.iter().filter(|(key, _)| **key != hot) {
            // Each publishes every 5 s.
            let longest = at.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            assert!(longest < 10.0, "seed {seed}: nothing of {key} came for {longest} s");
        }
    }
}

#[test]
fn the_middle_of_the_path_holds_and_gold_has_each_reading_once() {
    for (name, marks, shows) in SCENARIOS {
        let scenario = scenario(name);
        assert!(scenario.seeds.len() >= 3, "{name} names at least three seeds");
        let mut reached = BTreeSet::new();
        for seed in &scenario.seeds {
            let seen = summary(&scenario, *seed);
            let context = format!("{name} --seed {seed}: {:?} {:?}", seen.violations, seen.unsettled);
            assert_eq!(seen.verdict, Verdict::Held, "{context}");
            assert_eq!((seen.missing, seen.spurious, seen.corrupt, seen.out_of_order), (0, 0, 0, 0), "{context}");
            assert_eq!(counter(&seen, "gold:rows"), seen.delivered, "{context}");
            assert!(seen.faults.values().all(|strokes| *strokes > 0), "{context}: {:?}", seen.faults);
            shows(&seen);
            reached.extend(seen.marks.into_keys());
        }
        let missed = marks.iter().find(|mark| !reached.contains(**mark));
        assert_eq!(missed, None, "{name}: {reached:?}");
    }
}
