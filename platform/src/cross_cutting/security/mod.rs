//! Security: the customer-managed keys, the permissions boundary of every role, and the rules by which the account is
//! judged.

mod boundary;
mod compliance;
mod keys;
mod stack;

#[cfg(test)]
mod tests;

pub use stack::{Outputs, STACK, stack};
