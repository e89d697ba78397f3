//! How long calls and functions take. AWS publishes almost no latency figures: every number here is an assumption, and
//! is listed as such in `docs/gaps.md`. What functions compute is measured: `service_time.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rand::RngExt as _;
use serde::Deserialize;

use crate::cloud::core::FunctionRevision;
use crate::world::seed::{Rng, Seed};

/// Draws service times from the run's seed.
#[derive(Debug)]
pub struct Latency {
    rng: Rng,
}

/// Median time in milliseconds that a service takes to answer, by signing name (assumptions, except S3: 100 to 200 ms,
/// S3 User Guide, "Best practices design patterns").
const SERVICE_MS: &[(&str, f64)] =
    &[("kinesis", 12.0), ("firehose", 15.0), ("dynamodb", 5.0), ("s3", 120.0), ("glue", 30.0), ("athena", 60.0)];

/// For services without a row of their own.
const DEFAULT_MS: f64 = 40.0;

/// A new execution environment: start and initialisation (assumption; the operator guide says 100 ms to over 1 s).
const COLD_START: Duration = Duration::from_millis(180);

/// Lambda's own part of an invocation: the way of the event to the environment and of the answer back (assumption).
const OVERHEAD: Duration = Duration::from_millis(2);

/// Memory that gives a function one full processor, in MB (Lambda developer guide, "Configure Lambda function memory").
const FULL_PROCESSOR_MB: f64 = 1_769.0;

/// Bytes of a record that are the same for all: they are part of a record's time and not of its KiB's.
const ENVELOPE_BYTES: usize = 512;

/// A row of the table of service times: what a handler computes with one full processor.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct ServiceTime {
    base_us: f64,
    per_record_us: f64,
    per_kib_us: f64,
    /// The day of the measurement; absent where the row is assumed.
    measured_on: Option<String>,
    /// The processor that was measured on.
    machine: Option<String>,
}

/// Service times by handler; `default` stands for those without a row.
static SERVICE_TIMES: LazyLock<BTreeMap<String, ServiceTime>> =
    LazyLock::new(|| toml::from_str(include_str!("service_time.toml")).expect("the table of this crate is valid"));

impl ServiceTime {
    fn of(handler: &str) -> &'static Self {
        SERVICE_TIMES.get(handler).unwrap_or_else(|| &SERVICE_TIMES["default"])
    }

    /// What an event takes a function with so much memory.
    fn compute(&self, event: &[u8], memory_mib: u64) -> Duration {
        let records = records(event);
        let kib = event.len().saturating_sub(records * ENVELOPE_BYTES) as f64 / 1024.0;
        let us = self.base_us + records as f64 * self.per_record_us + kib * self.per_kib_us;
        // More than one processor does not make one batch faster.
        let share = (memory_mib as f64 / FULL_PROCESSOR_MB).min(1.0);
        Duration::from_secs_f64(us / share / 1e6)
    }
}

/// Records of an event of an event source mapping; none in other events.
fn records(event: &[u8]) -> usize {
    // Data is in base64, which has no quotes.
    std::str::from_utf8(event).map_or(0, |text| text.matches("\"eventID\"").count())
}

impl Latency {
    /// Draws from `seed`.
    pub fn new(seed: Seed) -> Self {
        Latency { rng: seed.child("latency").rng() }
    }

    /// Time that one call takes at `service`: 0.7 to 1.6 times its median.
    pub fn call(&mut self, service: &str) -> Duration {
        let median = SERVICE_MS.iter().find(|(name, _)| *name == service).map_or(DEFAULT_MS, |(_, ms)| *ms);
        Duration::from_secs_f64(median * self.rng.random_range(0.7..1.6) / 1_000.0)
    }

    /// Time of one invocation in an environment that is initialised, without its calls: Lambda's own part, and what the
    /// function computes.
    pub fn invocation(&mut self, revision: &FunctionRevision, event: &[u8]) -> Duration {
        let work = OVERHEAD + ServiceTime::of(&revision.handler).compute(event, revision.memory_mib);
        work.mul_f64(self.rng.random_range(0.8..1.3))
    }

    /// How long an environment is initialised.
    pub fn init(&mut self) -> Duration {
        COLD_START.mul_f64(self.rng.random_range(0.7..2.0))
    }
}

#[cfg(test)]
mod tests {
    use platform::transform::{anomaly_detection, enrichment};

    use super::*;

    fn row(base_us: f64, per_record_us: f64, per_kib_us: f64) -> ServiceTime {
        ServiceTime { base_us, per_record_us, per_kib_us, measured_on: None, machine: None }
    }

    #[test]
    fn every_row_is_of_a_handler_and_says_where_it_was_measured() {
        for (handler, row) in &*SERVICE_TIMES {
            let measured = row.measured_on.is_some() && row.machine.is_some();
            assert_eq!(measured, handler != "default", "{handler}");
            assert!(handler == "default" || platform::function::HANDLERS.contains(&handler.as_str()), "{handler}");
            let parts = [row.base_us, row.per_record_us, row.per_kib_us];
            assert!(parts.iter().all(|part| *part >= 0.0) && parts.iter().sum::<f64>() > 0.0, "{handler}");
        }
        for handler in [enrichment::HANDLER, anomaly_detection::HANDLER] {
            assert!(SERVICE_TIMES.contains_key(handler), "{handler} has no row");
        }
        assert_eq!(ServiceTime::of("nobody's"), &SERVICE_TIMES["default"]);
    }

    #[test]
    fn records_and_bytes_cost_and_memory_is_a_share_of_a_processor() {
        // With what is between and around them, four records of 512 bytes and a KiB each.
        let record = |data: usize| format!(r#"{{"eventID":"shardId-0:1","data":"{}"}}"#, "A".repeat(data));
        let record = record(512 + 1024 - record(0).len() - 5);
        let mut event = format!(r#"{{"Records":[{}]}}"#, [record.as_str(); 4].join(",")).into_bytes();
        event.resize(4 * (512 + 1024), b' ');
        assert_eq!(records(&event), 4);
        let us = |row: ServiceTime, memory| row.compute(&event, memory).as_secs_f64() * 1e6;
        assert_eq!(us(row(100.0, 0.0, 0.0), 1_769).round(), 100.0);
        assert_eq!(us(row(100.0, 10.0, 0.0), 1_769).round(), 140.0);
        assert_eq!(us(row(0.0, 0.0, 100.0), 1_769).round(), 400.0, "a KiB of each record");
        assert_eq!(us(row(100.0, 0.0, 0.0), 512).round(), 346.0, "a share of 512 / 1,769");
        assert_eq!(us(row(100.0, 0.0, 0.0), 10_240).round(), 100.0, "a batch has one thread");
        assert_eq!(records(b"{\"id\":1}"), 0);
    }
}
