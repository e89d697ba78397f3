//! Texts of policies with wildcards and variables.

use std::borrow::Cow;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// `*`
    Run,
    /// `?`
    One,
    /// `${key}` or `${key, 'default'}`
    Variable {
        key: Box<str>,
        default: Option<Box<str>>,
    },
}

/// What a text is made of once its variables have values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// This byte.
    Byte(u8),
    /// Any one character.
    One,
    /// Any number of characters.
    Run,
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether `${…}` is a variable: only in version 2012-10-17.
    pub variables: bool,
    /// Whether `*` and `?` are wildcards.
    pub wildcards: bool,
}

/// A text of a policy, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    /// The symbols, when there is no variable.
    fixed: Option<Vec<Symbol>>,
}

impl Pattern {
    /// Reads a text. A variable that is not closed, or whose key `known` does not accept, is refused.
    pub fn parse(text: &str, reading: Reading, known: impl Fn(&str) -> Result<(), String>) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if reading.variables && rest.starts_with("${") {
                let end = rest.find('}').ok_or_else(|| format!("the variable in {text:?} is not closed"))?;
                match &rest[2..end] {
                    escaped @ ("*" | "?" | "$") => literal.push_str(escaped),
                    inside => {
                        flush(&mut literal, &mut pieces);
                        let (key, default) = variable(inside).ok_or_else(|| format!("{inside:?} is no variable"))?;
                        known(key)?;
                        pieces.push(Piece::Variable { key: key.into(), default: default.map(Into::into) });
                    }
                }
                rest = &rest[end + 1..];
                continue;
            }
            match first {
                '*' | '?' if reading.wildcards => {
                    flush(&mut literal, &mut pieces);
                    pieces.push(if first == '*' { Piece::Run } else { Piece::One });
                }
                other => literal.push(other),
            }
            rest = &rest[first.len_utf8()..];
        }
        flush(&mut literal, &mut pieces);
        let mut pattern = Pattern { pieces, fixed: None };
        if !pattern.pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. })) {
            pattern.fixed = pattern.resolve(&|_| None);
        }
        Ok(pattern)
    }

    /// What stands before the first colon, when the text begins with it: the service of an action.
    pub fn before_colon(&self) -> Option<&str> {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text.split_once(':').map(|(before, _)| before),
            _ => None,
        }
    }

    fn resolve(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<Vec<Symbol>> {
        let mut symbols = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => symbols.extend(text.bytes().map(Symbol::Byte)),
                Piece::Run => symbols.push(Symbol::Run),
                Piece::One => symbols.push(Symbol::One),
                // Values are texts: a wildcard in one stands for itself.
                Piece::Variable { key, default } => match (value(key), default) {
                    (Some(value), _) => symbols.extend(value.bytes().map(Symbol::Byte)),
                    (None, Some(default)) => symbols.extend(default.bytes().map(Symbol::Byte)),
                    (None, None) => return None,
                },
            }
        }
        Some(symbols)
    }

    /// The symbols, with `value` for each variable; `None` when a variable has neither a value nor a default.
    pub fn symbols(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<Cow<'_, [Symbol]>> {
        match &self.fixed {
            Some(fixed) => Some(Cow::Borrowed(fixed)),
            None => self.resolve(value).map(Cow::Owned),
        }
    }
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal).into()));
    }
}

/// Key and default of what stands between the braces of a variable.
fn variable(inside: &str) -> Option<(&str, Option<&str>)> {
    match inside.split_once(',') {
        None => (!inside.trim().is_empty()).then_some((inside.trim(), None)),
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            Some((key.trim(), Some(default)))
        }
    }
}

