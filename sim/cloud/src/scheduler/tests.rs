use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::core::cx::CxParts;
use crate::core::{AwsError, Principal, Provisioned, Resource};
use world::seed::Seed;
use world::trace::Trace;

/// 2026-03-01T00:00:00Z.
const START: Time = Time::from_unix_secs(1_772_323_200);

/// Functions that note who invoked them with what, and fail as they are told.
#[derive(Default)]
struct Notes {
    /// (seconds since the start, caller, function, payload)
    invoked: Vec<(u64, String, String, String)>,
    failures: Vec<AwsError>,
}

impl Invocations for Notes {
    fn invoke_for_service(&mut self, _: &mut Cx<'_>, _: &str, _: &str, _: &str, _: Bytes) -> Result<(), AwsError> {
        unreachable!("schedules act in a role")
    }

    fn invoke_event(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<(), AwsError> {
        if let Some(failure) = self.failures.pop() {
            return Err(failure);
        }
        let payload = String::from_utf8(payload.to_vec()).unwrap();
        self.invoked.push((cx.now.since(START).as_secs(), cx.caller.arn.clone(), function.to_owned(), payload));
        Ok(())
    }
}

struct Bench {
    scheduler: Scheduler,
    functions: Notes,
    parts: CxParts,
    owner: Principal,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let owner = Principal::new("owner");
        Bench { scheduler: Scheduler::new(), functions: Notes::default(), parts, owner, now: START }
    }

    fn resource(settings: Value) -> Resource {
        let mut properties = json!({
            "Name": "hourly",
            "ScheduleExpression": "cron(20 * * * ? *)",
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": {
                "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:curation",
                "RoleArn": "arn:aws:iam::123456789012:role/schedule",
                "Input": "{\"at\":\"<aws.scheduler.scheduled-time>\",\"try\":<aws.scheduler.attempt-number>}",
            },
        });
        for (name, value) in settings.as_object().unwrap() {
            properties[name] = value.clone();
        }
        let kind = "AWS::Scheduler::Schedule".to_owned();
        Resource { stack: "stack".to_owned(), logical_id: "Logical".to_owned(), kind, properties }
    }

    fn provision(&mut self, settings: Value) -> Result<Provisioned, AwsError> {
        self.scheduler.provision(&mut self.parts.cx(self.now, &self.owner), &Bench::resource(settings))
    }

    fn run_until(&mut self, seconds: u64) {
        let end = START + Duration::from_secs(seconds);
        while let Some(due) = self.parts.timers.next_due().filter(|due| *due <= end) {
            self.now = due;
            let wake = self.parts.timers.pop_due(due).unwrap();
            self.scheduler.wake(&mut self.parts.cx(due, &self.owner), &mut self.functions, wake.token);
        }
        self.now = end;
    }

    fn fired(&self) -> Vec<u64> {
        self.functions.invoked.iter().map(|(second, ..)| *second).collect()
    }
}

#[test]
fn a_schedule_invokes_its_function_in_its_role_with_its_input() {
    let mut bench = Bench::new();
    let provisioned = bench.provision(json!({})).unwrap();
    assert_eq!(provisioned.attributes["Arn"], "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/hourly");
    bench.run_until(2 * 3_600);
    assert_eq!(bench.fired(), [1_200, 4_800]);
    let (_, caller, function, payload) = &bench.functions.invoked[0];
    assert_eq!(caller, "arn:aws:sts::123456789012:assumed-role/schedule/hourly");
    assert_eq!(function, "arn:aws:lambda:eu-west-1:123456789012:function:curation");
    assert_eq!(payload, "{\"at\":\"2026-03-01T00:20:00Z\",\"try\":1}");
}

#[test]
fn states_dates_changes_and_deletion_decide_when_it_fires() {
    let mut bench = Bench::new();
    bench.provision(json!({ "State": "DISABLED" })).unwrap();
    bench.run_until(4_000);
    let rate = json!({
        "ScheduleExpression": "rate(10 minutes)", "StartDate": "2026-03-01T01:15:00Z", "EndDate": "2026-03-01T01:36:00Z",
    });
    let (old, new) = (Bench::resource(json!({})), Bench::resource(rate));
    let mut cx = bench.parts.cx(bench.now, &bench.owner);
    bench.scheduler.update(&mut cx, &new, "hourly", &old.properties).unwrap();
    bench.run_until(9_000);
    assert_eq!(bench.fired(), [4_500, 5_100, 5_700]);
    let mut cx = bench.parts.cx(bench.now, &bench.owner);
    bench.scheduler.update(&mut cx, &old, "hourly", &new.properties).unwrap();
    bench.scheduler.delete(&mut cx, &old, "hourly").unwrap();
    bench.run_until(20_000);
    assert_eq!(bench.fired().len(), 3);
}

#[test]
fn what_may_pass_is_retried_and_a_missing_permission_is_not() {
    let throttle = || AwsError::new("TooManyRequestsException", "Rate exceeded").status(429);
    let denied = AwsError::new("AccessDeniedException", "no").status(403);
    for (failures, retries, expected) in [
        (vec![throttle(), throttle()], 185, vec![1_203]),
        (vec![throttle(), throttle()], 1, vec![]),
        (vec![denied], 185, vec![]),
    ] {
        let mut bench = Bench::new();
        let mut settings = json!({ "Target": Bench::resource(json!({})).properties["Target"] });
        settings["Target"]["RetryPolicy"] = json!({ "MaximumRetryAttempts": retries });
        bench.provision(settings).unwrap();
        bench.functions.failures = failures;
        bench.run_until(3_000);
        assert_eq!(bench.fired(), expected);
    }
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    for (settings, text) in [
        (json!({ "ScheduleExpressionTimezone": "Europe/Berlin" }), "ScheduleExpressionTimezone"),
        (
            json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5 } }),
            "MaximumWindowInMinutes",
        ),
        (json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE" } }), "other than OFF"),
        (json!({ "ScheduleExpression": "cron(0 0 L * ? *)" }), "not modelled"),
        (json!({ "GroupName": "other" }), "Schedule group other does not exist."),
        (json!({ "Target": { "Arn": "arn:aws:sqs:x", "RoleArn": "r" } }), "only functions"),
        (
            json!({ "Target": { "Arn": "arn:aws:lambda:x", "RoleArn": "r", "DeadLetterConfig": {} } }),
            "DeadLetterConfig",
        ),
    ] {
        let error = Bench::new().provision(settings).unwrap_err();
        assert!(error.message.contains(text), "{error} does not say {text:?}");
    }
}
