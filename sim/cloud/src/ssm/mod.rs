//! AWS Systems Manager Parameter Store, as templates use it.
//!
//! Modelled: `AWS::SSM::Parameter` of type String, with the rules for names and values, and its resolution by
//! `{{resolve:ssm:name}}`. Refused: the JSON API, SecureString and labels. Source of the rules: "SSM Parameter
//! Store" of the AWS facts; the texts of errors, and the code where the facts give none, are unverified.

mod change;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// Most characters of a parameter's ARN, which bounds its name.
const ARN_CHARS_MAX: usize = 2048;

/// The parameters of the account.
#[derive(Debug, Default)]
pub struct Ssm {
    /// Values of all versions, the first first; never empty.
    parameters: BTreeMap<String, Vec<String>>,
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
        check_name(cx, &properties.name)?;
        check_value(cx, &properties.value)?;
        if self.parameters.contains_key(&properties.name) {
            return Err(AwsError::new(
                "ParameterAlreadyExists",
                format!("The parameter {} already exists.", properties.name),
            ));
        }
        self.parameters.insert(properties.name.clone(), vec![properties.value.clone()]);
        cx.meter.call("ssm", "PutParameter", Outcome::Ok);
        Ok(Provisioned::new(properties.name).attribute("Type", "String").attribute("Value", properties.value))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.last().map(String::as_str)
    }

    /// The value of a version of a parameter. Version 1 is what created it, and each change of the value adds one.
    pub fn get_version(&self, name: &str, version: u64) -> Option<&str> {
        let position = usize::try_from(version).ok()?.checked_sub(1)?;
        self.parameters.get(name)?.get(position).map(String::as_str)
    }
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

fn check_name(cx: &Cx<'_>, name: &str) -> Result<(), AwsError> {
    let path = name.strip_prefix('/').unwrap_or(name);
    let levels: Vec<&str> = path.split('/').collect();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if levels.iter().any(|level| level.is_empty() || !level.bytes().all(allowed)) {
        return Err(validation(format!(
            "Parameter name: {name:?} must be made of letters, digits and _.-, in levels that are divided by slashes"
        )));
    }
    if levels.len() > 1 && !name.starts_with('/') {
        return Err(validation(format!("Parameter name must be a fully qualified name: {name} begins with no slash")));
    }
    let first = levels[0].to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(validation(format!(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive): {name}"
        )));
    }
    let levels_max = cx.limits.get("ssm", "hierarchy_levels");
    if levels.len() as u64 > levels_max {
        let message = format!("Parameter name: {name} has more than {levels_max} levels");
        return Err(AwsError::new("HierarchyLevelLimitExceededException", message));
    }
    if cx.account.arn("ssm", &format!("parameter/{path}")).len() > ARN_CHARS_MAX {
        return Err(validation(format!("Parameter name: the ARN of {name} is longer than {ARN_CHARS_MAX} characters")));
    }
    Ok(())
}

fn check_value(cx: &Cx<'_>, value: &str) -> Result<(), AwsError> {
    let bytes_max = cx.limits.get("ssm", "value_standard");
    if value.is_empty() || value.len() as u64 > bytes_max {
        return Err(validation(format!("Standard tier parameters hold a value of 1 to {bytes_max} bytes")));
    }
    if value.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}")) {
        return Err(validation("Parameter value can't nest another parameter: {{ }} is not allowed in it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::Principal;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::time::Time;
    use world::trace::Trace;

    fn create(ssm: &mut Ssm, name: &str, value: &str) -> Result<Provisioned, AwsError> {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let resource = Resource {
            stack: "stack".to_owned(),
            logical_id: "Parameter".to_owned(),
            kind: "AWS::SSM::Parameter".to_owned(),
            properties: json!({"Name": name, "Type": "String", "Value": value}),
        };
        ssm.provision(&mut parts.cx(Time::EPOCH, &caller), &resource)
    }

    #[test]
    fn a_parameter_is_kept_once() {
        let mut ssm = Ssm::default();
        let (deepest, longest) = ("/l".repeat(15), "v".repeat(4096));
        for (name, value) in [
            ("plain", "{\"a\":{\"b\":1}}"),
            (
                "/iot-platform/sim/eu-west-1/streaming/raw-stream-arn",
                "arn:aws:kinesis:eu-west-1:123456789012:stream/raw",
            ),
            (deepest.as_str(), longest.as_str()),
        ] {
            create(&mut ssm, name, value).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(ssm.get(name), Some(value));
            assert_eq!(create(&mut ssm, name, value).map_err(|error| error.code), Err("ParameterAlreadyExists"));
        }
    }

    #[test]
    fn names_and_values_against_the_rules_are_refused() {
        let (deep, long_name, long) = ("/l".repeat(16), format!("/{}", "n".repeat(2_010)), "v".repeat(4_097));
        let validation = "ValidationException";
        for (name, value, code, expected) in [
            ("", "v", validation, "must be made of"),
            ("/a//b", "v", validation, "must be made of"),
            ("/a b", "v", validation, "must be made of"),
            ("a/b", "v", validation, "fully qualified"),
            ("/AWS/x", "v", validation, "can't be prefixed"),
            ("ssm-x", "v", validation, "can't be prefixed"),
            (deep.as_str(), "v", "HierarchyLevelLimitExceededException", "more than 15 levels"),
            (long_name.as_str(), "v", validation, "longer than 2048 characters"),
            ("/a", "", validation, "1 to 4096 bytes"),
            ("/a", long.as_str(), validation, "1 to 4096 bytes"),
            ("/a", "{{resolve:ssm:/b}}", validation, "can't nest"),
        ] {
            let error = create(&mut Ssm::default(), name, value).expect_err(expected);
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(expected), "{error}");
        }
    }
}
