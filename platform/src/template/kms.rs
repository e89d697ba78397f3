//! AWS KMS: customer-managed keys and their names.

use serde::Serialize;

use super::iam::PolicyDocument;
use super::{Expr, Handle, Resource, Tagging};

/// `AWS::KMS::Key`: symmetric, with key material of KMS that is replaced every year.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    description: &'static str,
    enable_key_rotation: bool,
    pending_window_in_days: u32,
    key_policy: PolicyDocument,
}

impl Key {
    /// A key. Once its deletion is asked for, it can be saved for `pending_days`, 7 to 30; what it encrypted is lost with
    /// it.
    pub fn rotating(description: &'static str, pending_days: u32, key_policy: PolicyDocument) -> Self {
        Key { description, enable_key_rotation: true, pending_window_in_days: pending_days, key_policy }
    }
}

impl Resource for Key {
    const TYPE: &'static str = "AWS::KMS::Key";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Key> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }

    /// Id.
    pub fn id(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::KMS::Alias`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alias {
    /// `alias/...`.
    pub alias_name: String,
    /// Id of the key.
    pub target_key_id: Expr,
}

impl Resource for Alias {
    const TYPE: &'static str = "AWS::KMS::Alias";
}
