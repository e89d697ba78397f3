//! Tests of the whole service, through its ways in.

mod broker;
mod certificates;
mod data;
mod fleet;
mod provisioning;
mod registry;
mod rules;
mod shadows;
mod speed;
