//! Parsing a template: its sections, and what can be said of them without evaluating anything.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::needs::{self, Needs};
use super::parameters::Declaration;
use super::{invalid, types_in_use};
use crate::cloudformation::types;
use crate::core::{AwsError, Limits};

/// A template, parsed and not yet evaluated.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: Option<String>,
    /// What people read.
    #[serde(default)]
    pub description: Option<String>,
    /// Anything.
    #[serde(default)]
    pub metadata: Option<Value>,
    /// Declared parameters.
    #[serde(default)]
    pub parameters: IndexMap<String, Declaration>,
    /// Values by map, top-level key and second-level key.
    #[serde(default)]
    pub mappings: IndexMap<String, IndexMap<String, IndexMap<String, Value>>>,
    /// Conditions by name.
    #[serde(default)]
    pub conditions: IndexMap<String, Value>,
    #[serde(default)]
    rules: Option<Value>,
    #[serde(default)]
    transform: Option<Value>,
    #[serde(default)]
    hooks: Option<Value>,
    /// Resources in the template's order.
    #[serde(default)]
    pub resources: IndexMap<String, TemplateResource>,
    /// Outputs by name.
    #[serde(default)]
    pub outputs: IndexMap<String, TemplateOutput>,
}

/// A declared output.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateOutput {
    /// The value with intrinsic functions; it must evaluate to a text.
    pub value: Value,
    /// What people read.
    #[serde(default)]
    pub description: Option<String>,
    /// The name under which other stacks may import the value.
    #[serde(default)]
    pub export: Option<TemplateExport>,
    /// The output exists only if this condition holds.
    #[serde(default)]
    pub condition: Option<String>,
}

/// The name of an export, with intrinsic functions.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateExport {
    /// The name; it must evaluate to a text.
    pub name: Value,
}

/// What becomes of a resource that a stack no longer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Policy {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, outside of the stack.
    Retain,
    /// It stays, unless the operation that created it is rolled back.
    RetainExceptOnCreate,
}

/// A declared resource.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateResource {
    /// Type, such as `AWS::S3::Bucket`.
    pub r#type: String,
    /// Properties with intrinsic functions.
    #[serde(default)]
    pub properties: Value,
    /// The resource exists only if this condition holds.
    #[serde(default)]
    pub condition: Option<String>,
    #[serde(default)]
    depends_on: DependsOn,
    /// What deleting the stack, or removing the resource from its template, does.
    #[serde(default)]
    pub deletion_policy: Policy,
    /// What a replacement does with the resource that is replaced.
    #[serde(default)]
    pub update_replace_policy: Policy,
    /// Anything.
    #[serde(default)]
    pub metadata: Option<Value>,
    #[serde(default)]
    creation_policy: Option<Value>,
    #[serde(default)]
    update_policy: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum DependsOn {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl TemplateResource {
    /// The logical ids that `DependsOn` names.
    pub fn depends_on(&self) -> Vec<&str> {
        match &self.depends_on {
            DependsOn::None => Vec::new(),
            DependsOn::One(id) => vec![id],
            DependsOn::Many(ids) => ids.iter().map(String::as_str).collect(),
        }
    }
}

impl Template {
    /// Parses a template body in JSON of at most `body_bytes_max` bytes.
    pub fn parse(body: &str, limits: &Limits, body_bytes_max: u64) -> Result<Self, AwsError> {
        if body.len() as u64 > body_bytes_max {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have \
                 length less than or equal to {body_bytes_max}"
            )));
        }
        if !body.trim_start().starts_with('{') {
            return Err(AwsError::not_modelled("templates in YAML: give JSON"));
        }
        let malformed = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            invalid(format!("Template format error: JSON not well-formed. (line {line}, column {column})"))
        };
        let tree: Value = serde_json::from_str(body).map_err(malformed)?;
        check_shape(&tree)?;
        let template: Template =
            serde_json::from_value(tree).map_err(|error| invalid(format!("Template format error: {error}")))?;
        template.refuse_what_is_not_modelled()?;
        template.check_bounds(limits)?;
        template.check_names()?;
        Ok(template)
    }

    /// `AWSTemplateFormatVersion`, if it is given.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    fn refuse_what_is_not_modelled(&self) -> Result<(), AwsError> {
        if self.version.as_deref().is_some_and(|version| version != "2010-09-09") {
            return Err(invalid("Template format error: unsupported value for AWSTemplateFormatVersion."));
        }
        let sections =
            [("Rules", self.rules.is_some()), ("Transform", self.transform.is_some()), ("Hooks", self.hooks.is_some())];
        if let Some((name, _)) = sections.iter().find(|(_, given)| *given) {
            return Err(AwsError::not_modelled(format!("the section {name} of templates")));
        }
        for (id, resource) in &self.resources {
            for (name, given) in [
                ("CreationPolicy", resource.creation_policy.is_some()),
                ("UpdatePolicy", resource.update_policy.is_some()),
            ] {
                if given {
                    return Err(AwsError::not_modelled(format!("{name} of the resource {id}")));
                }
            }
        }
        Ok(())
    }

    /// How much there is (texts unverified).
    fn check_bounds(&self, limits: &Limits) -> Result<(), AwsError> {
        let counts = [
            ("resources", self.resources.len(), "resources"),
            ("parameters", self.parameters.len(), "parameters"),
            ("outputs", self.outputs.len(), "outputs"),
            ("mappings", self.mappings.len(), "mappings"),
        ];
        for (what, count, quota) in counts {
            let most = limits.get("cloudformation", quota);
            if count as u64 > most {
                return Err(invalid(format!(
                    "Template format error: Number of {what}, {count}, is greater than maximum allowed, {most}"
                )));
            }
        }
        let most = limits.get("cloudformation", "description");
        if self.description.as_ref().is_some_and(|text| text.len() as u64 > most) {
            return Err(invalid(format!("Template format error: 'Description' length is greater than {most}.")));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), AwsError> {
        let mut ids = self.resources.keys().chain(self.outputs.keys()).chain(self.parameters.keys());
        if let Some(id) = ids.find(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(invalid(format!("Template format error: Resource name {id} is non alphanumeric.")));
        }
        let unknown: BTreeSet<&str> = types_in_use(self).filter(|kind| !types::exists(kind)).collect();
        if !unknown.is_empty() {
            let unknown: Vec<&str> = unknown.into_iter().collect();
            return Err(invalid(format!(
                "Template format error: Unrecognized resource types: [{}]",
                unknown.join(", ")
            )));
        }
        let conditions = self.resources.iter().map(|(id, resource)| (id, &resource.condition));
        let conditions = conditions.chain(self.outputs.iter().map(|(id, output)| (id, &output.condition)));
        for (id, condition) in conditions {
            if let Some(condition) = condition.as_ref().filter(|name| !self.conditions.contains_key(*name)) {
                return Err(invalid(format!(
                    "Template format error: Condition {condition} of {id} is not defined in the Conditions block"
                )));
            }
        }
        self.check_references()
    }

    /// Everything that is referred to exists, in whatever branch of a condition it is.
    fn check_references(&self) -> Result<(), AwsError> {
        for (block, values) in [
            ("Resources", self.resources.values().map(|resource| &resource.properties).collect::<Vec<_>>()),
            ("Outputs", self.outputs.values().map(|output| &output.value).collect()),
        ] {
            let mut needs = Needs::default();
            values.iter().for_each(|value| needs::collect(value, None, &mut needs));
            if block == "Resources" {
                let depends = self.resources.values().flat_map(TemplateResource::depends_on);
                needs.resources.extend(depends.map(str::to_owned));
            }
            let known = |id: &String| self.resources.contains_key(id) || self.parameters.contains_key(id);
            let unknown: Vec<&str> = needs.resources.iter().filter(|id| !known(id)).map(String::as_str).collect();
            if !unknown.is_empty() {
                return Err(unresolved(&unknown.join(", "), block));
            }
            self.check_attributes(&needs)?;
        }
        Ok(())
    }
}

