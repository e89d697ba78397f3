//! `AWS::S3::Bucket` and `AWS::S3::BucketPolicy`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::errors::no_such_bucket;
use super::store::{Encryption, Store};
use crate::core::policy::{Document, Purpose};
use crate::core::{AwsError, Cx, Provisioned, Resource};

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
    #[serde(default)]
    versioning_configuration: Option<Versioning>,
    #[serde(default)]
    lifecycle_configuration: Option<Lifecycle>,
    #[serde(default)]
    logging_configuration: Option<Logging>,
    #[serde(default)]
    object_lock_enabled: Option<bool>,
    #[serde(default)]
    object_lock_configuration: Option<ObjectLock>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Versioning {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Lifecycle {
    rules: Vec<LifecycleRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct LifecycleRule {
    #[serde(default, rename = "Id")]
    _id: Option<String>,
    status: String,
    #[serde(default, rename = "Prefix")]
    _prefix: Option<String>,
    #[serde(default)]
    expiration_in_days: Option<u64>,
    #[serde(default)]
    noncurrent_version_expiration: Option<NoncurrentVersions>,
    #[serde(default)]
    abort_incomplete_multipart_upload: Option<IncompleteUploads>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NoncurrentVersions {
    noncurrent_days: u64,
    #[serde(default, rename = "NewerNoncurrentVersions")]
    _newer_noncurrent_versions: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IncompleteUploads {
    days_after_initiation: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Logging {
    destination_bucket_name: Option<String>,
    #[serde(default, rename = "LogFilePrefix")]
    _log_file_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ObjectLock {
    object_lock_enabled: Option<String>,
    #[serde(default)]
    rule: Option<ObjectLockRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ObjectLockRule {
    default_retention: DefaultRetention,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DefaultRetention {
    mode: String,
    days: Option<u64>,
    years: Option<u64>,
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
    #[serde(default)]
    bucket_key_enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultEncryption {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: String,
    #[serde(default, rename = "KMSMasterKeyID")]
    key: Option<String>,
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyProperties {
    bucket: String,
    policy_document: Value,
}

impl BucketProperties {
    /// What the properties ask for and is not here, or not on AWS either.
    fn check(&self, store: &Store, resource: &Resource) -> Result<(), AwsError> {
        if let Some(controls) = &self.ownership_controls
            && let Some(rule) = controls.rules.iter().find(|rule| rule.object_ownership != "BucketOwnerEnforced")
        {
            let why = format!("ObjectOwnership {} is not modelled, only BucketOwnerEnforced", rule.object_ownership);
            return Err(resource.refuse(why));
        }
        let status = self.versioning_configuration.as_ref().map(|versioning| versioning.status.as_str());
        if let Some(other) = status.filter(|status| !["Enabled", "Suspended"].contains(status)) {
            return Err(resource.refuse(format!("VersioningConfiguration.Status {other} does not exist")));
        }
        self.lifecycle_configuration.iter().flat_map(|lifecycle| &lifecycle.rules).try_for_each(|rule| {
            rule.check().map_err(|why| AwsError::new("InvalidRequest", format!("{}: {why}", resource.logical_id)))
        })?;
        let target = self.logging_configuration.as_ref().and_then(|logging| logging.destination_bucket_name.as_ref());
        if let Some(target) = target.filter(|target| !store.buckets().contains_key(*target)) {
            let text = format!("The target bucket for logging does not exist: {target}");
            return Err(AwsError::new("InvalidTargetBucketForLogging", text));
        }
        self.check_lock().map_err(|why| resource.refuse(why))
    }

    fn check_lock(&self) -> Result<(), String> {
        let Some(lock) = &self.object_lock_configuration else { return Ok(()) };
        if lock.object_lock_enabled.as_deref() != Some("Enabled") || self.object_lock_enabled != Some(true) {
            return Err("an ObjectLockConfiguration needs ObjectLockEnabled, there and on the bucket".to_owned());
        }
        if self.versioning_configuration.as_ref().is_some_and(|versioning| versioning.status != "Enabled") {
            return Err("a bucket with object lock is versioned".to_owned());
        }
        let Some(ObjectLockRule { default_retention: retention }) = &lock.rule else { return Ok(()) };
        if !["COMPLIANCE", "GOVERNANCE"].contains(&retention.mode.as_str()) {
            return Err(format!("the lock mode {} does not exist", retention.mode));
        }
        match (retention.days, retention.years) {
            (Some(1..), None) | (None, Some(1..)) => Ok(()),
            _ => Err("a DefaultRetention has Days or Years".to_owned()),
        }
    }

    fn encryption(&self, resource: &Resource) -> Result<Option<Arc<Encryption>>, AwsError> {
        let Some(encryption) = &self.bucket_encryption else { return Ok(None) };
        let [rule] = &encryption.server_side_encryption_configuration[..] else {
            return Err(resource.refuse("ServerSideEncryptionConfiguration has exactly one rule"));
        };
        let by_default = &rule.server_side_encryption_by_default;
        match (by_default.algorithm.as_str(), &by_default.key) {
            ("AES256", None) => Ok(None),
            ("AES256", Some(_)) => {
                Err(AwsError::new("InvalidArgument", "a KMSMasterKeyID can only stand with the SSEAlgorithm aws:kms"))
            }
            ("aws:kms", key) => {
                let key = key.as_deref().unwrap_or("alias/aws/s3").into();
                Ok(Some(Arc::new(Encryption { key, bucket_key: rule.bucket_key_enabled })))
            }
            (other, _) => {
                Err(resource.refuse(format!("SSEAlgorithm {other} is not modelled, only AES256 and aws:kms")))
            }
        }
    }
}

impl LifecycleRule {
    fn check(&self) -> Result<(), &'static str> {
        let days = [
            self.expiration_in_days,
            self.noncurrent_version_expiration.as_ref().map(|versions| versions.noncurrent_days),
            self.abort_incomplete_multipart_upload.as_ref().map(|uploads| uploads.days_after_initiation),
        ];
        if !["Enabled", "Disabled"].contains(&self.status.as_str()) {
            return Err("a lifecycle rule is Enabled or Disabled");
        }
        if days.iter().all(Option::is_none) {
            return Err("at least one action needs to be specified in a lifecycle rule");
        }
        if days.contains(&Some(0)) { Err("days of a lifecycle rule are positive") } else { Ok(()) }
    }
}

/// Creates the bucket that `resource` declares.
pub(super) fn bucket(store: &mut Store, cx: &Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
    let properties: BucketProperties = resource.parse()?;
    let Some(name) = properties.bucket_name.clone() else {
        return Err(resource.refuse("a generated BucketName is not modelled: give one"));
    };
    properties.check(store, resource)?;
    let encryption = properties.encryption(resource)?;
    store.create_bucket(cx.now, &name, cx.limits)?;
    store.bucket(&name)?.encryption = encryption;
    Ok(described(cx, &name))
}

fn described(cx: &Cx<'_>, name: &str) -> Provisioned {
    let region = &cx.account.region;
    Provisioned::new(name)
        .attribute("Arn", format!("arn:aws:s3:::{name}"))
        .attribute("DomainName", format!("{name}.s3.amazonaws.com"))
        .attribute("RegionalDomainName", format!("{name}.s3.{region}.amazonaws.com"))
}

/// Changes a bucket. Objects that are there stay as they were encrypted.
pub(super) fn update_bucket(
    store: &mut Store,
    cx: &Cx<'_>,
    resource: &Resource,
    name: &str,
) -> Result<Provisioned, AwsError> {
    let properties: BucketProperties = resource.parse()?;
    properties.check(store, resource)?;
    let encryption = properties.encryption(resource)?;
    store.bucket(name)?.encryption = encryption;
    Ok(described(cx, name))
}

/// Writes the policy that `resource` declares. AWS gives no `Ref`; here it is the bucket's name. `is_new`: whether the
/// resource is created, which CloudFormation refuses when the bucket has a policy.
pub(super) fn bucket_policy(
    store: &mut Store,
    cx: &mut Cx<'_>,
    resource: &Resource,
    is_new: bool,
) -> Result<Provisioned, AwsError> {
    let properties: PolicyProperties = resource.parse()?;
    let malformed = |why: String| AwsError::new("MalformedPolicy", why);
    let document = Document::parse(&properties.policy_document, Purpose::Resource).map_err(malformed)?;
    if !about_bucket(&properties.policy_document, &properties.bucket) {
        return Err(malformed("Policy has invalid resource".to_owned()));
    }
    let bucket = store.bucket(&properties.bucket)?;
    if is_new && bucket.policy.is_some() {
        // Code of CloudFormation's handlers; the text is unverified.
        let message = format!("The bucket policy already exists on bucket {}.", properties.bucket);
        return Err(AwsError::new("AlreadyExists", message));
    }
    bucket.policy = Some(Arc::new(document));
    cx.access.changed();
    Ok(Provisioned::new(properties.bucket))
}

/// Takes a policy away.
pub(super) fn delete_policy(store: &mut Store, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), AwsError> {
    let properties: PolicyProperties = resource.parse()?;
    match store.bucket(&properties.bucket) {
        Ok(bucket) => bucket.policy = None,
        Err(error) if error.code == no_such_bucket("").code => {}
        Err(error) => return Err(error),
    }
    cx.access.changed();
    Ok(())
}

/// Whether every resource of a policy lies in the bucket.
fn about_bucket(policy: &Value, bucket: &str) -> bool {
    let own = format!("arn:aws:s3:::{bucket}");
    let statements: Vec<&Value> = match &policy["Statement"] {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    statements.iter().flat_map(|statement| [&statement["Resource"], &statement["NotResource"]]).all(|resources| {
        let texts: Vec<&Value> = match resources {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        let inside = |text: &str| text.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        texts.iter().all(|text| text.as_str().is_some_and(inside))
    })
}
