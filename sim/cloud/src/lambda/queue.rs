//! Asynchronous invocations: the queue of events, and what becomes of an event that cannot be delivered.
//!
//! Source of the waits: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation". A
//! function that fails is tried again after one minute, then after two. A throttled event goes back into the queue and
//! waits for 1 second, doubled each time up to 5 minutes, until it is too old.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::destination::Destination;
use super::invoke::{Begin, Origin};
use super::invoke_config::{InvokeConfig, key_of};
use super::mapping::session;
use super::operate::checked_event;
use super::versions::Target;
use super::wakeup::Wakeup;
use super::{Lambda, Ports};
use crate::core::ports::Invocations as _;
use crate::core::{AwsError, Cx, EventFate, Service};
use world::mark;
use world::time::Time;
use world::trace::Level;

/// Wait before the first retry of an event whose function failed; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// First and longest wait of a throttled event.
const THROTTLE_FIRST: Duration = Duration::from_secs(1);
const THROTTLE_LONGEST: Duration = Duration::from_secs(300);
/// What an invocation answered.
#[derive(Debug)]
pub(super) struct Response {
    pub version: String,
    pub function_error: Option<&'static str>,
    pub body: Bytes,
}

/// An event that waits or is being processed.
#[derive(Debug)]
pub(super) struct Event {
    target: Target,
    payload: Bytes,
    request_id: String,
    received: Time,
    /// Invocations that have ended: all but the last one failed.
    failed: u64,
    /// What the last of them answered.
    response: Option<Response>,
    /// How long it waits when it is throttled next.
    throttled_wait: Duration,
}

impl Lambda {
    /// Takes an event for a function that exists, and answers its request id.
    pub(super) fn enqueue(&mut self, cx: &mut Cx<'_>, target: &Target, payload: Bytes) -> Result<String, AwsError> {
        let function = target.function.as_str();
        let max = cx.limits.get("lambda", "payload_async");
        if payload.len() as u64 > max {
            let message = format!("Request must be smaller than {max} bytes for the InvokeFunction operation");
            return Err(AwsError::new("RequestTooLargeException", message).status(413).with("Type", "User"));
        }
        let payload = checked_event(payload)?;
        let request_id = cx.uuid();
        let handler = self.functions.get(function).map_or("", |function| function.info.handler.as_str());
        let EventFate { twice, late } = cx.event_fate(handler);
        if !late.is_zero() {
            cx.trace.mark(cx.now, mark::EVENT_OVERTAKEN, function);
        }
        if twice {
            cx.trace.mark(cx.now, mark::EVENT_TWICE, function);
            self.queue_event(cx, target, payload.clone(), request_id.clone(), cx.now);
        }
        self.queue_event(cx, target, payload, request_id.clone(), cx.now + late);
        cx.meter.add("lambda", "AsyncEventsReceived", 1);
        Ok(request_id)
    }

