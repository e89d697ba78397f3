//! The operations as `s3s` calls them. Each handler waits for nothing but the body in memory.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CopyObjectInput, CopyObjectOutput, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, ObjectIdentifier, Owner,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result};

use super::errors::{into_s3_error, invalid_argument};
use super::list::After;
use super::permit::Need;
use super::state::{Call, Done, Shared};
use super::store::{Store, timestamp};
use super::{read, write};
use crate::core::AwsError;

/// What `s3s` calls.
pub(super) struct Backend(pub(super) Shared);

impl Backend {
    fn run<T>(
        &self,
        done: Done,
        needs: &[Need<'_>],
        act: impl FnOnce(&mut Store, &Call, &mut Done) -> Result<T, AwsError>,
    ) -> S3Result<S3Response<T>> {
        let result = self.0.lock().perform(done, needs, act);
        result.map(S3Response::new).map_err(|error| into_s3_error(&error))
    }
}

#[async_trait::async_trait]
impl s3s::S3 for Backend {
    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let needs = [Need::account("s3:ListAllMyBuckets")];
        self.run(Done::new("ListBuckets", "", ""), &needs, |store, call, done| {
            list_buckets(store, call, done, request.input)
        })
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = request.input.bucket;
        let needs = [Need::bucket("s3:ListBucket", &bucket)];
        self.run(Done::new("HeadBucket", &bucket, ""), &needs, |store, call, _| {
            store.bucket(&bucket)?;
            Ok(HeadBucketOutput { bucket_region: Some(call.account.region.clone()), ..Default::default() })
        })
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let bucket = request.input.bucket;
        let needs = [Need::bucket("s3:GetBucketLocation", &bucket)];
        self.run(Done::new("GetBucketLocation", &bucket, ""), &needs, |store, call, _| {
            store.bucket(&bucket)?;
            let region = Some(call.account.region.clone()).filter(|region| region != "us-east-1");
            Ok(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) })
        })
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let body = collect(request.input.body.take()).await;
        let done = Done::new("PutObject", &request.input.bucket, &request.input.key);
        let needs = put_needs(&request);
        self.run(done, &needs, |store, call, done| write::put_object(store, call.now, done, &request, body?))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let done = Done::new("CopyObject", &request.input.bucket, &request.input.key);
        let mut needs = vec![Need::write(&request.input.bucket, &request.input.key)];
        if let CopySource::Bucket { bucket, key, .. } = &request.input.copy_source {
            needs.push(Need::read(bucket, key));
        }
        self.run(done, &needs, |store, call, done| write::copy_object(store, call.now, done, &request))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let done = Done::new("GetObject", &request.input.bucket, &request.input.key);
        let needs = [Need::read(&request.input.bucket, &request.input.key)];
        let mut response =
            self.run(done, &needs, |store, call, done| read::get_object(store, call.now, done, &request.input))?;
        let (output, metadata) = response.output;
        response.headers.extend(metadata);
        Ok(S3Response { output, status: response.status, headers: response.headers, extensions: response.extensions })
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let done = Done::new("HeadObject", &request.input.bucket, &request.input.key);
        let needs = [Need::object("s3:GetObject", &request.input.bucket, &request.input.key)];
        let mut response =
            self.run(done, &needs, |store, call, done| read::head_object(store, call.now, done, &request.input))?;
        let (output, metadata) = response.output;
        response.headers.extend(metadata);
        Ok(S3Response { output, status: response.status, headers: response.headers, extensions: response.extensions })
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &request.input;
        let needs = [Need::object("s3:DeleteObject", &input.bucket, &input.key)];
        self.run(Done::new("DeleteObject", &input.bucket, &input.key), &needs, |store, call, _| {
            store.delete(call.now, &input.bucket, &input.key, input.if_match.as_ref())?;
            Ok(DeleteObjectOutput::default())
        })
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let done = Done::new("DeleteObjects", &request.input.bucket, "");
        let (bucket, keys) = (&request.input.bucket, &request.input.delete.objects);
        // Each key is allowed or refused by itself.
        let refused: Vec<Option<AwsError>> = {
            let mut state = self.0.lock();
            let permit =
                |object: &ObjectIdentifier| state.permit(&[Need::object("s3:DeleteObject", bucket, &object.key)]).err();
            keys.iter().map(permit).collect()
        };
        self.run(done, &[], |store, call, done| write::delete_objects(store, call, done, &request, &refused))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = request.input.prefix.as_deref().unwrap_or("");
        let done = Done::new("ListObjectsV2", &request.input.bucket, prefix);
        let max_keys = request.input.max_keys.unwrap_or(1_000).to_string();
        let mut need = Need::list(&request.input.bucket, prefix).with("s3:max-keys", &max_keys);
        if let Some(delimiter) = &request.input.delimiter {
            need = need.with("s3:delimiter", delimiter);
        }
        self.run(done, &[need], |store, call, done| read::list_objects(store, call, done, &request.input))
    }
}

