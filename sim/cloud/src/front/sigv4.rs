//! Signature Version 4, checked by an implementation that shares nothing with the SDK's signer.
//!
//! Source: IAM User Guide, "Create a signed AWS API request"; error codes from "STS and IAM" of the AWS facts.
//! Unverified: the tolerated clock skew of 5 minutes; the texts about the scope and about unsigned headers.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use chrono::NaiveDateTime;
use hmac::{Hmac, Mac};
use http::{HeaderMap, Request};
use sha2::{Digest, Sha256};

use super::credentials::{Credential, Credentials};
use crate::core::AwsError;
use world::time::Time;

/// How far a request's date may be from the service's clock (unverified).
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// How a credential scope ends.
const TERMINATOR: &str = "aws4_request";

/// The parts of an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Access key id.
    pub access_key_id: &'a str,
    /// Date of the scope, `yyyymmdd`.
    pub date: &'a str,
    /// Region of the scope.
    pub region: &'a str,
    /// Signing name of the service.
    pub service: &'a str,
    terminator: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Reads the `Authorization` header without checking it.
pub fn authorization(headers: &HeaderMap) -> Result<Authorization<'_>, AwsError> {
    let missing = || AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token").status(403);
    let text = headers.get("authorization").ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let incomplete = |what: &str| {
        AwsError::new("IncompleteSignatureException", format!("Authorization header requires '{what}' parameter."))
            .status(403)
    };
    let rest = text.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(|| incomplete("AWS4-HMAC-SHA256"))?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        match part.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed_headers = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => {}
        }
    }
    let credential = credential.ok_or_else(|| incomplete("Credential"))?;
    let signed_headers = signed_headers.ok_or_else(|| incomplete("SignedHeaders"))?;
    let signature = signature.ok_or_else(|| incomplete("Signature"))?;
    let mut scope = credential.splitn(5, '/');
    let mut next = || scope.next().filter(|part| !part.is_empty()).ok_or_else(|| incomplete("Credential"));
    let (access_key_id, date, region, service, terminator) = (next()?, next()?, next()?, next()?, next()?);
    Ok(Authorization { access_key_id, date, region, service, terminator, signed_headers, signature })
}

/// Checks a request's session, scope, signed headers, date and signature, and answers whose key signed it. `region` is
/// where the service is.
pub fn verify<'c>(
    request: &Request<Bytes>,
    authorization: &Authorization<'_>,
    credentials: &'c Credentials,
    region: &str,
    now: Time,
) -> Result<&'c Credential, AwsError> {
    let unknown =
        || AwsError::new("UnrecognizedClientException", "The security token included in the request is invalid.");
    let credential = credentials.get(authorization.access_key_id).ok_or_else(unknown)?;
    let headers = request.headers();
    if header(headers, "x-amz-security-token") != credential.session_token.as_deref().unwrap_or("") {
        return Err(unknown());
    }
    if credential.expires.is_some_and(|expires| expires <= now) {
        return Err(AwsError::new("ExpiredTokenException", "The security token included in the request is expired"));
    }
    check_scope(authorization, region)?;
    check_signed_headers(headers, authorization.signed_headers)?;
    let amz_date = header(headers, "x-amz-date");
    check_date(amz_date, authorization.date, now)?;
    let expected = signature(request, authorization, &credential.secret_access_key, amz_date);
    if expected != authorization.signature {
        return Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    Ok(credential)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidSignatureException", message)
}

fn check_scope(authorization: &Authorization<'_>, region: &str) -> Result<(), AwsError> {
    if authorization.region != region {
        return Err(invalid("Credential should be scoped to a valid region."));
    }
    if authorization.terminator != TERMINATOR {
        let found = authorization.terminator;
        return Err(invalid(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{found}'."
        )));
    }
    Ok(())
}

/// A header that says where a request goes or what it means must be under the signature.
fn check_signed_headers(headers: &HeaderMap, signed_headers: &str) -> Result<(), AwsError> {
    let signed = |name: &str| signed_headers.split(';').any(|signed| signed == name);
    if !signed("host") {
        return Err(invalid("'Host' must be a 'SignedHeader' in the AWS Authorization."));
    }
    match headers.keys().find(|name| name.as_str().starts_with("x-amz-") && !signed(name.as_str())) {
        Some(name) => Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))),
        None => Ok(()),
    }
}

fn check_date(amz_date: &str, scope_date: &str, now: Time) -> Result<(), AwsError> {
    let parsed = NaiveDateTime::parse_from_str(amz_date, "%Y%m%dT%H%M%SZ")
        .map_err(|_| invalid(format!("Date must be in ISO-8601 'basic format'. Got '{amz_date}'.")))?;
    if !amz_date.starts_with(scope_date) {
        return Err(invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {amz_date}"
        )));
    }
    let signed = Time::from_unix_secs(u64::try_from(parsed.and_utc().timestamp()).unwrap_or(0));
    if now.since(signed).max(signed.since(now)) > CLOCK_SKEW_MAX {
        return Err(invalid(format!("Signature expired or not yet valid: signed at {signed}, it is {now}")));
    }
    Ok(())
}

