//! Device shadows, classic and named. Sources: "AWS IoT Device Shadow service" of the IoT Core guide, its pages on documents,
//! MQTT topics, data flow and error messages, and the quotas of IoT Core.
//!
//! Modelled: get, update and delete over MQTT and over REST, with accepted, rejected, delta and documents; versions, metadata,
//! client tokens, merging, removal, differences; the limits of size and depth; the rates of a shadow and of the account; an
//! update counts as four inbound publishes of the account. A deleted shadow's version is remembered for 48 hours: its next
//! document goes on counting. Later, and for a new shadow, the first update makes version 1.
//!
//! A shadow needs no thing in the registry (unverified), and outlives its thing: "Deleting the thing does not clear or delete
//! the shadow" (AWS, issue 68 of aws-iot-device-sdk-js, 2016). Answers are made in the step that takes the request, so that
//! the ten requests which may be in flight on a connection are never reached.
//!
//! Unverified: the QoS of what is published (1); that rejected requests count for the rates; that a new shadow takes no
//! version but 0, and a deleted one that is remembered its last; that the size of a document is that of its compact JSON.

mod answer;
mod document;
mod json;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use self::answer::Frame;
use self::document::Document;
use self::request::{Limits, Rejected, Rejection, Update};
use super::Iot;
use super::message::{Outbox, Posted};
use super::reserved::ShadowVerb;
use crate::core::{AwsError, Cx, TokenBucket};
use world::time::Time;
use world::trace::Level;

/// Inbound publishes that an update counts as: the update, accepted, documents and delta.
const PUBLISHES_OF_AN_UPDATE: u64 = 4;
/// Shadows without a document that are kept before they are looked through.
const EMPTY_MIN: usize = 4096;

/// What is kept for one shadow.
#[derive(Debug)]
struct Shadow {
    document: Option<Document>,
    /// Version of the document, or of the one that was deleted.
    version: u64,
    deleted: Option<Time>,
    requests: TokenBucket,
}

/// All shadows of the account.
#[derive(Debug, Default)]
pub struct Shadows {
    /// By thing, and by name: the classic one has the empty name.
    things: BTreeMap<Box<str>, BTreeMap<Box<str>, Shadow>>,
    /// Shadows without a document, at most.
    empty: usize,
    /// Number of them at which they are looked through again.
    empty_limit: usize,
    limits: Option<Limits>,
    requests: Option<TokenBucket>,
    /// Answers and differences that are not published yet.
    pub(super) outbox: Outbox,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Mqtt,
    Http,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Mqtt => "MQTT",
            Protocol::Http => "HTTP",
        }
    }
}

/// Which shadow is asked for what.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    thing: &'a str,
    name: Option<&'a str>,
    verb: ShadowVerb,
    protocol: Protocol,
}

impl Asked<'_> {
    /// A topic of the shadow.
    fn topic(&self, suffix: &str) -> String {
        match self.name {
            None => format!("$aws/things/{}/shadow/{suffix}", self.thing),
            Some(name) => format!("$aws/things/{}/shadow/name/{name}/{suffix}", self.thing),
        }
    }

    fn verb(&self) -> &'static str {
        match self.verb {
            ShadowVerb::Get => "get",
            ShadowVerb::Update => "update",
            ShadowVerb::Delete => "delete",
        }
    }

    /// AWS's metric of requests that are accepted.
    fn metric(&self) -> &'static str {
        match self.verb {
            ShadowVerb::Get => "GetThingShadow.Accepted",
            ShadowVerb::Update => "UpdateThingShadow.Accepted",
            ShadowVerb::Delete => "DeleteThingShadow.Accepted",
        }
    }
}

impl Shadow {
    /// The version that a request has to name now, if it names one.
    fn version(&self, now: Time, memory: Duration) -> u64 {
        if self.is_forgotten(now, memory) { 0 } else { self.version }
    }