/// What a `PutObject` needs: with `If-Match` it tells of the object that it replaces.
fn put_needs(request: &S3Request<PutObjectInput>) -> Vec<Need<'_>> {
    let input = &request.input;
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let mut write = Need::write(&input.bucket, &input.key);
    for (key, name) in [("s3:if-match", "if-match"), ("s3:if-none-match", "if-none-match")] {
        if let Some(value) = header(name) {
            write = write.with(key, value);
        }
    }
    let mut needs = vec![write];
    if input.if_match.is_some() {
        needs.push(Need::object("s3:GetObject", &input.bucket, &input.key));
    }
    needs
}

/// The whole body. One piece, the usual case, is not copied.
async fn collect(body: Option<StreamingBlob>) -> Result<Bytes, AwsError> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut pieces: Vec<Bytes> = Vec::new();
    while let Some(piece) = body.next().await {
        pieces.push(piece.map_err(|error| body_error(&error.to_string()))?);
    }
    if pieces.len() <= 1 {
        return Ok(pieces.pop().unwrap_or_default());
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    Ok(whole.freeze())
}

/// `s3s` does not publish the types of these errors, only their texts.
fn body_error(text: &str) -> AwsError {
    if text.contains("Sha256Mismatch") {
        let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return AwsError::new("XAmzContentSHA256Mismatch", text);
    }
    if text.contains("SignatureMismatch") {
        return AwsError::new("SignatureDoesNotMatch", super::errors::text_of("SignatureDoesNotMatch")).status(403);
    }
    let text = "You did not provide the number of bytes specified by the Content-Length HTTP header";
    AwsError::new("IncompleteBody", text)
}

fn list_buckets(
    store: &Store,
    call: &Call,
    done: &mut Done,
    input: ListBucketsInput,
) -> Result<ListBucketsOutput, AwsError> {
    let max = match input.max_buckets {
        None => usize::MAX,
        Some(max) => usize::try_from(max)
            .ok()
            .filter(|max| (1..=10_000).contains(max))
            .ok_or_else(|| invalid_argument("max-buckets is between 1 and 10000"))?,
    };
    let after = input.continuation_token.as_deref().map(After::from_token).transpose()?;
    let prefix = input.prefix.as_deref().unwrap_or("");
    let in_region = input.bucket_region.as_ref().is_none_or(|region| *region == call.account.region);
    let mut wanted = store.buckets().iter().filter(|(name, _)| {
        let later = after.as_ref().is_none_or(|after| matches!(after, After::Key(key) if *name > key));
        in_region && later && name.starts_with(prefix)
    });
    let region = (input.max_buckets.is_some() || input.bucket_region.is_some()).then(|| call.account.region.clone());
    let buckets: Vec<Bucket> = wanted
        .by_ref()
        .take(max)
        .map(|(name, bucket)| Bucket {
            name: Some(name.clone()),
            creation_date: Some(timestamp(bucket.created)),
            bucket_region: region.clone(),
        })
        .collect();
    done.objects = Some(buckets.len() as u64);
    let last = buckets.last().and_then(|bucket| bucket.name.clone());
    let next = wanted.next().and(last).map(|name| After::Key(name).token());
    let owner = Owner { id: Some(owner_id(&call.account.id)), display_name: None };
    Ok(ListBucketsOutput { buckets: Some(buckets), continuation_token: next, owner: Some(owner), prefix: input.prefix })
}

/// The canonical user id: 64 hex digits that stand for the account.
pub(super) fn owner_id(account_id: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(account_id))
}

/// `encoding-type=url`. A space becomes `%20`, which every client reads, where AWS writes `+`.
pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'/' => out.push(byte as char),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}
