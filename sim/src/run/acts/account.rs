//! What befalls the whole account: rates of a service are lower, bits of stored objects flip, the Region is out.

use xxhash_rust::xxh3::xxh3_64;

use super::{Act, Stage};
use crate::cloud::core::AwsError;
use crate::fault::FaultSpec;
use crate::world::mark;

/// The part of a quota that is left when a fault names none.
const PART: f64 = 0.5;

/// Lowers the rates that token buckets enforce.
pub(super) fn lower_quotas(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let service = fault.target.service.clone();
    let part = fault.amount.unwrap_or(PART);
    let set = |stage: &Stage, service: Option<&str>, part: f64| {
        stage.cloud.look(|account| account.limits().scales_of(service).for_each(|scale| scale.set(part)));
    };
    let refused = |stage: &Stage, service: Option<&str>| -> u64 {
        stage.cloud.look(|account| account.limits().scales_of(service).map(|scale| scale.refused()).sum())
    };
    let lowered = stage.cloud.look(|account| account.limits().scales_of(service.as_deref()).any(|s| s.get() < 1.0));
    if lowered {
        return Ok(None);
    }
    let before = refused(stage, service.as_deref());
    set(stage, service.as_deref(), part);
    let subject = service.clone().unwrap_or_else(|| "all services".to_owned());
    let name = fault.name.clone();
    let undo = Box::new(move |stage: &Stage| {
        set(stage, service.as_deref(), 1.0);
        if refused(stage, service.as_deref()) > before {
            stage.mark(mark::QUOTA_LOWERED, &name);
        }
        Ok(())
    });
    Ok(Some(Act::until("servicequotas", subject, undo)))
}

/// Flips a bit of one copy of a share of the objects. What nobody reads is found by S3 itself, at the latest when hardship
/// is over.
pub(super) fn rot(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let struck = stage.cloud.enter(|account, now| {
        account.as_owner(now, |services, _| {
            services.s3.flip_bits(&mut |bucket, key| {
                let index = xxh3_64(format!("{bucket}/{key}").as_bytes());
                stage.faults.takes_in(fault, index).then_some(index)
            })
        })
    });
    if struck == 0 {
        return Ok(None);
    }
    let undo = Box::new(|stage: &Stage| {
        stage.cloud.enter(|account, now| account.as_owner(now, |services, cx| services.s3.scrub(cx)));
        Ok(())
    });
    Ok(Some(Act::until("s3", format!("{struck} objects"), undo)))
}

/// The Region is out: counted once. What does not answer meanwhile asks whether the fault holds.
pub(super) fn region_outage(stage: &Stage, fault: &FaultSpec) -> Act {
    stage.mark(mark::REGION_DOWN, &fault.name);
    Act::until("region", stage.cloud.region(), Box::new(|_: &Stage| Ok(())))
}
