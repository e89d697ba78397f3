//! AWS Systems Manager Parameter Store, as templates use it.
//!
//! Modelled: `AWS::SSM::Parameter` of type String, and its resolution by `{{resolve:ssm:name}}`.
//! Refused: the JSON API, SecureString, versions and labels.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// The parameters of the account.
#[derive(Debug, Default)]
pub struct Ssm {
    parameters: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ParameterProperties {
    name: String,
    r#type: String,
    value: String,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

impl Ssm {
    /// Creates `AWS::SSM::Parameter`. `Ref` is the name; attributes `Type` and `Value`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::SSM::Parameter" {
            return Err(resource.refuse("this resource type is not modelled"));
        }
        let properties: ParameterProperties = resource.parse()?;
        if properties.r#type != "String" {
            return Err(resource.refuse(format!("parameter type {} is not modelled", properties.r#type)));
        }
        if properties.value.is_empty() || properties.value.len() > 4096 {
            return Err(resource.refuse("a standard parameter holds 1 to 4,096 characters"));
        }
        if self.parameters.contains_key(&properties.name) {
            return Err(AwsError::new(
                "ParameterAlreadyExists",
                format!("The parameter {} already exists.", properties.name),
            ));
        }
        self.parameters.insert(properties.name.clone(), properties.value.clone());
        cx.meter.call("ssm", "PutParameter", Outcome::Ok);
        Ok(Provisioned::new(properties.name).attribute("Type", "String").attribute("Value", properties.value))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}
