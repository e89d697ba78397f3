//! The pipeline: from a commit to deployed stacks, stage by stage, each behind an approval by hand.
//!
//! It is a stack of its own, beside the stages that it deploys, and does not deploy itself: who may change the pipeline
//! may change everything, so that is done by hand. Its first deployment comes after the foundation, whose key, access
//! logs and boundary it uses.
//!
//! Its three roles are outside of the permissions boundary, which is for roles that work on data: they deploy. What the
//! deployment role makes is inside: it can make and change roles with that boundary only.

mod build;
mod permissions;
mod roles;
mod stack;

#[cfg(test)]
mod tests;

pub use stack::{STACK, stack};
