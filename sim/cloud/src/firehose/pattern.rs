//! Timestamps in prefixes: patterns of Java's `DateTimeFormatter`, written in the root locale's English.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, Offset as _, Timelike as _};
use chrono_tz::{OffsetName as _, Tz};

use crate::core::AwsError;

/// Letters that are modelled, with the most times that each may stand there.
const LETTERS: [(char, usize); 23] = [
    ('G', 3),
    ('y', 19),
    ('u', 19),
    ('M', 5),
    ('L', 5),
    ('d', 2),
    ('D', 3),
    ('Q', 3),
    ('q', 3),
    ('E', 5),
    ('a', 1),
    ('H', 2),
    ('k', 2),
    ('h', 2),
    ('K', 2),
    ('m', 2),
    ('s', 2),
    ('S', 9),
    ('n', 19),
    ('N', 19),
    ('A', 19),
    ('z', 3),
    ('V', 2),
];
/// Letters of zones with a form of their own each.
const OFFSETS: [(char, usize); 3] = [('X', 3), ('x', 3), ('Z', 3)];
/// Letters that Java has and this simulator has not: weeks depend on a locale, and other forms of zones.
const OTHERS: &str = "YwWecFgpOvB";

/// A pattern, checked.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Part>);

/// A letter with how often it stands there, or literal text.
#[derive(Debug)]
enum Part {
    Literal(char),
    Field(char, usize),
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidArgumentException", message)
}

impl Pattern {
    /// Checks a pattern.
    pub fn parse(text: &str) -> Result<Self, AwsError> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => parts.push(Part::Literal('\'')),
                '\'' => loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => parts.push(Part::Literal('\'')),
                        Some('\'') => break,
                        Some(quoted) => parts.push(Part::Literal(quoted)),
                        None => return Err(invalid(format!("the timestamp pattern {text:?} has an open quote"))),
                    }
                },
                // An optional part is always there when a time is written.
                '[' | ']' => {}
                '#' | '{' => return Err(invalid(format!("{c:?} is reserved in the timestamp pattern {text:?}"))),
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    parts.push(field(text, c, count)?);
                }
                c => parts.push(Part::Literal(c)),
            }
        }
        if parts.is_empty() {
            return Err(invalid("a timestamp expression needs a pattern".to_owned()));
        }
        Ok(Pattern(parts))
    }

    /// Writes an instant.
    pub fn write(&self, out: &mut String, at: &DateTime<Tz>) {
        for part in &self.0 {
            match part {
                Part::Literal(c) => out.push(*c),
                Part::Field(letter, count) => write_field(out, *letter, *count, at),
            }
        }
    }
}

fn field(text: &str, letter: char, count: usize) -> Result<Part, AwsError> {
    let most = LETTERS.iter().chain(&OFFSETS).find(|(known, _)| *known == letter).map(|(_, most)| *most);
    match most {
        Some(most) if count <= most && (letter != 'V' || count == 2) => Ok(Part::Field(letter, count)),
        None if !OTHERS.contains(letter) => Err(invalid(format!("Java has no pattern letter {letter}"))),
        _ => {
            let letters = letter.to_string().repeat(count);
            Err(AwsError::not_modelled(format!("{letters} in the timestamp pattern {text:?}")))
        }
    }
}

fn write_field(out: &mut String, letter: char, count: usize, at: &DateTime<Tz>) {
    let nanos_of_day = u64::from(at.num_seconds_from_midnight()) * 1_000_000_000 + u64::from(at.nanosecond());
    let name = |full: &str| match count {
        4 => full.to_owned(),
        5 => full[..1].to_owned(),
        _ => full[..3].to_owned(),
    };
    let number = match letter {
        'G' => return out.push_str(if at.year() > 0 { "AD" } else { "BC" }),
        'M' | 'L' if count >= 3 => return out.push_str(&name(&at.format("%B").to_string())),
        'E' => return out.push_str(&name(&at.format("%A").to_string())),
        'a' => return out.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
        'z' => return out.push_str(at.offset().abbreviation().unwrap_or_else(|| at.timezone().name())),
        'V' => return out.push_str(at.timezone().name()),
        'X' | 'x' | 'Z' => return write_offset(out, letter, count, at.offset().fix().local_minus_utc()),
        'y' | 'u' if count == 2 => u64::from(at.year().unsigned_abs() % 100),
        'y' | 'u' => u64::from(at.year().unsigned_abs()),
        'M' | 'L' => at.month().into(),
        'd' => at.day().into(),
        'D' => at.ordinal().into(),
        'Q' | 'q' => {
            let quarter = at.month0() / 3 + 1;
            if count == 3 {
                out.push('Q');
                return out.push_str(&quarter.to_string());
            }
            quarter.into()
        }
        'H' => at.hour().into(),
        'k' => ((at.hour() + 23) % 24 + 1).into(),
        'K' => (at.hour() % 12).into(),
        'h' => ((at.hour() + 11) % 12 + 1).into(),
        'm' => at.minute().into(),
        's' => at.second().into(),
        // A fraction of a second with `count` digits.
        'S' => (at.nanosecond() / 10_u32.pow(9 - u32::try_from(count).unwrap_or(9))).into(),
        'n' => at.nanosecond().into(),
        'N' => nanos_of_day,
        _ => nanos_of_day / 1_000_000,
    };
    let _ = write!(out, "{number:0count$}");
}

/// `X` writes UTC as `Z`; one letter leaves minutes of zero out, three have a colon. `Z` has no colon.
fn write_offset(out: &mut String, letter: char, count: usize, seconds: i32) {
    if letter == 'X' && seconds == 0 {
        return out.push('Z');
    }
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let _ = match (letter, count) {
        ('X' | 'x', 1) if minutes == 0 => write!(out, "{sign}{hours:02}"),
        ('X' | 'x', 3) => write!(out, "{sign}{hours:02}:{minutes:02}"),
        _ => write!(out, "{sign}{hours:02}{minutes:02}"),
    };
}
