//! The simulated world: instants, seeds, the trace with its digest, and the runtime that turns them.

pub mod seed;
pub mod time;
pub mod trace;
