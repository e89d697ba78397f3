//! Commands: one device after another, evenly over the interval.

use std::sync::Arc;

use aws_sdk_iotdataplane::error::DisplayErrorContext;
use aws_sdk_iotdataplane::primitives::Blob;
use serde_json::json;

use super::{Desk, lock};
use crate::scenario::CommandSpec;
use crate::world::clock;
use crate::world::time::Time;

/// Sends commands for as long as they are to be sent. Each call is a task of its own: the pace does not wait for answers.
pub(super) async fn carry_out(desk: Arc<Desk>, spec: CommandSpec, start: Time, devices: Vec<usize>) {
    let count = u32::try_from(devices.len().max(1)).unwrap_or(u32::MAX);
    let (mut at, until) = (start + spec.from, (start + spec.until).min(desk.end));
    for nth in 0.. {
        // Multiples of the interval, not sums of its parts: no drift comes of rounding.
        let round = start + spec.from + spec.every.saturating_mul(nth);
        for (position, device) in (0_u32..).zip(&devices) {
            at = at.max(round + spec.every.mul_f64(f64::from(position) / f64::from(count)));
            if at >= until {
                return;
            }
            clock::sleep_until(at).await;
            desk.begin_beside(send(desk.clone(), *device));
        }
        if devices.is_empty() {
            return;
        }
    }
}

/// Sends one command. It is sent once: whether one that failed had its effect, nobody knows.
async fn send(desk: Arc<Desk>, device: usize) {
    let device = &desk.devices[device];
    let id = lock(&desk.truth).commands_mut().issue(device.index, clock::now());
    let payload = json!({ "id": id, "command": "identify" }).to_string();
    let sent = desk.data.publish().topic(&device.command_topic).qos(1).payload(Blob::new(payload));
    match sent.send().await {
        Ok(_) => {
            lock(&desk.truth).commands_mut().accepted(id, clock::now());
            desk.tell("command", &device.thing, &[("id", id.into())]);
        }
        Err(error) => {
            let error = DisplayErrorContext(error).to_string();
            desk.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            desk.tell("command-refused", &device.thing, &[("id", id.into()), ("error", error.as_str().into())]);
        }
    }
}
