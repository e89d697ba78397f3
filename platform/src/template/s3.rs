//! Amazon S3.

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// `AWS::S3::Bucket`: encrypted, closed to the public, owned whole by the account.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    bucket_name: Expr,
    bucket_encryption: BucketEncryption,
    public_access_block_configuration: PublicAccessBlock,
    ownership_controls: OwnershipControls,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BucketEncryption {
    server_side_encryption_configuration: [EncryptionRule; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionRule {
    server_side_encryption_by_default: DefaultEncryption,
}

#[derive(Debug, Serialize)]
struct DefaultEncryption {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PublicAccessBlock {
    block_public_acls: bool,
    block_public_policy: bool,
    ignore_public_acls: bool,
    restrict_public_buckets: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OwnershipControls {
    rules: [OwnershipRule; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OwnershipRule {
    object_ownership: &'static str,
}

impl Bucket {
    /// A bucket that only the account's principals can use.
    pub fn private(bucket_name: Expr) -> Self {
        let by_default = DefaultEncryption { algorithm: "AES256" };
        Bucket {
            bucket_name,
            bucket_encryption: BucketEncryption {
                server_side_encryption_configuration: [EncryptionRule {
                    server_side_encryption_by_default: by_default,
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
        }
    }
}

impl Resource for Bucket {
    const TYPE: &'static str = "AWS::S3::Bucket";
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
}
