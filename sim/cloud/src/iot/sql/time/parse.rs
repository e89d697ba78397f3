//! `time_to_epoch`: an instant from text, by a pattern of the JDK's `DateTimeFormatter`.

use chrono::{Datelike as _, NaiveDate, NaiveTime};

use super::pattern::{Part, cut};
use super::{DAYS, MONTHS, Refused, Zone, short};

/// A pattern of the JDK, checked.
#[derive(Clone, Debug)]
pub(crate) struct EpochPattern {
    parts: Vec<Part>,
}

/// Letters that are modelled, with the most times that each may stand there.
const LETTERS: [(char, usize); 19] = [
    ('G', 3),
    ('y', 9),
    ('u', 9),
    ('M', 4),
    ('L', 4),
    ('d', 2),
    ('D', 3),
    ('E', 4),
    ('a', 1),
    ('H', 2),
    ('k', 2),
    ('h', 2),
    ('K', 2),
    ('m', 2),
    ('s', 2),
    ('S', 9),
    ('z', 3),
    ('V', 2),
    ('X', 3),
];

/// Letters that Java has and this simulator has not.
const OTHERS: &str = "QqYwWecFAnNBvOpxZ";

/// What a text says.
#[derive(Default)]
struct Found {
    before_christ: bool,
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    weekday: Option<u32>,
    afternoon: Option<bool>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    nanos: Option<u32>,
    zone: Option<Zone>,
}

impl EpochPattern {
    /// Checks a pattern.
    pub(crate) fn parse(pattern: &str) -> Result<EpochPattern, Refused> {
        if let Some(at) = pattern.find(['[', ']', '{', '}', '#']) {
            let why = "optional parts and reserved signs of patterns are not modelled".to_owned();
            return Err(Refused { at, why, not_modelled: true });
        }
        let parts = cut(pattern)?;
        for part in &parts {
            let Part::Field { letter, count, at } = part else { continue };
            let refuse = |why: String, not_modelled| Err(Refused { at: *at, why, not_modelled });
            let most = LETTERS.iter().find(|(known, _)| known == letter).map(|(_, most)| *most);
            match most {
                Some(most) if *count <= most && (*letter != 'V' || *count == 2) => {}
                Some(_) => return refuse(format!("{count} times the pattern letter {letter} is not modelled"), true),
                None if OTHERS.contains(*letter) => {
                    return refuse(format!("the pattern letter {letter} is not modelled"), true);
                }
                None => return refuse(format!("Java has no pattern letter {letter}"), false),
            }
        }
        Ok(EpochPattern { parts })
    }

    /// Milliseconds since the Unix epoch. `None` when the text has another form or names no day.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let mut rest = text;
        let mut found = Found::default();
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Field { letter, count, .. } => {
                    let adjacent = self.parts.get(place + 1).is_some_and(is_number);
                    rest = found.take(*letter, *count, adjacent, rest)?;
                }
            }
        }
        if rest.is_empty() { found.resolve() } else { None }
    }
}

fn is_number(part: &Part) -> bool {
    match part {
        Part::Field { letter, count, .. } => match letter {
            'M' | 'L' => *count <= 2,
            other => "yudDHkhKmsS".contains(*other),
        },
        Part::Literal(_) => false,
    }
}

/// Reads a number. Two or more letters stand for exactly so many digits (for a year: at least so many, unless another
/// number follows); one letter takes all digits.
fn number(text: &str, letter: char, count: usize, adjacent: bool) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let is_long_year = matches!(letter, 'y' | 'u') && count != 2 && !adjacent;
    let is_open = (count == 1 && letter != 'S') || is_long_year;
    let length = if is_open { digits.min(9) } else { count };
    if digits < length || length < count {
        return None;
    }
    Some((text[..length].parse().ok()?, &text[length..]))
}

