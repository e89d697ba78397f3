//! AWS Lambda with the Kinesis event source mapping.
//!
//! Modelled: `AWS::Lambda::Function` as a zip package for a custom runtime; `AWS::Lambda::EventSourceMapping` of a
//! Kinesis stream: one poller a shard that reads once a second in the function's role, batches by BatchSize,
//! MaximumBatchingWindowInSeconds and the 6 MB of an event, one batch in flight a shard, delivery again until success
//! or expiry, ReportBatchItemFailures, the three starting positions, parents before children; execution environments
//! (cold when none is idle), the account's concurrency, its request rate, and the rate of new environments; the
//! operations GetFunction, GetFunctionConfiguration, ListFunctions, GetEventSourceMapping, ListEventSourceMappings
//! with the rates of the control plane.
//!
//! Partly modelled: the object that `Code` names is not looked up, so answers hold no CodeSize, CodeSha256 and
//! location. A mapping is `Enabled` at once and reads for the first time a second later. An environment stays idle for
//! ever, and one whose invocation failed is dropped, also where the function answered with an error of its own, because
//! the seam drops it too. `Description`, `Architectures`, `EphemeralStorage` and `Tags` change nothing that is modelled.
//! A batch that is delivered again keeps its end: it is not filled up with newer records (unverified). A record that no
//! event can hold is dropped and counted (unverified).
//!
//! Refused: every other operation and property by its name: Invoke, versions, aliases, reserved and provisioned
//! concurrency, layers, images, VPCs, dead letters; and of mappings ParallelizationFactor above 1,
//! BisectBatchOnFunctionError, MaximumRetryAttempts, MaximumRecordAgeInSeconds, TumblingWindowInSeconds,
//! DestinationConfig, FilterCriteria, enhanced fan-out and other sources.

mod answer;
mod change;
mod event;
mod function;
mod invoke;
mod mapping;
mod permit;
mod poller;
mod rest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use function::FunctionInfo;
pub use invoke::{FunctionError, FunctionErrorKind};

use crate::cloud::core::ports::{ShardInfo, StartingPosition, Streams};
use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource, Service};
use crate::world::time::Time;
use crate::world::trace::Level;
use function::Function;
use invoke::{Rates, Running};
use mapping::{Mapping, Shard};
use poller::{POLL_INTERVAL, Poller};

/// The functions of the account and their event source mappings.
#[derive(Debug, Default)]
pub struct Lambda {
    functions: BTreeMap<String, Function>,
    /// In the order of their creation.
    mappings: Vec<Mapping>,
    /// A wake-up's token is a position in this list.
    pollers: Vec<Poller>,
    running: BTreeMap<u64, Running>,
    invocations: u64,
    rates: Option<Rates>,
}

impl Lambda {
    /// An account without functions.
    pub fn new() -> Self {
        Lambda::default()
    }

