//! Cost monitoring: what the platform cost yesterday, as metrics.

mod handler;

pub use handler::{DIRECTORY_TABLE, ENVIRONMENT, HANDLER, METRIC_NAMESPACE, VARIABLES};
