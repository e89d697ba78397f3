//! Things and thing types.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arns::{thing_arn, thing_type_arn};
use super::{Registry, already_exists, check_name, invalid, not_found};
use crate::cloud::core::{AwsError, Cx};
use crate::cloud::iot::quotas::Quotas;
use crate::world::time::Time;

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
}

impl Thing {
    /// A thing of version 1.
    pub fn new(name: Arc<str>, thing_type: Option<Arc<str>>, attributes: BTreeMap<String, String>, id: String) -> Self {
        Thing { name, thing_type, attributes, id }
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
const NAME: &str = ":-";
/// Characters of names of attributes, likewise.
const ATTRIBUTE: &str = ".,@/:#-";
/// Characters of values of attributes, likewise.
const ATTRIBUTE_VALUE: &str = ".,@/:#=[]-";
/// Searchable attributes that a type can have.
const SEARCHABLE_MAX: usize = 3;
/// Longest description of a type, in characters.
const DESCRIPTION_MAX: usize = 2028;

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
        let thing_type = match thing_type {
            None => None,
            Some(wanted) => match self.thing_types.get_key_value(wanted) {
                Some((name, _)) => Some(name.clone()),
                None => return Err(not_found(format!("the thing type {wanted} does not exist"))),
            },
        };
        check_attributes(quotas, &attributes, thing_type.is_some())?;
        if let Some(existing) = self.things.get(name) {
            if existing.thing_type != thing_type || existing.attributes != attributes {
                return Err(already_exists("the thing", name, thing_arn(cx, name)));
            }
        } else {
            let name: Arc<str> = name.into();
            let id = cx.uuid();
            self.things.insert(name.clone(), Thing::new(name, thing_type, attributes, id));
        }
        self.thing(name)
    }

    /// A thing by its name.
    pub fn thing(&self, name: &str) -> Result<&Thing, AwsError> {
        self.things.get(name).ok_or_else(|| not_found(format!("the thing {name} does not exist")))
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

fn check_attributes(quotas: &Quotas, attributes: &BTreeMap<String, String>, typed: bool) -> Result<(), AwsError> {
    let max = if typed { quotas.attributes_with_type } else { quotas.attributes_without_type };
    if attributes.len() > max {
        return Err(invalid(format!(
            "a thing {} a type has at most {max} attributes",
            if typed { "with" } else { "without" }
        )));
    }
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
