//! Integrity of bodies: `Content-MD5` and the `x-amz-checksum-*` headers and trailers. `s3s` verifies the signed SHA-256
//! of a body and hands the rest through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumType};

use crate::core::AwsError;

const ALGORITHMS: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "CRC32"),
    ("x-amz-checksum-crc32c", "CRC32C"),
    ("x-amz-checksum-crc64nvme", "CRC64NVME"),
    ("x-amz-checksum-sha1", "SHA1"),
    ("x-amz-checksum-sha256", "SHA256"),
];

/// Checks the body against what the caller says of it, and answers the checksum to keep with the object. `trailers` are
/// those of an aws-chunked body.
pub(super) fn verify(body: &[u8], headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Result<Checksum, AwsError> {
    verify_md5(body, headers)?;
    let mut claims = Vec::new();
    for (header, algorithm) in ALGORITHMS {
        let value = headers.get(header).or_else(|| trailers.and_then(|trailers| trailers.get(header)));
        if let Some(value) = value.and_then(|value| value.to_str().ok()) {
            claims.push((algorithm, value));
        }
    }
    match claims[..] {
        [] => Ok(Checksum::default()),
        [(algorithm, claimed)] => verify_checksum(body, algorithm, claimed),
        _ => {
            let text = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            Err(AwsError::new("InvalidRequest", text))
        }
    }
}

/// Whether a header or a trailer with this name carries a checksum that [`verify`] can check.
pub(super) fn is_checksum(name: &str) -> bool {
    ALGORITHMS.iter().any(|(header, _)| *header == name)
}

/// Whether the caller says anything of the body that [`verify`] can check.
pub(super) fn is_claimed(headers: &HeaderMap) -> bool {
    headers.contains_key("content-md5") || ALGORITHMS.iter().any(|(header, _)| headers.contains_key(*header))
}

fn verify_md5(body: &[u8], headers: &HeaderMap) -> Result<(), AwsError> {
    let Some(value) = headers.get("content-md5") else { return Ok(()) };
    let claimed = STANDARD.decode(value.as_bytes()).unwrap_or_default();
    if claimed.len() != 16 {
        return Err(AwsError::new("InvalidDigest", "The Content-MD5 you specified was invalid."));
    }
    if claimed[..] != Md5::digest(body)[..] {
        return Err(AwsError::new("BadDigest", "The Content-MD5 you specified did not match what we received."));
    }
    Ok(())
}

fn verify_checksum(body: &[u8], algorithm: &'static str, claimed: &str) -> Result<Checksum, AwsError> {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        "CRC32" => hasher.crc32 = Some(Crc32::new()),
        "CRC32C" => hasher.crc32c = Some(Crc32c::new()),
        "CRC64NVME" => hasher.crc64nvme = Some(Crc64Nvme::new()),
        "SHA1" => hasher.sha1 = Some(Sha1::new()),
        _ => hasher.sha256 = Some(Sha256::new()),
    }
    hasher.update(body);
    let mut checksum = hasher.finalize();
    if value_of(&checksum) != Some(claimed) {
        let text = format!("The {algorithm} you specified did not match the calculated checksum.");
        return Err(AwsError::new("BadDigest", text));
    }
    checksum.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    Ok(checksum)
}

fn value_of(checksum: &Checksum) -> Option<&str> {
    let values = [
        &checksum.checksum_crc32,
        &checksum.checksum_crc32c,
        &checksum.checksum_crc64nvme,
        &checksum.checksum_sha1,
        &checksum.checksum_sha256,
    ];
    values.into_iter().find_map(Option::as_deref)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &'static str, value: &str) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header, value.parse().unwrap());
        let checked = verify(b"123456789", &headers, None);
        checked.map(|checksum| value_of(&checksum).map(str::to_owned)).map_err(|e| e.code)
    }

    /// The check values of the CRC catalogue for `123456789`, and RFC 1321 and FIPS 180 digests of the same text.
    #[test]
    fn published_check_values_are_accepted_and_others_are_not() {
        for (header, value) in [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
            ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ] {
            assert_eq!(check(header, value), Ok(Some(value.to_owned())), "{header}");
            assert_eq!(check(header, "AAAAAA=="), Err("BadDigest"), "{header}");
        }
        assert_eq!(check("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="), Ok(None));
        assert_eq!(check("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), Err("BadDigest"));
        assert_eq!(check("content-md5", "short"), Err("InvalidDigest"));
    }
}
