//! A shared handle to the simulated account, and the task that turns its timers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::sync::Notify;

use super::broker::Writer;
use super::event_streams::{EventStreams, Rest};
use super::functions::{Functions, Invocation};
use super::latency::Latency;
use super::service_faults::Call;
use crate::cloud::account::Account;
use crate::cloud::core::{Deferred, Effect, EventStream, Unread};
use crate::fault::{Faults, region};
use crate::world::clock;
use crate::world::seed::Seed;
use crate::world::time::Time;

/// How soon after the end of an outage the account's timers go on, at most.
const OUTAGE_STEP: Duration = Duration::from_millis(100);

/// The simulated account as the rest of the simulator uses it.
#[derive(Clone)]
pub struct Cloud(Arc<Shared>);

struct Shared {
    account: Mutex<Account>,
    region: String,
    latency: Mutex<Latency>,
    faults: Faults,
    functions: Mutex<Option<Functions>>,
    connections: Mutex<BTreeMap<u64, Writer>>,
    /// Answers to requests that had to wait, until they are fetched.
    answers: Mutex<BTreeMap<Deferred, Response<Bytes>>>,
    answered: Notify,
    /// Bodies of responses that go on.
    streams: Mutex<EventStreams>,
    scheduled: Mutex<Time>,
    pump: Notify,
    /// Calls that had their effect and whose callers did not hear of it.
    unheard: Mutex<BTreeSet<u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("region", &self.0.region).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Wraps an account. Call [`Cloud::spawn_pump`] before anything is to happen by itself.
    pub fn new(account: Account, seed: Seed) -> Self {
        Cloud::under(account, seed, Faults::none())
    }

    /// Wraps an account whose calls, functions and connections are under these faults.
    pub fn under(account: Account, seed: Seed, faults: Faults) -> Self {
        Cloud(Arc::new(Shared {
            faults,
            region: account.region().to_owned(),
            account: Mutex::new(account),
            latency: Mutex::new(Latency::new(seed)),
            functions: Mutex::new(None),
            connections: Mutex::new(BTreeMap::new()),
            answers: Mutex::new(BTreeMap::new()),
            answered: Notify::new(),
            streams: Mutex::default(),
            scheduled: Mutex::new(Time::MAX),
            pump: Notify::new(),
            unheard: Mutex::default(),
        }))
    }

    /// Region of the account.
    pub fn region(&self) -> String {
        self.0.region.clone()
    }

    /// Acts on the account now, and carries out what its services ask of the outside.
    pub fn enter<T>(&self, act: impl FnOnce(&mut Account, Time) -> T) -> T {
        let now = clock::now();
        let (answer, effects, due) = {
            let mut account = lock(&self.0.account);
            let answer = act(&mut account, now);
            (answer, account.take_effects(), account.next_due())
        };
        self.carry_out(effects);
        if let Some(due) = due
            && due < *lock(&self.0.scheduled)
        {
            self.0.pump.notify_one();
        }
        answer
    }

    /// Looks at the account. Nothing in the world notices.
    pub fn look<T>(&self, look: impl FnOnce(&Account) -> T) -> T {
        look(&lock(&self.0.account))
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// A call had its effect, and its caller does not hear of it.
    pub(super) fn unheard(&self, call: &Call) {
        lock(&self.0.unheard).insert(call.identity);
    }

    /// Whether such a call has been made before and was not heard of. Asked once for each repetition.
    pub(super) fn was_unheard(&self, call: &Call) -> bool {
        lock(&self.0.unheard).remove(&call.identity)
    }

    /// The idle execution environments of functions are gone: of those with this handler, or of all.
    pub fn drop_idle(&self, handler: Option<&str>) {
        let functions = self.enter(|account, _| account.drop_idle(handler));
        if let Some(environments) = &*lock(&self.0.functions) {
            environments.drop_idle(&functions);
        }
    }

    /// Draws from the latency model.
    pub fn draw_latency<T>(&self, draw: impl FnOnce(&mut Latency) -> T) -> T {
        draw(&mut lock(&self.0.latency))
    }

    /// Says who runs the functions' code.
    pub fn set_functions(&self, functions: Functions) {
        *lock(&self.0.functions) = Some(functions);
    }

    pub(super) fn add_connection(&self, connection: u64, writer: Writer) {
        lock(&self.0.connections).insert(connection, writer);
    }

    pub(super) fn remove_connection(&self, connection: u64) {
        lock(&self.0.connections).remove(&connection);
    }

    fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::MqttSend { connection, bytes } => {
                    if let Some(writer) = lock(&self.0.connections).get_mut(&connection) {
                        writer.send(&bytes);
                    }
                }
                Effect::MqttClose { connection } => {
                    if let Some(mut writer) = lock(&self.0.connections).remove(&connection) {
                        writer.close();
                    }
                }
                Effect::Invoke { invocation, function, payload, request_id, timeout, start } => {
                    let functions = lock(&self.0.functions);
                    let functions = functions.as_ref().expect("functions are set before the first one is invoked");
                    let started = Invocation { revision: function, payload, request_id, timeout, start };
                    functions.invoke(self, invocation, started);
                }
                Effect::StreamEvent { stream, bytes } => {
                    if !lock(&self.0.streams).send(stream, bytes) {
                        lock(&self.0.account).event_stream_closed(stream);
                    }
                }
                Effect::StreamEnd { stream } => lock(&self.0.streams).end(stream),
                Effect::Answer { ticket, status, headers, body } => {
                    let mut answer = Response::builder().status(status).header("content-type", "application/json");
                    for (name, value) in headers {
                        answer = answer.header(name, value);
                    }
                    let answer = answer.body(body).expect("headers of an answer are ASCII texts");
                    lock(&self.0.answers).insert(ticket, answer);
                    self.0.answered.notify_waiters();
                }
            }
        }
    }

    /// The rest of the body of a response that goes on after its beginning.
    pub(super) fn rest_of(&self, stream: EventStream, unread: Unread) -> Rest {
        lock(&self.0.streams).open(stream, unread)
    }

    /// The answer to a request that had to wait.
    pub async fn answer(&self, ticket: Deferred) -> Response<Bytes> {
        loop {
            let answered = self.0.answered.notified();
            if let Some(answer) = lock(&self.0.answers).remove(&ticket) {
                return answer;
            }
            answered.await;
        }
    }

    /// Turns the account's timers for as long as the simulation runs.
    pub fn spawn_pump(&self, node: &madsim::runtime::NodeHandle) {
        let cloud = self.clone();
        node.spawn(async move {
            loop {
                let due = lock(&cloud.0.account).next_due().unwrap_or(Time::MAX);
                *lock(&cloud.0.scheduled) = due;
                if due > clock::now() {
                    let sleep = clock::sleep_until(due.min(clock::now() + Duration::from_secs(3_600)));
                    futures::pin_mut!(sleep);
                    let notified = cloud.0.pump.notified();
                    futures::pin_mut!(notified);
                    futures::future::select(sleep, notified).await;
                }
                // Nothing happens by itself while the Region is out.
                while region::is_out(&cloud.0.faults, clock::now()) {
                    clock::sleep(OUTAGE_STEP).await;
                }
                // While this wakes the account, whatever it schedules is seen at the top of the loop.
                *lock(&cloud.0.scheduled) = Time::EPOCH;
                cloud.enter(|account, now| account.wake_due(now));
            }
        });
    }
}
