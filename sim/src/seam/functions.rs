//! Lambda's execution environments: the platform's handlers, run when the simulated Lambda says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use platform::function::{Environment, Function, InvocationContext, MetricSink};

use super::handle::Cloud;
use super::http_client::sdk_config;
use crate::cloud::front::Credential;
use crate::cloud::lambda::{FunctionError, FunctionErrorKind};
use crate::world::clock;
use crate::world::time::Time;

/// Wraps a handler as it is built. Only tests pass one that changes anything: that is how a planted bug gets in
/// without a line of simulation in the product.
pub type FunctionFactory = Arc<dyn Fn(&str, Box<dyn Function>) -> Box<dyn Function> + Send + Sync>;

/// What a function is built from.
#[derive(Clone, Debug)]
pub struct FunctionDefinition {
    /// Name.
    pub name: String,
    /// Which of the platform's handlers runs.
    pub handler: String,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Keys of a session of the function's role.
    pub credential: Credential,
}

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

/// Idle environments by function.
type Idle = BTreeMap<String, Vec<Box<dyn Function>>>;

/// The functions of the account and their idle environments.
#[derive(Clone)]
pub struct Functions {
    node: madsim::runtime::NodeHandle,
    definitions: Arc<BTreeMap<String, FunctionDefinition>>,
    idle: Arc<Mutex<Idle>>,
    wrap: Option<FunctionFactory>,
}

impl Functions {
    /// Functions that run on `node`.
    pub fn new(
        node: madsim::runtime::NodeHandle,
        functions: Vec<FunctionDefinition>,
        wrap: Option<FunctionFactory>,
    ) -> Self {
        let definitions = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
        Functions { node, definitions: Arc::new(definitions), idle: Arc::default(), wrap }
    }

    fn environment(&self, cloud: &Cloud, name: &str, cold: bool) -> Result<Box<dyn Function>, FunctionError> {
        if !cold && let Some(warm) = self.pool().get_mut(name).and_then(Vec::pop) {
            return Ok(warm);
        }
        let definition = &self.definitions[name];
        let config = sdk_config(cloud, &definition.credential);
        let environment = Environment::new(definition.environment.clone());
        let built = platform::function::build(&definition.handler, &config, &environment)
            .map_err(|e| failed(FunctionErrorKind::Unhandled, "Runtime.InitError", e.to_string()))?;
        Ok(match &self.wrap {
            Some(wrap) => wrap(name, built),
            None => built,
        })
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
        name: &str,
        payload: Bytes,
        request_id: String,
        deadline: Time,
        cold: bool,
    ) {
        let (this, cloud, name) = (self.clone(), cloud.clone(), name.to_owned());
        self.node.spawn(async move {
            let result = this.run(&cloud, &name, payload, request_id, deadline, cold).await;
            cloud.enter(|account, now| account.complete(now, invocation, result));
        });
    }

    async fn run(
        &self,
        cloud: &Cloud,
        name: &str,
        payload: Bytes,
        request_id: String,
        deadline: Time,
        cold: bool,
    ) -> Result<Bytes, FunctionError> {
        let function = self.environment(cloud, name, cold)?;
        let compute = cloud.draw_latency(|latency| latency.invocation(payload.len(), cold));
        let context = InvocationContext {
            request_id,
            deadline: SystemTime::UNIX_EPOCH + Duration::from_micros(deadline.unix_micros()),
            metrics: Arc::new(TracedMetrics { cloud: cloud.clone(), function: name.to_owned() }),
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
                self.pool().entry(name.to_owned()).or_default().push(function);
                Ok(Bytes::from(answer))
            }
        }
    }
}

fn failed(kind: FunctionErrorKind, error_type: &str, message: String) -> FunctionError {
    FunctionError { kind, error_type: error_type.to_owned(), message }
}
