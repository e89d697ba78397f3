//! An MQTT 3.1.1 session as a pure step: (state, now, random, input) to outputs. Packet ids, the in-flight window,
//! collisions and pings are rumqttc's client state; the bytes are rumqttc's codec. Around them: a queue of readings
//! that survives reconnects, pacing, time-outs, subscriptions, and reconnects with back-off.
//!
//! **Clean sessions** are the rule. After a reconnect neither side remembers packets of the connection before (MQTT 3.1.1,
//! 3.1.2.4), so an unacknowledged reading is published anew: with a new packet id and DUP 0, because DUP marks a second
//! delivery of the same packet within a session. Readings keep their order and their sequence numbers.
//!
//! **Persistent sessions** ([`Session::persistent`]) outlive their connections, and a loss of power: the device keeps
//! unacknowledged messages with their packet ids, and its subscriptions, in flash. When the broker says that the session
//! goes on, they are published again first, in their order, with DUP and the same packet ids (MQTT 3.1.1, 4.4). When it says
//! that there is none, all is as with a clean session.
//!
//! **What arrives** is handed over and acknowledged in the same step. It is delivered at least once: duplicates are the
//! receiver's to recognise.
//!
//! **The queue is bounded.** When it is full, the oldest message that was not sent gives way to the new reading and is
//! reported; when all were sent, the new one does. What is no reading never makes another message give way.

mod messages;
mod queue;
mod settings;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::RngExt as _;
use rumqttc::{Connect, ConnectReturnCode, MqttState, Packet, PingReq, Publish, QoS, Request};

pub use self::messages::{Command, Input, Message, Outputs, Payload, SessionEvent};
use self::queue::Queue;
pub use self::settings::Settings;
use self::subscriptions::Subscriptions;
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Largest packet in either direction: 128 KiB of payload (AWS IoT Core quotas) and a header.
const PACKET_BYTES_MAX: usize = 129 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Without a connection until an instant.
    Waiting { until: Time },
    /// A connection is being opened.
    Connecting { deadline: Time },
    /// CONNECT is sent, CONNACK is not here yet.
    Greeting { deadline: Time },
    /// The session is open.
    Up,
}

/// One device's session.
#[derive(Debug)]
pub struct Session {
    client_id: Box<str>,
    topic: Box<str>,
    phase: Phase,
    failures: u32,
    state: Option<Box<MqttState>>,
    inbound: BytesMut,
    queue: Queue,
    is_persistent: bool,
    subscriptions: Option<Box<Subscriptions>>,
    last_sent: Time,
    ping_sent: Option<Time>,
    /// When the publishes so far would all have been due at an even pace.
    paced_until: Time,
    /// So many microseconds the device's clock is ahead.
    clock_ahead_us: i64,
}

impl Session {
    /// A session that connects for the first time at `connect_at`.
    pub fn new(client_id: &str, topic: &str, connect_at: Time) -> Self {
        Session {
            client_id: client_id.into(),
            topic: topic.into(),
            phase: Phase::Waiting { until: connect_at },
            failures: 0,
            state: None,
            inbound: BytesMut::new(),
            queue: Queue::default(),
            is_persistent: false,
            subscriptions: None,
            last_sent: Time::EPOCH,
            ping_sent: None,
            paced_until: Time::EPOCH,
            clock_ahead_us: 0,
        }
    }

    /// The same with a session that outlives its connections.
    pub fn persistent(mut self) -> Self {
        self.is_persistent = true;
        self
    }

    /// The same with subscriptions of QoS 1: one SUBSCRIBE, at most 8 filters (AWS IoT Core quotas). None when there is no
    /// filter.
    pub fn subscribing(mut self, filters: Vec<String>) -> Self {
        self.subscriptions = (!filters.is_empty()).then(|| Box::new(Subscriptions::new(filters)));
        self
    }

    /// Whether the session outlives its connections.
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// Messages that are not acknowledged yet.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Messages that wait for their PUBACK.
    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    /// The device starts again after a loss of power: the queue survives, the connection does not.
    pub fn restart(&mut self, now: Time, out: &mut Outputs) {
        self.forget_connection(out);
        self.failures = 0;
        if let Phase::Waiting { until } = &mut self.phase {
            *until = now.max(*until);
        } else {
            self.phase = Phase::Waiting { until: now };
        }
    }

