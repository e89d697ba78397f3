//! What is true of the devices' readings, for the run folder and the summary.

use std::sync::Mutex;

use record::{LabelRow, Recorder, Summary};

use crate::fleet::{Labelled, Truth};
use crate::world::time::Time;
use crate::world::trace::Level;

/// Writes the labels of a run whose devices published until `end`, and counts them by kind as `fleet:labels_{kind}`.
pub(super) fn tell(truth: &Mutex<Truth>, end: Time, record: Option<&(Recorder, Level)>, summary: &mut Summary) {
    let truth = &*truth.lock().expect("one thread runs the simulation");
    for row in truth.labels().iter().map(|labelled| row(truth, labelled, end)) {
        *summary.counters.entry(format!("fleet:labels_{}", row.kind)).or_default() += 1;
        if let Some((recorder, _)) = record {
            recorder.label(row);
        }
    }
}

fn row(truth: &Truth, labelled: &Labelled, end: Time) -> LabelRow {
    let Labelled { device, label, readings } = labelled;
    let (tenant, device) = truth.device(*device);
    let micros = |at: Time| i64::try_from(at.min(end).unix_micros()).unwrap_or(i64::MAX);
    LabelRow {
        from_us: micros(label.from),
        until_us: micros(label.until),
        tenant: tenant.to_owned(),
        device: device.to_owned(),
        metric: label.metric.map(str::to_owned),
        kind: label.kind.contract().id.to_owned(),
        readings: *readings,
    }
}
