//! Changes and deletions of CloudFormation resources.

use std::time::Duration;

use serde_json::Value;

use super::Kms;
use super::provision::{AliasProperties, described, parse_key};
use crate::core::access::{Key, KeyState};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// Days that a key waits for its deletion when none are named.
pub(super) const PENDING_DAYS: u64 = 30;

/// The error for a key that waits for its deletion.
pub(super) fn pending(key: &Key) -> AwsError {
    AwsError::new("KMSInvalidStateException", format!("{} is pending deletion.", key.arn))
}

/// A time in days.
pub(super) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

impl Kms {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::KMS::Key" => {
                let properties = parse_key(resource)?;
                let account = cx.account.id.clone();
                let old = parse_key(&Resource { properties: previous.clone(), ..resource.clone() })?;
                let mut changed = cx.access.keys.find(physical_id, cx.now)?.clone();
                if let KeyState::PendingDeletion(_) = changed.state {
                    return Err(pending(&changed));
                }
                properties.write(&account, &mut changed, Some(&old))?;
                let provisioned = described(&changed);
                *cx.access.keys.find_mut(physical_id, cx.now)? = changed;
                cx.access.changed();
                ("PutKeyPolicy", provisioned)
            }
            "AWS::KMS::Alias" => {
                let properties: AliasProperties = resource.parse()?;
                properties.write(cx)?;
                ("UpdateAlias", Provisioned::new(physical_id))
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("kms", operation, Outcome::Ok);
        Ok(provisioned)
    }

    /// Deletes a resource. A key is scheduled for deletion: until its time has come it exists and cannot be used.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::KMS::Key" => {
                let window = parse_key(resource)?.pending_window_in_days.unwrap_or(PENDING_DAYS);
                let at = cx.now + days(window);
                if let Ok(key) = cx.access.keys.find_mut(physical_id, cx.now)
                    && !matches!(key.state, KeyState::PendingDeletion(_))
                {
                    key.state = KeyState::PendingDeletion(at);
                }
                "ScheduleKeyDeletion"
            }
            "AWS::KMS::Alias" => {
                cx.access.keys.aliases.remove(physical_id);
                "DeleteAlias"
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.access.changed();
        cx.meter.call("kms", operation, Outcome::Ok);
        Ok(())
    }
}
