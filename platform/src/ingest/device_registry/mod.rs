//! Which devices exist and what is known of them: the thing type, and the device directory.

pub mod directory;
pub mod names;
mod stack;
pub mod tagger;

pub use stack::{DEVICE_TYPE_ATTRIBUTE, Outputs, STACK, TENANT_ATTRIBUTE, directory_table_name, group_prefix, stack};