fn signature(request: &Request<Bytes>, auth: &Authorization<'_>, secret: &str, amz_date: &str) -> String {
    let canonical = canonical_request(request, auth.signed_headers);
    let scope = format!("{}/{}/{}/{TERMINATOR}", auth.date, auth.region, auth.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}", hex::encode(Sha256::digest(&canonical)));
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), auth.date.as_bytes());
    for part in [auth.region, auth.service, TERMINATOR] {
        key = hmac(&key, part.as_bytes());
    }
    hex::encode(hmac(&key, to_sign.as_bytes()))
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn canonical_request(request: &Request<Bytes>, signed_headers: &str) -> String {
    let mut out = String::with_capacity(512);
    let path = request.uri().path();
    let _ = writeln!(out, "{}", request.method());
    let _ = writeln!(out, "{}", encode(if path.is_empty() { "/" } else { path }, true));
    let _ = writeln!(out, "{}", canonical_query(request.uri().query().unwrap_or("")));
    for name in signed_headers.split(';') {
        let values: Vec<&str> =
            request.headers().get_all(name).iter().map(|value| value.to_str().unwrap_or("").trim()).collect();
        let value = if values.is_empty() && name == "host" {
            request.uri().authority().map(|a| a.as_str().to_owned()).unwrap_or_default()
        } else {
            values.join(",")
        };
        let _ = writeln!(out, "{name}:{}", value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let _ = write!(out, "\n{signed_headers}\n{}", hex::encode(Sha256::digest(request.body())));
    out
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> =
        query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// URI-encodes a path once more, as every service but S3 signs it.
fn encode(path: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            b'/' if keep_slash => out.push('/'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Principal;

    const KEY: &str = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request";
    const HEADERS: &str = "content-type;host;x-amz-date";
    const PUBLISHED: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    const NOW: u64 = 1_440_938_160;

    /// The worked example of the IAM User Guide (GET ListUsers, 2015-08-30), with another Authorization header.
    fn example(credential: &str, signed_headers: &str, signature: &str) -> (Request<Bytes>, Credentials) {
        let request = Request::builder()
            .method("GET")
            .uri("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
            .header("host", "iam.amazonaws.com")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("x-amz-date", "20150830T123600Z")
            .header(
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}"
                ),
            )
            .body(Bytes::new())
            .expect("a valid request");
        let mut credentials = Credentials::default();
        credentials.insert(Credential {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
            expires: None,
            principal: Principal::new("arn:aws:iam::123456789012:user/example"),
        });
        (request, credentials)
    }

    fn check(
        (request, credentials): &(Request<Bytes>, Credentials),
        region: &str,
        at_unix_secs: u64,
    ) -> Result<(), AwsError> {
        let auth = authorization(request.headers())?;
        verify(request, &auth, credentials, region, Time::from_unix_secs(at_unix_secs)).map(|_| ())
    }

    fn refused(example: &(Request<Bytes>, Credentials), region: &str, at_unix_secs: u64, expected: &str) {
        let error = check(example, region, at_unix_secs).expect_err(expected);
        assert_eq!(error.code, "InvalidSignatureException", "{error}");
        assert!(error.message.contains(expected), "{error}");
    }

    #[test]
    fn the_published_example_verifies() {
        assert_eq!(check(&example(KEY, HEADERS, PUBLISHED), "us-east-1", NOW), Ok(()));
    }

    #[test]
    fn another_signature_is_refused() {
        refused(&example(KEY, HEADERS, &PUBLISHED.replace('5', "6")), "us-east-1", NOW, "does not match the signature");
    }

    #[test]
    fn a_signature_is_refused_when_the_clocks_differ_by_more_than_the_skew() {
        let example = example(KEY, HEADERS, PUBLISHED);
        assert_eq!(check(&example, "us-east-1", NOW + 300), Ok(()));
        refused(&example, "us-east-1", NOW + 301, "Signature expired");
    }

    #[test]
    fn a_scope_names_the_region_of_the_service_and_ends_as_it_must() {
        refused(&example(KEY, HEADERS, PUBLISHED), "eu-west-1", NOW, "Credential should be scoped to a valid region.");
        for ending in ["aws5_request", "aws4_request/more"] {
            let key = KEY.replace("aws4_request", ending);
            refused(&example(&key, HEADERS, PUBLISHED), "us-east-1", NOW, &format!("not '{ending}'"));
        }
        let error = check(&example("AKIDEXAMPLE/20150830/us-east-1/iam", HEADERS, PUBLISHED), "us-east-1", NOW);
        assert_eq!(error.map_err(|error| error.code), Err("IncompleteSignatureException"));
    }

    #[test]
    fn the_host_and_the_amz_headers_must_be_signed() {
        for (signed, unsigned) in [("content-type;x-amz-date", "'Host'"), ("content-type;host", "'x-amz-date'")] {
            refused(&example(KEY, signed, PUBLISHED), "us-east-1", NOW, unsigned);
        }
    }
}
