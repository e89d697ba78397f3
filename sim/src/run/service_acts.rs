//! Faults of streams and functions that strike by themselves: resharding, and cold starts.
//!
//! Contract: the owner changes the number of a stream's shards as anybody may, through Kinesis and within its limits; a
//! change that Kinesis refuses has not struck. Idle environments of Lambda may go at any time. Neither is put right
//! afterwards, because nothing is wrong: a stream works with any number of shards, and environments come back by
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::NodeHandle;
use platform::Settings;
use platform::naming::Naming;
use platform::transform::streaming;
use serde_json::{Value, json};

use super::OwnersAct;
use crate::cloud::account::Account;
use crate::cloud::core::AwsError;
use crate::fault::{FaultSpec, Faults, Kind, Opportunity};
use crate::seam::Cloud;
use crate::world::clock;
use crate::world::time::Time;
use crate::world::trace::{Level, Trace};

/// Starts the tasks of these faults on the owner's node.
pub(super) fn start(cloud: &Cloud, settings: &Settings, owner: &NodeHandle, trace: &Trace) {
    let naming = Naming::new(settings);
    let streams = [("raw", streaming::raw_stream_name(naming)), ("enriched", streaming::enriched_stream_name(naming))];
    for spec in cloud.faults().of(Kind::Reshard) {
        for (stream, name) in streams.clone() {
            if spec.target.stream.as_ref().is_some_and(|wanted| wanted != stream) {
                continue;
            }
            let (cloud, trace) = (cloud.clone(), trace.clone());
            let mut doubles = true;
            at_its_times(owner, cloud.faults().clone(), spec.clone(), move |spec, now| {
                reshard(&cloud, &trace, spec, (stream, &name), &mut doubles, now);
            });
        }
    }
    for spec in cloud.faults().of(Kind::ColdStarts) {
        let cloud = cloud.clone();
        at_its_times(owner, cloud.faults().clone(), spec, move |spec, now| {
            let handler = spec.target.function.as_deref();
            cloud.drop_idle(handler);
            let function = handler.unwrap_or_default();
            let at = Opportunity { service: "lambda", function, subject: function, ..Opportunity::default() };
            cloud.faults().struck(now, spec, &at);
        });
    }
}

/// Lets the account's owner act, at the times of a test.
pub(super) fn begin(owner: &NodeHandle, cloud: &Cloud, acts: Vec<(Duration, OwnersAct)>) {
    for (after, act) in acts {
        let cloud = cloud.clone();
        owner.spawn(async move {
            clock::sleep(after).await;
            cloud.enter(|account, now| act(account, now));
        });
    }
}

/// Lets a fault act at the beginning of its window, and after each `every` while the window lasts.
fn at_its_times(
    owner: &NodeHandle,
    faults: Faults,
    spec: Arc<FaultSpec>,
    mut act: impl FnMut(&FaultSpec, Time) + Send + 'static,
) {
    let (mut next, end) = (faults.start() + spec.from, faults.ends_at(&spec));
    owner.spawn(async move {
        loop {
            clock::sleep_until(next).await;
            let now = clock::now();
            if faults.healed() || now >= end {
                return;
            }
            act(&spec, now);
            match spec.every {
                Some(every) if !every.is_zero() => next += every,
                _ => return,
            }
        }
    });
}

/// Doubles the open shards of a stream, or halves them, in turn.
fn reshard(
    cloud: &Cloud,
    trace: &Trace,
    spec: &FaultSpec,
    (stream, name): (&str, &str),
    doubles: &mut bool,
    now: Time,
) {
    let at = Opportunity {
        service: "kinesis",
        operation: "UpdateShardCount",
        stream,
        subject: name,
        ..Opportunity::default()
    };
    match cloud.enter(|account, now| change_count(account, now, name, *doubles)) {
        Ok(()) => {
            *doubles = !*doubles;
            cloud.faults().struck(now, spec, &at);
        }
        Err(error) => {
            let fields = [("fault", spec.name.as_str().into()), ("code", error.code.into())];
            trace.event(Level::Call, now, "fault", "refused", name, &fields);
        }
    }
}

fn change_count(account: &mut Account, now: Time, name: &str, doubles: bool) -> Result<(), AwsError> {
    account.as_owner(now, |services, cx| {
        let body = json!({ "StreamName": name }).to_string();
        let described = services.kinesis.call(cx, "DescribeStreamSummary", body.as_bytes())?;
        let described: Value = serde_json::from_slice(&described).expect("Kinesis answers JSON");
        let open = described["StreamDescriptionSummary"]["OpenShardCount"].as_u64().unwrap_or(1);
        let target = if doubles { open * 2 } else { open.div_ceil(2) };
        let body =
            json!({ "StreamName": name, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" }).to_string();
        services.kinesis.call(cx, "UpdateShardCount", body.as_bytes()).map(drop)
    })
}
