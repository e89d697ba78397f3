//! Regular expressions. AWS has those of Java; they are run here by an engine that has most of them. What Java has or reads
//! in another way is refused when the rule is created: look-around, atomic groups, possessive quantifiers, flags, names of
//! groups, backslashes (which no text of the SQL can hold, see [`super::token`]) and classes within classes. One difference
//! stays: `$` does not match before a line break at the end of the text.

use regex::Regex;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Regexp {
    regex: Regex,
}

/// Why a pattern is refused: the byte in it, and what stands there.
pub(super) type Refused = (usize, String);

/// What `.` matches in Java: everything but line terminators.
const DOT: &str = "[^\\n\\r\\u{85}\\u{2028}\\u{2029}]";

/// Largest size of a compiled expression, in bytes.
const SIZE_MAX: usize = 1 << 20;

impl Regexp {
    /// Compiles a pattern of Java.
    pub(super) fn parse(pattern: &str) -> Result<Regexp, Refused> {
        let translated = translate(pattern)?;
        let regex = regex::RegexBuilder::new(&translated).size_limit(SIZE_MAX).nest_limit(50).build();
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            let why = text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned();
            (0, format!("this regular expression is not modelled: {why}"))
        })?;
        Ok(Regexp { regex })
    }

    /// Whether the text contains a match.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match.
    pub(super) fn first<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.regex.find(text).map(|found| found.as_str())
    }

    /// The text with every match replaced. `None` when the replacement is none of Java's, or the result has more than
    /// `size_max` bytes.
    pub(super) fn replace(&self, text: &str, replacement: &str, size_max: usize) -> Option<String> {
        let replacement = Replacement::parse(replacement, self.regex.captures_len() - 1)?;
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        // As in Java, and not as in this engine, an empty match may follow another match directly.
        while at <= text.len() {
            let Some(captures) = self.regex.captures_at(text, at) else { break };
            let found = captures.get(0).expect("the whole match is group 0");
            out.push_str(&text[copied..found.start()]);
            replacement.write(&captures, &mut out);
            if out.len() > size_max {
                return None;
            }
            copied = found.end();
            let step = text[copied..].chars().next().map_or(1, char::len_utf8);
            at = if found.is_empty() { copied + step } else { copied };
        }
        out.push_str(&text[copied..]);
        (out.len() <= size_max).then_some(out)
    }
}

/// A replacement, cut at its references.
struct Replacement {
    parts: Vec<Part>,
}

enum Part {
    Char(char),
    Group(usize),
}

impl Replacement {
    /// Reads `$n` and `\c`. A reference takes as many digits as give a group that exists.
    fn parse(text: &str, groups: usize) -> Option<Replacement> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => parts.push(Part::Char(chars.next()?)),
                '$' => {
                    let mut group = usize::try_from(chars.next()?.to_digit(10)?).ok()?;
                    if group > groups {
                        return None;
                    }
                    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                        let longer = group * 10 + usize::try_from(digit).ok()?;
                        if longer > groups {
                            break;
                        }
                        group = longer;
                        chars.next();
                    }
                    parts.push(Part::Group(group));
                }
                other => parts.push(Part::Char(other)),
            }
        }
        Some(Replacement { parts })
    }

    fn write(&self, captures: &regex::Captures<'_>, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Char(c) => out.push(*c),
                // A group that took no part in the match is empty.
                Part::Group(group) => out.push_str(captures.get(*group).map_or("", |found| found.as_str())),
            }
        }
    }
}

/// What stands before a sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// `*`, `+`, `?` or `{n}`.
    Quantifier,
    /// The `?` that makes a quantifier lazy.
    Lazy,
    Other,
}

