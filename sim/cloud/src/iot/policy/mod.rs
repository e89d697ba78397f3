//! Policies of AWS IoT Core: documents, and what they come to for one connection.
//!
//! Modelled: `Version` 2012-10-17, statements with `Sid`, `Effect`, `Action` and `Resource`, the wildcards `*` and `?`,
//! and the policy variables `iot:ClientId`, `aws:SourceIp` and `iot:Connection.Thing.{ThingName, ThingTypeName,
//! IsAttached, Attributes[name]}`. Refused by name when a policy is created: `NotAction`, `NotResource`, `Condition`,
//! the variables of certificates, the version 2008-10-17, and actions (`iot:Publsh`) that match none of the names AWS IoT
//! has for policies; whether AWS refuses those is unverified.

mod document;
mod permissions;

#[cfg(test)]
mod tests;

pub use document::Document;
#[cfg(test)]
use permissions::matches;
pub use permissions::{Action, ConnectAttributes, Context, Permissions};
