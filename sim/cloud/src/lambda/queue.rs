//! Asynchronous invocations: the queue of events, and what becomes of an event that cannot be delivered.
//!
//! Source of the waits: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation". A
//! function that fails is tried again after one minute, then after two. A throttled event goes back into the queue and
//! waits for 1 second, doubled each time up to 5 minutes, until it is too old.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::invoke::{Begin, Origin};
use super::wakeup::Wakeup;
use super::{Lambda, Ports};
use crate::core::{AwsError, Cx, EventFate, Provisioned, Resource, Service};
use world::mark;
use world::time::Time;
use world::trace::Level;

/// Wait before the first retry of an event whose function failed; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// First and longest wait of a throttled event.
const THROTTLE_FIRST: Duration = Duration::from_secs(1);
const THROTTLE_LONGEST: Duration = Duration::from_secs(300);
/// The least `MaximumEventAgeInSeconds` (Lambda facts, "Execution model").
const AGE_MIN_S: u64 = 60;

/// How long events wait for a function, and how often they are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retention {
    pub retries: u64,
    pub age: Duration,
}

impl Retention {
    /// Lambda's defaults.
    pub fn new(cx: &Cx<'_>) -> Self {
        let limit = |name| cx.limits.get("lambda", name);
        Retention { retries: limit("async_retries"), age: Duration::from_secs(limit("async_max_age")) }
    }
}

/// An event that waits or is being processed.
#[derive(Debug)]
pub(super) struct Event {
    function: String,
    payload: Bytes,
    request_id: String,
    received: Time,
    /// Invocations that failed.
    failed: u64,
    /// How long it waits when it is throttled next.
    throttled_wait: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    function_name: String,
    qualifier: String,
    maximum_retry_attempts: Option<u64>,
    maximum_event_age_in_seconds: Option<u64>,
    destination_config: Option<Value>,
}

