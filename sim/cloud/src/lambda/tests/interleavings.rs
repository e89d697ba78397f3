//! For any interleaving of puts, reshards, failures, partial answers, throttles and splits, with any number of lanes, while
//! the mapping and the function change: every record is either in the part of a batch that an invocation finished or in the failure destination, once; the records of
//! a partition key are finished in order; parents are done before their children begin.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const FUNCTION: &str = "AWS::Lambda::Function";
const MAPPING: &str = "AWS::Lambda::EventSourceMapping";

/// Partition keys, by number.
const KEYS: usize = 6;

#[derive(Clone, Debug)]
enum Act {
    /// Puts records of these keys.
    Put(Vec<usize>),
    /// Splits the shard of a key, when it has several keys.
    Split(usize),
    /// Merges the shard of a key with its neighbour, when it has one.
    Merge(usize),
    /// Changes the mapping: its lanes, whether it is enabled, and its BatchSize.
    Map(usize, bool, usize),
    /// Deploys the function anew, with so much reserved concurrency.
    Deploy(u64),
    /// Lets time pass, in ms.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => prop::collection::vec(0..KEYS, 1..30).prop_map(Act::Put),
        1 => (0..KEYS).prop_map(Act::Split),
        1 => (0..KEYS).prop_map(Act::Merge),
        1 => (1..5_usize, any::<bool>(), 1..20_usize).prop_map(|(lanes, on, size)| Act::Map(lanes, on, size)),
        1 => (1..6_u64).prop_map(Act::Deploy),
        4 => (0..4_000_u64).prop_map(Act::Wait),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Ok),
        2 => Just(End::Throws),
        1 => Just(End::TimesOut),
        1 => Just(End::Answers("[]")),
        3 => (0..50_usize).prop_map(End::FailsAt),
    ]
}

/// The open shards, in the order of the keys that they have: (shard, its first key). Each goes up to the next one.
struct Ranges(Vec<(String, usize)>, usize);

impl Ranges {
    fn of(&self, key: usize) -> usize {
        self.0.iter().rposition(|(_, first)| *first <= key).expect("the first shard begins with key 0")
    }

    fn replace(&mut self, stream: &mut FakeStream, at: usize, parents: usize, firsts: &[usize]) {
        let old: Vec<String> = self.0.drain(at..at + parents).map(|(shard, _)| shard).collect();
        let parents: Vec<&str> = old.iter().map(String::as_str).collect();
        for (i, first) in firsts.iter().enumerate() {
            let id = format!("shard-{:02}", self.1);
            self.1 += 1;
            stream.add_shard(&id, &parents);
            self.0.insert(at + i, (id, *first));
        }
        for parent in parents {
            stream.shards.get_mut(parent).expect("it was open").closed = true;
        }
    }

    fn apply(&mut self, stream: &mut FakeStream, act: &Act) {
        match act {
            Act::Split(key) => {
                let at = self.of(*key);
                let (first, end) = (self.0[at].1, self.0.get(at + 1).map_or(KEYS, |next| next.1));
                if end - first > 1 {
                    self.replace(stream, at, 1, &[first, usize::midpoint(first, end)]);
                }
            }
            Act::Merge(key) if self.0.len() > 1 => {
                let at = self.of(*key).min(self.0.len() - 2);
                let first = self.0[at].1;
                self.replace(stream, at, 2, &[first]);
            }
            _ => {}
        }
    }
}

/// Key, number within the key, and shard of each record of an event.
fn records(event: &Value) -> Vec<(String, u64, String)> {
    let of = |record: &Value| {
        let data =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, record["kinesis"]["data"].as_str()?);
        let number = String::from_utf8(data.ok()?).ok()?.parse().ok()?;
        let shard = record["eventID"].as_str()?.split_once(':')?.0.to_owned();
        Some((record["kinesis"]["partitionKey"].as_str()?.to_owned(), number, shard))
    };
    event["Records"].as_array().expect("a list").iter().map(|record| of(record).expect("a record")).collect()
}

/// How many records of an invocation are done, and when it ended.
fn done(invocation: &Invocation, end: &End, run: Duration) -> (usize, Time) {
    let count = invocation.records.len();
    match end {
        End::Ok => (count, invocation.started + run),
        End::FailsAt(position) => (position % count, invocation.started + run),
        End::TimesOut => (0, invocation.deadline),
        _ => (0, invocation.started + run),
    }
}

/// When a record was done or told, and in which shard it was.
type Settled = BTreeMap<(String, u64), (Time, String)>;

