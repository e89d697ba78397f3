//! Tokens of the SQL, read one at a time, because a substitution template ends in the middle of a text.

use super::SqlError;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or a keyword.
    Word(&'t str),
    /// A number, as written.
    Number(&'t str),
    /// A text between quotes.
    Text(&'t str),
    /// A variable of `SET`, without its `@`.
    Variable(&'t str),
    /// An operator or a mark.
    Mark(&'static str),
    /// The end of the text.
    End,
}

const MARKS: [&str; 20] =
    [":", "<>", "<=", ">=", "*", ",", ".", "(", ")", "+", "-", "/", "%", "=", "<", ">", "{", "}", "[", "]"];

/// Longest name of a variable of `SET`, in characters.
const VARIABLE_MAX: usize = 64;

/// Reads tokens.
#[derive(Clone)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    /// Starts at byte `at` of `text`.
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Lexer { text, at }
    }

    /// The next token with the byte at which it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), SqlError> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let start = self.at + rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else {
            self.at = self.text.len();
            return Ok((Token::End, self.at));
        };
        let (token, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = span(trimmed, |c| c.is_ascii_alphanumeric() || c == '_');
                (Token::Word(&trimmed[..length]), length)
            }
            '0'..='9' => number(trimmed, start)?,
            '\'' | '"' => text(trimmed, first, start)?,
            '@' => {
                let length = span(&trimmed[1..], |c| c.is_ascii_alphanumeric() || c == '_');
                if length == 0 || length > VARIABLE_MAX {
                    let why = format!("a variable is @ and 1 to {VARIABLE_MAX} letters, digits and underscores");
                    return Err(SqlError::syntax(start, why));
                }
                (Token::Variable(&trimmed[1..=length]), length + 1)
            }
            _ => match MARKS.iter().find(|mark| trimmed.starts_with(**mark)) {
                Some(mark) => (Token::Mark(mark), mark.len()),
                None => return Err(SqlError::syntax(start, format!("unexpected character {first:?}"))),
            },
        };
        self.at = start + length;
        Ok((token, start))
    }
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn number(text: &str, start: usize) -> Result<(Token<'_>, usize), SqlError> {
    let digits = |from: usize| from + span(&text[from..], |c| c.is_ascii_digit());
    let mut end = digits(0);
    if text[end..].starts_with('.') && text[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        end = digits(end + 1 + sign);
    }
    match text[end..].chars().next() {
        Some(c) if c.is_alphanumeric() || c == '_' => Err(SqlError::syntax(start, "a name cannot begin with a digit")),
        _ => Ok((Token::Number(&text[..end]), end)),
    }
}

fn text(text: &str, quote: char, start: usize) -> Result<(Token<'_>, usize), SqlError> {
    let inner = &text[1..];
    let length = inner.find(quote).ok_or_else(|| SqlError::syntax(start, "a text without its closing quote"))?;
    if let Some(at) = inner[..length].find('\\') {
        return Err(SqlError::not_modelled(start + 1 + at, "an escape in a text"));
    }
    if inner[length + 1..].starts_with(quote) {
        return Err(SqlError::not_modelled(start + 1 + length, "a doubled quote in a text"));
    }
    Ok((Token::Text(&inner[..length]), length + 2))
}
