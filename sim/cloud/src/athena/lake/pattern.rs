//! The part of Java's `DateTimeFormatter` patterns that partition values use: fixed-width fields and literals.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Text(char),
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// A pattern such as `yyyy/MM/dd/HH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// The finest field of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precision {
    /// Only years.
    Year,
    /// Down to months.
    Month,
    /// Down to days.
    Day,
    /// Finer than days.
    Finer,
}

impl Pattern {
    /// Parses a pattern; `None` when it holds letters that are not modelled.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            if c == '\'' {
                let end = at + 1 + chars[at + 1..].iter().position(|c| *c == '\'')?;
                pieces.extend(chars[at + 1..end].iter().copied().map(Piece::Text));
                if end == at + 1 {
                    pieces.push(Piece::Text('\''));
                }
                at = end + 1;
                continue;
            }
            let width = chars[at..].iter().take_while(|other| **other == c).count();
            let piece = match (c, width) {
                ('y' | 'u', 4) => Piece::Year,
                ('M', 2) => Piece::Month,
                ('d', 2) => Piece::Day,
                ('H', 2) => Piece::Hour,
                ('m', 2) => Piece::Minute,
                ('s', 2) => Piece::Second,
                (letter, _) if letter.is_ascii_alphabetic() => return None,
                _ => {
                    pieces.push(Piece::Text(c));
                    at += 1;
                    continue;
                }
            };
            pieces.push(piece);
            at += width;
        }
        pieces.contains(&Piece::Year).then_some(Pattern(pieces))
    }

    /// Length in characters of every text of this pattern.
    pub(super) fn width(&self) -> usize {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(_) => 1,
                Piece::Year => 4,
                _ => 2,
            })
            .sum()
    }

    /// The finest field.
    pub(super) fn precision(&self) -> Precision {
        let finest = self.0.iter().map(|piece| match piece {
            Piece::Text(_) | Piece::Year => Precision::Year,
            Piece::Month => Precision::Month,
            Piece::Day => Precision::Day,
            Piece::Hour | Piece::Minute | Piece::Second => Precision::Finer,
        });
        finest.max().unwrap_or(Precision::Year)
    }

    /// Reads a text that follows the pattern exactly.
    pub(super) fn read(&self, text: &str) -> Option<NaiveDateTime> {
        let (mut year, mut fields, mut rest) = (0, [1, 1, 0, 0, 0], text);
        for piece in &self.0 {
            if let Piece::Text(c) = piece {
                rest = rest.strip_prefix(*c)?;
                continue;
            }
            let width = if *piece == Piece::Year { 4 } else { 2 };
            let digits = rest.get(..width).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            rest = &rest[width..];
            let number: u32 = digits.parse().ok()?;
            match piece {
                Piece::Year => year = i32::try_from(number).ok()?,
                Piece::Month => fields[0] = number,
                Piece::Day => fields[1] = number,
                Piece::Hour => fields[2] = number,
                Piece::Minute => fields[3] = number,
                _ => fields[4] = number,
            }
        }
        let date = NaiveDate::from_ymd_opt(year, fields[0], fields[1]).filter(|_| rest.is_empty())?;
        date.and_hms_opt(fields[2], fields[3], fields[4])
    }

    /// The instant cut to what the pattern shows.
    pub(super) fn truncate(&self, at: NaiveDateTime) -> NaiveDateTime {
        self.read(&self.write(at)).unwrap_or(at)
    }

    /// Writes an instant.
    pub(super) fn write(&self, at: NaiveDateTime) -> String {
        let mut out = String::with_capacity(self.width());
        for piece in &self.0 {
            match piece {
                Piece::Text(c) => out.push(*c),
                Piece::Year => out.push_str(&format!("{:04}", at.year())),
                Piece::Month => out.push_str(&format!("{:02}", at.month())),
                Piece::Day => out.push_str(&format!("{:02}", at.day())),
                Piece::Hour => out.push_str(&format!("{:02}", at.hour())),
                Piece::Minute => out.push_str(&format!("{:02}", at.minute())),
                Piece::Second => out.push_str(&format!("{:02}", at.second())),
            }
        }
        out
    }
}
