//! Amazon S3, general purpose buckets. The wire protocol (REST-XML, Signature Version 4, aws-chunked bodies, virtual
//! hosts) is spoken by the `s3s` crate; this service is the store behind it.
//!
//! Modelled: `ListBuckets`, `HeadBucket`, `GetBucketLocation`, `PutObject` and `CopyObject` (with `If-Match` and
//! `If-None-Match: *`), `GetObject` and `HeadObject` (ranges, all four conditions), `DeleteObject`, `DeleteObjects`,
//! `ListObjectsV2`; user metadata; `Content-MD5` and `x-amz-checksum-*` in headers and trailers, verified and given back;
//! strong consistency; copies that rot, which are found by their checksum and never served (`rot`); `AWS::S3::Bucket` and `AWS::S3::BucketPolicy`, created, changed and deleted; permissions of each
//! operation by the policies of the caller and of the bucket, with `s3:prefix`, `s3:delimiter`, `s3:max-keys`,
//! `s3:if-match` and `s3:if-none-match`; the use of a bucket's KMS key by whoever reads and writes; limits of size, key,
//! metadata, pages, buckets and of requests a prefix.
//!
//! Partly modelled: request rates (a partition is a bucket and a key's part up to its last `/`, and never splits);
//! checksums (S3 computes none on its own for objects written without one); encryption (nothing is encrypted, and the ETag
//! is the MD5 of the body under a KMS key, too; `HeadObject` uses no key); conditional writes never meet one another, so
//! that none ends in ConditionalRequestConflict. Of a bucket, these are checked and have no effect: versioning (a deletion
//! deletes), lifecycle, object lock, access logging, tags, and the public access block (no anonymous caller is ever let in).
//!
//! Refused, by name: every other operation, presigned URLs, `PostObject`, Signature Version 2, versions, parts, tags of
//! objects, ACLs, keys that a request names, storage classes, notifications, other properties of a bucket;
//! `response-*` parameters, further algorithms of checksums, and `x-amz-checksum-algorithm` (of `CopyObject`).

mod auth;
mod change;
mod checksum;
mod errors;
mod exchange;
mod list;
mod permit;
mod provision;
mod rates;
mod read;
mod rot;
mod state;
mod store;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use self::list::{After, Listing};
use self::permit::Need;
use self::state::{Done, Shared};
use self::store::{Attributes, Put, ReadCondition, WriteCondition};
use crate::core::ports::{ObjectSummary, Objects};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use crate::front::Credential;

/// Headers of user metadata begin with this.
const METADATA_PREFIX: &str = "x-amz-meta-";

/// Amazon S3.
pub struct S3 {
    shared: Shared,
    service: S3Service,
}

