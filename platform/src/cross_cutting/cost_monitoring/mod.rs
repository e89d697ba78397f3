//! Cost monitoring: what the platform cost yesterday, as metrics.

mod handler;
mod stack;

pub use handler::{DIRECTORY_TABLE, ENVIRONMENT, HANDLER, METRIC_NAMESPACE, VARIABLES};
pub use stack::{Outputs, STACK, stack};
