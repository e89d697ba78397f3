//! `AWS::S3::Bucket`.

use serde::Deserialize;
use serde_json::Value;

use super::store::Store;
use crate::cloud::core::{AwsError, Cx, Provisioned, Resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BucketProperties {
    bucket_name: Option<String>,
    #[serde(default)]
    bucket_encryption: Option<BucketEncryption>,
    #[serde(default)]
    ownership_controls: Option<OwnershipControls>,
    #[serde(default, rename = "PublicAccessBlockConfiguration")]
    _public_access_block: Option<PublicAccessBlock>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BucketEncryption {
    server_side_encryption_configuration: Vec<EncryptionRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EncryptionRule {
    server_side_encryption_by_default: DefaultEncryption,
    #[serde(default, rename = "BucketKeyEnabled")]
    _bucket_key_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultEncryption {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OwnershipControls {
    rules: Vec<OwnershipRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OwnershipRule {
    object_ownership: String,
}

/// Accepted with any value: nobody outside the account can reach a bucket here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PublicAccessBlock {
    #[serde(default, rename = "BlockPublicAcls")]
    _block_public_acls: bool,
    #[serde(default, rename = "BlockPublicPolicy")]
    _block_public_policy: bool,
    #[serde(default, rename = "IgnorePublicAcls")]
    _ignore_public_acls: bool,
    #[serde(default, rename = "RestrictPublicBuckets")]
    _restrict_public_buckets: bool,
}

/// Creates the bucket that `resource` declares.
pub(super) fn bucket(store: &mut Store, cx: &Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
    if resource.kind != "AWS::S3::Bucket" {
        return Err(resource.refuse("this resource type is not modelled"));
    }
    let properties: BucketProperties = resource.parse()?;
    let Some(name) = properties.bucket_name else {
        return Err(resource.refuse("a generated BucketName is not modelled: give one"));
    };
    if let Some(encryption) = properties.bucket_encryption {
        let [rule] = &encryption.server_side_encryption_configuration[..] else {
            return Err(resource.refuse("ServerSideEncryptionConfiguration has exactly one rule"));
        };
        let algorithm = &rule.server_side_encryption_by_default.algorithm;
        if algorithm != "AES256" {
            return Err(resource.refuse(format!("SSEAlgorithm {algorithm} is not modelled, only AES256")));
        }
    }
    if let Some(controls) = properties.ownership_controls
        && let Some(rule) = controls.rules.iter().find(|rule| rule.object_ownership != "BucketOwnerEnforced")
    {
        let why = format!("ObjectOwnership {} is not modelled, only BucketOwnerEnforced", rule.object_ownership);
        return Err(resource.refuse(why));
    }
    store.create_bucket(cx.now, &name, cx.limits)?;
    let region = &cx.account.region;
    Ok(Provisioned::new(name.clone())
        .attribute("Arn", format!("arn:aws:s3:::{name}"))
        .attribute("DomainName", format!("{name}.s3.amazonaws.com"))
        .attribute("RegionalDomainName", format!("{name}.s3.{region}.amazonaws.com")))
}
