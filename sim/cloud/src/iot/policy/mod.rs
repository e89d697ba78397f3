//! Policies of AWS IoT Core: documents, and what they come to for one connection.
//!
//! Modelled: `Version` 2012-10-17 and 2008-10-17 (without variables), statements with `Sid`, `Effect`, `Action` and
//! `NotAction`, `Resource` and `NotResource`, `Condition` with all operators of IAM; the wildcards `*` and `?`, where those
//! of MQTT are plain characters; the keys and variables of connections, things and certificates (`keys`), the attributes
//! of a CONNECT, `${*}`, `${?}` and `${$}`. A statement is judged when a client connects, and again when what it is about
//! changes.
//!
//! Refused with `MalformedPolicyException` and the place when a policy is created: what is malformed; keys that have no
//! value here (`aws:CurrentTime`, alternative directory names and others); actions that match none of the names AWS IoT
//! has for policies (`iot:Publsh`, `greengrass:*`), whether AWS refuses those or not.
//!
//! Unverified: that a variable without a value makes its resource match nothing, where the guide says that the text of the
//! variable stays; that a wildcard in a client id is a plain character where it is filled in.

mod document;
mod glob;
mod keys;
mod permissions;

#[cfg(test)]
mod plain;
#[cfg(test)]
mod tests;

pub use document::Document;
pub use keys::{ConnectAttributes, Context};
pub use permissions::{Action, Permissions};