impl S3 {
    /// S3 without buckets and without known keys.
    pub fn new() -> Self {
        let shared = Shared::new();
        let mut config = S3Config::default();
        // The date of a request is compared with the instant of the call, not with a clock: see `auth`.
        config.presigned_url_max_skew_time_secs = u32::MAX;
        let mut builder = S3ServiceBuilder::new(wire::Backend(shared.clone()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(auth::Keys(shared.clone()));
        builder.set_access(auth::Door(shared.clone()));
        builder.set_host(auth::AwsHosts);
        S3 { shared, service: builder.build() }
    }

    /// Makes an access key known. A key with the same id is replaced.
    pub fn add_credential(&mut self, credential: &Credential) {
        self.shared.lock().credentials.insert(credential.access_key_id.clone(), credential.clone());
    }

    /// Lets a bit of one copy of each object flip for which `choose` (bucket, key) answers a number, which says which bit.
    /// Answers how many were struck.
    pub fn flip_bits(&mut self, choose: &mut dyn FnMut(&str, &str) -> Option<u64>) -> u64 {
        self.shared.lock().store.flip_bits(choose)
    }

    /// Checks in the background what may be rotten, and repairs it. Answers how many copies were bad.
    pub fn scrub(&mut self, cx: &mut Cx<'_>) -> u64 {
        let found = self.shared.lock().store.scrub();
        for (object, found) in &found {
            found.record(cx, object);
        }
        found.len() as u64
    }

    /// S3 asks for no wake-ups.
    ///
    /// # Panics
    /// Always: a wake-up would be a bug of the simulator.
    pub fn wake(&mut self, _: &mut Cx<'_>, token: u64) {
        unreachable!("S3 asks for no wake-ups, and was woken about {token}");
    }

    /// Creates `AWS::S3::Bucket` (`Ref` is the name; attributes `Arn`, `DomainName`, `RegionalDomainName`) or
    /// `AWS::S3::BucketPolicy`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let store = &mut self.shared.lock().store;
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::S3::Bucket" => ("CreateBucket", provision::bucket(store, cx, resource)?),
            "AWS::S3::BucketPolicy" => ("PutBucketPolicy", provision::bucket_policy(store, cx, resource, true)?),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("s3", operation, Outcome::Ok);
        Ok(provisioned)
    }

    /// Runs one operation of another service, with the limits, the counters and the events of a call over the wire.
    fn inner<T>(
        &mut self,
        cx: &mut Cx<'_>,
        done: Done,
        needs: &[Need<'_>],
        act: impl FnOnce(&mut store::Store, &mut Done) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut state = self.shared.lock();
        state.call.now = cx.now;
        state.call.account.clone_from(cx.account);
        state.call.gate.enter(cx);
        let result = state.perform(done, needs, |store, _, done| act(store, done));
        state.call.gate.leave(cx);
        if let Some(done) = state.call.done.take() {
            done.record(cx);
        }
        result
    }
}

impl Default for S3 {
    fn default() -> Self {
        S3::new()
    }
}

impl Objects for S3 {
    fn put_object(
        &mut self,
        cx: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        content_type: &str,
    ) -> Result<String, AwsError> {
        let now = cx.now;
        self.inner(cx, Done::new("PutObject", bucket, key), &[Need::write(bucket, key)], |store, done| {
            let size_bytes = body.len() as u64;
            let content_type = (!content_type.is_empty()).then(|| content_type.to_owned());
            let attributes = Attributes { content_type, ..Attributes::default() };
            let object = store.put(now, Put { bucket, key, body, attributes, condition: WriteCondition::default() })?;
            done.object(&object);
            done.uploaded_bytes = size_bytes;
            Ok(object.etag.to_string())
        })
    }

    fn get_object(&mut self, cx: &mut Cx<'_>, bucket: &str, key: &str) -> Result<Bytes, AwsError> {
        let now = cx.now;
        self.inner(cx, Done::new("GetObject", bucket, key), &[Need::read(bucket, key)], |store, done| {
            let object = done.found(store.read(now, bucket, key, &ReadCondition::default())?);
            done.object(&object);
            done.downloaded_bytes = object.body.len() as u64;
            Ok(object.body)
        })
    }

    fn list_objects(&mut self, cx: &mut Cx<'_>, bucket: &str, prefix: &str) -> Result<Vec<ObjectSummary>, AwsError> {
        let now = cx.now;
        let needs = [Need::list(bucket, prefix)];
        self.inner(cx, Done::new("ListObjectsV2", bucket, prefix), &needs, |store, done| {
            let (mut all, mut after) = (Vec::new(), Some(After::Start));
            done.calls = 0;
            while let Some(from) = after {
                done.calls += 1;
                let page =
                    store.list(now, bucket, &Listing { prefix, delimiter: None, after: from, max_keys: usize::MAX })?;
                all.extend(page.objects.iter().map(|(key, object)| ObjectSummary {
                    key: (*key).to_owned(),
                    size_bytes: object.body.len() as u64,
                    last_modified: object.last_modified,
                    etag: object.etag.to_string(),
                }));
                after = page.next;
            }
            done.objects = Some(all.len() as u64);
            Ok(all)
        })
    }
}
