//! Amazon CloudWatch: alarms and dashboards.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// What a metric is measured of: `(name, value)` of each dimension.
pub type Dimensions = Vec<(&'static str, String)>;

/// A metric with the number that is made of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Namespace, such as `AWS/Lambda`.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// Dimensions.
    pub dimensions: Dimensions,
    /// `Sum`, `Maximum`, `Average`, `Minimum` or `SampleCount`.
    pub statistic: &'static str,
}

/// `AWS::CloudWatch::Alarm`: a metric passed a threshold for some periods. Periods without values are good ones.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    alarm_name: String,
    alarm_description: String,
    namespace: String,
    metric_name: &'static str,
    dimensions: Vec<Dimension>,
    statistic: &'static str,
    #[serde(rename = "Period")]
    period_s: u32,
    evaluation_periods: u32,
    datapoints_to_alarm: u32,
    threshold: Threshold,
    comparison_operator: &'static str,
    treat_missing_data: &'static str,
    alarm_actions: [Expr; 1],
    #[serde(rename = "OKActions")]
    ok_actions: [Expr; 1],
}

/// A whole threshold is written without a decimal point.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Threshold {
    Whole(u32),
    Fraction(f64),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: &'static str,
    value: String,
}

/// When an alarm is raised: the value was above `threshold` in `periods` of the last `of` periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above {
    /// The highest good value.
    pub threshold: u32,
    /// Length of a period.
    pub period_s: u32,
    /// How many periods must be bad.
    pub periods: u32,
    /// How many periods are looked at.
    pub of: u32,
}

impl Alarm {
    /// An alarm that tells the topic with the ARN `topic` when it is raised and when it is over.
    pub fn new(alarm_name: String, description: String, metric: Metric, when: Above, topic: &Expr) -> Self {
        let Metric { namespace, name, dimensions, statistic } = metric;
        Alarm {
            alarm_name,
            alarm_description: description,
            namespace: namespace.to_owned(),
            metric_name: name,
            dimensions: dimensions.into_iter().map(|(name, value)| Dimension { name, value }).collect(),
            statistic,
            period_s: when.period_s,
            evaluation_periods: when.of,
            datapoints_to_alarm: when.periods,
            threshold: Threshold::Whole(when.threshold),
            comparison_operator: "GreaterThanThreshold",
            treat_missing_data: "notBreaching",
            alarm_actions: [topic.clone()],
            ok_actions: [topic.clone()],
        }
    }

    /// This alarm for a metric of a namespace that depends on the environment.
    #[must_use]
    pub fn in_namespace(mut self, namespace: String) -> Self {
        self.namespace = namespace;
        self
    }

    /// This alarm with a threshold that is no whole number.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = Threshold::Fraction(threshold);
        self
    }
}

impl Resource for Alarm {
    const TYPE: &'static str = "AWS::CloudWatch::Alarm";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Alarm> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}

/// `AWS::CloudWatch::Dashboard`. Dashboards take no tags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dashboard {
    dashboard_name: String,
    dashboard_body: Expr,
}

impl Dashboard {
    /// A dashboard with its body, which is JSON.
    pub fn new(dashboard_name: String, dashboard_body: Expr) -> Self {
        Dashboard { dashboard_name, dashboard_body }
    }
}

impl Resource for Dashboard {
    const TYPE: &'static str = "AWS::CloudWatch::Dashboard";
}

impl Handle<Dashboard> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}