    /// The functions, ordered by name.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionInfo> {
        self.functions.values().map(|function| &function.info)
    }

    /// Creates `AWS::Lambda::Function` (`Ref` is the name; attribute `Arn`) or `AWS::Lambda::EventSourceMapping` (`Ref`
    /// is the UUID; attributes `Id` and `EventSourceMappingArn`).
    pub fn provision(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::Lambda::Function" => ("CreateFunction", self.create_function(cx, resource)),
            "AWS::Lambda::EventSourceMapping" => {
                ("CreateEventSourceMapping", self.create_mapping(cx, streams, resource))
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("lambda", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn create_function(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (function, provisioned) = Function::create(cx, resource)?;
        let name = function.info.name.clone();
        if self.functions.contains_key(&name) {
            let message = format!("Function already exist: {name}");
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        self.functions.insert(name, function);
        Ok(provisioned)
    }

    fn create_mapping(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let properties: mapping::Properties = resource.parse()?;
        let stream: Arc<str> = properties.stream(cx, resource)?.into();
        let name = properties.function(cx, resource)?;
        let function = self.functions.get(name).ok_or_else(|| rest::function_not_found(cx, name))?;
        let shards = streams.list_shards(&stream).map_err(|_| {
            let message = format!("Stream not found: {}", properties.event_source_arn);
            AwsError::new("InvalidParameterValueException", message).with("Type", "User")
        })?;
        if let Some(same) = self.mappings.iter().find(|m| m.stream == stream && m.function == function.info.name) {
            let message = format!(
                "The event source arn (\" {} \") and function (\" {name} \") provided mapping already exists. \
                 Please update or delete the existing mapping with UUID {}",
                same.source_arn, same.uuid
            );
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        let mapping = properties.create(cx, resource, stream, &function.info)?;
        permit::permit_reader(cx, &mapping.reader, &mapping.source_arn)?;
        let provisioned = Provisioned::new(mapping.uuid.clone())
            .attribute("Id", mapping.uuid.clone())
            .attribute("EventSourceMappingArn", mapping.arn.clone());
        let (enabled, latest) = (mapping.enabled, mapping.start == StartingPosition::Latest);
        let index = self.mappings.len();
        self.mappings.push(mapping);
        if enabled {
            if latest {
                // A closed shard has nothing behind its newest record.
                let closed =
                    shards.iter().filter(|shard| shard.closed).map(|shard| (shard.id.clone(), Shard::Finished));
                self.mappings[index].shards.extend(closed);
            }
            let start = self.mappings[index].start;
            self.read_new_shards(cx, index, &shards, start);
        }
        Ok(provisioned)
    }

    /// Begins to read the shards that are new and whose parents are finished or no longer kept.
    fn read_new_shards(&mut self, cx: &mut Cx<'_>, mapping: usize, shards: &[ShardInfo], start: StartingPosition) {
        let known = &mut self.mappings[mapping].shards;
        for shard in shards {
            let waits = shard.parents.iter().any(|parent| match known.get(parent) {
                Some(state) => *state == Shard::Reading,
                None => shards.iter().any(|listed| listed.id == *parent),
            });
            if known.contains_key(&shard.id) || waits {
                continue;
            }
            known.insert(shard.id.clone(), Shard::Reading);
            let token = self.pollers.len();
            let first_poll = cx.now + POLL_INTERVAL;
            let mut poller = Poller::new(mapping, shard.id.clone(), start, first_poll);
            poller.asked = first_poll;
            self.pollers.push(poller);
            cx.timers.at(first_poll, Service::Lambda, token as u64);
        }
    }

    /// A poller has something to do.
    pub fn wake(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, token: u64) {
        let poller = usize::try_from(token).expect("tokens are positions in a list");
        if self.pollers[poller].asked <= cx.now {
            self.pollers[poller].asked = Time::MAX;
            self.step(cx, streams, poller);
        }
    }

    /// Lets a poller do what it can do now, and asks for the wake-up that it needs next.
    fn step(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) {
        self.read(cx, streams, index);
        if self.deliver(cx, streams, index) {
            // The batch made room.
            self.read(cx, streams, index);
        }
        self.end_shard(cx, streams, index);
        let poller = &mut self.pollers[index];
        if let Some(due) = poller.next_due(&self.mappings[poller.mapping]) {
            let due = due.max(cx.now);
            if due < poller.asked {
                poller.asked = due;
                cx.timers.at(due, Service::Lambda, index as u64);
            }
        }
    }

    fn read(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        if !poller.wants_read(cx.now, mapping) {
            return;
        }
        let mut cx = cx.acting_as(&mapping.reader);
        match poller.read(&mut cx, streams, mapping) {
            Ok(read) => {
                cx.meter.add("lambda", "PolledEventCount", read.records as u64);
                if read.too_large > 0 {
                    cx.meter.add("lambda", "DroppedEventCount", read.too_large as u64);
                    let fields = [("shard", (&*poller.shard_id).into()), ("records", read.too_large.into())];
                    cx.trace.event(Level::Call, cx.now, "lambda", "drop-too-large", &mapping.function, &fields);
                }
            }
            Err(error) => {
                let fields = [("shard", (&*poller.shard_id).into()), ("code", error.code.into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "poll-failed", &mapping.function, &fields);
            }
        }
    }

    /// Once a shard is processed to its end, its children are read.
    fn end_shard(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) {
        let poller = &mut self.pollers[index];
        if !poller.is_at_end() {
            return;
        }
        let mapping = poller.mapping;
        let Mapping { reader, source_arn, .. } = &self.mappings[mapping];
        if cx.acting_as(reader).authorize("kinesis:ListShards", source_arn).is_err() {
            return poller.postpone(cx.now);
        }
        match streams.list_shards(&self.mappings[mapping].stream) {
            Ok(shards) => {
                poller.set_finished();
                let shard_id = poller.shard_id.clone();
                let fields = [("stream", (&*self.mappings[mapping].stream).into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "shard-end", &shard_id, &fields);
                self.mappings[mapping].shards.insert(shard_id, Shard::Finished);
                // A shard that appeared after the mapping is read from its beginning, or records would be missed.
                let start = match self.mappings[mapping].start {
                    StartingPosition::Latest => StartingPosition::TrimHorizon,
                    other => other,
                };
                self.read_new_shards(cx, mapping, &shards, start);
            }
            Err(_) => poller.postpone(cx.now),
        }
    }
}
