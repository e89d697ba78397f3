//! `sim bench`: what a scenario costs at several sizes of its fleet, each in a fresh process.

use record::{Summary, Verdict, thousands};
use serde::Serialize;

use super::args::{BenchArgs, Format};
use super::child::ChildRun;
use super::run::Plan;
use super::text::table;
use super::{Failure, print, verdict_code};

/// Cost counts as more than linear when it grows with the readings to a power above this. What is above 1 leaves room
/// for the noise of one measurement and for memory that no longer fits into caches.
const LINEAR_EXPONENT_MAX: f64 = 1.15;

/// One size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Size {
    /// Devices of the fleet.
    devices: u64,
    /// Readings that were delivered.
    readings: u64,
    /// How the run ended.
    verdict: Verdict,
    /// Wall time.
    wall_s: f64,
    /// Delivered readings a second of wall time.
    messages_per_s: f64,
    /// Wall time a delivered reading.
    us_per_reading: Option<f64>,
    /// Peak resident memory, where the operating system tells.
    peak_memory_bytes: Option<u64>,
    /// Memory that one more device costs, against the size before.
    bytes_per_device: Option<f64>,
    /// Power of the readings that the wall time grows with, against the size before; 1 is linear.
    exponent: Option<f64>,
}

/// All sizes.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    scenario: String,
    seed: u64,
    sizes: Vec<Size>,
    /// Whether wall time grows faster than in proportion to the readings; absent with one size.
    more_than_linear: Option<bool>,
}

/// Measures all sizes and prints them. The exit code is the worst of the verdicts.
pub(super) fn bench(args: &BenchArgs) -> Result<u8, Failure> {
    let mut devices = args.devices.clone();
    devices.sort_unstable();
    devices.dedup();
    // All sizes are checked before the first is measured.
    let plans: Vec<Plan> = devices.iter().map(|n| Plan::of(&args.run_args(*n))).collect::<Result<_, _>>()?;
    let seed = plans[0].seed;
    let mut sizes: Vec<Size> = Vec::new();
    for n in devices {
        eprintln!("{} devices", thousands(u64::from(n)));
        let summary =
            ChildRun { file: &args.file, seed, overrides: args.run_args(n).overrides.overrides(), out: None }.run()?;
        let size = size(&summary, sizes.last());
        sizes.push(size);
    }
    let report = report(&plans[0].scenario.source.name, seed, sizes);
    let code = report.sizes.iter().map(|s| verdict_code(s.verdict)).max().unwrap_or(0);
    print(&match args.format {
        Format::Text => text(&report),
        Format::Json => serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n",
    })?;
    Ok(code)
}

/// What one run cost, beside the size before it.
pub(super) fn size(summary: &Summary, before: Option<&Size>) -> Size {
    let (devices, readings, wall_s) = (summary.devices, summary.delivered, summary.wall_s);
    let more_devices = |b: &Size| (devices > b.devices).then(|| (devices - b.devices) as f64);
    let bytes_per_device =
        before.and_then(|b| Some((summary.peak_memory_bytes? as f64 - b.peak_memory_bytes? as f64) / more_devices(b)?));
    let exponent = before.and_then(|b| {
        let comparable = b.readings > 0 && readings > b.readings && b.wall_s > 0.0 && wall_s > 0.0;
        comparable.then(|| (wall_s / b.wall_s).ln() / (readings as f64 / b.readings as f64).ln())
    });
    Size {
        devices,
        readings,
        verdict: summary.verdict,
        wall_s,
        messages_per_s: summary.messages_per_s,
        us_per_reading: (readings > 0).then(|| wall_s * 1e6 / readings as f64),
        peak_memory_bytes: summary.peak_memory_bytes,
        bytes_per_device,
        exponent,
    }
}

/// The report of all sizes.
pub(super) fn report(scenario: &str, seed: u64, sizes: Vec<Size>) -> Report {
    let exponents: Vec<f64> = sizes.iter().filter_map(|s| s.exponent).collect();
    let more_than_linear = (!exponents.is_empty()).then(|| exponents.iter().any(|e| *e > LINEAR_EXPONENT_MAX));
    Report { scenario: scenario.to_owned(), seed, sizes, more_than_linear }
}

/// The report for people.
pub(super) fn text(report: &Report) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = report
        .sizes
        .iter()
        .map(|s| {
            vec![
                thousands(s.devices),
                thousands(s.readings),
                s.verdict.to_string(),
                format!("{:.2}", s.wall_s),
                thousands(s.messages_per_s as u64),
                or_dash(s.us_per_reading.map(|us| format!("{us:.1}"))),
                or_dash(s.peak_memory_bytes.map(|b| format!("{:.0}", b as f64 / f64::from(1 << 20)))),
                or_dash(s.bytes_per_device.map(|b| format!("{b:.0}"))),
                or_dash(s.exponent.map(|e| format!("{e:.2}"))),
            ]
        })
        .collect();
    let header = [
        "devices ",
        "readings ",
        "verdict",
        "wall s ",
        "messages/s ",
        "us/reading ",
        "peak MiB ",
        "bytes/device ",
        "exponent ",
    ];
    let growth = match report.more_than_linear {
        None => "give two or more sizes with --devices to see how cost grows\n",
        Some(false) => "wall time grows no more than linearly with the readings\n",
        Some(true) => "wall time grows MORE than linearly with the readings\n",
    };
    format!("{} with seed {}\n\n{}\n{growth}", report.scenario, report.seed, table(&header, &rows))
}
