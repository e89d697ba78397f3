//! Tests of the whole service, through its ways in.

mod broker;
mod fleet;
mod rules;
mod speed;
