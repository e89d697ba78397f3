//! What the stack CostMonitoring owns: the budget, the topic of costs, the function with its schedule, the alarm.

use std::collections::BTreeMap;

use super::handler::{DIRECTORY_TABLE, ENVIRONMENT, HANDLER, METRIC_NAMESPACE};
use super::metrics::{COST_PER_DEVICE_PER_DAY, DIMENSION_ENVIRONMENT};
use crate::declare::{FunctionSpec, ScheduleSpec, add_function, add_schedule, data_key};
use crate::ingest::device_registry;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::budgets::Budget;
use crate::template::cloudwatch::{Above, Alarm, Metric};
use crate::template::iam::{Principal, allow};
use crate::template::sns::{Subscription, Topic, TopicPolicy};
use crate::template::{Expr, Handle, Published, TAG_ENVIRONMENT, TAG_PLATFORM, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "cost-monitoring";

/// Share of the budget that may be spent before somebody is told.
const SPENT_PERCENT: u32 = 80;
/// Share of the budget that may be forecast before somebody is told.
const FORECAST_PERCENT: u32 = 100;
const DAY_S: u32 = 24 * 60 * 60;
/// Days of a month, for what is set by the month and measured by the day.
const MONTH_DAYS: u32 = 30;

/// What the stack publishes for those who pay.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the topic that is told of costs.
    pub cost_topic_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs { cost_topic_arn: naming.published(STACK, "cost-topic-arn") }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let mut template = Template::of_stack(settings, STACK, "Cross-cutting: what the platform costs, and who is told.");
    let (topic, policy) = add_topic(&mut template, settings);
    let tags = [(TAG_PLATFORM, crate::template::PLATFORM.to_owned()), (TAG_ENVIRONMENT, settings.env.clone())];
    let budget = Budget::monthly(naming.name("monthly"), settings.cost.monthly_budget_usd, tags)
        .tells_of_spent(SPENT_PERCENT, topic.arn())
        .tells_of_forecast(FORECAST_PERCENT, topic.arn());
    let budget = template.add("Budget", budget);
    // Budgets looks whether it may publish before it makes a notification.
    template.make_after(&budget, &policy);
    let function = add_function(&mut template, settings, function(settings));
    let expression = &settings.cost.schedule;
    let schedule = ScheduleSpec { name: "costs", description: "Measures costs", expression, enabled: true };
    add_schedule(&mut template, settings, &function, &schedule);
    template.add("DeviceCostAlarm", device_cost_alarm(settings, &topic));
    template.publish(&Outputs::new(naming).cost_topic_arn, "Topic that is told of costs", topic.arn());
    template
}

/// The topic, with who may publish: budgets of this account, and the platform's alarms.
fn add_topic(template: &mut Template, settings: &Settings) -> (Handle<Topic>, Handle<TopicPolicy>) {
    let naming = Naming::new(settings);
    let topic = template.add("CostTopic", Topic::encrypted(naming.name("costs"), data_key(naming)));
    let publisher = |sid, service: &'static str, source| {
        allow(["sns:Publish"], [topic.arn()])
            .named(sid)
            .to(Principal::service(service))
            .when("StringEquals", "aws:SourceAccount", Expr::account_id())
            .when("ArnLike", "aws:SourceArn", source)
    };
    let alarms = Expr::arn("cloudwatch", format!("alarm:{}", naming.name("*")));
    let publishers = [
        publisher("AllowBudgets", "budgets.amazonaws.com", Expr::global_arn("budgets", "*")),
        publisher("AllowAlarms", "cloudwatch.amazonaws.com", alarms),
    ];
    let policy = template.add("CostTopicPolicy", TopicPolicy::tls_only(&topic, publishers));
    // The address is a subscription of its own and no part of the budget: a change of a budget's notifications makes a new
    // budget, whose name is taken by the one before.
    if let Some(address) = &settings.cost.alert_email {
        template.add("CostEmail", Subscription::email(&topic, address.clone()));
    }
    (topic, policy)
}

