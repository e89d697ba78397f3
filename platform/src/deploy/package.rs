//! The functions' deployment package: the platform's binary, named `bootstrap`, in a zip.

use std::fmt;
use std::io::{Cursor, Write as _};

use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    VersioningConfiguration,
};
use aws_types::SdkConfig;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::artifact::{self, Artifact};
use super::aws::Aws;
use super::error::{CallError, DeployError};
use super::plan::Plan;
use crate::digest::sha256_hex;

/// Name of the only file of a package.
pub const BOOTSTRAP: &str = "bootstrap";
/// Most bytes of the unpacked content (Lambda guide, "Quotas": 250 MB; counted in units of 1,024, as Lambda's own error
/// message counts them).
pub const UNZIPPED_MAX: usize = 250 * 1024 * 1024;
/// Most bytes of a package that is handed over in a call (the same page: 50 MB). From S3 it may be larger.
pub const ZIPPED_MAX: usize = 50 * 1024 * 1024;
/// The C library of the runtime `provided.al2023` (Amazon Linux 2023).
pub const GLIBC: (u32, u32) = (2, 34);

/// What the functions run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`.
    X86_64,
    /// `arm64`.
    Arm64,
}

impl Architecture {
    /// The architecture that Lambda calls like this.
    pub fn named(name: &str) -> Option<Self> {
        [Architecture::X86_64, Architecture::Arm64].into_iter().find(|architecture| architecture.to_string() == name)
    }

    /// What Rust calls it, on the C library of the runtime.
    pub fn target(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64-unknown-linux-gnu",
            Architecture::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// `e_machine` of an ELF file.
    fn machine(self) -> u16 {
        match self {
            Architecture::X86_64 => 62,
            Architecture::Arm64 => 183,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        })
    }
}

/// A deployment package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The zip.
    pub bytes: Vec<u8>,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Size of the binary in bytes.
    pub unzipped: usize,
    /// What does not keep the package from being used, but may keep it from working.
    pub warnings: Vec<String>,
}

/// A binary that makes no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is not a program for the functions' architecture.
    #[error("this is no Linux program for {wanted}\n  hint: build it for {}, or let `platform package` build it", wanted.target())]
    WrongProgram {
        /// The functions' architecture.
        wanted: Architecture,
    },
    /// It is too large.
    #[error(
        "the binary has {size} bytes, Lambda takes at most {UNZIPPED_MAX}\n  hint: build it with --release, and strip it"
    )]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The zip could not be written.
    #[error("the zip could not be written: {0}\n  hint: this is a defect of the zip library or of memory")]
    Zip(#[from] zip::result::ZipError),
}

/// Packs a binary. The same binary always gives the same bytes.
pub fn pack(binary: &[u8], architecture: Architecture) -> Result<Package, PackageError> {
    let machine = binary.get(18..20).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    if !binary.starts_with(b"\x7fELF") || machine != Some(architecture.machine()) {
        return Err(PackageError::WrongProgram { wanted: architecture });
    }
    if binary.len() > UNZIPPED_MAX {
        return Err(PackageError::TooLarge { size: binary.len() });
    }
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(binary).map_err(zip::result::ZipError::from)?;
    let bytes = zip.finish()?.into_inner();
    let sha256 = sha256_hex(&bytes);
    let mut warnings = Vec::new();
    if let Some((major, minor)) = needs_glibc(binary).filter(|needed| *needed > GLIBC) {
        let (has_major, has_minor) = GLIBC;
        warnings.push(format!(
            "the binary needs glibc {major}.{minor}, provided.al2023 has {has_major}.{has_minor}: it will not start there\n  \
             hint: let `platform package` build it, through cargo-zigbuild"
        ));
    }
    if bytes.len() > ZIPPED_MAX {
        warnings.push(format!(
            "the package has {} bytes; more than {ZIPPED_MAX} can be handed to Lambda through S3 only, as these stacks do",
            bytes.len()
        ));
    }
    Ok(Package { bytes, sha256, unzipped: binary.len(), warnings })
}

/// The newest version of the C library whose symbols a binary names.
fn needs_glibc(binary: &[u8]) -> Option<(u32, u32)> {
    const PREFIX: &[u8] = b"GLIBC_";
    let mut newest = None;
    let mut rest = binary;
    while let Some(at) = rest.iter().position(|byte| *byte == b'G') {
        rest = &rest[at..];
        if let Some(version) = rest.strip_prefix(PREFIX) {
            let end = version.iter().take(8).position(|byte| *byte == 0).unwrap_or(0);
            let text = std::str::from_utf8(&version[..end]).unwrap_or_default();
            let mut parts = text.split('.').map(|part| part.parse().ok());
            if let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) {
                newest = newest.max(Some((major, minor)));
            }
        }
        rest = &rest[1..];
    }
    newest
}

/// What became of a package's upload to one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The place.
    pub artifact: Artifact,
    /// Whether the bucket was made for it.
    pub bucket_made: bool,
    /// Whether the same package was there already.
    pub was_there: bool,
}

/// An upload that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The account could not be used.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Another package has the key.
    #[error(
        "s3://{bucket}/{key} holds another package\n  hint: set `artifact_key` in the settings to a new key, so that \
         CloudFormation sees the change; --replace overwrites it, and functions that exist keep their old code"
    )]
    Taken {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
    },
}

impl From<CallError> for UploadError {
    fn from(error: CallError) -> Self {
        UploadError::Deploy(error.into())
    }
}

