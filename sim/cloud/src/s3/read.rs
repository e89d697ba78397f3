//! Reads: `GetObject`, `HeadObject`, `ListObjectsV2`.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use s3s::Body;
use s3s::dto::{
    Checksum, ChecksumMode, CommonPrefix, ETag, EncodingType, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, ObjectStorageClass, Owner, Range, StreamingBlob,
};

use super::errors::{invalid_argument, invalid_range};
use super::list::{After, Listing};
use super::state::{Call, Done};
use super::store::{Object, ReadCondition, Store};
use super::wire::{owner_id, url_encode};
use crate::core::AwsError;
use world::time::Time;

/// User metadata, which travels as headers of its own.
pub(super) type Metadata = Vec<(HeaderName, HeaderValue)>;

/// AWS's content type of objects written without one.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// What a read asks for.
struct Read<'a> {
    bucket: &'a str,
    key: &'a str,
    condition: ReadCondition,
    range: Option<Range>,
    with_checksum: bool,
    /// Whether the bytes are served, or only what is known of them.
    serves_body: bool,
}

pub(super) fn get_object(
    store: &mut Store,
    now: Time,
    done: &mut Done,
    input: &GetObjectInput,
) -> Result<(GetObjectOutput, Metadata), AwsError> {
    let condition = ReadCondition {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
        if_modified_since: input.if_modified_since.clone(),
        if_unmodified_since: input.if_unmodified_since.clone(),
    };
    let with_checksum = wants_checksum(input.checksum_mode.as_ref());
    let read = Read {
        bucket: &input.bucket,
        key: &input.key,
        condition,
        range: input.range,
        with_checksum,
        serves_body: true,
    };
    let (mut output, body, metadata) = answer(store, now, done, &read)?;
    done.downloaded_bytes = body.len() as u64;
    output.body = Some(StreamingBlob::from(Body::from(body)));
    Ok((output, metadata))
}

pub(super) fn head_object(
    store: &mut Store,
    now: Time,
    done: &mut Done,
    input: &HeadObjectInput,
) -> Result<(HeadObjectOutput, Metadata), AwsError> {
    let condition = ReadCondition {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
        if_modified_since: input.if_modified_since.clone(),
        if_unmodified_since: input.if_unmodified_since.clone(),
    };
    let with_checksum = wants_checksum(input.checksum_mode.as_ref());
    let read = Read {
        bucket: &input.bucket,
        key: &input.key,
        condition,
        range: input.range,
        with_checksum,
        serves_body: false,
    };
    let (output, _, metadata) = answer(store, now, done, &read)?;
    let output = HeadObjectOutput {
        accept_ranges: output.accept_ranges,
        content_length: output.content_length,
        content_range: output.content_range,
        e_tag: output.e_tag,
        last_modified: output.last_modified,
        server_side_encryption: output.server_side_encryption,
        ssekms_key_id: output.ssekms_key_id,
        bucket_key_enabled: output.bucket_key_enabled,
        content_type: output.content_type,
        cache_control: output.cache_control,
        content_disposition: output.content_disposition,
        content_encoding: output.content_encoding,
        content_language: output.content_language,
        expires: output.expires,
        checksum_crc32: output.checksum_crc32,
        checksum_crc32c: output.checksum_crc32c,
        checksum_crc64nvme: output.checksum_crc64nvme,
        checksum_sha1: output.checksum_sha1,
        checksum_sha256: output.checksum_sha256,
        checksum_type: output.checksum_type,
        ..Default::default()
    };
    Ok((output, metadata))
}

