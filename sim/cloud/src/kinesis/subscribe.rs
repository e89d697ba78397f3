//! `SubscribeToShard`: records are pushed to a consumer as events, for five minutes.
//!
//! An event follows a record after 70 ms (guide: "typically 70 milliseconds"); one without records every 5 s (unverified).
//! What one event carries, up to 2 MiB or one larger record, is paid for before the next is sent, so that a consumer gets 2
//! MiB/s from a shard. Nothing is sent while more than 2 MiB of what was sent waits to be read: the window of AWS's HTTP/2
//! stream, whose size is unverified. A subscription that another call takes over ends with `ResourceInUseException`; that of a consumer or
//! stream that goes ends with `ResourceNotFoundException`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::consumers::{consumer_not_found, of_arn};
use super::event_stream::{Message, encode};
use super::get::{ITERATOR_TYPES, children, put_records, start};
use super::log::Room;
use super::quotas::Quotas;
use super::shard::{Push, Read};
use super::stream::{Status, Stream};
use super::wire::{ARN_CHARS, Checks, Text, parse, put, shard_not_found, text, time};
use super::work::TickKind;
use super::{Kinesis, SERVICE};
use crate::core::ports::render_sequence_number;
use crate::core::{AwsError, Cx, Effect, EventStream, Outcome, Principal, Service, TokenBucket, Unread};
use world::time::Time;
use world::trace::Level;

/// How long after a record its event is sent.
const PROPAGATION: Duration = Duration::from_millis(70);
/// How long after an event one without records is sent. AWS publishes no figure: unverified.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SubscribeInput<'a> {
    #[serde(borrow, rename = "ConsumerARN")]
    consumer_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    starting_position: Option<StartingPosition<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StartingPosition<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(borrow)]
    sequence_number: Option<Text<'a>>,
    timestamp: Option<f64>,
}

/// After how long, at most, a subscription is looked at again that nothing may be sent to now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of a consumer at a shard.
#[derive(Debug)]
pub(super) struct Subscription {
    calls: TokenBucket,
    /// When the last call succeeded.
    begun: Option<Time>,
    /// What that call has opened, until it ends.
    open: Option<Open>,
}

impl Subscription {
    /// Whether it lasts.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// A subscription that lasts.
#[derive(Debug)]
struct Open {
    stream: EventStream,
    /// What was sent and is not read.
    unread: Unread,
    caller: Principal,
    /// Offset of the next record.
    offset: u64,
    ends: Time,
    /// When the last event was sent.
    sent: Time,
    /// What the consumer may be pushed: when it is full, what was sent before is paid for.
    rate: TokenBucket,
}

impl Open {
    /// For how long nothing may be sent: records that were sent are not paid for while more of them wait, or more than an
    /// event of the largest size waits to be read, as when the window of an HTTP/2 stream is full.
    fn waits(&mut self, now: Time, unread_max: u64, is_behind: bool) -> Option<Duration> {
        let is_stalled = self.unread.bytes() as u64 > unread_max;
        let unpaid = if is_behind { self.unpaid(now) } else { Duration::ZERO };
        let wait = if is_stalled { LOOK_AGAIN } else { unpaid };
        (!wait.is_zero()).then_some(wait)
    }

    /// How long until what was sent is paid for, or until it may be another while.
    fn unpaid(&mut self, now: Time) -> Duration {
        self.rate.wait_until_full(now).unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
    }

    fn send(&mut self, cx: &mut Cx<'_>, message: Message<'_>, payload: &[u8]) {
        self.sent = cx.now;
        cx.effects.push(Effect::StreamEvent { stream: self.stream, bytes: Bytes::from(encode(message, payload)) });
    }

