//! Execution environments through the seam: what of an invocation is within the function's time, and what is left of one that
//! Lambda ends.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kinesis::primitives::Blob;
use bytes::Bytes;
use platform::function::{Function, FunctionError, InvocationContext};
use platform::transform::enrichment;
use serde_json::{Value, json};
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::ports::Invocations as _;
use sim::fault::{FaultSpec, Faults, Kind};
use sim::seam::{Cloud, FunctionFactory, Functions, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

use crate::support::account;

const START: Time = Time::from_unix_secs(1_772_323_200);

/// A handler that makes a call, works, and makes another one.
struct Worker {
    work: Duration,
    kinesis: aws_sdk_kinesis::Client,
    begun: Arc<Mutex<Vec<Begun>>>,
}

/// What a handler knew when it began, in seconds.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// Since the start.
    at: f64,
    /// Until its deadline.
    left: f64,
}

#[async_trait]
impl Function for Worker {
    async fn invoke(&self, _: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let now = clock::now();
        let deadline = context.deadline.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let left = deadline.as_secs_f64() - Duration::from_micros(now.unix_micros()).as_secs_f64();
        self.begun.lock().unwrap().push(Begun { at: now.since(START).as_secs_f64(), left });
        for wait in [Duration::ZERO, self.work] {
            clock::sleep(wait).await;
            let put = self.kinesis.put_record().stream_name("effects").partition_key("k").data(Blob::new("x"));
            put.send().await.expect("nothing is wrong with Kinesis");
        }
        Ok(b"{}".to_vec())
    }
}

fn template(timeout_s: u64) -> String {
    let variables: Value = enrichment::VARIABLES.iter().map(|name| ((*name).to_owned(), json!("x"))).collect();
    json!({ "Resources": {
        "Role": { "Type": "AWS::IAM::Role", "Properties": {
            "RoleName": "worker-role",
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" } ] },
        } },
        "Effects": { "Type": "AWS::Kinesis::Stream", "Properties": { "Name": "effects", "ShardCount": 1 } },
        "Function": { "Type": "AWS::Lambda::Function", "Properties": {
            "FunctionName": "worker", "Handler": enrichment::HANDLER, "Runtime": "provided.al2023",
            "Timeout": timeout_s, "MemorySize": 1_769, "Role": { "Fn::GetAtt": ["Role", "Arn"] },
            "Code": { "S3Bucket": "artifacts", "S3Key": "v1.zip" }, "Environment": { "Variables": variables },
        } },
    } })
    .to_string()
}

/// What came of an event within a minute and a half: the first retry of one that fails comes a minute after its end.
#[derive(Debug)]
struct Seen {
    begun: Vec<Begun>,
    effects: u64,
    counters: [u64; 4],
}

const COUNTERS: [&str; 4] = ["Invocations", "Timeouts", "Duration_ms", "InitDuration_ms"];

/// Has a function with this time-out, whose handler works for so long, process an event under faults.
fn seen(timeout_s: u64, work: Duration, faults: Vec<FaultSpec>) -> Seen {
    let seed = Seed::root(11);
    simulate(seed, START, move || async move {
        let (mut account, credential) = account(seed);
        create_stack(&mut account, clock::now(), "test", &template(timeout_s)).unwrap_or_else(|e| panic!("{e}"));
        let cloud = Cloud::under(account, seed, Faults::new(&faults, seed, START, Trace::new()));
        let node = |name| madsim::runtime::Handle::current().create_node().name(name).build();
        let begun = Arc::<Mutex<Vec<Begun>>>::default();
        let (told, config) = (begun.clone(), sdk_config(&cloud, &credential));
        let wrap: FunctionFactory = Arc::new(move |_, _| {
            Box::new(Worker { work, kinesis: aws_sdk_kinesis::Client::new(&config), begun: told.clone() })
        });
        cloud.set_functions(Functions::new(node("lambda"), Some(wrap)));
        cloud.spawn_pump(&node("aws"));
        // The stream is active by then.
        clock::sleep_until(START + Duration::from_secs(60)).await;
        cloud.enter(|account, now| {
            let invoke = |services: &mut sim::cloud::account::Services, cx: &mut sim::cloud::core::Cx<'_>| {
                services.lambda.invoke_event(cx, "worker", Bytes::from_static(b"{}"))
            };
            account.as_owner(now, invoke).expect("the owner may invoke it");
        });
        clock::sleep(Duration::from_secs(90)).await;
        let (effects, counters) = cloud.look(|account| {
            let counter = |name| account.meter().counters().get(&("lambda", name)).copied().unwrap_or(0);
            let puts = account.meter().calls().get(&("kinesis", "PutRecord")).map_or(0, |calls| calls.ok);
            (puts, COUNTERS.map(counter))
        });
        let begun = begun.lock().unwrap().iter().map(|begun| Begun { at: begun.at - 60.0, ..*begun }).collect();
        Seen { begun, effects, counters }
    })
}

