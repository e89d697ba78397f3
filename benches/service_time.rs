//! How much of a processor the stream functions take for a batch: prints the rows of `sim/src/seam/service_time.toml`, by which
//! simulated invocations take their time. Run with `cargo bench --profile dev --bench service_time`, and keep what it prints.
//!
//! Batches of several sizes, with few and with many metrics, are measured against an endpoint that answers at once, once the
//! detectors know a day of their series; the time of each is taken to be `base + records * per_record + KiB * per_kib`, and of
//! anomaly detection also `series * per_series` for the state of its shard, which is written as a whole; fitted by least
//! squares of relative errors. A KiB is one of the event beyond 512 bytes a record: so much of each record is the same for all,
//! and belongs to `per_record`.
//!
//! `-- --short` shows within a minute that all of it works; its figures are worth nothing.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use platform::transform::{anomaly_detection, enrichment};

mod endpoint;

use endpoint::{Batch, Endpoint, invoke, learn};

/// Sizes of batches.
const RECORDS: [usize; 4] = [1, 20, 100, 500];
/// Metrics of a reading.
const METRICS: [usize; 3] = [1, 4, 16];
/// Series of the shard beside those of the batch: none, and as many as a shard may have.
const SERIES: [usize; 2] = [0, 20_000];
/// Bytes of a record that are the same for all.
const ENVELOPE_BYTES: usize = 512;

/// How long it is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Invocations of each kind of batch, of which the one in the middle counts.
    invocations: usize,
    /// Readings of a device before, a minute apart.
    readings: usize,
}

/// What was measured of one kind of batch.
struct Measured {
    records: f64,
    kib: f64,
    series: f64,
    us: f64,
}

impl Measured {
    /// What its time is made of, in the order of the parts of a row.
    fn parts(&self) -> [f64; 4] {
        [1.0, self.records, self.kib, self.series]
    }
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let effort =
        if short { Effort { invocations: 3, readings: 5 } } else { Effort { invocations: 101, readings: 2_000 } };
    let today = DateTime::from(now()).fmt(Format::DateTime).expect("a date of this century");
    let today = today.get(..10).unwrap_or(&today);
    let machine = machine();
    println!("# Written by `cargo bench --profile dev --bench service_time`; see the head of that bench.");
    for (handler, parts) in [(enrichment::HANDLER, 3), (anomaly_detection::HANDLER, 4)] {
        let has_state = handler == anomaly_detection::HANDLER;
        let kinds = RECORDS.iter().flat_map(|&records| METRICS.iter().map(move |&metrics| (records, metrics)));
        let kinds = kinds.flat_map(|kind| SERIES.iter().map(move |&series| (kind, series)));
        let measured: Vec<Measured> = kinds
            .filter(|(_, series)| has_state || *series == 0)
            .map(|((records, metrics), series)| measure(handler, (records, metrics), series, effort))
            .collect();
        let row = fit(&measured, parts);
        let [base, per_record, per_kib, per_series] = row;
        println!("\n[{handler}]");
        println!("base_us = {base:.1}\nper_record_us = {per_record:.2}\nper_kib_us = {per_kib:.2}");
        println!("measured_on = {today:?}\nmachine = {machine:?}");
        if has_state {
            println!("# And {per_series:.4} us for each series of the shard, which the simulation does not count.");
        }
        for measured in &measured {
            let expected: f64 = measured.parts().iter().zip(row).map(|(part, us)| part * us).sum();
            let Measured { records, kib, series, us } = measured;
            print!("# {records:>3} records, {kib:>6.1} KiB, {series:>6} series: ");
            println!("{us:>7.0} us, by the row {expected:>7.0} us");
        }
    }
}

/// The time of an invocation with a batch of so many records and metrics, in a shard with so many series.
fn measure(handler: &str, (records, metrics): (usize, usize), series: usize, effort: Effort) -> Measured {
    let batch = Batch { records, devices: records, metrics };
    let endpoint = Endpoint::taking(records);
    let function = endpoint.function(handler);
    let event = |number: usize| match handler {
        enrichment::HANDLER => batch.raw(number),
        _ => batch.enriched(number),
    };
    let next = match handler {
        // The first one asks the directory.
        enrichment::HANDLER => {
            invoke(&*function, &endpoint, &event(0));
            1
        }
        _ => learn(&*function, &endpoint, batch, series, effort.readings),
    };
    let times = (next..next + effort.invocations).map(|number| {
        let event = event(number);
        let begun = instant();
        invoke(&*function, &endpoint, black_box(&event));
        begun.elapsed().as_secs_f64() * 1e6
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let us = times[times.len() / 2];
    let beyond = event(next).len().saturating_sub(records * ENVELOPE_BYTES);
    let series = series.max(records * metrics);
    Measured { records: records as f64, kib: beyond as f64 / 1024.0, series: series as f64, us }
}

/// The first so many parts of a row, none below zero, with the least sum of squares of relative errors.
fn fit(measured: &[Measured], parts: usize) -> [f64; 4] {
    let mut fitted = [0.0; 4];
    // What would be below zero is left out, and the others are fitted again.
    let mut used: Vec<usize> = (0..parts).collect();
    while !used.is_empty() {
        let solution = least_squares(measured, &used);
        match solution.iter().position(|part| *part < 0.0) {
            Some(negative) => drop(used.remove(negative)),
            None => {
                used.iter().zip(solution).for_each(|(part, value)| fitted[*part] = value);
                break;
            }
        }
    }
    fitted
}

/// The normal equations of the parts in `used`, by elimination.
fn least_squares(measured: &[Measured], used: &[usize]) -> Vec<f64> {
    let n = used.len();
    let mut rows = vec![vec![0.0; n + 1]; n];
    for measured in measured {
        let parts: Vec<f64> = used.iter().map(|part| measured.parts()[*part] / measured.us).collect();
        for i in 0..n {
            for j in 0..n {
                rows[i][j] += parts[i] * parts[j];
            }
            rows[i][n] += parts[i];
        }
    }
    for i in 0..n {
        for j in 0..n {
            if i != j {
                let factor = rows[j][i] / rows[i][i];
                let pivot = rows[i].clone();
                rows[j].iter_mut().zip(pivot).for_each(|(value, of_pivot)| *value -= factor * of_pivot);
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures wall time")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a bench says when it measured")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The processor's name, where the operating system tells it.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}
