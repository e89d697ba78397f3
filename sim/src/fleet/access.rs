//! What a device's end of a connection adds: the access network, and what goes wrong there.
//!
//! **Latency.** The device's end holds what it sends, and what it receives, for a time drawn from its profile, with the
//! retransmissions and the bandwidth of its network (`network`); messages never overtake each other. The broker's end adds
//! nothing. Waiting takes no task: the owner's task is woken.
//!
//! **Drops.** A connection may drop after a time that is drawn when it opens: the device notices at once, and the broker does
//! not hear of it. Where a device has no coverage nothing passes, as in a partition.
//!
//! **Faults** keep TCP's promise: bytes arrive in order and whole, or the connection ends. A lost packet is a wait for its
//! retransmission, and what was sent after it waits behind it. A slow link passes so many bytes a second, and what does not
//! fit waits. A partition holds what is due until it ends, or until somebody's patience does: a device gives up after its
//! time-outs, the broker after one and a half times the keep-alive. Both are far shorter than TCP's own patience with
//! unacknowledged data (about 15 minutes on Linux), which is therefore not modelled. What a device says to end a connection
//! does not pass a partition either: the broker keeps the connection until its own patience ends, or until the device
//! connects again and its client id is taken over.
//!
//! One call to `send`, and one chunk of what arrives, counts as one packet.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::alarm::{Alarm, Arrival};
use super::conn::{CHUNK_BYTES, Link, lock};
use super::fates::{Counted, Fates};
use super::network::{Line, Way};
use crate::fault::Kind;
use crate::world::clock;
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Latency that a fault adds unless it says how much.
const LATENCY: Duration = Duration::from_millis(500);
/// First wait for a retransmission unless a fault says how long: the shortest of Linux. Each further loss of the same packet
/// doubles it.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A packet is lost so many times in a row at most: 200 ms come to 12.6 s then.
const LOSSES_MAX: u32 = 6;
/// Bytes a second of a slow link unless a fault says how many.
const SLOW_BYTES_PER_S: f64 = 1_000.0;

/// The faults of the network on one connection.
struct Trouble {
    fates: Arc<Fates>,
    counted: Counted,
    /// When a slow link has passed all that was given to it, by way.
    free_at: [Time; 2],
    relieved: bool,
}

impl Trouble {
    /// How much later than usual a packet of `bytes` comes.
    fn delay(&mut self, now: Time, way: Way, bytes: usize) -> Duration {
        let Trouble { fates, counted, free_at, .. } = self;
        let mut delay = Duration::ZERO;
        for fate in fates.all_holding(now, Kind::SlowLink) {
            counted.once(fates, now, fate);
            let bytes_per_s = fate.spec.amount.unwrap_or(SLOW_BYTES_PER_S).max(1.0);
            let takes = Duration::from_secs_f64(bytes as f64 / bytes_per_s);
            let free_at = &mut free_at[way as usize];
            // What is left when the fault ends goes at once.
            *free_at = ((*free_at).max(now) + takes).min(fate.until);
            delay = delay.max(free_at.since(now));
        }
        for fate in fates.all_holding(now, Kind::Latency) {
            counted.once(fates, now, fate);
            delay += fate.spec.delay.unwrap_or(LATENCY);
        }
        for nth in 0..LOSSES_MAX {
            let Some(stroke) = fates.strike(now, Kind::Loss) else { break };
            delay += stroke.delay_or(RETRANSMISSION).saturating_mul(1 << nth);
        }
        delay
    }

    /// Until when nothing passes this way; nothing when it is open.
    fn blocked(&mut self, now: Time, way: Way) -> Option<Time> {
        let one_way = if way == Way::Up { Kind::PartitionUp } else { Kind::PartitionDown };
        let Trouble { fates, counted, .. } = self;
        let mut blocked = None;
        for kind in [Kind::Partition, Kind::RegionOutage, one_way] {
            for fate in fates.all_holding(now, kind) {
                // The outage of the Region is counted where it begins.
                if kind != Kind::RegionOutage {
                    counted.once(fates, now, fate);
                }
                blocked = blocked.max(Some(fate.until));
            }
        }
        blocked
    }
}

/// What a device's end adds.
pub(super) struct Access {
    line: Line,
    rng: Rng,
    trouble: Option<Box<Trouble>>,
    outbox: VecDeque<(Time, Bytes)>,
    inbox: VecDeque<(Time, Bytes)>,
    last_out: Time,
    last_in: Time,
    ends_at: Time,
    /// When the network drops the connection.
    drops_at: Time,
    alarm: Alarm,
    arrival: Option<(Arc<Arrival>, Waker)>,
}

impl Access {
    /// The end of a connection that is opened at `now`.
    pub(super) fn new(now: Time, line: Line, mut rng: Rng, fates: Option<Arc<Fates>>) -> Self {
        let trouble = |fates| {
            Box::new(Trouble { fates, counted: Counted::default(), free_at: [Time::EPOCH; 2], relieved: false })
        };
        Access {
            drops_at: line.lasts(&mut rng).map_or(Time::MAX, |lasts| now + lasts),
            line,
            rng,
            trouble: fates.map(trouble),
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            last_out: Time::EPOCH,
            last_in: Time::EPOCH,
            ends_at: Time::MAX,
            alarm: Alarm::new(),
            arrival: None,
        }
    }

    /// How long a round trip takes now that carries no data, such as TCP's handshake.
    pub(super) fn round_trip(&mut self, now: Time) -> Duration {
        let plain = self.line.takes(now, Way::Up, 0, &mut self.rng) + self.line.takes(now, Way::Down, 0, &mut self.rng);
        let Some(trouble) = &mut self.trouble else { return plain };
        plain + trouble.delay(now, Way::Up, 0) + trouble.delay(now, Way::Down, 0)
    }

