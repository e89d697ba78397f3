//! Amazon DynamoDB.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::DynamoDB::Table`, paid by request and encrypted by a customer-managed key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    table_name: String,
    billing_mode: &'static str,
    attribute_definitions: [AttributeDefinition; 1],
    key_schema: [KeyElement; 1],
    #[serde(rename = "SSESpecification")]
    encryption: Encryption,
    point_in_time_recovery_specification: PointInTimeRecovery,
    deletion_protection_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: &'static str,
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct Encryption {
    #[serde(rename = "SSEEnabled")]
    enabled: bool,
    #[serde(rename = "SSEType")]
    kind: &'static str,
    #[serde(rename = "KMSMasterKeyId")]
    key: Expr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PointInTimeRecovery {
    point_in_time_recovery_enabled: bool,
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
    /// A table whose items are found by one text, encrypted by the key with the ARN `key`.
    pub fn keyed_by(table_name: String, attribute_name: &'static str, key: Expr) -> Self {
        Table {
            table_name,
            billing_mode: "PAY_PER_REQUEST",
            attribute_definitions: [AttributeDefinition { attribute_name, attribute_type: "S" }],
            key_schema: [KeyElement { attribute_name, key_type: "HASH" }],
            encryption: Encryption { enabled: true, kind: "KMS", key },
            point_in_time_recovery_specification: PointInTimeRecovery { point_in_time_recovery_enabled: false },
            deletion_protection_enabled: false,
            time_to_live_specification: None,
        }
    }

    /// This table, whose items are removed after the time in an attribute: seconds since the Unix epoch.
    #[must_use]
    pub fn expiring_by(mut self, attribute_name: &'static str) -> Self {
        self.time_to_live_specification = Some(TimeToLive { attribute_name, enabled: true });
        self
    }

    /// This table, safe from mistakes when `yes`: it cannot be deleted, and every second of the last 35 days can be
    /// restored.
    #[must_use]
    pub fn protected(mut self, yes: bool) -> Self {
        self.point_in_time_recovery_specification.point_in_time_recovery_enabled = yes;
        self.deletion_protection_enabled = yes;
        self
    }
}

impl Resource for Table {
    const TYPE: &'static str = "AWS::DynamoDB::Table";
    const TAGS: Tagging = Tagging::List;
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
