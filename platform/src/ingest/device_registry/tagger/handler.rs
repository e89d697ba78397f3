//! What the function does with an event of the registry.

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "device_tagger";

/// Environment variable with the table of the device directory.
pub const DIRECTORY_TABLE: &str = "DIRECTORY_TABLE";
/// Environment variable with the first part of the name of each tenant's thing group and billing group.
pub const GROUP_PREFIX: &str = "GROUP_PREFIX";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 2] = [DIRECTORY_TABLE, GROUP_PREFIX];
