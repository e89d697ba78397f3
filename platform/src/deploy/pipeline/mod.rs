//! The pipeline: from a commit to deployed stacks, stage by stage, each behind an approval by hand.
//!
//! It is a stack of its own, beside the stages that it deploys, and deploys neither itself nor the foundation: who may change
//! the pipeline, the boundary, the keys or the trail may change everything, so that is done by hand (`platform deploy`).
//! The pipeline's first deployment comes after the foundation, whose key, access logs and boundary it uses, and a commit
//! that changes the foundation (a log group for a new function, more for the boundary) is deployed by hand before the
//! pipeline takes it.
//!
//! **What is approved is what is executed.** In each stage the change sets come first, then the question, then their
//! execution. A stack that reads what another of its stage creates (enrichment and anomaly detection read what streaming
//! creates, for example) can have its change set only after that one is executed: it comes in a second wave with a
//! question of its own.
//!
//! Its roles are outside of the permissions boundary, which is for roles that work on data: they deploy. What the
//! deployment role makes is inside: it can make and change roles with that boundary only.

mod build;
mod permissions;
mod roles;
mod stack;

#[cfg(test)]
mod tests;

pub use stack::{STACK, stack};
