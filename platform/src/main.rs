//! The platform's command line. In a deployment package, under the name `bootstrap`, it is also the runtime of the
//! functions.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings, 3 `diff` found differences.

#[cfg(production)]
mod bootstrap;
mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
