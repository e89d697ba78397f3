//! A message as rules see it, and what else they can ask.

use std::cell::OnceCell;

use super::json;
use super::value::Value;
use crate::iot::message::Posted;
use world::time::Time;

/// A topic cut at its slashes. A valid topic has at most eight segments.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'m> {
    parts: [&'m str; 8],
    count: usize,
}

impl<'m> Segments<'m> {
    /// Cuts a topic; `None` when it has more than seven slashes.
    pub fn of(topic: &'m str) -> Option<Self> {
        let mut segments = Segments { parts: [""; 8], count: 0 };
        for part in topic.split('/') {
            *segments.parts.get_mut(segments.count)? = part;
            segments.count += 1;
        }
        Some(segments)
    }

    /// The segments.
    pub fn as_slice(&self) -> &[&'m str] {
        &self.parts[..self.count]
    }
}

/// A message as rules see it.
pub struct Message<'m> {
    /// The message of the broker.
    pub posted: &'m Posted,
    /// Topic as the rule sees it: without the prefix of Basic Ingest.
    pub topic: &'m str,
    /// The topic's segments.
    pub segments: Segments<'m>,
    /// Client id of the publisher: `n/a` when it did not come over MQTT.
    pub client: &'m str,
    /// When the rules engine handles it.
    pub now: Time,
    /// Payload.
    pub payload: &'m [u8],
    /// Its trace id, once somebody has asked for it.
    trace_id: OnceCell<String>,
    parsed: OnceCell<Option<Value<'m>>>,
}

impl<'m> Message<'m> {
    /// A message on `topic`, which has these segments.
    pub fn new(posted: &'m Posted, topic: &'m str, segments: Segments<'m>, now: Time) -> Self {
        let client = posted.client.as_deref().unwrap_or("n/a");
        let (trace_id, parsed) = (OnceCell::new(), OnceCell::new());
        Message { posted, topic, segments, client, now, payload: &posted.payload, trace_id, parsed }
    }

    /// The same message with the trace id that it had when it came.
    pub fn traced(self, trace_id: Option<&str>) -> Self {
        let known = trace_id.map_or_else(OnceCell::new, |id| OnceCell::from(id.to_owned()));
        Message { trace_id: known, ..self }
    }

    /// The id under which logs tell of the message: drawn when first asked for.
    pub fn trace_id(&self, host: &mut dyn Host) -> &str {
        self.trace_id.get_or_init(|| host.uuid())
    }

    /// The trace id, if somebody has asked for it.
    pub fn known_trace_id(&self) -> Option<&str> {
        self.trace_id.get().map(String::as_str)
    }

    /// The payload as JSON, read once, when first asked for; `None` when it is not JSON.
    pub(super) fn json(&self) -> Option<&Value<'m>> {
        self.parsed.get_or_init(|| json::parse(self.payload)).as_ref()
    }
}

/// What a statement asks of the account.
pub trait Host {
    /// A random UUID, from the seed of the run.
    fn uuid(&mut self) -> String;
    /// A random number from 0 up to 1, from the seed of the run.
    fn random(&mut self) -> f64;
    /// Id of the account.
    fn account(&self) -> &str;
    /// The document of a shadow, in a role; or why it cannot be had.
    fn thing_shadow(&mut self, thing: &str, shadow: Option<&str>, role: &str) -> Result<Vec<u8>, String>;
}
