//! AWS Config: rules of AWS that judge the resources of an account.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Resource;

/// `AWS::Config::ConfigRule` by a rule that AWS manages. CloudFormation takes no tags for it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigRule {
    config_rule_name: String,
    description: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    input_parameters: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    source: Source,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Scope {
    tag_key: &'static str,
    tag_value: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    owner: &'static str,
    source_identifier: &'static str,
}

impl ConfigRule {
    /// The rule that AWS knows as `source_identifier`, such as `S3_BUCKET_PUBLIC_READ_PROHIBITED`.
    pub fn managed(name: String, description: &'static str, source_identifier: &'static str) -> Self {
        ConfigRule {
            config_rule_name: name,
            description,
            input_parameters: BTreeMap::new(),
            scope: None,
            source: Source { owner: "AWS", source_identifier },
        }
    }

    /// This rule with a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.input_parameters.insert(name, value);
        self
    }

    /// This rule for the resources that carry a tag. For rules that look at one resource at a time.
    #[must_use]
    pub fn tagged(mut self, tag_key: &'static str, tag_value: String) -> Self {
        self.scope = Some(Scope { tag_key, tag_value });
        self
    }
}

impl Resource for ConfigRule {
    const TYPE: &'static str = "AWS::Config::ConfigRule";
}
