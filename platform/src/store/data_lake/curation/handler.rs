//! What the function does when it is called by the schedule.

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "curation";

/// Environment variable with the database of the lake.
pub const DATABASE: &str = "DATABASE";
/// Environment variable with the workgroup of the statements.
pub const WORKGROUP: &str = "WORKGROUP";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 2] = [DATABASE, WORKGROUP];
