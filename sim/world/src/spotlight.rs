//! A spotlight on one reading: where it came by, and when, and what went wrong meanwhile.
//!
//! Services tell the trace that something came by ([`Trace::hop`](crate::trace::Trace::hop)), which costs a branch as
//! long as there is no spotlight. With one, it looks on and never acts: nothing of it is in the digest, nothing is drawn,
//! and no map is made, because its hash keys would be drawn from the world.

mod json;

use std::sync::{Arc, Mutex, MutexGuard};

use super::time::Time;
use super::trace::Field;

/// Most strokes of faults, and most events around a reading, that are kept.
const KEPT_MAX: usize = 20_000;

/// Kinds of events in which something is given up for good.
const LOSSES: [&str; 8] = [
    "drop-expired",
    "drop-too-large",
    "drop-event",
    "lost",
    "rule-gave-up",
    "rule-failure",
    "rule-throttled",
    "rule-parse-error",
];

/// How far a reading has come, in the order of the data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// In its device.
    Device,
    /// At IoT Core's broker.
    Broker,
    /// In a topic rule.
    Rule,
    /// In a stream of Kinesis.
    Stream,
    /// In a function.
    Function,
    /// In a call that a function makes.
    Call,
    /// In a buffer of Firehose.
    Buffer,
    /// In an object of S3.
    Object,
    /// Before the eyes of who reads the lake.
    Table,
}

impl Stage {
    /// The stage in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Device => "device",
            Stage::Broker => "broker",
            Stage::Rule => "rule",
            Stage::Stream => "kinesis",
            Stage::Function => "lambda",
            Stage::Call => "call",
            Stage::Buffer => "firehose",
            Stage::Object => "s3",
            Stage::Table => "reader",
        }
    }
}

/// One thing that happened to the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Simulated instant.
    pub time: Time,
    /// Position in the run of the next event of the trace: hops and events can be put in one order.
    pub seq: u64,
    /// Where.
    pub stage: Stage,
    /// Which device, topic, stream, function or object.
    pub subject: String,
    /// What, in words.
    pub text: String,
}

/// An event of the trace that is kept because it may matter to the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Simulated instant.
    pub time: Time,
    /// Position in the run.
    pub seq: u64,
    /// Who speaks.
    pub source: String,
    /// What happened.
    pub kind: &'static str,
    /// What it happened to.
    pub subject: String,
    /// Texts and numbers of the event.
    pub fields: Vec<(&'static str, String)>,
}

impl Seen {
    /// A field's value; empty when there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// What a spotlight has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// The way of the reading.
    pub hops: Vec<Hop>,
    /// Strokes of faults, whatever they struck.
    pub strokes: Vec<Seen>,
    /// What happened to the device beside its readings, and what was given up anywhere.
    pub around: Vec<Seen>,
    /// Invocations that carried the reading, by request id.
    pub requests: Vec<String>,
}

/// A spotlight. Clones are the same.
#[derive(Clone, Debug)]
pub struct Spotlight {
    tenant: Arc<str>,
    device: Arc<str>,
    seq: u64,
    seen: Arc<Mutex<Sightings>>,
}

impl Spotlight {
    /// A spotlight on the reading `seq` of a tenant's device.
    pub fn on(tenant: &str, device: &str, seq: u64) -> Self {
        Spotlight { tenant: tenant.into(), device: device.into(), seq, seen: Arc::default() }
    }

