//! What happens to a stream by itself: changes that take time, one after the other, and closed shards that expire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::on_demand::Mode;
use super::reshard::Step;
use super::stream::{Status, Stream};
use super::{Kinesis, SERVICE};
use crate::core::{Cx, Service};
use world::time::Time;
use world::trace::Level;

/// How long a stream is CREATING, and DELETING. AWS publishes neither: unverified.
const TRANSITION: Duration = Duration::from_secs(20);
/// How long a split or a merge takes. AWS publishes no figure: unverified.
pub(super) const RESHARD: Duration = Duration::from_secs(30);
/// How long a change of the mode or of the largest record takes. AWS publishes no figure: unverified.
const SETTING: Duration = Duration::from_secs(10);
/// How long encryption takes to begin or to end. AWS says "normally a few seconds": unverified.
const ENCRYPTION: Duration = Duration::from_secs(10);

/// A change of a stream that takes time.
#[derive(Debug)]
pub(super) enum Work {
    /// The stream comes to life.
    Create,
    /// The stream goes.
    Delete,
    /// Splits and merges of different shards, all at the same time.
    Reshard(Vec<Step>),
    /// Records are encrypted with a key, or no longer.
    Encrypt(Option<Arc<str>>),
    /// Shards are somebody else's to scale.
    Mode(Mode),
    /// Records may be of this size in bytes.
    RecordSize(usize),
}

impl Work {
    fn takes(&self) -> Duration {
        match self {
            Work::Create | Work::Delete => TRANSITION,
            Work::Reshard(_) => RESHARD,
            Work::Encrypt(_) => ENCRYPTION,
            Work::Mode(_) | Work::RecordSize(_) => SETTING,
        }
    }

    fn status(&self) -> Status {
        match self {
            Work::Create => Status::Creating,
            Work::Delete => Status::Deleting,
            Work::Reshard(_) | Work::Encrypt(_) | Work::Mode(_) | Work::RecordSize(_) => Status::Updating,
        }
    }
}

/// What a wake-up is for.
#[derive(Clone)]
struct Tick {
    name: Arc<str>,
    serial: u64,
    kind: TickKind,
}

#[derive(Clone, Debug)]
pub(super) enum TickKind {
    /// The first of the stream's works is done.
    Work,
    /// A closed shard expires.
    Expiry,
    /// A consumer with enhanced fan-out has come to life, or is gone.
    Consumer(Arc<str>),
    /// A stream on demand may scale.
    Scale,
    /// A shard may have something for its subscribers. The index of the shard.
    Push(u32),
}

impl TickKind {
    /// Whether one token stands for all wake-ups of the kind.
    fn is_reserved(&self) -> bool {
        matches!(self, TickKind::Scale | TickKind::Push(_))
    }
}

/// The wake-ups that were asked for.
#[derive(Default)]
pub(super) struct Ticks {
    next: u64,
    waiting: BTreeMap<u64, Tick>,
}

impl Ticks {
    /// Asks to be woken for something that happens to a stream.
    pub fn at(&mut self, cx: &mut Cx<'_>, time: Time, stream: &Stream, kind: TickKind) {
        let token = self.reserve(stream, kind);
        cx.timers.at(time, Service::Kinesis, token);
    }

    /// A token for wake-ups of a stream, which whoever holds it asks for.
    pub fn reserve(&mut self, stream: &Stream, kind: TickKind) -> u64 {
        let token = self.next;
        self.next += 1;
        self.waiting.insert(token, Tick { name: stream.name.clone(), serial: stream.serial, kind });
        token
    }

    /// The token stands for nothing any more.
    pub fn release(&mut self, token: u64) {
        self.waiting.remove(&token);
    }

    fn take(&mut self, token: u64) -> Option<Tick> {
        match self.waiting.get(&token) {
            Some(tick) if tick.kind.is_reserved() => Some(tick.clone()),
            _ => self.waiting.remove(&token),
        }
    }
}

impl Kinesis {
    /// Begins changes of a stream that exists, after what was begun before. Answers when the last one is done.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, name: &str, works: impl IntoIterator<Item = Work>) -> Time {
        let stream = self.streams.get_mut(name).expect("the caller has just found the stream");
        stream.busy_until = stream.busy_until.max(cx.now);
        for work in works {
            stream.busy_until += work.takes();
            stream.status = work.status();
            stream.work.push_back(work);
            self.ticks.at(cx, stream.busy_until, stream, TickKind::Work);
        }
        stream.busy_until
    }

    /// Asks to be woken when the next closed shard of the stream expires.
    pub(super) fn arm_expiry(&mut self, cx: &mut Cx<'_>, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let Some(due) = stream.forget_closed(cx.now) else { return };
        if stream.expiry_armed.is_none_or(|armed| armed > due) {
            stream.expiry_armed = Some(due);
            self.ticks.at(cx, due, stream, TickKind::Expiry);
        }
    }

    /// Does what the wake-up that `token` names is for.
    pub fn wake(&mut self, cx: &mut Cx<'_>, token: u64) {
        let Some(Tick { name, serial, kind }) = self.ticks.take(token) else { return };
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.serial == serial) else {
            self.ticks.waiting.remove(&token);
            return;
        };
        match kind {
            TickKind::Consumer(consumer) => stream.settle_consumer(cx, &consumer),
            TickKind::Scale => self.scale(cx, &name),
            TickKind::Push(shard) => self.push(cx, &name, shard),
            TickKind::Expiry => {
                stream.expiry_armed = stream.expiry_armed.filter(|armed| *armed > cx.now);
                self.arm_expiry(cx, &name);
            }
            TickKind::Work => {
                let Some(work) = stream.work.pop_front() else { return };
                self.complete(cx, &name, work);
            }
        }
    }

    fn complete(&mut self, cx: &mut Cx<'_>, name: &Arc<str>, work: Work) {
        let quotas = self.quotas(cx);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let kind = match work {
            Work::Create => "stream active",
            Work::Delete => {
                stream.end_all_subscriptions(cx);
                self.streams.remove(name);
                cx.trace.event(Level::Call, cx.now, SERVICE, "stream deleted", name, &[]);
                return;
            }
            Work::Reshard(steps) => {
                steps.into_iter().for_each(|step| stream.reshard(step, &quotas, cx.now));
                stream.push_ends(cx);
                "stream resharded"
            }
            Work::Encrypt(key) => {
                stream.encryption.set(cx.now, key);
                "stream encryption changed"
            }
            Work::Mode(mode) => {
                self.set_mode(cx, name, mode);
                "stream mode changed"
            }
            Work::RecordSize(bytes) => {
                stream.allow_records_of(bytes, &quotas, cx.now);
                "stream record size changed"
            }
        };
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.work.is_empty() {
            stream.status = Status::Active;
        }
        let fields = [("open", stream.open.len().into()), ("status", stream.status.as_str().into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, kind, name, &fields);
        self.arm_expiry(cx, name);
    }
}