    /// The first connect is not before `at`: the device has just joined.
    pub(super) fn connect_from(&mut self, at: Time) {
        if let Phase::Waiting { until } = &mut self.phase {
            *until = at.max(*until);
        }
    }

    /// Queues a message where there is room for `room` of them. A [`Input::Tick`] sends it when the connection allows.
    /// Answers whether it is queued.
    pub fn enqueue(&mut self, room: usize, message: Message, payload: impl Into<Payload>, out: &mut Outputs) -> bool {
        self.queue.push(room, message, payload.into(), out)
    }

    /// The device's clock is ahead by so many microseconds from now on.
    pub fn set_clock(&mut self, ahead_us: i64) {
        self.clock_ahead_us = ahead_us;
    }

    /// Queues a message on a topic of its own, before the readings that were not sent yet.
    pub fn enqueue_note(&mut self, number: u64, topic: Arc<str>, payload: Bytes) {
        self.queue.push_note(number, topic, payload);
    }

    /// Takes notes back that were not sent.
    pub fn drop_notes(&mut self, out: &mut Outputs) {
        self.queue.drop_notes(out);
    }

    /// Takes one step.
    pub fn step(&mut self, settings: &Settings, now: Time, rng: &mut Rng, input: Input<'_>, out: &mut Outputs) {
        match (input, self.phase) {
            (Input::Connected, Phase::Connecting { deadline }) => self.greet(settings, now, deadline, out),
            (Input::Disconnected, Phase::Waiting { .. }) => {}
            (Input::Disconnected, Phase::Connecting { .. }) => self.lose(settings, now, rng, "no connection", out),
            (Input::Disconnected, _) => self.lose(settings, now, rng, "closed by the broker", out),
            (Input::Bytes(bytes), Phase::Greeting { .. } | Phase::Up) => {
                self.inbound.extend_from_slice(bytes);
                let read = self.read_packets(settings, now, out);
                self.or_fail(read, settings, now, rng, out);
            }
            (Input::Tick, Phase::Waiting { until }) if now >= until => {
                self.phase = Phase::Connecting { deadline: now + settings.connect_timeout };
                out.command = Some(Command::Connect);
            }
            (Input::Tick, Phase::Connecting { deadline } | Phase::Greeting { deadline }) if now >= deadline => {
                self.or_fail(Err("connect timed out"), settings, now, rng, out);
            }
            (Input::Tick, Phase::Up) => {
                let kept = self.keep_alive(settings, now, out);
                let kept = kept.and_then(|()| self.subscribe(settings, now, out));
                let kept = kept.and_then(|()| self.publish(settings, now, out));
                self.or_fail(kept, settings, now, rng, out);
            }
            (Input::Connected | Input::Bytes(_) | Input::Tick, _) => {}
        }
    }

    /// When the session next wants an [`Input::Tick`].
    pub fn wake_at(&self, settings: &Settings) -> Time {
        match self.phase {
            Phase::Waiting { until } => until,
            Phase::Connecting { deadline } | Phase::Greeting { deadline } => deadline,
            Phase::Up => {
                let ping = match self.ping_sent {
                    Some(sent) => sent + settings.ping_timeout,
                    None => self.last_sent + settings.ping_after,
                };
                let oldest = self.queue.oldest_in_flight();
                let ack = oldest.map_or(Time::MAX, |queued| queued.sent_at + settings.ack_timeout);
                let publish = if self.may_publish(settings) { self.paced_at(settings) } else { Time::MAX };
                let subscribe = self.subscriptions.as_ref().map_or(Time::MAX, |s| s.wake_at(settings));
                ping.min(ack).min(publish).min(subscribe)
            }
        }
    }

