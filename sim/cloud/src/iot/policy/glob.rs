//! Resources of policies as matchers: what is left of a pattern once the start of an ARN is taken from it.

use crate::core::AccountInfo;
use crate::core::policy::Symbol;

/// Stands for any characters. No byte of UTF-8 has this value.
const RUN: u8 = 0xff;
/// Stands for one character. No byte of UTF-8 has this value.
const ONE: u8 = 0xfe;

/// What matches the name of a resource: the text behind `arn:aws:iot:{region}:{account}:{type}/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matcher {
    /// Every name.
    Any,
    /// This name.
    Exact(Box<str>),
    /// Names by wildcard.
    Glob(Box<[u8]>),
}

/// A pattern of a whole ARN, in bytes.
pub(super) fn bytes(symbols: &[Symbol]) -> Vec<u8> {
    let byte = |symbol: &Symbol| match symbol {
        Symbol::Byte(byte) => *byte,
        Symbol::One => ONE,
        Symbol::Run => RUN,
    };
    symbols.iter().map(byte).collect()
}

/// The matchers of names of one type of resource that come to the same as the pattern: a wildcard can end anywhere in the
/// start of the ARN, so there can be several. None when the pattern matches no such resource of the account.
pub(super) fn matchers(pattern: &[u8], account: &AccountInfo, resource_type: &str) -> Vec<Matcher> {
    let start = account.arn("iot", resource_type) + "/";
    let mut at = closed(pattern, vec![0]);
    for byte in start.bytes() {
        let step = |position: &usize| match pattern.get(*position) {
            Some(&RUN) => Some(*position),
            Some(&ONE) => Some(position + 1),
            Some(expected) if *expected == byte => Some(position + 1),
            _ => None,
        };
        at = closed(pattern, at.iter().filter_map(step).collect());
    }
    // What a run leaves open is open behind it too.
    let covered = |position: &usize| *position > 0 && pattern[position - 1] == RUN && at.contains(&(position - 1));
    let rests = at.iter().filter(|position| !covered(position)).map(|position| &pattern[*position..]);
    let mut matchers: Vec<Matcher> = rests.map(Matcher::of).collect();
    if matchers.contains(&Matcher::Any) {
        matchers = vec![Matcher::Any];
    }
    matchers
}

/// The positions and those that are reached from them without a character.
fn closed(pattern: &[u8], mut positions: Vec<usize>) -> Vec<usize> {
    let mut index = 0;
    while let Some(position) = positions.get(index) {
        if pattern.get(*position) == Some(&RUN) {
            positions.push(position + 1);
        }
        index += 1;
    }
    positions.sort_unstable();
    positions.dedup();
    positions
}

impl Matcher {
    fn of(pattern: &[u8]) -> Matcher {
        if pattern == [RUN] {
            return Matcher::Any;
        }
        match std::str::from_utf8(pattern) {
            Ok(name) => Matcher::Exact(name.into()),
            Err(_) => Matcher::Glob(pattern.into()),
        }
    }

    /// Whether it matches all of the name.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Matcher::Any => true,
            Matcher::Exact(exact) => **exact == *name,
            Matcher::Glob(pattern) => matches(pattern, name.as_bytes()),
        }
    }
}

/// Whether the pattern matches all of the text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last run is, and the first byte of the text that it does not stand for.
    let mut run: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(&RUN) => {
                run = Some((p, t));
                p += 1;
            }
            Some(&ONE) => {
                p += 1;
                t += character(text, t);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, covered)) = run else { return false };
                let covered = covered + character(text, covered);
                run = Some((at, covered));
                p = at + 1;
                t = covered;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == RUN)
}

/// Length of the character that begins at `at`, in bytes.
fn character(text: &[u8], at: usize) -> usize {
    1 + text[at + 1..].iter().take_while(|byte| **byte & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Vec<u8> {
        text.bytes()
            .map(|byte| if byte == b'*' { RUN } else { byte })
            .map(|b| if b == b'?' { ONE } else { b })
            .collect()
    }

    #[test]
    fn wildcards_cross_levels() {
        for (wanted, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("*é?", "aéb", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("+/#", "+/#", true),
            ("+", "a", false),
        ] {
            assert_eq!(matches(&pattern(wanted), text.as_bytes()), expected, "{wanted:?} on {text:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_pattern_matches_what_the_whole_matched() {
        let account = AccountInfo { id: "1".to_owned(), region: "r".to_owned() };
        for (wanted, left) in [
            ("*", 1),
            ("arn:aws:iot:r:1:topic/a", 1),
            ("arn:aws:iot:r:1:topic/*", 1),
            ("arn:aws:iot:r:?:topic/a/*", 1),
            ("arn:aws:iot:*:1:topic/a", 2),
            ("arn:aws:iot:*:*:topic/a", 3),
            ("arn:*a", 1),
            ("arn:aws:iot:r:2:topic/a", 0),
            ("arn:aws:iot:r:1:topicfilter/a", 0),
            ("arn:aws:iot:r:1:topic", 0),
            ("arn:aws:iot:r:1:t*a", 1),
        ] {
            let whole = pattern(wanted);
            let found = matchers(&whole, &account, "topic");
            assert_eq!(found.len(), left, "{wanted}: {found:?}");
            for name in ["", "a", "a/", "a/b", "b", "é", "1:topic/a", "x:1:topic/a", "x:y:topic/a", "topic/a"] {
                let expected = matches(&whole, format!("arn:aws:iot:r:1:topic/{name}").as_bytes());
                assert_eq!(found.iter().any(|one| one.matches(name)), expected, "{wanted} on {name:?}");
            }
        }
    }
}
