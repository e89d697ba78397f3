//! The flags that the platform raises of a reading, worked out once more from what its row says.

use super::Rest;

/// What the platform promises: a reading that arrived later than that after it was taken is `late`.
const LATE_AFTER_MS: i64 = 60 * 60 * 1_000;
/// What the platform promises: a reading whose own time lies further than that after its arrival is `ahead`.
const AHEAD_AFTER_MS: i64 = 5 * 60 * 1_000;

/// The flags that there are. Whether a unit was declared, the fleet's truth does not say: that one is not judged.
const WORDS: [&str; 4] = ["late", "ahead", "skewed", UNDECLARED];
const UNDECLARED: &str = "unit-undeclared";

/// Flags of a row: a bit for each of the words, and one for every other word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The flags with these words.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let bit = |word| 1 << WORDS.iter().position(|known| *known == word).unwrap_or(WORDS.len());
        Flags(words.into_iter().fold(0, |bits, word| bits | bit(word)))
    }

    fn words(self) -> impl Iterator<Item = &'static str> {
        let all = WORDS.into_iter().chain(["another one"]);
        all.enumerate().filter(move |(n, _)| self.0 & (1 << n) != 0).map(|(_, word)| word)
    }

    /// The same without the flag that is not judged.
    fn judged(self) -> Self {
        Flags(self.0 & !Flags::of([UNDECLARED]).0)
    }
}

/// Says what is wrong with the flags of a reading with this timestamp of its device, in ms.
pub(super) fn wrong(rest: &Rest, ts: i64) -> Option<String> {
    let received = i64::try_from(rest.received_ms?).unwrap_or(i64::MAX);
    let expected = [
        ("late", received - rest.event_ms? > LATE_AFTER_MS),
        ("ahead", ts - received > AHEAD_AFTER_MS),
        ("skewed", rest.skew_ms.is_some()),
    ];
    let expected = Flags::of(expected.into_iter().filter(|(_, raised)| *raised).map(|(word, _)| word));
    let list = |flags: Flags| flags.words().collect::<Vec<&str>>().join(", ");
    (rest.flags.judged() != expected)
        .then(|| format!("its flags are [{}] and should be [{}]", list(rest.flags), list(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Content;

    #[test]
    fn flags_are_those_that_follow_from_the_times_of_a_row() {
        const ARRIVAL: i64 = 1_772_323_200_000;
        for (ts, skew, expected) in [
            (0, None, &[][..]),
            (-LATE_AFTER_MS, None, &[]),
            (-LATE_AFTER_MS - 1, None, &["late"]),
            (-LATE_AFTER_MS - 1, Some(LATE_AFTER_MS), &["skewed"]),
            (AHEAD_AFTER_MS, Some(-AHEAD_AFTER_MS), &["skewed"]),
            (AHEAD_AFTER_MS + 1, Some(-AHEAD_AFTER_MS - 1), &["ahead", "skewed"]),
        ] {
            let all =
                [&[][..], &["late"], &["ahead"], &["skewed"], &["ahead", "skewed"], &["late", "skewed"], &["early"]];
            for flags in all {
                let rest = Rest {
                    received_ms: u64::try_from(ARRIVAL).ok(),
                    event_ms: Some(ARRIVAL + ts + skew.unwrap_or(0)),
                    skew_ms: skew,
                    flags: Flags::of(flags.iter().copied()),
                    content: Content::canonical(None, []),
                };
                let found = wrong(&rest, ARRIVAL + ts);
                assert_eq!(found.is_none(), flags == expected, "{ts} {skew:?} {flags:?}: {found:?}");
                let undeclared = Flags::of(flags.iter().copied().chain([UNDECLARED]));
                assert_eq!(wrong(&Rest { flags: undeclared, ..rest }, ARRIVAL + ts).is_none(), found.is_none());
            }
        }
    }
}
