//! AWS Lambda: functions with versions and aliases, event source mappings of Kinesis streams, and asynchronous and
//! synchronous invocations.
//!
//! Modelled: `AWS::Lambda::Function` as a zip package for a custom runtime; its changes: a change is in progress for a
//! while, then the idle environments are dropped, invocations that run end in the old ones, and the next one starts cold;
//! versions and aliases, weighted ones too, with environments of their own (`versions`); `AWS::Lambda::EventSourceMapping`
//! of a Kinesis stream: one poller a shard that reads once a second in the function's role, as many lanes as the
//! ParallelizationFactor says with one batch in flight each (`lane`), batches by BatchSize, MaximumBatchingWindowInSeconds
//! and the 6 MB of an event, filters (`filter`), delivery again until success, expiry, MaximumRetryAttempts or
//! MaximumRecordAgeInSeconds, BisectBatchOnFunctionError, ReportBatchItemFailures, failure destinations (`failure`), the
//! three starting positions, parents before children; execution environments (`admission`), the account's and
//! reserved concurrency, its request rate, and the rate of new environments; `AWS::Lambda::Permission` for services,
//! checked when a service invokes; `AWS::Lambda::EventInvokeConfig` with its destinations, dead letters to topics, and the
//! queue of asynchronous invocations (`queue`); the customer-managed key of environment variables, used in the function's
//! role when an environment starts; the operations on mappings, versions, aliases and EventInvokeConfig, Invoke,
//! UpdateFunctionCode from S3, UpdateFunctionConfiguration, DeleteFunction, GetPolicy, GetFunction,
//! GetFunctionConfiguration, ListFunctions, with the rates of the control plane.
//!
//! Partly modelled: the object that `Code` names is not looked up, so answers hold no CodeSize, CodeSha256 and location;
//! whatever it names, the code that runs is the handler of this build with the name that `Handler` gives, so a new S3Key
//! is a new deployment of the same code. Log lines are not modelled: a starting environment checks the log group and the
//! role's permissions, and what is denied is counted as `LogsDenied` (a name of this simulator) and changes nothing else, as
//! on AWS. A mapping is shown in its transition for a second, and reads for the first time at its end; its changes act at
//! once. An environment stays idle for ever. One that crashed or timed out is initialised again within the time of its next
//! invocation; one whose function answered with an error of its own is dropped, because the seam drops it too. `Description`, `Architectures`, `EphemeralStorage`,
//! `TracingConfig`, formats and levels of logs, and `Tags` change nothing that is modelled; no grant is created for a key.
//! A poller that is told to stand still neither reads nor delivers; a batch in flight ends. An event that comes twice has
//! one request id.
//! A batch that is delivered again keeps its end: it is not filled up with newer records (unverified). A change takes two
//! seconds (assumed). A mapping whose number of lanes changes delivers nothing new until what is in flight has ended; then
//! records that wait are laid out anew, and their attempts are counted anew.
//!
//! Refused: every other operation and property by its name: provisioned concurrency, layers, images, VPCs, dead letters and
//! destinations that are queues or event buses, permissions for other principals than services; of Invoke the log's tail
//! and the client context; and of mappings tumbling windows, enhanced fan-out and other sources.

mod admission;
mod aliases;
mod answer;
mod calls;
mod change;
mod declared;
mod deliver;
mod describe;
mod destination;
mod event;
mod failure;
mod filter;
mod function;
mod invoke;
mod invoke_config;
mod lane;
mod manage;
mod mapping;
mod operate;
mod permission;
mod permit;
mod poller;
mod queue;
mod rates;
mod rest;
mod shards;
#[cfg(test)]
mod tests;
mod versions;
mod wakeup;

use std::collections::BTreeMap;

pub use function::FunctionInfo;
pub use invoke::{FunctionError, FunctionErrorKind};
pub use rest::RestCall;

use crate::core::ports::{LogGroups, Notifications, Objects, Streams};
use crate::core::{AwsError, Cx, Deferred, Outcome, Provisioned, Resource};
use calls::Calls;
use function::Function;
use invoke::Running;
use mapping::Mapping;
use poller::Poller;
use queue::Event;
use rates::Rates;
use versions::Target;
use wakeup::Wakeup;
use world::time::Time;

/// The services that functions and mappings use.
pub struct Ports<'p> {
    /// Kinesis.
    pub streams: &'p mut dyn Streams,
    /// S3.
    pub objects: &'p mut dyn Objects,
    /// SNS.
    pub topics: &'p mut dyn Notifications,
    /// CloudWatch Logs.
    pub logs: &'p dyn LogGroups,
}

/// Concurrency that is never reserved (Lambda Developer Guide, "Configuring reserved concurrency").
const UNRESERVED_MIN: u64 = 100;

/// The functions of the account and their event source mappings.
#[derive(Debug, Default)]
pub struct Lambda {
    functions: BTreeMap<String, Function>,
    /// In the order of their creation.
    mappings: Vec<Mapping>,
    pollers: Vec<Poller>,
    running: BTreeMap<u64, Running>,
    /// How many of them run each function.
    running_of: BTreeMap<String, u64>,
    invocations: u64,
    /// Asynchronous invocations that are not done, by id.
    queue: BTreeMap<u64, Event>,
    events: u64,
    /// Revisions of functions so far.
    revisions: u64,
    /// Answers that callers of the API wait for, so far.
    tickets: u64,
    deferred: Option<Deferred>,
    /// Request id of the invocation that the last call of the API asked for.
    last_request_id: Option<String>,
    rates: Option<Rates>,
    /// What services of the account wait for.
    calls: Calls,
}