/// Puts a package where the templates of a plan expect it. A bucket that is absent is made: private, versioned, by TLS
/// only.
pub async fn upload(
    config: &SdkConfig,
    plan: &Plan,
    package: &Package,
    replace: bool,
) -> Result<Vec<Uploaded>, UploadError> {
    let aws = Aws::new(config).map_err(UploadError::Deploy)?;
    let identity = aws.identity_for(plan).await?;
    let mut uploaded = Vec::new();
    for artifact in artifact::artifacts(plan, &identity.account)? {
        let bucket_made = make_bucket(&aws, &artifact.bucket).await?;
        let there = match aws.s3.head_object().bucket(&artifact.bucket).key(&artifact.key).send().await {
            Ok(answer) => Some(answer.metadata().and_then(|metadata| metadata.get(artifact::SHA256)).cloned()),
            Err(error) if artifact::is_missing(&error) => None,
            Err(error) => {
                return Err(
                    CallError::of(format!("looking for s3://{}/{}", artifact.bucket, artifact.key), &error).into()
                );
            }
        };
        let was_there = there.as_ref().is_some_and(|sha256| sha256.as_deref() == Some(package.sha256.as_str()));
        if there.is_some() && !was_there && !replace {
            return Err(UploadError::Taken { bucket: artifact.bucket, key: artifact.key });
        }
        if !was_there {
            put(&aws, &artifact, package).await?;
        }
        uploaded.push(Uploaded { artifact, bucket_made, was_there });
    }
    Ok(uploaded)
}

async fn put(aws: &Aws, artifact: &Artifact, package: &Package) -> Result<(), CallError> {
    let Artifact { bucket, key } = artifact;
    let call = aws
        .s3
        .put_object()
        .bucket(bucket)
        .key(key)
        .content_type("application/zip")
        .metadata(artifact::SHA256, &package.sha256)
        .body(package.bytes.clone().into());
    call.send().await.map_err(|error| CallError::of(format!("putting the package to s3://{bucket}/{key}"), &error))?;
    Ok(())
}

/// Makes the bucket of packages unless it is there. Answers whether it was made.
async fn make_bucket(aws: &Aws, bucket: &str) -> Result<bool, CallError> {
    match aws.s3.head_bucket().bucket(bucket).send().await {
        Ok(_) => return Ok(false),
        Err(error) if artifact::is_missing(&error) => {}
        Err(error) => return Err(CallError::of(format!("looking for the bucket {bucket}"), &error)),
    }
    // S3 takes every Region but the first as a constraint.
    let elsewhere = (aws.region != "us-east-1").then(|| {
        let constraint = BucketLocationConstraint::from(aws.region.as_str());
        CreateBucketConfiguration::builder().location_constraint(constraint).build()
    });
    let made = aws.s3.create_bucket().bucket(bucket).set_create_bucket_configuration(elsewhere).send().await;
    made.map_err(|error| CallError::of(format!("making the bucket {bucket}"), &error))?;
    let private = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let set = aws.s3.put_public_access_block().bucket(bucket).public_access_block_configuration(private).send().await;
    set.map_err(|error| CallError::of(format!("making the bucket {bucket} private"), &error))?;
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let set = aws.s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned).send().await;
    set.map_err(|error| CallError::of(format!("turning on the versions of the bucket {bucket}"), &error))?;
    let set = aws.s3.put_bucket_policy().bucket(bucket).policy(tls_only(bucket, &aws.region)).send().await;
    set.map_err(|error| CallError::of(format!("setting the policy of the bucket {bucket}"), &error))?;
    Ok(true)
}

fn tls_only(bucket: &str, region: &str) -> String {
    let arn = format!("arn:{}:s3:::{bucket}", artifact::partition(region));
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn program(machine: u16, tail: &[u8]) -> Vec<u8> {
        let mut elf = b"\x7fELF".to_vec();
        elf.resize(18, 0);
        elf.extend(machine.to_le_bytes());
        elf.extend(tail);
        elf
    }

    #[test]
    fn the_same_binary_gives_the_same_bytes_with_one_executable_entry() {
        let binary = program(62, &[7; 10_000]);
        let package = pack(&binary, Architecture::X86_64).unwrap();
        assert_eq!(package, pack(&binary, Architecture::X86_64).unwrap());
        assert!(package.warnings.is_empty(), "{:?}", package.warnings);
        let mut zip = zip::ZipArchive::new(Cursor::new(package.bytes)).unwrap();
        assert_eq!(zip.len(), 1);
        let mut entry = zip.by_index(0).unwrap();
        assert_eq!((entry.name(), entry.unix_mode().map(|mode| mode & 0o777)), (BOOTSTRAP, Some(0o755)));
        assert_eq!(entry.last_modified(), Some(DateTime::default()));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, binary);
    }

    #[test]
    fn what_lambda_would_not_start_is_refused_or_warned_of() {
        for (binary, architecture, expected) in [
            (b"#!/bin/sh".to_vec(), Architecture::X86_64, "no Linux program for x86_64"),
            (program(62, &[]), Architecture::Arm64, "no Linux program for arm64"),
            (program(183, &vec![0; UNZIPPED_MAX]), Architecture::Arm64, "at most 262144000"),
        ] {
            let message = pack(&binary, architecture).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("hint: "), "{message}");
        }
        let old = pack(&program(62, b"..GLIBC_2.17\0GLIBC_2.34\0"), Architecture::X86_64).unwrap();
        assert!(old.warnings.is_empty(), "{:?}", old.warnings);
        let new = pack(&program(62, b"GLIBC_2.17\0GGLIBC_2.36\0GLIBC_PRIVATE\0"), Architecture::X86_64).unwrap();
        assert!(new.warnings[0].starts_with("the binary needs glibc 2.36"), "{:?}", new.warnings);
    }
}