impl Found {
    /// Reads one field, and answers what follows it.
    fn take<'t>(&mut self, letter: char, count: usize, adjacent: bool, text: &'t str) -> Option<&'t str> {
        match letter {
            'G' => {
                let (index, rest) = one_of(&["BC", "AD"], text)?;
                self.before_christ = index == 0;
                return Some(rest);
            }
            'M' | 'L' if count >= 3 => {
                let (index, rest) = named(&MONTHS, count, text)?;
                self.month = Some(u32::try_from(index).ok()? + 1);
                return Some(rest);
            }
            'E' => {
                let (index, rest) = named(&DAYS, count, text)?;
                self.weekday = Some(u32::try_from(index).ok()?);
                return Some(rest);
            }
            'a' => {
                let (index, rest) = one_of(&["AM", "PM"], text)?;
                self.afternoon = Some(index == 1);
                return Some(rest);
            }
            'z' | 'V' | 'X' => return self.take_zone(letter, count, text),
            _ => {}
        }
        let (value, rest) = number(text, letter, count, adjacent)?;
        let within = |least: u32, most: u32| (least..=most).contains(&value).then_some(value);
        match letter {
            'y' | 'u' => {
                let year = i32::try_from(value).ok()?;
                self.year = Some(if count == 2 { 2000 + year } else { year });
            }
            'M' | 'L' => self.month = Some(within(1, 12)?),
            'd' => self.day = Some(within(1, 31)?),
            'D' => self.day_of_year = Some(within(1, 366)?),
            'H' => self.hour = Some(within(0, 23)?),
            'k' => self.hour = Some(within(1, 24)? % 24),
            'h' => self.hour_of_half = Some(within(1, 12)? % 12),
            'K' => self.hour_of_half = Some(within(0, 11)?),
            'm' => self.minute = Some(within(0, 59)?),
            's' => self.second = Some(within(0, 59)?),
            'S' => self.nanos = Some(value * 10_u32.pow(9 - u32::try_from(count).ok()?)),
            other => unreachable!("{other} is checked when the pattern is read"),
        }
        Some(rest)
    }

    fn take_zone<'t>(&mut self, letter: char, count: usize, text: &'t str) -> Option<&'t str> {
        let belongs = |c: char| c.is_ascii_alphanumeric() || "/_+-:".contains(c);
        let run = text.find(|c| !belongs(c)).unwrap_or(text.len()).min(40);
        let lengths: &[usize] = match (letter, count) {
            ('X', 1) => &[5, 3],
            ('X', 2) => &[5],
            ('X', _) => &[6],
            _ => &[],
        };
        let zone = match letter {
            'X' if text.starts_with('Z') => (1, Zone::UTC),
            'X' => {
                let has_sign = text.starts_with(['+', '-']);
                let of_length = |length: &usize| Some((*length, Zone::java(text.get(..*length)?)?));
                lengths.iter().filter(|_| has_sign).find_map(of_length)?
            }
            'V' => (1..=run).rev().find_map(|length| Some((length, Zone::java(&text[..length])?)))?,
            _ => (1..=run).rev().find_map(|length| Some((length, Zone::by_abbreviation(&text[..length])?)))?,
        };
        self.zone = Some(zone.1);
        Some(&text[zone.0..])
    }

    /// The instant. A day that its month does not have is the last one of the month, as in Java's smart style.
    fn resolve(&self) -> Option<i64> {
        let year = self.year.map(|year| if self.before_christ { 1 - year } else { year })?;
        let date = match (self.month, self.day, self.day_of_year) {
            (Some(month), Some(day), _) => {
                let last = (28..=31).rev().find_map(|day| NaiveDate::from_ymd_opt(year, month, day))?;
                NaiveDate::from_ymd_opt(year, month, day.min(last.day()))?
            }
            (None, None, Some(day)) => NaiveDate::from_yo_opt(year, day)?,
            _ => return None,
        };
        if self.weekday.is_some_and(|day| day != date.weekday().num_days_from_monday()) {
            return None;
        }
        let hour = match (self.hour, self.hour_of_half, self.afternoon) {
            (Some(hour), _, afternoon) if afternoon.is_none_or(|after| after == (hour >= 12)) => hour,
            (None, Some(hour), Some(afternoon)) => hour + if afternoon { 12 } else { 0 },
            (None, None, None) => 0,
            _ => return None,
        };
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        let time = NaiveTime::from_hms_nano_opt(hour, minute, second, self.nanos.unwrap_or(0))?;
        let instant = self.zone.unwrap_or(Zone::UTC).instant(date.and_time(time))?;
        Some(instant.timestamp_millis())
    }
}

/// Which of the texts stands first.
fn one_of<'t>(texts: &[&str], text: &'t str) -> Option<(usize, &'t str)> {
    texts.iter().enumerate().find_map(|(index, known)| Some((index, text.strip_prefix(known)?)))
}

fn named<'t>(names: &[&str], count: usize, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let known = if count >= 4 { name } else { short(name) };
        Some((index, text.strip_prefix(known)?))
    })
}
