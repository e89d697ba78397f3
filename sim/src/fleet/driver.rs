//! Turns one device: its model, its session and its connection, in one task on a node of its own.

mod listen;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::alarm::Alarm;
use super::conn::{Conn, Ghost};
use super::content::Content;
use super::duties::Duties;
use super::fates::Fates;
use super::habits::Habits;
use super::joining::{Joining, rest};
use super::malformed::Malformed;
use super::model::Model;
use super::network::Line;
use super::payload::{Version, in_second_unit};
use super::plan::DevicePlan;
use super::runner::{Shared, lock};
use super::session::{Command, Input, Message, Outputs, Payload, Session, SessionEvent};
use super::spec::SessionKind;
use super::twin::Label;
use crate::world::clock;
use crate::world::mark;
use crate::world::seed::{Rng, Seed};
use crate::world::spotlight::Stage;
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// What survives a restart of the device: its memory that needs no power.
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) id: Box<str>,
    topic: Box<str>,
    certificate_id: Box<str>,
    line: Line,
    seed: Seed,
    model: Model,
    model_rng: Rng,
    /// (metric, unit) as the device directory declares them.
    units: Arc<[(String, String)]>,
    session: Session,
    session_rng: Rng,
    connects: u64,
    fates: Option<Arc<Fates>>,
    habits: Habits,
    duties: Option<Box<Duties>>,
    is_online: bool,
    offline_since: Time,
    turned_at: Time,
    pub(super) joining: Option<Box<Joining>>,
    /// The version of the payload that its first firmware writes.
    payload: Version,
    /// Whether it has queued a payload that will say the device's clock.
    stamps: bool,
}

impl Device {
    pub(super) fn new(
        index: u32,
        plan: &DevicePlan,
        seed: Seed,
        (start, connect_at): (Time, Time),
        fates: Option<Arc<Fates>>,
    ) -> Self {
        let mut model_rng = seed.child("model").rng();
        let topic = plan.topic();
        let duties = Duties::of(plan, seed);
        let mut session = Session::new(&plan.id, &topic, connect_at);
        if plan.session == SessionKind::Persistent {
            session = session.persistent();
        }
        if let Some(duties) = &duties {
            session = session.subscribing(duties.filters());
        }
        let model = Model::new(&plan.model, start, &mut model_rng);
        Device {
            index,
            id: plan.id.as_str().into(),
            session,
            topic: topic.into(),
            certificate_id: plan.certificate_id.as_str().into(),
            line: Line::of(plan, model.coverage()),
            seed,
            model,
            units: plan.units.as_slice().into(),
            model_rng,
            session_rng: seed.child("session").rng(),
            connects: 0,
            habits: Habits::new(fates.clone()),
            fates,
            duties,
            is_online: false,
            offline_since: start,
            turned_at: start,
            joining: Joining::of(plan, connect_at),
            payload: plan.payload,
            stamps: false,
        }
    }

    /// Whether the device still has rows of a series to play.
    pub(super) fn is_playing(&self) -> bool {
        self.model.is_replay() && self.model.due().is_some()
    }

    /// What is known beforehand of how the device fails.
    pub(super) fn planned_labels(&self) -> Vec<Label> {
        self.model.planned_labels()
    }

