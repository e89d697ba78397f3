//! Cost monitoring: what the platform cost yesterday, as metrics.
//!
//! Costs come from Cost Explorer by the cost-allocation tags that every stack puts on its resources; they are told only
//! once the tags `environment` and `stack` are activated in the account's billing settings. What has no such tag (a log
//! stream, a data transfer) is not in them. The number of devices is that of the directory's items, which DynamoDB counts
//! about every six hours.

mod costs;
mod handler;
mod metrics;

#[cfg(test)]
mod tests;

pub use handler::{CostExplorer, DIRECTORY_TABLE, ENVIRONMENT, HANDLER, METRIC_NAMESPACE, VARIABLES};
pub use metrics::{COST_PER_DAY, COST_PER_DEVICE_PER_DAY, DIMENSION_ENVIRONMENT, DIMENSION_STACK};
