//! Waiting for calls and between them, by the clock and the sleep of the SDK configuration.

use std::time::{Duration, SystemTime};

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_types::SdkConfig;

use crate::function::ConfigError;

/// Most attempts of one call beside those of the SDK.
pub(super) const ATTEMPTS_MAX: u32 = 10;
/// Wait before the second attempt; it doubles with each one after it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait. A throttled shard has a full second's allowance again after one second.
const LONGEST_WAIT: Duration = Duration::from_millis(3200);
/// Kept free before the deadline, for the answer.
const MARGIN: Duration = Duration::from_millis(500);
/// Time before the deadline that the last call must have when it begins: the margin, and enough to be answered usually.
const RESERVE: Duration = Duration::from_secs(2);

/// A clock that can wait.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
}

impl Clock {
    /// The clock of `config`.
    pub fn new(config: &SdkConfig) -> Result<Self, ConfigError> {
        let time = config.time_source().ok_or(ConfigError::MissingPart { part: "time source" })?;
        let sleep = config.sleep_impl().ok_or(ConfigError::MissingPart { part: "sleep implementation" })?;
        Ok(Clock { time, sleep })
    }

    /// The current time.
    pub fn now(&self) -> SystemTime {
        self.time.now()
    }

    /// Whether another call fits before the deadline.
    pub fn has_time(&self, deadline: SystemTime) -> bool {
        self.now() + RESERVE < deadline
    }

    /// Waits for a call until shortly before the deadline. Answers nothing when the call was not answered by then: it is
    /// given up, whatever it and the SDK's own retries would still wait for, and may have had its effect.
    pub async fn in_time<C: Future>(&self, deadline: SystemTime, call: C) -> Option<C::Output> {
        let left = deadline.duration_since(self.now() + MARGIN).unwrap_or_default();
        Timeout::new(call, self.sleep.sleep(left)).await.ok()
    }

    /// Waits before attempt number `attempt` (0 is the first, which waits for nothing). Answers false, at once, when
    /// there are no attempts left or no time for one.
    pub async fn may_attempt(&self, attempt: u32, deadline: SystemTime) -> bool {
        if attempt >= ATTEMPTS_MAX {
            return false;
        }
        let wait = wait_before(attempt);
        if self.now() + wait + RESERVE >= deadline {
            return false;
        }
        if !wait.is_zero() {
            self.sleep.sleep(wait).await;
        }
        true
    }
}

/// No jitter: the functions of different shards are at different points of their batches anyway.
fn wait_before(attempt: u32) -> Duration {
    match attempt {
        0 => Duration::ZERO,
        n => FIRST_WAIT.saturating_mul(1 << (n - 1).min(16)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits: Vec<u128> = (0..ATTEMPTS_MAX).map(|n| wait_before(n).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 3200, 3200, 3200]);
    }
}