    /// Takes the readings that are due, and queues them.
    fn measure(&mut self, now: Time, shared: &Shared, scratch: &mut Scratch) {
        let was_playing = self.is_playing();
        let version = self.payload.of_firmware(self.model.firmware());
        while let Some(mut reading) = self.model.step(now, &mut self.model_rng) {
            reading.ts_ms = self.habits.clock(now, &shared.trace, &self.id);
            scratch.payload.clear();
            let unit = |metric: &str| self.units.iter().find(|(name, _)| name == metric).map(|(_, unit)| unit.as_str());
            let is_old = self.habits.is_old(now);
            let is_open = !is_old && version == Version::Two;
            let content = if is_open {
                let second = |metric: &str| unit(metric).map(|unit| in_second_unit(unit, 0.0).0);
                for (name, value) in &mut reading.metrics {
                    *value = unit(name).map_or(*value, |unit| in_second_unit(unit, *value).1);
                }
                reading.write_open_json(&mut scratch.payload, second);
                Content::measured(reading.recorded_at, &reading.metrics, second)
            } else {
                if is_old {
                    reading.write_old_json(&mut scratch.payload);
                } else {
                    reading.write_json(&mut scratch.payload);
                }
                Content::measured(reading.recorded_at, &reading.metrics, unit)
            };
            self.stamps |= is_open;
            let bytes = Bytes::copy_from_slice(scratch.payload.as_bytes());
            let payload = if is_open { Payload::open(bytes) } else { bytes.into() };
            let (seq, ts_ms) = (reading.seq, reading.ts_ms);
            lock(&shared.truth).published(self.index, seq, now, ts_ms, content);
            for label in self.model.labels() {
                lock(&shared.truth).labelled(self.index, seq, label);
            }
            for metric in self.model.plain_spikes() {
                lock(&shared.truth).spiked(self.index, seq, metric);
            }
            shared.queued.add(1);
            shared.trace.hop_on(now, Stage::Device, &self.id, seq, || "takes the reading into its queue".to_owned());
            let room = self.habits.room(now, shared.settings.queue_max);
            let queued = self.session.enqueue(room, Message::Reading(seq), payload.clone(), &mut scratch.out);
            if queued && self.fates.is_some() {
                self.misbehave(now, shared, (seq, ts_ms, payload), room, &mut scratch.out);
            }
        }
        if was_playing && !self.is_playing() {
            shared.playing.subtract(1);
        }
    }

    /// Queues what a fault makes the device send beside a reading, where there is room.
    fn misbehave(
        &mut self,
        now: Time,
        shared: &Shared,
        (seq, ts_ms, payload): (u64, u64, Payload),
        room: usize,
        out: &mut Outputs,
    ) {
        if self.habits.sends_twice(now) && self.session.enqueue(room, Message::Copy(seq), payload, out) {
            shared.queued.add(1);
        }
        if let Some(roll) = self.habits.sends_malformed(now) {
            let mut truth = lock(&shared.truth);
            let number = truth.next_stray();
            let Malformed { payload, passes } = Malformed::new(number, ts_ms, roll);
            if self.session.enqueue(room, Message::Stray(number), payload.clone(), out) {
                truth.stray_published(self.index, &payload, passes);
                shared.queued.add(1);
            }
        }
        if self.habits.sends_oversized(now)
            && self.session.enqueue(room, Message::Oversized, shared.oversized.clone(), out)
        {
            shared.queued.add(1);
        }
    }

    fn step(&mut self, now: Time, shared: &Shared, input: Input<'_>, out: &mut Outputs) {
        if self.stamps {
            self.session.set_clock(self.habits.clock_ahead_us(now));
        }
        let Some(joining) = self.joining.as_mut().filter(|joining| joining.join.joined().is_none()) else {
            return self.session.step(&shared.settings, now, &mut self.session_rng, input, out);
        };
        joining.join.step(&shared.settings, now, &mut self.session_rng, input, out);
        if let Some(certificate_id) = joining.join.joined() {
            self.certificate_id = certificate_id.into();
            self.session.connect_from(now + rest(&mut self.session_rng));
        }
    }

    /// When the session, or the joining before it, wants a tick.
    fn wake_at(&self, shared: &Shared) -> Time {
        match &self.joining {
            Some(joining) if joining.join.joined().is_none() => joining.join.wake_at(),
            _ => self.session.wake_at(&shared.settings),
        }
    }

    fn connect(&mut self, shared: &Shared) -> Connecting {
        let rng = self.seed.child("network").nth("connection", self.connects).rng();
        self.connects += 1;
        let claim = self.joining.as_ref().map(|joining| joining.join.certificate_id());
        let certificate_id = Box::<str>::from(claim.unwrap_or(&self.certificate_id));
        let line = self.line.clone();
        let (broker, line) = (shared.broker, if shared.stopped.get() { line.in_peace() } else { line });
        let fates = self.fates.clone();
        Box::pin(async move { Conn::connect(broker, &certificate_id, line, rng, fates).await })
    }

