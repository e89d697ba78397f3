//! Ingest: devices and their messages.
//!
//! **Enters:** MQTT messages of devices, each with its own certificate. **Leaves:** readings on the topics
//! `tenant/{tenant}/device/{device}/data`, and the device directory, which follows the registry
//! ([`device_registry::tagger`]).
//!
//! **Guarantees:** a device publishes under its own tenant and its own name only; both come from the registry, not from
//! the message. A reading is accepted for good once its PUBACK is sent. **Devices are registered after all stages are
//! deployed:** until the Store stage is there, a reading is kept by the streams alone and never reaches the lake.
//! **Limits:** 128 KB and 100 publishes a second a connection.

pub mod device_registry;
pub mod iot_core;
