//! Operations: alarms of the platform itself, the topic that they tell, and a dashboard of the way of a reading.

mod alarms;
mod board;
mod metrics;
mod stack;

#[cfg(test)]
mod tests;

pub use stack::{Outputs, STACK, stack};
