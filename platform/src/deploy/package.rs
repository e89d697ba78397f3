//! The functions' deployment package: the platform's binary, named `bootstrap`, in a zip.

use std::fmt;
use std::io::{Cursor, Write as _};
use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::artifact::{self, Artifact};
use super::aws::Aws;
use super::bucket;
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
/// Longest time of one attempt to upload a package: on a slow line, tens of megabytes take minutes.
const UPLOAD_WITHIN: Duration = Duration::from_secs(1800);
/// The C library of the runtime `provided.al2023` (Amazon Linux 2023).
pub const GLIBC: (u32, u32) = (2, 34);

/// Where the sizes of a 64-bit ELF file are told, the byte order, the kind of file, its machine and its first instruction.
const ELF_64: &[u8] = b"\x7fELF\x02\x01";
const ELF_KIND: usize = 16;
const ELF_MACHINE: usize = 18;
const ELF_ENTRY: std::ops::Range<usize> = 24..32;
/// Kinds of ELF files that can be started: with fixed addresses, and without.
const EXECUTABLE: [u16; 2] = [2, 3];

/// What production builds carry.
#[cfg(production)]
static MARK: [u8; 25] = *b"platform-build:production";
/// The mark backwards, so that looking for it leaves none in a build that is not marked.
const MARK_BACKWARDS: &[u8; 25] = b"noitcudorp:dliub-mroftalp";

/// Puts the mark of production builds into the program that calls this, so that [`pack`] knows it. Other builds, which
/// have no connection to AWS and serve no function, get none.
pub fn mark() {
    #[cfg(production)]
    std::hint::black_box(&MARK);
}

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
    /// Why Lambda cannot start it, each with a hint. It can be looked at and started elsewhere, and is not uploaded.
    pub obstacles: Vec<String>,
    /// What is worth knowing and no obstacle.
    pub warnings: Vec<String>,
}

