//! What the function does once a day: ask for the costs of the last settled day and the number of devices, put metrics.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::costs;
use super::metrics::Lines;
use crate::calendar::{DAY_S, date};
use crate::calls::{Clock, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::scheduled;

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "cost_explorer";

/// Environment variable with the table of the device directory, whose items are counted.
pub const DIRECTORY_TABLE: &str = "DIRECTORY_TABLE";
/// Environment variable with the environment whose costs are asked for: the value of the tag `environment`.
pub const ENVIRONMENT: &str = "ENVIRONMENT";
/// Environment variable with the namespace of the metrics.
pub const METRIC_NAMESPACE: &str = "METRIC_NAMESPACE";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 3] = [DIRECTORY_TABLE, ENVIRONMENT, METRIC_NAMESPACE];

/// The day whose costs are asked for lies so many days before the schedule's. Cost Explorer brings its data up to date at
/// least once every 24 hours (Cost Management guide, "Analyzing your costs and usage with AWS Cost Explorer"), so
/// yesterday's costs may be in part early in the morning.
const SETTLED_AFTER_DAYS: i64 = 2;

/// The cost function.
#[derive(Debug)]
pub struct CostExplorer {
    explorer: aws_sdk_costexplorer::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    clock: Clock,
    table: String,
    environment: String,
    namespace: String,
}

impl CostExplorer {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let table = environment.require(DIRECTORY_TABLE)?.to_owned();
        let namespace = environment.require(METRIC_NAMESPACE)?.to_owned();
        let environment = environment.require(ENVIRONMENT)?.to_owned();
        let clock = Clock::new(config)?;
        let config = client_config(config);
        Ok(CostExplorer {
            explorer: crate::client::of!(aws_sdk_costexplorer, &config),
            dynamodb: crate::client::of!(aws_sdk_dynamodb, &config),
            clock,
            table,
            environment,
            namespace,
        })
    }

    /// The number of devices in the directory.
    async fn devices(&self, deadline: SystemTime) -> Result<u64, FunctionError> {
        let call = || self.dynamodb.describe_table().table_name(&self.table).send();
        let answer = self.clock.call_again(deadline, call).await;
        let answer = answer.map_err(|error| FunctionError::Directory(format!("DescribeTable: {error}")))?;
        let count = answer.table().and_then(|table| table.item_count());
        count
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| FunctionError::Directory("DescribeTable answered no number of items".to_owned()))
    }
}

#[async_trait]
impl Function for CostExplorer {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let scheduled = scheduled::time(event)?;
        let (day, end) =
            (date(scheduled - SETTLED_AFTER_DAYS * DAY_S), date(scheduled - (SETTLED_AFTER_DAYS - 1) * DAY_S));
        let devices = self.devices(context.deadline).await?;
        let period = (day.as_str(), end.as_str());
        let costs = costs::of_day(&self.explorer, &self.clock, &self.environment, period, context.deadline).await?;
        if costs.is_empty() {
            // No metric is better than one of 0: it cannot be told from a day that cost nothing.
            let text = format!("{day} has none; are the tags activated for cost allocation?");
            return Err(FunctionError::Costs(text));
        }
        let lines = Lines {
            namespace: &self.namespace,
            environment: &self.environment,
            day: &day,
            now_ms: now_s.saturating_mul(1000),
            devices,
        };
        for line in lines.of(&costs) {
            context.metrics.put(&line);
        }
        let answer = serde_json::json!({ "day": day, "stacks": costs.len(), "devices": devices });
        Ok(serde_json::to_vec(&answer).expect("texts and numbers are valid JSON"))
    }
}