    /// Sends an error, if there is one, and ends.
    fn end(mut self, cx: &mut Cx<'_>, error: Option<AwsError>) {
        if let Some(error) = error {
            let payload = json!({ "message": error.message }).to_string();
            self.send(cx, Message::Exception(error.code), payload.as_bytes());
        }
        cx.effects.push(Effect::StreamEnd { stream: self.stream });
    }
}

impl Kinesis {
    /// `SubscribeToShard`. What is answered is the beginning of the stream of events.
    pub(super) fn subscribe_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: SubscribeInput<'_> = parse("SubscribeToShard", body)?;
        let mut checks = Checks::default();
        let arn = checks.required(text(&input.consumer_arn), "consumerARN").unwrap_or_default();
        let shard_id = checks.required(text(&input.shard_id), "shardId").unwrap_or_default();
        let position = checks.required(input.starting_position.as_ref(), "startingPosition");
        let kind = position.and_then(|position| checks.required(text(&position.r#type), "startingPosition.type"));
        if let Some(kind) = kind {
            let constraint = format_args!("Member must satisfy enum value set: [{}]", ITERATOR_TYPES.join(", "));
            checks.value(ITERATOR_TYPES.contains(&kind), kind, "startingPosition.type", constraint);
        }
        checks.name(text(&input.shard_id), "shardId");
        checks.length(text(&input.consumer_arn), "consumerARN", ARN_CHARS);
        let number = position.and_then(|position| text(&position.sequence_number));
        checks.sequence_number(number, "startingPosition.sequenceNumber");
        checks.finish()?;
        cx.authorize("kinesis:SubscribeToShard", arn)?;
        let quotas = self.quotas(cx);
        let missing = || consumer_not_found(arn, &cx.account.id);
        let (name, consumer) = of_arn(cx, arn).ok_or_else(missing)?;
        let stream = self.streams.get_mut(name).ok_or_else(missing)?;
        let (consumer, known) = stream.consumers.get_key_value(consumer).ok_or_else(missing)?;
        let (consumer, is_active) = (consumer.clone(), known.status == Status::Active && known.arn == arn);
        if !is_active || !stream.is_usable() {
            // The text is unverified.
            return Err(AwsError::new("ResourceInUseException", format!("Consumer {arn} is not ACTIVE.")));
        }
        let index = stream.shard_index(shard_id).ok_or_else(|| shard_not_found(shard_id, name, &cx.account.id))?;
        let shard = stream.shards[index].index;
        stream.may_subscribe(cx, &quotas, shard, &consumer)?;
        let timestamp = position.and_then(|position| position.timestamp).map(time);
        let offset = start(cx, stream, index, kind.unwrap_or_default(), number, timestamp)?;
        let push = match stream.shards[index].push {
            Some(push) => push,
            None => Push { token: self.ticks.reserve(stream, TickKind::Push(shard)), armed: Time::MAX },
        };
        stream.shards[index].push = Some(push);
        let stream_id = EventStream(self.next_event_stream);
        self.next_event_stream += 1;
        let unread = Unread::default();
        self.opened = Some((stream_id, unread.clone()));
        let fields = [("consumer", (&*consumer).into()), ("shard", index.into()), ("offset", offset.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "SubscribeToShard", name, &fields);
        stream.open(cx, &quotas, (shard, consumer), (stream_id, unread), offset);
        cx.meter.add(SERVICE, "SubscribeToShard.Success", 1);
        Ok(encode(Message::Event("initial-response"), b"{}"))
    }

    /// The stream of events that the last call has opened, and what of it is not read: whoever sends it says so.
    pub fn take_opened(&mut self) -> Option<(EventStream, Unread)> {
        self.opened.take()
    }

    /// Nobody listens to a stream of events any more.
    pub fn event_stream_closed(&mut self, stream: EventStream) {
        let all = self.streams.values_mut().flat_map(|stream| stream.subscriptions.values_mut());
        for subscription in all {
            if subscription.open.as_ref().is_some_and(|open| open.stream == stream) {
                subscription.open = None;
            }
        }
    }

    /// Sends to a shard's subscribers what is due.
    pub(super) fn push(&mut self, cx: &mut Cx<'_>, name: &str, shard: u32) {
        let quotas = self.quotas(cx);
        let Some(stream) = self.streams.get_mut(name) else { return };
        // A wake-up that an earlier one has overtaken is none.
        let due = |push: &&mut Push| push.armed <= cx.now;
        let Some(push) = stream.shards[shard as usize].push.as_mut().filter(due) else { return };
        push.armed = Time::MAX;
        let token = push.token;
        let range = (shard, Arc::from(""))..(shard + 1, Arc::from(""));
        let keys: Vec<(u32, Arc<str>)> = stream.subscriptions.range(range).map(|(key, _)| key.clone()).collect();
        let mut next = Time::MAX;
        for key in keys {
            let open = stream.subscriptions.get_mut(&key).and_then(|subscription| subscription.open.take());
            let Some(open) = open else { continue };
            let (open, due) = stream.serve(cx, &quotas, shard, open);
            next = next.min(due);
            stream.subscriptions.entry(key).and_modify(|subscription| subscription.open = open);
        }
        if next < Time::MAX {
            stream.arm_push(cx, shard as usize, next);
            return;
        }
        stream.shards[shard as usize].push = None;
        stream.forget_subscriptions();
        stream.watch();
        self.ticks.release(token);
    }
}

impl Stream {
    /// Whether a consumer may subscribe to a shard now.
    fn may_subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        shard: u32,
        consumer: &Arc<str>,
    ) -> Result<(), AwsError> {
        let rate = || TokenBucket::per_second(quotas.subscribe_calls, cx.now).scaled(&quotas.scale);
        let new = || Subscription { calls: rate(), begun: None, open: None };
        let subscription = self.subscriptions.entry((shard, consumer.clone())).or_insert_with(new);
        // The texts are unverified.
        if !subscription.calls.try_take(cx.now, 1) {
            cx.meter.add(SERVICE, "SubscribeToShard.RateExceeded", 1);
            let message = format!("Rate exceeded for consumer {consumer} and shard {shard} in stream {}.", self.name);
            return Err(AwsError::new("LimitExceededException", message));
        }
        let takeover = Duration::from_secs(quotas.takeover_secs);
        if subscription.begun.is_some_and(|begun| cx.now < begun + takeover) {
            cx.meter.add(SERVICE, "SubscribeToShard.RateExceeded", 1);
            let message = format!("Another active subscription exists for this consumer: {}, {consumer}.", self.name);
            return Err(AwsError::new("ResourceInUseException", message));
        }
        Ok(())
    }

    /// Opens a subscription, in the place of the one that the consumer has.
    fn open(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        key: (u32, Arc<str>),
        (stream, unread): (EventStream, Unread),
        offset: u64,
    ) {
        let shard = key.0 as usize;
        let ends = cx.now + Duration::from_secs(quotas.subscription_secs);
        let (caller, sent) = (cx.caller.clone(), cx.now - HEARTBEAT);
        let rate = TokenBucket::per_second(quotas.push_bytes, cx.now).scaled(&quotas.scale);
        let open = Open { stream, unread, caller, offset, ends, sent, rate };
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return };
        subscription.begun = Some(cx.now);
        if let Some(before) = subscription.open.replace(open) {
            let message = "Consumer has been taken over by another subscription.";
            before.end(cx, Some(AwsError::new("ResourceInUseException", message)));
        }
        self.watch();
        self.arm_push(cx, shard, cx.now + PROPAGATION);
    }

    /// Sends a subscriber what is due. Answers the subscription, if it goes on, and when more may be due.
    fn serve(&mut self, cx: &mut Cx<'_>, quotas: &Quotas, shard: u32, mut open: Open) -> (Option<Open>, Time) {
        if cx.now >= open.ends {
            open.end(cx, None);
            return (None, Time::MAX);
        }
        let (cutoff, index) = (self.cutoff(cx.now), shard as usize);
        let is_behind = open.offset < self.shards[index].log.end();
        if let Some(wait) = open.waits(cx.now, quotas.push_bytes, is_behind) {
            let due = (cx.now + wait).min(open.ends);
            return (Some(open), due);
        }
        let room = Room { records: quotas.read_records_max, bytes: quotas.push_bytes as usize };
        let read = self.shards[index].peek(cx.now, open.offset, cutoff, room);
        if !read.records.is_empty() || read.at_end || cx.now >= open.sent + HEARTBEAT {
            if let Err(error) = self.deliver(cx, &mut open, index, &read) {
                cx.meter.call(SERVICE, "SubscribeToShardEvent", Outcome::Error);
                open.end(cx, Some(error));
                return (None, Time::MAX);
            }
            open.offset = read.next;
            open.rate.overdraw(cx.now, read.bytes);
            if read.at_end {
                open.end(cx, None);
                return (None, Time::MAX);
            }
        }
        let is_behind = read.next < self.shards[index].log.end();
        let due = if is_behind { cx.now + open.unpaid(cx.now) } else { open.sent + HEARTBEAT };
        let due = due.min(open.ends);
        (Some(open), due)
    }

    /// Sends an event.
    fn deliver(&mut self, cx: &mut Cx<'_>, open: &mut Open, index: usize, read: &Read) -> Result<(), AwsError> {
        if let (Some(oldest), Some(newest)) = (read.records.first(), read.records.last()) {
            let caller = open.caller.clone();
            self.encryption.may_read(&mut cx.acting_as(&caller), &self.arn, oldest.arrival, newest.arrival)?;
        }
        let mut event = Vec::with_capacity(read.bytes as usize / 3 * 4 + read.records.len() * 200 + 256);
        put!(&mut event, r#"{{"MillisBehindLatest":{},"#, read.millis_behind_latest);
        if read.at_end {
            put!(&mut event, r#""ChildShards":{},"#, children(self, index));
        } else {
            let number = render_sequence_number(self.shards[index].continuation(read.next, cx.now));
            put!(&mut event, r#""ContinuationSequenceNumber":"{number}","#);
        }
        event.extend_from_slice(br#""Records":["#);
        put_records(&mut event, self, &read.records);
        event.extend_from_slice(b"]}");
        open.send(cx, Message::Event("SubscribeToShardEvent"), &event);
        cx.meter.call(SERVICE, "SubscribeToShardEvent", Outcome::Ok);
        for (name, value) in [
            ("SubscribeToShardEvent.Success", 1),
            ("SubscribeToShardEvent.Records", read.records.len() as u64),
            ("SubscribeToShardEvent.Bytes", read.bytes),
            ("SubscribeToShardEvent.MillisBehindLatest", read.millis_behind_latest),
        ] {
            cx.meter.add(SERVICE, name, value);
        }
        if self.on_demand.is_some() {
            cx.meter.add(SERVICE, "ondemand_efo_out_bytes", read.bytes);
        }
        let fields = [
            ("shard", index.into()),
            ("next", read.next.into()),
            ("records", read.records.len().into()),
            ("bytes", read.bytes.into()),
        ];
        cx.trace.event(Level::Call, cx.now, SERVICE, "SubscribeToShardEvent", &self.name, &fields);
        Ok(())
    }

    /// Asks to be woken for a shard's subscribers.
    fn arm_push(&mut self, cx: &mut Cx<'_>, shard: usize, due: Time) {
        let Some(push) = &mut self.shards[shard].push else { return };
        if due < push.armed {
            push.armed = due;
            cx.timers.at(due, Service::Kinesis, push.token);
        }
    }

    /// A record has arrived at a shard that may have subscribers.
    pub(super) fn push_soon(&mut self, cx: &mut Cx<'_>, shard: usize) {
        self.arm_push(cx, shard, cx.now + PROPAGATION);
    }

    /// Subscribers of shards that were closed are told soon.
    pub(super) fn push_ends(&mut self, cx: &mut Cx<'_>) {
        for shard in 0..self.shards.len() {
            if self.shards[shard].closed.is_some() {
                self.push_soon(cx, shard);
            }
        }
    }

    /// Forgets who was subscribed to shards that have expired.
    pub(super) fn forget_subscriptions(&mut self) {
        let shards = &self.shards;
        self.subscriptions
            .retain(|(shard, _), subscription| subscription.is_open() || !shards[*shard as usize].expired);
    }

    /// Ends the subscriptions of a consumer that goes.
    pub(super) fn end_subscriptions(&mut self, cx: &mut Cx<'_>, consumer: &str) {
        let message = format!("Consumer {consumer}, account {} not found.", cx.account.id);
        let gone = AwsError::new("ResourceNotFoundException", message);
        self.subscriptions.retain(|(_, name), subscription| {
            let goes = **name == *consumer;
            if goes && let Some(open) = subscription.open.take() {
                open.end(cx, Some(gone.clone()));
            }
            !goes
        });
    }

    /// Ends all subscriptions of a stream that goes.
    pub(super) fn end_all_subscriptions(&mut self, cx: &mut Cx<'_>) {
        let consumers: Vec<Arc<str>> = self.consumers.keys().cloned().collect();
        consumers.iter().for_each(|consumer| self.end_subscriptions(cx, consumer));
    }
}
