//! A reader of the lake, on the real SDK: lists the processed prefix and decodes its Parquet files.

use aws_sdk_s3::error::DisplayErrorContext;
use aws_types::SdkConfig;
use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use parquet::schema::types::Type;

use super::athena::QueryError;
use crate::world::time::Time;

/// A file of the processed prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeFile {
    /// When S3 says it was written; whole seconds.
    pub last_modified: Time,
    /// Key.
    pub key: String,
}

/// Reads the processed prefix of one bucket.
pub struct LakeReader {
    s3: aws_sdk_s3::Client,
    bucket: String,
    prefix: String,
}

fn sdk(error: impl std::error::Error) -> QueryError {
    QueryError::new(DisplayErrorContext(error).to_string())
}

impl LakeReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        LakeReader { s3: aws_sdk_s3::Client::new(config), bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    /// All files, in the order of (writing, key).
    pub async fn files(&self) -> Result<Vec<LakeFile>, QueryError> {
        let mut files = Vec::new();
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.map_err(sdk)?.contents() {
                let secs = object.last_modified().map_or(0, |at| at.secs());
                files.push(LakeFile {
                    last_modified: Time::from_unix_secs(u64::try_from(secs).unwrap_or(0)),
                    key: object.key().unwrap_or_default().to_owned(),
                });
            }
        }
        files.sort_by(|a, b| (a.last_modified, &a.key).cmp(&(b.last_modified, &b.key)));
        Ok(files)
    }

    /// Hands over (tenant, device, seq) of every row of a file, in the file's order.
    pub async fn rows(&self, file: &LakeFile, mut each: impl FnMut(&str, &str, u64)) -> Result<(), QueryError> {
        let object = self.s3.get_object().bucket(&self.bucket).key(&file.key).send().await.map_err(sdk)?;
        let body = object.body.collect().await.map_err(sdk)?.into_bytes();
        decode(body, &mut each).map_err(|e| QueryError::new(format!("s3://{}/{}: {e}", self.bucket, file.key)))
    }
}

fn decode(body: Bytes, each: &mut impl FnMut(&str, &str, u64)) -> Result<(), parquet::errors::ParquetError> {
    let reader = SerializedFileReader::new(body)?;
    let schema = reader.metadata().file_metadata().schema();
    let column = |name: &str| schema.get_fields().iter().find(|field| field.name() == name).cloned();
    let wanted: Vec<_> = ["tenant_id", "device_id", "seq"].into_iter().filter_map(column).collect();
    let projection = Type::group_type_builder(schema.name()).with_fields(wanted).build()?;
    for row in reader.get_row_iter(Some(projection))? {
        let row = row?;
        each(row.get_string(0)?, row.get_string(1)?, u64::try_from(row.get_long(2)?).unwrap_or(u64::MAX));
    }
    Ok(())
}
