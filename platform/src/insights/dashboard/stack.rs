//! What the stack Dashboard owns: the topic of alarms, the alarms, the dashboard.

use super::{alarms, board};
use crate::declare::data_key;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::cloudwatch::Dashboard;
use crate::template::iam::{Principal, allow};
use crate::template::sns::{Subscription, Topic, TopicPolicy};
use crate::template::{Expr, Published, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "dashboard";

/// What the stack publishes for those who operate the platform.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the topic that is told of alarms.
    pub alarm_topic_arn: Published,
    /// Name of the dashboard.
    pub dashboard_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            alarm_topic_arn: naming.published(STACK, "alarm-topic-arn"),
            dashboard_name: naming.published(STACK, "dashboard-name"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template = Template::of_stack(settings, STACK, "Insights: how the platform is, and who is told.");
    // A topic of its own: who repairs the platform is not who looks after devices, and the topic of anomalies may be part
    // of what is broken.
    let topic = template.add("AlarmTopic", Topic::encrypted(naming.name("alarms"), data_key(naming)));
    let from_alarms = allow(["sns:Publish"], [topic.arn()])
        .named("AllowAlarms")
        .to(Principal::service("cloudwatch.amazonaws.com"))
        .when("StringEquals", "aws:SourceAccount", Expr::account_id())
        .when("ArnLike", "aws:SourceArn", Expr::arn("cloudwatch", format!("alarm:{}", naming.name("*"))));
    template.add("AlarmTopicPolicy", TopicPolicy::tls_only(&topic, [from_alarms]));
    if let Some(address) = &settings.alarms.email {
        template.add("AlarmEmail", Subscription::email(&topic, address.clone()));
    }
    let alarms = alarms::add(&mut template, settings, topic.arn());
    let dashboard = Dashboard::new(naming.name("operations"), board::body(settings, &alarms));
    let dashboard = template.add("Operations", dashboard);
    template.publish(&outputs.alarm_topic_arn, "Topic that is told of alarms", topic.arn());
    template.publish(&outputs.dashboard_name, "Dashboard of operations", dashboard.name());
    template
}
