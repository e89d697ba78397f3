//! Wake-ups of a task, without a future to hold.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use crate::world::time::Time;

/// Wake-ups that are remembered at a time.
const SLOTS: usize = 3;

/// Wake-ups that were asked for and are still to come.
///
/// A sleeping future of madsim asks for a further timer each time it is polled and never withdraws one. A task that
/// waits for bytes and for the clock at once would thus leave a timer behind for each message. An alarm remembers what
/// is already asked for, and asks again only for something earlier.
#[derive(Debug)]
pub(super) struct Alarm([Time; SLOTS]);

impl Alarm {
    pub(super) fn new() -> Self {
        Alarm([Time::MAX; SLOTS])
    }

    /// Makes sure that the task of `cx` is polled at `at` or soon after (within a millisecond), perhaps also earlier.
    /// `Time::MAX` asks for nothing.
    pub(super) fn wake_at(&mut self, cx: &mut Context<'_>, now: Time, at: Time) {
        if at == Time::MAX || self.0.iter().any(|asked| *asked > now && *asked <= at) {
            return;
        }
        let sleep = pin!(madsim::time::sleep(at.since(now)));
        if sleep.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        // One that is over makes room; else the latest does. To forget one costs a second timer at most.
        let slot = self.0.iter_mut().max_by_key(|asked| if **asked <= now { Time::MAX } else { **asked });
        *slot.expect("there are slots") = at;
    }
}

/// Remembers whether a stream has woken its task, so that a task that was woken for something else need not poll it.
pub(super) struct Arrival {
    arrived: AtomicBool,
    task: Waker,
}

impl Arrival {
    /// Has arrived at first: a stream says nothing until it was polled once.
    pub(super) fn new(task: Waker) -> Arc<Self> {
        Arc::new(Arrival { arrived: AtomicBool::new(true), task })
    }

    /// Whether the stream is to be polled, with the waker of this arrival. Clears what it answers.
    pub(super) fn take(&self) -> bool {
        self.arrived.swap(false, Ordering::Relaxed)
    }

    /// Whether this arrival wakes the task of `cx`.
    pub(super) fn wakes(&self, cx: &Context<'_>) -> bool {
        self.task.will_wake(cx.waker())
    }
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.arrived.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}
