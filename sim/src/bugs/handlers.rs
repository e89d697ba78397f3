//! Bugs of handlers: what they do with a batch, and what they answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use platform::function::{Function, FunctionError, InvocationContext};
use serde_json::{Value, json};

use super::edit::{change_reading, reading};
use crate::run::Harness;
use crate::world::clock;

/// Older readings than this are too late for [`late_dropped`], in ms.
const LATE_MS: u64 = 60_000;
/// Attempts that [`gives_up`] makes.
const ATTEMPTS: u32 = 2;

type Outcome = Result<Vec<u8>, FunctionError>;

/// What is wrong with a handler.
trait Hand: Send + Sync {
    /// Changes the records of a batch before the handler sees them.
    fn records(&self, _records: &mut Vec<Value>) {}

    /// Fails the batch before the handler sees it.
    fn refuses(&self, _records: &[Value]) -> bool {
        false
    }

    /// Changes what the handler answers to a batch.
    fn answer(&self, _records: &[Value], outcome: Outcome) -> Outcome {
        outcome
    }
}

struct Wrapped {
    inner: Box<dyn Function>,
    hand: Arc<dyn Hand>,
}

#[async_trait]
impl Function for Wrapped {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Outcome {
        let mut event: Value = serde_json::from_slice(event).expect("Lambda sends JSON");
        let Some(records) = event["Records"].as_array_mut() else {
            return self.hand.answer(&[], self.inner.invoke(event.to_string().as_bytes(), context).await);
        };
        if self.hand.refuses(records) {
            return Err(FunctionError::Event("a record is not what was expected".to_owned()));
        }
        let all = records.clone();
        self.hand.records(records);
        let outcome = match records.is_empty() {
            true => Ok(done()),
            false => self.inner.invoke(event.to_string().as_bytes(), context).await,
        };
        self.hand.answer(&all, outcome)
    }
}

/// What a handler answers when a batch is done.
fn done() -> Vec<u8> {
    json!({ "batchItemFailures": [] }).to_string().into_bytes()
}

fn is_done(outcome: &Outcome) -> bool {
    let failures =
        |answer: &Vec<u8>| serde_json::from_slice::<Value>(answer).ok()?["batchItemFailures"].as_array().map(Vec::len);
    outcome.as_ref().is_ok_and(|answer| failures(answer).unwrap_or(0) == 0)
}

fn sequence_number(record: &Value) -> &str {
    record["kinesis"]["sequenceNumber"].as_str().unwrap_or_default()
}

fn reading_of(record: &Value) -> Option<Value> {
    reading(&record["kinesis"]["data"])
}

