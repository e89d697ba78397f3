//! Resources of CloudFormation: their creation, changes and deletion.

use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

use super::expression::{Expression, time};
use super::{Schedule, Scheduler};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::time::Time;

/// Most retries and greatest age of an event, and what counts without a retry policy (API model).
const RETRIES_MAX: u64 = 185;
const AGE_S: std::ops::RangeInclusive<u64> = 60..=86_400;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GroupProperties {
    name: String,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    name: String,
    group_name: Option<String>,
    schedule_expression: String,
    schedule_expression_timezone: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    state: Option<String>,
    kms_key_arn: Option<String>,
    flexible_time_window: FlexibleTimeWindow,
    target: Target,
    #[serde(rename = "Description")]
    _description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FlexibleTimeWindow {
    mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Target {
    arn: String,
    role_arn: String,
    input: Option<String>,
    #[serde(default)]
    retry_policy: RetryPolicy,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RetryPolicy {
    maximum_event_age_in_seconds: Option<u64>,
    maximum_retry_attempts: Option<u64>,
}

impl Scheduler {
    /// Creates `AWS::Scheduler::Schedule` or `AWS::Scheduler::ScheduleGroup`. `Ref` is the name; attribute `Arn`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::Scheduler::Schedule" => ("CreateSchedule", self.create_schedule(cx, resource)),
            "AWS::Scheduler::ScheduleGroup" => ("CreateScheduleGroup", self.create_group(cx, resource)),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("scheduler", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn create_schedule(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let schedule = self.read(cx, resource)?;
        if self.id_of(&schedule.arn).is_some() {
            return Err(conflict(format!("Schedule {} already exists.", schedule.name)));
        }
        let provisioned = Provisioned::new(schedule.name.clone()).attribute("Arn", schedule.arn.clone());
        let id = self.new_id();
        self.schedules.insert(id, schedule);
        self.arm(cx, id, cx.now);
        Ok(provisioned)
    }

    fn create_group(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let GroupProperties { name, .. } = resource.parse()?;
        check_name(resource, "Name", &name)?;
        if !self.groups.insert(name.clone()) {
            return Err(conflict(format!("Schedule group {name} already exists.")));
        }
        let arn = cx.account.arn("scheduler", &format!("schedule-group/{name}"));
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("State", "ACTIVE"))
    }

    /// Changes a schedule in place. It fires next by what it says now; a rate counts from the change.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::Scheduler::Schedule" {
            return Err(AwsError::not_modelled(format!("changing a resource of type {}", resource.kind)));
        }
        let schedule = self.read(cx, resource)?;
        let before = schedule_arn(cx, previous["GroupName"].as_str(), physical_id);
        if before != schedule.arn {
            return Err(resource.refuse("a schedule that moves to another group or has another name is not modelled"));
        }
        let id = self.id_of(&before).ok_or_else(|| not_found(physical_id))?;
        let provisioned = Provisioned::new(physical_id).attribute("Arn", schedule.arn.clone());
        self.schedules.insert(id, schedule);
        self.arm(cx, id, cx.now);
        cx.meter.call("scheduler", "UpdateSchedule", Outcome::Ok);
        Ok(provisioned)
    }

    /// Deletes a schedule, or a group with its schedules.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::Scheduler::Schedule" => {
                let arn = schedule_arn(cx, resource.properties["GroupName"].as_str(), physical_id);
                if let Some(id) = self.id_of(&arn) {
                    self.schedules.remove(&id);
                }
                "DeleteSchedule"
            }
            "AWS::Scheduler::ScheduleGroup" => {
                let of_group = schedule_arn(cx, Some(physical_id), "");
                self.schedules.retain(|_, schedule| !schedule.arn.starts_with(&of_group));
                self.groups.remove(physical_id);
                "DeleteScheduleGroup"
            }
            kind => return Err(AwsError::not_modelled(format!("deleting a resource of type {kind}"))),
        };
        cx.meter.call("scheduler", operation, Outcome::Ok);
        Ok(())
    }

    fn id_of(&self, arn: &str) -> Option<u64> {
        self.schedules.iter().find(|(_, schedule)| schedule.arn == arn).map(|(id, _)| *id)
    }

    fn read(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Schedule, AwsError> {
        let properties: Properties = resource.parse()?;
        check_name(resource, "Name", &properties.name)?;
        let group = properties.group_name.as_deref();
        if !self.groups.contains(group.unwrap_or("default")) {
            let message = format!("Schedule group {} does not exist.", group.unwrap_or_default());
            return Err(AwsError::new("ResourceNotFoundException", message).status(404));
        }
        if properties.flexible_time_window.mode != "OFF" {
            return Err(resource.refuse("FlexibleTimeWindow other than OFF is not modelled"));
        }
        if properties.schedule_expression_timezone.as_deref().is_some_and(|zone| zone != "UTC") {
            return Err(resource.refuse("ScheduleExpressionTimezone other than UTC is not modelled"));
        }
        let enabled = match properties.state.as_deref() {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(resource.refuse(format!("State {other:?} is not ENABLED or DISABLED"))),
        };
        let Target { arn: function_arn, role_arn, input, retry_policy } = properties.target;
        if !function_arn.starts_with("arn:aws:lambda:") {
            return Err(resource.refuse(format!("Target {function_arn:?}: only functions are modelled")));
        }
        let retries = retry_policy.maximum_retry_attempts.unwrap_or(RETRIES_MAX);
        let age_s = retry_policy.maximum_event_age_in_seconds.unwrap_or(*AGE_S.end());
        if retries > RETRIES_MAX || !AGE_S.contains(&age_s) {
            return Err(resource.refuse(format!(
                "RetryPolicy takes 0 to {RETRIES_MAX} attempts and {} to {} seconds",
                AGE_S.start(),
                AGE_S.end()
            )));
        }
        let date = |text: &Option<String>| text.as_deref().map(|text| instant(resource, text)).transpose();
        Ok(Schedule {
            arn: schedule_arn(cx, group, &properties.name),
            name: properties.name,
            expression: Expression::parse(&properties.schedule_expression).map_err(|why| resource.refuse(why))?,
            start: date(&properties.start_date)?.unwrap_or(cx.now),
            end: date(&properties.end_date)?,
            enabled,
            function_arn,
            role_arn,
            input,
            kms_key: properties.kms_key_arn.filter(|key| !key.is_empty()),
            retries,
            age: Duration::from_secs(age_s),
            next: None,
        })
    }
}

fn schedule_arn(cx: &Cx<'_>, group: Option<&str>, name: &str) -> String {
    cx.account.arn("scheduler", &format!("schedule/{}/{name}", group.unwrap_or("default")))
}

fn instant(resource: &Resource, text: &str) -> Result<Time, AwsError> {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed.map(|instant| time(instant.to_utc())).map_err(|_| resource.refuse(format!("{text:?} is no RFC 3339 time")))
}

fn check_name(resource: &Resource, member: &str, name: &str) -> Result<(), AwsError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(resource.refuse(format!("{member} has 1 to 64 of the characters a-zA-Z0-9-_.")));
    }
    Ok(())
}

fn conflict(message: String) -> AwsError {
    AwsError::new("ConflictException", message).status(409)
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("Schedule {name} does not exist.")).status(404)
}
