//! Who may call, how a bucket is addressed, and which headers have a meaning here.
//!
//! The signature itself is verified by `s3s`. `s3s` also compares the date of a request with `SystemTime::now`, which is
//! simulated time inside a simulation and wall time outside; so that comparison is configured away, and the date is
//! compared with the instant of the call. Sources: "Wire" of the AWS facts on S3; the skew of 15 minutes, the check of
//! the region and the texts are unverified.

use std::time::Duration;

use bytes::Bytes;
use chrono::NaiveDateTime;
use http::{HeaderMap, Request};
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use url::form_urlencoded;

use super::checksum;
use super::errors::{access_denied, into_s3_error};
use super::state::{Shared, State};
use crate::core::{AccountInfo, AwsError};
use crate::front::sigv4;
use world::time::Time;

/// How far a request's date may be from the clock (unverified).
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// The operations of this service; every other one is refused.
const MODELLED: [&str; 10] = [
    "CopyObject",
    "DeleteObject",
    "DeleteObjects",
    "GetBucketLocation",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListObjectsV2",
    "PutObject",
];

/// Everything about a request's key that can be said before its signature is verified.
pub(super) fn admit(state: &State, account: &AccountInfo, now: Time, request: &Request<Bytes>) -> Result<(), AwsError> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let query = request.uri().query().unwrap_or("");
    if query.split('&').any(|pair| pair.starts_with("X-Amz-Signature=") || pair.starts_with("Signature=")) {
        return Err(AwsError::not_modelled("s3: presigned URLs"));
    }
    if text("content-type").starts_with("multipart/form-data") {
        return Err(AwsError::not_modelled("s3 PostObject"));
    }
    match text("authorization") {
        "" => return Err(access_denied()),
        v2 if v2.starts_with("AWS ") => return Err(AwsError::not_modelled("s3: Signature Version 2")),
        _ => {}
    }
    let malformed = |why: String| {
        AwsError::new("AuthorizationHeaderMalformed", format!("The authorization header is malformed; {why}"))
    };
    let auth = sigv4::authorization(headers).map_err(|error| malformed(error.message))?;
    if auth.service != "s3" {
        return Err(malformed(format!("incorrect service \"{}\". This endpoint belongs to \"s3\".", auth.service)));
    }
    if auth.region != account.region {
        let why = format!("the region '{}' is wrong; expecting '{}'", auth.region, account.region);
        return Err(malformed(why).with("Region", account.region.clone()));
    }
    let credential = state.credentials.get(auth.access_key_id).ok_or_else(unknown_key)?;
    if text("x-amz-security-token") != credential.session_token.as_deref().unwrap_or("") {
        return Err(AwsError::new("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    if credential.expires.is_some_and(|expires| expires <= now) {
        return Err(AwsError::new("ExpiredToken", "The provided token has expired."));
    }
    check_date(text("x-amz-date"), now)
}

fn unknown_key() -> AwsError {
    AwsError::new("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.").status(403)
}

fn check_date(amz_date: &str, now: Time) -> Result<(), AwsError> {
    let signed = NaiveDateTime::parse_from_str(amz_date, "%Y%m%dT%H%M%SZ").map_err(|_| {
        AwsError::new("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header").status(403)
    })?;
    let signed = Time::from_unix_secs(u64::try_from(signed.and_utc().timestamp()).unwrap_or(0));
    if now.since(signed).max(signed.since(now)) > CLOCK_SKEW_MAX {
        let text = "The difference between the request time and the current time is too large.";
        return Err(AwsError::new("RequestTimeTooSkewed", text).status(403));
    }
    Ok(())
}

/// Gives `s3s` the secrets of the account.
pub(super) struct Keys(pub(super) Shared);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let state = self.0.lock();
        let credential = state.credentials.get(access_key).ok_or_else(|| into_s3_error(&unknown_key()))?;
        Ok(SecretKey::from(credential.secret_access_key.as_str()))
    }
}

/// Refuses what is not modelled, once the signature is verified.
pub(super) struct Door(pub(super) Shared);

#[async_trait::async_trait]
impl S3Access for Door {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let mut state = self.0.lock();
        let name = cx.s3_op().name();
        let modelled = MODELLED.iter().find(|operation| **operation == name);
        state.call.operation = modelled.copied();
        let result = match (cx.credentials(), modelled) {
            (None, _) => Err(access_denied()),
            (_, None) => Err(AwsError::not_modelled(format!("s3 {name}"))),
            _ => check_headers(cx.headers(), &state.call.account.id).and_then(|()| check_query(cx.uri().query())),
        };
        result.map_err(|error| into_s3_error(&error))
    }
}

