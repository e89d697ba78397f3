//! Numbers and texts as bytes: whole numbers take as many bytes as they need, seven bits in each.

use super::sequence::Sequence;

/// Appends a number.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
}

/// Appends a number with a sign: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_number(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Appends a number of things.
pub(super) fn put_count(bytes: &mut Vec<u8>, count: usize) {
    put_number(bytes, count as u64);
}

/// Appends bytes after their number.
pub(super) fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_count(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// Bytes that are read from the front. What is not there is nothing.
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes.
    pub fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    /// Bytes whose number is known.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// What [`put_number`] appended.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// What [`put_signed`] appended.
    pub fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// What [`put_count`] appended.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// What [`put_bytes`] appended.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.slice(length)
    }

    /// The same as a text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// What [`Sequence::put`] appended.
    pub fn sequence(&mut self) -> Option<Sequence> {
        let length = self.byte()?;
        Sequence::from_be_bytes(self.slice(length.into())?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_again(number: u64, shift in 0..64_u32, signed: i64, text: String) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            prop_assert!(bytes.len() <= 1 + (64 - shift as usize) / 7);
            put_signed(&mut bytes, signed >> shift);
            put_bytes(&mut bytes, text.as_bytes());
            let mut cursor = Cursor(&bytes);
            prop_assert_eq!(cursor.number(), Some(number));
            prop_assert_eq!(cursor.signed(), Some(signed >> shift));
            prop_assert_eq!(cursor.text(), Some(&*text));
            prop_assert!(cursor.is_empty());
            for length in 0..bytes.len() {
                let mut short = Cursor(&bytes[..length]);
                prop_assert!((short.number(), short.signed(), short.text()).2.is_none());
            }
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        assert_eq!(Cursor(&[0xff; 11]).number(), None);
        let mut most = vec![0xff; 9];
        most.push(1);
        assert_eq!(Cursor(&most).number(), Some(u64::MAX));
        most[9] = 2;
        assert_eq!(Cursor(&most).number(), None);
    }
}
