//! Lambda's execution environments: the platform's handlers, run when the simulated Lambda says so.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::{Either, select};
use platform::function::{Environment, Function, InvocationContext, MetricSink};

use super::boot::session_credential;
use super::calls::Calls;
use super::function_faults::{self, Death, Mishap};
use super::handle::Cloud;
use super::http_client::sdk_config_of;
use super::latency::Latency;
use super::tamper::{Tamper, tampered};
use super::watch::Watch;
use crate::cloud::account::Account;
use crate::cloud::core::{FunctionRevision, Start};
use crate::cloud::front::Credential;
use crate::cloud::lambda::{FunctionError, FunctionErrorKind};
use crate::world::time::Time;
use crate::world::{clock, mark};

/// Wraps a handler as it is built. Only tests pass one that changes anything: that is how a planted bug gets in
/// without a line of simulation in the product.
pub type FunctionFactory = Arc<dyn Fn(&str, Box<dyn Function>) -> Box<dyn Function> + Send + Sync>;

/// An execution environment.
struct Instance {
    function: Box<dyn Function>,
    calls: Calls,
}

/// Idle environments of the newest revision that was invoked, by function and version.
type Idle = BTreeMap<(String, String), (u64, Vec<Instance>)>;

fn version_of(revision: &FunctionRevision) -> (String, String) {
    (revision.function.clone(), revision.version.clone())
}

/// One invocation.
#[derive(Clone)]
pub(super) struct Invocation {
    pub revision: Arc<FunctionRevision>,
    pub payload: Bytes,
    pub request_id: String,
    /// How long the function may run.
    pub timeout: Duration,
    pub start: Start,
}

impl Invocation {
    fn timed_out(&self) -> FunctionError {
        function_faults::timed_out(&self.request_id, self.timeout)
    }
}

/// When a handler begins, and when Lambda ends it.
#[derive(Clone, Copy)]
struct Times {
    begins: Time,
    deadline: Time,
}

impl Times {
    /// Of a handler that begins now.
    fn from_now(timeout: Duration) -> Self {
        Times { begins: clock::now(), deadline: clock::now() + timeout }
    }
}

/// What a handler answered, with the environment that it ran in.
type Done = (Instance, Result<Vec<u8>, platform::function::FunctionError>);

/// A handler at work.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// An environment that Lambda has lost and that may go on, and the event that it has.
struct Zombie {
    function: String,
    payload: Bytes,
    /// Ids of the records of a stream in it: what failed comes again whole, or in part.
    records: BTreeSet<String>,
    calls: Calls,
    until: Time,
}

/// Metrics on a function's standard output are events of the trace.
#[derive(Debug)]
struct TracedMetrics {
    cloud: Cloud,
    function: String,
}

impl MetricSink for TracedMetrics {
    fn put(&self, line: &str) {
        // It is a line of the function's log, like any other.
        tracing::info!(target: "platform::metrics", line);
        self.cloud.enter(|account, now| account.metric(now, &self.function, line));
    }
}

/// Runs the account's functions and keeps their idle environments. A function is built from the revision that Lambda
/// invokes, so one that is created or changed later runs like those of the boot. A deployment package is a name: what runs
/// is the handler of this build.
#[derive(Clone)]
pub struct Functions {
    node: madsim::runtime::NodeHandle,
    idle: Arc<Mutex<Idle>>,
    zombies: Arc<Mutex<Vec<Zombie>>>,
    wrap: Option<FunctionFactory>,
    tamper: Option<Arc<dyn Tamper>>,
    watch: Watch,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

impl Functions {
    /// Functions that run on `node`.
    pub fn new(node: madsim::runtime::NodeHandle, wrap: Option<FunctionFactory>) -> Self {
        Functions { node, idle: Arc::default(), zombies: Arc::default(), wrap, tamper: None, watch: Watch::default() }
    }

    /// The same, with calls that go through `tamper`, and under `watch`.
    pub fn under(self, tamper: Option<Arc<dyn Tamper>>, watch: Watch) -> Self {
        Functions { tamper, watch, ..self }
    }

    fn environment(&self, cloud: &Cloud, revision: &FunctionRevision, cold: bool) -> Result<Instance, FunctionError> {
        if let Some(warm) = self.warm(revision, cold) {
            warm.calls.begin();
            return Ok(warm);
        }
        let credential = cloud.enter(|account, _| role_credential(account, revision));
        let calls = Calls::default();
        let config =
            self.watch.over(sdk_config_of(cloud, &credential, &revision.handler, calls.clone()), &revision.handler);
        let config = match &self.tamper {
            Some(tamper) => tampered(config, tamper, &revision.handler, &credential),
            None => config,
        };
        let environment = Environment::new(revision.environment.clone());
        let built = platform::function::build(&revision.handler, &config, &environment)
            .map_err(|e| failed(FunctionErrorKind::Broke, "Runtime.InitError", e.to_string()))?;
        let function = match &self.wrap {
            Some(wrap) => wrap(&revision.function, built),
            None => built,
        };
        Ok(Instance { function, calls })
    }

