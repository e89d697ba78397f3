//! Patterns of dates and times, cut into letters and literal texts. Joda-Time and the JDK write them in one way.

use super::Refused;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A text as it is.
    Literal(String),
    /// A letter, as often as it stands there.
    Field {
        /// The letter.
        letter: char,
        /// How often.
        count: usize,
        /// Byte in the pattern.
        at: usize,
    },
}

/// Cuts a pattern. Texts stand between single quotes; two quotes are one; what is no letter is a text.
pub(super) fn cut(pattern: &str) -> Result<Vec<Part>, Refused> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\'' {
            if chars.next_if(|(_, next)| *next == '\'').is_some() {
                literal.push('\'');
                continue;
            }
            loop {
                match chars.next() {
                    Some((_, '\'')) if chars.next_if(|(_, next)| *next == '\'').is_some() => literal.push('\''),
                    Some((_, '\'')) => break,
                    Some((_, inner)) => literal.push(inner),
                    None => {
                        let why = "a text without its closing quote".to_owned();
                        return Err(Refused { at, why, not_modelled: false });
                    }
                }
            }
        } else if c.is_ascii_alphabetic() {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            let mut count = 1;
            while chars.next_if(|(_, next)| *next == c).is_some() {
                count += 1;
            }
            if count > 30 {
                let why = format!("{count} times the letter {c}");
                return Err(Refused { at, why, not_modelled: true });
            }
            parts.push(Part::Field { letter: c, count, at });
        } else {
            literal.push(c);
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}