impl Lambda {
    /// Creates or changes `AWS::Lambda::EventInvokeConfig`. `is_new`: whether it is created, which CloudFormation refuses
    /// when the function has one.
    pub(super) fn put_retention(
        &mut self,
        cx: &Cx<'_>,
        resource: &Resource,
        is_new: bool,
    ) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        if properties.qualifier != "$LATEST" {
            return Err(resource.refuse(format!("Qualifier {:?}: only $LATEST is modelled", properties.qualifier)));
        }
        if properties.destination_config.as_ref().is_some_and(|config| *config != serde_json::json!({})) {
            return Err(resource.refuse("DestinationConfig is not modelled"));
        }
        let defaults = Retention::new(cx);
        let retries = properties.maximum_retry_attempts.unwrap_or(defaults.retries);
        let age_s = properties.maximum_event_age_in_seconds.unwrap_or(defaults.age.as_secs());
        let ranges = [
            ("MaximumRetryAttempts", retries, 0, defaults.retries),
            ("MaximumEventAgeInSeconds", age_s, AGE_MIN_S, defaults.age.as_secs()),
        ];
        if let Some((member, value, min, max)) = ranges.iter().find(|(_, value, min, max)| value < min || value > max) {
            return Err(resource.refuse(format!("{member} is {value}; Lambda takes {min} to {max}")));
        }
        let name = properties.function_name.as_str();
        let function = self.functions.get_mut(name).ok_or_else(|| super::rest::function_not_found(cx, name))?;
        if is_new && function.has_invoke_config {
            // Code of CloudFormation's handlers; the text is unverified.
            let message = format!("The function {name} has an EventInvokeConfig for $LATEST already.");
            return Err(AwsError::new("AlreadyExists", message));
        }
        function.has_invoke_config = true;
        function.retention = Retention { retries, age: Duration::from_secs(age_s) };
        Ok(Provisioned::new(format!("{name}|$LATEST")))
    }

    /// Deletes `AWS::Lambda::EventInvokeConfig`: the defaults come back.
    pub(super) fn reset_retention(&mut self, cx: &Cx<'_>, physical_id: &str) {
        let name = physical_id.split('|').next().unwrap_or_default();
        if let Some(function) = self.functions.get_mut(name) {
            function.retention = Retention::new(cx);
            function.has_invoke_config = false;
        }
    }

    /// Takes an event for a function that exists, and answers its request id.
    pub(super) fn enqueue(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<String, AwsError> {
        let max = cx.limits.get("lambda", "payload_async");
        if payload.len() as u64 > max {
            let message = format!("Request must be smaller than {max} bytes for the InvokeFunction operation");
            return Err(AwsError::new("RequestTooLargeException", message).status(413).with("Type", "User"));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&payload).is_err() {
            let message = "Could not parse request body into json";
            return Err(AwsError::new("InvalidRequestContentException", message).with("Type", "User"));
        }
        let request_id = cx.uuid();
        let handler = self.functions.get(function).map_or("", |function| function.info.handler.as_str());
        let EventFate { twice, late } = cx.event_fate(handler);
        if !late.is_zero() {
            cx.trace.mark(cx.now, mark::EVENT_OVERTAKEN, function);
        }
        if twice {
            cx.trace.mark(cx.now, mark::EVENT_TWICE, function);
            self.queue_event(cx, function, payload.clone(), request_id.clone(), cx.now);
        }
        self.queue_event(cx, function, payload, request_id.clone(), cx.now + late);
        cx.meter.add("lambda", "AsyncEventsReceived", 1);
        Ok(request_id)
    }

    /// Puts an event into the queue, to be tried for the first time at an instant.
    fn queue_event(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes, request_id: String, at: Time) {
        let id = self.events;
        self.events += 1;
        let event = Event {
            function: function.to_owned(),
            payload,
            request_id,
            received: cx.now,
            failed: 0,
            throttled_wait: THROTTLE_FIRST,
        };
        self.queue.insert(id, event);
        cx.timers.at(at, Service::Lambda, Wakeup::Event(id).token());
    }

    /// Tries to have an event processed.
    pub(super) fn attempt(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, id: u64) {
        let Some(event) = self.queue.get(&id) else { return };
        let Some(function) = self.functions.get(&event.function) else {
            return self.drop_event(cx, id, "FunctionNotFound");
        };
        if cx.now.since(event.received) >= function.retention.age {
            return self.drop_event(cx, id, "EventAgeExceeded");
        }
        let (name, payload, request_id) = (event.function.clone(), event.payload.clone(), event.request_id.clone());
        let attempt = event.failed + 1;
        match self.admit(cx, ports, &name, false) {
            Ok(admitted) => {
                self.begin(
                    cx,
                    admitted,
                    Begin { origin: Origin::Event(id), payload, request_id, attempt, fields: &[] },
                );
            }
            Err(refusal) => {
                refusal.count(cx, &name, &[("attempt", attempt.into())]);
                let event = self.queue.get_mut(&id).expect("it was there just now");
                cx.timers.at(cx.now + event.throttled_wait, Service::Lambda, Wakeup::Event(id).token());
                event.throttled_wait = (event.throttled_wait * 2).min(THROTTLE_LONGEST);
            }
        }
    }

    /// An event's invocation has ended.
    pub(super) fn event_ended(&mut self, cx: &mut Cx<'_>, id: u64, ok: bool) {
        if ok {
            self.queue.remove(&id);
            return;
        }
        let event = self.queue.get_mut(&id).expect("an event stays until it is processed");
        let retries = self.functions.get(&event.function).map_or(0, |function| function.retention.retries);
        if event.failed >= retries {
            return self.drop_event(cx, id, "RetriesExhausted");
        }
        let wait = RETRY_FIRST * 2_u32.saturating_pow(u32::try_from(event.failed).unwrap_or(u32::MAX));
        event.failed += 1;
        cx.timers.at(cx.now + wait, Service::Lambda, Wakeup::Event(id).token());
    }

    fn drop_event(&mut self, cx: &mut Cx<'_>, id: u64, reason: &'static str) {
        let Some(event) = self.queue.remove(&id) else { return };
        cx.meter.add("lambda", "AsyncEventsDropped", 1);
        let fields = [("reason", reason.into()), ("request_id", event.request_id.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "lambda", "drop-event", &event.function, &fields);
    }
}
