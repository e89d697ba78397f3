//! Identity: people sign in, and reach what belongs to their tenant and nothing else.
//!
//! A user's tenant is the attribute `tenant_id`, which only an administrator can set, once. The identity pool hands it on
//! as the session tag `tenant`, and the one role of all tenants grants by that tag.
//!
//! What the role reaches is what AWS can tell apart by the tag: the items of the device directory, whose keys begin with
//! the tenant. The lake's objects and the results of queries lie by the hour, all tenants in one object, so neither S3 nor
//! Athena could keep tenants apart; they are not granted. Neither are things and their shadows: AWS cannot tag things.

mod pools;
mod stack;
mod tenant_role;

#[cfg(test)]
mod tests;

pub use stack::{Outputs, STACK, stack};
