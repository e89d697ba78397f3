//! Which devices exist and what is known of them: the thing type, and the device directory.

pub mod directory;
mod stack;
pub mod tagger;

pub use stack::{DEVICE_TYPE_ATTRIBUTE, Outputs, STACK, TENANT_ATTRIBUTE, stack};