    /// Whether nothing is left of the documents that there were.
    fn is_forgotten(&self, now: Time, memory: Duration) -> bool {
        self.document.is_none() && self.deleted.is_none_or(|deleted| now.since(deleted) >= memory)
    }
}

impl Shadows {
    fn limits(&mut self, cx: &Cx<'_>) -> Limits {
        *self.limits.get_or_insert_with(|| Limits::new(cx))
    }

    fn memory(cx: &Cx<'_>) -> Duration {
        Duration::from_secs(cx.limits.get("iot-core", "shadow_deleted_version_memory"))
    }

    /// Takes a request from the account's rate.
    fn take_of_account(&mut self, cx: &Cx<'_>) -> bool {
        let bucket = || cx.limits.bucket("iot-core", "shadow_requests_per_account", cx.now);
        self.requests.get_or_insert_with(bucket).try_take(cx.now, 1)
    }

    /// The shadow that is asked, which is made when there is none.
    fn shadow(&mut self, cx: &Cx<'_>, thing: &str, name: &str) -> &mut Shadow {
        if self.find(thing, name).is_none() {
            self.forget(cx);
            let requests = TokenBucket::per_second(cx.limits.get("iot-core", "shadow_requests_per_shadow"), cx.now);
            let shadow = Shadow { document: None, version: 0, deleted: None, requests };
            self.things.entry(thing.into()).or_default().insert(name.into(), shadow);
            self.empty += 1;
        }
        self.things.get_mut(thing).and_then(|shadows| shadows.get_mut(name)).expect("it is there or was made")
    }

    fn find(&self, thing: &str, name: &str) -> Option<&Shadow> {
        self.things.get(thing)?.get(name)
    }

    /// Forgets shadows that have no document, no version and their whole rate: nothing is lost with them. Happens
    /// whenever their number has doubled.
    fn forget(&mut self, cx: &Cx<'_>) {
        if self.empty < self.empty_limit.max(EMPTY_MIN) {
            return;
        }
        let (memory, rate) = (Shadows::memory(cx), cx.limits.get("iot-core", "shadow_requests_per_shadow"));
        let mut kept = 0;
        self.things.retain(|_, shadows| {
            shadows.retain(|_, shadow| {
                let stays = !shadow.is_forgotten(cx.now, memory) || shadow.requests.available(cx.now) < rate;
                kept += usize::from(stays && shadow.document.is_none());
                stays
            });
            !shadows.is_empty()
        });
        self.empty = kept;
        self.empty_limit = kept * 2;
    }

    /// Takes a request from the rates of the account and of its shadow.
    fn take(&mut self, cx: &Cx<'_>, asked: &Asked<'_>) -> Result<(), Rejection> {
        let fits = self.take_of_account(cx)
            && self.shadow(cx, asked.thing, asked.name.unwrap_or("")).requests.try_take(cx.now, 1);
        if fits { Ok(()) } else { Err(Rejection::THROTTLED) }
    }

    fn get(&mut self, cx: &Cx<'_>, asked: &Asked<'_>, payload: &[u8]) -> Result<Vec<u8>, Rejected> {
        let limits = self.limits(cx);
        let token = request::token_of_get(&limits, payload)?;
        let found = self.find(asked.thing, asked.name.unwrap_or(""));
        let found = found.and_then(|shadow| Some((shadow.document.as_ref()?, shadow.version)));
        let Some((document, version)) = found else {
            return Err(Rejected { rejection: Rejection::absent(asked.name.unwrap_or(asked.thing)), token });
        };
        Ok(answer::got(Frame { at: cx.now.unix_secs(), token: token.as_deref() }, document, version))
    }