/// Headers without a meaning here are refused by name, never ignored.
fn check_headers(headers: &HeaderMap, account_id: &str) -> Result<(), AwsError> {
    for (name, value) in headers {
        let name = name.as_str();
        let value = value.to_str().unwrap_or("");
        match name {
            "x-amz-acl" if value == "bucket-owner-full-control" => {}
            "x-amz-acl" => {
                return Err(AwsError::new("AccessControlListNotSupported", "The bucket does not allow ACLs"));
            }
            "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner" if value != account_id => {
                return Err(access_denied());
            }
            "x-amz-server-side-encryption" if value != "AES256" => return Err(not_modelled(name, value)),
            "x-amz-storage-class" if value != "STANDARD" => return Err(not_modelled(name, value)),
            "x-amz-trailer" if !value.split(',').all(|name| checksum::is_checksum(&name.trim().to_lowercase())) => {
                return Err(not_modelled(name, value));
            }
            _ if name.starts_with("x-amz-grant-") => {
                return Err(AwsError::new("AccessControlListNotSupported", "The bucket does not allow ACLs"));
            }
            _ if name.starts_with("x-amz-") && !is_known(name) => return Err(not_modelled(name, value)),
            _ => {}
        }
    }
    Ok(())
}

fn not_modelled(name: &str, value: &str) -> AwsError {
    AwsError::not_modelled(format!("s3: the header {name}: {value}"))
}

fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 20] = [
        "x-amz-checksum-mode",
        "x-amz-checksum-type",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-expected-bucket-owner",
        "x-amz-metadata-directive",
        "x-amz-request-payer",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-security-token",
        "x-amz-server-side-encryption",
        "x-amz-source-expected-bucket-owner",
        "x-amz-storage-class",
        "x-amz-trailer",
        "x-amz-user-agent",
    ];
    KNOWN.contains(&name) || name.starts_with(super::METADATA_PREFIX) || checksum::is_checksum(name)
}

/// Parameters that would change the answer are refused by name, never ignored.
fn check_query(query: Option<&str>) -> Result<(), AwsError> {
    for (name, _) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
        if matches!(&*name, "versionId" | "partNumber") || name.starts_with("response-") {
            return Err(AwsError::not_modelled(format!("s3: the parameter {name}")));
        }
    }
    Ok(())
}

/// `{bucket}.s3.{region}.amazonaws.com` and `{bucket}.s3.amazonaws.com`; every other host is path style.
pub(super) struct AwsHosts;

impl S3Host for AwsHosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match bucket_of(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

fn bucket_of(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let service = name.strip_suffix(".amazonaws.com")?;
    service.rfind(".s3.").map(|at| &service[..at]).or_else(|| service.strip_suffix(".s3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_buckets_as_on_aws() {
        for (host, bucket) in [
            ("lake.s3.eu-west-1.amazonaws.com", Some("lake")),
            ("lake.s3.eu-west-1.amazonaws.com:443", Some("lake")),
            ("my.s3.lake.s3.eu-west-1.amazonaws.com", Some("my.s3.lake")),
            ("lake.s3.amazonaws.com", Some("lake")),
            ("s3.eu-west-1.amazonaws.com", None),
            ("s3.amazonaws.com", None),
            ("localhost:9000", None),
        ] {
            assert_eq!(bucket_of(host), bucket, "{host}");
        }
    }

    #[test]
    fn headers_without_a_meaning_are_refused_by_name() {
        for (name, value, expected) in [
            ("x-amz-meta-anything", "x", Ok(())),
            ("content-type", "text/plain", Ok(())),
            ("x-amz-storage-class", "STANDARD", Ok(())),
            ("x-amz-storage-class", "GLACIER", Err("NotImplemented")),
            ("x-amz-tagging", "a=b", Err("NotImplemented")),
            ("x-amz-server-side-encryption", "aws:kms", Err("NotImplemented")),
            ("x-amz-server-side-encryption-customer-key", "x", Err("NotImplemented")),
            ("x-amz-checksum-crc32c", "x", Ok(())),
            ("x-amz-checksum-mode", "ENABLED", Ok(())),
            ("x-amz-checksum-type", "FULL_OBJECT", Ok(())),
            ("x-amz-checksum-algorithm", "SHA256", Err("NotImplemented")),
            ("x-amz-checksum-xxhash64", "x", Err("NotImplemented")),
            ("x-amz-sdk-checksum-algorithm", "CRC32", Ok(())),
            ("x-amz-trailer", "x-amz-checksum-crc32", Ok(())),
            ("x-amz-trailer", "x-amz-checksum-xxhash64", Err("NotImplemented")),
            ("x-amz-acl", "public-read", Err("AccessControlListNotSupported")),
            ("x-amz-expected-bucket-owner", "123456789012", Ok(())),
            ("x-amz-expected-bucket-owner", "210987654321", Err("AccessDenied")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(check_headers(&headers, "123456789012").map_err(|e| e.code), expected, "{name}: {value}");
        }
    }

    #[test]
    fn parameters_that_would_change_the_answer_are_refused_by_name() {
        for (query, refused) in [
            ("", None),
            ("x-id=GetObject&prefix=response-", None),
            ("versionId=v", Some("versionId")),
            ("x-id=GetObject&partNumber=1", Some("partNumber")),
            ("response-content-type=text%2Fplain", Some("response-content-type")),
            ("x-id=GetObject&response%2Dexpires=0", Some("response-expires")),
            ("response-anything", Some("response-anything")),
        ] {
            let error = check_query(Some(query)).err();
            assert_eq!(error.is_some(), refused.is_some(), "{query}");
            let (Some(error), Some(refused)) = (error, refused) else { continue };
            assert_eq!(error.code, "NotImplemented", "{query}");
            assert!(error.message.contains(refused), "{query}: {error}");
        }
        assert_eq!(check_query(None), Ok(()));
    }
}
