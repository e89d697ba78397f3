//! What can go wrong, for people.

use std::fmt;

use crate::calls::CallError;
use crate::function::ConfigError;

/// A command that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing is refused for such a reason.
    #[error("--reason: nothing is refused as {found:?}\n  hint: the reasons are {}", known.join(", "))]
    NoSuchReason {
        /// What was asked for.
        found: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// A time that is none.
    #[error("{flag}: {found:?} is no time\n  hint: write it in UTC, as 2026-03-01T12:00:00Z or 2026-03-01")]
    NoTime {
        /// The flag.
        flag: &'static str,
        /// What was given.
        found: String,
    },
    /// Everything would be replayed.
    #[error(
        "replay: nothing says what is to be replayed\n  hint: name --reason, --tenant, --device, --from or --to, or --all for \
         everything; what is refused again lies in quarantine anew"
    )]
    NoFilter,
    /// The settings are for another account.
    #[error(
        "the credentials are of account {found}, the settings are for {expected}\n  hint: choose other credentials, \
         or other settings"
    )]
    WrongAccount {
        /// Of the settings.
        expected: String,
        /// Of the credentials.
        found: String,
    },
    /// A call failed.
    #[error(
        "{what}: {error}\n  hint: what was replayed is marked; run the command again when the cause is gone{rights}"
    )]
    Call {
        /// What was tried, with the place.
        what: String,
        /// What AWS said.
        error: String,
        /// What else to look at; may be empty.
        rights: &'static str,
    },
    /// A part is missing in the SDK configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl ReplayError {
    pub(super) fn call(what: impl Into<String>) -> impl FnOnce(CallError) -> ReplayError {
        let what = what.into();
        move |error| {
            let denied = error.status == Some(403) || error.code.as_deref().is_some_and(|code| code.contains("Denied"));
            let rights = if denied { "; the help of the command names the permissions that it needs" } else { "" };
            ReplayError::Call { what, error: error.to_string(), rights }
        }
    }

    /// Whether the command was called wrongly, so that it did nothing.
    pub fn is_usage(&self) -> bool {
        use ReplayError::{Call, Config, NoFilter, NoSuchReason, NoTime, WrongAccount};
        match self {
            NoSuchReason { .. } | NoTime { .. } | NoFilter => true,
            WrongAccount { .. } | Call { .. } | Config(_) => false,
        }
    }
}

/// A place in the bucket that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bucket.
    pub bucket: String,
    /// Key of the object.
    pub key: String,
    /// Line, from 1, where it is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let hint = "everything else was worked on; look at the object, which stays as it is";
        write!(f, ": {}\n  hint: {hint}", self.problem)
    }
}
