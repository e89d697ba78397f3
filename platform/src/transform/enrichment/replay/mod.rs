//! What lies in quarantine: to be listed, looked at, and sent through the platform again once its cause is put right.
//!
//! People do this from the command line; no function has these rights. Two kinds of objects are read: those that the
//! enrichment writes below `quarantine/`, and those that Lambda writes below `aws/lambda/` when it gave a batch up. Batches that
//! it gave up for the anomaly detection are listed and shown, and never replayed: their readings are in the lake.
//!
//! **Replay** writes the original bytes back to the raw stream, with the device's partition key, so that the enrichment sees
//! them as if they came for the first time. A reading keeps its identity (tenant, device, seq) and its `received_at`, because
//! both are in its bytes: what comes out is the same whenever it comes, and copies are told apart from other readings as
//! everywhere. Replayed records of a device keep their order among themselves where they were kept in the same way, below
//! `quarantine/` or below `aws/lambda/`, and come from the same shard: the former come first, and which of the latter were between
//! them is only in their bodies. All come after everything that the device has sent since, so that the order of the lake does not
//! hold for them: whoever reads in order sorts by `seq`, or by `event_at`.
//!
//! **What has been replayed** is written beside it: for the object `K` there is `replayed/K`, with the time by sequence number.
//! A record is first written to the stream and then marked, and nothing is ever deleted or moved: whoever is interrupted, at
//! whatever point, runs the command again, and what was not marked comes once more. A record counts as replayed wherever its
//! copies lie, because a batch that came again may have been kept in other pieces.

mod api;
mod error;
mod filter;
mod list;
mod marker;
mod object;
mod run;

#[cfg(test)]
mod tests;

pub use error::{Problem, ReplayError};
pub use filter::{DETECTION_FAILED, FUNCTION_FAILED, Filter};
pub use list::{Group, Listing, Shown, list, show};
pub use object::Kept;
pub use run::{RATE, Replayed, Request, replay};

/// Hears how far a command is.
pub trait Progress {
    /// So many objects are to be looked at.
    fn begin(&mut self, objects: usize);
    /// One is done; so many of its records were replayed.
    fn step(&mut self, replayed: usize);
    /// The work has ended.
    fn end(&mut self);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: usize) {}

    fn step(&mut self, _: usize) {}

    fn end(&mut self) {}
}
