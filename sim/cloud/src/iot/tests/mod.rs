//! Tests of the whole service, through its ways in.

mod broker;
mod certificates;
mod connections;
mod fleet;
mod lifecycle;
mod limits;
mod mqtt;
mod mqtt5;
mod registry;
mod retained;
mod rules;
mod sessions;
mod shared;
mod speed;
