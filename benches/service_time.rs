//! How much of a processor the stream functions take for a batch: prints the rows of `sim/src/seam/service_time.toml`, by which
//! simulated invocations take their time. Run with `cargo bench --profile dev --bench service_time`, and keep what it prints.
//!
//! Batches of several sizes, with few and with many metrics, are measured against an endpoint that answers at once; the time of
//! each is taken to be `base + records * per_record + KiB * per_kib`, fitted by least squares of relative errors. A KiB is one
//! of the event beyond 512 bytes a record: so much of each record is the same for all, and belongs to `per_record`.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use platform::transform::{anomaly_detection, enrichment};

mod endpoint;

use endpoint::{Batch, Endpoint, invoke};

/// Sizes of batches.
const RECORDS: [usize; 4] = [1, 20, 100, 500];
/// Metrics of a reading.
const METRICS: [usize; 3] = [1, 4, 16];
/// Invocations of each, of which the fastest counts: what others do on the machine only makes them slower.
const INVOCATIONS: usize = 101;
/// Bytes of a record that are the same for all.
const ENVELOPE_BYTES: usize = 512;

/// What was measured of one kind of batch.
struct Measured {
    records: f64,
    kib: f64,
    us: f64,
}

fn main() {
    let today = DateTime::from(now()).fmt(Format::DateTime).expect("a date of this century");
    let today = today.get(..10).unwrap_or(&today);
    let machine = machine();
    println!("# Written by `cargo bench --profile dev --bench service_time`; see the head of that bench.");
    for handler in [enrichment::HANDLER, anomaly_detection::HANDLER] {
        let measured: Vec<Measured> = RECORDS
            .iter()
            .flat_map(|&records| METRICS.iter().map(move |&metrics| measure(handler, records, metrics)))
            .collect();
        let [base, per_record, per_kib] = fit(&measured);
        println!("\n[{handler}]");
        println!("base_us = {base:.1}\nper_record_us = {per_record:.2}\nper_kib_us = {per_kib:.2}");
        println!("measured_on = {today:?}\nmachine = {machine:?}");
        for Measured { records, kib, us } in &measured {
            let expected = base + records * per_record + kib * per_kib;
            println!("# {records:>3} records, {kib:>6.1} KiB: {us:>7.0} us, by the row {expected:>7.0} us");
        }
    }
}

/// The shortest time of an invocation with a batch.
fn measure(handler: &str, records: usize, metrics: usize) -> Measured {
    let batch = Batch { records, devices: records, metrics };
    let endpoint = Endpoint::taking(records);
    let function = endpoint.function(handler);
    let event = |number: usize| match handler {
        enrichment::HANDLER => batch.raw(number),
        _ => batch.enriched(number),
    };
    // The first one asks the directory, or finds no state.
    invoke(&*function, &endpoint, &event(0));
    let times = (1..=INVOCATIONS).map(|number| {
        let event = event(number);
        let begun = instant();
        invoke(&*function, &endpoint, black_box(&event));
        begun.elapsed().as_secs_f64() * 1e6
    });
    let us = times.fold(f64::INFINITY, f64::min);
    let beyond = event(1).len().saturating_sub(records * ENVELOPE_BYTES);
    Measured { records: records as f64, kib: beyond as f64 / 1024.0, us }
}

/// Base, part of a record and part of a KiB, none below zero, with the least sum of squares of relative errors.
fn fit(measured: &[Measured]) -> [f64; 3] {
    let mut fitted = [0.0; 3];
    // What would be below zero is left out, and the others are fitted again.
    let mut used = vec![0, 1, 2];
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
    for Measured { records, kib, us } in measured {
        let parts: Vec<f64> = used.iter().map(|part| [1.0, *records, *kib][*part] / us).collect();
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