fn slow_start(delay_s: u64) -> FaultSpec {
    let delay = Some(Duration::from_secs(delay_s));
    FaultSpec { delay, ..FaultSpec::new(Kind::ColdStarts, Duration::from_secs(600)) }
}

fn within(value: impl Into<f64>, range: std::ops::Range<f64>) {
    let value = value.into();
    assert!(range.contains(&value), "{value} is not in {range:?}");
}

fn ms(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("less than 50 days"))
}

#[test]
fn a_handler_that_outlasts_its_timeout_is_ended_in_the_middle() {
    let seen = seen(3, Duration::from_secs(10), vec![]);
    let [invocations, timeouts, duration_ms, init_ms] = seen.counters;
    // The event comes again after a minute, into an environment that broke.
    assert_eq!((invocations, timeouts, seen.effects), (2, 2, 2), "{seen:?}");
    within(ms(duration_ms), 5_999.0..6_010.0);
    within(ms(init_ms), 126.0..361.0);
    within(seen.begun[0].left, 2.95..3.0);
    within(seen.begun[1].left, 2.6..2.9);
}

#[test]
fn a_slow_start_takes_nothing_of_the_functions_time() {
    let seen = seen(3, Duration::from_secs(1), vec![slow_start(6)]);
    let [invocations, timeouts, duration_ms, init_ms] = seen.counters;
    assert_eq!((invocations, timeouts, seen.effects), (1, 0, 2), "{seen:?}");
    within(seen.begun[0].at, 6.1..6.5);
    within(seen.begun[0].left, 2.95..3.0);
    within(ms(duration_ms), 1_000.0..1_100.0);
    within(ms(init_ms), 6_126.0..6_361.0);
}

#[test]
fn a_start_that_takes_too_long_is_repeated_within_the_functions_time() {
    let slow = seen(30, Duration::from_secs(1), vec![slow_start(12)]);
    assert_eq!((slow.counters[1], slow.effects), (0, 2), "{slow:?}");
    within(slow.begun[0].at, 22.1..22.5);
    within(slow.begun[0].left, 17.6..18.0);
    assert_eq!(slow.counters[3], 10_000);
    let never = seen(3, Duration::from_secs(1), vec![slow_start(12)]);
    assert_eq!((never.begun.len(), never.effects), (0, 0), "{never:?}");
    // At once in the environment that broke, and again too slow.
    assert_eq!(never.counters[..2], [2, 2]);
    within(ms(never.counters[2]), 5_999.0..6_010.0);
}

#[test]
fn the_middle_of_an_invocation_is_the_middle_of_its_handler() {
    let delay = Some(Duration::from_secs(1));
    let crash = FaultSpec { delay, ..FaultSpec::new(Kind::CrashMidway, Duration::from_secs(600)) };
    let seen = seen(30, Duration::from_secs(5), vec![slow_start(6), crash]);
    assert_eq!((seen.counters[0], seen.counters[1], seen.effects), (2, 0, 2), "{seen:?}");
    within(seen.begun[0].at, 6.1..6.5);
    // The second time the environment is initialised within the function's time.
    within(seen.begun[1].left, 23.6..23.9);
    within(ms(seen.counters[2]), 8_000.0..8_500.0);
}
