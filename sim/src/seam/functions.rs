//! Lambda's execution environments: the platform's handlers, run when the simulated Lambda says so.

use std::collections::BTreeMap;
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
use super::tamper::{Tamper, tampered};
use super::watch::Watch;
use crate::cloud::account::Account;
use crate::cloud::core::FunctionRevision;
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
    pub deadline: Time,
    pub cold: bool,
}

/// What a handler answered, with the environment that it ran in.
type Done = (Instance, Result<Vec<u8>, platform::function::FunctionError>);

/// A handler at work.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// An environment that Lambda has lost and that may go on, and the event that it has.
struct Zombie {
    function: String,
    payload: Bytes,
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
            .map_err(|e| failed(FunctionErrorKind::Unhandled, "Runtime.InitError", e.to_string()))?;
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
            let result = this.run(&cloud, invocation).await;
            cloud.enter(|account, now| account.complete(now, id, result));
        });
    }

    async fn run(&self, cloud: &Cloud, invocation: Invocation) -> Result<Bytes, FunctionError> {
        let Invocation { revision, request_id, cold, .. } = &invocation;
        self.tell_zombies(&invocation);
        let poisoned = function_faults::is_poisoned(cloud.faults(), &revision.handler, &invocation.payload);
        let mishap = match poisoned {
            true => Some(Mishap::DiesBefore),
            false => function_faults::mishap(cloud.faults(), &revision.handler, request_id),
        };
        let instance = self.environment(cloud, revision, *cold)?;
        let work = self.work(cloud, &invocation, instance, *cold);
        // Whoever else is given poison dies of it, too.
        if !poisoned && function_faults::is_doubled(cloud.faults(), &revision.handler, request_id) {
            self.double(cloud, &invocation);
        }
        match mishap {
            None => self.complete(&invocation, work.1).await,
            Some(mishap) => self.suffer(cloud, &invocation, work, mishap).await,
        }
    }

    /// The handler's work in an environment, and what is known of its calls.
    fn work(&self, cloud: &Cloud, invocation: &Invocation, instance: Instance, cold: bool) -> (Calls, Work) {
        let Invocation { revision, payload, request_id, deadline, .. } = invocation.clone();
        let mut compute = cloud.draw_latency(|latency| latency.invocation(&revision, &payload, cold));
        if cold {
            compute += function_faults::slow_start(cloud.faults(), &revision.handler);
        }
        let context = InvocationContext {
            request_id,
            deadline: SystemTime::UNIX_EPOCH + Duration::from_micros(deadline.unix_micros()),
            metrics: Arc::new(TracedMetrics { cloud: cloud.clone(), function: revision.function.clone() }),
        };
        let calls = instance.calls.clone();
        let work = async move {
            clock::sleep(compute).await;
            let answer = instance.function.invoke(&payload, &context).await;
            (instance, answer)
        };
        (calls, Box::pin(work))
    }

    /// Lets a handler do its work until Lambda ends it.
    async fn complete(&self, invocation: &Invocation, work: Work) -> Result<Bytes, FunctionError> {
        match madsim::time::timeout(invocation.deadline.since(clock::now()), work).await {
            // The environment is dropped with whatever it was doing, as Lambda resets it.
            Err(_) => Err(function_faults::timed_out()),
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
        (calls, work): (Calls, Work),
        mishap: Mishap,
    ) -> Result<Bytes, FunctionError> {
        let Invocation { request_id, deadline, revision, .. } = invocation;
        match mishap {
            Mishap::DiesBefore => {
                drop(work);
                clock::sleep(cloud.draw_latency(|latency| latency.invocation(revision, b"", true))).await;
                Err(Death::Crash.error(request_id))
            }
            Mishap::DiesAfter => {
                let done = madsim::time::timeout(deadline.since(clock::now()), work).await;
                Err(if done.is_err() { function_faults::timed_out() } else { Death::Crash.error(request_id) })
            }
            Mishap::Dies { calls: after, at, by } => {
                let end = at.min(*deadline);
                let stopped = stop_after(&calls, after, end, work).await;
                let is_late = stopped.is_some() && clock::now() >= *deadline;
                drop(stopped);
                if by == Death::Memory {
                    cloud.drop_idle(Some(&revision.handler));
                }
                Err(if is_late { function_faults::timed_out() } else { by.error(request_id) })
            }
            Mishap::Hangs { calls: after } => {
                let stopped = stop_after(&calls, after, *deadline, work).await;
                clock::sleep_until(*deadline).await;
                drop(stopped);
                Err(function_faults::timed_out())
            }
            Mishap::Lost { calls: after, until, then } => {
                if let Some(work) = stop_after(&calls, after, *deadline, work).await {
                    self.haunt(invocation, calls, work, (until, then));
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
        let same =
            |zombie: &&Zombie| zombie.function == invocation.revision.function && zombie.payload == invocation.payload;
        zombies.iter().filter(same).for_each(|zombie| zombie.calls.delivered_again());
    }

    /// A second environment is given the same event at the same time. Nobody hears of its end.
    fn double(&self, cloud: &Cloud, invocation: &Invocation) {
        let revision = &invocation.revision;
        cloud.enter(|account, now| account.mark(now, mark::INVOKED_TWICE, &revision.function));
        if let Ok(instance) = self.environment(cloud, revision, true) {
            let (_, work) = self.work(cloud, invocation, instance, false);
            let left = invocation.deadline.since(clock::now());
            self.node.spawn(async move { drop(madsim::time::timeout(left, work).await) });
        }
    }
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
