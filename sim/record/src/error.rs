//! One kind of error: a path, what is wrong with it, what was expected there, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// A run folder could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RecordError {
    /// The file or folder that is at fault.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What was expected in its place.
    pub expected: String,
    /// What the reader of this error can do.
    pub hint: String,
}

impl RecordError {
    pub(super) fn new(
        path: &Path,
        problem: impl fmt::Display,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        RecordError {
            path: path.to_owned(),
            problem: problem.to_string(),
            expected: expected.into(),
            hint: hint.into(),
        }
    }

    pub(super) fn write(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(
            path,
            format_args!("cannot be written: {problem}"),
            "a writable folder with free space",
            "check permissions and free space, or choose another folder with `--out`",
        )
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}\n  expected: {}\n  hint: {}", self.path.display(), self.problem, self.expected, self.hint)
    }
}
