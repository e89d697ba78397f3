//! The `sim` command.

use std::process::ExitCode;

/// Runs the command.
#[cfg(madsim)]
fn main() -> ExitCode {
    sim::cli::main()
}

/// Refuses: without madsim's scheduler and clocks nothing here would be deterministic.
#[cfg(not(madsim))]
fn main() -> ExitCode {
    eprintln!(
        "error: this `sim` was built without `--cfg madsim` and cannot simulate\n  \
         expected: a build with the flags of `.cargo/config.toml`\n  \
         hint: run `cargo sim` at the root of the repository, with RUSTFLAGS unset; elsewhere set RUSTFLAGS=\"--cfg madsim\""
    );
    ExitCode::from(2)
}