impl Template {
    /// What `Fn::GetAtt` asks for is an attribute of its type.
    fn check_attributes(&self, needs: &Needs) -> Result<(), AwsError> {
        for (id, attribute) in needs.causes.iter().filter_map(|cause| cause.split_once('.')) {
            let kind = self.resources.get(id).map(|resource| resource.r#type.as_str());
            if kind.is_some_and(|kind| !types::has_attribute(kind, attribute)) {
                return Err(invalid(format!(
                    "Template error: resource {id} does not support attribute type {attribute} in Fn::GetAtt"
                )));
            }
        }
        Ok(())
    }
}

/// A reference to what is not there.
pub fn unresolved(ids: &str, block: &str) -> AwsError {
    invalid(format!(
        "Template format error: Unresolved resource dependencies [{ids}] in the {block} block of the template"
    ))
}

/// What AWS says of a template before it looks at any type.
fn check_shape(tree: &Value) -> Result<(), AwsError> {
    if let Some(path) = null_in(tree) {
        return Err(invalid(format!("[{path}] 'null' values are not allowed in templates")));
    }
    let resources = tree.get("Resources").and_then(Value::as_object);
    let Some(resources) = resources.filter(|resources| !resources.is_empty()) else {
        return Err(invalid("Template format error: At least one Resources member must be defined."));
    };
    match resources.iter().find(|(_, resource)| resource.get("Type").is_none()) {
        Some((id, _)) => Err(invalid(format!(
            "Template format error: [/Resources/{id}] Every Resources object must contain a Type member."
        ))),
        None => Ok(()),
    }
}

/// Where a null is, as a path such as `/Resources/Bucket`.
fn null_in(value: &Value) -> Option<String> {
    let below = |name: &dyn std::fmt::Display, item| null_in(item).map(|rest| format!("/{name}{rest}"));
    match value {
        Value::Null => Some(String::new()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| below(&index, item)),
        Value::Object(map) => map.iter().find_map(|(name, item)| below(name, item)),
        _ => None,
    }
}
