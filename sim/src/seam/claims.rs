//! Claims for devices that join by themselves: what an installer brings along.

use std::collections::BTreeSet;

use platform::Settings;
use platform::ingest::device_registry::{directory, directory_table_name};
use platform::ingest::iot_core::claims::{CLAIM_CLIENT_PREFIX, claim_key};
use platform::ingest::iot_core::{claim_policy_name, template_name};
use platform::naming::Naming;
use serde_json::json;

use super::boot::BootError;
use crate::cloud::account::Account;
use crate::fleet::DevicePlan;
use crate::fleet::join::Claim;
use crate::world::time::Time;

/// Registers the claim certificate of each fleet and tenant whose devices join by themselves, and gives it to them: the
/// certificate in the registry, and whose it is in the device directory, where the platform's hook looks it up.
pub fn give_claims(
    account: &mut Account,
    now: Time,
    settings: &Settings,
    devices: &mut [DevicePlan],
) -> Result<(), BootError> {
    let naming = Naming::new(settings);
    let policy = claim_policy_name(naming);
    let mut registered = BTreeSet::new();
    for device in devices {
        let (tenant, id) = (&device.tenant, &device.id);
        let Some(join) = &mut device.join else { continue };
        if registered.insert(join.claim_id.clone()) {
            let item = json!({
                "TableName": directory_table_name(naming),
                "Item": {
                    directory::DEVICE_KEY: { "S": claim_key(&join.claim_id) },
                    directory::TENANT_ID: { "S": tenant },
                },
            });
            let given = account.as_owner(now, |services, cx| {
                services.iot.register_claim(cx, &join.claim_id, &policy)?;
                services.dynamodb.call(cx, "PutItem", item.to_string().as_bytes())
            });
            given.map_err(|error| BootError { what: format!("the claim certificate of tenant {tenant}"), error })?;
        }
        let parameters = [("Device", id.as_str()), ("DeviceType", device.kind)];
        join.claim = Some(Claim {
            certificate_id: join.claim_id.clone(),
            client_id: format!("{CLAIM_CLIENT_PREFIX}{id}"),
            template: template_name(naming),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        });
    }
    Ok(())
}
