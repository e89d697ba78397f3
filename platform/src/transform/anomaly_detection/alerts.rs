//! Alerts: of all anomalies of a batch those that somebody is told of by a message.
//!
//! A device and kind of anomaly is told at most once in a hold time, which the shard's state keeps with the device. What
//! is held back is in the lake, and counted. A message is of one tenant, so that a subscription sees no other's devices;
//! its attributes `tenant`, `device`, `kind` and `severity` are for filters of subscriptions, `device` and `kind` as
//! lists. A message has at most [`ALERTS_MAX`] alerts: usually it is one message a tenant and batch.
//!
//! A message may come twice. Its `id` is the same then, and no other's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::codec::{Cursor, put_bytes, put_count};
use super::detector::Kind;
use super::report::Anomaly;

/// Most alerts of a message. Each has three texts of at most 256 bytes, which escapes may make six times as long, and its
/// device is named once more in an attribute: together they fit a message of 256 KB.
const ALERTS_MAX: usize = 20;
/// From this score on an alert is of high severity.
const HIGH_FROM: f64 = 0.9;
/// From this score on an alert is of medium severity.
const MEDIUM_FROM: f64 = 0.7;

/// A message with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub subject: String,
    pub body: String,
    pub tenant: String,
    /// A JSON array of texts, as SNS takes it for an attribute of the type `String.Array`.
    pub devices: String,
    /// As `devices`.
    pub kinds: String,
    pub severity: String,
    /// How many alerts it has.
    pub alerts: usize,
}

/// The body of a message.
#[derive(Debug, Serialize)]
struct Body<'a> {
    /// A message that comes again has the same.
    id: String,
    tenant_id: &'a str,
    /// Of the alert with the highest score.
    severity: &'static str,
    /// Where all anomalies of the batch are.
    object: &'a str,
    /// Those with the highest scores first.
    alerts: Vec<Alert<'a>>,
}

/// An anomaly that is told.
#[derive(Debug, Serialize)]
struct Alert<'a> {
    device_id: &'a str,
    metric: &'a str,
    kind: &'static str,
    score: f64,
    value: f64,
    expected: f64,
    scale: f64,
    seq: u64,
    ts: i64,
    received_at: i64,
    /// `ts`, corrected where the device's clock was certainly wrong.
    event_at: i64,
    /// Anomalies of this device and kind in the batch, this one among them.
    anomalies: usize,
}

/// Which anomalies of a batch are told.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// By the key of the device and the kind: the anomaly with the highest score, and how many there are.
    due: BTreeMap<(String, Kind), (usize, usize)>,
    /// Anomalies that are held back.
    pub suppressed: usize,
}

impl Alerts {
    /// Takes the anomaly at `index`, which is the last. `hold` tells whether its device and kind may be told again, and
    /// begins its hold time.
    pub fn take(&mut self, key: &str, index: usize, anomalies: &[Anomaly], hold: impl FnOnce() -> bool) {
        let anomaly = &anomalies[index];
        let id = (key.to_owned(), anomaly.kind);
        if let Some((worst, count)) = self.due.get_mut(&id) {
            *count += 1;
            if anomaly.score > anomalies[*worst].score {
                *worst = index;
            }
        } else if hold() {
            self.due.insert(id, (index, 1));
        } else {
            self.suppressed += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// The messages for a batch whose anomalies are in `object`; `id` is that of its outbox.
    pub fn messages(&self, id: &str, object: &str, anomalies: &[Anomaly]) -> Vec<Message> {
        let mut tenants: BTreeMap<&str, Vec<(&Anomaly, usize)>> = BTreeMap::new();
        for (index, count) in self.due.values() {
            let anomaly = &anomalies[*index];
            tenants.entry(&anomaly.tenant_id).or_default().push((anomaly, *count));
        }
        let mut messages = Vec::new();
        for (tenant, mut of_tenant) in tenants {
            of_tenant.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
            for part in of_tenant.chunks(ALERTS_MAX) {
                let id = format!("{id}-{}", messages.len());
                messages.push(message(id, tenant, object, part));
            }
        }
        messages
    }
}

impl<'a> Alert<'a> {
    fn of(anomaly: &'a Anomaly, anomalies: usize) -> Self {
        Alert {
            device_id: &anomaly.device_id,
            metric: &anomaly.metric,
            kind: anomaly.kind.code(),
            score: anomaly.score,
            value: anomaly.value,
            expected: anomaly.expected,
            scale: anomaly.scale,
            seq: anomaly.seq,
            ts: anomaly.ts,
            received_at: anomaly.received_at,
            event_at: anomaly.event_at,
            anomalies,
        }
    }
}

impl Message {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        let Message { subject, body, tenant, devices, kinds, severity, .. } = self;
        [subject, body, tenant, devices, kinds, severity].iter().map(|text| text.len()).sum()
    }

    /// Appends it.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        let Message { subject, body, tenant, devices, kinds, severity, alerts } = self;
        [subject, body, tenant, devices, kinds, severity].iter().for_each(|text| put_bytes(bytes, text.as_bytes()));
        put_count(bytes, *alerts);
    }

    /// Reads what [`Self::put`] wrote.
    pub fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut text = || cursor.text().map(str::to_owned);
        let (subject, body, tenant) = (text()?, text()?, text()?);
        let (devices, kinds, severity) = (text()?, text()?, text()?);
        Some(Message { subject, body, tenant, devices, kinds, severity, alerts: cursor.count()? })
    }
}

fn severity(score: f64) -> &'static str {
    match score {
        score if score >= HIGH_FROM => "high",
        score if score >= MEDIUM_FROM => "medium",
        _ => "low",
    }
}

fn message(id: String, tenant: &str, object: &str, part: &[(&Anomaly, usize)]) -> Message {
    let severity = severity(part.first().map_or(0.0, |(worst, _)| worst.score));
    let alerts = part.iter().map(|(anomaly, anomalies)| Alert::of(anomaly, *anomalies)).collect();
    let body = Body { id, tenant_id: tenant, severity, object, alerts };
    let list = |values: BTreeSet<&str>| serde_json::to_string(&values).expect("texts are valid JSON");
    Message {
        subject: format!("{} alerts, severity {severity}", part.len()),
        body: serde_json::to_string(&body).expect("texts and finite numbers are valid JSON"),
        tenant: tenant.to_owned(),
        devices: list(part.iter().map(|(anomaly, _)| &*anomaly.device_id).collect()),
        kinds: list(part.iter().map(|(anomaly, _)| anomaly.kind.code()).collect()),
        severity: severity.to_owned(),
        alerts: part.len(),
    }
}
