//! The simulated AWS account: one folder a service. Each is a state machine that speaks bytes and owns no
//! clock, socket, task or random source.

pub mod core;
