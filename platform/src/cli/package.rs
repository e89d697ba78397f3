//! Making the functions' deployment package: build, pack, write, upload.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use platform::deploy::package::{Architecture, GLIBC, Package, check_upload, pack, upload};
use platform::deploy::{Plan, architecture, synth};

use super::{Failed, Target, connection};

/// What to package, and where to.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Request {
    #[command(flatten)]
    target: Target,
    /// Write the zip to this file [default without --upload: bootstrap.zip]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Put the zip where the templates expect it; a bucket that is absent is made
    #[arg(long)]
    upload: bool,
    /// With --upload: overwrite another package under the same key
    #[arg(long, requires = "upload")]
    replace: bool,
    /// Package this program instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Architecture of the functions, x86_64 or arm64 [default: that of the templates]
    #[arg(long, value_parser = parse_architecture)]
    arch: Option<Architecture>,
}

fn parse_architecture(name: &str) -> Result<Architecture, String> {
    Architecture::named(name).ok_or_else(|| "expected x86_64 or arm64".to_owned())
}

pub(super) fn run(request: &Request) -> Result<ExitCode, Failed> {
    let plan = request.target.plan()?;
    let of_templates = Architecture::named(architecture(&plan));
    let architecture = request.arch.or(of_templates).unwrap_or(Architecture::X86_64);
    if of_templates != Some(architecture) && !request.upload {
        eprintln!(
            "warning: the templates' functions run on {}, this package is for {architecture}",
            self::architecture(&plan)
        );
    }
    if request.upload {
        // Before a build of minutes.
        let work = async |config| check_upload(&config, &plan, architecture).await;
        connection::with(&plan.region, work)?.map_err(Failed::work)?;
    }
    let binary = match &request.binary {
        Some(path) => path.clone(),
        None => build(architecture)?,
    };
    let content = fs::read(&binary).map_err(|error| {
        Failed::usage(format!("cannot read {}: {error}\n  hint: --binary takes a program", binary.display()))
    })?;
    let package =
        pack(&content, architecture).map_err(|error| Failed::work(format!("{}: {error}", binary.display())))?;
    if request.upload && !package.obstacles.is_empty() {
        return Err(Failed::work(format!("{}: {}", binary.display(), package.obstacles.join("\n"))));
    }
    for warning in package.obstacles.iter().chain(&package.warnings) {
        eprintln!("warning: {warning}");
    }
    let default = (!request.upload).then(|| PathBuf::from("bootstrap.zip"));
    if let Some(out) = request.out.clone().or(default) {
        synth::replace(&out, &package.bytes).map_err(|error| {
            Failed::work(format!(
                "cannot write {}: {error}\n  hint: --out takes a file in a folder that exists",
                out.display()
            ))
        })?;
        println!("wrote     {}", out.display());
    }
    println!("zipped    {} bytes", package.bytes.len());
    println!("unzipped  {} bytes", package.unzipped);
    println!("sha256    {}", package.sha256);
    if request.upload {
        put(&plan, &package, request.replace)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn put(plan: &Plan, package: &Package, replace: bool) -> Result<(), Failed> {
    let work = async |config| upload(&config, plan, package, replace).await;
    let uploaded = connection::with(&plan.region, work)?.map_err(Failed::work)?;
    if uploaded.is_empty() {
        println!("no function of these stacks needs a package");
    }
    for place in uploaded {
        if place.bucket_made {
            println!("made      s3://{}", place.artifact.bucket);
        }
        let what = if place.was_there { "was there" } else { "uploaded" };
        println!("{what:<9} s3://{}/{}", place.artifact.bucket, place.artifact.key);
        place.not_checked.iter().for_each(|what| eprintln!("not checked: {what}"));
    }
    Ok(())
}

/// Builds this program for the runtime of the functions. Answers where it is.
fn build(architecture: Architecture) -> Result<PathBuf, Failed> {
    let installed =
        Command::new("cargo-zigbuild").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err(Failed::usage(
            "cargo-zigbuild is not installed, so this program cannot be built for Lambda's C library\n  \
             hint: `pip install cargo-zigbuild ziglang`, or hand in a program with --binary",
        ));
    }
    let folder = target_folder()?;
    let (major, minor) = GLIBC;
    let target = architecture.target();
    let status = Command::new("cargo")
        .args(["zigbuild", "--release", "--package", "platform", "--bin", "platform"])
        .args(["--target", &format!("{target}.{major}.{minor}")])
        .env("RUSTFLAGS", "")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .status();
    match status {
        Ok(status) if status.success() => Ok(folder.join(target).join("release/platform")),
        Ok(status) => Err(Failed::work(format!(
            "the build for {target} failed ({status})\n  hint: read its messages above; `rustup target add {target}` adds the \
             target"
        ))),
        Err(error) => Err(Failed::work(format!("cannot run cargo: {error}\n  hint: install Rust with rustup"))),
    }
}

/// Where cargo puts what it builds for the repository of the current folder.
fn target_folder() -> Result<PathBuf, Failed> {
    let hint = "run this in the folder of the platform's sources, or hand in a program with --binary";
    let output = Command::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output =
        output.map_err(|error| Failed::work(format!("cannot run cargo: {error}\n  hint: install Rust with rustup")))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let has_platform = packages.into_iter().any(|package| package["name"] == "platform");
    match metadata["target_directory"].as_str() {
        Some(folder) if has_platform => Ok(Path::new(folder).to_owned()),
        _ => Err(Failed::usage(format!("the current folder has no sources of the platform\n  hint: {hint}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_program_is_packaged_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (binary, out) = (folder.path().join("program"), folder.path().join("bootstrap.zip"));
        let request = Request { binary: Some(binary.clone()), out: Some(out.clone()), ..Request::default() };
        let Err(Failed(code, message)) = run(&request) else { panic!("there is no program") };
        assert!(code == 2 && message.contains("hint: "), "{message}");
        fs::write(&binary, "#!/bin/sh").unwrap();
        let Err(Failed(code, message)) = run(&request) else { panic!("this is no program") };
        assert!(code == 1 && message.contains("no 64-bit Linux program") && message.contains("hint: "), "{message}");
        assert!(!out.exists());
        // 64 bits, little end first; a program of the machine x86_64 with a first instruction.
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([3, 0, 62, 0, 1, 0, 0, 0, 64, 1, 2, 3, 0, 0, 0, 0]);
        fs::write(&binary, elf).unwrap();
        assert_eq!(run(&request).unwrap(), ExitCode::SUCCESS);
        assert!(fs::read(&out).unwrap().starts_with(b"PK"));
    }
}
