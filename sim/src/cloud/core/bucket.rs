//! Token buckets: how AWS enforces rates.

use std::time::Duration;

use crate::world::time::Time;

/// A bucket of tokens that refills at a constant rate. Exact: it counts in millionths of a token.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    capacity: u64,
    rate_per_second: u64,
    micro_tokens: u128,
    updated: Time,
}

impl TokenBucket {
    /// A full bucket of `capacity` tokens that refills by `rate_per_second` tokens each second.
    pub fn new(capacity: u64, rate_per_second: u64, now: Time) -> Self {
        TokenBucket { capacity, rate_per_second, micro_tokens: u128::from(capacity) * 1_000_000, updated: now }
    }

    /// The usual shape: one second's worth of burst.
    pub fn per_second(rate: u64, now: Time) -> Self {
        TokenBucket::new(rate, rate, now)
    }

    fn refill(&mut self, now: Time) {
        let micros = now.since(self.updated).as_micros();
        self.micro_tokens =
            (self.micro_tokens + micros * u128::from(self.rate_per_second)).min(u128::from(self.capacity) * 1_000_000);
        self.updated = self.updated.max(now);
    }

    /// Takes `tokens` if all of them are there; otherwise takes none.
    pub fn try_take(&mut self, now: Time, tokens: u64) -> bool {
        self.refill(now);
        let wanted = u128::from(tokens) * 1_000_000;
        if self.micro_tokens < wanted {
            return false;
        }
        self.micro_tokens -= wanted;
        true
    }

    /// How long until `tokens` are there; `None` when the bucket can never hold that many.
    pub fn wait_for(&mut self, now: Time, tokens: u64) -> Option<Duration> {
        self.refill(now);
        if tokens > self.capacity {
            return None;
        }
        let missing = (u128::from(tokens) * 1_000_000).saturating_sub(self.micro_tokens);
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        if self.rate_per_second == 0 {
            return None;
        }
        let micros = missing.div_ceil(u128::from(self.rate_per_second));
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// Whole tokens there now.
    pub fn available(&mut self, now: Time) -> u64 {
        self.refill(now);
        u64::try_from(self.micro_tokens / 1_000_000).unwrap_or(u64::MAX)
    }
}