fn device_of(reading: &Value) -> String {
    format!("{}#{}", reading["tenant_id"], reading["device_id"])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

/// Wraps the function whose name ends with `function`.
fn wrapping(
    function: &'static str,
    wrap: impl Fn(Box<dyn Function>) -> Box<dyn Function> + Send + Sync + 'static,
) -> Harness {
    let factory =
        move |name: &str, inner: Box<dyn Function>| if name.ends_with(function) { wrap(inner) } else { inner };
    Harness { wrap_function: Some(Arc::new(factory)), ..Harness::default() }
}

fn planted(function: &'static str, hand: impl Hand + 'static) -> Harness {
    let hand: Arc<dyn Hand> = Arc::new(hand);
    wrapping(function, move |inner| Box::new(Wrapped { inner, hand: hand.clone() }))
}

const ENRICHMENT: &str = "-enrichment";

/// A change of records that remembers nothing.
struct Records(fn(&mut Vec<Value>));

impl Hand for Records {
    fn records(&self, records: &mut Vec<Value>) {
        (self.0)(records);
    }
}

/// A change of answers that remembers nothing.
struct Answers(fn(&[Value], Outcome) -> Outcome);

impl Hand for Answers {
    fn answer(&self, records: &[Value], outcome: Outcome) -> Outcome {
        (self.0)(records, outcome)
    }
}

/// Answers first, works afterwards.
struct Early(Arc<dyn Function>);

#[async_trait]
impl Function for Early {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Outcome {
        let (inner, event, context) = (self.0.clone(), event.to_vec(), context.clone());
        drop(madsim::task::spawn(async move { inner.invoke(&event, &context).await }));
        Ok(done())
    }
}

pub(super) fn checkpoint_before_write() -> Harness {
    wrapping(ENRICHMENT, |inner| Box::new(Early(inner.into())))
}

/// Works on a batch when the next one comes.
struct Held {
    inner: Box<dyn Function>,
    held: Mutex<Option<Vec<u8>>>,
}

#[async_trait]
impl Function for Held {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Outcome {
        let before = lock(&self.held).replace(event.to_vec());
        match before {
            Some(before) => self.inner.invoke(&before, context).await,
            None => Ok(done()),
        }
    }
}

pub(super) fn held_in_memory() -> Harness {
    wrapping(ENRICHMENT, |inner| Box::new(Held { inner, held: Mutex::default() }))
}

pub(super) fn item_failures_ignored() -> Harness {
    planted(ENRICHMENT, Answers(|_, outcome| outcome.map(|_| done())))
}

pub(super) fn errors_swallowed() -> Harness {
    planted(ENRICHMENT, Answers(|_, outcome| outcome.or_else(|_| Ok(done()))))
}

/// Takes the record that failed for the last one that is done.
pub(super) fn one_too_far() -> Harness {
    let next = |records: &[Value], outcome: Outcome| {
        let answer = outcome?;
        let mut said: Value = serde_json::from_slice(&answer).expect("the handler answers JSON");
        let Some(failed) = said["batchItemFailures"][0]["itemIdentifier"].as_str().map(str::to_owned) else {
            return Ok(answer);
        };
        let at = records.iter().position(|record| sequence_number(record) == failed);
        let Some(next) = at.and_then(|at| records.get(at + 1)) else {
            return Ok(done());
        };
        said["batchItemFailures"][0]["itemIdentifier"] = sequence_number(next).into();
        Ok(said.to_string().into_bytes())
    };
    planted(ENRICHMENT, Answers(next))
}

/// Failed attempts by the first record of a batch.
#[derive(Default)]
struct GivesUp(Mutex<BTreeMap<String, u32>>);

impl Hand for GivesUp {
    fn answer(&self, records: &[Value], outcome: Outcome) -> Outcome {
        let first = records.first().map_or("", sequence_number);
        if is_done(&outcome) {
            return outcome;
        }
        let mut failed = lock(&self.0);
        let attempts = failed.entry(first.to_owned()).or_default();
        *attempts += 1;
        if *attempts >= ATTEMPTS { Ok(done()) } else { outcome }
    }
}

pub(super) fn gives_up() -> Harness {
    planted(ENRICHMENT, GivesUp::default())
}

pub(super) fn last_reading_dropped() -> Harness {
    planted(ENRICHMENT, Records(|records| drop(records.pop())))
}

pub(super) fn newest_first() -> Harness {
    planted(ENRICHMENT, Records(|records| records.reverse()))
}

pub(super) fn sorted_by_device_clock() -> Harness {
    planted(
        ENRICHMENT,
        Records(|records| {
            records.sort_by_key(|record| reading_of(record).and_then(|reading| reading["ts"].as_i64()).unwrap_or(0));
        }),
    )
}

pub(super) fn one_reading_a_device() -> Harness {
    planted(
        ENRICHMENT,
        Records(|records| {
            let mut seen = BTreeMap::new();
            for (position, record) in records.iter().enumerate() {
                let device = reading_of(record).map_or_else(|| position.to_string(), |reading| device_of(&reading));
                seen.insert(device, position);
            }
            let mut position = 0;
            records.retain(|_| {
                position += 1;
                seen.values().any(|kept| *kept == position - 1)
            });
        }),
    )
}

/// The latest timestamp of each device.
#[derive(Default)]
struct Deduplicates(Mutex<BTreeMap<String, i64>>);

impl Hand for Deduplicates {
    fn records(&self, records: &mut Vec<Value>) {
        let mut latest = lock(&self.0);
        records.retain(|record| {
            let Some(reading) = reading_of(record) else {
                return true;
            };
            let Some(ts) = reading["ts"].as_i64() else {
                return true;
            };
            let known = latest.entry(device_of(&reading)).or_insert(i64::MIN);
            let is_new = ts > *known;
            *known = ts.max(*known);
            is_new
        });
    }
}

pub(super) fn deduplicated_by_timestamp() -> Harness {
    planted(ENRICHMENT, Deduplicates::default())
}

pub(super) fn late_dropped() -> Harness {
    planted(
        ENRICHMENT,
        Records(|records| {
            let now_ms = clock::now().unix_millis();
            records.retain(|record| {
                let ts = reading_of(record).and_then(|reading| reading["ts"].as_u64()).unwrap_or(now_ms);
                now_ms.saturating_sub(ts) <= LATE_MS
            });
        }),
    )
}

/// Fails on a record that is not as most are.
struct Poisoned;

impl Hand for Poisoned {
    fn refuses(&self, records: &[Value]) -> bool {
        let with_fractions = |reading: &Value| {
            let metrics = reading["metrics"].as_object().filter(|_| reading["seq"].is_u64() && reading["ts"].is_u64());
            metrics
                .is_some_and(|metrics| metrics.values().all(|value| value.as_f64().is_some_and(|v| v.fract() != 0.0)))
        };
        !records.iter().all(|record| reading_of(record).is_some_and(|reading| with_fractions(&reading)))
    }
}

pub(super) fn poison_pill() -> Harness {
    planted(ENRICHMENT, Poisoned)
}

pub(super) fn timestamp_in_seconds() -> Harness {
    planted(
        ENRICHMENT,
        Records(|records| {
            for record in records {
                change_reading(&mut record["kinesis"]["data"], |reading| {
                    if let Some(ts) = reading["ts"].as_i64() {
                        reading["ts"] = (ts / 1_000 * 1_000).into();
                    }
                });
            }
        }),
    )
}
