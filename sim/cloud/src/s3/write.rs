//! Writes: `PutObject`, `CopyObject`, `DeleteObjects`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use s3s::S3Request;
use s3s::dto::{
    Checksum, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, ETagCondition, Error, MetadataDirective, ObjectIdentifier, PutObjectInput, PutObjectOutput,
};

use super::checksum;
use super::errors::invalid_argument;
use super::state::{Call, Done};
use super::store::{Attributes, Put, ReadCondition, Store, WriteCondition};
use crate::core::AwsError;
use world::time::Time;

pub(super) fn put_object(
    store: &mut Store,
    now: Time,
    done: &mut Done,
    request: &S3Request<PutObjectInput>,
    body: Bytes,
) -> Result<PutObjectOutput, AwsError> {
    let input = &request.input;
    let trailers = request.trailing_headers.as_ref().and_then(s3s::TrailingHeaders::take);
    let checksum = checksum::verify(&body, &request.headers, trailers.as_ref())?;
    let size_bytes = body.len() as u64;
    let attributes = Attributes {
        content_type: input.content_type.clone(),
        cache_control: input.cache_control.clone(),
        content_disposition: input.content_disposition.clone(),
        content_encoding: input.content_encoding.as_deref().and_then(stored_encoding),
        content_language: input.content_language.clone(),
        expires: input.expires.clone(),
        metadata: metadata(&request.headers),
        checksum: checksum.clone(),
        encryption: None,
    };
    let condition = WriteCondition { if_match: input.if_match.clone(), if_none_match: input.if_none_match.clone() };
    let object = store.put(now, Put { bucket: &input.bucket, key: &input.key, body, attributes, condition })?;
    done.object(&object);
    done.uploaded_bytes = size_bytes;
    Ok(PutObjectOutput {
        e_tag: Some(ETag::Strong(object.etag.to_string())),
        server_side_encryption: Some(object.server_side_encryption()),
        ssekms_key_id: object.key(),
        bucket_key_enabled: object.bucket_key(),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..Default::default()
    })
}

/// `aws-chunked` belongs to the transfer and is not kept.
fn stored_encoding(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// User metadata as it came, ordered by name.
fn metadata(headers: &HeaderMap) -> Vec<(HeaderName, http::HeaderValue)> {
    let is_metadata = |name: &HeaderName| name.as_str().starts_with(super::METADATA_PREFIX);
    let mut metadata: Vec<_> = headers
        .iter()
        .filter(|(name, _)| is_metadata(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    metadata.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    metadata
}

pub(super) fn copy_object(
    store: &mut Store,
    now: Time,
    done: &mut Done,
    request: &S3Request<CopyObjectInput>,
) -> Result<CopyObjectOutput, AwsError> {
    let input = &request.input;
    let CopySource::Bucket { bucket, key, version_id: None } = &input.copy_source else {
        return Err(AwsError::not_modelled("s3 CopyObject of a version or through an access point"));
    };
    let replace = match &input.metadata_directive {
        Some(directive) if directive.as_str() == MetadataDirective::REPLACE => true,
        Some(directive) if directive.as_str() != MetadataDirective::COPY => {
            return Err(invalid_argument("Unknown metadata directive."));
        }
        _ => false,
    };
    if !replace && **bucket == *input.bucket && **key == *input.key {
        let text = "This copy request is illegal because it is trying to copy an object to itself without changing the \
                    object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(AwsError::new("InvalidRequest", text));
    }
    let condition = ReadCondition {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        if_modified_since: input.copy_source_if_modified_since.clone(),
        if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
    };
    // A copy has no 304: every condition that does not hold is a failed one.
    let source = store.read(now, bucket, key, &condition).map_err(|error| match error.status {
        304 => super::errors::precondition_failed("x-amz-copy-source-If-None-Match"),
        _ => error,
    })?;
    let source = done.found(source);
    let attributes =
        if replace { replaced(request, &source.attributes.checksum) } else { (*source.attributes).clone() };
    let condition = destination_condition(&request.headers)?;
    let put = Put { bucket: &input.bucket, key: &input.key, body: source.body, attributes, condition };
    let object = store.put(now, put)?;
    done.object(&object);
    let result = CopyObjectResult {
        e_tag: Some(ETag::Strong(object.etag.to_string())),
        last_modified: Some(object.last_modified_timestamp()),
        ..Default::default()
    };
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        server_side_encryption: Some(object.server_side_encryption()),
        ssekms_key_id: object.key(),
        bucket_key_enabled: object.bucket_key(),
        ..Default::default()
    })
}

fn replaced(request: &S3Request<CopyObjectInput>, checksum: &Checksum) -> Attributes {
    let input = &request.input;
    Attributes {
        content_type: input.content_type.clone(),
        cache_control: input.cache_control.clone(),
        content_disposition: input.content_disposition.clone(),
        content_encoding: input.content_encoding.as_deref().and_then(stored_encoding),
        content_language: input.content_language.clone(),
        expires: input.expires.clone(),
        metadata: metadata(&request.headers),
        checksum: checksum.clone(),
        encryption: None,
    }
}

/// `s3s` does not read the conditions on the destination of a copy.
fn destination_condition(headers: &HeaderMap) -> Result<WriteCondition, AwsError> {
    let read = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => ETagCondition::parse_http_header(value.as_bytes())
            .map(Some)
            .map_err(|_| invalid_argument(format!("{name} is not an entity tag"))),
    };
    Ok(WriteCondition { if_match: read("if-match")?, if_none_match: read("if-none-match")? })
}

pub(super) fn delete_objects(
    store: &mut Store,
    call: &Call,
    done: &mut Done,
    request: &S3Request<DeleteObjectsInput>,
    refused: &[Option<AwsError>],
) -> Result<DeleteObjectsOutput, AwsError> {
    let (bucket, delete) = (&request.input.bucket, &request.input.delete);
    if !checksum::is_claimed(&request.headers) {
        let text = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(AwsError::new("InvalidRequest", text));
    }
    checksum::verify(&call.body, &request.headers, None)?;
    let keys_max = store.bucket(bucket)?.limits.delete_objects_keys;
    if delete.objects.is_empty() || delete.objects.len() as u64 > keys_max {
        return Err(AwsError::new("MalformedXML", super::errors::text_of("MalformedXML")));
    }
    if let Some(other) = delete.objects.iter().find(|object| is_refused(object)) {
        return Err(AwsError::not_modelled(format!("s3 DeleteObjects by version, size or date: {}", other.key)));
    }
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (object, refused) in delete.objects.iter().zip(refused) {
        let condition = object.e_tag.clone().map(ETagCondition::ETag);
        let allowed = refused.clone().map_or(Ok(()), Err);
        match allowed.and_then(|()| store.delete(call.now, bucket, &object.key, condition.as_ref())) {
            Ok(()) => deleted.push(DeletedObject { key: Some(object.key.clone()), ..Default::default() }),
            Err(error) => errors.push(Error {
                code: Some(error.code.to_owned()),
                key: Some(object.key.clone()),
                message: Some(error.message),
                version_id: None,
            }),
        }
    }
    done.objects = Some(deleted.len() as u64);
    let quiet = delete.quiet.unwrap_or(false);
    Ok(DeleteObjectsOutput { deleted: (!quiet).then_some(deleted), errors: Some(errors), request_charged: None })
}

fn is_refused(object: &ObjectIdentifier) -> bool {
    object.version_id.is_some() || object.size.is_some() || object.last_modified_time.is_some()
}
