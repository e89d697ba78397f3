//! Which shard a record goes to: MD5 of the partition key as a 128-bit number, or the explicit hash key, against the
//! shards' hash key ranges.

use md5::{Digest as _, Md5};

/// Hash keys of a shard, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashRange {
    /// StartingHashKey.
    pub start: u128,
    /// EndingHashKey.
    pub end: u128,
}

impl HashRange {
    /// Where the upper of two equal halves begins; nothing when the range is too narrow for SplitShard.
    pub fn middle(self) -> Option<u128> {
        let width = self.end - self.start;
        (width >= 4).then(|| self.start + width / 2 + 1)
    }
}

/// The hash key of a partition key: MD5 of its UTF-8 bytes, read as a big-endian number.
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// Divides 0..2^128 evenly into `shards` ranges, as AWS does: each has floor(2^128 / shards) keys, and the last what
/// remains.
///
/// # Panics
/// When `shards` is 0.
pub(super) fn even_ranges(shards: u32) -> Vec<HashRange> {
    let count = u128::from(shards);
    // floor(2^128 / count) out of 2^128 - 1; one shard owns all keys and has no such width.
    let width = (u128::MAX / count).wrapping_add(u128::from(u128::MAX % count == count - 1));
    let range = |index: u128| HashRange {
        start: index.wrapping_mul(width),
        end: if index + 1 == count { u128::MAX } else { (index + 1) * width - 1 },
    };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_and_three_shards_have_the_ranges_that_aws_gives_them() {
        let ends: Vec<u128> = even_ranges(2).iter().map(|range| range.end).collect();
        assert_eq!(ends, [170_141_183_460_469_231_731_687_303_715_884_105_727, u128::MAX]);
        let starts: Vec<u128> = even_ranges(3).iter().map(|range| range.start).collect();
        let expected = [
            0,
            113_427_455_640_312_821_154_458_202_477_256_070_485,
            226_854_911_280_625_642_308_916_404_954_512_140_970,
        ];
        assert_eq!(starts, expected);
    }

    #[test]
    fn a_hash_key_is_md5_as_a_big_endian_number() {
        // RFC 1321 gives these digests.
        assert_eq!(hash_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
        assert_eq!(hash_key("abc"), 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn ranges_divide_all_keys_exactly_and_evenly(shards in 1..2_000u32) {
            let ranges = even_ranges(shards);
            prop_assert_eq!(ranges.len(), shards as usize);
            prop_assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, u128::MAX));
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].end + 1, pair[1].start);
            }
            // Widths without the last are equal; the last has at most `shards - 1` keys more.
            let width = |range: &HashRange| range.end - range.start;
            let last = width(&ranges[ranges.len() - 1]);
            for range in &ranges[..ranges.len() - 1] {
                prop_assert_eq!(width(range), width(&ranges[0]));
                prop_assert!(last >= width(range) && last - width(range) < u128::from(shards));
            }
        }
    }
}
