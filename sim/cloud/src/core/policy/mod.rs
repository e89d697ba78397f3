//! The policy language of AWS and its evaluation. Pure: documents and a request in, a decision and its reason out.
//!
//! Modelled: all elements of statements; all operators of conditions, `IfExists`, `ForAllValues:`, `ForAnyValue:`,
//! `Null`; variables with defaults and escapes; policies of identities, resources, roles (trust), boundaries and sessions
//! in one account. Refused when a document is read: what does not parse, elements and operators that do not exist,
//! principals by canonical user id, and global condition keys that have a value on AWS and none here (`aws:SourceIp`,
//! `aws:UserAgent`, `aws:Referer`, `aws:ResourceTag/…` and others). Absent: policies of organizations (SCP, RCP) and of
//! VPC endpoints, and calls from other accounts.
//!
//! Unverified: that `Principal: "*"` in an Allow does not lift a boundary; that a condition on `aws:PrincipalAccount`
//! makes it the account.

mod condition;
mod document;
mod evaluate;
mod keys;
mod pattern;
mod request;
#[cfg(test)]
mod tests;

pub use condition::{Condition, Lookup};
pub use document::{Document, Purpose};
pub use evaluate::{Caller, Denied, Kind, Policies};
pub use pattern::{Pattern, Reading, Symbol, arn_like};
pub use request::{Answer, Request};
