//! Queries: the workgroup that people and programs use, and the questions that come up every day.

mod queries;
mod stack;

pub use stack::{Outputs, STACK, stack};
