//! The bucket of access logs, the audit bucket, and the bucket of what rules could not hand over.

use super::trail;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Principal, Statement, allow};
use crate::template::s3::{Bucket, BucketPolicy, LifecycleRule, LockMode};
use crate::template::{Expr, Handle, Judge, Retention, Template};

/// How long parts of uploads that nobody completed are kept.
const INCOMPLETE_UPLOAD_DAYS: u32 = 7;
/// How long the former version of an object can be brought back.
const NONCURRENT_DAYS: u32 = 30;

/// Adds the bucket that takes the access logs of all other buckets.
pub(super) fn add_access_logs(template: &mut Template, settings: &Settings) -> Handle<Bucket> {
    let naming = Naming::new(settings);
    // Encrypted by S3: logs are not delivered to a bucket whose default encryption is KMS (S3 guide, "Enabling Amazon S3
    // server access logging").
    let bucket = Bucket::private(naming.bucket("access")).versioned().with_lifecycle([
        LifecycleRule::expire("access-logs", settings.retention.audit_days),
        LifecycleRule::expire_noncurrent("replaced", NONCURRENT_DAYS),
        LifecycleRule::abort_uploads("incomplete", INCOMPLETE_UPLOAD_DAYS),
    ]);
    let bucket = template.add_data("AccessLogsBucket", bucket);
    let reason = "It takes the access logs of all buckets; its own would be logged again with every delivery";
    template.explain(&bucket, Judge::Checkov, "CKV_AWS_18", reason);
    // S3 guide, "Permissions for log delivery".
    let delivery = allow(["s3:PutObject"], [bucket.objects()])
        .named("AccessLogDelivery")
        .to(Principal::service("logging.s3.amazonaws.com"))
        .when("StringEquals", "aws:SourceAccount", Expr::account_id())
        .when("ArnLike", "aws:SourceArn", Expr::s3_arn(naming.name("*")));
    // A bucket that outlives its stack keeps its policy, and access logs come as long as it has one.
    template.add_data("AccessLogsPolicy", BucketPolicy::tls_only(&bucket, [delivery]));
    bucket
}

/// Adds the bucket of audit records with its policy, and answers both.
pub(super) fn add_audit(
    template: &mut Template,
    settings: &Settings,
    key: Expr,
    access_logs: &Handle<Bucket>,
) -> (Handle<Bucket>, Handle<BucketPolicy>) {
    let naming = Naming::new(settings);
    let days = settings.retention.audit_days;
    let bucket = Bucket::private(naming.bucket("audit"))
        .encrypted_by(key)
        .logging_to(access_logs.name(), "audit/")
        .with_lifecycle([
            // A lock holds an object for as many days: it ends after that.
            LifecycleRule::expire("audit", days + 1),
            LifecycleRule::expire_noncurrent("replaced", NONCURRENT_DAYS),
            LifecycleRule::abort_uploads("incomplete", INCOMPLETE_UPLOAD_DAYS),
        ]);
    let bucket = match settings.retention() {
        Retention::Retain => bucket.locked(LockMode::Governance, days),
        // Where data goes with its stack, a lock would keep the bucket from being emptied.
        Retention::Delete => bucket.versioned(),
    };
    let bucket = template.add_data("AuditBucket", bucket);
    let policy = BucketPolicy::tls_only(&bucket, trail_delivery(naming, &bucket));
    let policy = template.add_data("AuditPolicy", policy);
    (bucket, policy)
}

/// Adds the bucket that takes what the actions of rules could not hand over. It is there before any rule, and its key is not
/// the one of streams and data: whatever keeps a rule from its stream must not keep it from here, because a message whose
/// error action fails, too, is gone.
pub(super) fn add_rule_errors(
    template: &mut Template,
    settings: &Settings,
    key: Expr,
    access_logs: &Handle<Bucket>,
) -> Handle<Bucket> {
    let bucket = Bucket::private(Naming::new(settings).bucket("errors"))
        .encrypted_by(key)
        .logging_to(access_logs.name(), "rule-errors/")
        .versioned()
        .with_lifecycle([
            LifecycleRule::expire("rule-errors", settings.retention.raw_days),
            LifecycleRule::expire_noncurrent("replaced", NONCURRENT_DAYS),
            LifecycleRule::abort_uploads("incomplete", INCOMPLETE_UPLOAD_DAYS),
        ]);
    let bucket = template.add_data("RuleErrorsBucket", bucket);
    template.add_data("RuleErrorsPolicy", BucketPolicy::tls_only(&bucket, []));
    bucket
}

/// What CloudTrail needs (CloudTrail guide, "Amazon S3 bucket policy for CloudTrail"), for the platform's trail only.
fn trail_delivery(naming: Naming<'_>, bucket: &Handle<Bucket>) -> [Statement; 2] {
    let cloudtrail = || Principal::service("cloudtrail.amazonaws.com");
    let arn = trail::trail_arn(naming);
    let files = Expr::concat([bucket.arn(), "/AWSLogs/".into(), Expr::account_id(), "/*".into()]);
    [
        allow(["s3:GetBucketAcl"], [bucket.arn()]).named("TrailLooks").to(cloudtrail()).when(
            "StringEquals",
            "aws:SourceArn",
            arn.clone(),
        ),
        allow(["s3:PutObject"], [files])
            .named("TrailWrites")
            .to(cloudtrail())
            .when("StringEquals", "s3:x-amz-acl", "bucket-owner-full-control")
            .when("StringEquals", "aws:SourceArn", arn),
    ]
}
