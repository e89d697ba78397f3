//! Virtual devices: what they measure, how they speak MQTT, and the truth about what they sent and saw acknowledged.
//!
//! - `spec`: a fleet as a scenario describes it.
//! - `plan`: the devices that follow from it (names, tenants, certificates), known before anything runs.
//! - `model`: what a device measures and when, as a pure step.
//! - `twin`: devices with physics, and what an operator may desire of any device.
//! - `session`: MQTT 3.1.1 with a queue that survives reconnects, as a pure step around rumqttc's client state.
//! - `shadow`, `duties`: what a device does beside its readings: it follows its shadow, and takes commands.
//! - `network`: what access networks do to packets and connections.
//! - `conn`, `access`: simulated TCP over them, what goes wrong there, and a simulated TLS handshake.
//! - `join`: how a device with a claim certificate gets one of its own, as a pure step; `joins`: what that came to.
//! - `driver`, `runner`: one task and one node a device, which turn these steps.
//! - `fates`, `habits`, `malformed`, `acts`: the faults of a device, how it misbehaves, and what is done to it.
//! - `intruder`: somebody who has devices' certificates and means harm.
//! - `truth`: the ledger of published and acknowledged readings; `commands`: that of commands and sessions.
//!
//! A device knows nothing of the cloud but the broker's address.
//!
//! **Modelled:** QoS 1 publishes with clean and with persistent sessions, subscriptions and what arrives on them, keep-alive, an in-flight window, pacing below the broker's limit
//! of messages a second, time-outs of connects and acknowledgements, reconnects with exponential back-off and full
//! jitter, a bounded queue, latency of the access network, of narrow ones also loss, bandwidth and drops, and the places
//! without coverage on a vehicle's course; updates of the firmware; under faults (`fault`): loss, bandwidth and partitions
//! of the access network, dead connections, restarts, wrong clocks, a full flash, and messages that are no readings.
//! **Absent:** subscriptions and commands to devices, QoS 0 and 2, MQTT 5, persistent sessions, real TLS bytes, segments
//! and windows of TCP, loss and bandwidth of Ethernet, Wi-Fi and LTE without a fault.

mod access;
mod acts;
mod alarm;
mod commands;
pub mod conn;
mod content;
mod driver;
mod duties;
mod fates;
mod habits;
mod intruder;
pub mod join;
mod joining;
mod joins;
mod malformed;
pub mod model;
pub mod network;
mod outage;
mod payload;
mod plan;
mod runner;
mod session;
mod shadow;
pub mod spec;
mod truth;
pub mod twin;

#[cfg(test)]
mod duty_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;

pub use commands::{Command as Ordered, Commands, End, Foreign, Spell};
pub use content::Content;
pub use intruder::Intrusions;
pub use joins::Joins;
pub use malformed::FIRST_SEQ as FIRST_SEQ_OF_STRAYS;
pub use payload::Reading;
pub use plan::{DevicePlan, JoinPlan, PlanError, plan};
pub use runner::{Fleet, OwnState, Stats};
pub use session::{Command, Input, Message, Outputs, Session, SessionEvent, Settings};
pub use shadow::MEASURED;
pub use truth::{Labelled, Recorded, Spike, Stray, Truth};
pub use twin::Label;