/// Whether the whole text matches. `fold` ignores the case of ASCII letters.
pub(super) fn matches(pattern: &[Symbol], text: &str, fold: bool) -> bool {
    let text = text.as_bytes();
    let same = |a: u8, b: u8| a == b || fold && a.eq_ignore_ascii_case(&b);
    let (mut p, mut t) = (0, 0);
    // Where the last run stands, and the text that it has taken.
    let mut run: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Symbol::Run) => {
                run = Some((p, t));
                p += 1;
                continue;
            }
            Some(Symbol::One) => {
                t += 1;
                while t < text.len() && text[t] & 0xc0 == 0x80 {
                    t += 1;
                }
                p += 1;
                continue;
            }
            Some(Symbol::Byte(byte)) if same(*byte, text[t]) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((at, taken)) = run else { return false };
        run = Some((at, taken + 1));
        (p, t) = (at + 1, taken + 1);
    }
    pattern[p..].iter().all(|symbol| *symbol == Symbol::Run)
}

/// Whether an ARN matches: each of its six parts by itself, so that a wildcard spans no part but the last. A single `*`
/// matches everything.
pub(super) fn matches_arn(pattern: &[Symbol], arn: &str) -> bool {
    if pattern == [Symbol::Run] {
        return true;
    }
    let (mut pattern, mut arn) = (pattern, arn);
    for _ in 0..5 {
        let colon = pattern.iter().position(|symbol| *symbol == Symbol::Byte(b':'));
        let (end, part, rest) = match (colon, arn.split_once(':')) {
            (Some(end), Some((part, rest))) => (end, part, rest),
            (None, None) => break,
            // One of them has fewer parts (unverified for patterns).
            _ => return false,
        };
        if !matches(&pattern[..end], part, false) {
            return false;
        }
        (pattern, arn) = (&pattern[end + 1..], rest);
    }
    matches(pattern, arn, false)
}

/// Whether an ARN matches a text with wildcards, as `ArnLike` compares. A `${…}` stands for itself.
pub fn arn_like(pattern: &str, arn: &str) -> bool {
    let pattern = Pattern::parse(pattern, Reading { variables: false, wildcards: true }, |_| Ok(()));
    let fixed = pattern.ok().and_then(|pattern| pattern.fixed);
    fixed.is_some_and(|symbols| matches_arn(&symbols, arn))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Reading = Reading { variables: true, wildcards: true };

    fn symbols(text: &str, reading: Reading) -> Option<Vec<Symbol>> {
        let pattern = Pattern::parse(text, reading, |_| Ok(())).unwrap();
        let value = |key: &str| (key == "aws:username").then(|| "ada*".to_owned());
        pattern.symbols(&value).map(Cow::into_owned)
    }

    #[test]
    fn wildcards_match_as_aws_says() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxabxb", true),
            ("", "", true),
            ("a", "A", false),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${$}{x}", "${x}", true),
            ("${aws:username}", "ada*", true),
            ("${aws:username}", "adax", false),
            ("${aws:none, 'guest'}/x", "guest/x", true),
        ] {
            assert_eq!(matches(&symbols(pattern, ALL).unwrap(), text, false), expected, "{pattern} {text}");
        }
        assert_eq!(symbols("${aws:none}", ALL), None);
    }

    #[test]
    fn parts_of_an_arn_match_one_by_one() {
        for (pattern, arn, expected) in [
            ("arn:aws:s3:::lake/*", "arn:aws:s3:::lake/a/b:c", true),
            ("arn:aws:*:eu-west-1:1:stream/a", "arn:aws:kinesis:eu-west-1:1:stream/a", true),
            ("arn:aws:kin*:1:stream/a", "arn:aws:kinesis:eu-west-1:1:stream/a", false),
            ("arn:aws:kms:eu-west-1:1:key/?", "arn:aws:kms:eu-west-1:1:key/12", false),
            ("*", "*", true),
            ("arn:aws:s3:::*", "*", false),
        ] {
            assert_eq!(matches_arn(&symbols(pattern, ALL).unwrap(), arn), expected, "{pattern} {arn}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused_and_old_versions_have_none() {
        assert!(Pattern::parse("${aws:username", ALL, |_| Ok(())).is_err());
        assert!(Pattern::parse("${}", ALL, |_| Ok(())).is_err());
        assert!(Pattern::parse("${a, b}", ALL, |_| Ok(())).is_err());
        let old = Reading { variables: false, wildcards: true };
        assert!(matches(&symbols("${aws:username}", old).unwrap(), "${aws:username}", false));
    }
}
