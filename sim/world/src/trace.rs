//! The trace: every labelled event of a run, folded into one rolling digest.
//!
//! The digest covers every event of every [`Level`]. Which events are also *kept* (handed to the
//! [`EventSink`]) is a choice of the run, and never changes the digest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::mark::Mark;
use super::spotlight::{Hop, Spotlight, Stage};
use super::time::Time;

/// How fine-grained an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Milestones of the run: phases, deployments, verdicts.
    Run = 0,
    /// Calls to services, deliveries, invocations, faults, connections.
    Call = 1,
    /// One event a message a hop. Millions in a large run.
    Message = 2,
}

/// One value that belongs to an event.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// An unsigned number.
    U64(u64),
    /// A text.
    Str(&'a str),
    /// Bytes that count for the digest; kept as their length and hash only.
    Bytes(&'a [u8]),
}

impl From<u64> for Field<'_> {
    fn from(value: u64) -> Self {
        Field::U64(value)
    }
}

impl From<usize> for Field<'_> {
    fn from(value: usize) -> Self {
        Field::U64(value as u64)
    }
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(value: &'a str) -> Self {
        Field::Str(value)
    }
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the run, from 0, counting events of every level.
    pub seq: u64,
    /// Simulated instant.
    pub time: Time,
    /// Level as a number: 0 run, 1 call, 2 message.
    pub level: u8,
    /// Who speaks: a service (`kinesis`), a device (`device/acme-00001`), a function.
    pub source: String,
    /// What happened: `PutRecords`, `publish`, `deliver`.
    pub kind: &'static str,
    /// What it happened to: a stream, an object key, a topic.
    pub subject: String,
    /// The fields as a JSON object.
    pub detail: String,
    /// The rolling digest after this event.
    pub digest: u64,
}

/// Where kept events go.
pub trait EventSink: Send {
    /// Takes one event. Errors are the sink's to remember and report when it is closed.
    fn push(&mut self, event: Event);
}

struct Inner {
    digest: u64,
    seq: u64,
    keep: Option<(Level, Box<dyn EventSink>)>,
    marks: BTreeMap<&'static str, u64>,
    scratch: Vec<u8>,
}

/// A shared handle to the trace of one run.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
    spotlight: Option<Spotlight>,
}

impl Trace {
    /// A trace that keeps nothing but the digest.
    pub fn new() -> Self {
        let (marks, scratch) = (BTreeMap::new(), Vec::with_capacity(256));
        let inner = Arc::new(Mutex::new(Inner { digest: 0, seq: 0, keep: None, marks, scratch }));
        Trace { inner, spotlight: None }
    }

    /// The same trace under a spotlight: it and its clones see what happens to one reading.
    #[must_use]
    pub fn under(mut self, spotlight: Spotlight) -> Self {
        self.spotlight = Some(spotlight);
        self
    }

    /// Whether there is a spotlight.
    pub fn is_lit(&self) -> bool {
        self.spotlight.is_some()
    }

    /// Whether bytes carry the reading under the spotlight; never without one.
    pub fn carries(&self, data: &[u8]) -> bool {
        self.spotlight.as_ref().is_some_and(|spotlight| spotlight.carries(data))
    }

    /// Whether this is the reading under the spotlight.
    pub fn is_on(&self, tenant: &str, device: &str, seq: u64) -> bool {
        self.spotlight.as_ref().is_some_and(|spotlight| spotlight.is(tenant, device, seq))
    }

    /// Whether the invocation with this request id carries the reading under the spotlight.
    pub fn is_carried_by(&self, request_id: &str) -> bool {
        self.spotlight.as_ref().is_some_and(|spotlight| spotlight.knows_request(request_id))
    }

    /// The same when `seq` of `device` is the reading under the spotlight.
    pub fn hop_on(&self, time: Time, stage: Stage, device: &str, seq: u64, text: impl FnOnce() -> String) {
        if self.spotlight.as_ref().is_some_and(|spotlight| spotlight.is_of(device, seq)) {
            self.hop(time, stage, device, text);
        }
    }

    /// Tells the spotlight what happened to its reading. It is no event, and not in the digest.
    pub fn hop(&self, time: Time, stage: Stage, subject: &str, text: impl FnOnce() -> String) {
        if let Some(spotlight) = &self.spotlight {
            spotlight.hop(Hop { time, seq: self.len(), stage, subject: subject.to_owned(), text: text() });
        }
    }

    /// A trace that hands every event up to `level` to `sink`.
    pub fn keeping(level: Level, sink: Box<dyn EventSink>) -> Self {
        let trace = Trace::new();
        trace.lock().keep = Some((level, sink));
        trace
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("the trace is used by one thread and never left half-written")
    }