/// The answer to a read without its body, the body, and the user metadata.
fn answer(
    store: &mut Store,
    now: Time,
    done: &mut Done,
    read: &Read<'_>,
) -> Result<(GetObjectOutput, Bytes, Metadata), AwsError> {
    let object = match read.serves_body {
        true => done.found(store.read(now, read.bucket, read.key, &read.condition)?),
        false => store.get(now, read.bucket, read.key, &read.condition)?,
    };
    done.object(&object);
    let (body, content_range) = ranged(&object, read.range)?;
    let attributes = &object.attributes;
    // A checksum is that of the whole object.
    let with_checksum = read.with_checksum && content_range.is_none();
    let checksum = if with_checksum { attributes.checksum.clone() } else { Checksum::default() };
    let output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(length(body.len())),
        content_range,
        e_tag: Some(ETag::Strong(object.etag.to_string())),
        last_modified: Some(object.last_modified_timestamp()),
        server_side_encryption: Some(object.server_side_encryption()),
        ssekms_key_id: object.key(),
        bucket_key_enabled: object.bucket_key(),
        content_type: Some(content_type(&object)),
        cache_control: attributes.cache_control.clone(),
        content_disposition: attributes.content_disposition.clone(),
        content_encoding: attributes.content_encoding.clone(),
        content_language: attributes.content_language.clone(),
        expires: attributes.expires.clone(),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..Default::default()
    };
    Ok((output, body, attributes.metadata.clone()))
}

/// The asked part of the body, and its `Content-Range`. No data is copied.
fn ranged(object: &Object, range: Option<Range>) -> Result<(Bytes, Option<String>), AwsError> {
    let Some(range) = range else { return Ok((object.body.clone(), None)) };
    let total = object.body.len() as u64;
    let wanted = range.check(total).map_err(|_| invalid_range())?;
    if wanted.is_empty() {
        return Err(invalid_range());
    }
    let bound = |n: u64| usize::try_from(n).expect("a range lies within a body in memory");
    let body = object.body.slice(bound(wanted.start)..bound(wanted.end));
    Ok((body, Some(format!("bytes {}-{}/{total}", wanted.start, wanted.end - 1))))
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn content_type(object: &Object) -> String {
    object.attributes.content_type.clone().unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

pub(super) fn list_objects(
    store: &mut Store,
    call: &Call,
    done: &mut Done,
    input: &ListObjectsV2Input,
) -> Result<ListObjectsV2Output, AwsError> {
    let max_keys = input.max_keys.unwrap_or(1_000);
    let prefix = input.prefix.as_deref().unwrap_or("");
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => After::from_token(token)?,
        (None, Some(key)) => After::Key(key.clone()),
        (None, None) => After::Start,
    };
    let max = usize::try_from(max_keys)
        .map_err(|_| invalid_argument("Argument maxKeys must be an integer between 0 and 2147483647"))?;
    let listing = Listing { prefix, delimiter: input.delimiter.as_deref(), after, max_keys: max };
    let page = store.list(call.now, &input.bucket, &listing)?;
    let encoded = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    let name = |text: &str| if encoded { url_encode(text) } else { text.to_owned() };
    let with_owner = input.fetch_owner.unwrap_or(false);
    let owner = with_owner.then(|| Owner { id: Some(owner_id(&call.account.id)), display_name: None });
    let contents: Vec<s3s::dto::Object> = page
        .objects
        .iter()
        .map(|(key, object)| s3s::dto::Object {
            key: Some(name(key)),
            size: Some(length(object.body.len())),
            e_tag: Some(ETag::Strong(object.etag.to_string())),
            last_modified: Some(object.last_modified_timestamp()),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            owner: owner.clone(),
            ..Default::default()
        })
        .collect();
    let prefixes: Vec<CommonPrefix> =
        page.common_prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(name(prefix)) }).collect();
    done.objects = Some(contents.len() as u64);
    Ok(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(name(prefix)),
        max_keys: Some(max_keys.min(1_000)),
        key_count: Some(i32::try_from(contents.len() + prefixes.len()).unwrap_or(i32::MAX)),
        continuation_token: input.continuation_token.clone(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| next.token()),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        delimiter: input.delimiter.as_deref().map(name),
        encoding_type: input.encoding_type.clone(),
        start_after: input.start_after.as_deref().map(name),
        request_charged: None,
    })
}
