//! Buckets and objects in memory, and what may be done to them. Knows nothing of the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use s3s::dto::{Checksum, ETagCondition, ServerSideEncryption, Timestamp};

use super::errors::{invalid_argument, no_such_bucket, no_such_key, not_modified, precondition_failed};
use super::list::{Listing, Page};
use super::rates::{Kind, Rates};
use super::rot::{Found, Rot};
use crate::core::policy::Document;
use crate::core::{AwsError, Limits};
use world::time::Time;

/// Quotas of a bucket, read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketLimits {
    /// Size of an object in one PUT.
    pub single_put_bytes: u64,
    /// Length of a key in UTF-8.
    pub key_bytes: u64,
    /// Length of all names and values of user metadata.
    pub user_metadata_bytes: u64,
    /// Keys of one listing.
    pub list_page_keys: u64,
    /// Keys of one `DeleteObjects`.
    pub delete_objects_keys: u64,
    reads_per_second: u64,
    writes_per_second: u64,
}

impl BucketLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        BucketLimits {
            single_put_bytes: limits.get("s3", "single_put"),
            key_bytes: limits.get("s3", "key_length"),
            user_metadata_bytes: limits.get("s3", "user_metadata"),
            list_page_keys: limits.get("s3", "list_page"),
            delete_objects_keys: limits.get("s3", "delete_objects"),
            reads_per_second: limits.get("s3", "get_rate_per_prefix"),
            writes_per_second: limits.get("s3", "put_rate_per_prefix"),
        }
    }
}

/// What is kept with an object's bytes and given back with them.
#[derive(Clone, Default)]
pub(super) struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<Timestamp>,
    /// User metadata as the headers that carried it, ordered by name.
    pub metadata: Vec<(HeaderName, HeaderValue)>,
    /// The checksum that the writer gave and S3 verified.
    pub checksum: Checksum,
    /// The key of KMS by which it was written; S3's own when absent.
    pub encryption: Option<Arc<Encryption>>,
}

/// Encryption by a key of KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encryption {
    /// Id, ARN or alias.
    pub key: Box<str>,
    /// Whether one data key serves the whole bucket for a time.
    pub bucket_key: bool,
}

/// An object. A clone copies no data.
#[derive(Clone)]
pub(super) struct Object {
    pub body: Bytes,
    /// MD5 of the body in hex, without quotes.
    pub etag: Arc<str>,
    pub last_modified: Time,
    pub attributes: Arc<Attributes>,
}

impl Object {
    /// By what the object is encrypted.
    pub(super) fn server_side_encryption(&self) -> ServerSideEncryption {
        let name = match self.attributes.encryption {
            Some(_) => ServerSideEncryption::AWS_KMS,
            None => ServerSideEncryption::AES256,
        };
        ServerSideEncryption::from_static(name)
    }

    /// The key of KMS by which it is encrypted.
    pub(super) fn key(&self) -> Option<String> {
        self.attributes.encryption.as_ref().map(|encryption| encryption.key.to_string())
    }

    /// Whether that is a bucket's key.
    pub(super) fn bucket_key(&self) -> Option<bool> {
        self.attributes.encryption.as_ref().map(|encryption| encryption.bucket_key)
    }

    /// `Last-Modified` on the wire: whole seconds.
    pub(super) fn last_modified_timestamp(&self) -> Timestamp {
        timestamp(self.last_modified)
    }
}

/// An instant as `s3s` writes it, in whole seconds.
pub(super) fn timestamp(time: Time) -> Timestamp {
    (std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(time.unix_secs())).into()
}

/// What a write is to replace.
#[derive(Default)]
pub(super) struct WriteCondition {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
}

impl WriteCondition {
    fn check(&self, key: &str, current: Option<&Object>) -> Result<(), AwsError> {
        match &self.if_none_match {
            Some(ETagCondition::ETag(_)) => {
                return Err(AwsError::not_modelled("s3: If-None-Match of a write takes only *, on AWS too"));
            }
            Some(ETagCondition::Any) if current.is_some() => return Err(precondition_failed("If-None-Match")),
            _ => {}
        }
        match (&self.if_match, current) {
            (None, _) => Ok(()),
            (Some(ETagCondition::Any), _) => Err(AwsError::not_modelled("s3: If-Match: * of a write")),
            (Some(_), None) => Err(no_such_key(key)),
            (Some(wanted), Some(object)) if matches(wanted, object) => Ok(()),
            _ => Err(precondition_failed("If-Match")),
        }
    }
}

