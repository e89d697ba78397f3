//! An MQTT 3.1.1 session as a pure step: (state, now, random, input) to outputs. Packet ids, the in-flight window,
//! collisions and pings are rumqttc's client state; the bytes are rumqttc's codec. Around them: a queue of readings
//! that survives reconnects, pacing, time-outs, and reconnects with back-off.
//!
//! **Sessions are clean.** After a reconnect neither side remembers packets of the connection before (MQTT 3.1.1,
//! 3.1.2.4), so an unacknowledged reading is published anew: with a new packet id and DUP 0, because DUP marks a second
//! delivery of the same packet within a session. Readings keep their order and their sequence numbers.
//!
//! **The queue is bounded.** When it is full, the oldest message that is not in flight gives way to the new reading and is
//! reported; when all are in flight, the new one does. What is no reading never makes another message give way.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::RngExt as _;
use rumqttc::{Connect, ConnectReturnCode, MqttState, Packet, PingReq, Publish, QoS, Request};

use super::join::Step;
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Largest packet in either direction: 128 KiB of payload (AWS IoT Core quotas) and a header.
const PACKET_BYTES_MAX: usize = 129 * 1024;

/// Numbers of a session. Choices of this simulator unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Keep-alive that CONNECT announces. AWS IoT Core allows 30 to 1,200 s.
    pub keep_alive: Duration,
    /// A connection that has sent nothing for so long sends a PINGREQ. Less than `keep_alive`.
    pub ping_after: Duration,
    /// Longest wait for a PINGRESP.
    pub ping_timeout: Duration,
    /// Longest wait for a PUBACK. The connection is given up then: MQTT 3.1.1 repeats a packet on a new one only.
    pub ack_timeout: Duration,
    /// Longest wait from the start of a connect to its CONNACK.
    pub connect_timeout: Duration,
    /// Back-off before the n-th reconnect in a row is drawn from 0 to this times 2^n ("full jitter").
    pub backoff_base: Duration,
    /// Largest range of that draw.
    pub backoff_max: Duration,
    /// Publishes that may wait for their PUBACK. AWS IoT Core takes up to 100.
    pub in_flight_max: u16,
    /// Publishes a second. AWS IoT Core discards what exceeds 100 a second and connection.
    pub publishes_per_second: u32,
    /// Publishes that may follow one another without a pause.
    pub publish_burst: u32,
    /// Readings that a device keeps until they are acknowledged.
    pub queue_max: usize,
    /// First connects of all devices of a run, a second. AWS IoT Core takes 3,000 CONNECTs a second and account in its
    /// large Regions, and 100 elsewhere.
    pub connects_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            keep_alive: Duration::from_secs(60),
            ping_after: Duration::from_secs(45),
            ping_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            in_flight_max: 20,
            publishes_per_second: 80,
            publish_burst: 10,
            queue_max: 10_000,
            connects_per_second: 400,
        }
    }
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection that was asked for is open.
    Connected,
    /// The connection is gone, or could not be opened.
    Disconnected,
    /// Bytes arrived.
    Bytes(&'a [u8]),
    /// Time passed, or a reading was queued.
    Tick,
}

/// What a session asks of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a connection.
    Connect,
    /// Close the connection.
    Close,
}

/// What a session reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The broker accepted the session.
    Accepted,
    /// A connect failed, or a connection was lost.
    Lost {
        /// Why, in plain words.
        reason: &'static str,
    },
    /// A message was handed to the connection.
    Sent {
        /// Which.
        message: Message,
        /// Payload.
        payload: Bytes,
    },
    /// A message was acknowledged, and is forgotten.
    Acknowledged {
        /// Which.
        message: Message,
    },
    /// A device that joins by itself took a step.
    Joining(Step),
    /// A message was given up: the queue was full, or it is not to be sent again.
    Dropped {
        /// Which.
        message: Message,
    },
}

/// What a device publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A reading, by its sequence number.
    Reading(u64),
    /// A reading that is published once more beside itself.
    Copy(u64),
    /// A message that is no reading, by its number in the truth.
    Stray(u32),
    /// A message above the broker's limit. It is sent once: it goes with its connection.
    Oversized,
}

/// Outputs of steps, gathered until they are carried out.
#[derive(Debug, Default)]
pub struct Outputs {
    /// For the connection: what to do. The latest command counts.
    pub command: Option<Command>,
    /// Bytes to send, before `command` is carried out.
    pub send: BytesMut,
    /// Reports, in order.
    pub events: Vec<SessionEvent>,
}

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

