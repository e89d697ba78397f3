//! The suites: scenarios with their verdicts, canaries that must fail, wire tests with the real SDK, permissions,
//! the command line, and tidiness. One binary, so that the simulator is linked once.

mod attention;
mod batch;
mod bugs;
mod canary;
mod cli;
mod cloudformation;
mod coverage;
mod detection;
mod devices;
mod enrolment;
mod environments;
mod explore;
mod faults_devices;
mod faults_operators;
mod faults_services;
mod firehose;
mod hostile;
mod iotdata;
mod isolation;
mod kinesis_calls;
mod least_privilege;
mod permissions;
mod replay;
mod resharding;
mod scenarios;
mod stories;
mod strategy;
mod support;
mod sweep;
mod tidy;
mod transform;
mod triggers;
mod wire;