/// When a read is to be answered with the object.
#[derive(Default)]
pub(super) struct ReadCondition {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadCondition {
    /// RFC 9110: the conditions on the tag go before those on the date.
    pub(super) fn check(&self, object: &Object) -> Result<(), AwsError> {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(wanted), _) if !matches(wanted, object) => return Err(precondition_failed("If-Match")),
            (None, Some(since)) if object.last_modified_timestamp() > *since => {
                return Err(precondition_failed("If-Unmodified-Since"));
            }
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(unwanted), _) if matches(unwanted, object) => Err(not_modified()),
            (None, Some(since)) if object.last_modified_timestamp() <= *since => Err(not_modified()),
            _ => Ok(()),
        }
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == &*object.etag)
}

/// A write of one object.
pub(super) struct Put<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub body: Bytes,
    pub attributes: Attributes,
    pub condition: WriteCondition,
}

/// A bucket.
pub(super) struct Bucket {
    pub created: Time,
    pub limits: BucketLimits,
    /// By what new objects are encrypted; S3's own keys when absent.
    pub encryption: Option<Arc<Encryption>>,
    /// Its policy.
    pub policy: Option<Arc<Document>>,
    rates: Rates,
    objects: BTreeMap<String, Object>,
    rot: Rot,
}

/// All buckets of the account, by name.
#[derive(Default)]
pub(super) struct Store {
    buckets: BTreeMap<String, Bucket>,
}

impl Store {
    pub(super) fn create_bucket(&mut self, now: Time, name: &str, limits: &Limits) -> Result<(), AwsError> {
        if !s3s::path::check_bucket_name(name) {
            return Err(AwsError::new("InvalidBucketName", format!("The specified bucket is not valid: {name}")));
        }
        if self.buckets.contains_key(name) {
            let text = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(AwsError::new("BucketAlreadyOwnedByYou", text).status(409));
        }
        if self.buckets.len() as u64 >= limits.get("s3", "buckets") {
            let text = "You have attempted to create more buckets than allowed";
            return Err(AwsError::new("TooManyBuckets", text));
        }
        let scale = limits.scale("s3").clone();
        let limits = BucketLimits::new(limits);
        let rates = Rates::new(limits.reads_per_second, limits.writes_per_second, scale);
        let (encryption, policy, objects, rot) = (None, None, BTreeMap::new(), Rot::default());
        self.buckets.insert(name.to_owned(), Bucket { created: now, limits, encryption, policy, rates, objects, rot });
        Ok(())
    }

    /// Deletes a bucket, which must be empty.
    pub(super) fn delete_bucket(&mut self, name: &str) -> Result<(), AwsError> {
        match self.buckets.get(name) {
            Some(bucket) if !bucket.objects.is_empty() => {
                let text = "The bucket you tried to delete is not empty";
                Err(AwsError::new("BucketNotEmpty", text).status(409).with("BucketName", name))
            }
            _ => {
                self.buckets.remove(name);
                Ok(())
            }
        }
    }

    /// All buckets, ordered by name.
    pub(super) fn buckets(&self) -> &BTreeMap<String, Bucket> {
        &self.buckets
    }

    /// A bucket that must exist.
    pub(super) fn bucket(&mut self, name: &str) -> Result<&mut Bucket, AwsError> {
        self.buckets.get_mut(name).ok_or_else(|| no_such_bucket(name))
    }

    /// Writes an object and answers it.
    pub(super) fn put(&mut self, now: Time, put: Put<'_>) -> Result<Object, AwsError> {
        let bucket = self.bucket(put.bucket)?;
        bucket.rates.take(now, Kind::Write, put.key)?;
        bucket.check_write(&put)?;
        put.condition.check(put.key, bucket.objects.get(put.key))?;
        let etag: Arc<str> = hex::encode(Md5::digest(&put.body)).into();
        let attributes = Attributes { encryption: bucket.encryption.clone(), ..put.attributes };
        let object = Object { body: put.body, etag, last_modified: now, attributes: Arc::new(attributes) };
        bucket.rot.forget(put.key);
        match bucket.objects.get_mut(put.key) {
            Some(current) => *current = object.clone(),
            None => {
                bucket.objects.insert(put.key.to_owned(), object.clone());
            }
        }
        Ok(object)
    }