    /// Whether the broker's name is not found now.
    pub(super) fn nameless(&mut self, now: Time) -> bool {
        let Some(Trouble { fates, counted, .. }) = self.trouble.as_deref_mut() else { return false };
        let fate = fates.holding(now, Kind::DnsFailure);
        if let Some(fate) = fate {
            counted.once(fates, now, fate);
        }
        fate.is_some()
    }

    /// Is ready when both ways are open.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        match self.shut(now, Way::Up).max(self.shut(now, Way::Down)) {
            None => Poll::Ready(()),
            Some(until) => {
                self.alarm.wake_at(cx, now, until);
                Poll::Pending
            }
        }
    }

    /// Whether nothing that the device says reaches the broker now.
    pub(super) fn cut_off(&mut self, now: Time) -> bool {
        self.is_dropped(now) || self.shut(now, Way::Up).is_some()
    }

    /// Whether the network has dropped the connection.
    pub(super) fn is_dropped(&self, now: Time) -> bool {
        self.drops_at <= now
    }

    /// Until when nothing passes this way; nothing when it is open.
    fn shut(&mut self, now: Time, way: Way) -> Option<Time> {
        let away = self.line.away_until(now);
        away.max(self.trouble.as_mut().and_then(|trouble| trouble.blocked(now, way)))
    }

    /// Sends bytes after the network's latency.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: Bytes) {
        let now = clock::now();
        let mut due = now + self.line.takes(now, Way::Up, bytes.len(), &mut self.rng);
        if let Some(trouble) = &mut self.trouble {
            due += trouble.delay(now, Way::Up, bytes.len());
        }
        self.last_out = self.last_out.max(due);
        self.outbox.push_back((self.last_out, bytes));
        self.alarm.wake_at(cx, now, self.last_out);
    }

    fn receive_at(&mut self, now: Time, bytes: usize) -> Time {
        let mut due = now + self.line.takes(now, Way::Down, bytes, &mut self.rng);
        if let Some(trouble) = &mut self.trouble {
            due += trouble.delay(now, Way::Down, bytes);
        }
        self.last_in = self.last_in.max(due);
        self.last_in
    }

    /// Takes what has come from the stream, and notes when the device is to see it.
    fn take_arrivals(&mut self, cx: &mut Context<'_>, link: &Mutex<Link>, now: Time) {
        if !self.arrival.as_ref().is_some_and(|(arrival, _)| arrival.wakes(cx)) {
            let arrival = Arrival::new(cx.waker().clone());
            self.arrival = Some((arrival.clone(), Waker::from(arrival)));
        }
        let (arrived, waker) = match &self.arrival {
            Some((arrival, waker)) => (arrival.take(), waker.clone()),
            None => return,
        };
        while arrived && self.ends_at == Time::MAX {
            let mut chunk = [0; CHUNK_BYTES];
            let Poll::Ready(read) = lock(link).poll_read(&mut Context::from_waker(&waker), &mut chunk) else { break };
            match read {
                Ok(0) | Err(_) => self.ends_at = self.receive_at(now, 0),
                Ok(n) => {
                    let due = self.receive_at(now, n);
                    self.inbox.push_back((due, Bytes::copy_from_slice(&chunk[..n])));
                }
            }
        }
    }

    /// Until when this way is blocked for what is due; nothing when it is open.
    fn blocked(&mut self, now: Time, way: Way, due: Time) -> Option<Time> {
        if due > now { None } else { self.shut(now, way) }
    }

    /// Once hardship is over, what a fault still delays comes at the network's own pace.
    fn relieve(&mut self, now: Time) {
        let Some(trouble) = self.trouble.as_mut().filter(|trouble| !trouble.relieved && trouble.fates.healed()) else {
            return;
        };
        trouble.relieved = true;
        let at_latest = now + self.line.profile.median;
        for (due, _) in self.outbox.iter_mut().chain(&mut self.inbox) {
            *due = (*due).min(at_latest);
        }
        self.last_out = self.last_out.min(at_latest);
        self.last_in = self.last_in.min(at_latest);
        if self.ends_at != Time::MAX {
            self.ends_at = self.ends_at.min(at_latest);
        }
    }

    /// Writes what is due, takes what has arrived, and hands over what is due of that.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        link: &Mutex<Link>,
        each: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        let now = clock::now();
        if self.is_dropped(now) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the network dropped the connection",
            )));
        }
        self.relieve(now);
        let next = |queue: &VecDeque<(Time, Bytes)>| queue.front().map_or(Time::MAX, |(due, _)| *due);
        let up = self.blocked(now, Way::Up, next(&self.outbox));
        while up.is_none()
            && let Some((_, bytes)) = self.outbox.pop_front_if(|(due, _)| *due <= now)
        {
            lock(link).write(&bytes);
        }
        self.take_arrivals(cx, link, now);
        let down = self.blocked(now, Way::Down, next(&self.inbox).min(self.ends_at));
        while down.is_none()
            && let Some((_, bytes)) = self.inbox.pop_front_if(|(due, _)| *due <= now)
        {
            each(&bytes);
        }
        if down.is_none() && self.ends_at <= now {
            return Poll::Ready(Ok(()));
        }
        let send = up.unwrap_or_else(|| next(&self.outbox));
        let receive = down.unwrap_or_else(|| next(&self.inbox).min(self.ends_at));
        self.alarm.wake_at(cx, now, send.min(receive).min(self.drops_at));
        Poll::Pending
    }
}
