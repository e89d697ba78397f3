//! Security: the customer-managed keys and the permissions boundary of every role.

mod stack;

pub use stack::{Outputs, STACK};
