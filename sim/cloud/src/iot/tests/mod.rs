//! Tests of the whole service, through its ways in.

mod broker;
mod certificates;
mod fleet;
mod provisioning;
mod registry;
mod rules;
mod speed;