    /// The document of a shadow as a rule's SQL asks for it, with `get_thing_shadow`. It counts for the rates as every
    /// other request (unverified).
    pub(in crate::iot) fn document(
        &mut self,
        cx: &mut Cx<'_>,
        thing: &str,
        name: Option<&str>,
    ) -> Result<Vec<u8>, AwsError> {
        let asked = Asked { thing, name, verb: ShadowVerb::Get, protocol: Protocol::Http };
        let limits = self.limits(cx);
        request::check_names(&limits, thing, name)?;
        self.take(cx, &asked)?;
        let document = self.get(cx, &asked, b"").map_err(|rejected| rejected.rejection)?;
        cx.meter.add("iot", asked.metric(), 1);
        Ok(document)
    }

    fn update(&mut self, cx: &mut Cx<'_>, asked: &Asked<'_>, payload: &[u8]) -> Result<Vec<u8>, Rejected> {
        let limits = self.limits(cx);
        let update = request::update(&limits, payload)?;
        self.apply(cx, asked, &limits, &update).map_err(|rejection| Rejected { rejection, token: update.token.clone() })
    }

    fn apply(
        &mut self,
        cx: &mut Cx<'_>,
        asked: &Asked<'_>,
        limits: &Limits,
        update: &Update,
    ) -> Result<Vec<u8>, Rejection> {
        let at = cx.now.unix_secs();
        let memory = Shadows::memory(cx);
        let shadow = self.shadow(cx, asked.thing, asked.name.unwrap_or(""));
        let version = shadow.version(cx.now, memory);
        if update.version.is_some_and(|expected| expected != version) {
            return Err(Rejection::CONFLICT);
        }
        let previous = shadow.document.clone().unwrap_or_default();
        let current = previous.updated(&update.desired, &update.reported, at);
        if current.size() > limits.state_size {
            return Err(Rejection::TOO_LARGE);
        }
        let is_new = shadow.document.replace(current.clone()).is_none();
        (shadow.version, shadow.deleted) = (version + 1, None);
        self.empty -= usize::from(is_new);
        let frame = Frame { at, token: update.token.as_deref() };
        let accepted = answer::accepted(frame, update, version + 1);
        self.post(cx, asked, "update/accepted", accepted.clone());
        if let Some(part) = current.delta() {
            self.post(cx, asked, "update/delta", answer::delta(frame, part, version + 1));
        }
        let documents = answer::documents(frame, (&previous, version), (&current, version + 1));
        self.post(cx, asked, "update/documents", documents);
        Ok(accepted)
    }

    fn delete(&mut self, cx: &Cx<'_>, asked: &Asked<'_>, payload: &[u8]) -> Result<Vec<u8>, Rejected> {
        let limits = self.limits(cx);
        let token = request::token_of_delete(&limits, payload);
        let shadow = self.shadow(cx, asked.thing, asked.name.unwrap_or(""));
        if shadow.document.take().is_none() {
            return Err(Rejected { rejection: Rejection::absent(asked.name.unwrap_or(asked.thing)), token });
        }
        shadow.deleted = Some(cx.now);
        let version = shadow.version;
        self.empty += 1;
        Ok(answer::deleted(Frame { at: cx.now.unix_secs(), token: token.as_deref() }, version))
    }

    fn post(&mut self, cx: &mut Cx<'_>, asked: &Asked<'_>, suffix: &str, payload: Vec<u8>) {
        self.outbox.post(cx, Posted::by_service(asked.topic(suffix), 1, payload));
    }

    /// Names of a thing's named shadows that follow `after`, at most `count`, and whether there are more.
    fn named(&self, thing: &str, after: &str, count: usize) -> (Vec<&str>, bool) {
        let Some(shadows) = self.things.get(thing) else { return (Vec::new(), false) };
        // The classic shadow has the empty name, which never follows.
        let rest = shadows.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut names: Vec<&str> =
            rest.filter(|(_, shadow)| shadow.document.is_some()).map(|(name, _)| &**name).take(count + 1).collect();
        let more = names.len() > count;
        names.truncate(count);
        (names, more)
    }
}

