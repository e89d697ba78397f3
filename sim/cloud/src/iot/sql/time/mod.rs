//! Dates and times of `parse_time` and `time_to_epoch`.

mod parse;
mod pattern;
mod write;
mod zone;

pub(crate) use self::parse::EpochPattern;
pub(super) use self::write::TimePattern;
pub(super) use self::zone::Zone;

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Byte in the pattern, from 0.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) why: String,
    /// Whether AWS has it and this simulator does not.
    pub(crate) not_modelled: bool,
}

/// Names of months, in the order of the year.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Names of days, from Monday.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The short form of a name.
fn short(name: &str) -> &str {
    &name[..3]
}
