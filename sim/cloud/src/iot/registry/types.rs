//! Thing types.

use std::sync::Arc;
use std::time::Duration;

use super::arns::thing_type_arn;
use super::things::{ATTRIBUTE, DESCRIPTION_MAX, NAME};
use super::{Change, Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;
use world::time::Time;

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
    /// When it was deprecated, if it is: then no further thing gets it.
    pub deprecated: Option<Time>,
}

/// Searchable attributes that a type can have.
const SEARCHABLE_MAX: usize = 3;

impl Registry {
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
            let (id, created) = (cx.uuid(), cx.now);
            let thing_type = ThingType { id, description, searchable_attributes, created, deprecated: None };
            self.thing_types.insert(name.into(), thing_type);
            self.tell_type(cx, Change::Created, name);
        }
        self.thing_type(name)
    }

    /// A thing type by its name.
    pub fn thing_type(&self, name: &str) -> Result<&ThingType, AwsError> {
        self.thing_types.get(name).ok_or_else(|| no_type(name))
    }

    /// The registry's own name of a type.
    pub(super) fn type_name(&self, wanted: &str) -> Result<Arc<str>, AwsError> {
        let found = self.thing_types.get_key_value(wanted);
        found.map(|(name, _)| name.clone()).ok_or_else(|| no_type(wanted))
    }

    /// Refuses a deprecated type for a thing that does not have it yet.
    pub(super) fn check_in_use(&self, name: &str) -> Result<(), AwsError> {
        if self.thing_type(name)?.deprecated.is_some() {
            return Err(invalid(format!("Can not create new thing with deprecated thing type:{name}")));
        }
        Ok(())
    }

    /// `DeprecateThingType`, and its undoing. The same again changes nothing.
    pub fn deprecate_thing_type(&mut self, cx: &mut Cx<'_>, name: &str, undo: bool) -> Result<(), AwsError> {
        let now = cx.now;
        let thing_type = self.thing_types.get_mut(name).ok_or_else(|| no_type(name))?;
        if thing_type.deprecated.is_some() != undo {
            return Ok(());
        }
        thing_type.deprecated = (!undo).then_some(now);
        self.tell_type(cx, Change::Updated, name);
        Ok(())
    }

    /// `DeleteThingType` of one that was deprecated long enough ago and that no thing has.
    pub fn delete_thing_type(&mut self, cx: &mut Cx<'_>, quotas: &Quotas, name: &str) -> Result<(), AwsError> {
        let wait = Duration::from_secs(quotas.deprecated_s);
        match self.thing_type(name)?.deprecated {
            Some(since) if since + wait <= cx.now => self.drop_thing_type(cx, name),
            Some(_) => {
                let seconds = wait.as_secs();
                Err(invalid(format!("Please wait {seconds} s after deprecation of {name} and then retry deletion")))
            }
            None => Err(invalid(format!("Cannot delete thing type {name}: it is not deprecated"))),
        }
    }

    /// Deletes a type that no thing has. CloudFormation deprecates it and waits by itself.
    pub fn drop_thing_type(&mut self, cx: &mut Cx<'_>, name: &str) -> Result<(), AwsError> {
        if self.things.values().any(|thing| thing.thing_type.as_deref() == Some(name)) {
            return Err(invalid(format!("Cannot delete thing type {name}: things are still associated with it")));
        }
        self.tell_type(cx, Change::Deleted, name);
        self.thing_types.remove(name);
        Ok(())
    }
}

fn no_type(name: &str) -> AwsError {
    not_found(format!("the thing type {name} does not exist"))
}
