//! The bucket of packages: private, versioned, by TLS only. No template has it, because templates need what it holds.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    VersioningConfiguration,
};
use serde_json::json;

use super::artifact;
use super::aws::Aws;
use super::error::{CallError, CallErrorKind};

/// Makes the bucket unless it is there, and sets what it lacks: a run that was interrupted may have left it half-made.
/// Answers whether it was made, and which settings of a bucket that was there the caller may not look at or change.
pub(super) async fn complete(aws: &Aws, bucket: &str, owner: &str) -> Result<(bool, Vec<String>), CallError> {
    let made = match aws.s3.head_bucket().bucket(bucket).expected_bucket_owner(owner).send().await {
        Ok(_) => false,
        Err(error) if artifact::is_missing(&error) => make(aws, bucket).await?,
        Err(error) => return Err(CallError::of(format!("looking for the bucket {bucket}"), &error)),
    };
    let mut not_checked = Vec::new();
    for set in [
        make_private(aws, bucket, owner).await,
        make_versioned(aws, bucket, owner).await,
        // The policy comes last: from then on, it binds this caller too.
        refuse_plain_text(aws, bucket, owner, made).await,
    ] {
        match set {
            // Whoever may only upload, as a pipeline, does so into a bucket that others look after.
            Err(error) if !made && error.kind == CallErrorKind::Denied => not_checked.push(error.what()),
            other => other?,
        }
    }
    Ok((made, not_checked))
}

/// Answers whether it was made: another run may have been first.
async fn make(aws: &Aws, bucket: &str) -> Result<bool, CallError> {
    // S3 takes every Region but the first as a constraint.
    let elsewhere = (aws.region != "us-east-1").then(|| {
        let constraint = BucketLocationConstraint::from(aws.region.as_str());
        CreateBucketConfiguration::builder().location_constraint(constraint).build()
    });
    match aws.s3.create_bucket().bucket(bucket).set_create_bucket_configuration(elsewhere).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(false),
        Err(error) => Err(CallError::of(format!("making the bucket {bucket}"), &error)),
    }
}

async fn make_private(aws: &Aws, bucket: &str, owner: &str) -> Result<(), CallError> {
    let private = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let call = aws.s3.put_public_access_block().bucket(bucket).expected_bucket_owner(owner);
    let set = call.public_access_block_configuration(private).send().await;
    set.map_err(|error| CallError::of(format!("making the bucket {bucket} private"), &error))?;
    Ok(())
}

async fn make_versioned(aws: &Aws, bucket: &str, owner: &str) -> Result<(), CallError> {
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let call = aws.s3.put_bucket_versioning().bucket(bucket).expected_bucket_owner(owner);
    let set = call.versioning_configuration(versioned).send().await;
    set.map_err(|error| CallError::of(format!("turning on the versions of the bucket {bucket}"), &error))?;
    Ok(())
}

/// Gives the bucket its policy, unless it has one: that may have been extended since.
async fn refuse_plain_text(aws: &Aws, bucket: &str, owner: &str, made: bool) -> Result<(), CallError> {
    if !made {
        match aws.s3.get_bucket_policy().bucket(bucket).expected_bucket_owner(owner).send().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => {}
            Err(error) => return Err(CallError::of(format!("reading the policy of the bucket {bucket}"), &error)),
        }
    }
    let policy = tls_only(bucket, &aws.region);
    let set = aws.s3.put_bucket_policy().bucket(bucket).expected_bucket_owner(owner).policy(policy).send().await;
    set.map_err(|error| CallError::of(format!("setting the policy of the bucket {bucket}"), &error))?;
    Ok(())
}

fn tls_only(bucket: &str, region: &str) -> String {
    let arn = format!("arn:{}:s3:::{bucket}", artifact::partition(region));
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })
    .to_string()
}
