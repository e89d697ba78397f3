//! JSON of payloads: a reader that borrows, a writer, and their normal form.
//!
//! Results are written without white space. Numbers are written in their shortest plain form (`10.0` as `10`, `1.50` as
//! `1.5`), because version 2016-03-23 of the SQL treats whole decimals as integers; a number that does not fit in 34
//! digits is copied. Texts keep their characters; only quotes, backslashes and control characters are escaped.

use std::borrow::Cow;

use super::number::Number;
use super::value::Value;
use crate::iot::json::number_end;

/// How deep arrays and objects may be nested.
pub(super) const DEPTH_MAX: u32 = 128;

/// Parses a payload. `None` when it is not one JSON value in UTF-8.
pub fn parse(payload: &[u8]) -> Option<Value<'_>> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'m> {
    text: &'m str,
    at: usize,
}

impl<'m> Reader<'m> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: u32) -> Option<Value<'m>> {
        self.skip_space();
        match self.peek()? {
            b'{' if depth < DEPTH_MAX => self.object(depth),
            b'[' if depth < DEPTH_MAX => self.array(depth),
            b'"' => Some(Value::Text(self.string()?)),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Value<'m>) -> Option<Value<'m>> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        found.then(|| {
            self.at += word.len();
            value
        })
    }

    fn object(&mut self, depth: u32) -> Option<Value<'m>> {
        self.at += 1;
        let mut members = Vec::new();
        if self.eat(b'}').is_some() {
            return Some(Value::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.eat(b':')?;
            members.push((name, self.value(depth + 1)?));
            if self.eat(b',').is_none() {
                self.eat(b'}')?;
                return Some(Value::Object(members));
            }
        }
    }

    fn array(&mut self, depth: u32) -> Option<Value<'m>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b',').is_none() {
                self.eat(b']')?;
                return Some(Value::Array(items));
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'m, str>> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if escaped {
            serde_json::from_str(self.text.get(start..self.at)?).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&self.text[start + 1..self.at - 1]))
        }
    }

    fn number(&mut self) -> Option<Value<'m>> {
        let end = number_end(self.text, self.at)?;
        let text = &self.text[self.at..end];
        self.at = end;
        Some(Number::parse(text).map_or(Value::WideNumber(Cow::Borrowed(text)), Value::Number))
    }
}

/// The value as JSON text.
pub(super) fn to_text(value: &Value<'_>) -> String {
    let mut out = Vec::new();
    write(value, &mut out);
    String::from_utf8(out).expect("the writer copies text and writes ASCII")
}

/// Writes a value; members and items that are undefined are left out.
pub fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Undefined | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => write_number(*number, out),
        Value::WideNumber(text) => out.extend_from_slice(text.as_bytes()),
        Value::Text(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().filter(|item| **item != Value::Undefined).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let start = out.len();
            for (name, value) in members {
                write_member(name, value, start, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes one member of an object whose members begin at `start` of `out`, unless the value is undefined.
pub(super) fn write_member(name: &str, value: &Value<'_>, start: usize, out: &mut Vec<u8>) {
    if *value == Value::Undefined {
        return;
    }
    if out.len() > start {
        out.push(b',');
    }
    write_text(name, out);
    out.push(b':');
    write(value, out);
}

fn write_number(number: Number, out: &mut Vec<u8>) {
    use std::io::Write as _;
    write!(out, "{number}").expect("a vector takes every write");
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        serde_json::to_writer(out, text).expect("a vector takes every write");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}
