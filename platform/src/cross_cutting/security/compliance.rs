//! Compliance rules: AWS Config compares what is there with what the templates promise.
//!
//! They are off by default, because they say nothing without the account's configuration recorder. An account has one
//! recorder in a Region, so it belongs to whoever governs the account.

use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::config::ConfigRule;
use crate::template::{TAG_ENVIRONMENT, Template};

/// Rules that look at one resource at a time: those with the environment's tag. Logical id, name, AWS's identifier, what
/// it says.
const OF_RESOURCES: [(&str, &str, &str, &str); 6] = [
    ("BucketsReadable", "s3-no-public-read", "S3_BUCKET_PUBLIC_READ_PROHIBITED", "No bucket can be read by the public"),
    (
        "BucketsWritable",
        "s3-no-public-write",
        "S3_BUCKET_PUBLIC_WRITE_PROHIBITED",
        "No bucket can be written by the public",
    ),
    ("BucketsEncrypted", "s3-encrypted", "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED", "Buckets encrypt what they hold"),
    ("BucketsOverTls", "s3-tls-only", "S3_BUCKET_SSL_REQUESTS_ONLY", "Buckets deny requests without TLS"),
    ("StreamsEncrypted", "kinesis-encrypted", "KINESIS_STREAM_ENCRYPTED", "Streams encrypt their records"),
    (
        "FunctionsPrivate",
        "lambda-not-public",
        "LAMBDA_FUNCTION_PUBLIC_ACCESS_PROHIBITED",
        "No function can be invoked by the public",
    ),
];

/// Rules that look at the account as a whole, now and then. They take no tag as their scope.
const OF_THE_ACCOUNT: [(&str, &str, &str, &str); 5] = [
    ("LogGroupsEncrypted", "logs-encrypted", "CLOUDWATCH_LOG_GROUP_ENCRYPTED", "Log groups encrypt their events"),
    ("KeysRotate", "kms-rotation", "CMK_BACKING_KEY_ROTATION_ENABLED", "Customer-managed keys are rotated"),
    ("TrailRecords", "cloudtrail-enabled", "CLOUD_TRAIL_ENABLED", "A trail records what is done in the account"),
    (
        "TrailValidates",
        "cloudtrail-validated",
        "CLOUD_TRAIL_LOG_FILE_VALIDATION_ENABLED",
        "Trails write digests of their files",
    ),
    (
        "NoAdministrators",
        "iam-no-admin",
        "IAM_POLICY_NO_STATEMENTS_WITH_ADMIN_ACCESS",
        "No policy allows everything on everything",
    ),
];

/// Adds the rules.
pub(super) fn add_rules(template: &mut Template, settings: &Settings) {
    let naming = Naming::new(settings);
    for (logical_id, name, identifier, description) in OF_RESOURCES {
        let rule = ConfigRule::managed(naming.name(name), description, identifier);
        template.add(logical_id, rule.tagged(TAG_ENVIRONMENT, settings.env.clone()));
    }
    for (logical_id, name, identifier, description) in OF_THE_ACCOUNT {
        template.add(logical_id, ConfigRule::managed(naming.name(name), description, identifier));
    }
}
