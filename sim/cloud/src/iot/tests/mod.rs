//! Tests of the whole service, through its ways in.

mod actions;
mod broker;
mod certificates;
mod connections;
mod data;
mod fleet;
mod ingest;
mod lifecycle;
mod limits;
mod mqtt;
mod mqtt5;
mod provisioning;
mod registry;
mod retained;
mod roles;
mod rules;
mod sessions;
mod shadows;
mod shared;
mod speed;
