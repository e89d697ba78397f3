//! The device tagger: from the registry's events to thing groups, billing groups and the device directory.
//!
//! AWS cannot tag things, so what the devices of a tenant cost and do is told apart by their groups. An event only says
//! that something happened to a thing; it may come late, twice or never. What is true now is read with `DescribeThing`,
//! and read again after the last change: whichever invocation changes something last also looks last, so events in any
//! order end in the same groups and the same item. Only the event of a deletion is believed in what it says of the tenant,
//! because nothing else knows of a thing that is gone.
//!
//! Groups whose names begin with the prefix belong to this function: a thing is taken out of all of them but its tenant's.
//! A thing is in one billing group at most: one that somebody else put it into stays, and a warning says that what the
//! device costs is not told by tenant.
//!
//! The item of a device that moved to another tenant, that has no tenant any more or whose thing is gone stays for a while,
//! for its readings that are still on their way: as long as a stream keeps them, and a day more.
//!
//! **One environment in an account and Region.** Every environment's rules take all events of things, and the data of all
//! devices on `tenant/+/device/+/data`: a second environment would group and store the same devices once more.

mod event;
mod handler;
mod item;
mod registry;
mod thing;

#[cfg(test)]
mod tests;

pub use handler::{DIRECTORY_TABLE, GROUP_PREFIX, HANDLER, STREAM_RETENTION_HOURS, Tagger, VARIABLES};
pub use registry::TENANT_TAG;
