//! Deployment: the stages and their stacks, and the files that a deployment tool takes.

mod pipeline;
mod stages;
pub mod synth;

#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod statement_tests;
#[cfg(test)]
mod tests;

pub use stages::{Stack, Stage, stacks};
