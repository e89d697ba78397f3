//! The device's side of its classic shadow, as a pure step: what it asks AWS IoT Core, and what it makes of the answers.
//!
//! After each connect, once its subscriptions are in force, the device gets the document: what was desired meanwhile is in
//! it, also what was never delivered. From then on it applies deltas. It reports when what it reports has changed, and when
//! the document says otherwise than it. One request is under way at a time; one that is rejected, or not answered in time, is
//! repeated with back-off.
//!
//! **Order.** Messages of a shadow come in any order and more than once (AWS IoT guide, "Device Shadow MQTT topics"): a delta
//! counts when its version is above that of the newest state that was applied. The answer to the device's own request counts
//! also when its version is the same, and when it is lower than what was known when it was asked: then the shadow was
//! deleted, and its versions begin anew.
//!
//! **Loss of power.** Versions and the count of requests are in flash; what is under way is forgotten.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Map, Value, json};

use crate::world::seed::Rng;
use crate::world::time::Time;

/// Longest wait for the answer to a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before a request is repeated: half of this to all of it, doubled with each failure in a row.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Longest such wait.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(120);
/// What is measured, and not set: it does not make a device report by itself, and is not compared.
pub const MEASURED: &str = "battery_percent";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Get,
    /// What was reported, by the model's revision.
    Report(u64),
}

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    request: Request,
    number: u64,
    until: Time,
    /// The version that was known when it was asked.
    version: u64,
}

/// What the device itself is.
pub(super) struct Own<'a> {
    /// Changes whenever what is reported changes.
    pub revision: u64,
    /// The reported section.
    pub reported: &'a dyn Fn() -> Value,
}

impl Own<'_> {
    fn settings(&self) -> Map<String, Value> {
        settings(&(self.reported)())
    }
}

/// The keys of a section that are set, without what is measured.
pub(super) fn settings(section: &Value) -> Map<String, Value> {
    let mut section = section.as_object().cloned().unwrap_or_default();
    section.remove(MEASURED);
    section
}

/// The shadow of one device, as the device sees it.
#[derive(Debug)]
pub(super) struct Shadow {
    /// Version of the newest desired state that was applied; 0 before the first.
    version: u64,
    requests: u64,
    is_listening: bool,
    wants_document: bool,
    asked: Option<Asked>,
    /// The revision that the shadow has, as far as is known.
    reported: Option<u64>,
    failures: u32,
    not_before: Time,
}

impl Shadow {
    /// The suffixes of the topics that the device subscribes to.
    pub const FILTERS: [&'static str; 5] =
        ["update/delta", "update/accepted", "update/rejected", "get/accepted", "get/rejected"];

    pub fn new() -> Self {
        Shadow {
            version: 0,
            requests: 0,
            is_listening: false,
            wants_document: true,
            asked: None,
            reported: None,
            failures: 0,
            not_before: Time::EPOCH,
        }
    }

    /// The prefix of a thing's topics.
    pub fn prefix(thing: &str) -> String {
        format!("$aws/things/{thing}/shadow/")
    }

    /// The subscriptions are in force on a new connection.
    pub fn listens(&mut self) {
        self.lost();
        self.is_listening = true;
    }

    /// The connection is gone, or the power is.
    pub fn lost(&mut self) {
        let Shadow { version, requests, reported, .. } = *self;
        *self = Shadow { version, requests, reported, ..Shadow::new() };
    }

    /// Whether the shadow has what the device is, as far as the device knows: also while the device is not connected, because
    /// on some networks some device always is not.
    pub fn is_settled(&self, revision: u64) -> bool {
        self.reported == Some(revision)
    }

    /// What to publish now: (suffix of the topic, payload).
    pub fn next(&mut self, now: Time, rng: &mut Rng, own: &Own<'_>) -> Option<(&'static str, Value)> {
        if self.asked.is_some_and(|asked| asked.until <= now) {
            self.fail(now, rng);
        }
        if !self.is_listening || self.asked.is_some() || now < self.not_before {
            return None;
        }
        let request = match self.reported {
            _ if self.wants_document => Request::Get,
            Some(revision) if revision == own.revision => return None,
            _ => Request::Report(own.revision),
        };
        self.requests += 1;
        let number = self.requests;
        self.asked = Some(Asked { request, number, until: now + ANSWER_TIMEOUT, version: self.version });
        let token = token(number);
        Some(match request {
            Request::Get => ("get", json!({ "clientToken": token })),
            Request::Report(_) => {
                ("update", json!({ "state": { "reported": (own.reported)() }, "clientToken": token }))
            }
        })
    }

    /// When there is something to do next, as long as nothing else happens.
    pub fn wake_at(&self, revision: u64) -> Time {
        match self.asked {
            Some(asked) => asked.until,
            None if self.is_listening && !self.is_settled(revision) => self.not_before,
            None => Time::MAX,
        }
    }

    /// A message of the shadow has come. Answers what is desired, when that is to be applied.
    pub fn received(
        &mut self,
        now: Time,
        rng: &mut Rng,
        suffix: &str,
        payload: &[u8],
        own: &Own<'_>,
    ) -> Option<Map<String, Value>> {
        let message: Value = serde_json::from_slice(payload).ok()?;
        let version = message["version"].as_u64().unwrap_or(0);
        let answers = self.asked.filter(|asked| message["clientToken"].as_str() == Some(&token(asked.number)));
        match (suffix, answers) {
            ("update/delta", _) if version > self.version => {
                self.version = version;
                let desired = message["state"].as_object().cloned().unwrap_or_default();
                // What the device is already, the shadow does not know.
                let owns = own.settings();
                if desired.iter().any(|(key, value)| owns.get(key) == Some(value)) {
                    self.reported = None;
                }
                Some(desired)
            }
            ("get/accepted", Some(asked)) if asked.request == Request::Get => {
                (self.asked, self.failures, self.wants_document) = (None, 0, false);
                let is_stale = version < self.version && version >= asked.version;
                let state = &message["state"];
                let knows = settings(&state["reported"]) == own.settings();
                self.reported = (knows && !is_stale).then_some(own.revision);
                if is_stale {
                    return None;
                }
                self.version = version;
                state["desired"].as_object().cloned()
            }
            ("get/rejected", Some(asked)) if asked.request == Request::Get => {
                if message["code"] == 404 {
                    // There is no shadow: the first report makes one.
                    (self.asked, self.failures) = (None, 0);
                    (self.version, self.wants_document, self.reported) = (0, false, None);
                } else {
                    self.fail(now, rng);
                }
                None
            }
            ("update/accepted", Some(Asked { request: Request::Report(revision), .. })) => {
                (self.asked, self.failures, self.reported) = (None, 0, Some(revision));
                None
            }
            ("update/accepted", _) => {
                // A report of before, that comes again or late, may have written over a newer one.
                let owns = own.settings();
                let written = settings(&message["state"]["reported"]);
                if written.iter().any(|(key, value)| owns.get(key) != Some(value)) {
                    self.reported = None;
                }
                None
            }
            ("update/rejected", Some(Asked { request: Request::Report(_), .. })) => {
                self.fail(now, rng);
                None
            }
            _ => None,
        }
    }

    fn fail(&mut self, now: Time, rng: &mut Rng) {
        self.asked = None;
        let range = AGAIN_AFTER.saturating_mul(1 << self.failures.min(16)).min(AGAIN_AFTER_MAX);
        self.failures += 1;
        self.not_before = now + range.mul_f64(rng.random_range(0.5..1.0));
    }
}

fn token(number: u64) -> String {
    format!("r{number}")
}

#[cfg(test)]
mod tests;
