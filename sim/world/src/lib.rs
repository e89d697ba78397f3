#![cfg(madsim)]
//! The simulated world: instants, seeds, the trace with its digest, and the clock of the runtime that turns them.

pub mod clock;
pub mod mark;
pub mod runtime;
pub mod seed;
pub mod spotlight;
pub mod time;
pub mod trace;
