#![cfg(madsim)]
//! Orrery's simulator: a whole AWS IoT data platform in a deterministic world.
//!
//! Read in this order: [`world`] (time, seeds, the trace), [`cloud`] (the simulated account), [`fleet`] (devices),
//! [`fault`] (what goes wrong), [`invariant`] (the oracles), [`scenario`] (what to run), [`swarm`] (scenarios that are
//! drawn), [`sweep`] (many seeds of one), then [`seam`] and [`run`], which put them together, [`bugs`] (proof that the
//! oracles bite), [`nab`] (the judge of the anomaly detector), and [`cli`].

pub use {cloud, world};

pub mod bugs;
pub mod cli;
pub mod fault;
pub mod fleet;
pub mod invariant;
pub mod nab;
pub mod run;
pub mod scenario;
pub mod seam;
pub mod shrink;
pub mod story;
pub mod swarm;
pub mod sweep;