fn function(settings: &Settings) -> FunctionSpec {
    let naming = Naming::new(settings);
    let directory = device_registry::Outputs::new(naming);
    // AWS gives Cost Explorer no ARN: who may ask for costs may ask for those of the whole account.
    let costs = allow(["ce:GetCostAndUsage"], ["*".into()]);
    let devices = allow(["dynamodb:DescribeTable"], [directory.directory_table_arn.read()]);
    FunctionSpec {
        id: "",
        handler: HANDLER,
        description: "Measures what the platform cost the day before yesterday, in all and for each device",
        memory_mib: 256,
        timeout_s: 120,
        reserved_concurrency: None,
        variables: BTreeMap::from([
            (DIRECTORY_TABLE, directory.directory_table_name.read()),
            (ENVIRONMENT, settings.env.as_str().into()),
            (METRIC_NAMESPACE, naming.metric_namespace().into()),
        ]),
        policies: vec![("read-costs", vec![costs]), ("count-devices", vec![devices])],
        no_dead_letters: "It changes nothing: a day without a run is a gap in the metrics, and Cost Explorer still has its costs.",
    }
}

/// Raised when a device cost more in a day than its share of the month.
fn device_cost_alarm(settings: &Settings, topic: &Handle<Topic>) -> Alarm {
    let naming = Naming::new(settings);
    let cents = settings.cost.device_month_cents_max;
    let metric = Metric {
        namespace: "IotPlatform",
        name: COST_PER_DEVICE_PER_DAY,
        dimensions: vec![(DIMENSION_ENVIRONMENT, settings.env.clone())],
        statistic: "Maximum",
    };
    let description = format!(
        "A device cost more in a day than the {MONTH_DAYS}th part of {cents} US cents, which one may cost in a month. \
         Look at the metric CostPerDay by stack; few devices share what the platform costs without any."
    );
    let when = Above { threshold: 0, period_s: DAY_S, periods: 1, of: 1 };
    Alarm::new(naming.name("device-cost"), description, metric, when, &topic.arn())
        .in_namespace(naming.metric_namespace())
        .with_threshold(f64::from(cents) / 100.0 / f64::from(MONTH_DAYS))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::Cost;

    fn template(cost: Cost) -> Value {
        serde_json::from_str(&stack(&Settings { cost, ..Settings::default() }).to_json()).unwrap()
    }

    #[test]
    fn the_budget_is_of_this_environment_and_tells_the_topic_that_it_may_publish_to() {
        let template = template(Cost { monthly_budget_usd: 250, ..Cost::default() });
        let budget = &template["Resources"]["Budget"];
        assert_eq!(budget["DependsOn"], json!(["CostTopicPolicy"]));
        let data = &budget["Properties"]["Budget"];
        assert_eq!(data["BudgetLimit"], json!({"Amount": 250, "Unit": "USD"}));
        let tags: Vec<(&Value, &Value)> = data["FilterExpression"]["And"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tagged| (&tagged["Tags"]["Key"], &tagged["Tags"]["Values"]))
            .collect();
        let expected = [(&json!("platform"), &json!(["iot-platform"])), (&json!("environment"), &json!(["dev"]))];
        assert_eq!(tags, expected);
        let told: Vec<(&Value, &Value, &Value)> = budget["Properties"]["NotificationsWithSubscribers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| {
                let notification = &told["Notification"];
                (&notification["NotificationType"], &notification["Threshold"], &told["Subscribers"][0]["Address"])
            })
            .collect();
        let topic = json!({"Ref": "CostTopic"});
        let expected = [(&json!("ACTUAL"), &json!(80), &topic), (&json!("FORECASTED"), &json!(100), &topic)];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_alarm_is_on_the_metric_that_the_function_puts_with_the_day_s_share_of_a_month() {
        let template = template(Cost { device_month_cents_max: 60, ..Cost::default() });
        let alarm = &template["Resources"]["DeviceCostAlarm"]["Properties"];
        let function = &template["Resources"]["Function"]["Properties"]["Environment"]["Variables"];
        assert_eq!(alarm["Namespace"], function[METRIC_NAMESPACE]);
        assert_eq!(alarm["Namespace"], "IotPlatform/dev");
        assert_eq!(alarm["Dimensions"], json!([{"Name": "environment", "Value": "dev"}]));
        assert_eq!(alarm["Threshold"], 0.02);
        assert_eq!(alarm["Period"], 86_400);
    }

    #[test]
    fn an_address_is_told_by_a_subscription_and_the_budget_stays_the_same() {
        let address = Some("money@example.com".to_owned());
        let (without, with) = (template(Cost::default()), template(Cost { alert_email: address, ..Cost::default() }));
        assert_eq!(without["Resources"]["CostEmail"], Value::Null);
        assert_eq!(with["Resources"]["CostEmail"]["Properties"]["Endpoint"], "money@example.com");
        assert_eq!(with["Resources"]["Budget"], without["Resources"]["Budget"]);
    }
}
