//! Twins: devices with physics behind their readings and a shadow that an operator can desire something of.
//!
//! - `managed`: what an operator may desire of any device: its publish interval and its firmware.

mod managed;

pub(super) use managed::Managed;