/// `lanes`: how many there were from an instant on.
fn check(
    bench: &Bench,
    ends: &[End],
    put: &BTreeSet<(String, u64)>,
    lanes: &[(Time, usize)],
) -> Result<Settled, TestCaseError> {
    let mut settled = Settled::new();
    let mut last_done: BTreeMap<String, u64> = BTreeMap::new();
    let mut spans: Vec<(Time, Time, String, BTreeSet<String>)> = Vec::new();
    for (i, invocation) in bench.invocations.iter().enumerate() {
        let (count, ended) = done(invocation, ends.get(i).unwrap_or(&End::Ok), bench.run);
        let records = records(&invocation.event);
        let keys: BTreeSet<String> = records.iter().map(|(key, ..)| key.clone()).collect();
        let same_time = spans.iter().filter(|(from, to, ..)| *from <= invocation.started && invocation.started < *to);
        let beside: Vec<_> = same_time.filter(|(.., shard, _)| *shard == invocation.shard).collect();
        let so_far = lanes.iter().filter(|(from, _)| *from <= invocation.started);
        let lanes = so_far.map(|(_, lanes)| *lanes).max().expect("there is a mapping");
        prop_assert!(beside.len() < lanes, "a shard has at most {} batches in flight", lanes);
        prop_assert!(beside.iter().all(|(.., others)| others.is_disjoint(&keys)), "a key is in one of them");
        spans.push((invocation.started, ended, invocation.shard.clone(), keys));
        for (key, number, shard) in records.into_iter().take(count) {
            let before = last_done.insert(key.clone(), number);
            prop_assert!(before.is_none_or(|before| before < number), "{} {} after {:?}", key, number, before);
            prop_assert!(settled.insert((key, number), (ended, shard)).is_none(), "a record is done once");
        }
    }
    for (.., record) in &bench.store.objects {
        let payload: Value = serde_json::from_str(record["payload"].as_str().expect("a text")).expect("an event");
        let time = record["timestamp"].as_str().expect("a time");
        let since = chrono::DateTime::parse_from_rfc3339(time).expect("a time").timestamp_millis();
        let since = Time::from_unix_millis(u64::try_from(since).expect("after 1970"));
        for (key, number, shard) in records(&payload) {
            prop_assert!(settled.insert((key, number), (since, shard)).is_none(), "a record is done or told, not both");
        }
    }
    let all: BTreeSet<_> = settled.keys().cloned().collect();
    prop_assert_eq!(&all, put, "every record is done or told");
    Ok(settled)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_record_is_done_or_told_once_in_the_order_of_its_key(
        acts in prop::collection::vec(act(), 1..25),
        ends in prop::collection::vec(end(), 0..40),
        (lanes, batch_size, window) in (1..5_usize, 1..20_usize, 0..3_u64),
        (bisect, retries) in (any::<bool>(), -1..3_i64),
        (reserved, read_refusals, store_refusals) in (1..6_u64, 0..4_usize, 0..4_usize),
    ) {
        let mut bench = Bench::new(0);
        bench.stream.add_shard("shard-00", &[]);
        let deployed = |number: usize, reserved: u64| {
            let mut properties = function("enrich");
            properties["ReservedConcurrentExecutions"] = json!(reserved);
            properties["Code"]["S3Key"] = format!("v{number}.zip").into();
            properties
        };
        let mapped = |lanes: usize, enabled: bool, batch_size: usize| json!({
            "BatchSize": batch_size, "MaximumBatchingWindowInSeconds": window, "ParallelizationFactor": lanes,
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "BisectBatchOnFunctionError": bisect,
            "MaximumRetryAttempts": retries, "Enabled": enabled,
            "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:s3:::quarantine" } },
        });
        bench.update(FUNCTION, "enrich", deployed(0, reserved)).unwrap();
        let id = bench.map(mapped(lanes, true, batch_size)).unwrap().physical_id;
        bench.ends = ends.clone().into();
        bench.stream.refusals = read_refusals;
        bench.store.refusals = store_refusals;
        let mut ranges = Ranges(vec![("shard-00".to_owned(), 0)], 1);
        let (mut counts, mut put) = ([0_u64; KEYS], BTreeSet::new());
        let mut all_lanes = vec![(START, lanes)];
        for (number, act) in acts.iter().enumerate() {
            match act {
                Act::Put(keys) => for key in keys {
                    let shard = ranges.0[ranges.of(*key)].0.clone();
                    let name = format!("key-{key}");
                    bench.stream.put_keyed(&shard, bench.now, &name, counts[*key].to_string().as_bytes());
                    put.insert((name, counts[*key]));
                    counts[*key] += 1;
                },
                Act::Wait(ms) => bench.run_until(bench.now + Duration::from_millis(*ms)),
                Act::Map(lanes, enabled, batch_size) => {
                    bench.update(MAPPING, &id, mapping(mapped(*lanes, *enabled, *batch_size))).unwrap();
                    all_lanes.push((bench.now, *lanes));
                }
                Act::Deploy(reserved) => {
                    // It is refused while the one before is in progress.
                    let code = bench.update(FUNCTION, "enrich", deployed(number + 1, *reserved)).map_err(|e| e.code);
                    prop_assert!(matches!(code, Ok(_) | Err("ResourceConflictException")), "{:?}", code);
                }
                reshard => ranges.apply(&mut bench.stream, reshard),
            }
        }
        bench.update(MAPPING, &id, mapping(mapped(lanes, true, batch_size))).unwrap();
        all_lanes.push((bench.now, lanes));
        bench.run_until(bench.now + Duration::from_secs(8_000));
        let settled = check(&bench, &ends, &put, &all_lanes)?;
        for (shard, fake) in &bench.stream.shards {
            let first = bench.invocations.iter().filter(|i| i.shard == **shard).map(|i| i.started).min();
            for parent in &fake.parents {
                let parents_end = settled.values().filter(|(_, of)| *of == **parent).map(|(time, _)| *time).max();
                prop_assert!(first.is_none() || parents_end <= first, "{} before its parent {}", shard, parent);
            }
        }
    }
}