    /// Everything that was seen so far.
    pub fn seen(&self) -> Sightings {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sightings> {
        self.seen.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Whether this is the reading.
    pub fn is(&self, tenant: &str, device: &str, seq: u64) -> bool {
        *self.tenant == *tenant && *self.device == *device && self.seq == seq
    }

    /// Whether this is the reading; devices have names of their own in a run.
    pub fn is_of(&self, device: &str, seq: u64) -> bool {
        *self.device == *device && self.seq == seq
    }

    /// Whether bytes carry the reading: JSON values that name the device and the sequence number, alone, one behind the
    /// other, or in base64 inside of a batch.
    pub fn carries(&self, data: &[u8]) -> bool {
        json::any(data, &mut |object| object.device == Some(&*self.device) && object.seq == Some(self.seq))
    }

    /// Whether a device's message carries the reading: its topic names the device, and its payload the number.
    fn is_published(&self, topic: &str, payload: &[u8]) -> bool {
        let mut words = topic.split('/');
        let after = |word: &str, words: &mut std::str::Split<'_, char>| {
            words.by_ref().find(|found| *found == word)?;
            words.next().map(str::to_owned)
        };
        let tenant = after("tenant", &mut words);
        let device = after("device", &mut words);
        tenant.as_deref() == Some(&*self.tenant)
            && device.as_deref() == Some(&*self.device)
            && json::any(payload, &mut |object| object.seq == Some(self.seq))
    }

    /// Keeps a hop. The readers of the lake look more than once: what they see is kept once.
    pub(super) fn hop(&self, hop: Hop) {
        let hops = &mut self.lock().hops;
        let known = |other: &Hop| other.stage == hop.stage && other.subject == hop.subject && other.text == hop.text;
        if hop.stage != Stage::Table || !hops.iter().any(known) {
            hops.push(hop);
        }
    }

    /// Whether an invocation carried the reading.
    pub(super) fn knows_request(&self, request_id: &str) -> bool {
        self.lock().requests.iter().any(|known| known == request_id)
    }

    /// Looks at an event of the trace.
    pub(super) fn event(
        &self,
        (time, seq): (Time, u64),
        is_message: bool,
        (source, kind, subject): (&str, &'static str, &str),
        fields: &[(&'static str, Field<'_>)],
    ) {
        let seen =
            || Seen { time, seq, source: source.to_owned(), kind, subject: subject.to_owned(), fields: texts(fields) };
        if source == "fault" {
            keep(&mut self.lock().strokes, seen);
        } else if source == &*self.device {
            match number(fields, "seq") {
                Some(number) if number == self.seq => {
                    self.push(time, seq, Stage::Device, &self.device, device_text(kind));
                }
                Some(_) => {}
                None => keep(&mut self.lock().around, seen),
            }
        } else if let Some(payload) = bytes(fields, "payload") {
            if source == "iot" && kind == "publish" && self.is_published(subject, payload) {
                let packet = number(fields, "packet").unwrap_or(0);
                self.push(time, seq, Stage::Broker, subject, format!("takes the message of packet {packet}"));
            } else if kind == "invoke" && self.carries(payload) {
                self.invoked(time, seq, subject, fields);
            }
        } else if !is_message && (is_text(fields, "client", &self.device) || LOSSES.contains(&kind)) {
            keep(&mut self.lock().around, seen);
        }
    }

    fn push(&self, time: Time, seq: u64, stage: Stage, subject: &str, text: String) {
        self.hop(Hop { time, seq, stage, subject: subject.to_owned(), text });
    }

    fn invoked(&self, time: Time, seq: u64, function: &str, fields: &[(&'static str, Field<'_>)]) {
        let text = |name| fields.iter().find(|(known, _)| *known == name).map_or(String::new(), |(_, f)| rendered(f));
        let batch = match (text("records"), text("shard")) {
            (records, shard) if !records.is_empty() => format!("a batch of {records} records of {shard}"),
            _ => "an event".to_owned(),
        };
        let cold = if text("cold") == "1" { ", in a new environment" } else { "" };
        let request = text("request_id");
        let told = format!("is invoked with {batch}, attempt {}{cold}, request {request}", text("attempt"));
        self.push(time, seq, Stage::Function, function, told);
        self.lock().requests.push(request);
    }
}

fn keep(kept: &mut Vec<Seen>, seen: impl FnOnce() -> Seen) {
    if kept.len() < KEPT_MAX {
        kept.push(seen());
    }
}

fn device_text(kind: &str) -> String {
    match kind {
        "publish" => "sends PUBLISH".to_owned(),
        "puback" => "receives the PUBACK: from here on the reading is owed".to_owned(),
        "drop" => "gives the reading up: its queue is full".to_owned(),
        other => other.to_owned(),
    }
}

fn number(fields: &[(&'static str, Field<'_>)], name: &str) -> Option<u64> {
    fields.iter().find_map(|(known, value)| match value {
        Field::U64(number) if *known == name => Some(*number),
        _ => None,
    })
}

fn bytes<'a>(fields: &[(&'static str, Field<'a>)], name: &str) -> Option<&'a [u8]> {
    fields.iter().find_map(|(known, value)| match value {
        Field::Bytes(bytes) if *known == name => Some(*bytes),
        _ => None,
    })
}

fn is_text(fields: &[(&'static str, Field<'_>)], name: &str, text: &str) -> bool {
    fields.iter().any(|(known, value)| *known == name && matches!(value, Field::Str(found) if *found == text))
}

fn rendered(field: &Field<'_>) -> String {
    match field {
        Field::U64(number) => number.to_string(),
        Field::Str(text) => (*text).to_owned(),
        Field::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn texts(fields: &[(&'static str, Field<'_>)]) -> Vec<(&'static str, String)> {
    fields.iter().map(|(name, value)| (*name, rendered(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Level, Trace};

    fn lit() -> (Trace, Spotlight) {
        let spotlight = Spotlight::on("acme", "pump-1", 7);
        (Trace::new().under(spotlight.clone()), spotlight)
    }

    #[test]
    fn bytes_carry_a_reading_alone_in_lines_and_in_batches() {
        let spotlight = Spotlight::on("acme", "pump-1", 7);
        let reading = r#"{"seq":7,"ts":5,"tenant_id":"acme","device_id":"pump-1"}"#;
        let other = r#"{"seq":8,"device_id":"pump-1"}"#;
        let encoded = json::tests::base64(reading);
        for carrying in [
            reading.to_owned(),
            format!("{other}\n{reading}\n"),
            format!(r#"{{"Records":[{{"kinesis":{{"data":"{encoded}"}}}}]}}"#),
            format!(r#"{{"StreamName":"s","Records":[{{"Data":"{encoded}","PartitionKey":"pump-1"}}]}}"#),
        ] {
            assert!(spotlight.carries(carrying.as_bytes()), "{carrying}");
        }
        for foreign in [other.to_owned(), r#"{"seq":7,"device_id":"pump-2"}"#.to_owned(), encoded, "{".to_owned()] {
            assert!(!spotlight.carries(foreign.as_bytes()), "{foreign}");
        }
        assert!(spotlight.is("acme", "pump-1", 7) && !spotlight.is("acme", "pump-1", 8));
    }

    #[test]
    fn events_of_the_reading_are_hops_and_others_are_not() {
        let (trace, spotlight) = lit();
        let event = |source: &str, kind, subject: &str, fields: &[(&'static str, Field<'_>)]| {
            trace.event(Level::Call, Time::EPOCH, source, kind, subject, fields);
        };
        let topic = "tenant/acme/device/pump-1/data";
        event("pump-1", "publish", topic, &[("seq", 7_u64.into())]);
        event("pump-1", "publish", topic, &[("seq", 8_u64.into())]);
        event("pump-1", "disconnect", topic, &[("reason", "no PUBACK".into())]);
        event("iot", "publish", topic, &[("packet", 3_u64.into()), ("payload", Field::Bytes(br#"{"seq":7}"#))]);
        event("iot", "publish", topic, &[("packet", 4_u64.into()), ("payload", Field::Bytes(br#"{"seq":8}"#))]);
        event("iot", "publish", "tenant/globex/device/pump-1/data", &[("payload", Field::Bytes(br#"{"seq":7}"#))]);
        let payload = Field::Bytes(br#"[{"seq":7,"device_id":"pump-1"}]"#);
        event(
            "lambda",
            "invoke",
            "f",
            &[("payload", payload), ("request_id", "r-1".into()), ("attempt", 1_u64.into())],
        );
        event("fault", "throttle", "PutRecords", &[("fault", "busy".into())]);
        event("lambda", "drop-expired", "f", &[("records", 3_u64.into())]);
        let seen = spotlight.seen();
        let stages: Vec<Stage> = seen.hops.iter().map(|hop| hop.stage).collect();
        assert_eq!(stages, [Stage::Device, Stage::Broker, Stage::Function]);
        assert_eq!(seen.requests, ["r-1"]);
        assert_eq!(seen.strokes[0].field("fault"), "busy");
        let around: Vec<&str> = seen.around.iter().map(|seen| seen.kind).collect();
        assert_eq!(around, ["disconnect", "drop-expired"]);
    }

    #[test]
    fn a_spotlight_changes_no_digest_and_costs_nothing_without_one() {
        let (lit, spotlight) = lit();
        let dark = Trace::new();
        for trace in [&lit, &dark] {
            trace.event(Level::Message, Time::EPOCH, "pump-1", "puback", "t", &[("seq", 7_u64.into())]);
            trace.hop(Time::EPOCH, Stage::Object, "key", || "is written".to_owned());
        }
        assert_eq!((lit.digest(), lit.len()), (dark.digest(), dark.len()));
        assert_eq!(spotlight.seen().hops.len(), 2);
        assert!(!dark.carries(br#"{"seq":7,"device_id":"pump-1"}"#) && !dark.is_lit());
        dark.hop(Time::EPOCH, Stage::Object, "key", || unreachable!("nobody looks"));
    }

    #[test]
    fn what_readers_of_the_lake_see_is_kept_once() {
        let (trace, spotlight) = lit();
        for text in ["row", "row", "another"] {
            trace.hop(Time::EPOCH, Stage::Table, "processed", || text.to_owned());
        }
        assert_eq!(spotlight.seen().hops.len(), 2);
    }
}
