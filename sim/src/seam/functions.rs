//! Lambda's execution environments: the platform's handlers, run when the simulated Lambda says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use platform::function::{Environment, Function, InvocationContext, MetricSink};

use super::boot::session_credential;
use super::handle::Cloud;
use super::http_client::sdk_config_of;
use super::tamper::{Tamper, tampered};
use super::watch::Watch;
use crate::cloud::account::Account;
use crate::cloud::core::FunctionRevision;
use crate::cloud::front::Credential;
use crate::cloud::lambda::{FunctionError, FunctionErrorKind};
use crate::world::clock;
use crate::world::time::Time;

/// Wraps a handler as it is built. Only tests pass one that changes anything: that is how a planted bug gets in
/// without a line of simulation in the product.
pub type FunctionFactory = Arc<dyn Fn(&str, Box<dyn Function>) -> Box<dyn Function> + Send + Sync>;

/// Idle environments of the newest revision that was invoked, by function.
type Idle = BTreeMap<String, (u64, Vec<Box<dyn Function>>)>;

/// Metrics on a function's standard output are events of the trace.
#[derive(Debug)]
struct TracedMetrics {
    cloud: Cloud,
    function: String,
}

impl MetricSink for TracedMetrics {
    fn put(&self, line: &str) {
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
    wrap: Option<FunctionFactory>,
    tamper: Option<Arc<dyn Tamper>>,
    watch: Watch,
}

impl Functions {
    /// Functions that run on `node`.
    pub fn new(node: madsim::runtime::NodeHandle, wrap: Option<FunctionFactory>) -> Self {
        Functions { node, idle: Arc::default(), wrap, tamper: None, watch: Watch::default() }
    }

    /// The same, with calls that go through `tamper`, and under `watch`.
    pub fn under(self, tamper: Option<Arc<dyn Tamper>>, watch: Watch) -> Self {
        Functions { tamper, watch, ..self }
    }

    fn environment(
        &self,
        cloud: &Cloud,
        revision: &FunctionRevision,
        cold: bool,
    ) -> Result<Box<dyn Function>, FunctionError> {
        let name = revision.function.as_str();
        if let Some(warm) = self.warm(revision, cold) {
            return Ok(warm);
        }
        let credential = cloud.enter(|account, _| role_credential(account, revision));
        let config = self.watch.over(sdk_config_of(cloud, &credential, &revision.handler), &revision.handler);
        let config = match &self.tamper {
            Some(tamper) => tampered(config, tamper, &revision.handler, &credential),
            None => config,
        };
        let environment = Environment::new(revision.environment.clone());
        let built = platform::function::build(&revision.handler, &config, &environment)
            .map_err(|e| failed(FunctionErrorKind::Unhandled, "Runtime.InitError", e.to_string()))?;
        Ok(match &self.wrap {
            Some(wrap) => wrap(name, built),
            None => built,
        })
    }

    /// Takes an idle environment of a revision. Those of an older one are dropped.
    fn warm(&self, revision: &FunctionRevision, cold: bool) -> Option<Box<dyn Function>> {
        let mut pool = self.pool();
        let (number, idle) = pool.entry(revision.function.clone()).or_default();
        if *number < revision.number {
            *number = revision.number;
            idle.clear();
        }
        if cold { None } else { idle.pop() }
    }

    /// Keeps an environment for the next event, unless a newer revision has been invoked meanwhile.
    fn keep(&self, revision: &FunctionRevision, function: Box<dyn Function>) {
        let mut pool = self.pool();
        let (number, idle) = pool.entry(revision.function.clone()).or_default();
        if *number == revision.number {
            idle.push(function);
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Runs one invocation and reports its end to the account.
    #[allow(clippy::too_many_arguments, reason = "the members of one effect")]
    pub(super) fn invoke(
        &self,
        cloud: &Cloud,
        invocation: u64,
        revision: Arc<FunctionRevision>,
        payload: Bytes,
        request_id: String,
        deadline: Time,
        cold: bool,
    ) {
        let (this, cloud) = (self.clone(), cloud.clone());
        self.node.spawn(async move {
            let result = this.run(&cloud, &revision, payload, request_id, deadline, cold).await;
            cloud.enter(|account, now| account.complete(now, invocation, result));
        });
    }

    async fn run(
        &self,
        cloud: &Cloud,
        revision: &FunctionRevision,
        payload: Bytes,
        request_id: String,
        deadline: Time,
        cold: bool,
    ) -> Result<Bytes, FunctionError> {
        let function = self.environment(cloud, revision, cold)?;
        let compute = cloud.draw_latency(|latency| latency.invocation(payload.len(), cold));
        let context = InvocationContext {
            request_id,
            deadline: SystemTime::UNIX_EPOCH + Duration::from_micros(deadline.unix_micros()),
            metrics: Arc::new(TracedMetrics { cloud: cloud.clone(), function: revision.function.clone() }),
        };
        let work = async {
            clock::sleep(compute).await;
            function.invoke(&payload, &context).await
        };
        match madsim::time::timeout(deadline.since(clock::now()), work).await {
            // The environment is dropped with whatever it was doing, as Lambda resets it.
            Err(_) => Err(failed(FunctionErrorKind::TimedOut, "Sandbox.Timedout", "Task timed out".to_owned())),
            Ok(Err(error)) => Err(failed(FunctionErrorKind::Unhandled, "Error", error.to_string())),
            Ok(Ok(answer)) => {
                self.keep(revision, function);
                Ok(Bytes::from(answer))
            }
        }
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

fn failed(kind: FunctionErrorKind, error_type: &str, message: String) -> FunctionError {
    FunctionError { kind, error_type: error_type.to_owned(), message }
}