/// Refuses what means something else in Java, and writes `.` as Java means it.
fn translate(pattern: &str) -> Result<String, Refused> {
    let refuse = |at: usize, what: &str| Err((at, format!("{what} is not modelled in a regular expression")));
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut after = After::Other;
    let bytes = pattern.as_bytes();
    for (at, c) in pattern.char_indices() {
        let next = bytes.get(at + 1).copied();
        let mut this = After::Other;
        match c {
            '\\' => return refuse(at, "a backslash"),
            '[' if in_class => return refuse(at, "a class within a class"),
            '[' => {
                in_class = true;
                // `[]` and `[^]` begin a class that has the bracket as its first member; in Java they are an error.
                let first = if next == Some(b'^') { bytes.get(at + 2).copied() } else { next };
                if first == Some(b']') {
                    return refuse(at, "an empty class");
                }
            }
            ']' if in_class => in_class = false,
            '&' | '-' | '~' if in_class && next == Some(c as u8) => return refuse(at, "a doubled sign in a class"),
            _ if in_class => {}
            '(' if next == Some(b'?') && bytes.get(at + 2) != Some(&b':') => {
                return refuse(at, "a group that begins with (? and is not (?:");
            }
            '*' | '+' | '?' | '{' if after == After::Lazy => return refuse(at, "a quantifier of a quantifier"),
            '+' if after == After::Quantifier => return refuse(at, "a possessive quantifier"),
            '*' | '{' if after == After::Quantifier => return refuse(at, "a quantifier of a quantifier"),
            '?' if after == After::Quantifier => this = After::Lazy,
            '*' | '+' | '?' => this = After::Quantifier,
            '{' if !next.is_some_and(|b| b.is_ascii_digit()) => return refuse(at, "a brace that counts nothing"),
            '}' => this = After::Quantifier,
            '.' => {
                out.push_str(DOT);
                after = After::Other;
                continue;
            }
            _ => {}
        }
        after = this;
        out.push(c);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_those_of_java() {
        for (text, pattern, replacement, expected) in [
            ("abcd", "b(.*)d", "$1", Some("ac")),
            ("abcd", "bc", "x", Some("axd")),
            ("baaac", "a*", "x", Some("xbxxcx")),
            ("abc", "x*", "-", Some("-a-b-c-")),
            ("é", "x*", "-", Some("-é-")),
            ("ab", "(a)(b)", "$2$1", Some("ba")),
            ("ab", "(a)(b)", "$12", Some("a2")),
            ("ab", "(a)(b)", "$0!", Some("ab!")),
            ("ab", "(a)|(z)", "[$2]", Some("[]b")),
            ("ab", "a", "\\$", Some("$b")),
            ("ab", "a", "$3", None),
            ("ab", "a", "$", None),
            ("ab", "a", "$x", None),
            ("ab", "a", "\\", None),
            ("a\nb", "a.b", "x", Some("a\nb")),
        ] {
            let regexp = Regexp::parse(pattern).unwrap();
            assert_eq!(regexp.replace(text, replacement, 100).as_deref(), expected, "{pattern} on {text}");
        }
        assert_eq!(Regexp::parse("a").unwrap().replace("aaaa", &"x".repeat(60), 100), None);
    }

    #[test]
    fn what_java_reads_in_another_way_is_refused_where_it_stands() {
        for (pattern, at) in [
            ("a(?=b)", 1),
            ("(?i)a", 0),
            ("(?<n>a)", 0),
            ("(?>a)", 0),
            ("a++", 2),
            ("a?+", 2),
            ("a{2}+", 4),
            ("[a[b]]", 2),
            ("[a&&b]", 2),
            ("\\d", 0),
            ("a{,2}", 1),
            ("[]a]", 0),
            ("(a", 0),
            ("a**", 2),
            ("a*?+", 3),
        ] {
            assert_eq!(Regexp::parse(pattern).expect_err(pattern).0, at, "{pattern}");
        }
        for pattern in ["a{2,}", "(hi)*", "^a.*?b$", "[^a-z]+", "a|b", "(?:x)", "a??", "a{2}?"] {
            Regexp::parse(pattern).unwrap_or_else(|e| panic!("{pattern}: {e:?}"));
        }
    }
}
