//! What happens when a schedule fires.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{Attempt, Schedule, Scheduler, Wakeup};
use crate::core::ports::Invocations;
use crate::core::{AwsError, Cx, Outcome, Principal, Service};
use world::time::Time;
use world::trace::Level;

/// First and longest wait before a retry (assumed).
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(300);

impl Scheduler {
    /// Invokes the target of a schedule. What fails for a reason that may pass is tried again, as the retry policy says.
    pub(super) fn fire(&mut self, cx: &mut Cx<'_>, functions: &mut dyn Invocations, attempt: Attempt) {
        let Some(schedule) = self.schedules.get(&attempt.schedule) else { return };
        let result = invoke(cx, functions, schedule, &attempt);
        cx.meter.call("scheduler", "InvokeTarget", result.as_ref().map_or_else(Outcome::from, |()| Outcome::Ok));
        cx.meter.add("scheduler", "InvocationAttemptCount", 1);
        let reason = result.as_ref().err().map_or(String::new(), AwsError::to_string);
        let fields = [("attempt", attempt.number.into()), ("refused", reason.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "scheduler", "fire", &schedule.name, &fields);
        let Err(error) = result else { return };
        let too_late = (cx.now + attempt.wait).since(attempt.scheduled) > schedule.age;
        if !may_pass(&error) || attempt.number > schedule.retries || too_late {
            cx.meter.add("scheduler", "InvocationDroppedCount", 1);
            return;
        }
        let id = self.new_id();
        cx.timers.at(cx.now + attempt.wait, Service::Scheduler, Wakeup::Attempt(id).token());
        let wait = (attempt.wait * 2).min(RETRY_LONGEST);
        self.attempts.insert(id, Attempt { number: attempt.number + 1, wait, ..attempt });
    }
}

/// Whether an error is one that a retry may get past: a throttle or an error of the service.
fn may_pass(error: &AwsError) -> bool {
    error.is_throttle() || (error.status >= 500 && error.status != 501)
}

fn invoke(
    cx: &mut Cx<'_>,
    functions: &mut dyn Invocations,
    schedule: &Schedule,
    attempt: &Attempt,
) -> Result<(), AwsError> {
    let role = schedule.role_arn.rsplit('/').next().unwrap_or_default();
    let session = Principal::new(format!("arn:aws:sts::{}:assumed-role/{role}/{}", cx.account.id, schedule.name));
    let mut cx = cx.acting_as(&session);
    if let Some(key) = &schedule.kms_key {
        cx.use_key("kms:Decrypt", key, "scheduler")?;
    }
    let payload = payload(&mut cx, schedule, attempt);
    functions.invoke_event(&mut cx, &schedule.function_arn, Bytes::from(payload))
}

/// The input with its context attributes filled in, or the event that a schedule without an input sends.
fn payload(cx: &mut Cx<'_>, schedule: &Schedule, attempt: &Attempt) -> String {
    let time = iso_8601(attempt.scheduled);
    let execution = cx.uuid();
    match &schedule.input {
        Some(input) => input
            .replace("<aws.scheduler.schedule-arn>", &schedule.arn)
            .replace("<aws.scheduler.scheduled-time>", &time)
            .replace("<aws.scheduler.execution-id>", &execution)
            .replace("<aws.scheduler.attempt-number>", &attempt.number.to_string()),
        None => json!({
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": cx.account.id,
            "time": time,
            "region": cx.account.region,
            "resources": [schedule.arn],
            "detail": "{}",
        })
        .to_string(),
    }
}

/// Such as `2022-03-22T18:59:43Z`.
fn iso_8601(time: Time) -> String {
    time.to_datetime().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
