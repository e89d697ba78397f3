//! Buckets of data.

use super::data_key;
use crate::cross_cutting::logging;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::s3::{Bucket, BucketPolicy, LifecycleRule};
use crate::template::{Expr, Handle, Judge, Template};

/// A bucket of data to declare.
#[derive(Debug)]
pub(crate) struct DataBucket {
    /// Logical id.
    pub id: &'static str,
    /// Name.
    pub name: Expr,
    /// Its access log lies below `{what}/`.
    pub what: &'static str,
    /// How its objects end.
    pub lifecycle: Vec<LifecycleRule>,
    /// Why it keeps no versions, when it keeps none.
    pub unversioned: Option<&'static str>,
}

/// How long a version of an object is kept that was replaced or deleted.
const NONCURRENT_DAYS: u32 = 7;
/// How long parts of an upload are kept that nobody completed.
const UPLOAD_DAYS: u32 = 7;

/// Parts of uploads that nobody completed end.
fn abort_uploads() -> LifecycleRule {
    LifecycleRule::abort_uploads("abort-incomplete-uploads", UPLOAD_DAYS)
}

/// Adds a bucket that is encrypted by the key of data, reached over TLS only, and whose accesses are logged.
pub(crate) fn add_bucket(template: &mut Template, settings: &Settings, declared: DataBucket) -> Handle<Bucket> {
    let naming = Naming::new(settings);
    let DataBucket { id, name, what, mut lifecycle, unversioned } = declared;
    let access_logs = logging::Outputs::new(naming).access_logs_bucket_name;
    let mut bucket =
        Bucket::private(name).encrypted_by(data_key(naming)).logging_to(access_logs.read(), format!("{what}/"));
    lifecycle.push(abort_uploads());
    if unversioned.is_none() {
        lifecycle.push(LifecycleRule::expire_noncurrent("end-old-versions", NONCURRENT_DAYS));
        bucket = bucket.versioned();
    }
    let handle = template.add_data(id, bucket.with_lifecycle(lifecycle));
    if let Some(reason) = unversioned {
        template.explain(&handle, Judge::Checkov, "CKV_AWS_21", reason);
    }
    // A bucket that outlives its stack keeps its policy: without it, it could be read without TLS.
    template.add_data(&format!("{id}Policy"), BucketPolicy::tls_only(&handle, []));
    handle
}
