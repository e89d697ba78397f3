//! Things and thing types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arns::{thing_arn, thing_type_arn};
use super::{Change, Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;
use world::time::Time;

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
        Thing { name, thing_type, attributes, id, version: 1, groups: BTreeSet::new(), billing_group: None }
    }
}

/// A thing type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingType {
    /// Id: a UUID.
    pub id: String,
    /// For people.
    pub description: Option<String>,
    /// Attributes by which things can be searched.
    pub searchable_attributes: Vec<String>,
    /// When it was created.
    pub created: Time,
}

/// Characters of names of things and types beside letters, digits and underscore.
pub(super) const NAME: &str = ":-";
/// Characters of names of attributes, likewise.
const ATTRIBUTE: &str = ".,@/:#-";
/// Characters of values of attributes, likewise.
const ATTRIBUTE_VALUE: &str = ".,@/:#=[]-";
/// Searchable attributes that a type can have.
const SEARCHABLE_MAX: usize = 3;
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
            let name: Arc<str> = name.into();
            let id = cx.uuid();
            self.things.insert(name.clone(), Thing::new(name.clone(), thing_type, attributes, id));
            self.tell(cx, Change::Created, &name);
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

    fn type_name(&self, wanted: &str) -> Result<Arc<str>, AwsError> {
        let found = self.thing_types.get_key_value(wanted);
        found.map(|(name, _)| name.clone()).ok_or_else(|| not_found(format!("the thing type {wanted} does not exist")))
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
        check_version(thing, update.expected_version)?;
        if update.remove_type && update.thing_type.is_some() {
            return Err(invalid("a thing's type is either set or removed"));
        }
        let thing_type = match update.thing_type.as_deref() {
            Some(wanted) => Some(self.type_name(wanted)?),
            None if update.remove_type => None,
            None => thing.thing_type.clone(),
        };
        let attributes = match update.attributes {
            None => thing.attributes.clone(),
            Some((attributes, false)) => attributes,
            Some((new, true)) => {
                let mut attributes = thing.attributes.clone();
                attributes.extend(new);
                attributes.retain(|_, value| !value.is_empty());
                attributes
            }
        };
        check_attributes(quotas, &attributes, thing_type.is_some())?;
        let thing = self.thing_mut(name)?;
        thing.thing_type = thing_type;
        thing.attributes = attributes;
        thing.version += 1;
        self.tell(cx, Change::Updated, name);
        Ok(())
    }

    /// `DeleteThing`. Deleting what does not exist succeeds; one that a certificate is attached to stays.
    pub fn delete_thing(&mut self, cx: &mut Cx<'_>, name: &str, expected_version: Option<u64>) -> Result<(), AwsError> {
        let Some(thing) = self.things.get(name) else { return Ok(()) };
        check_version(thing, expected_version)?;
        if self.certificates.values().any(|certificate| certificate.things.contains(name)) {
            let message = format!("Cannot delete. Thing {name} is still attached to one or more principals");
            return Err(invalid(message));
        }
        self.tell(cx, Change::Deleted, name);
        self.things.remove(name);
        Ok(())
    }

    /// `DeleteThingType`, when no thing has it. That a type is deprecated five minutes before is not asked for.
    pub fn delete_thing_type(&mut self, name: &str) -> Result<(), AwsError> {
        if self.things.values().any(|thing| thing.thing_type.as_deref() == Some(name)) {
            return Err(invalid(format!("Cannot delete thing type {name}: things are still associated with it")));
        }
        self.thing_types.remove(name);
        Ok(())
    }

    /// `CreateThingType`. The same again is no error.
    pub fn create_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        description: Option<String>,
        searchable_attributes: Vec<String>,
    ) -> Result<&ThingType, AwsError> {
        check_name("thing type name", name, quotas.thing_name_size, NAME)?;
        if searchable_attributes.len() > SEARCHABLE_MAX {
            return Err(invalid(format!("a thing type has at most {SEARCHABLE_MAX} searchable attributes")));
        }
        for attribute in &searchable_attributes {
            check_name("searchable attribute", attribute, quotas.attribute_name_size, ATTRIBUTE)?;
        }
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            return Err(invalid(format!("a description has at most {DESCRIPTION_MAX} characters")));
        }
        if let Some(existing) = self.thing_types.get(name) {
            if existing.description != description || existing.searchable_attributes != searchable_attributes {
                return Err(already_exists("the thing type", name, thing_type_arn(cx, name)));
            }
        } else {
            let id = cx.uuid();
            let thing_type = ThingType { id, description, searchable_attributes, created: cx.now };
            self.thing_types.insert(name.into(), thing_type);
        }
        self.thing_type(name)
    }

    /// A thing type by its name.
    pub fn thing_type(&self, name: &str) -> Result<&ThingType, AwsError> {
        self.thing_types.get(name).ok_or_else(|| not_found(format!("the thing type {name} does not exist")))
    }
}

fn check_version(thing: &Thing, expected: Option<u64>) -> Result<(), AwsError> {
    if expected.is_none_or(|expected| expected == thing.version) {
        return Ok(());
    }
    let message = format!("The version for the thing {} does not match the expected version.", thing.name);
    Err(AwsError::new("VersionConflictException", message).status(409))
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
