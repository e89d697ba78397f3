//! Amazon DynamoDB.

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// `AWS::DynamoDB::Table`, paid by request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    table_name: String,
    billing_mode: &'static str,
    attribute_definitions: [AttributeDefinition; 1],
    key_schema: [KeyElement; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: &'static str,
    attribute_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: &'static str,
    key_type: &'static str,
}

impl Table {
    /// A table whose items are found by one text.
    pub fn keyed_by(table_name: String, attribute_name: &'static str) -> Self {
        Table {
            table_name,
            billing_mode: "PAY_PER_REQUEST",
            attribute_definitions: [AttributeDefinition { attribute_name, attribute_type: "S" }],
            key_schema: [KeyElement { attribute_name, key_type: "HASH" }],
        }
    }
}

impl Resource for Table {
    const TYPE: &'static str = "AWS::DynamoDB::Table";
}

impl Handle<Table> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}
