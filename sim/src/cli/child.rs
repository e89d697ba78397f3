//! Runs in fresh processes: this program again, with `sim run`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use record::Summary;

use super::args::Events;
use super::{BUG, Failure};
use crate::scenario::Overrides;

/// One run in a process of its own.
pub(super) struct ChildRun<'a> {
    /// Scenario file.
    pub(super) file: &'a Path,
    /// Seed of the run.
    pub(super) seed: u64,
    /// Flags that change the scenario.
    pub(super) overrides: Overrides,
    /// The run folder, and the finest events that it keeps.
    pub(super) out: Option<(&'a Path, Events)>,
}

impl ChildRun<'_> {
    /// The arguments of the process.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["run".into(), self.file.into(), "--seed".into(), self.seed.to_string().into()];
        arguments.extend(self.overrides.flags().into_iter().map(OsString::from));
        arguments.extend(["--format", "json", "--quiet"].map(OsString::from));
        if let Some((folder, events)) = self.out {
            arguments.extend(["--events".into(), events.as_str().into(), "--out".into(), folder.into()]);
        }
        arguments
    }

    /// Starts the process, waits for it and reads its summary.
    ///
    /// # Errors
    /// When there is no summary: with what the process wrote to stderr, and its exit code.
    pub(super) fn run(&self) -> Result<Summary, Failure> {
        let program =
            std::env::current_exe().map_err(|e| bug(format!("the path of this program is not known: {e}")))?;
        let output = Command::new(program)
            .args(self.arguments())
            .output()
            .map_err(|e| bug(format!("a second process cannot be started: {e}")))?;
        summary_of(&output.stdout, &String::from_utf8_lossy(&output.stderr), output.status.code())
    }
}

/// The summary that a process printed, or why there is none.
pub(super) fn summary_of(stdout: &[u8], stderr: &str, code: Option<i32>) -> Result<Summary, Failure> {
    if matches!(code, Some(0 | 1 | 3)) {
        return serde_json::from_slice(stdout).map_err(|e| bug(format!("the run printed no summary: {e}")));
    }
    let message = stderr.trim_start_matches("error: ").trim();
    Err(match code.and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Failure { message: message.to_owned(), code, repeat: None },
        None => bug(format!("the run was ended by a signal\n{message}")),
    })
}

fn bug(message: String) -> Failure {
    Failure { message, code: BUG, repeat: None }
}
