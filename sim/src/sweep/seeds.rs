//! Which seeds a sweep runs.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Seeds in the order in which they are run: ranges without a seed in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds(Vec<Range<u64>>);

/// What a list of seeds looks like, for errors and documents.
pub const EXPECTED: &str = "ranges without their end, such as 0..500, and single seeds, with commas between them";

impl Seeds {
    /// Every seed, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(Clone::clone)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The fewest ranges that hold these seeds and no others.
    pub fn of(mut seeds: Vec<u64>) -> Self {
        seeds.sort_unstable();
        seeds.dedup();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for seed in seeds {
            match ranges.last_mut() {
                Some(last) if last.end == seed => last.end = seed.saturating_add(1),
                _ => ranges.push(seed..seed.saturating_add(1)),
            }
        }
        Seeds(ranges)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let number = |word: &str| {
                word.parse::<u64>().map_err(|_| format!("`{part}` is neither a seed nor a range; expected {EXPECTED}"))
            };
            let range = match part.split_once("..") {
                Some((_, end)) if end.starts_with('=') => {
                    return Err(format!("`{part}` has an end of its own; expected {EXPECTED}"));
                }
                Some((from, to)) => number(from)?..number(to)?,
                None => {
                    let seed = number(part)?;
                    seed..seed
                        .checked_add(1)
                        .ok_or_else(|| format!("`{part}` is the largest number, which no range holds"))?
                }
            };
            if range.is_empty() {
                return Err(format!(
                    "`{part}` is empty: a range begins with its first seed and ends before the second number"
                ));
            }
            if let Some(other) = ranges.iter().find(|other| range.start < other.end && other.start < range.end) {
                return Err(format!("`{part}` and `{}..{}` have seeds in common", other.start, other.end));
            }
            ranges.push(range);
        }
        Ok(Seeds(ranges))
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match range.end - range.start {
                1 => write!(f, "{comma}{}", range.start)?,
                _ => write!(f, "{comma}{}..{}", range.start, range.end)?,
            }
        }
        Ok(())
    }
}

/// One of several machines that share a sweep: it runs every `of`-th seed, from the one at position `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// Its part of the seeds.
    pub fn part(self, seeds: &Seeds) -> Vec<u64> {
        let mine = |(position, _): &(usize, u64)| *position as u64 % self.of == self.index;
        seeds.iter().enumerate().filter(mine).map(|(_, seed)| seed).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            Some((index, of)) => Err(format!("{index} is not below {of}: shards are counted from 0")),
            None => Err("expected i/n, such as 0/4 for the first of four".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Seeds {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn ranges_and_single_seeds_are_read_and_written() {
        for (text, expected) in [("3..6", vec![3, 4, 5]), ("7", vec![7]), ("9..11,2", vec![9, 10, 2])] {
            let seeds = seeds(text);
            assert_eq!(
                (seeds.iter().collect::<Vec<_>>(), seeds.count(), seeds.to_string().as_str()),
                (expected.clone(), expected.len() as u64, text)
            );
        }
        assert_eq!(Seeds::of(vec![5, 1, 2, 3, 5]).to_string(), "1..4,5");
    }

    #[test]
    fn what_is_no_list_of_seeds_is_explained() {
        for (text, problem) in [
            ("", "neither a seed nor a range"),
            ("a..3", "`a..3` is neither"),
            ("5..5", "is empty"),
            ("6..2", "is empty"),
            ("0..=9", "an end of its own"),
            ("0..9,8", "`8` and `0..9` have seeds in common"),
        ] {
            let error = text.parse::<Seeds>().expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn shards_are_parts_that_come_to_the_whole() {
        let all = seeds("0..10,100..103");
        let mut together: Vec<u64> = (0..4).flat_map(|index| Shard { index, of: 4 }.part(&all)).collect();
        assert_eq!(Shard { index: 1, of: 4 }.part(&all), [1, 5, 9]);
        together.sort_unstable();
        assert_eq!(together, all.iter().collect::<Vec<_>>());
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, of: 3 }));
        for (text, problem) in [("3/3", "not below 3"), ("1", "i/n"), ("a/b", "i/n"), ("0/0", "not below 0")] {
            assert!(text.parse::<Shard>().expect_err(text).contains(problem), "{text}");
        }
    }
}