    /// Records one event.
    pub fn event(
        &self,
        level: Level,
        time: Time,
        source: &str,
        kind: &'static str,
        subject: &str,
        fields: &[(&'static str, Field<'_>)],
    ) {
        let inner = &mut *self.lock();
        let buf = &mut inner.scratch;
        buf.clear();
        buf.extend_from_slice(&time.unix_micros().to_le_bytes());
        for text in [source, kind, subject] {
            buf.extend_from_slice(text.as_bytes());
            buf.push(0xff);
        }
        for (name, value) in fields {
            buf.extend_from_slice(name.as_bytes());
            buf.push(0xfe);
            match value {
                Field::U64(n) => buf.extend_from_slice(&n.to_le_bytes()),
                Field::Str(s) => buf.extend_from_slice(s.as_bytes()),
                Field::Bytes(b) => buf.extend_from_slice(b),
            }
            buf.push(0xff);
        }
        inner.digest = xxh3_64_with_seed(buf, inner.digest);
        let seq = inner.seq;
        inner.seq += 1;
        if let Some(spotlight) = &self.spotlight {
            spotlight.event((time, seq), level == Level::Message, (source, kind, subject), fields);
        }
        if let Some((keep, sink)) = &mut inner.keep
            && level <= *keep
        {
            sink.push(Event {
                seq,
                time,
                level: level as u8,
                source: source.to_owned(),
                kind,
                subject: subject.to_owned(),
                detail: detail(fields),
                digest: inner.digest,
            });
        }
    }

    /// Counts that an interesting state was reached, and leaves an event of it. `subject` is what reached it.
    pub fn mark(&self, time: Time, mark: Mark, subject: &str) {
        *self.lock().marks.entry(mark.id).or_default() += 1;
        self.event(Level::Call, time, "mark", mark.id, subject, &[]);
    }

    /// How often each mark was reached so far, by its name. What was not reached is absent.
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.lock().marks.clone()
    }

    /// The rolling digest of all events so far.
    pub fn digest(&self) -> u64 {
        self.lock().digest
    }

    /// How many events there were so far.
    pub fn len(&self) -> u64 {
        self.lock().seq
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the sink out, so that it can be closed. Later events are digested and not kept.
    pub fn take_sink(&self) -> Option<Box<dyn EventSink>> {
        self.lock().keep.take().map(|(_, sink)| sink)
    }
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

/// The fields as a JSON object. No map is made: the standard library's hash keys would be drawn from the world, and what
/// is kept would change the run.
fn detail(fields: &[(&'static str, Field<'_>)]) -> String {
    let mut text = String::from("{");
    for (n, (name, value)) in fields.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        string(&mut text, name);
        text.push(':');
        match value {
            Field::U64(n) => text.push_str(&n.to_string()),
            Field::Str(s) => string(&mut text, s),
            Field::Bytes(b) => {
                string(&mut text, &format!("{} bytes, xxh3 {:016x}", b.len(), xxh3_64_with_seed(b, 0)));
            }
        }
    }
    text.push('}');
    text
}

/// Appends a JSON string.
fn string(text: &mut String, value: &str) {
    text.push_str(&serde_json::to_string(value).expect("a text is JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::simulate;
    use crate::seed::Seed;

    struct Kept(Arc<Mutex<Vec<Event>>>);

    impl EventSink for Kept {
        fn push(&mut self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn an_event_is_kept_as_it_was_and_keeping_it_draws_no_hash_keys() {
        let events = Arc::new(Mutex::new(Vec::new()));
        let after = |kept: Option<Arc<Mutex<Vec<Event>>>>| {
            simulate(Seed::root(1), Time::from_unix_secs(5), move || async move {
                let trace = kept.map_or_else(Trace::new, |kept| Trace::keeping(Level::Call, Box::new(Kept(kept))));
                let fields = [("n", 7_u64.into()), ("text", Field::Str("a \"b\"\n")), ("bytes", Field::Bytes(b"x"))];
                trace.event(Level::Call, Time::from_unix_secs(6), "source", "kind", "subject", &fields);
                trace.event(Level::Message, Time::from_unix_secs(6), "source", "kind", "subject", &[]);
                trace.event(Level::Run, Time::from_unix_secs(6), "source", "kind", "subject", &[]);
                #[expect(clippy::disallowed_types, reason = "what the standard library draws is what is looked at")]
                let drawn = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "any");
                (trace.digest(), trace.len(), drawn)
            })
        };
        assert_eq!(after(Some(Arc::clone(&events))), after(None));
        let details: Vec<String> = events.lock().unwrap().iter().map(|event| event.detail.clone()).collect();
        let hash = xxh3_64_with_seed(b"x", 0);
        let first = format!(r#"{{"n":7,"text":"a \"b\"\n","bytes":"1 bytes, xxh3 {hash:016x}"}}"#);
        assert_eq!(details, [first, "{}".to_owned()]);
    }
}
