//! What the function does once a day.

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
