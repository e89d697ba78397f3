//! What functions log, and whether a line names a device together with another tenant, for the invariant
//! `tenant-isolation`.
//!
//! On Lambda a function's lines go to its log group, which operators of all tenants read. Here a subscriber of the run's own
//! thread sees each line; none is kept but those that break the promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// The lines of a run's functions. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    tenant_of: BTreeMap<String, String>,
    tenants: BTreeSet<String>,
    lines: u64,
    crossing: Vec<String>,
    dropped: u64,
}

/// Begins the value of the metric of alerts that the platform gave up, in a line of the Embedded Metric Format; in a field of
/// an event its quotes are escaped.
const DROPPED: &str = "\"AnomalyAlertsDropped\":";

impl Logs {
    /// The lines of a run with these devices: (tenant, device).
    pub fn of<'d>(devices: impl Iterator<Item = (&'d str, &'d str)>) -> Self {
        let mut inner = Inner::default();
        for (tenant, device) in devices {
            inner.tenants.insert(tenant.to_owned());
            inner.tenant_of.insert(device.to_owned(), tenant.to_owned());
        }
        Logs(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Listens to what is logged on this thread, until the guard is dropped.
    pub fn listen(&self) -> DefaultGuard {
        tracing::subscriber::set_default(Listener(self.clone()))
    }

    /// Takes one line.
    pub fn line(&self, line: &str) {
        let inner = &mut *self.lock();
        inner.lines += 1;
        inner.dropped += dropped(line);
        let is_word = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
        let words = || line.split(|c| !is_word(c));
        let own: BTreeSet<&String> = words().filter_map(|word| inner.tenant_of.get(word)).collect();
        let crosses = own.len() > 1
            || (!own.is_empty() && words().any(|word| inner.tenants.contains(word) && !own.iter().any(|t| *t == word)));
        if crosses {
            inner.crossing.push(line.to_owned());
        }
    }

    /// Alerts that functions say to have given up.
    pub fn alerts_dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// How many lines there were, and those that name a device together with another tenant.
    pub fn seen(&self) -> (u64, Vec<String>) {
        let inner = self.lock();
        (inner.lines, inner.crossing.clone())
    }
}

/// How many alerts a line says to be given up.
fn dropped(line: &str) -> u64 {
    if !line.contains("AnomalyAlertsDropped") {
        return 0;
    }
    let line = line.replace('\\', "");
    let Some((_, value)) = line.split_once(DROPPED) else { return 0 };
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().unwrap_or(0)
}

struct Listener(Logs);

/// The fields of an event as one line.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("writing to a string does not fail");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("platform")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.line(&line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_that_were_given_up_are_counted() {
        let logs = Logs::of(std::iter::empty());
        let _listening = logs.listen();
        for line in [
            r#"{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"AnomalyAlertsDropped","Unit":"Count"}]}]},"AnomalyAlertsDropped":12}"#,
            r#"{"AnomalyAlertsDropped":3,"Anomalies":7}"#,
            r#"{"AnomalyAlertsDropped":0}"#,
            r#"{"AnomalyAlerts":5}"#,
        ] {
            tracing::info!(target: "platform::metrics", line);
        }
        assert_eq!(logs.alerts_dropped(), 15);
    }

    #[test]
    fn a_line_that_names_a_device_and_another_tenant_is_kept() {
        let logs = Logs::of([("acme", "pump-1"), ("globex", "pump-2")].into_iter());
        for line in ["thing=\"pump-1\" tenant=\"acme\"", "tenant=\"globex\" left=\"acme\"", "thing=\"pump-11\" globex"]
        {
            logs.line(line);
        }
        assert_eq!(logs.seen(), (3, Vec::new()));
        let _listening = logs.listen();
        tracing::info!(target: "platform::x", thing = "pump-1", tenant = "globex", "was seen");
        tracing::info!(target: "other", thing = "pump-1", tenant = "globex", "was not seen");
        logs.line("pump-1, pump-2");
        let (lines, crossing) = logs.seen();
        assert_eq!((lines, crossing.len()), (5, 2), "{crossing:?}");
    }
}