    /// Writes what the session reports into the trace, the truth and the counters.
    fn report(&mut self, now: Time, shared: &Shared, event: &SessionEvent) {
        let (level, kind, fields): (_, _, &[(&'static str, Field<'_>)]) = match event {
            SessionEvent::Accepted { .. } => {
                shared.accepted.add(1);
                let kind = if self.connects > 1 { "reconnect" } else { "connect" };
                (Level::Call, kind, &[("connects", self.connects.into())])
            }
            SessionEvent::Lost { reason } => {
                shared.lost.add(1);
                (Level::Call, "disconnect", &[("reason", (*reason).into())])
            }
            SessionEvent::Joining(step) => return self.joined(now, shared, step),
            SessionEvent::Sent { message, payload, sent_at_ms } => {
                if let (Message::Reading(seq) | Message::Copy(seq), Some(sent_at_ms)) = (message, sent_at_ms) {
                    lock(&shared.truth).sent(self.index, *seq, now, *sent_at_ms);
                }
                (Level::Message, "publish", &[named(message), ("payload", Field::Bytes(payload))])
            }
            SessionEvent::Acknowledged { message } => {
                shared.queued.subtract(1);
                match message {
                    Message::Reading(seq) | Message::Copy(seq) => {
                        lock(&shared.truth).acknowledged(self.index, *seq, now);
                    }
                    Message::Stray(number) => lock(&shared.truth).stray_acknowledged(*number, now),
                    Message::Oversized | Message::Note(_) => {}
                }
                (Level::Message, "puback", &[named(message)])
            }
            SessionEvent::Dropped { message } => {
                shared.queued.subtract(1);
                if let Message::Reading(seq) = message {
                    let by_fault = self.habits.gave_up(now, shared.settings.queue_max);
                    let mut truth = lock(&shared.truth);
                    if by_fault {
                        truth.given_up(self.index, *seq);
                    } else {
                        truth.rejected(self.index, *seq);
                    }
                }
                (Level::Call, "drop", &[named(message)])
            }
            SessionEvent::Listening { anew } => (Level::Call, "subscribed", &[("anew", u64::from(*anew).into())]),
            SessionEvent::NotListening { filter } => (Level::Call, "not-subscribed", &[("filter", (&**filter).into())]),
            SessionEvent::Received { topic, payload } => {
                (Level::Message, "receive", &[("from", topic.as_str().into()), ("payload", Field::Bytes(payload))])
            }
        };
        shared.trace.event(level, now, &self.id, kind, &self.topic, fields);
    }
}

/// A message as a field of an event.
fn named(message: &Message) -> (&'static str, Field<'static>) {
    match message {
        Message::Reading(seq) => ("seq", (*seq).into()),
        Message::Copy(seq) => ("copy", (*seq).into()),
        Message::Stray(number) => ("stray", u64::from(*number).into()),
        Message::Oversized => ("oversized", 1u64.into()),
        Message::Note(number) => ("note", (*number).into()),
    }
}

/// Buffers that all devices share: one device steps at a time.
#[derive(Default)]
pub(super) struct Scratch {
    payload: String,
    out: Outputs,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Conn>> + Send>>;

enum Link {
    Down,
    Connecting(Connecting),
    Up(Conn),
    /// It is gone, and the device has not noticed yet.
    Dead,
}

/// What the network has of a device. A device that loses its power takes nothing of it along: the broker does not hear that
/// it is gone.
pub(super) struct Wire {
    link: Link,
    /// Connections that the device has left and the broker has not.
    ghosts: Vec<Ghost>,
}

impl Wire {
    pub(super) fn new() -> Self {
        Wire { link: Link::Down, ghosts: Vec::new() }
    }

    /// The connection dies without a word, as when a router forgets it: the device notices, and the broker does not.
    pub(super) fn die(&mut self) {
        match std::mem::replace(&mut self.link, Link::Dead) {
            Link::Up(conn) => self.ghosts.extend(conn.abandon()),
            // A connection that is being opened fails.
            Link::Connecting(_) | Link::Dead => {}
            Link::Down => self.link = Link::Down,
        }
    }