#[derive(Debug)]
struct Queued {
    message: Message,
    payload: Bytes,
    /// 0 when it is not in flight.
    packet_id: u16,
    sent_at: Time,
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
    /// Unacknowledged messages, readings by seq; the first `in_flight` of them are in flight.
    queue: VecDeque<Queued>,
    in_flight: usize,
    last_sent: Time,
    ping_sent: Option<Time>,
    /// When the publishes so far would all have been due at an even pace.
    paced_until: Time,
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
            queue: VecDeque::new(),
            in_flight: 0,
            last_sent: Time::EPOCH,
            ping_sent: None,
            paced_until: Time::EPOCH,
        }
    }

    /// Messages that are not acknowledged yet.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Messages that wait for their PUBACK.
    pub fn in_flight(&self) -> usize {
        self.in_flight
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
    pub fn enqueue(&mut self, room: usize, message: Message, payload: Bytes, out: &mut Outputs) -> bool {
        let is_reading = matches!(message, Message::Reading(_));
        while self.queue.len() >= room {
            if !is_reading || !self.make_room(out) {
                if is_reading {
                    out.events.push(SessionEvent::Dropped { message });
                }
                return false;
            }
        }
        self.queue.push_back(Queued { message, payload, packet_id: 0, sent_at: Time::EPOCH });
        true
    }

    /// Gives up the oldest message that is not in flight, and with a reading its copy.
    fn make_room(&mut self, out: &mut Outputs) -> bool {
        let Some(oldest) = self.queue.remove(self.in_flight) else { return false };
        out.events.push(SessionEvent::Dropped { message: oldest.message });
        if let (Message::Reading(seq), Some(next)) = (oldest.message, self.queue.get(self.in_flight))
            && next.message == Message::Copy(seq)
        {
            out.events.push(SessionEvent::Dropped { message: next.message });
            self.queue.remove(self.in_flight);
        }
        true
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
                let kept = self.keep_alive(settings, now, out).and_then(|()| self.publish(settings, now, out));
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
                let oldest = self.queue.front().filter(|_| self.in_flight > 0);
                let ack = oldest.map_or(Time::MAX, |queued| queued.sent_at + settings.ack_timeout);
                let publish = if self.may_publish(settings) { self.paced_at(settings) } else { Time::MAX };
                ping.min(ack).min(publish)
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
        connect.clean_session = true;
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
                    self.phase = Phase::Up;
                    out.events.push(SessionEvent::Accepted);
                    self.publish(settings, now, out)
                }
                Packet::ConnAck(_) => Err("refused by the broker"),
                _ => Err("no CONNACK"),
            };
        }
        let acknowledged = match &packet {
            Packet::PubAck(ack) => Some(ack.pkid),
            _ => None,
        };
        if packet == Packet::PingResp {
            self.ping_sent = None;
            self.failures = 0;
        }
        let answer = self.state()?.handle_incoming_packet(packet).map_err(|_| "unexpected packet")?;
        if let Some(packet_id) = acknowledged {
            self.failures = 0;
            let position = self.queue.range(..self.in_flight).position(|queued| queued.packet_id == packet_id);
            if let Some(queued) = position.and_then(|position| self.queue.remove(position)) {
                self.in_flight -= 1;
                out.events.push(SessionEvent::Acknowledged { message: queued.message });
            }
        }
        self.send(now, answer, out);
        if acknowledged.is_some() { self.publish(settings, now, out) } else { Ok(()) }
    }

    /// Publishes what the window and the pace allow.
    fn publish(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        while self.may_publish(settings) && self.paced_at(settings) <= now {
            let payload = self.queue[self.in_flight].payload.clone();
            let publish = Publish::from_bytes(&*self.topic, QoS::AtLeastOnce, payload);
            let state = self.state()?;
            let packet = state.handle_outgoing_packet(Request::Publish(publish)).map_err(|_| "no packet id")?;
            // Without a packet the publish waits in the state: its packet id is still in use.
            let parked = state.collision.as_ref().map_or(0, |publish| publish.pkid);
            let packet_id = if let Some(Packet::Publish(publish)) = &packet { publish.pkid } else { parked };
            let queued = &mut self.queue[self.in_flight];
            queued.packet_id = packet_id;
            queued.sent_at = now;
            self.in_flight += 1;
            self.paced_until = self.paced_until.max(now) + Duration::from_secs(1) / settings.publishes_per_second;
            self.send(now, packet, out);
        }
        Ok(())
    }

    fn may_publish(&self, settings: &Settings) -> bool {
        let parked = self.state.as_ref().is_none_or(|state| state.collision.is_some());
        self.in_flight < self.queue.len().min(usize::from(settings.in_flight_max)) && !parked
    }

    /// From when on the pace allows the next publish.
    fn paced_at(&self, settings: &Settings) -> Time {
        let burst = settings.publish_burst.saturating_sub(1);
        self.paced_until - Duration::from_secs(1) / settings.publishes_per_second * burst
    }

    fn keep_alive(&mut self, settings: &Settings, now: Time, out: &mut Outputs) -> Result<(), &'static str> {
        let oldest = self.queue.front().filter(|_| self.in_flight > 0);
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
        if let Packet::Publish(publish) = packet {
            // The youngest reading with this packet id: an older one with the same id has just been acknowledged.
            let in_flight = self.queue.range_mut(..self.in_flight);
            if let Some(queued) = in_flight.rev().find(|queued| queued.packet_id == publish.pkid) {
                queued.sent_at = now;
                out.events.push(SessionEvent::Sent { message: queued.message, payload: publish.payload });
            }
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
        self.state = None;
        self.inbound = BytesMut::new();
        self.ping_sent = None;
        for queued in self.queue.range_mut(..self.in_flight) {
            queued.packet_id = 0;
        }
        let sent = std::mem::take(&mut self.in_flight);
        if self.queue.range(..sent).any(|queued| queued.message == Message::Oversized) {
            let mut position = 0;
            self.queue.retain(|queued| {
                position += 1;
                let goes = position <= sent && queued.message == Message::Oversized;
                if goes {
                    out.events.push(SessionEvent::Dropped { message: queued.message });
                }
                !goes
            });
        }
    }
}

fn write(packet: &Packet, out: &mut BytesMut) {
    packet.write(out, usize::MAX).expect("packets of a device are far smaller than MQTT allows");
}

#[cfg(test)]
mod tests;
