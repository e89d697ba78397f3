//! The fast form of `SELECT *`: one pass over the payload that checks that it is one JSON object and copies its members,
//! in the same normal form that [`super::json`] writes. What needs more than a look at the bytes is left to the general
//! form.

use super::json::DEPTH_MAX;

/// What came of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splice {
    /// The members are written; the object is still open.
    Done,
    /// The general form has to decide; nothing is written.
    Undecided,
}

/// Copies the members of the object `payload` to `out`, without those whose names are in `replaced`, and without the
/// closing brace.
pub fn splice(payload: &[u8], replaced: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) -> Splice {
    let mark = out.len();
    if std::str::from_utf8(payload).is_err() {
        return Splice::Undecided;
    }
    let mut scanner = Scanner { bytes: payload, at: 0, copied: 0, out };
    if scanner.members(replaced).is_some() {
        return Splice::Done;
    }
    out.truncate(mark);
    Splice::Undecided
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Everything before is copied or left out.
    copied: usize,
    out: &'a mut Vec<u8>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Copies what was seen and not left out.
    fn flush(&mut self) {
        self.out.extend_from_slice(&self.bytes[self.copied..self.at]);
        self.copied = self.at;
    }

    /// Leaves out the bytes from here to `end`.
    fn leave_out(&mut self, end: usize) {
        self.flush();
        self.at = end;
        self.copied = end;
    }

    fn skip_space(&mut self) {
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            let rest = &self.bytes[self.at..];
            let space = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
            self.leave_out(self.at + space);
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn members(&mut self, replaced: impl Fn(&[u8]) -> bool) -> Option<()> {
        self.eat(b'{')?;
        self.flush();
        let start = self.out.len();
        if self.eat(b'}').is_none() {
            loop {
                self.skip_space();
                let member = self.out.len();
                if member > start {
                    self.out.push(b',');
                }
                self.copied = self.at;
                let name = self.string()?;
                self.eat(b':')?;
                self.value(1)?;
                self.flush();
                if replaced(&self.bytes[name.0..name.1]) {
                    self.out.truncate(member);
                }
                let more = self.eat(b',').is_some();
                if !more {
                    self.eat(b'}')?;
                    break;
                }
                self.copied = self.at;
            }
        }
        self.copied = self.at;
        self.skip_space();
        (self.at == self.bytes.len()).then_some(())
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'{' if depth < DEPTH_MAX => self.list(depth, b'}', true),
            b'[' if depth < DEPTH_MAX => self.list(depth, b']', false),
            b'"' => self.string().map(drop),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn list(&mut self, depth: u32, end: u8, named: bool) -> Option<()> {
        self.at += 1;
        if self.eat(end).is_some() {
            return Some(());
        }
        loop {
            if named {
                self.skip_space();
                self.string()?;
                self.eat(b':')?;
            }
            self.value(depth + 1)?;
            if self.eat(b',').is_none() {
                return self.eat(end);
            }
        }
    }

    /// The range of a text's characters. A text with escapes is left to the general form.
    fn string(&mut self) -> Option<(usize, usize)> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let length = self.bytes[start..].iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20)?;
        self.at = start + length + 1;
        (self.bytes[start + length] == b'"').then_some((start, start + length))
    }

    /// A number without an exponent and of at most 34 digits; zeros at the end of its fraction are left out.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.peek()?;
        let whole = self.digits()?;
        if first == b'0' && whole > 1 {
            return None;
        }
        let mut fraction = 0;
        let mut end = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits()?;
            end = self.at - self.bytes[..self.at].iter().rev().take_while(|b| **b == b'0').count();
            if self.bytes[end - 1] == b'.' {
                end -= 1;
            }
        }
        let minus_zero = negative && first == b'0' && end == start + 2;
        if whole + fraction > 34 || minus_zero || matches!(self.peek(), Some(b'e' | b'E')) {
            return None;
        }
        if end < self.at {
            let after = self.at;
            self.at = end;
            self.leave_out(after);
        }
        Some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(count)
    }
}
