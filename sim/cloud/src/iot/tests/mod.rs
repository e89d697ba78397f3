//! Tests of the whole service, through its ways in.

mod actions;
mod broker;
mod certificates;
mod data;
mod fleet;
mod ingest;
mod provisioning;
mod registry;
mod roles;
mod rules;
mod shadows;
mod speed;
