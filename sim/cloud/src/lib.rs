#![cfg(madsim)]
//! The simulated AWS account: one folder a service. Each is a state machine that speaks bytes and owns no
//! clock, socket, task or random source.

pub mod account;
pub mod athena;
pub mod cloudformation;
pub mod core;
pub mod dynamodb;
pub mod firehose;
pub mod front;
pub mod glue;
pub mod iam;
pub mod iot;
pub mod kept;
pub mod kinesis;
pub mod kms;
pub mod lambda;
pub mod s3;
pub mod scheduler;
pub mod sns;
pub mod ssm;
pub mod sts;
mod waiting;

pub use waiting::Waiting;
