//! Schedules of functions.

use super::{bounded, data_key, decrypt};
use crate::naming::Naming;
use crate::scheduled;
use crate::settings::Settings;
use crate::template::iam::{Role, allow};
use crate::template::lambda::Function;
use crate::template::scheduler::{Invocation, Schedule};
use crate::template::{Handle, Template};

/// A schedule to declare.
#[derive(Debug)]
pub(crate) struct ScheduleSpec<'a> {
    /// Names the schedule, and its role `schedule-{name}`.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// When it comes due, in UTC.
    pub expression: &'a str,
    /// Whether it is active.
    pub enabled: bool,
}

/// Adds the schedule of a stack, which invokes `function` with the time for which it is, and its role.
pub(crate) fn add_schedule(
    template: &mut Template,
    settings: &Settings,
    function: &Handle<Function>,
    spec: &ScheduleSpec<'_>,
) {
    let naming = Naming::new(settings);
    let invoke = vec![allow(["lambda:InvokeFunction"], [function.arn()]), decrypt(naming, &["scheduler"])];
    let role = naming.role(&format!("schedule-{}", spec.name));
    let role = Role::for_service(role, "scheduler.amazonaws.com", [("invoke", invoke)]);
    let role = template.add("ScheduleRole", bounded(naming, role.for_this_account_only()));
    let invocation = Invocation { function, role_arn: role.arn(), input: scheduled::input().into() };
    let name = naming.name(spec.name);
    let schedule = Schedule::invoking(name, spec.description, spec.expression, invocation, data_key(naming));
    template.add("Schedule", schedule.enabled(spec.enabled));
}
