//! Token buckets: how AWS enforces rates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use world::time::Time;

/// Parts of a whole quota.
const WHOLE: u64 = 1_000_000;

/// Which part of a service's rates is in force. Clones are the same; all buckets of a service share one.
#[derive(Clone, Debug)]
pub struct Scale(Arc<ScaleInner>);

#[derive(Debug)]
struct ScaleInner {
    /// In millionths.
    part: AtomicU64,
    /// Refusals while the part was less than the whole.
    refused: AtomicU64,
}

impl Default for Scale {
    fn default() -> Self {
        Scale(Arc::new(ScaleInner { part: AtomicU64::new(WHOLE), refused: AtomicU64::new(0) }))
    }
}

impl Scale {
    /// Puts a part (0 to 1) of every rate in force. At least one unit a second is left.
    pub fn set(&self, part: f64) {
        self.0.part.store((part.clamp(0.0, 1.0) * WHOLE as f64) as u64, Ordering::Relaxed);
    }

    /// The part in force, 0 to 1.
    pub fn get(&self) -> f64 {
        self.part() as f64 / WHOLE as f64
    }

    /// How often a bucket had too few tokens while less than the whole was in force.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn part(&self) -> u64 {
        self.0.part.load(Ordering::Relaxed)
    }

    /// That part of a rate or a capacity.
    fn of(&self, whole: u64) -> u64 {
        match self.part() {
            WHOLE => whole,
            part => u64::try_from(u128::from(whole) * u128::from(part) / u128::from(WHOLE))
                .unwrap_or(u64::MAX)
                .max(whole.min(1)),
        }
    }

    fn count_refusal(&self) {
        if self.part() < WHOLE {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A bucket of tokens that refills at a constant rate. Exact: it counts in millionths of a token. Tokens may be owed: see
/// [`TokenBucket::overdraw`].
#[derive(Clone, Debug)]
pub struct TokenBucket {
    capacity: u64,
    rate_per_second: u64,
    /// Less than nothing when tokens are owed.
    micro_tokens: i128,
    updated: Time,
    scale: Option<Scale>,
}

impl TokenBucket {
    /// A full bucket of `capacity` tokens that refills by `rate_per_second` tokens each second.
    pub fn new(capacity: u64, rate_per_second: u64, now: Time) -> Self {
        let micro_tokens = micro(capacity);
        TokenBucket { capacity, rate_per_second, micro_tokens, updated: now, scale: None }
    }

    /// The same bucket, of which a part is in force.
    #[must_use]
    pub fn scaled(mut self, scale: &Scale) -> Self {
        self.scale = Some(scale.clone());
        self
    }

    /// Capacity and rate that are in force now.
    fn in_force(&self) -> (u64, u64) {
        match &self.scale {
            None => (self.capacity, self.rate_per_second),
            Some(scale) => (scale.of(self.capacity), scale.of(self.rate_per_second)),
        }
    }

    /// The most tokens that are ever there, when the whole is in force.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    fn refused(&self) {
        if let Some(scale) = &self.scale {
            scale.count_refusal();
        }
    }

    /// The usual shape: one second's worth of burst.
    pub fn per_second(rate: u64, now: Time) -> Self {
        TokenBucket::new(rate, rate, now)
    }

    fn refill(&mut self, now: Time) {
        let (capacity, rate) = self.in_force();
        let micros = i128::try_from(now.since(self.updated).as_micros()).unwrap_or(i128::MAX);
        let refilled = self.micro_tokens.saturating_add(micros.saturating_mul(i128::from(rate)));
        self.micro_tokens = refilled.min(micro(capacity));
        self.updated = self.updated.max(now);
    }

    /// Takes `tokens` if all of them are there; otherwise takes none.
    pub fn try_take(&mut self, now: Time, tokens: u64) -> bool {
        self.refill(now);
        let wanted = micro(tokens);
        if self.micro_tokens < wanted {
            self.refused();
            return false;
        }
        self.micro_tokens -= wanted;
        true
    }

    /// How long until `tokens` are there; `None` when the bucket can never hold that many.
    pub fn wait_for(&mut self, now: Time, tokens: u64) -> Option<Duration> {
        self.refill(now);
        let (capacity, rate) = self.in_force();
        if tokens > capacity {
            self.refused();
            return None;
        }
        let Ok(missing @ 1..) = u128::try_from(micro(tokens) - self.micro_tokens) else { return Some(Duration::ZERO) };
        self.refused();
        if rate == 0 {
            return None;
        }
        let micros = missing.div_ceil(u128::from(rate));
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// How long until as many are there as the bucket can hold; `None` when it never refills.
    pub fn wait_until_full(&mut self, now: Time) -> Option<Duration> {
        let (capacity, _) = self.in_force();
        self.wait_for(now, capacity)
    }

    /// Takes `tokens` even if they are not there: what is missing is owed.
    pub fn overdraw(&mut self, now: Time, tokens: u64) {
        self.refill(now);
        self.micro_tokens -= micro(tokens);
    }

    /// Whether tokens are owed, for which a caller is refused.
    pub fn is_overdrawn(&mut self, now: Time) -> bool {
        self.refill(now);
        let owes = self.micro_tokens < 0;
        if owes {
            self.refused();
        }
        owes
    }

    /// Whole tokens there now.
    pub fn available(&mut self, now: Time) -> u64 {
        self.refill(now);
        u64::try_from(self.micro_tokens.max(0) / 1_000_000).unwrap_or(u64::MAX)
    }
}

/// Tokens in millionths.
fn micro(tokens: u64) -> i128 {
    i128::from(tokens) * 1_000_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A naive bucket: it is moved on microsecond by microsecond.
    struct Naive {
        capacity: u64,
        rate: u64,
        micro_tokens: u128,
        now: u64,
    }

    impl Naive {
        fn advance(&mut self, to: u64) {
            while self.now < to {
                self.now += 1;
                self.micro_tokens =
                    (self.micro_tokens + u128::from(self.rate)).min(u128::from(self.capacity) * 1_000_000);
            }
        }

        fn try_take(&mut self, tokens: u64) -> bool {
            let wanted = u128::from(tokens) * 1_000_000;
            let there = self.micro_tokens >= wanted;
            if there {
                self.micro_tokens -= wanted;
            }
            there
        }
    }

    fn at(micros: u64) -> Time {
        Time::from_unix_micros(micros)
    }

    #[test]
    fn a_bucket_begins_full_and_never_overflows() {
        let mut bucket = TokenBucket::new(10, 5, at(0));
        assert_eq!(bucket.available(at(0)), 10);
        assert!(bucket.try_take(at(0), 10));
        assert!(!bucket.try_take(at(0), 1));
        assert!(bucket.try_take(at(200_000), 1));
        assert!(!bucket.try_take(at(399_999), 1));
        assert_eq!(bucket.available(at(3_600_000_000)), 10);
        assert_eq!(bucket.wait_for(at(3_600_000_000), 11), None);
    }

    #[test]
    fn an_earlier_instant_gives_nothing_and_costs_nothing() {
        let mut bucket = TokenBucket::new(2, 1, at(5_000_000));
        assert!(bucket.try_take(at(5_000_000), 2));
        assert!(!bucket.try_take(at(1_000_000), 1));
        assert!(bucket.try_take(at(6_000_000), 1));
        assert!(!bucket.try_take(at(6_000_000), 1));
    }

    #[test]
    fn a_bucket_without_refill_says_that_waiting_is_in_vain() {
        let mut bucket = TokenBucket::new(3, 0, at(0));
        assert!(bucket.try_take(at(0), 3));
        assert_eq!(bucket.wait_for(at(9_000_000), 1), None);
        assert_eq!(bucket.wait_for(at(9_000_000), 0), Some(Duration::ZERO));
    }

    #[test]
    fn a_part_of_a_rate_is_in_force_and_the_whole_afterwards() {
        let scale = Scale::default();
        let mut bucket = TokenBucket::per_second(100, at(0)).scaled(&scale);
        assert!(bucket.try_take(at(0), 100));
        scale.set(0.1);
        // A second gives ten, and no more than ten are ever there.
        assert!(!bucket.try_take(at(1_000_000), 11));
        assert!(bucket.try_take(at(1_000_000), 10));
        assert_eq!((bucket.available(at(9_000_000)), bucket.wait_for(at(9_000_000), 11)), (10, None));
        assert_eq!(scale.refused(), 2);
        scale.set(0.0);
        assert_eq!(bucket.available(at(9_000_000)), 1, "one unit a second is left");
        scale.set(1.0);
        assert_eq!(bucket.available(at(10_000_000)), 100);
        assert!(!bucket.try_take(at(10_000_000), 101));
        assert_eq!(scale.refused(), 2, "what the whole refuses is not the fault's");
    }

    #[test]
    fn what_is_owed_is_paid_before_anything_is_given() {
        let scale = Scale::default();
        let mut bucket = TokenBucket::per_second(100, at(0)).scaled(&scale);
        bucket.overdraw(at(0), 250);
        assert_eq!((bucket.available(at(0)), bucket.is_overdrawn(at(0))), (0, true));
        assert_eq!(bucket.wait_for(at(1_000_000), 1), Some(Duration::from_micros(510_000)));
        assert_eq!(bucket.wait_until_full(at(1_000_000)), Some(Duration::from_micros(1_500_000)));
        assert!(bucket.is_overdrawn(at(1_499_999)));
        assert!(!bucket.try_take(at(1_500_000), 1) && !bucket.is_overdrawn(at(1_500_000)));
        assert_eq!(scale.refused(), 0);
        // A part of the rate pays the debt more slowly, and the rest of it at the whole rate when that is back.
        bucket.overdraw(at(1_500_000), 200);
        scale.set(0.01);
        assert!(bucket.is_overdrawn(at(101_500_000)));
        assert_eq!(bucket.wait_until_full(at(101_500_000)), Some(Duration::from_secs(101)));
        assert_eq!(scale.refused(), 2);
        scale.set(1.0);
        assert!(bucket.is_overdrawn(at(102_499_999)) && !bucket.is_overdrawn(at(102_500_000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_bucket_gives_what_a_naive_one_gives(
            capacity in 1..50u64,
            rate in 1..200_000u64,
            steps in prop::collection::vec((0..2_000u64, 0..60u64), 1..100),
        ) {
            let mut bucket = TokenBucket::new(capacity, rate, at(0));
            let mut naive = Naive { capacity, rate, micro_tokens: u128::from(capacity) * 1_000_000, now: 0 };
            let mut now = 0;
            for (wait, tokens) in steps {
                now += wait;
                naive.advance(now);
                prop_assert_eq!(u128::from(bucket.available(at(now))), naive.micro_tokens / 1_000_000);
                prop_assert_eq!(bucket.try_take(at(now), tokens), naive.try_take(tokens));
            }
        }

        #[test]
        fn no_window_gives_more_than_capacity_and_refill(
            capacity in 1..2_000u64,
            rate in 0..5_000u64,
            steps in prop::collection::vec((0..400_000u64, 0..300u64), 1..120),
        ) {
            let mut bucket = TokenBucket::new(capacity, rate, at(0));
            let (mut now, mut given) = (0, Vec::new());
            for (wait, tokens) in steps {
                now += wait;
                if bucket.try_take(at(now), tokens) {
                    given.push((now, tokens));
                }
            }
            for (first, &(begin, _)) in given.iter().enumerate() {
                let mut sum = 0;
                for &(end, tokens) in &given[first..] {
                    sum += u128::from(tokens) * 1_000_000;
                    let most = u128::from(capacity) * 1_000_000 + u128::from(rate) * u128::from(end - begin);
                    prop_assert!(sum <= most, "{} of {} micro-tokens from {} to {}", sum, most, begin, end);
                }
            }
        }

        #[test]
        fn waiting_as_long_as_told_is_enough_and_no_shorter(
            capacity in 1..1_000u64,
            rate in 1..5_000u64,
            taken in 0..1_000u64,
            wanted in 0..1_000u64,
        ) {
            let mut bucket = TokenBucket::new(capacity, rate, at(0));
            bucket.try_take(at(0), taken.min(capacity));
            let Some(wait) = bucket.wait_for(at(0), wanted) else {
                prop_assert!(wanted > capacity);
                return Ok(());
            };
            let micros = u64::try_from(wait.as_micros()).unwrap();
            if micros > 0 {
                prop_assert!(!bucket.clone().try_take(at(micros - 1), wanted));
            }
            prop_assert!(bucket.try_take(at(micros), wanted));
        }
    }
}
