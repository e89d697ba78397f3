//! Rollouts: desired states, one batch of devices after another.

use std::sync::Arc;

use aws_sdk_iotdataplane::error::DisplayErrorContext;
use aws_sdk_iotdataplane::primitives::Blob;
use serde_json::{Value, json};

use super::{Addressee, Desk, lock};
use crate::scenario::Rollout;
use crate::world::clock;
use crate::world::time::Time;

/// Sets the desired state of each device, batch after batch.
pub(super) async fn carry_out(desk: Arc<Desk>, rollout: Rollout, start: Time, devices: Vec<usize>) {
    let batch = rollout.batch.map_or(devices.len(), |batch| batch as usize).max(1);
    let mut at = start + rollout.from;
    for batch in devices.chunks(batch) {
        clock::sleep_until(at).await;
        for device in batch {
            set(&desk, &desk.devices[*device], &rollout).await;
        }
        at += rollout.pause;
    }
}

async fn set(desk: &Desk, device: &Addressee, rollout: &Rollout) {
    let payload = json!({ "state": { "desired": rollout.desired } }).to_string();
    loop {
        let sent = desk.data.update_thing_shadow().thing_name(&device.thing).payload(Blob::new(payload.as_bytes()));
        match sent.send().await {
            Ok(answer) => {
                let answer = answer
                    .payload()
                    .map_or(Value::Null, |payload| serde_json::from_slice(payload.as_ref()).unwrap_or(Value::Null));
                let version = answer["version"].as_u64().unwrap_or(0);
                desk.tell(
                    "desires",
                    &device.thing,
                    &[("version", version.into()), ("payload", payload.as_str().into())],
                );
                lock(&desk.desired).entry(device.index).or_default().extend(rollout.desired.clone());
                lock(&desk.truth).commands_mut().desired(clock::now());
                return;
            }
            Err(error) => {
                let error = DisplayErrorContext(error).to_string();
                if !desk.again("desire-refused", &device.thing, &error).await {
                    return;
                }
            }
        }
    }
}
