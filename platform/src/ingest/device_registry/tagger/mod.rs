//! The device tagger: from the registry's events to thing groups, billing groups and the device directory.
//!
//! AWS cannot tag things, so what the devices of a tenant cost and do is told apart by their groups. An event only says
//! that something happened to a thing; it may come late, twice or never. What is true now is read with `DescribeThing`,
//! and read again after the last change: whichever invocation changes something last also looks last, so events in any
//! order end in the same groups and the same item.
//!
//! Groups whose names begin with the prefix belong to this function: a thing is taken out of all of them but its tenant's.
//! The item of a device that moved to another tenant stays for a while, for its readings that are still on their way.

mod event;
mod handler;
mod item;
mod registry;
mod thing;

#[cfg(test)]
mod tests;

pub use handler::{DIRECTORY_TABLE, GROUP_PREFIX, HANDLER, Tagger, VARIABLES};
pub use registry::TENANT_TAG;
