//! Figures over simulated time: samples of the account's and the fleet's counters, and latencies of readings.

use record::{Calls, LatencyMs, MetricRow, Recorder, Summary};

use super::check::Checked;
use crate::cloud::core::Meter;
use crate::fleet::{Joins, Stats};
use crate::world::time::Time;

/// Writes one sample of every counter. Values are totals since the start.
pub(super) fn sample(recorder: &Recorder, now: Time, meter: &Meter, fleet: &Stats) {
    let time_us = i64::try_from(now.unix_micros()).unwrap_or(i64::MAX);
    let push = |service: &str, name: String, value: u64, unit: &'static str| {
        recorder.metric(MetricRow {
            time_us,
            service: service.to_owned().into(),
            name: name.into(),
            value: value as f64,
            unit: unit.into(),
        });
    };
    push("fleet", "published".to_owned(), fleet.published, "readings");
    push("fleet", "acknowledged".to_owned(), fleet.acknowledged, "readings");
    push("fleet", "queued".to_owned(), fleet.queued, "readings");
    push("fleet", "rejected".to_owned(), fleet.rejected, "readings");
    if fleet.given_up > 0 {
        push("fleet", "given_up".to_owned(), fleet.given_up, "readings");
    }
    if fleet.strays > 0 {
        push("fleet", "malformed".to_owned(), fleet.strays, "messages");
    }
    push("fleet", "sessions".to_owned(), fleet.sessions, "sessions");
    push("fleet", "losses".to_owned(), fleet.losses, "connections");
    for ((service, operation), calls) in meter.calls() {
        push(service, format!("{operation}.ok"), calls.ok, "calls");
        if calls.throttled > 0 {
            push(service, format!("{operation}.throttled"), calls.throttled, "calls");
        }
        if calls.error > 0 {
            push(service, format!("{operation}.error"), calls.error, "calls");
        }
    }
    for ((service, name), value) in &meter.counters() {
        push(service, (*name).to_owned(), *value, unit(name));
    }
}

/// The unit of a counter, by AWS's names of metrics.
fn unit(name: &str) -> &'static str {
    if name.ends_with("Bytes") || name.ends_with("BytesUploaded") || name.ends_with("BytesDownloaded") {
        "bytes"
    } else if name.ends_with("_mib_ms") {
        "MiB ms"
    } else if name.ends_with("_ms") {
        "ms"
    } else {
        "count"
    }
}

/// Copies what a fleet's joining came to into a summary, when there is any.
pub(super) fn joins(summary: &mut Summary, joins: &Joins) {
    if joins.devices == 0 {
        return;
    }
    let ms = |share| joins.quantile(share).map_or(0, |took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    for (name, count) in [
        ("join:devices", joins.devices),
        ("join:joined", joins.took_ms.len() as u64),
        ("join:took_ms_p50", ms(0.5)),
        ("join:took_ms_p99", ms(0.99)),
        ("join:took_ms_max", ms(1.0)),
        ("join:throttled_requests", joins.throttled),
        ("join:throttled_devices", joins.throttled_devices),
        ("join:refused_requests", joins.refused),
    ] {
        summary.counters.insert(name.to_owned(), count);
    }
}

/// Copies what oracles and devices counted into a summary.
pub(super) fn oracles(summary: &mut Summary, checked: &Checked, fleet: &Stats) {
    for (name, count) in [
        ("athena:rows", checked.rows),
        ("oracle:anomalies", checked.anomalies),
        ("fleet:sessions", fleet.sessions),
        ("fleet:connection_losses", fleet.losses),
        ("fleet:queued_readings", fleet.queued),
    ] {
        summary.counters.insert(name.to_owned(), count);
    }
    if let Some(curated) = &checked.curated {
        summary.counters.insert("gold:rows".to_owned(), curated.rows);
    }
    for (name, count) in [
        ("fleet:given_up_readings", fleet.given_up),
        ("fleet:malformed_messages", fleet.strays),
        ("fleet:malformed_messages_acknowledged", fleet.strays_acknowledged),
        ("quarantine:messages", checked.strays.0),
        ("failure-destination:records", checked.given_up),
        ("failure-destination:poisoned_readings", checked.tally.poisoned),
        ("intruders:attempts", checked.intrusions),
        ("oracle:alerts", checked.alerts.told),
        ("oracle:alerts_not_judged", checked.alerts.not_judged),
    ] {
        if count > 0 {
            summary.counters.insert(name.to_owned(), count);
        }
    }
}

/// Copies the account's counters into a summary.
pub(super) fn count_calls(summary: &mut Summary, meter: &Meter) {
    for ((service, operation), calls) in meter.calls() {
        let calls = Calls { ok: calls.ok, throttled: calls.throttled, error: calls.error };
        summary.throttles += calls.throttled;
        summary.calls.insert(format!("{service}:{operation}"), calls);
    }
    for ((service, name), value) in &meter.counters() {
        summary.counters.insert(format!("{service}:{name}"), *value);
    }
}

/// Latencies of first deliveries.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one latency in ms.
    pub fn push(&mut self, ms: u64) {
        self.0.push(u32::try_from(ms).unwrap_or(u32::MAX));
    }

    /// Median, 99th percentile (nearest rank) and maximum.
    pub fn summary(mut self) -> LatencyMs {
        let mut rank = |percent: usize| {
            let index = (self.0.len() * percent).div_ceil(100).checked_sub(1)?;
            let (_, value, _) = self.0.select_nth_unstable(index);
            Some(f64::from(*value))
        };
        LatencyMs { p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let mut latencies = Latencies::default();
        assert_eq!(Latencies::default().summary(), LatencyMs::default());
        (1..=200).rev().for_each(|ms| latencies.push(ms));
        assert_eq!(latencies.summary(), LatencyMs { p50: Some(100.0), p99: Some(198.0), max: Some(200.0) });
        let one = Latencies(vec![7]);
        assert_eq!(one.summary(), LatencyMs { p50: Some(7.0), p99: Some(7.0), max: Some(7.0) });
    }
}
