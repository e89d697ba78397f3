//! What is wrong with a scenario, where, and what to do about it.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong with a scenario file, a recorded series or a flag that changes a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file; absent when a flag is at fault.
    pub file: Option<String>,
    /// Where in the file; absent when the whole file is at fault.
    pub place: Option<Place>,
    /// The key with its tables (`fleet[0].publish_every`), the column of a series, or the flag. Empty when there is none.
    pub key: String,
    /// What is wrong, as a sentence that begins with the key.
    pub problem: String,
    /// What was expected instead.
    pub expected: String,
    /// What to do.
    pub hint: String,
}

impl std::error::Error for ScenarioError {}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters that are marked; at least 1.
    pub width: usize,
    /// The line's text.
    pub text: String,
}

impl Place {
    /// The place of a byte range of `text`. A range over several lines marks its first line.
    pub fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        Place {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end.min(line_end)].trim_end().chars().count().max(1),
            text: text[line_start..line_end].trim_end().to_owned(),
        }
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(place) = &self.place {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            let indent: String =
                place.text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n {margin} |\n {number} | {}\n {margin} | {indent}{}", place.text, "^".repeat(place.width))?;
        }
        write!(f, "\n  expected: {}\n  hint: {}", self.expected, self.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_line_and_column_in_characters() {
        let text = "one\nzwölf = 1\nlast";
        let at = text.find('1').unwrap();
        let place = Place::of(text, at..at + 1);
        assert_eq!((place.line, place.column, place.width, place.text.as_str()), (2, 9, 1, "zwölf = 1"));
        assert_eq!(Place::of(text, 0..text.len()).width, 3);
        assert_eq!(Place::of(text, 999..1000).line, 3);
        assert_eq!(Place::of("", 0..0), Place { line: 1, column: 1, width: 1, text: String::new() });
    }

    #[test]
    fn an_error_shows_the_line_and_marks_the_value() {
        let text = "title = \"x\"\npeace = \"0s\"\n";
        let at = text.find("\"0s\"").unwrap();
        let error = ScenarioError {
            file: Some("a.toml".to_owned()),
            place: Some(Place::of(text, at..at + 4)),
            key: "phase.peace".to_owned(),
            problem: "is 0s".to_owned(),
            expected: "1s to 7d".to_owned(),
            hint: "give it time".to_owned(),
        };
        let shown = error.to_string();
        let expected = "a.toml:2:9: `phase.peace` is 0s\n   |\n 2 | peace = \"0s\"\n   |         ^^^^\n  expected: 1s to 7d\n  hint: give it time";
        assert_eq!(shown, expected);
    }
}
