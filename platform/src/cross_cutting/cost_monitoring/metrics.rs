//! Metrics in the Embedded Metric Format (CloudWatch user guide, "Embedded metric format specification"): a line of JSON
//! on standard output, which CloudWatch Logs turns into metrics.

use serde_json::{Map, Value, json};

use super::costs::Costs;

/// Metric: the cost of a day in USD, two days before the metric's own time.
pub const COST_PER_DAY: &str = "CostPerDay";
/// Metric: the cost of a day in USD, divided by the number of devices. Absent while there are none.
pub const COST_PER_DEVICE_PER_DAY: &str = "CostPerDevicePerDay";
/// Dimension of every metric: the environment.
pub const DIMENSION_ENVIRONMENT: &str = "environment";
/// Second dimension of a stack's metrics: the stack, by its name inside the environment.
pub const DIMENSION_STACK: &str = "stack";

/// Stack of what has no tag with one.
const UNTAGGED: &str = "untagged";

/// What the lines have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    pub namespace: &'a str,
    pub environment: &'a str,
    /// The day that the costs are of, `yyyy-MM-dd`.
    pub day: &'a str,
    /// When the metrics are put, ms since the Unix epoch. They carry this time and not that of their day, which is in the
    /// line, because an alarm looks at the last day.
    pub now_ms: i64,
    pub devices: u64,
}

impl Lines<'_> {
    /// The lines for costs by stack: one for all together, and one a stack.
    pub fn of(self, costs: &Costs) -> Vec<String> {
        let total = costs.values().sum();
        let stacks =
            costs.iter().map(|(stack, cost)| self.line(Some(if stack.is_empty() { UNTAGGED } else { stack }), *cost));
        std::iter::once(self.line(None, total)).chain(stacks).collect()
    }

    fn line(self, stack: Option<&str>, cost: f64) -> String {
        let mut dimensions = vec![DIMENSION_ENVIRONMENT];
        let mut members = Map::new();
        members.insert(DIMENSION_ENVIRONMENT.to_owned(), self.environment.into());
        if let Some(stack) = stack {
            dimensions.push(DIMENSION_STACK);
            members.insert(DIMENSION_STACK.to_owned(), stack.into());
        }
        members.insert("day".to_owned(), self.day.into());
        members.insert("devices".to_owned(), self.devices.into());
        members.insert(COST_PER_DAY.to_owned(), cost.into());
        let mut metrics = vec![json!({"Name": COST_PER_DAY, "Unit": "None"})];
        if self.devices > 0 {
            #[allow(clippy::cast_precision_loss, reason = "there are fewer devices than 2^53")]
            let devices = self.devices as f64;
            members.insert(COST_PER_DEVICE_PER_DAY.to_owned(), (cost / devices).into());
            metrics.push(json!({"Name": COST_PER_DEVICE_PER_DAY, "Unit": "None"}));
        }
        let directive = json!({"Namespace": self.namespace, "Dimensions": [dimensions], "Metrics": metrics});
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({"Timestamp": self.now_ms, "CloudWatchMetrics": [directive]}));
        line.extend(members);
        Value::Object(line).to_string()
    }
}
