//! How a service creates, changes and deletes a resource from its CloudFormation declaration.
//!
//! Each service has three methods, beside the ports that it needs:
//! - `provision(cx, resource)` creates it;
//! - `update(cx, resource, physical_id, previous)` changes it in place: `resource` holds the new properties, `previous`
//!   the old ones. CloudFormation calls it only when no changed property requires a replacement;
//! - `delete(cx, resource, physical_id)` deletes it; `resource` holds the properties that it has. Deleting what is gone
//!   already succeeds.
//!
//! A change that takes time is begun by the call, and [`Provisioned::ready_at`] says when it is done.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::AwsError;
use world::time::Time;

/// A resource to create. Intrinsic functions in `properties` are resolved already.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Stack that owns the resource.
    pub stack: String,
    /// Logical id in the template.
    pub logical_id: String,
    /// Type, such as `AWS::Kinesis::Stream`.
    pub kind: String,
    /// Properties in CloudFormation's spelling.
    pub properties: Value,
}

impl Resource {
    /// Parses the properties. `T` must refuse unknown fields (`#[serde(deny_unknown_fields)]`), so that a property
    /// which is not modelled fails at creation and is named.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, AwsError> {
        T::deserialize(&self.properties).map_err(|error| self.refuse(error))
    }

    /// A refusal that names stack, logical id and type.
    pub fn refuse(&self, why: impl std::fmt::Display) -> AwsError {
        AwsError::new("ValidationError", format!("{} {} ({}): {why}", self.stack, self.logical_id, self.kind))
    }
}

/// What a created resource answers to references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// What `Ref` gives.
    pub physical_id: String,
    /// What `Fn::GetAtt` gives, by attribute name.
    pub attributes: BTreeMap<String, String>,
    /// When the resource is ready; at once when absent.
    pub ready_at: Option<Time>,
}

impl Provisioned {
    /// A resource with its `Ref` value.
    pub fn new(physical_id: impl Into<String>) -> Self {
        Provisioned { physical_id: physical_id.into(), attributes: BTreeMap::new(), ready_at: None }
    }

    /// Says when the resource is ready.
    #[must_use]
    pub fn ready_at(mut self, ready: Time) -> Self {
        self.ready_at = Some(ready);
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }
}
