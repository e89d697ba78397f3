//! What a record costs the stream functions: enrichment and anomaly detection with the real SDK against an endpoint in this
//! process, and the detector alone. Run with `cargo benches`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use platform::function::Function;
use platform::transform::anomaly_detection::{self, Detector};
use platform::transform::enrichment;

mod endpoint;

use endpoint::{Batch, Endpoint, invoke, learn};

/// Largest batch of the event source mappings by default.
const BATCH: usize = 500;

/// A batch of raw readings to the enriched stream: from 500 devices, so that one call takes it; from 50, which takes ten; and
/// of 500 whose items must be asked for.
fn enriching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("enrichment");
    group.throughput(Throughput::Elements(BATCH as u64));
    for devices in [BATCH, BATCH / 10] {
        let event = Batch { records: BATCH, devices, metrics: 2 }.raw(0);
        let endpoint = Endpoint::taking(devices);
        let function = endpoint.function(enrichment::HANDLER);
        group.bench_function(format!("500 records of {devices} devices"), |bencher| {
            bencher.iter(|| invoke(&*function, &endpoint, black_box(&event)));
        });
    }
    let event = Batch { records: BATCH, devices: BATCH, metrics: 2 }.raw(0);
    let endpoint = Endpoint::taking(BATCH);
    group.bench_function("500 records of unknown devices", |bencher| {
        let fresh = || endpoint.function(enrichment::HANDLER);
        let invoked = |function: Box<dyn Function>| {
            invoke(&*function, &endpoint, black_box(&event));
            function
        };
        bencher.iter_batched(fresh, invoked, BatchSize::SmallInput);
    });
    group.finish();
}

/// Readings of a device before detection is measured, a minute apart: by then a detector knows a day.
const LEARNT: usize = 2_000;

/// A batch of enriched readings through the detectors, with their state's way to S3: of shards that have the batch's series
/// alone, and of one that has as many as it may.
fn detecting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detection");
    let metrics = 2;
    group.throughput(Throughput::Elements((BATCH * metrics) as u64));
    for (devices, series) in [(BATCH, 0), (BATCH / 10, 0), (BATCH, 20_000)] {
        let batch = Batch { records: BATCH, devices, metrics };
        let endpoint = Endpoint::default();
        let function = endpoint.function(anomaly_detection::HANDLER);
        let mut number = learn(&*function, &endpoint, batch, series, LEARNT);
        let series = series.max(devices * metrics);
        group.bench_function(format!("1,000 values of {devices} devices in a shard of {series} series"), |bencher| {
            let next = || {
                number += 1;
                batch.enriched(number)
            };
            bencher.iter_batched(next, |event| invoke(&*function, &endpoint, &event), BatchSize::PerIteration);
        });
    }
    let values: Vec<f64> = (0..100_000_u32).map(|n| 20.0 + f64::from(n * 7_919 % 1_009) / 1_009.0).collect();
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("the detector alone", |bencher| {
        let mut detector = Detector::default();
        let mut at_ms = 0;
        bencher.iter(|| {
            for value in &values {
                at_ms += 60_000;
                black_box(detector.next(at_ms, black_box(*value)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, enriching, detecting);
criterion_main!(benches);
