//! Turns one device: its model, its session and its connection, in one task on a node of its own.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::alarm::Alarm;
use super::conn::{Conn, NetworkProfile};
use super::content::Content;
use super::model::Model;
use super::plan::DevicePlan;
use super::runner::{Shared, lock};
use super::session::{Command, Input, Outputs, Session, SessionEvent};
use crate::world::clock;
use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// What survives a restart of the device: its memory that needs no power.
pub(super) struct Device {
    index: u32,
    id: Box<str>,
    topic: Box<str>,
    certificate_id: Box<str>,
    profile: NetworkProfile,
    seed: Seed,
    model: Model,
    model_rng: Rng,
    /// (metric, unit) as the device directory declares them.
    units: Arc<[(String, String)]>,
    session: Session,
    session_rng: Rng,
    connects: u64,
}

impl Device {
    pub(super) fn new(index: u32, plan: &DevicePlan, seed: Seed, start: Time, connect_at: Time) -> Self {
        let mut model_rng = seed.child("model").rng();
        let topic = plan.topic();
        Device {
            index,
            id: plan.id.as_str().into(),
            session: Session::new(&plan.id, &topic, connect_at),
            topic: topic.into(),
            certificate_id: plan.certificate_id.as_str().into(),
            profile: NetworkProfile::of(plan.network),
            seed,
            model: Model::new(&plan.model, start, &mut model_rng),
            units: plan.units.as_slice().into(),
            model_rng,
            session_rng: seed.child("session").rng(),
            connects: 0,
        }
    }

    /// Whether the device still has rows of a series to play.
    pub(super) fn is_playing(&self) -> bool {
        self.model.is_replay() && self.model.due().is_some()
    }

    /// Takes the readings that are due, and queues them.
    fn measure(&mut self, now: Time, shared: &Shared, scratch: &mut Scratch) {
        let was_playing = self.is_playing();
        while let Some(reading) = self.model.step(now, &mut self.model_rng) {
            scratch.payload.clear();
            reading.write_json(&mut scratch.payload);
            let payload = Bytes::copy_from_slice(scratch.payload.as_bytes());
            let seq = reading.seq;
            let unit = |metric: &str| self.units.iter().find(|(name, _)| name == metric).map(|(_, unit)| unit.as_str());
            let content = Content::measured(reading.recorded_at, &reading.metrics, unit);
            lock(&shared.truth).published(self.index, seq, now, reading.ts_ms, content);
            for metric in self.model.plain_spikes() {
                lock(&shared.truth).spiked(self.index, seq, metric);
            }
            shared.queued.add(1);
            self.session.enqueue(&shared.settings, seq, payload, &mut scratch.out);
        }
        if was_playing && !self.is_playing() {
            shared.playing.subtract(1);
        }
    }

    fn step(&mut self, now: Time, shared: &Shared, input: Input<'_>, out: &mut Outputs) {
        self.session.step(&shared.settings, now, &mut self.session_rng, input, out);
    }

    fn connect(&mut self, shared: &Shared) -> Connecting {
        let rng = self.seed.child("network").nth("connection", self.connects).rng();
        self.connects += 1;
        let (broker, profile, certificate_id) = (shared.broker, self.profile, self.certificate_id.clone());
        Box::pin(async move { Conn::connect(broker, &certificate_id, profile, rng).await })
    }

    /// Writes what the session reports into the trace, the truth and the counters.
    fn report(&self, now: Time, shared: &Shared, event: &SessionEvent) {
        let (level, kind, fields): (_, _, &[(&'static str, Field<'_>)]) = match event {
            SessionEvent::Accepted => {
                shared.accepted.add(1);
                let kind = if self.connects > 1 { "reconnect" } else { "connect" };
                (Level::Call, kind, &[("connects", self.connects.into())])
            }
            SessionEvent::Lost { reason } => {
                shared.lost.add(1);
                (Level::Call, "disconnect", &[("reason", (*reason).into())])
            }
            SessionEvent::Sent { seq, payload } => {
                (Level::Message, "publish", &[("seq", (*seq).into()), ("payload", Field::Bytes(payload))])
            }
            SessionEvent::Acknowledged { seq } => {
                shared.queued.subtract(1);
                lock(&shared.truth).acknowledged(self.index, *seq, now);
                (Level::Message, "puback", &[("seq", (*seq).into())])
            }
            SessionEvent::Dropped { seq } => {
                shared.queued.subtract(1);
                lock(&shared.truth).rejected(self.index, *seq);
                (Level::Call, "drop", &[("seq", (*seq).into())])
            }
        };
        shared.trace.event(level, now, &self.id, kind, &self.topic, fields);
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
}

/// Runs a device for as long as its node runs. Starting it again is a restart of the device.
pub(super) async fn drive(device: Arc<Mutex<Device>>, shared: Arc<Shared>) {
    lock(&device).session.restart(clock::now());
    let (mut link, mut alarm) = (Link::Down, Alarm::new());
    poll_fn(|cx| {
        turn(cx, &mut lock(&device), &mut link, &mut alarm, &shared);
        Poll::<()>::Pending
    })
    .await;
}

/// Does all that can be done now, and asks to be woken for what comes next.
fn turn(cx: &mut Context<'_>, device: &mut Device, link: &mut Link, alarm: &mut Alarm, shared: &Shared) {
    let scratch = &mut *lock(&shared.scratch);
    let now = clock::now();
    let publishing = !shared.stopped.get();
    if publishing {
        device.measure(now, shared, scratch);
    }
    let out = &mut scratch.out;
    loop {
        poll_link(cx, device, link, shared, now, out);
        device.step(now, shared, Input::Tick, out);
        let again = carry_out(cx, device, link, shared, now, out);
        if !again {
            break;
        }
    }
    let due = if publishing { device.model.due().unwrap_or(Time::MAX) } else { Time::MAX };
    alarm.wake_at(cx, now, due.min(device.session.wake_at(&shared.settings)));
}

fn poll_link(
    cx: &mut Context<'_>,
    device: &mut Device,
    link: &mut Link,
    shared: &Shared,
    now: Time,
    out: &mut Outputs,
) {
    if let Link::Connecting(connecting) = link {
        let Poll::Ready(connected) = connecting.as_mut().poll(cx) else { return };
        let input = if connected.is_ok() { Input::Connected } else { Input::Disconnected };
        *link = connected.map_or(Link::Down, Link::Up);
        device.step(now, shared, input, out);
    }
    if let Link::Up(conn) = link {
        let ended = conn.poll_receive(cx, |bytes| device.step(now, shared, Input::Bytes(bytes), out)).is_ready();
        if ended {
            *link = Link::Down;
            device.step(now, shared, Input::Disconnected, out);
        }
    }
}

/// Answers whether the link has to be polled again.
fn carry_out(
    cx: &mut Context<'_>,
    device: &mut Device,
    link: &mut Link,
    shared: &Shared,
    now: Time,
    out: &mut Outputs,
) -> bool {
    if let Link::Up(conn) = link
        && !out.send.is_empty()
    {
        conn.send(cx, Bytes::copy_from_slice(&out.send));
    }
    out.send.clear();
    for event in out.events.drain(..) {
        device.report(now, shared, &event);
    }
    match out.command.take() {
        Some(Command::Close) => {
            *link = Link::Down;
            false
        }
        Some(Command::Connect) => {
            *link = Link::Connecting(device.connect(shared));
            true
        }
        None => false,
    }
}
