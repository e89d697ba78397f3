//! Certificates of devices are inactive at once: a wave of expiries that nobody has renewed in time.
//!
//! Contract: AWS refuses new connections at once and closes open ones within minutes; what a device has, it keeps.

use std::collections::BTreeSet;

use super::{Act, Stage};
use crate::cloud::core::AwsError;
use crate::fault::FaultSpec;

/// Deactivates the certificates of a share of the devices.
pub(super) fn expire(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let chosen = stage.devices_of(fault);
    let active = |id: &&String| stage.cloud.look(|account| account.services.iot.is_active(id)) == Some(true);
    let ids: BTreeSet<String> = chosen.map(|device| &device.certificate).filter(active).cloned().collect();
    if ids.is_empty() {
        return Ok(None);
    }
    update(stage, &ids, false)?;
    let subject = format!("{} certificates", ids.len());
    Ok(Some(Act::until("iot", subject, Box::new(move |stage: &Stage| update(stage, &ids, true)))))
}

fn update(stage: &Stage, ids: &BTreeSet<String>, active: bool) -> Result<(), AwsError> {
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    stage
        .cloud
        .enter(|account, now| account.as_owner(now, |services, cx| services.iot.update_certificates(cx, &ids, active)))
}
