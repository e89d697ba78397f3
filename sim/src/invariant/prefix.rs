//! The objects below one prefix of a bucket, on the real SDK: how every oracle reads what the platform keeps in S3.

use aws_types::SdkConfig;
use bytes::Bytes;

use super::athena::{QueryError, sdk};
use crate::world::time::Time;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Key.
    pub key: String,
    /// When S3 says it was written; whole seconds.
    pub last_modified: Time,
}

/// One prefix of one bucket.
pub(super) struct Prefix {
    s3: aws_sdk_s3::Client,
    bucket: String,
    prefix: String,
}

impl Prefix {
    /// `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        Prefix { s3: super::client!(aws_sdk_s3, config), bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    /// All objects, in the order of their keys.
    pub async fn objects(&self) -> Result<Vec<Listed>, QueryError> {
        let mut objects = Vec::new();
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            objects.extend(page.map_err(sdk)?.contents().iter().map(|object| {
                let secs = object.last_modified().map_or(0, |at| at.secs());
                let last_modified = Time::from_unix_secs(u64::try_from(secs).unwrap_or(0));
                Listed { key: object.key().unwrap_or_default().to_owned(), last_modified }
            }));
        }
        Ok(objects)
    }

    /// The bytes of an object.
    pub async fn body(&self, key: &str) -> Result<Bytes, QueryError> {
        let got = self.s3.get_object().bucket(&self.bucket).key(key).send().await.map_err(sdk)?;
        Ok(got.body.collect().await.map_err(sdk)?.into_bytes())
    }

    /// The error of an object that does not say what it should.
    pub fn unreadable(&self, key: &str, why: impl std::fmt::Display) -> QueryError {
        QueryError::new(format!("s3://{}/{key}: {why}", self.bucket))
    }
}