    fn greet(&mut self, settings: &Settings, now: Time, deadline: Time, out: &mut Outputs) {
        let mut state = MqttState::new(settings.in_flight_max, false);
        // The state keeps room for a hundred events, 17 KB a device. They are read nowhere: see `send`.
        state.events = VecDeque::new();
        self.state = Some(Box::new(state));
        let mut connect = Connect::new(&*self.client_id);
        connect.keep_alive = u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX);
        connect.clean_session = !self.is_persistent;
        write(&Packet::Connect(connect), &mut out.send);
        self.last_sent = now;
        self.phase = Phase::Greeting { deadline };
    }

    fn read_packets(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        loop {
            match Packet::read(&mut self.inbound, PACKET_BYTES_MAX) {
                Ok(packet) => self.receive(settings, now, packet, out)?,
                Err(rumqttc::Error::InsufficientBytes(_)) => break,
                Err(_) => return Err("malformed packet"),
            }
        }
        if self.inbound.is_empty() {
            self.inbound = BytesMut::new();
        }
        Ok(())
    }

    fn receive(
        &mut self,
        settings: &Settings,
        now: Time,
        packet: Packet,
        out: &mut Outputs,
    ) -> Result<(), &'static str> {
        if let Phase::Greeting { .. } = self.phase {
            return match packet {
                Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => {
                    self.begin(settings, now, ack.session_present, out)
                }
                Packet::ConnAck(_) => Err("refused by the broker"),
                _ => Err("no CONNACK"),
            };
        }
        let acknowledged = match &packet {
            Packet::PubAck(ack) => Some(ack.pkid),
            _ => None,
        };
        match &packet {
            Packet::PingResp => {
                self.ping_sent = None;
                self.failures = 0;
            }
            Packet::Publish(publish) => {
                let (topic, payload) = (publish.topic.clone(), publish.payload.clone());
                out.events.push(SessionEvent::Received { topic, payload });
            }
            Packet::SubAck(ack) => {
                let subscriptions = self.subscriptions.as_mut().ok_or("unexpected SUBACK")?;
                out.events.push(match subscriptions.answered(ack, now)? {
                    None => SessionEvent::Listening { anew: true },
                    Some(filter) => SessionEvent::NotListening { filter },
                });
            }
            _ => {}
        }
        let answer = self.state()?.handle_incoming_packet(packet).map_err(|_| "unexpected packet")?;
        if let Some(packet_id) = acknowledged {
            self.failures = 0;
            if let Some(message) = self.queue.acknowledged(packet_id) {
                out.events.push(SessionEvent::Acknowledged { message });
            }
        }
        self.send(now, answer, out);
        if acknowledged.is_some() { self.publish(settings, now, out) } else { Ok(()) }
    }

    /// The broker accepted the session; `present` when it has one of before.
    fn begin(&mut self, settings: &Settings, now: Time, present: bool, out: &mut Outputs) -> Result<(), &'static str> {
        let resumed = self.is_persistent && present;
        self.phase = Phase::Up;
        if !resumed {
            self.queue.forget_ids();
        }
        out.events.push(SessionEvent::Accepted { resumed });
        if self.subscriptions.as_mut().is_some_and(|subscriptions| subscriptions.begin(resumed, now)) {
            out.events.push(SessionEvent::Listening { anew: false });
        }
        self.subscribe(settings, now, out)?;
        self.publish(settings, now, out)
    }

    fn subscribe(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        let Some(subscriptions) = &mut self.subscriptions else { return Ok(()) };
        if subscriptions.is_overdue(settings, now) {
            return Err("no SUBACK");
        }
        if let Some(subscribe) = subscriptions.ask(settings, now) {
            write(&Packet::Subscribe(subscribe), &mut out.send);
            self.last_sent = now;
        }
        Ok(())
    }

    /// Publishes what the window and the pace allow.
    fn publish(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        while self.may_publish(settings) && self.paced_at(settings) <= now {
            let Some(next) = self.queue.next() else { break };
            let topic = next.topic.as_deref().unwrap_or(&self.topic);
            // A packet that is sent again is the same packet; a reading that is published anew is stamped anew.
            let clock_ms = now.unix_micros().saturating_add_signed(self.clock_ahead_us) / 1_000;
            let stamp_ms = if next.packet_id == 0 { clock_ms } else { next.stamp_ms };
            let mut publish = Publish::from_bytes(topic, QoS::AtLeastOnce, next.payload.handed_over(stamp_ms));
            // One that has an id already was sent in this session before.
            publish.pkid = next.packet_id;
            publish.dup = next.packet_id != 0;
            let state = self.state()?;
            let packet = state.handle_outgoing_packet(Request::Publish(publish)).map_err(|_| "no packet id")?;
            // Without a packet the publish waits in the state: its packet id is still in use.
            let parked = state.collision.as_ref().map_or(0, |publish| publish.pkid);
            let packet_id = if let Some(Packet::Publish(publish)) = &packet { publish.pkid } else { parked };
            self.queue.launch(packet_id, stamp_ms, now);
            self.paced_until = self.paced_until.max(now) + Duration::from_secs(1) / settings.publishes_per_second;
            self.send(now, packet, out);
        }
        Ok(())
    }

    fn may_publish(&self, settings: &Settings) -> bool {
        let parked = self.state.as_ref().is_none_or(|state| state.collision.is_some());
        self.queue.in_flight() < self.queue.len().min(usize::from(settings.in_flight_max)) && !parked
    }

    /// From when on the pace allows the next publish.
    fn paced_at(&self, settings: &Settings) -> Time {
        let burst = settings.publish_burst.saturating_sub(1);
        self.paced_until - Duration::from_secs(1) / settings.publishes_per_second * burst
    }

    fn keep_alive(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        let oldest = self.queue.oldest_in_flight();
        if oldest.is_some_and(|queued| now >= queued.sent_at + settings.ack_timeout) {
            return Err("no PUBACK");
        }
        match self.ping_sent {
            Some(sent) if now >= sent + settings.ping_timeout => Err("no PINGRESP"),
            None if now >= self.last_sent + settings.ping_after => {
                let ping = Request::PingReq(PingReq);
                let packet = self.state()?.handle_outgoing_packet(ping).map_err(|_| "no PINGRESP")?;
                self.ping_sent = Some(now);
                self.send(now, packet, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn state(&mut self) -> Result<&mut MqttState, &'static str> {
        self.state.as_deref_mut().ok_or("no session")
    }

    fn send(&mut self, now: Time, packet: Option<Packet>, out: &mut Outputs) {
        if let Some(state) = &mut self.state {
            state.events.clear();
        }
        let Some(packet) = packet else { return };
        write(&packet, &mut out.send);
        self.last_sent = now;
        if let Packet::Publish(publish) = packet
            && let Some((message, sent_at_ms)) = self.queue.sent(publish.pkid, now)
        {
            out.events.push(SessionEvent::Sent { message, payload: publish.payload, sent_at_ms });
        }
    }

    fn or_fail(
        &mut self,
        result: Result<(), &'static str>,
        settings: &Settings,
        now: Time,
        rng: &mut Rng,
        out: &mut Outputs,
    ) {
        if let Err(reason) = result {
            out.command = Some(Command::Close);
            self.lose(settings, now, rng, reason, out);
        }
    }

    fn lose(&mut self, settings: &Settings, now: Time, rng: &mut Rng, reason: &'static str, out: &mut Outputs) {
        self.forget_connection(out);
        let range = settings.backoff_base.saturating_mul(1 << self.failures.min(16)).min(settings.backoff_max);
        self.failures += 1;
        self.phase = Phase::Waiting { until: now + range.mul_f64(rng.random_range(0.0..1.0)) };
        out.events.push(SessionEvent::Lost { reason });
    }

    fn forget_connection(&mut self, out: &mut Outputs) {
        let parked = self.state.take().and_then(|state| state.collision).map(|publish| publish.pkid);
        self.inbound = BytesMut::new();
        self.ping_sent = None;
        self.queue.land(self.is_persistent, parked, out);
    }
}

fn write(packet: &Packet, out: &mut BytesMut) {
    packet.write(out, usize::MAX).expect("packets of a device are far smaller than MQTT allows");
}

#[cfg(test)]
mod tests;
