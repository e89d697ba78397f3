//! Thing groups, and which things are in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arns::thing_group_arn;
use super::things::{DESCRIPTION_MAX, NAME, check_attribute_texts};
use super::{Change, Registry, already_exists, check_name, check_version, invalid, merged, not_found};
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

/// What `UpdateThingGroup` and `UpdateBillingGroup` change. What is absent stays (unverified).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupUpdate {
    /// The version that the group must have.
    pub expected_version: Option<u64>,
    /// For people.
    pub description: Option<String>,
    /// Attributes, and whether they are merged with those that it has.
    pub attributes: Option<(BTreeMap<String, String>, bool)>,
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
    /// Names of its policies. Billing groups have none.
    pub policies: BTreeSet<Arc<str>>,
}

impl Group {
    /// A new group.
    pub(super) fn new(id: String, parent: Option<Arc<str>>, properties: GroupProperties, created: Time) -> Self {
        Group { id, parent, properties, created, version: 1, policies: BTreeSet::new() }
    }

    /// Its properties after a change.
    pub(super) fn updated(&self, update: GroupUpdate) -> GroupProperties {
        GroupProperties {
            description: update.description.or_else(|| self.properties.description.clone()),
            attributes: merged(&self.properties.attributes, update.attributes),
        }
    }
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
        let group = Group::new(cx.uuid(), parent.clone(), properties, cx.now);
        self.thing_groups.insert(name.into(), group);
        self.tell_group(cx, Change::Created, name);
        if let Some(parent) = parent {
            self.tell_hierarchy(cx, true, &parent, name);
        }
        self.thing_group(name)
    }

    /// A thing group by its name.
    pub fn thing_group(&self, name: &str) -> Result<&Group, AwsError> {
        self.thing_groups.get(name).ok_or_else(|| no_group("thing", name))
    }

    /// `UpdateThingGroup`. Answers its new version.
    pub fn update_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        update: GroupUpdate,
    ) -> Result<u64, AwsError> {
        let group = self.thing_group(name)?;
        check_version("thing group", name, group.version, update.expected_version)?;
        let properties = group.updated(update);
        self.replace_thing_group(cx, quotas, name, properties)
    }

    /// Gives a thing group other properties. Answers its new version.
    pub fn replace_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        properties: GroupProperties,
    ) -> Result<u64, AwsError> {
        check_properties(quotas, &properties)?;
        let group = self.thing_groups.get_mut(name).ok_or_else(|| no_group("thing", name))?;
        group.properties = properties;
        group.version += 1;
        let version = group.version;
        self.tell_group(cx, Change::Updated, name);
        Ok(version)
    }

    /// `DeleteThingGroup`: things in it leave it; one with child groups stays (AWS CLI reference, `delete-thing-group`).
    /// One that does not exist is no error. That a group with policies can be deleted is unverified.
    pub fn delete_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        expected_version: Option<u64>,
    ) -> Result<(), AwsError> {
        let Some(group) = self.thing_groups.get(name) else { return Ok(()) };
        check_version("thing group", name, group.version, expected_version)?;
        let parent = group.parent.clone();
        if self.thing_groups.values().any(|group| group.parent.as_deref() == Some(name)) {
            let message =
                format!("Cannot delete thing group : {name} when there are still child groups attached to it.");
            return Err(invalid(message));
        }
        self.group_changed(name);
        if let Some(parent) = parent {
            self.tell_hierarchy(cx, false, &parent, name);
        }
        self.tell_group(cx, Change::Deleted, name);
        self.thing_groups.remove(name);
        for thing in self.things.values_mut() {
            thing.groups.remove(name);
        }
        Ok(())
    }

    /// `AddThingToThingGroup`. The same again is no error.
    pub fn add_to_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        thing: &str,
        group: &str,
    ) -> Result<(), AwsError> {
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
        self.thing_mut(thing)?.groups.insert(name.clone());
        self.membership_changed(thing, &name);
        self.tell_membership(cx, true, &name, thing);
        Ok(())
    }

    /// `RemoveThingFromThingGroup`. One that is not in it is no error.
    pub fn remove_from_thing_group(&mut self, cx: &mut Cx<'_>, thing: &str, group: &str) -> Result<(), AwsError> {
        self.thing_group(group)?;
        if self.thing_mut(thing)?.groups.remove(group) {
            self.membership_changed(thing, group);
            self.tell_membership(cx, false, group, thing);
        }
        Ok(())
    }

    /// Notes that the policies of a thing's groups may be others.
    fn membership_changed(&mut self, thing: &str, group: &str) {
        let path = self.path(&group.into());
        let with_policy = |name: &Arc<str>| self.thing_groups.get(name).is_some_and(|group| !group.policies.is_empty());
        if path.iter().any(with_policy)
            && let Some(thing) = self.things.get(thing)
        {
            self.changed.extend(thing.principals.iter().cloned());
        }
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
}

pub(super) fn no_group(kind: &str, name: &str) -> AwsError {
    not_found(format!("the {kind} group {name} does not exist"))
}

pub(super) fn check_properties(quotas: &Quotas, properties: &GroupProperties) -> Result<(), AwsError> {
    if properties.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        return Err(invalid(format!("a description has at most {DESCRIPTION_MAX} characters")));
    }
    if properties.attributes.len() > quotas.group_attributes {
        return Err(invalid(format!("a group has at most {} attributes", quotas.group_attributes)));
    }
    check_attribute_texts(quotas, &properties.attributes)
}
