//! The IoT data platform: stacks that synthesize CloudFormation templates, and the functions that run in them.
//!
//! Data travels one way, through four stages: [`ingest`], [`transform`], [`store`], [`insights`]. Imports point upstream
//! only. Inside a stage, each folder is a stack: `stack.rs` is what it owns, `handler.rs` what it does on AWS, and pure
//! logic lies beside them.
//!
//! AWS is reached through SDK clients built from one `SdkConfig` that is handed in ([`function::build`]). Clocks, sleeps
//! and HTTP come with that value: nothing here reads a clock or opens a socket by itself.

mod calendar;
mod calls;
pub mod cross_cutting;
mod declare;
pub mod deploy;
mod digest;
pub mod enrolment;
pub mod function;
pub mod ingest;
pub mod insights;
pub mod naming;
mod scheduled;
pub mod settings;
pub mod store;
pub mod template;
#[cfg(test)]
mod testing;
pub mod transform;

pub use deploy::{Stack, Stage, stacks};
pub use settings::{Settings, SettingsError};
pub use template::Template;
