//! Parsing a template and finding the order in which its resources are created.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::intrinsics;
use crate::cloud::core::{AwsError, Limits};

/// A template, parsed and not yet evaluated.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    _version: Option<String>,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
    #[serde(default, rename = "Metadata")]
    _metadata: Option<Value>,
    /// Resources in the template's order.
    pub resources: IndexMap<String, TemplateResource>,
    /// Outputs by name.
    #[serde(default)]
    pub outputs: IndexMap<String, TemplateOutput>,
}

/// A declared output. Exports and conditions are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateOutput {
    /// The value with intrinsic functions; it must evaluate to a text.
    pub value: Value,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
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
    #[serde(default)]
    depends_on: DependsOn,
    #[serde(default, rename = "DeletionPolicy")]
    _deletion_policy: Option<String>,
    #[serde(default, rename = "UpdateReplacePolicy")]
    _update_replace_policy: Option<String>,
    #[serde(default, rename = "Metadata")]
    _metadata: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum DependsOn {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Template {
    /// Parses a template body in JSON, given directly (not by way of S3, where it could be larger).
    pub fn parse(body: &str, limits: &Limits) -> Result<Self, AwsError> {
        let body_bytes_max = limits.get("cloudformation", "template_body");
        if body.len() as u64 > body_bytes_max {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have \
                 length less than or equal to {body_bytes_max}"
            )));
        }
        let template: Template = serde_json::from_str(body).map_err(|error| {
            if error.is_syntax() || error.is_eof() {
                let (line, column) = (error.line(), error.column());
                invalid(format!("Template format error: JSON not well-formed. (line {line}, column {column})"))
            } else {
                invalid(format!("Template format error: {error}"))
            }
        })?;
        if template.resources.is_empty() {
            return Err(invalid("Template format error: At least one Resources member must be defined."));
        }
        template.check_names(limits)?;
        Ok(template)
    }

    /// How many resources there are, and what they and the outputs are called (texts unverified).
    fn check_names(&self, limits: &Limits) -> Result<(), AwsError> {
        let (resources, most) = (self.resources.len(), limits.get("cloudformation", "resources"));
        if resources as u64 > most {
            return Err(invalid(format!(
                "Template format error: Number of resources, {resources}, is greater than maximum allowed, {most}"
            )));
        }
        let mut ids = self.resources.keys().chain(self.outputs.keys());
        match ids.find(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            Some(id) => Err(invalid(format!("Template format error: Resource name {id} is non alphanumeric."))),
            None => Ok(()),
        }
    }

    /// Logical ids in an order in which every resource comes after those it needs.
    pub fn creation_order(&self) -> Result<Vec<&str>, AwsError> {
        let mut order: Vec<&str> = Vec::with_capacity(self.resources.len());
        let mut done: BTreeSet<&str> = BTreeSet::new();
        while order.len() < self.resources.len() {
            let before = order.len();
            for (id, resource) in &self.resources {
                if !done.contains(id.as_str()) && self.needs(resource)?.iter().all(|need| done.contains(need.as_str()))
                {
                    done.insert(id);
                    order.push(id);
                }
            }
            if order.len() == before {
                let stuck: Vec<&str> =
                    self.resources.keys().map(String::as_str).filter(|id| !done.contains(id)).collect();
                return Err(invalid(format!("Circular dependency between resources: [{}]", stuck.join(", "))));
            }
        }
        Ok(order)
    }

    fn needs(&self, resource: &TemplateResource) -> Result<BTreeSet<String>, AwsError> {
        let mut needs = BTreeSet::new();
        intrinsics::references(&resource.properties, &mut needs);
        match &resource.depends_on {
            DependsOn::None => {}
            DependsOn::One(id) => drop(needs.insert(id.clone())),
            DependsOn::Many(ids) => needs.extend(ids.iter().cloned()),
        }
        if let Some(unknown) = needs.iter().find(|id| !self.resources.contains_key(*id)) {
            return Err(invalid(format!(
                "Template format error: Unresolved resource dependencies [{unknown}] in the Resources block of the template"
            )));
        }
        Ok(needs)
    }
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(body: &str) -> Result<Vec<String>, String> {
        let template = Template::parse(body, &Limits::for_region("eu-west-1")).map_err(|e| e.message)?;
        let order = template.creation_order().map_err(|e| e.message)?;
        Ok(order.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn resources_come_after_what_they_refer_to() {
        let body = r#"{"Resources": {
            "A": {"Type": "T", "Properties": {"X": {"Fn::GetAtt": ["B", "Arn"]}}},
            "B": {"Type": "T", "Properties": {"X": {"Fn::Sub": "arn:${C}:${AWS::Region}:${!Literal}"}}},
            "C": {"Type": "T", "DependsOn": "D"},
            "D": {"Type": "T"}}}"#;
        assert_eq!(order(body).unwrap(), ["D", "C", "B", "A"]);
    }

    #[test]
    fn circles_dangling_references_and_unknown_sections_are_refused_by_name() {
        for (body, expected) in [
            (
                r#"{"Resources": {"A": {"Type": "T", "DependsOn": "B"}, "B": {"Type": "T", "DependsOn": ["A"]}}}"#,
                "[A, B]",
            ),
            (r#"{"Resources": {"A": {"Type": "T", "Properties": {"Ref": "Gone"}}}}"#, "[Gone]"),
            (r#"{"Conditions": {}, "Resources": {"A": {"Type": "T"}}}"#, "unknown field `Conditions`"),
            (r#"{"Resources": {}}"#, "At least one Resources member"),
            (r#"{"Resources": "#, "not well-formed. (line 1"),
            (r#"{"Resources": {"A-B": {"Type": "T"}}}"#, "Resource name A-B is non alphanumeric"),
        ] {
            let error = order(body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_output_has_a_value_and_nothing_that_is_not_modelled() {
        for (output, expected) in [
            (r#""O": {"Description": "no value"}"#, "missing field `Value`"),
            (r#""O": {"Vaule": "x"}"#, "unknown field `Vaule`"),
            (r#""O": {"Value": "x", "Export": {"Name": "e"}}"#, "unknown field `Export`"),
            (r#""O": {"Value": "x", "Condition": "C"}"#, "unknown field `Condition`"),
            (r#""O-1": {"Value": "x"}"#, "O-1 is non alphanumeric"),
        ] {
            let body = format!(r#"{{"Resources": {{"A": {{"Type": "T"}}}}, "Outputs": {{{output}}}}}"#);
            let error = order(&body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let body =
            r#"{"Resources": {"A": {"Type": "T"}}, "Outputs": {"O": {"Value": {"Ref": "A"}, "Description": "d"}}}"#;
        assert_eq!(order(body).unwrap(), ["A"]);
    }

    #[test]
    fn templates_are_bounded() {
        let template = |resources: usize, bytes: usize| {
            let resources: Vec<String> = (0..resources).map(|n| format!(r#""R{n}":{{"Type":"T"}}"#)).collect();
            let body = format!(r#"{{"Resources":{{{}}}}}"#, resources.join(","));
            format!("{body:<bytes$}")
        };
        assert_eq!(order(&template(500, 51_200)).unwrap().len(), 500);
        for (body, expected) in [
            (template(501, 0), "Number of resources, 501, is greater than maximum allowed, 500"),
            (template(1, 51_201), "less than or equal to 51200"),
        ] {
            let error = order(&body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
