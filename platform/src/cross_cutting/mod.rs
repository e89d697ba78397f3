//! Cross-cutting: keys and boundaries, logs, costs, identities.
//!
//! [`security`] and [`logging`] are deployed before every stage, because keys, the permissions boundary, log groups and
//! the bucket of access logs must exist before what uses them; every stage may read their outputs.

pub mod cost_monitoring;
pub mod logging;
pub mod security;
