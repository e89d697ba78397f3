//! Sequence numbers of Kinesis records: what a number says, its form inside the account (`u128`) and on the wire.
//!
//! On the wire AWS writes a decimal number of 56 digits. In hexadecimal its 47 digits are, from the left: `2`; the
//! shard's creation in seconds (9); the last digit of the shard's index (1); a counter (16); `00`; the record's
//! arrival in seconds (9); the shard's index (8); `2`. Source: numbers recorded from AWS by kinesalite (`db/index.js`);
//! AWS documents only that numbers of a shard grow and that they are decimal.
//! The `u128` holds the same fields in the same order without the redundant ones, so both forms sort alike.

/// Decimal digits of a sequence number on the wire.
const DIGITS: usize = 56;
/// Ten to the 19th: the largest power of ten that fits 64 bits.
const CHUNK: u128 = 10_000_000_000_000_000_000;

/// What a sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceNumber {
    /// When the shard was created, in seconds since the Unix epoch.
    pub shard_created_secs: u32,
    /// Index of the shard in its stream, below 2^20.
    pub shard: u32,
    /// Position in the shard: 0 is the shard's start, the first record has 1. Below 2^44.
    pub ordinal: u64,
    /// When the record arrived, in seconds since the Unix epoch.
    pub arrival_secs: u32,
}

impl SequenceNumber {
    /// The number as the account's services pass it around.
    pub fn pack(self) -> u128 {
        u128::from(self.shard_created_secs) << 96
            | u128::from(self.shard & 0xf) << 92
            | u128::from(self.ordinal & 0xfff_ffff_ffff) << 48
            | u128::from(self.arrival_secs) << 16
            | u128::from(self.shard >> 4 & 0xffff)
    }

    /// What a packed number says.
    pub fn unpack(packed: u128) -> Self {
        SequenceNumber {
            shard_created_secs: (packed >> 96) as u32,
            shard: (packed as u32 & 0xffff) << 4 | (packed >> 92) as u32 & 0xf,
            ordinal: (packed >> 48) as u64 & 0xfff_ffff_ffff,
            arrival_secs: (packed >> 16) as u32,
        }
    }
}

/// A sequence number as AWS writes it: 56 decimal digits. Sorts as the numbers do.
pub fn render_sequence_number(packed: u128) -> String {
    let number = SequenceNumber::unpack(packed);
    // 188 bits: 60 in `high`, 128 in `low`.
    let high = 2 << 56
        | u128::from(number.shard_created_secs) << 20
        | u128::from(number.shard & 0xf) << 16
        | u128::from(number.ordinal) >> 48;
    let low =
        u128::from(number.ordinal) << 80 | u128::from(number.arrival_secs) << 36 | u128::from(number.shard) << 4 | 2;
    // Long division by CHUNK in 64-bit digits, then once more for the quotient.
    let first = high << 64 | low >> 64;
    let second = (first % CHUNK) << 64 | low & u128::from(u64::MAX);
    let quotient = ((first / CHUNK) << 64) | (second / CHUNK);
    let chunks = [quotient / CHUNK, quotient % CHUNK, second % CHUNK].map(|chunk| chunk as u64);
    format!("{}{:019}{:019}", chunks[0], chunks[1], chunks[2])
}

/// Reads a sequence number as [`render_sequence_number`] writes it; `None` for any other text.
pub fn parse_sequence_number(text: &str) -> Option<u128> {
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let chunk = |range: std::ops::Range<usize>| text[range].parse::<u128>().ok();
    let quotient = chunk(0..18)? * CHUNK + chunk(18..37)?;
    let lowest = (quotient & u128::from(u64::MAX)) * CHUNK + chunk(37..56)?;
    let upper = (quotient >> 64) * CHUNK + (lowest >> 64);
    let (high, low) = (upper >> 64, upper << 64 | lowest & u128::from(u64::MAX));
    let number = SequenceNumber {
        shard_created_secs: u32::try_from(high >> 20 & 0xf_ffff_ffff).ok()?,
        shard: (low >> 4) as u32,
        ordinal: (high as u64 & 0xffff) << 48 | (low >> 80) as u64,
        arrival_secs: u32::try_from(low >> 36 & 0xf_ffff_ffff).ok()?,
    };
    let packed = number.pack();
    (render_sequence_number(packed) == text).then_some(packed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_recorded_from_aws_is_understood() {
        // Answer of PutRecord in a public issue of 2025 (vdesabou/kafka-docker-playground #7402).
        let text = "49669554613075263284170738169223374761157254194237800450";
        let number = SequenceNumber::unpack(parse_sequence_number(text).unwrap());
        let expected = SequenceNumber {
            shard_created_secs: 0x6930_8616,
            shard: 0,
            ordinal: 0x1_49fa_f5fa,
            arrival_secs: 0x6930_8656,
        };
        assert_eq!(number, expected);
        assert_eq!(render_sequence_number(number.pack()), text);
    }

    #[test]
    fn other_texts_are_no_sequence_numbers() {
        let text = render_sequence_number(7 << 48);
        let with_byte_1 = "49537279973004700513262647557344055618854783026326405121";
        for wrong in ["", "0", "latest", &text[1..], &format!("{text}0"), &text.replace('2', "3"), with_byte_1] {
            assert_eq!(parse_sequence_number(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_number_comes_back_and_keeps_its_order(a: u128, b: u128) {
            let (x, y) = (render_sequence_number(a), render_sequence_number(b));
            prop_assert_eq!(x.len(), DIGITS);
            prop_assert_eq!(parse_sequence_number(&x), Some(a));
            prop_assert_eq!(SequenceNumber::unpack(a).pack(), a);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
