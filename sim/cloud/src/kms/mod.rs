//! AWS KMS: customer-managed keys and aliases, and who may use them.
//!
//! Modelled: `AWS::KMS::Key` (symmetric, for encryption, material from KMS) and `AWS::KMS::Alias`, each created, changed and
//! deleted; key policies, evaluated with the policies of the caller; `DescribeKey`, `EnableKey`, `DisableKey`,
//! `ScheduleKeyDeletion`, `CancelKeyDeletion`, `GetKeyPolicy`, `PutKeyPolicy`, `GetKeyRotationStatus`, `ListAliases`,
//! `ListKeys`; the waiting time of a deletion. Uses by other services go through `Cx::use_key`, which counts the calls that
//! they make of KMS.
//!
//! Partly modelled: nothing is encrypted, a key decides only who may read and write; rotation is kept and never happens;
//! request rates are not enforced; a deletion by CloudFormation schedules the key's, as on AWS.
//!
//! Refused, by name: every other operation, `Encrypt`, `Decrypt` and `GenerateDataKey` of callers among them; grants;
//! asymmetric, HMAC and multi-Region keys; imported material; custom key stores. Most texts are unverified.

mod api;
mod change;
mod provision;
#[cfg(test)]
mod tests;

use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// AWS KMS. The keys lie in `Cx::access`, where every service asks for them.
#[derive(Debug, Default)]
pub struct Kms;

impl Kms {
    /// Creates a resource. `Ref` of a key is its id (attributes `Arn`, `KeyId`), that of an alias its name.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::KMS::Key" => ("CreateKey", provision::create_key(cx, resource)?),
            "AWS::KMS::Alias" => ("CreateAlias", provision::create_alias(cx, resource)?),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("kms", operation, Outcome::Ok);
        Ok(provisioned)
    }
}
