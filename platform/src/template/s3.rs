//! Amazon S3: buckets and their policies.

use serde::Serialize;

use super::iam::{PolicyDocument, Principal, Statement, deny};
use super::{Expr, Handle, Resource, Tagging};

/// `AWS::S3::Bucket`: encrypted, closed to the public, owned whole by the account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    bucket_name: Expr,
    bucket_encryption: BucketEncryption,
    public_access_block_configuration: PublicAccessBlock,
    ownership_controls: OwnershipControls,
    #[serde(skip_serializing_if = "Option::is_none")]
    versioning_configuration: Option<Versioning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_configuration: Option<Lifecycle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logging_configuration: Option<Logging>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_lock_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_lock_configuration: Option<ObjectLock>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BucketEncryption {
    server_side_encryption_configuration: [EncryptionRule; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionRule {
    server_side_encryption_by_default: DefaultEncryption,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket_key_enabled: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
struct DefaultEncryption {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: &'static str,
    #[serde(rename = "KMSMasterKeyID", skip_serializing_if = "Option::is_none")]
    key: Option<Expr>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PublicAccessBlock {
    block_public_acls: bool,
    block_public_policy: bool,
    ignore_public_acls: bool,
    restrict_public_buckets: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OwnershipControls {
    rules: [OwnershipRule; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OwnershipRule {
    object_ownership: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versioning {
    status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Lifecycle {
    rules: Vec<LifecycleRule>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Logging {
    destination_bucket_name: Expr,
    log_file_prefix: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectLock {
    object_lock_enabled: &'static str,
    rule: ObjectLockRule,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectLockRule {
    default_retention: DefaultRetention,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DefaultRetention {
    mode: LockMode,
    days: u32,
}

/// Who may shorten the retention of a locked object version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockMode {
    /// Who is granted `s3:BypassGovernanceRetention`.
    Governance,
    /// Nobody, the account's root included.
    Compliance,
}

/// A rule by which objects end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleRule {
    id: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_in_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noncurrent_version_expiration: Option<NoncurrentVersions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abort_incomplete_multipart_upload: Option<IncompleteUploads>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NoncurrentVersions {
    noncurrent_days: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IncompleteUploads {
    days_after_initiation: u32,
}

impl LifecycleRule {
    fn new(id: &'static str) -> Self {
        LifecycleRule {
            id,
            status: "Enabled",
            prefix: None,
            expiration_in_days: None,
            noncurrent_version_expiration: None,
            abort_incomplete_multipart_upload: None,
        }
    }

    /// Objects end after some days: in a versioned bucket their current version becomes a noncurrent one.
    pub fn expire(id: &'static str, days: u32) -> Self {
        LifecycleRule { expiration_in_days: Some(days), ..Self::new(id) }
    }

    /// Versions of objects that were replaced or deleted end after some days.
    pub fn expire_noncurrent(id: &'static str, days: u32) -> Self {
        let noncurrent_days = days;
        LifecycleRule { noncurrent_version_expiration: Some(NoncurrentVersions { noncurrent_days }), ..Self::new(id) }
    }

    /// Parts of uploads that nobody completed are removed after some days.
    pub fn abort_uploads(id: &'static str, days: u32) -> Self {
        let days_after_initiation = days;
        LifecycleRule {
            abort_incomplete_multipart_upload: Some(IncompleteUploads { days_after_initiation }),
            ..Self::new(id)
        }
    }

    /// This rule for the objects below a prefix only.
    #[must_use]
    pub fn below(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }
}

impl Bucket {
    /// A bucket that only the account's principals can use, encrypted by keys of S3.
    pub fn private(bucket_name: Expr) -> Self {
        Bucket {
            bucket_name,
            bucket_encryption: BucketEncryption {
                server_side_encryption_configuration: [EncryptionRule {
                    server_side_encryption_by_default: DefaultEncryption { algorithm: "AES256", key: None },
                    bucket_key_enabled: None,
                }],
            },
            public_access_block_configuration: PublicAccessBlock {
                block_public_acls: true,
                block_public_policy: true,
                ignore_public_acls: true,
                restrict_public_buckets: true,
            },
            ownership_controls: OwnershipControls {
                rules: [OwnershipRule { object_ownership: "BucketOwnerEnforced" }],
            },
            versioning_configuration: None,
            lifecycle_configuration: None,
            logging_configuration: None,
            object_lock_enabled: None,
            object_lock_configuration: None,
        }
    }

    /// This bucket, encrypted by the KMS key with the ARN `key`, by way of a bucket key: one call of KMS serves many
    /// objects.
    #[must_use]
    pub fn encrypted_by(mut self, key: Expr) -> Self {
        self.bucket_encryption.server_side_encryption_configuration = [EncryptionRule {
            server_side_encryption_by_default: DefaultEncryption { algorithm: "aws:kms", key: Some(key) },
            bucket_key_enabled: Some(true),
        }];
        self
    }

    /// This bucket, keeping the versions of objects that are replaced or deleted.
    #[must_use]
    pub fn versioned(mut self) -> Self {
        self.versioning_configuration = Some(Versioning { status: "Enabled" });
        self
    }

    /// This bucket, whose objects end by these rules.
    #[must_use]
    pub fn with_lifecycle(mut self, rules: impl IntoIterator<Item = LifecycleRule>) -> Self {
        self.lifecycle_configuration = Some(Lifecycle { rules: rules.into_iter().collect() });
        self
    }

    /// This bucket, each access of which is logged into another bucket below a prefix that ends with a slash.
    #[must_use]
    pub fn logging_to(mut self, bucket_name: Expr, prefix: impl Into<String>) -> Self {
        self.logging_configuration =
            Some(Logging { destination_bucket_name: bucket_name, log_file_prefix: prefix.into() });
        self
    }

    /// This bucket, whose object versions cannot be deleted for some days. A locked bucket is versioned.
    #[must_use]
    pub fn locked(self, mode: LockMode, days: u32) -> Self {
        let mut bucket = self.versioned();
        bucket.object_lock_enabled = Some(true);
        bucket.object_lock_configuration = Some(ObjectLock {
            object_lock_enabled: "Enabled",
            rule: ObjectLockRule { default_retention: DefaultRetention { mode, days } },
        });
        bucket
    }
}

impl Resource for Bucket {
    const TYPE: &'static str = "AWS::S3::Bucket";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Bucket> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }

    /// ARN of all objects.
    pub fn objects(&self) -> Expr {
        self.arn().then("/*")
    }
}

/// `AWS::S3::BucketPolicy`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BucketPolicy {
    bucket: Expr,
    policy_document: PolicyDocument,
}

impl BucketPolicy {
    /// Denies every request that is not encrypted in transit, and says what the further statements say.
    pub fn tls_only(bucket: &Handle<Bucket>, further: impl IntoIterator<Item = Statement>) -> Self {
        let tls = deny(["s3:*"], [bucket.arn(), bucket.objects()])
            .named("DenyUnencryptedTransport")
            .to(Principal::Anyone)
            .when("Bool", "aws:SecureTransport", "false");
        let statements = std::iter::once(tls).chain(further).collect();
        BucketPolicy { bucket: bucket.name(), policy_document: PolicyDocument::new(statements) }
    }
}

impl Resource for BucketPolicy {
    const TYPE: &'static str = "AWS::S3::BucketPolicy";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bucket_is_encrypted_by_s3_until_it_is_given_a_key() {
        let plain = serde_json::to_value(Bucket::private("b".into())).unwrap();
        let by_default = &plain["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        assert_eq!(by_default, &json!({"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}));
        assert_eq!(plain.as_object().unwrap().len(), 4, "{plain}");
        let keyed = serde_json::to_value(Bucket::private("b".into()).encrypted_by("key".into())).unwrap();
        let by_default = &keyed["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        let expected = json!({
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key"},
            "BucketKeyEnabled": true,
        });
        assert_eq!(by_default, &expected);
    }

    #[test]
    fn a_locked_bucket_is_versioned_and_its_rules_say_what_ends_when() {
        let bucket = Bucket::private("b".into())
            .locked(LockMode::Governance, 365)
            .logging_to("logs".into(), "b/")
            .with_lifecycle([
                LifecycleRule::expire("end", 400).below("raw/"),
                LifecycleRule::expire_noncurrent("old", 30),
                LifecycleRule::abort_uploads("uploads", 7),
            ]);
        let bucket = serde_json::to_value(bucket).unwrap();
        let lock = json!({
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 365}},
        });
        let rules = json!([
            {"Id": "end", "Status": "Enabled", "Prefix": "raw/", "ExpirationInDays": 400},
            {"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
            {"Id": "uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        ]);
        let logging = json!({"DestinationBucketName": "logs", "LogFilePrefix": "b/"});
        for (member, expected) in [
            ("ObjectLockEnabled", json!(true)),
            ("ObjectLockConfiguration", lock),
            ("VersioningConfiguration", json!({"Status": "Enabled"})),
            ("LoggingConfiguration", logging),
            ("LifecycleConfiguration", json!({ "Rules": rules })),
        ] {
            assert_eq!(bucket[member], expected, "{member}");
        }
    }
}
