//! AWS Systems Manager parameters: how stacks refer to one another.

use serde::Serialize;

use super::{Expr, Resource, Tagging};

/// A value that one stack publishes and later stacks read, by the path of its parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    path: String,
}

impl Published {
    /// The value at `path`, such as `/iot-platform/dev/eu-west-1/streaming/raw-stream-arn`.
    pub fn new(path: String) -> Self {
        Published { path }
    }

    /// Path of the parameter.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value, resolved when the reading stack is deployed.
    pub fn read(&self) -> Expr {
        Expr::ssm(&self.path)
    }

    /// `.../raw-stream-arn` is declared as `RawStreamArnParameter`.
    pub(super) fn logical_id(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        let mut id: String = name
            .split('-')
            .flat_map(|word| word.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }))
            .collect();
        id.push_str("Parameter");
        id
    }
}

/// `AWS::SSM::Parameter`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    name: String,
    r#type: &'static str,
    value: Expr,
    description: String,
}

impl Parameter {
    pub(super) fn new(published: &Published, description: &str, value: Expr) -> Self {
        Parameter { name: published.path.clone(), r#type: "String", value, description: description.to_owned() }
    }
}

impl Resource for Parameter {
    const TYPE: &'static str = "AWS::SSM::Parameter";
    const TAGS: Tagging = Tagging::Map;
}