/// A binary that makes no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is not a program for the functions' architecture.
    #[error("this is no 64-bit Linux program for {wanted}\n  hint: build it for {}, or let `platform package` build it", wanted.target())]
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
    if !is_program(binary, architecture) {
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
    let (mut obstacles, mut warnings) = (Vec::new(), Vec::new());
    if !is_production(binary) {
        obstacles.push(
            "this is no production build of the platform: it serves no function\n  \
             hint: let `platform package` build it, or build it with RUSTFLAGS=\"\""
                .to_owned(),
        );
    }
    if let Some((major, minor)) = needs_glibc(binary).filter(|needed| *needed > GLIBC) {
        let (has_major, has_minor) = GLIBC;
        obstacles.push(format!(
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
    Ok(Package { bytes, sha256, unzipped: binary.len(), obstacles, warnings })
}

/// Whether this is a program for an architecture: not a library or an object file, which have no first instruction.
fn is_program(binary: &[u8], architecture: Architecture) -> bool {
    let half = |at: usize| binary.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    binary.starts_with(ELF_64)
        && half(ELF_KIND).is_some_and(|kind| EXECUTABLE.contains(&kind))
        && half(ELF_MACHINE) == Some(architecture.machine())
        && binary.get(ELF_ENTRY).is_some_and(|entry| entry.iter().any(|byte| *byte != 0))
}

/// Whether a binary carries the mark of production builds.
fn is_production(binary: &[u8]) -> bool {
    // Hidden from the compiler, which could otherwise write the mark down the right way round.
    let backwards: &[u8; 25] = std::hint::black_box(MARK_BACKWARDS);
    let found = |window: &[u8]| window.iter().eq(backwards.iter().rev());
    binary.windows(backwards.len()).any(|window| window[0] == b'p' && found(window))
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
    /// Settings of the bucket that the caller could not make sure of.
    pub not_checked: Vec<String>,
}

/// An upload that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The account could not be used.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Lambda could not start it.
    #[error("{0}")]
    NotStartable(String),
    /// The package is for another architecture than the functions.
    #[error(
        "the functions of these stacks run on {wanted}, the package is for {found}\n  hint: leave out --arch, or set the \
         architecture in the settings"
    )]
    WrongArchitecture {
        /// The functions' architecture.
        wanted: String,
        /// The package's architecture.
        found: Architecture,
    },
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

/// Checks that a package for this architecture can be put where the templates of a plan expect it, as far as that can be
/// told before there is one: credentials, account, Region, the package's place.
pub async fn check_upload(config: &SdkConfig, plan: &Plan, architecture: Architecture) -> Result<(), UploadError> {
    let wanted = artifact::architecture(plan);
    if wanted != architecture.to_string() {
        return Err(UploadError::WrongArchitecture { wanted: wanted.to_owned(), found: architecture });
    }
    let aws = Aws::new(config)?;
    let identity = aws.identity_for(plan).await?;
    artifact::artifacts(plan, &identity.account)?;
    Ok(())
}

/// Puts a package where the templates of a plan expect it. A bucket that is absent is made: private, versioned, by TLS
/// only; one that is there is given what it lacks of that.
pub async fn upload(
    config: &SdkConfig,
    plan: &Plan,
    package: &Package,
    replace: bool,
) -> Result<Vec<Uploaded>, UploadError> {
    if !package.obstacles.is_empty() {
        return Err(UploadError::NotStartable(package.obstacles.join("\n")));
    }
    let aws = Aws::new(config)?;
    let identity = aws.identity_for(plan).await?;
    let mut uploaded = Vec::new();
    for artifact in artifact::artifacts(plan, &identity.account)? {
        let owner = identity.account.as_str();
        let (bucket_made, not_checked) = bucket::complete(&aws, &artifact.bucket, owner).await?;
        let call = aws.s3.head_object().bucket(&artifact.bucket).key(&artifact.key).expected_bucket_owner(owner);
        let there = match call.send().await {
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
            put(&aws, &artifact, owner, package).await?;
        }
        uploaded.push(Uploaded { artifact, bucket_made, was_there, not_checked });
    }
    Ok(uploaded)
}

async fn put(aws: &Aws, artifact: &Artifact, owner: &str, package: &Package) -> Result<(), CallError> {
    let Artifact { bucket, key } = artifact;
    let patient = TimeoutConfig::builder().operation_attempt_timeout(UPLOAD_WITHIN).build();
    let call = aws
        .s3
        .put_object()
        .bucket(bucket)
        .key(key)
        .expected_bucket_owner(owner)
        .content_type("application/zip")
        .metadata(artifact::SHA256, &package.sha256)
        .body(package.bytes.clone().into())
        .customize()
        .config_override(aws_sdk_s3::config::Builder::new().timeout_config(patient));
    call.send().await.map_err(|error| CallError::of(format!("putting the package to s3://{bucket}/{key}"), &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// An ELF file of this kind and machine, with the mark of production builds.
    fn elf(kind: u16, machine: u16, tail: &[u8]) -> Vec<u8> {
        let mut elf = ELF_64.to_vec();
        elf.resize(ELF_KIND, 0);
        elf.extend(kind.to_le_bytes());
        elf.extend(machine.to_le_bytes());
        elf.resize(ELF_ENTRY.start, 0);
        elf.extend(0x1000_u64.to_le_bytes());
        elf.extend(MARK_BACKWARDS.iter().rev());
        elf.extend(tail);
        elf
    }

    fn program(machine: u16, tail: &[u8]) -> Vec<u8> {
        elf(3, machine, tail)
    }

    #[test]
    fn the_same_binary_gives_the_same_bytes_with_one_executable_entry() {
        let binary = program(62, &[7; 10_000]);
        let package = pack(&binary, Architecture::X86_64).unwrap();
        assert_eq!(package, pack(&binary, Architecture::X86_64).unwrap());
        assert!(package.warnings.is_empty() && package.obstacles.is_empty(), "{package:?}");
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
    fn what_is_no_program_of_the_architecture_is_not_packed() {
        let wide = program(62, &[]);
        let changed = |at: usize, byte: u8| {
            let mut binary = wide.clone();
            binary[at] = byte;
            binary
        };
        let mut library = wide.clone();
        library[ELF_ENTRY].fill(0);
        for (what, binary, architecture, expected) in [
            ("a script", b"#!/bin/sh".to_vec(), Architecture::X86_64, "no 64-bit Linux program for x86_64"),
            ("another machine", wide.clone(), Architecture::Arm64, "no 64-bit Linux program for arm64"),
            ("32 bits", changed(4, 1), Architecture::X86_64, "no 64-bit Linux program"),
            ("another byte order", changed(5, 2), Architecture::X86_64, "no 64-bit Linux program"),
            ("an object file", changed(ELF_KIND, 1), Architecture::X86_64, "no 64-bit Linux program"),
            ("a library", library, Architecture::X86_64, "no 64-bit Linux program"),
            ("half a header", wide[..20].to_vec(), Architecture::X86_64, "no 64-bit Linux program"),
            ("too large", program(183, &vec![0; UNZIPPED_MAX]), Architecture::Arm64, "at most 262144000"),
        ] {
            let message = pack(&binary, architecture).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("hint: "), "{what}: {message}");
        }
        assert!(pack(&elf(2, 62, &[]), Architecture::X86_64).is_ok(), "fixed addresses are fine");
    }

    #[test]
    fn what_lambda_would_not_start_is_an_obstacle() {
        let obstacles = |binary: &[u8]| pack(binary, Architecture::X86_64).unwrap().obstacles;
        assert_eq!(obstacles(&program(62, b"..GLIBC_2.17\0GLIBC_2.34\0")), Vec::<String>::new());
        let new = obstacles(&program(62, b"GLIBC_2.17\0GGLIBC_2.36\0GLIBC_PRIVATE\0"));
        assert!(new.len() == 1 && new[0].starts_with("the binary needs glibc 2.36"), "{new:?}");
        let mut unmarked = program(62, &[]);
        unmarked[ELF_ENTRY.end] = b'q';
        let simulated = obstacles(&unmarked);
        assert!(simulated.len() == 1 && simulated[0].contains("no production build"), "{simulated:?}");
        assert!(simulated[0].contains("hint: "), "{simulated:?}");
    }

    #[cfg(not(production))]
    #[test]
    fn a_build_that_is_not_for_production_carries_no_mark() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        mark();
        assert!(!is_production(&own));
    }
}