    /// Reads an object to serve its bytes: from the first of its copies that matches its checksum. What does not match is
    /// repaired from one that does, and remembered as found.
    pub(super) fn read(
        &mut self,
        now: Time,
        bucket: &str,
        key: &str,
        condition: &ReadCondition,
    ) -> Result<(Object, Option<Found>), AwsError> {
        let object = self.get(now, bucket, key, condition)?;
        let found = self.bucket(bucket)?.rot.read(key, &object);
        Ok(found.map_or((object.clone(), None), |(served, found)| (served, Some(found))))
    }

    /// Flips a bit in one copy of each object for which `choose` (bucket, key) answers a number; the number says which bit.
    /// Answers how many were struck.
    pub(super) fn flip_bits(&mut self, choose: &mut dyn FnMut(&str, &str) -> Option<u64>) -> u64 {
        let mut struck = 0;
        for (name, bucket) in &mut self.buckets {
            for (key, object) in bucket.objects.iter().filter(|(_, object)| !object.body.is_empty()) {
                if let Some(lot) = choose(name, key) {
                    struck += u64::from(bucket.rot.flip(key, lot % (object.body.len() as u64 * 8)));
                }
            }
        }
        struck
    }

    /// Checks every copy that may be rotten, as S3 does in the background, and repairs what does not match.
    pub(super) fn scrub(&mut self) -> Vec<(String, Found)> {
        let mut all = Vec::new();
        for (name, bucket) in &mut self.buckets {
            for key in bucket.rot.keys() {
                let found = bucket.objects.get(&key).and_then(|object| bucket.rot.read(&key, object));
                all.extend(found.map(|(_, found)| (format!("{name}/{key}"), found)));
            }
        }
        all
    }

    /// Reads what is known of an object.
    pub(super) fn get(
        &mut self,
        now: Time,
        bucket: &str,
        key: &str,
        condition: &ReadCondition,
    ) -> Result<Object, AwsError> {
        let bucket = self.bucket(bucket)?;
        bucket.rates.take(now, Kind::Read, key)?;
        let object = bucket.objects.get(key).ok_or_else(|| no_such_key(key))?;
        condition.check(object)?;
        Ok(object.clone())
    }

    /// Deletes an object; an absent one is a success, unless a condition asks for it.
    pub(super) fn delete(
        &mut self,
        now: Time,
        bucket: &str,
        key: &str,
        if_match: Option<&ETagCondition>,
    ) -> Result<(), AwsError> {
        let bucket = self.bucket(bucket)?;
        bucket.rates.take(now, Kind::Write, key)?;
        if let Some(wanted) = if_match
            && !bucket.objects.get(key).is_some_and(|object| matches(wanted, object))
        {
            return Err(precondition_failed("If-Match"));
        }
        bucket.objects.remove(key);
        bucket.rot.forget(key);
        Ok(())
    }

    /// One page of a listing.
    pub(super) fn list(&mut self, now: Time, bucket: &str, listing: &Listing<'_>) -> Result<Page<'_>, AwsError> {
        let bucket = self.bucket(bucket)?;
        bucket.rates.take(now, Kind::Read, listing.prefix)?;
        Ok(listing.page(&bucket.objects, usize::try_from(bucket.limits.list_page_keys).unwrap_or(usize::MAX)))
    }
}

impl Bucket {
    /// An object, if it is there.
    pub(super) fn object(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    fn check_write(&self, put: &Put<'_>) -> Result<(), AwsError> {
        if put.key.is_empty() {
            return Err(invalid_argument("a key has at least one character"));
        }
        if put.key.len() as u64 > self.limits.key_bytes {
            return Err(AwsError::new("KeyTooLongError", "Your key is too long"));
        }
        if put.body.len() as u64 > self.limits.single_put_bytes {
            let text = "Your proposed upload exceeds the maximum allowed size";
            return Err(AwsError::new("EntityTooLarge", text).with("MaxSizeAllowed", self.limits.single_put_bytes));
        }
        let metadata = &put.attributes.metadata;
        let name_bytes = |name: &HeaderName| name.as_str().len() - super::METADATA_PREFIX.len();
        let metadata_bytes: usize = metadata.iter().map(|(name, value)| name_bytes(name) + value.len()).sum();
        if metadata_bytes as u64 > self.limits.user_metadata_bytes {
            let text = "Your metadata headers exceed the maximum allowed metadata size";
            return Err(AwsError::new("MetadataTooLarge", text));
        }
        Ok(())
    }
}
