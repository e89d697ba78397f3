//! The suites: scenarios with their verdicts, canaries that must fail, wire tests with the real SDK, permissions,
//! the command line, and tidiness. One binary, so that the simulator is linked once.

mod canary;
mod cli;
mod cloudformation;
mod explore;
mod least_privilege;
mod permissions;
mod resharding;
mod scenarios;
mod stories;
mod strategy;
mod support;
mod tidy;
mod triggers;
mod wire;
