//! Billing groups, and which things are in them.

use std::collections::BTreeMap;

use super::arns::billing_group_arn;
use super::groups::{Group, GroupProperties, GroupUpdate, check_properties, no_group};
use super::things::NAME;
use super::{Registry, already_exists, check_name, check_version, invalid};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;

impl Registry {
    /// `CreateBillingGroup`. The same again is no error.
    pub fn create_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        description: Option<String>,
    ) -> Result<&Group, AwsError> {
        check_name("billing group name", name, quotas.thing_name_size, NAME)?;
        let properties = GroupProperties { description, attributes: BTreeMap::new() };
        check_properties(quotas, &properties)?;
        if let Some(existing) = self.billing_groups.get(name) {
            if existing.properties != properties {
                return Err(already_exists("the billing group", name, billing_group_arn(cx, name)));
            }
        } else {
            if self.billing_groups.len() >= quotas.billing_groups {
                return Err(invalid(format!("an account has at most {} billing groups", quotas.billing_groups)));
            }
            let group = Group::new(cx.uuid(), None, properties, cx.now);
            self.billing_groups.insert(name.into(), group);
        }
        self.billing_group(name)
    }

    /// A billing group by its name.
    pub fn billing_group(&self, name: &str) -> Result<&Group, AwsError> {
        self.billing_groups.get(name).ok_or_else(|| no_group("billing", name))
    }

    /// `UpdateBillingGroup`. Answers its new version.
    pub fn update_billing_group(&mut self, quotas: &Quotas, name: &str, update: GroupUpdate) -> Result<u64, AwsError> {
        let group = self.billing_group(name)?;
        check_version("billing group", name, group.version, update.expected_version)?;
        let properties = group.updated(update);
        check_properties(quotas, &properties)?;
        let group = self.billing_groups.get_mut(name).ok_or_else(|| no_group("billing", name))?;
        group.properties = properties;
        group.version += 1;
        Ok(group.version)
    }

    /// `DeleteBillingGroup`, also of one that holds things (AWS CLI reference, `delete-billing-group`). One that does not
    /// exist is no error.
    pub fn delete_billing_group(&mut self, name: &str, expected_version: Option<u64>) -> Result<(), AwsError> {
        let Some(group) = self.billing_groups.get(name) else { return Ok(()) };
        check_version("billing group", name, group.version, expected_version)?;
        self.billing_groups.remove(name);
        for thing in self.things.values_mut().filter(|thing| thing.billing_group.as_deref() == Some(name)) {
            thing.billing_group = None;
        }
        Ok(())
    }

    /// `AddThingToBillingGroup`: a thing is in one at most, so it leaves another (unverified).
    pub fn add_to_billing_group(&mut self, thing: &str, group: &str) -> Result<(), AwsError> {
        let (name, _) = self.billing_groups.get_key_value(group).ok_or_else(|| no_group("billing", group))?;
        let name = name.clone();
        self.thing_mut(thing)?.billing_group = Some(name);
        Ok(())
    }

    /// `RemoveThingFromBillingGroup`.
    pub fn remove_from_billing_group(&mut self, thing: &str, group: &str) -> Result<(), AwsError> {
        self.billing_group(group)?;
        let thing = self.thing_mut(thing)?;
        thing.billing_group.take_if(|current| **current == *group);
        Ok(())
    }
}
