//! Amazon EventBridge Scheduler.

use serde::Serialize;

use super::{Expr, Handle, Resource, lambda};

/// `AWS::Scheduler::Schedule` that invokes a function. Schedules take no tags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Schedule {
    name: String,
    description: &'static str,
    state: &'static str,
    schedule_expression: String,
    schedule_expression_timezone: &'static str,
    flexible_time_window: FlexibleTimeWindow,
    kms_key_arn: Expr,
    target: Target,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FlexibleTimeWindow {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    arn: Expr,
    role_arn: Expr,
    input: Expr,
    retry_policy: RetryPolicy,
}

#[derive(Debug, Serialize)]
struct RetryPolicy {
    #[serde(rename = "MaximumEventAgeInSeconds")]
    age_max_s: u32,
    #[serde(rename = "MaximumRetryAttempts")]
    attempts_max: u32,
}

/// What a schedule invokes, and as whom.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// The function.
    pub function: &'a Handle<lambda::Function>,
    /// ARN of the role that may invoke it.
    pub role_arn: Expr,
    /// What the function is told: JSON, in which Scheduler fills in its context attributes.
    pub input: Expr,
}

impl Schedule {
    /// A schedule in UTC, by an expression such as `cron(20 * * * ? *)`. It is encrypted by the key with the ARN `key`.
    /// An invocation that the service did not take is repeated for an hour.
    pub fn invoking(
        name: String,
        description: &'static str,
        expression: &str,
        invocation: Invocation<'_>,
        key: Expr,
    ) -> Self {
        let Invocation { function, role_arn, input } = invocation;
        Schedule {
            name,
            description,
            state: "ENABLED",
            schedule_expression: expression.to_owned(),
            schedule_expression_timezone: "UTC",
            flexible_time_window: FlexibleTimeWindow { mode: "OFF" },
            kms_key_arn: key,
            target: Target {
                arn: function.arn(),
                role_arn,
                input,
                retry_policy: RetryPolicy { age_max_s: 3_600, attempts_max: 10 },
            },
        }
    }

    /// This schedule, resting unless `yes`.
    #[must_use]
    pub fn enabled(mut self, yes: bool) -> Self {
        self.state = if yes { "ENABLED" } else { "DISABLED" };
        self
    }
}

impl Resource for Schedule {
    const TYPE: &'static str = "AWS::Scheduler::Schedule";
}
