//! Enrolment: tenants, the devices that they own, and the claims by which devices register themselves.
//!
//! People do this from the command line, beside the deployment: no function has these rights. Everything is keyed by
//! names, so a command that was interrupted, or whose answer was lost, is simply run again.
//!
//! A tenant is a thing group and a billing group of the same name; a device is a thing with its tenant as an attribute and
//! a certificate with the device policy. Into its groups and into the directory the device tagger brings it; what that
//! missed, [`reconcile`] makes up for.

mod api;
mod claims;
mod error;
mod file;
mod journal;
mod pool;
mod reconcile;
mod register;
mod report;
mod tenants;

#[cfg(test)]
mod tests;

pub use claims::{Claim, claim, grant};
pub use error::{EnrolError, FileError};
pub use file::{Certificate, Row, read};
pub use journal::journal_file;
pub use reconcile::{Reconciled, reconcile};
pub use register::{CONCURRENCY, Failure, Outcome, Request, register};
pub use report::report_file;
pub use tenants::{Device, Tenant, add, devices, list, remove};

/// Hears how far a command is.
pub trait Progress {
    /// So many devices are to be worked on; `before` of them were done by an earlier run.
    fn begin(&mut self, devices: usize, before: usize);
    /// One is done, or failed for a reason.
    fn step(&mut self, device: &str, failure: Option<&str>);
    /// The work has ended.
    fn end(&mut self);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: usize, _: usize) {}

    fn step(&mut self, _: &str, _: Option<&str>) {}

    fn end(&mut self) {}
}