impl Lambda {
    /// An account without functions.
    pub fn new() -> Self {
        Lambda::default()
    }

    /// The operation that a method and a path ask for, if the API has one.
    pub fn operation_of(method: &str, path: &str) -> Option<&'static str> {
        rest::operation_of(method, path)
    }

    /// The functions, ordered by name.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionInfo> {
        self.functions.values().map(|function| &function.info)
    }

    /// Creates `AWS::Lambda::Function` (`Ref` is the name; attribute `Arn`), `AWS::Lambda::EventSourceMapping` (`Ref`
    /// is the UUID; attributes `Id` and `EventSourceMappingArn`), `AWS::Lambda::Permission` (`Ref` is the statement's id) or
    /// `AWS::Lambda::EventInvokeConfig`.
    pub fn provision(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::Lambda::Function" => ("CreateFunction", self.create_function(cx, resource)),
            "AWS::Lambda::EventSourceMapping" => {
                ("CreateEventSourceMapping", self.provision_mapping(cx, streams, resource))
            }
            "AWS::Lambda::Permission" => ("AddPermission", self.add_permission(cx, resource)),
            "AWS::Lambda::Version" => ("PublishVersion", self.provision_version(cx, resource)),
            "AWS::Lambda::Alias" => ("CreateAlias", self.provision_alias(cx, resource)),
            "AWS::Lambda::EventInvokeConfig" => {
                ("PutFunctionEventInvokeConfig", self.put_retention(cx, resource, true))
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("lambda", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn create_function(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let function = Function::create(cx, resource, self.revisions + 1)?;
        let name = function.info.name.clone();
        if self.functions.contains_key(&name) {
            let message = format!("Function already exist: {name}");
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        self.check_reservation(cx, &name, function.info.reserved_concurrency)?;
        self.revisions += 1;
        let provisioned = function.provisioned();
        self.functions.insert(name, function);
        Ok(provisioned)
    }

    /// Functions without reserved concurrency must keep at least 100 of the account's.
    fn check_reservation(&mut self, cx: &Cx<'_>, name: &str, reserved: Option<u64>) -> Result<(), AwsError> {
        let Some(reserved) = reserved else { return Ok(()) };
        let all = cx.limits.get("lambda", "concurrency");
        if self.reserved_concurrency(Some(name)) + reserved + UNRESERVED_MIN <= all {
            return Ok(());
        }
        let message = format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below \
             its minimum value of [{UNRESERVED_MIN}]."
        );
        Err(AwsError::new("InvalidParameterValueException", message).with("Type", "User"))
    }

    /// The mappings that the API shows.
    fn shown_mappings(&self, cx: &Cx<'_>) -> impl Iterator<Item = &Mapping> {
        let now = cx.now;
        self.mappings.iter().filter(move |mapping| mapping.shown_state(now).is_some())
    }

    /// A wake-up that the service asked for.
    pub fn wake(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, token: u64) {
        match Wakeup::of(token) {
            Wakeup::Event(id) => self.attempt(cx, ports, id),
            Wakeup::Calls => self.run_calls(cx, ports),
            Wakeup::Poller(index) => {
                if self.pollers[index].asked <= cx.now {
                    self.pollers[index].asked = Time::MAX;
                    self.step(cx, ports, index);
                }
            }
        }
    }

    /// The request id of the invocation that the last call of the API asked for, when it did: what its caller is told is what
    /// the function and its logs are told (unverified from documents, known from use).
    pub fn take_request_id(&mut self) -> Option<String> {
        self.last_request_id.take()
    }

    /// The answer that the last call of the API left for later, when it did: see [`Deferred`].
    pub fn take_deferred(&mut self) -> Option<Deferred> {
        self.deferred.take()
    }
}

/// The function, and what of it is meant, that is given as a name, an ARN or a part of one, with a version or an alias behind
/// a colon or without.
fn name_of(cx: &Cx<'_>, given: &str) -> Result<Target, String> {
    let prefixes = [
        cx.account.arn("lambda", "function:"),
        format!("{}:function:", cx.account.id),
        format!("{}:{}:function:", cx.account.region, cx.account.id),
    ];
    let name = prefixes.iter().find_map(|prefix| given.strip_prefix(prefix.as_str())).unwrap_or(given);
    let (function, qualifier) = name.split_once(':').map_or((name, None), |(name, qualifier)| (name, Some(qualifier)));
    let qualifier = qualifier.filter(|qualifier| *qualifier != versions::LATEST);
    if qualifier.is_some_and(|qualifier| qualifier.is_empty() || qualifier.contains(':')) {
        return Err(format!("FunctionName is {given:?}: functions of other accounts and Regions are not modelled"));
    }
    Ok(Target { function: function.to_owned(), qualifier: qualifier.map(str::to_owned) })
}
