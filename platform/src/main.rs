//! The platform's command line. In a deployment package, under the name `bootstrap`, it is also the runtime of the
//! functions.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings.

#[cfg(production)]
mod bootstrap;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use platform::Settings;
use platform::deploy::synth;

/// The IoT data platform: its stacks and its functions.
#[derive(Debug, Parser)]
#[command(name = "platform", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the CloudFormation templates of an environment, and a manifest with their order
    Synth {
        /// Environment, part of every name; replaces that of the settings file [default: dev]
        #[arg(long)]
        env: Option<String>,
        /// Settings file in TOML; missing keys have their defaults
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// Folder to write to; it is made when it is absent
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Serve invocations of the function that the variable _HANDLER names, as Lambda's custom runtime
    Lambda,
}

fn main() -> ExitCode {
    // Lambda starts `bootstrap` without arguments.
    let in_lambda = std::env::args_os().len() == 1 && std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let command = if in_lambda { Command::Lambda } else { Cli::parse().command };
    let result = match command {
        Command::Synth { env, settings, out } => synthesize(env, settings, out),
        Command::Lambda => serve(),
    };
    result.unwrap_or_else(|Failed(code, message)| {
        eprintln!("error: {message}");
        ExitCode::from(code)
    })
}

/// An exit code and what to tell.
struct Failed(u8, String);

fn synthesize(env: Option<String>, settings: Option<PathBuf>, out: PathBuf) -> Result<ExitCode, Failed> {
    let settings = Settings::load(settings.as_deref(), env.as_deref());
    let settings = settings.map_err(|error| Failed(2, error.to_string()))?;
    let stacks = synth::write(&settings, &out).map_err(|error| {
        Failed(
            1,
            format!(
                "cannot write to {}: {error}\n  hint: --out takes a folder that can be made or written",
                out.display()
            ),
        )
    })?;
    for stack in stacks {
        println!("{:<10} {}", stack.stage, stack.name);
    }
    println!("wrote {} and the templates above to {}", synth::MANIFEST, out.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(production)]
fn serve() -> Result<ExitCode, Failed> {
    bootstrap::run().map(|()| ExitCode::SUCCESS).map_err(|error| Failed(1, error.to_string()))
}

#[cfg(not(production))]
fn serve() -> Result<ExitCode, Failed> {
    let message = "this build has no connection to AWS, so it cannot serve Lambda\n  \
                   hint: make the production build with RUSTFLAGS=\"\" cargo build --release --package platform";
    Err(Failed(2, message.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_settings_are_a_usage_error_and_write_nothing() {
        let out = PathBuf::from("this/folder/is/never/made");
        let Err(Failed(code, message)) = synthesize(Some("Not Valid".to_owned()), None, out.clone()) else {
            panic!("the environment is not valid");
        };
        assert_eq!(code, 2);
        assert!(message.starts_with("--env: ") && message.contains("`env`") && message.contains("hint"), "{message}");
        assert!(!out.exists());
    }
}
