//! The `sim` command. Results go to stdout; progress, errors and the command that repeats a failure to stderr. This
//! module alone reads the wall clock.

mod args;
mod bench;
mod bugs;
mod child;
mod diff;
mod draw;
mod explain;
mod list;
mod marks;
mod merge;
mod nab;
mod origin;
mod progress;
mod replay;
mod report;
mod run;
mod show;
mod shrink;
mod sweep;
mod tallied;
#[cfg(test)]
mod tests;
mod text;
mod verify;
mod wall;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use record::{RecordError, Verdict};

use crate::scenario::{ScenarioError, readme};
use args::{Cli, Command};

/// Exit code of a run that holds although its scenario expects otherwise: a check that cannot fail proves nothing.
const CANARY_HELD: u8 = 1;
/// Exit code of a wrong flag, scenario file or run folder.
const USAGE: u8 = 2;
/// Exit code when two runs of the same value differ.
const NOT_DETERMINISTIC: u8 = 4;
/// Exit code of a bug of the simulator: that of a panic.
const BUG: u8 = 101;

/// The end of a command that could not be carried out.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    message: String,
    code: u8,
    /// The command that repeats it; the last line on stderr.
    repeat: Option<String>,
}

impl Failure {
    fn usage(message: impl Display) -> Self {
        Failure { message: message.to_string(), code: USAGE, repeat: None }
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Failure::usage(error)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Failure::usage(error)
    }
}

/// The exit code of a verdict.
fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Held => 0,
        Verdict::Violated => 1,
        Verdict::Unsettled => 3,
        Verdict::NotDeterministic => NOT_DETERMINISTIC,
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    crate::run::prepare();
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Draw(args) => draw::draw(&args),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Marks(args) => marks::marks(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::List(args) => list::list(&args),
        Command::Show(args) => show::show(&args),
        Command::Report(args) => report::report(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Bugs(args) => bugs::bugs(&args),
        Command::Nab(args) => nab::nab(&args),
        Command::Schema => print(&readme()).map(|()| 0),
    };
    let code = done.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.message);
        if let Some(command) = failure.repeat {
            eprintln!("repeat it with:\n{command}");
        }
        failure.code
    });
    ExitCode::from(code)
}

/// Writes a result to stdout. A reader that has gone away is no error.
fn print(text: &str) -> Result<(), Failure> {
    written(std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()))
}

/// What a write to stdout came to.
fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::usage(format_args!("stdout cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