    /// The device closes its connection.
    fn close(&mut self) {
        if let Link::Up(conn) = std::mem::replace(&mut self.link, Link::Down) {
            self.ghosts.extend(conn.close());
        }
    }
}

/// Runs a device for as long as its node runs. Starting it again is a restart of the device.
pub(super) async fn drive(device: Arc<Mutex<Device>>, wire: Arc<Mutex<Wire>>, shared: Arc<Shared>) {
    restart(&mut lock(&device), &mut lock(&wire), &shared);
    let mut alarm = Alarm::new();
    poll_fn(|cx| {
        let device = &mut *lock(&device);
        if device.fates.is_some() || shared.acted_on {
            shared.wake_by(device.index, cx.waker());
        }
        turn(cx, device, &mut lock(&wire), &mut alarm, &shared);
        Poll::<()>::Pending
    })
    .await;
}

fn restart(device: &mut Device, wire: &mut Wire, shared: &Shared) {
    let (now, out) = (clock::now(), &mut lock(&shared.scratch).out);
    wire.die();
    wire.link = Link::Down;
    let back = device.model.gone_until().unwrap_or(now).max(now);
    begin_anew(device, shared, now, back, out);
}

/// The device has restarted, and connects at `at` at the earliest.
fn begin_anew(device: &mut Device, shared: &Shared, now: Time, at: Time, out: &mut Outputs) {
    if device.session.in_flight() > 0 {
        shared.trace.mark(now, mark::RESTARTED_IN_FLIGHT, &device.id);
    }
    device.session.restart(at, out);
    if let Some(joining) = &mut device.joining {
        joining.join.restart(at);
    }
    device.restarts(now, shared, out);
    device.report_all(now, shared, out);
}

/// Does what comes of itself, such as the end of an update of the firmware, with which the device restarts.
fn settle(device: &mut Device, wire: &mut Wire, shared: &Shared, now: Time, out: &mut Outputs) {
    while device.model.settles_at().is_some_and(|at| at <= now) {
        let back = device.model.settle(now);
        let fields = [("firmware", device.model.firmware().into()), ("restarts", u64::from(back.is_some()).into())];
        shared.trace.event(Level::Call, now, &device.id, "update", &device.topic, &fields);
        if let Some(back) = back {
            wire.close();
            begin_anew(device, shared, now, back, out);
        }
    }
}

/// Does all that can be done now, and asks to be woken for what comes next.
fn turn(cx: &mut Context<'_>, device: &mut Device, wire: &mut Wire, alarm: &mut Alarm, shared: &Shared) {
    let scratch = &mut *lock(&shared.scratch);
    let now = clock::now();
    let publishing = !shared.stopped.get();
    settle(device, wire, shared, now, &mut scratch.out);
    device.turned_at = now;
    if publishing {
        device.measure(now, shared, scratch);
    }
    let out = &mut scratch.out;
    loop {
        poll_link(cx, device, wire, shared, now, out);
        device.report_all(now, shared, out);
        device.say(now, shared);
        device.step(now, shared, Input::Tick, out);
        let again = carry_out(cx, device, wire, shared, now, out);
        if !again {
            break;
        }
    }
    let due = if publishing { device.model.due().unwrap_or(Time::MAX) } else { Time::MAX };
    let due = due.min(device.says_at());
    let due = due.min(device.model.settles_at().unwrap_or(Time::MAX));
    alarm.wake_at(cx, now, due.min(device.wake_at(shared)));
}

fn poll_link(
    cx: &mut Context<'_>,
    device: &mut Device,
    wire: &mut Wire,
    shared: &Shared,
    now: Time,
    out: &mut Outputs,
) {
    let link = &mut wire.link;
    if let Link::Dead = link {
        *link = Link::Down;
        device.step(now, shared, Input::Disconnected, out);
    }
    if let Link::Connecting(connecting) = link {
        let Poll::Ready(connected) = connecting.as_mut().poll(cx) else { return };
        let input = if connected.is_ok() { Input::Connected } else { Input::Disconnected };
        *link = connected.map_or(Link::Down, Link::Up);
        device.step(now, shared, input, out);
    }
    if let Link::Up(conn) = link {
        let ended = conn.poll_receive(cx, |bytes| device.step(now, shared, Input::Bytes(bytes), out)).is_ready();
        if ended {
            // The broker does not hear of it when the network has dropped the connection.
            if conn.is_dropped() {
                wire.close();
            } else {
                *link = Link::Down;
            }
            device.step(now, shared, Input::Disconnected, out);
        }
    }
}

/// Answers whether the link has to be polled again.
fn carry_out(
    cx: &mut Context<'_>,
    device: &mut Device,
    wire: &mut Wire,
    shared: &Shared,
    now: Time,
    out: &mut Outputs,
) -> bool {
    if let Link::Up(conn) = &mut wire.link
        && !out.send.is_empty()
    {
        conn.send(cx, Bytes::copy_from_slice(&out.send));
    }
    out.send.clear();
    device.report_all(now, shared, out);
    match out.command.take() {
        Some(Command::Close) => {
            wire.close();
            false
        }
        Some(Command::Connect) => {
            wire.ghosts.retain_mut(|ghost| !ghost.has_ended());
            wire.link = Link::Connecting(device.connect(shared));
            true
        }
        None => false,
    }
}
