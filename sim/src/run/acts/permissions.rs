//! A function's role loses what its inline policies allow of one service.
//!
//! Contract: a denied call has no effect. Policies that nobody else has changed meanwhile are put back as they were found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Act, Denies, Stage, functions};
use crate::cloud::core::AwsError;
use crate::cloud::core::policy::Document;
use crate::fault::FaultSpec;

/// Services without which a function works on: their loss is not noticed.
const UNNOTICED: [&str; 3] = ["logs", "xray", "cloudwatch"];

/// A policy as it was, and as it was left; absent when nothing of it was left.
struct Taken {
    before: Arc<Document>,
    left: Option<Arc<Document>>,
}

/// Takes from a function's role what it may do in a service: the one that the fault names, or one by its lot.
pub(super) fn remove(stage: &Stage, fault: &FaultSpec, nth: u64) -> Result<Option<Act>, AwsError> {
    let role = functions::role(stage, &stage.function(fault))?;
    if stage.is_broken(&role) {
        return Ok(None);
    }
    let policies = stage.cloud.look(|account| account.services.iam.role_policies(&role).cloned())?;
    let mut services: Vec<&str> = policies.values().flat_map(|document| document.services()).collect();
    services.retain(|service| !UNNOTICED.contains(service));
    services.sort_unstable();
    services.dedup();
    let service = match &fault.target.service {
        Some(service) => services.contains(&service.as_str()).then(|| service.clone()),
        None => stage.pick(fault, nth, &services).map(|service| (*service).to_owned()),
    };
    let Some(service) = service else { return Ok(None) };
    let taken: BTreeMap<String, Taken> = policies
        .into_iter()
        .filter(|(_, document)| document.services().contains(service.as_str()))
        .map(|(name, before)| {
            let left = before.without_service(&service).map(Arc::new);
            (name, Taken { before, left })
        })
        .collect();
    for (name, taken) in &taken {
        put(stage, &role, name, taken.left.as_ref())?;
    }
    let denies = Denies { role: role.clone(), service, resource: String::new(), under_way: Duration::ZERO };
    let subject = role.clone();
    let undo = Box::new(move |stage: &Stage| put_back(stage, &role, &taken));
    Ok(Some(Act { denies: Some(denies), ..Act::until("iam", subject, undo) }))
}

fn put_back(stage: &Stage, role: &str, taken: &BTreeMap<String, Taken>) -> Result<(), AwsError> {
    for (name, taken) in taken {
        let now = stage
            .cloud
            .look(|account| account.services.iam.role_policies(role).map(|policies| policies.get(name).cloned()))?;
        if now == taken.left {
            put(stage, role, name, Some(&taken.before))?;
        }
    }
    Ok(())
}

/// `PutRolePolicy`, or `DeleteRolePolicy` of one that is not to be there.
fn put(stage: &Stage, role: &str, name: &str, document: Option<&Arc<Document>>) -> Result<(), AwsError> {
    stage.cloud.enter(|account, now| {
        account.as_owner(now, |services, cx| match document {
            Some(document) => services.iam.put_role_policy(cx, role, name, document.clone()),
            None => services.iam.delete_role_policy(cx, role, name),
        })
    })
}
