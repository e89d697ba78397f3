//! Claims for devices that join by themselves: what an installer brings along.

use std::collections::BTreeSet;

use platform::Settings;
use platform::ingest::iot_core::{claim_client_id, claim_parameters, claim_policy_name, claim_template_name};
use platform::naming::Naming;

use super::boot::BootError;
use crate::cloud::account::Account;
use crate::fleet::DevicePlan;
use crate::fleet::join::Claim;
use crate::world::time::Time;

/// Registers the claim certificate of each fleet and tenant whose devices join by themselves, and gives it to them.
pub fn give_claims(
    account: &mut Account,
    now: Time,
    settings: &Settings,
    devices: &mut [DevicePlan],
) -> Result<(), BootError> {
    let naming = Naming::new(settings);
    let mut registered = BTreeSet::new();
    for device in devices {
        let (tenant, id) = (&device.tenant, &device.id);
        let Some(join) = &mut device.join else { continue };
        if registered.insert(join.claim_id.clone()) {
            let policy = claim_policy_name(naming, tenant);
            account
                .as_owner(now, |services, cx| services.iot.register_claim(cx, &join.claim_id, &policy))
                .map_err(|error| BootError { what: format!("the claim certificate of tenant {tenant}"), error })?;
        }
        let parameters = claim_parameters(id, device.kind);
        join.claim = Some(Claim {
            certificate_id: join.claim_id.clone(),
            client_id: claim_client_id(tenant, id),
            template: claim_template_name(naming, tenant),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
        });
    }
    Ok(())
}
