//! Parsing a template and finding the order in which its resources are created.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::intrinsics;
use crate::cloud::core::AwsError;

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
    pub outputs: IndexMap<String, Value>,
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
    /// Parses a template body in JSON.
    pub fn parse(body: &str) -> Result<Self, AwsError> {
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
        Ok(template)
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
        let template = Template::parse(body).map_err(|e| e.message)?;
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
        ] {
            let error = order(body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
