//! Orrery's simulator: a whole AWS IoT data platform in a deterministic world.

pub mod cloud;
pub mod world;
