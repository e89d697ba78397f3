//! Thing groups and billing groups, and which things are in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arns::{billing_group_arn, thing_group_arn};
use super::things::{DESCRIPTION_MAX, NAME, check_attribute_texts};
use super::{Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;
use world::time::Time;

/// What can be said of a group when it is created, and changed later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupProperties {
    /// For people.
    pub description: Option<String>,
    /// Attributes. Billing groups have none.
    pub attributes: BTreeMap<String, String>,
}

/// A thing group or a billing group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Id: a UUID.
    pub id: String,
    /// The group that it is in. Billing groups are in none.
    pub parent: Option<Arc<str>>,
    /// What is said of it.
    pub properties: GroupProperties,
    /// When it was created.
    pub created: Time,
    /// Grows with each change, from 1.
    pub version: u64,
}

impl Registry {
    /// `CreateThingGroup`. The same again is no error.
    pub fn create_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        parent: Option<&str>,
        properties: GroupProperties,
    ) -> Result<&Group, AwsError> {
        check_name("thing group name", name, quotas.thing_name_size, NAME)?;
        check_properties(quotas, &properties)?;
        let parent = match parent {
            None => None,
            Some(wanted) => {
                let (parent, _) = self.thing_groups.get_key_value(wanted).ok_or_else(|| no_group("thing", wanted))?;
                Some(parent.clone())
            }
        };
        if let Some(existing) = self.thing_groups.get(name) {
            if existing.parent != parent || existing.properties != properties {
                return Err(already_exists("the thing group", name, thing_group_arn(cx, name)));
            }
            return self.thing_group(name);
        }
        if let Some(parent) = &parent {
            let children = self.thing_groups.values().filter(|group| group.parent.as_ref() == Some(parent)).count();
            if children >= quotas.direct_child_groups {
                return Err(invalid(format!("a group has at most {} direct children", quotas.direct_child_groups)));
            }
            if self.path(parent).len() >= quotas.group_depth {
                return Err(invalid(format!("groups are nested at most {} deep", quotas.group_depth)));
            }
        }
        let group = Group { id: cx.uuid(), parent, properties, created: cx.now, version: 1 };
        self.thing_groups.insert(name.into(), group);
        self.thing_group(name)
    }

    /// A thing group by its name.
    pub fn thing_group(&self, name: &str) -> Result<&Group, AwsError> {
        self.thing_groups.get(name).ok_or_else(|| no_group("thing", name))
    }

    /// `UpdateThingGroup`.
    pub fn update_thing_group(
        &mut self,
        quotas: &Quotas,
        name: &str,
        properties: GroupProperties,
    ) -> Result<(), AwsError> {
        check_properties(quotas, &properties)?;
        let group = self.thing_groups.get_mut(name).ok_or_else(|| no_group("thing", name))?;
        group.properties = properties;
        group.version += 1;
        Ok(())
    }

    /// `DeleteThingGroup`: things in it leave it; one with child groups stays (AWS CLI reference, `delete-thing-group`).
    pub fn delete_thing_group(&mut self, name: &str) -> Result<(), AwsError> {
        if self.thing_groups.values().any(|group| group.parent.as_deref() == Some(name)) {
            let message =
                format!("Cannot delete thing group : {name} when there are still child groups attached to it.");
            return Err(invalid(message));
        }
        self.thing_groups.remove(name);
        for thing in self.things.values_mut() {
            thing.groups.remove(name);
        }
        Ok(())
    }

    /// `AddThingToThingGroup`. The same again is no error.
    pub fn add_to_thing_group(&mut self, quotas: &Quotas, thing: &str, group: &str) -> Result<(), AwsError> {
        let (name, _) = self.thing_groups.get_key_value(group).ok_or_else(|| no_group("thing", group))?;
        let name = name.clone();
        let root = self.path(&name).pop();
        let groups = &self.thing(thing)?.groups;
        if groups.contains(&name) {
            return Ok(());
        }
        if groups.len() >= quotas.groups_per_thing {
            return Err(invalid(format!("a thing is in at most {} groups", quotas.groups_per_thing)));
        }
        if let Some(other) = groups.iter().find(|other| self.path(other).pop() == root) {
            return Err(invalid(format!("the thing {thing} is in the group {other} of the same hierarchy already")));
        }
        self.thing_mut(thing)?.groups.insert(name);
        Ok(())
    }

    /// `RemoveThingFromThingGroup`.
    pub fn remove_from_thing_group(&mut self, thing: &str, group: &str) -> Result<(), AwsError> {
        self.thing_group(group)?;
        self.thing_mut(thing)?.groups.remove(group);
        Ok(())
    }

    /// The names from a group to its root.
    pub fn path(&self, group: &Arc<str>) -> Vec<Arc<str>> {
        let mut path = vec![group.clone()];
        while let Some(parent) =
            path.last().and_then(|name| self.thing_groups.get(name)).and_then(|group| group.parent.clone())
        {
            path.push(parent);
        }
        path
    }

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
            let group = Group { id: cx.uuid(), parent: None, properties, created: cx.now, version: 1 };
            self.billing_groups.insert(name.into(), group);
        }
        self.billing_group(name)
    }

    /// A billing group by its name.
    pub fn billing_group(&self, name: &str) -> Result<&Group, AwsError> {
        self.billing_groups.get(name).ok_or_else(|| no_group("billing", name))
    }

    /// `UpdateBillingGroup`.
    pub fn update_billing_group(
        &mut self,
        quotas: &Quotas,
        name: &str,
        description: Option<String>,
    ) -> Result<(), AwsError> {
        let properties = GroupProperties { description, attributes: BTreeMap::new() };
        check_properties(quotas, &properties)?;
        let group = self.billing_groups.get_mut(name).ok_or_else(|| no_group("billing", name))?;
        group.properties = properties;
        group.version += 1;
        Ok(())
    }

    /// `DeleteBillingGroup`, also of one that holds things (AWS CLI reference, `delete-billing-group`).
    pub fn delete_billing_group(&mut self, name: &str) {
        self.billing_groups.remove(name);
        for thing in self.things.values_mut().filter(|thing| thing.billing_group.as_deref() == Some(name)) {
            thing.billing_group = None;
        }
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

fn no_group(kind: &str, name: &str) -> AwsError {
    not_found(format!("the {kind} group {name} does not exist"))
}

fn check_properties(quotas: &Quotas, properties: &GroupProperties) -> Result<(), AwsError> {
    if properties.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        return Err(invalid(format!("a description has at most {DESCRIPTION_MAX} characters")));
    }
    if properties.attributes.len() > quotas.group_attributes {
        return Err(invalid(format!("a group has at most {} attributes", quotas.group_attributes)));
    }
    check_attribute_texts(quotas, &properties.attributes)
}
