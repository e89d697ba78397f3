//! How long calls and functions take. AWS publishes almost no latency figures: every number here is an assumption, and
//! is listed as such in `docs/gaps.md`.

use std::time::Duration;

use rand::RngExt as _;

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

/// Fixed part of an invocation (assumption).
const INVOKE_BASE: Duration = Duration::from_millis(3);

/// Part of an invocation that grows with its event, per KiB (assumption: 1.5 ms for 100 readings of 400 bytes each).
const INVOKE_PER_KIB: Duration = Duration::from_micros(40);

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

    /// Compute time of one invocation with an event of `event_bytes`.
    pub fn invocation(&mut self, event_bytes: usize, cold: bool) -> Duration {
        let work = INVOKE_BASE + INVOKE_PER_KIB * u32::try_from(event_bytes / 1024).unwrap_or(u32::MAX);
        let work = work.mul_f64(self.rng.random_range(0.8..1.3));
        if cold { work + COLD_START.mul_f64(self.rng.random_range(0.7..2.0)) } else { work }
    }
}
