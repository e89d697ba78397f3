//! The language of templates: sections, parameters, conditions, intrinsic functions, and the order of resources.

mod intrinsics;
mod needs;
mod parameters;
mod template;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use intrinsics::{Created, Scope, UNKNOWN};
pub use needs::{Needs, collect, creation_order};
pub use parameters::{Given, Parameter, as_text, resolve};
pub use template::{Policy, Template, TemplateResource};

use crate::core::AwsError;

/// AWS's code for a template or a request that is wrong.
pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

/// The only member of an object: its name and value.
fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    if map.len() != 1 {
        return None;
    }
    map.iter().next().map(|(name, value)| (name.as_str(), value))
}

/// The types of a template's resources, in its order.
pub fn types_in_use(template: &Template) -> impl Iterator<Item = &str> {
    template.resources.values().map(|resource| resource.r#type.as_str())
}
