//! Things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arns::thing_arn;
use super::{Change, Registry, already_exists, check_name, check_version, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;

/// A thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Name, unique in the account.
    pub name: Arc<str>,
    /// Name of the thing type.
    pub thing_type: Option<Arc<str>>,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// Id: a UUID.
    pub id: String,
    /// Grows with each change, from 1.
    pub version: u64,
    /// Names of its thing groups.
    pub groups: BTreeSet<Arc<str>>,
    /// Name of its billing group.
    pub billing_group: Option<Arc<str>>,
    /// Ids of the certificates that are attached to it.
    pub principals: BTreeSet<Arc<str>>,
}

/// What `UpdateThing` changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThingUpdate {
    /// The version that the thing must have.
    pub expected_version: Option<u64>,
    /// Attributes, and whether they are merged with those that it has. Merged ones without a value are removed.
    pub attributes: Option<(BTreeMap<String, String>, bool)>,
    /// Its new type.
    pub thing_type: Option<String>,
    /// Whether its type is taken away.
    pub remove_type: bool,
}

impl Thing {
    /// A thing of version 1.
    pub fn new(name: Arc<str>, thing_type: Option<Arc<str>>, attributes: BTreeMap<String, String>, id: String) -> Self {
        let (groups, principals) = (BTreeSet::new(), BTreeSet::new());
        Thing { name, thing_type, attributes, id, version: 1, groups, billing_group: None, principals }
    }
}

/// Characters of names of things and types beside letters, digits and underscore.
pub(super) const NAME: &str = ":-";
/// Characters of names of attributes, likewise.
pub(super) const ATTRIBUTE: &str = ".,@/:#-";
/// Characters of values of attributes, likewise.
const ATTRIBUTE_VALUE: &str = ".,@/:#=[]-";
/// Longest description of a type or a group, in characters.
pub(super) const DESCRIPTION_MAX: usize = 2028;

impl Registry {
    /// `CreateThing`. The same again is no error.
    pub fn create_thing(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        thing_type: Option<&str>,
        attributes: BTreeMap<String, String>,
    ) -> Result<&Thing, AwsError> {
        check_name("thing name", name, quotas.thing_name_size, NAME)?;
        let thing_type = thing_type.map(|wanted| self.type_name(wanted)).transpose()?;
        check_attributes(quotas, &attributes, thing_type.is_some())?;
        if let Some(existing) = self.things.get(name) {
            if existing.thing_type != thing_type || existing.attributes != attributes {
                return Err(already_exists("the thing", name, thing_arn(cx, name)));
            }
        } else {
            if let Some(wanted) = &thing_type {
                self.check_in_use(wanted)?;
            }
            let name: Arc<str> = name.into();
            let id = cx.uuid();
            self.things.insert(name.clone(), Thing::new(name.clone(), thing_type.clone(), attributes, id));
            self.tell_thing(cx, Change::Created, &name);
            if let Some(thing_type) = thing_type {
                self.tell_type_of(cx, true, &name, &thing_type);
            }
        }
        self.thing(name)
    }

    /// A thing by its name.
    pub fn thing(&self, name: &str) -> Result<&Thing, AwsError> {
        self.things.get(name).ok_or_else(|| not_found(format!("the thing {name} does not exist")))
    }

    pub(super) fn thing_mut(&mut self, name: &str) -> Result<&mut Thing, AwsError> {
        self.things.get_mut(name).ok_or_else(|| not_found(format!("the thing {name} does not exist")))
    }

    /// `UpdateThing`.
    pub fn update_thing(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        update: ThingUpdate,
    ) -> Result<(), AwsError> {
        let thing = self.thing(name)?;
        check_version("thing", name, thing.version, update.expected_version)?;
        if update.remove_type && update.thing_type.is_some() {
            return Err(invalid("a thing's type is either set or removed"));
        }
        let thing_type = match update.thing_type.as_deref() {
            Some(wanted) if thing.thing_type.as_deref() != Some(wanted) => {
                let wanted = self.type_name(wanted)?;
                self.check_in_use(&wanted)?;
                Some(wanted)
            }
            Some(_) => thing.thing_type.clone(),
            None if update.remove_type => None,
            None => thing.thing_type.clone(),
        };
        let attributes = merged(&thing.attributes, update.attributes);
        check_attributes(quotas, &attributes, thing_type.is_some())?;
        let thing = self.thing_mut(name)?;
        let before = std::mem::replace(&mut thing.thing_type, thing_type.clone());
        thing.attributes = attributes;
        thing.version += 1;
        let principals: Vec<Arc<str>> = thing.principals.iter().cloned().collect();
        self.changed.extend(principals);
        self.tell_thing(cx, Change::Updated, name);
        if before != thing_type {
            for (added, thing_type) in [(false, before), (true, thing_type)] {
                if let Some(thing_type) = thing_type {
                    self.tell_type_of(cx, added, name, &thing_type);
                }
            }
        }
        Ok(())
    }

    /// `DeleteThing`. Deleting what does not exist succeeds; one that a certificate is attached to stays.
    pub fn delete_thing(&mut self, cx: &mut Cx<'_>, name: &str, expected_version: Option<u64>) -> Result<(), AwsError> {
        let Some(thing) = self.things.get(name) else { return Ok(()) };
        check_version("thing", name, thing.version, expected_version)?;
        if !thing.principals.is_empty() {
            let message = format!("Cannot delete. Thing {name} is still attached to one or more principals");
            return Err(invalid(message));
        }
        let thing_type = thing.thing_type.clone();
        self.tell_thing(cx, Change::Deleted, name);
        if let Some(thing_type) = thing_type {
            self.tell_type_of(cx, false, name, &thing_type);
        }
        self.things.remove(name);
        Ok(())
    }
}

/// Attributes after a change: the new ones, or those that there were with the new ones over them. Merged ones without a
/// value are removed.
pub fn merged(
    old: &BTreeMap<String, String>,
    new: Option<(BTreeMap<String, String>, bool)>,
) -> BTreeMap<String, String> {
    match new {
        None => old.clone(),
        Some((attributes, false)) => attributes,
        Some((new, true)) => {
            let mut attributes = old.clone();
            attributes.extend(new);
            attributes.retain(|_, value| !value.is_empty());
            attributes
        }
    }
}

fn check_attributes(quotas: &Quotas, attributes: &BTreeMap<String, String>, typed: bool) -> Result<(), AwsError> {
    let max = if typed { quotas.attributes_with_type } else { quotas.attributes_without_type };
    if attributes.len() > max {
        return Err(invalid(format!(
            "a thing {} a type has at most {max} attributes",
            if typed { "with" } else { "without" }
        )));
    }
    check_attribute_texts(quotas, attributes)
}

/// Checks names and values of attributes, of things and of groups.
pub(super) fn check_attribute_texts(quotas: &Quotas, attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let mut size = 0;
    for (name, value) in attributes {
        check_name("attribute", name, quotas.attribute_name_size, ATTRIBUTE)?;
        if !value.is_empty() {
            check_name("value of an attribute", value, quotas.attribute_value_size, ATTRIBUTE_VALUE)?;
        }
        size += name.len() + value.len();
    }
    if size > quotas.attributes_total_size {
        return Err(invalid(format!("the attributes of a thing have at most {} bytes", quotas.attributes_total_size)));
    }
    Ok(())
}