    /// Takes an idle environment of a revision. Those of an older one are dropped.
    fn warm(&self, revision: &FunctionRevision, cold: bool) -> Option<Instance> {
        let mut pool = lock(&self.idle);
        let (number, idle) = pool.entry(version_of(revision)).or_default();
        if *number < revision.number {
            *number = revision.number;
            idle.clear();
        }
        if cold { None } else { idle.pop() }
    }

    /// Keeps an environment for the next event, unless a newer revision has been invoked meanwhile.
    fn keep(&self, revision: &FunctionRevision, instance: Instance) {
        let mut pool = lock(&self.idle);
        let (number, idle) = pool.entry(version_of(revision)).or_default();
        if *number == revision.number {
            idle.push(instance);
        }
    }

    /// The idle environments of these functions are gone.
    pub(super) fn drop_idle(&self, functions: &[String]) {
        let mut pool = lock(&self.idle);
        for (_, (_, idle)) in pool.iter_mut().filter(|((function, _), _)| functions.contains(function)) {
            idle.clear();
        }
    }

    /// Runs one invocation and reports its end to the account.
    pub(super) fn invoke(&self, cloud: &Cloud, id: u64, invocation: Invocation) {
        let (this, cloud) = (self.clone(), cloud.clone());
        self.node.spawn(async move {
            let (init, result) = this.run(&cloud, invocation).await;
            cloud.enter(|account, now| account.complete(now, id, init, result));
        });
    }

    /// Answers how long the environment was initialised before the function's time began, and how the invocation ended.
    async fn run(&self, cloud: &Cloud, invocation: Invocation) -> (Duration, Result<Bytes, FunctionError>) {
        let Invocation { revision, request_id, start, .. } = &invocation;
        self.tell_zombies(&invocation);
        let poisoned = function_faults::is_poisoned(cloud.faults(), &revision.handler, &invocation.payload);
        let mishap = match poisoned {
            true => Some(Mishap::DiesBefore),
            false => function_faults::mishap(cloud.faults(), &revision.handler, request_id),
        };
        let instance = match self.environment(cloud, revision, *start != Start::Warm) {
            Ok(instance) => instance,
            Err(error) => return (Duration::ZERO, Err(error)),
        };
        // Whoever else is given poison dies of it, too.
        if !poisoned && function_faults::is_doubled(cloud.faults(), &revision.handler, request_id) {
            self.double(cloud, &invocation);
        }
        let (init, times) = initialise(cloud, &invocation).await;
        let work = self.work(cloud, &invocation, instance, times);
        let result = match mishap {
            None => self.complete(&invocation, times, work.1).await,
            Some(mishap) => self.suffer(cloud, &invocation, times, work, mishap).await,
        };
        (init, result)
    }

    /// The handler's work in an environment, and what is known of its calls.
    fn work(&self, cloud: &Cloud, invocation: &Invocation, instance: Instance, times: Times) -> (Calls, Work) {
        let Invocation { revision, payload, request_id, .. } = invocation.clone();
        let compute = cloud.draw_latency(|latency| latency.invocation(&revision, &payload));
        let context = InvocationContext {
            request_id,
            deadline: SystemTime::UNIX_EPOCH + Duration::from_micros(times.deadline.unix_micros()),
            metrics: Arc::new(TracedMetrics { cloud: cloud.clone(), function: revision.function.clone() }),
        };
        let calls = instance.calls.clone();
        let work = async move {
            clock::sleep_until(times.begins + compute).await;
            let answer = instance.function.invoke(&payload, &context).await;
            (instance, answer)
        };
        (calls, Box::pin(work))
    }

    /// Lets a handler do its work until Lambda ends it.
    async fn complete(&self, invocation: &Invocation, times: Times, work: Work) -> Result<Bytes, FunctionError> {
        match madsim::time::timeout(times.deadline.since(clock::now()), work).await {
            // The environment is dropped with whatever it was doing, as Lambda resets it.
            Err(_) => Err(invocation.timed_out()),
            Ok((_, Err(error))) => Err(failed(FunctionErrorKind::Unhandled, "Error", error.to_string())),
            Ok((instance, Ok(answer))) => {
                self.keep(&invocation.revision, instance);
                Ok(Bytes::from(answer))
            }
        }
    }

