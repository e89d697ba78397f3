//! JSON of shadow documents: a strict reader, a writer, and equality of values.
//!
//! Numbers are kept as they were written, so that `21.50` of a device is `21.50` in every answer; 1, 1.0 and 1e0 are equal
//! all the same. Members of an object are kept by name, so that documents are written in one order. A name that occurs
//! twice in one object is refused (unverified: RFC 8259 leaves it open).

use std::collections::BTreeMap;

use crate::iot::json::number_end;

/// How deep a request may be nested before it is not read at all. Far beyond what a shadow may have.
const DEPTH_MAX: u32 = 128;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Box<str>),
    /// A text.
    Text(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// Members of an object, by name.
pub type Object = BTreeMap<Box<str>, Json>;

/// Why a text is no JSON that a shadow can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It is not JSON.
    Syntax,
    /// It is nested too deeply to be read.
    TooDeep,
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Json::Number(value.to_string().into())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Json::Text(text.into())
    }
}

impl<const N: usize> From<[(&str, Json); N]> for Json {
    fn from(members: [(&str, Json); N]) -> Self {
        Json::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Json {
    /// Reads one value that fills the whole text.
    pub fn parse(text: &str) -> Result<Json, JsonError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at == text.len() { Ok(value) } else { Err(JsonError::Syntax) }
    }

    /// Writes the value without white space.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Json::Number(text) => out.extend_from_slice(text.as_bytes()),
            Json::Text(text) => write_text(text, out),
            Json::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_text(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The value as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Whether two values mean the same: numbers by their value, everything else as it is.
    pub fn same(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Number(a), Json::Number(b)) => a == b || decimal(a) == decimal(b),
            (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Json::Object(a), Json::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((m, a), (n, b))| m == n && a.same(b))
            }
            _ => self == other,
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes every write");
}

/// A number as (negative, digits without zeros at either end, exponent of the last digit). Zero has no digits.
fn decimal(number: &str) -> (bool, Vec<u8>, i64) {
    let (negative, unsigned) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        // An exponent that does not fit belongs to a number that equals only itself and its like.
        Some((mantissa, text)) => {
            (mantissa, text.parse().unwrap_or(if text.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 }))
        }
        None => (unsigned, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
    let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    if kept == 0 {
        return (false, Vec::new(), 0);
    }
    let shift = (digits.len() - kept) as i64 - fraction.len() as i64;
    (negative, digits[..kept].to_vec(), exponent.saturating_add(shift))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a byte behind white space, if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn value(&mut self, depth: u32) -> Result<Json, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(JsonError::TooDeep),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(JsonError::Syntax),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: u32) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members = Object::new();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            if members.insert(name, value).is_some() {
                return Err(JsonError::Syntax);
            }
            if !self.eat(b',') {
                self.expect(b'}')?;
                return Ok(Json::Object(members));
            }
        }
    }

    fn array(&mut self, depth: u32) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.eat(b',') {
                self.expect(b']')?;
                return Ok(Json::Array(items));
            }
        }
    }

    fn string(&mut self) -> Result<Box<str>, JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(JsonError::Syntax);
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                None | Some(0..=0x1f) => return Err(JsonError::Syntax),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        if !escaped {
            return Ok(self.text[start + 1..self.at - 1].into());
        }
        let quoted = self.text.get(start..self.at).ok_or(JsonError::Syntax)?;
        serde_json::from_str::<String>(quoted).map(String::into_boxed_str).map_err(|_| JsonError::Syntax)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let end = number_end(self.text, self.at).ok_or(JsonError::Syntax)?;
        let text = &self.text[self.at..end];
        self.at = end;
        Ok(Json::Number(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_no_json_of_a_shadow_are_refused() {
        for text in [
            "",
            " ",
            "{",
            "{}x",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "nul",
            "NaN",
            "'a'",
            "\"a",
            "\"\t\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1 \"b\":2}",
            "\u{feff}{}",
            "{} {}",
            "\"\\",
        ] {
            assert_eq!(Json::parse(text), Err(JsonError::Syntax), "{text:?}");
        }
        assert_eq!(Json::parse(&"[".repeat(200)), Err(JsonError::TooDeep));
    }

    #[test]
    fn values_are_written_as_they_were_read() {
        for (text, expected) in [
            (
                " { \"b\" : 21.50 , \"a\" : [ 1E+2 , -0.0 , null , true ] } ",
                "{\"a\":[1E+2,-0.0,null,true],\"b\":21.50}",
            ),
            (
                "12345678901234567890123456789012345678901234567890.1",
                "12345678901234567890123456789012345678901234567890.1",
            ),
            ("\"\\u00e9\\n\\u0007\\/\\ud83d\\ude00\"", "\"é\\n\\u0007/😀\""),
        ] {
            assert_eq!(String::from_utf8(Json::parse(text).unwrap().to_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_equal_by_their_value() {
        for (a, b, expected) in [
            ("1", "1.0", true),
            ("1", "1e0", true),
            ("100", "1E2", true),
            ("0.001", "1e-3", true),
            ("-0", "0.00", true),
            ("1", "-1", false),
            ("1", "1.0000000000000000000000000001", false),
            ("9007199254740993", "9007199254740992", false),
            ("1e400", "1e401", false),
            ("[1,{\"a\":2.0}]", "[1.0,{\"a\":2}]", true),
            ("\"1\"", "1", false),
            ("[1]", "[1,1]", false),
        ] {
            assert_eq!(Json::parse(a).unwrap().same(&Json::parse(b).unwrap()), expected, "{a} and {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn every_text_is_json_exactly_when_another_reader_says_so(text in "[\\[\\]{}\",:0-9a-e.\\-+ntrufls\\\\ ]{0,24}") {
            let ours = Json::parse(&text);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match ours {
                Ok(value) => {
                    let again = serde_json::from_slice::<serde_json::Value>(&value.to_bytes());
                    // The other reader refuses numbers that are out of the range of its floats.
                    if let (Ok(theirs), Ok(again)) = (theirs, again) {
                        prop_assert_eq!(theirs, again);
                    }
                }
                Err(_) => {
                    // It takes names that occur twice.
                    prop_assert!(theirs.is_err() || text.contains(','), "{}", text);
                }
            }
        }
    }
}
