//! Sequence numbers of Kinesis: whole numbers of many digits. Real ones have 56, the service's reference allows 129.

/// Most digits (API reference of Kinesis, pattern of `SequenceNumber`).
const DIGITS_MAX: usize = 129;
/// 448 bits: ten to the power of 129 has 429.
const LIMBS: usize = 7;
/// Bytes of a number.
const BYTES: usize = 8 * LIMBS;
/// Digits that are taken in one step: ten to their number fits 64 bits.
const STEP: usize = 19;

/// A sequence number. The default, 0, is below that of every record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence([u64; LIMBS]);

impl Sequence {
    /// Most bytes that [`Self::put`] appends for a number of 56 digits, as Kinesis gives them.
    #[cfg(test)]
    pub const USUAL_BYTES: usize = 25;

    /// The number of a text of digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > DIGITS_MAX || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut limbs = [0_u64; LIMBS];
        for digits in text.as_bytes().chunks(STEP) {
            let (mut factor, mut carry) = (1_u64, 0_u64);
            for digit in digits {
                factor *= 10;
                carry = carry * 10 + u64::from(digit - b'0');
            }
            for limb in limbs.iter_mut().rev() {
                let wide = u128::from(*limb) * u128::from(factor) + u128::from(carry);
                #[allow(clippy::cast_possible_truncation, reason = "the low and the high half are taken apart")]
                let (low, high) = (wide as u64, (wide >> 64) as u64);
                (*limb, carry) = (low, high);
            }
        }
        Some(Sequence(limbs))
    }

    /// Appends the number: how many bytes, and these, the highest first.
    pub fn put(self, bytes: &mut Vec<u8>) {
        let mut all = [0; BYTES];
        for (eight, limb) in all.chunks_exact_mut(8).zip(self.0) {
            eight.copy_from_slice(&limb.to_be_bytes());
        }
        let zeros = all.iter().take_while(|byte| **byte == 0).count();
        let digits = &all[zeros..];
        bytes.push(u8::try_from(digits.len()).expect("there are at most 56 bytes"));
        bytes.extend_from_slice(digits);
    }

    /// The number of bytes, the highest first; nothing when they are too many.
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; BYTES];
        all.get_mut(BYTES.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        let mut limbs = [0; LIMBS];
        for (limb, eight) in limbs.iter_mut().zip(all.as_chunks::<8>().0) {
            *limb = u64::from_be_bytes(*eight);
        }
        Some(Sequence(limbs))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Sequence {
        Sequence::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn what_is_no_number_of_kinesis_is_none() {
        for text in ["", "-1", "1.5", "0x1", " 1", &"1".repeat(DIGITS_MAX + 1)] {
            assert_eq!(Sequence::parse(text), None, "{text}");
        }
        assert!(number("100") > number("99") && number("1") > Sequence::default());
        assert_eq!(number("007"), number("7"));
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_as_their_digits_are_and_keep_every_one(
            a in "[1-9][0-9]{0,128}",
            b in "[1-9][0-9]{0,128}",
            usual in "[1-9][0-9]{55}",
        ) {
            prop_assert_eq!(number(&a).cmp(&number(&b)), (a.len(), &a).cmp(&(b.len(), &b)));
            for text in [&a, &usual] {
                let mut bytes = Vec::new();
                number(text).put(&mut bytes);
                prop_assert_eq!(usize::from(bytes[0]), bytes.len() - 1);
                prop_assert_eq!(Sequence::from_be_bytes(&bytes[1..]), Some(number(text)));
                prop_assert!(text.len() > 56 || bytes.len() <= Sequence::USUAL_BYTES);
            }
        }
    }
}