impl Iot {
    /// A request to a shadow that was published to one of its topics. Its answers are published after this step.
    pub(in crate::iot) fn shadow_request(
        &mut self,
        cx: &mut Cx<'_>,
        thing: &str,
        name: Option<&str>,
        verb: ShadowVerb,
        posted: &Posted,
    ) {
        let asked = Asked { thing, name, verb, protocol: Protocol::Mqtt };
        let answer = self.ask_shadow(cx, &asked, &posted.payload);
        let shadows = &mut self.shadows;
        match (answer, verb) {
            // An update has published its answer itself, before what follows from it.
            (Ok(_), ShadowVerb::Update) => {}
            (Ok(answer), _) => shadows.post(cx, &asked, &format!("{}/accepted", asked.verb()), answer),
            (Err(rejected), _) => {
                let document = answer::rejected(cx.now.unix_secs(), &rejected);
                shadows.post(cx, &asked, &format!("{}/rejected", asked.verb()), document);
            }
        }
    }

    /// `GetThingShadow`, `UpdateThingShadow` and `DeleteThingShadow`. An update publishes what one over MQTT publishes; for
    /// `update/accepted` and `update/documents` that is unverified. Errors are told to the caller alone.
    pub(in crate::iot) fn rest_shadow(
        &mut self,
        cx: &mut Cx<'_>,
        thing: &str,
        name: Option<&str>,
        verb: ShadowVerb,
        payload: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        let asked = Asked { thing, name, verb, protocol: Protocol::Http };
        self.ask_shadow(cx, &asked, payload).map_err(|rejected| rejected.rejection.into())
    }

    /// Names of the named shadows of a thing that follow `after`, at most `count`, and whether there are more.
    pub(in crate::iot) fn named_shadows(
        &mut self,
        cx: &mut Cx<'_>,
        thing: &str,
        after: &str,
        count: usize,
    ) -> Result<(Vec<&str>, bool), AwsError> {
        let limits = self.shadows.limits(cx);
        request::check_names(&limits, thing, None)?;
        if !self.shadows.take_of_account(cx) {
            return Err(Rejection::THROTTLED.into());
        }
        cx.meter.add("iot", "ListThingShadow.Accepted", 1);
        Ok(self.shadows.named(thing, after, count))
    }

    fn ask_shadow(&mut self, cx: &mut Cx<'_>, asked: &Asked<'_>, payload: &[u8]) -> Result<Vec<u8>, Rejected> {
        let answer = self.answer_of_shadow(cx, asked, payload);
        let (code, reason) = match &answer {
            Ok(_) => {
                cx.meter.add("iot", asked.metric(), 1);
                (200, "")
            }
            Err(Rejected { rejection, .. }) => (rejection.code, &*rejection.message),
        };
        let fields = [
            ("name", asked.name.unwrap_or("").into()),
            ("verb", asked.verb().into()),
            ("protocol", asked.protocol.name().into()),
            ("code", u64::from(code).into()),
            ("reason", reason.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "iot", "shadow", asked.thing, &fields);
        answer
    }

    fn answer_of_shadow(&mut self, cx: &mut Cx<'_>, asked: &Asked<'_>, payload: &[u8]) -> Result<Vec<u8>, Rejected> {
        let limits = self.shadows.limits(cx);
        request::check_names(&limits, asked.thing, asked.name)?;
        self.shadows.take(cx, asked)?;
        match asked.verb {
            ShadowVerb::Get => self.shadows.get(cx, asked, payload),
            ShadowVerb::Delete => self.shadows.delete(cx, asked, payload),
            ShadowVerb::Update => {
                // Over MQTT the broker has counted the request itself.
                let counted = u64::from(asked.protocol == Protocol::Mqtt);
                if !self.take_inbound(cx, PUBLISHES_OF_AN_UPDATE - counted) {
                    cx.meter.add("iot", "PublishIn.Throttle", 1);
                    return Err(Rejection::THROTTLED.into());
                }
                self.shadows.update(cx, asked, payload)
            }
        }
    }
}