    /// Lets a handler do its work as far as a mishap lets it.
    async fn suffer(
        &self,
        cloud: &Cloud,
        invocation: &Invocation,
        Times { begins, deadline }: Times,
        (calls, work): (Calls, Work),
        mishap: Mishap,
    ) -> Result<Bytes, FunctionError> {
        let Invocation { request_id, revision, .. } = invocation;
        let ended = |is_late: bool, by: Death| if is_late { invocation.timed_out() } else { by.error(request_id) };
        match mishap {
            Mishap::DiesBefore => {
                drop(work);
                let dies = begins + cloud.draw_latency(|latency| latency.invocation(revision, b""));
                clock::sleep_until(dies.min(deadline)).await;
                Err(ended(dies > deadline, Death::Crash))
            }
            Mishap::DiesAfter => {
                let done = madsim::time::timeout(deadline.since(clock::now()), work).await;
                Err(ended(done.is_err(), Death::Crash))
            }
            Mishap::Dies { calls: after, within, by } => {
                let stopped = stop_after(&calls, after, (begins + within).min(deadline), work).await;
                let is_late = stopped.is_some() && clock::now() >= deadline;
                drop(stopped);
                if by == Death::Memory {
                    cloud.drop_idle(Some(&revision.handler));
                }
                Err(ended(is_late, by))
            }
            Mishap::Hangs { calls: after } => {
                let stopped = stop_after(&calls, after, deadline, work).await;
                clock::sleep_until(deadline).await;
                drop(stopped);
                Err(invocation.timed_out())
            }
            Mishap::Lost { calls: after, frozen, until, then } => {
                if let Some(work) = stop_after(&calls, after, deadline, work).await {
                    self.haunt(invocation, calls, work, ((clock::now() + frozen).min(until), then));
                }
                Err(function_faults::lost(request_id))
            }
        }
    }

    /// A lost environment is frozen until an instant, and goes on then, as a task of its own.
    fn haunt(&self, invocation: &Invocation, calls: Calls, work: Work, (until, then): (Time, Duration)) {
        let zombie = Zombie {
            function: invocation.revision.function.clone(),
            payload: invocation.payload.clone(),
            records: function_faults::record_ids(&invocation.payload),
            calls,
            until: until + then,
        };
        lock(&self.zombies).push(zombie);
        self.node.spawn(async move {
            clock::sleep_until(until).await;
            // Whether it comes to its end or is ended by force: nobody hears of it.
            drop(madsim::time::timeout(then, work).await);
        });
    }

    /// Lost environments whose event is delivered again are told, for what they do from now on.
    fn tell_zombies(&self, invocation: &Invocation) {
        let mut zombies = lock(&self.zombies);
        zombies.retain(|zombie| zombie.until > clock::now());
        if zombies.is_empty() {
            return;
        }
        let records = function_faults::record_ids(&invocation.payload);
        let same = |zombie: &&Zombie| {
            let event = zombie.payload == invocation.payload || !zombie.records.is_disjoint(&records);
            zombie.function == invocation.revision.function && event
        };
        zombies.iter().filter(same).for_each(|zombie| zombie.calls.delivered_again());
    }

    /// A second environment is given the same event at the same time. Nobody hears of its end.
    fn double(&self, cloud: &Cloud, invocation: &Invocation) {
        let revision = &invocation.revision;
        cloud.enter(|account, now| account.mark(now, mark::INVOKED_TWICE, &revision.function));
        if let Ok(instance) = self.environment(cloud, revision, true) {
            let times = Times::from_now(invocation.timeout);
            let (_, work) = self.work(cloud, invocation, instance, times);
            let timeout = invocation.timeout;
            self.node.spawn(async move { drop(madsim::time::timeout(timeout, work).await) });
        }
    }
}

/// Initialises the environment of an invocation where it needs that. Answers how long that was before the function's time
/// began; what is repeated within that time puts the handler's beginning off.
async fn initialise(cloud: &Cloud, invocation: &Invocation) -> (Duration, Times) {
    let Invocation { revision, timeout, start, .. } = invocation;
    if *start == Start::Warm {
        return (Duration::ZERO, Times::from_now(*timeout));
    }
    let slower = function_faults::slow_start(cloud.faults(), &revision.handler);
    let takes = slower + cloud.draw_latency(Latency::init);
    let before = match start {
        Start::New { most } => takes.min(*most),
        Start::Warm | Start::Again => Duration::ZERO,
    };
    clock::sleep(before).await;
    let times = Times::from_now(*timeout);
    let is_done = before == takes;
    (before, if is_done { times } else { Times { begins: times.begins + takes, ..times } })
}

/// Lets work go on until so many calls had their effect, or an instant has come. Answers what is left of it; nothing when
/// it has come to its end before.
async fn stop_after(calls: &Calls, count: u64, end: Time, work: Work) -> Option<Work> {
    let stop = pin!(async {
        let (reached, late) = (pin!(calls.reached(count)), pin!(clock::sleep_until(end)));
        select(reached, late).await;
    });
    // What stops is asked first: nothing more is done once the call had its effect.
    match select(stop, work).await {
        Either::Left(((), work)) => Some(work),
        Either::Right(_) => None,
    }
}

/// Keys of a session of the function's role, made known to the account.
fn role_credential(account: &mut Account, revision: &FunctionRevision) -> Credential {
    let role = revision.role_arn.rsplit('/').next().unwrap_or(&revision.role_arn);
    let session = format!("arn:aws:sts::{}:assumed-role/{role}/{}", account.id(), revision.function);
    let credential = session_credential(&format!("{}{}", revision.function, revision.number), &session);
    account.add_credential(credential.clone());
    credential
}

pub(super) fn failed(kind: FunctionErrorKind, error_type: &str, message: String) -> FunctionError {
    FunctionError { kind, error_type: error_type.to_owned(), message }
}
