//! The device tagger: from the registry's events to thing groups, billing groups and the device directory.
//!
//! AWS cannot tag things, so what a tenant's devices cost and do is told apart by their groups. An event only says that
//! something happened to a thing: what is true now is read with `DescribeThing`.

mod handler;

pub use handler::{DIRECTORY_TABLE, GROUP_PREFIX, HANDLER, VARIABLES};
