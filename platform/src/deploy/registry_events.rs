//! Registry events: AWS IoT Core publishes them only once an account has asked for them, and CloudFormation has no resource
//! for that. A deployment with rules on them asks.

use aws_sdk_iot::types::{Configuration, EventType};

use super::aws::Aws;
use super::error::{CallError, DeployError};
use super::plan::Plan;

/// Topics of events of things, as rules name them.
const THING_EVENTS: &str = "$aws/events/thing/";

/// Whether a topic rule of the plan waits for events of things.
pub(super) fn needed(plan: &Plan) -> bool {
    let resources = plan.stacks.iter().flat_map(|stack| stack.resources());
    let mut rules = resources.filter(|(_, kind, _)| *kind == "AWS::IoT::TopicRule");
    rules.any(|(_, _, rule)| rule["TopicRulePayload"]["Sql"].as_str().is_some_and(|sql| sql.contains(THING_EVENTS)))
}

/// Whether the events of things are published.
pub(super) async fn are_on(aws: &Aws) -> Result<bool, DeployError> {
    let found = aws.iot.describe_event_configurations().send().await;
    let found = found.map_err(|error| CallError::of("reading which registry events are published", &error))?;
    let things = found.event_configurations().and_then(|all| all.get(&EventType::Thing));
    Ok(things.is_some_and(Configuration::enabled))
}

/// Switches the events of things on.
pub(super) async fn enable(aws: &Aws) -> Result<(), DeployError> {
    let on = Configuration::builder().enabled(true).build();
    let changed = aws.iot.update_event_configurations().event_configurations(EventType::Thing, on).send().await;
    changed.map_err(|error| CallError::of("switching the registry events of things on", &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_plan_with_a_rule_on_events_of_things_needs_them() {
        let mut plan = Plan::of(&Settings::default());
        assert!(needed(&plan), "the device tagger waits for them");
        plan.stacks.retain(|stack| !stack.name.ends_with("-device-registry"));
        assert!(!needed(&plan));
    }
}
