//! Cost monitoring: what the platform cost in a day, as metrics.
//!
//! The day is the one before yesterday, counted from the time of the schedule: what Cost Explorer tells of yesterday may not
//! be all yet. The metrics lie at the time at which they were put, two days after the day that they are of; their lines in
//! the log name that day. A run that never came leaves a gap: no later run asks for its day.
//!
//! Costs come from Cost Explorer by the cost-allocation tags that every stack puts on its resources; they are told only
//! once the tags `environment` and `stack` are activated in the account's billing settings. What has no such tag (a log
//! stream, a data transfer) is not in them. The number of devices is that of the directory's items, which DynamoDB counts
//! about every six hours.

mod costs;
mod handler;
mod metrics;
mod stack;

#[cfg(test)]
mod tests;

pub use handler::{CostExplorer, DIRECTORY_TABLE, ENVIRONMENT, HANDLER, METRIC_NAMESPACE, VARIABLES};
pub use metrics::{COST_PER_DAY, COST_PER_DEVICE_PER_DAY, DIMENSION_ENVIRONMENT, DIMENSION_STACK};
pub use stack::{Outputs, STACK, stack};