    /// Puts an event into the queue, to be tried for the first time at an instant.
    fn queue_event(&mut self, cx: &mut Cx<'_>, target: &Target, payload: Bytes, request_id: String, at: Time) {
        let id = self.events;
        self.events += 1;
        let event = Event {
            target: target.clone(),
            response: None,
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
        let Some(function) = self.functions.get(&event.target.function) else {
            return self.drop_event(cx, ports, id, "FunctionNotFound");
        };
        let config = function.invoke_configs.get(key_of(&event.target));
        if cx.now.since(event.received) >= InvokeConfig::age(config, cx) {
            return self.drop_event(cx, ports, id, "EventAgeExceeded");
        }
        let is_told = config.is_some_and(|config| config.on_failure.is_some()) || function.info.dead_letters.is_some();
        if function.info.reserved_concurrency == Some(0) && is_told {
            return self.drop_event(cx, ports, id, "ZeroReservedConcurrency");
        }
        let (target, payload, request_id) = (event.target.clone(), event.payload.clone(), event.request_id.clone());
        let attempt = event.failed + 1;
        match self.admit(cx, ports, &target, false) {
            Ok(admitted) => {
                self.begin(
                    cx,
                    admitted,
                    Begin { origin: Origin::Event(id), payload, request_id, attempt, fields: &[] },
                );
            }
            Err(refusal) => {
                refusal.count(cx, &target.function, &[("attempt", attempt.into())]);
                let event = self.queue.get_mut(&id).expect("it was there just now");
                cx.timers.at(cx.now + event.throttled_wait, Service::Lambda, Wakeup::Event(id).token());
                event.throttled_wait = (event.throttled_wait * 2).min(THROTTLE_LONGEST);
            }
        }
    }

    /// An event's invocation has ended.
    pub(super) fn event_ended(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, id: u64, response: Response) {
        let event = self.queue.get_mut(&id).expect("an event stays until it is processed");
        let ok = response.function_error.is_none();
        event.response = Some(response);
        event.failed += 1;
        let config = self.functions.get(&event.target.function).map(|f| f.invoke_configs.get(key_of(&event.target)));
        if ok {
            if let (Some(event), Some(Some(config))) = (self.queue.remove(&id), config)
                && let Some(destination) = config.on_success.clone()
            {
                self.tell_of_event(cx, ports, &event, &destination, "Success");
            }
            return;
        }
        let retries = config.map_or(0, |config| InvokeConfig::retries(config, cx));
        if event.failed > retries {
            return self.drop_event(cx, ports, id, "RetriesExhausted");
        }
        let wait = RETRY_FIRST * 2_u32.saturating_pow(u32::try_from(event.failed - 1).unwrap_or(u32::MAX));
        cx.timers.at(cx.now + wait, Service::Lambda, Wakeup::Event(id).token());
    }

    fn drop_event(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, id: u64, reason: &'static str) {
        let Some(event) = self.queue.remove(&id) else { return };
        cx.meter.add("lambda", "AsyncEventsDropped", 1);
        let fields = [("reason", reason.into()), ("request_id", event.request_id.as_str().into())];
        let name = &event.target.function;
        cx.trace.event(Level::Call, cx.now, "lambda", "drop-event", name, &fields);
        let Some(function) = self.functions.get(name) else { return };
        let role = session(&function.info.role_arn, name, &cx.account.id);
        let config = function.invoke_configs.get(key_of(&event.target));
        let on_failure = config.and_then(|config| config.on_failure.clone());
        if let Some(topic) = function.info.dead_letters.clone() {
            // The event itself, without what is known of its failures: attributes of messages are not modelled.
            let message = String::from_utf8_lossy(&event.payload).into_owned();
            if let Err(error) = Destination::Topic(topic).send(cx, ports, &role, "", message) {
                cx.meter.add("lambda", "DeadLetterErrors", 1);
                let fields = [("code", error.code.into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "dead-letter-not-sent", name, &fields);
            }
        }
        if let Some(destination) = on_failure {
            self.tell_of_event(cx, ports, &event, &destination, reason);
        }
    }

    /// Tells a destination of an event's end. What cannot be told is counted and lost: that Lambda tries again is
    /// unverified.
    fn tell_of_event(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        event: &Event,
        destination: &Destination,
        condition: &str,
    ) {
        let Ok(info) = self.configured(cx, &event.target) else { return };
        let role = session(&info.role_arn, &info.name, &cx.account.id);
        let mut record = event.record(&info.arn, condition, cx.now);
        let told = match destination {
            Destination::Function(arn) => {
                self.invoke_event(&mut cx.acting_as(&role), arn, Bytes::from(record.to_string()))
            }
            other => {
                let is_topic = matches!(other, Destination::Topic(_));
                if is_topic && record.to_string().len() as u64 > cx.limits.get("sns", "message") {
                    // Without the payloads (Lambda guide, "Capturing records of asynchronous invocations").
                    let Value::Object(members) = &mut record else { unreachable!("a record is an object") };
                    members.retain(|name, _| !name.ends_with("Payload"));
                }
                let at = cx.now.to_datetime().format("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
                let key = format!("aws/lambda/async/{}/{at}-{}", info.name, cx.uuid());
                other.send(cx, ports, &role, &key, record.to_string())
            }
        };
        let fields = [("condition", condition.into()), ("request_id", event.request_id.as_str().into())];
        match told {
            Ok(()) => cx.trace.event(Level::Call, cx.now, "lambda", "tell-of-event", &info.name, &fields),
            Err(error) => {
                cx.meter.add("lambda", "DestinationDeliveryFailures", 1);
                let fields: Vec<_> = fields.into_iter().chain([("code", error.code.into())]).collect();
                cx.trace.event(Level::Call, cx.now, "lambda", "event-not-told", &info.name, &fields);
            }
        }
    }
}

impl Event {
    /// The record of the event's end (Lambda guide, "Capturing records of asynchronous invocations").
    fn record(&self, function_arn: &str, condition: &str, now: Time) -> Value {
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
        let mut record = json!({
            "version": "1.0",
            "timestamp": now.to_datetime().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": format!("{function_arn}:{}", key_of(&self.target)),
                "condition": condition,
                "approximateInvokeCount": self.failed,
            },
            "requestPayload": parsed(&self.payload),
        });
        if let Some(response) = &self.response {
            record["responseContext"] = json!({ "statusCode": 200, "executedVersion": response.version });
            if let Some(error) = response.function_error {
                record["responseContext"]["functionError"] = error.into();
            }
            record["responsePayload"] = parsed(&response.body);
        }
        record
    }
}
