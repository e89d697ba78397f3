//! What every simulated service is built from: errors in AWS's shape, principals, the context of one
//! call, timers, limits as data, and the ports through which services use one another.

pub mod access;
pub mod auth;
pub mod bucket;
pub mod cx;
pub mod disturb;
pub mod error;
pub mod limits;
pub mod meter;
pub mod policy;
pub mod ports;
pub mod provision;
mod sequence;
pub mod timers;

pub use bucket::{Scale, TokenBucket};
pub use cx::{AccountInfo, Cx, Deferred, Effect, EventStream, FunctionRevision, Principal, Start, Unread};
pub use disturb::{CallFailed, Disturb, Disturbance, EventFate, Point};
pub use error::AwsError;
pub use limits::Limits;
pub use meter::{Meter, Outcome};
pub use provision::{Provisioned, Resource};
pub use timers::{Service, Timers, Wake};
