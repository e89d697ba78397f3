//! What is known of the calls of one execution environment, for faults that strike between two of them, and for marks.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::handle::Cloud;
use super::service_faults::Call;
use crate::world::mark;

/// The calls of one environment. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Calls of the present invocation that had their effect.
    acted: u64,
    /// Whether the event of a lost environment has been delivered again.
    delivered_again: bool,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Another invocation begins.
    pub fn begin(&self) {
        *self.lock() = State::default();
    }

    /// A call is about to have its effect: marks what there is to mark.
    pub fn tell(&self, cloud: &Cloud, call: &Call) {
        if self.lock().delivered_again && call.changes_something() {
            cloud.enter(|account, now| account.mark(now, mark::ZOMBIE_EFFECT, &call.operation));
        }
        if cloud.was_unheard(call) {
            cloud.enter(|account, now| account.mark(now, mark::REPEATED_AFTER_LOST_RESPONSE, &call.operation));
        }
    }

    /// A call had its effect, or was refused.
    pub fn acted(&self) {
        self.lock().acted += 1;
        self.0.told.notify_waiters();
    }

    /// Waits until so many calls of the present invocation had their effect.
    pub async fn reached(&self, calls: u64) {
        loop {
            let told = self.0.told.notified();
            if self.lock().acted >= calls {
                return;
            }
            told.await;
        }
    }

    /// The event of this environment, which is lost, is delivered again.
    pub fn delivered_again(&self) {
        self.lock().delivered_again = true;
    }
}

/// Whether whoever waits for an answer has given up: it was dropped before it had been heard. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct GivenUp(Arc<()>);

impl Default for GivenUp {
    fn default() -> Self {
        GivenUp(Arc::new(()))
    }
}

impl GivenUp {
    /// Asked by the one side: whether the other is gone.
    pub fn is_given_up(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Said by the other side, which kept its clone until here.
    pub fn was_heard(self) {}
}
