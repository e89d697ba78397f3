//! Calls to AWS: their clients' configuration, and waiting for them and between them, by the clock and the sleep of the
//! SDK configuration.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use crate::function::ConfigError;

/// Most attempts of one call beside those of the SDK.
pub(crate) const ATTEMPTS_MAX: u32 = 10;
/// Longest wait for an answer to one attempt of a call. A connection that has silently died must not use up an invocation.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before the second attempt; it doubles with each one after it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait. A throttled shard has a full second's allowance again after one second.
const LONGEST_WAIT: Duration = Duration::from_millis(3200);
/// Kept free before the deadline, for the answer.
const MARGIN: Duration = Duration::from_millis(500);
/// Time before the deadline that the last call must have when it begins: the margin, and enough to be answered usually.
const RESERVE: Duration = Duration::from_secs(2);

/// The configuration of a function's clients. Each retries as the SDK's standard mode does.
pub(crate) fn client_config(config: &SdkConfig) -> SdkConfig {
    let timeouts = config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    let timeouts = timeouts.operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    config
        .to_builder()
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts)
        // What is sent is whole in memory, and answers are read before an attempt ends, so its time-out finds every stall.
        // The one exception is the body of an object: whoever reads it says how long it may take.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// A client of an AWS service with its own quota of retries. By default the SDK gives all clients of a service one quota a
/// process, so that what one function's calls use up, those of another would lack.
macro_rules! client {
    ($service:ident, $config:expr) => {
        $service::Client::from_conf(
            $service::config::Builder::from($config)
                .retry_partition($service::config::retry::RetryPartition::custom("function").build())
                .build(),
        )
    };
}
pub(crate) use client;

/// A call without its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// Status of HTTP, when there was an answer.
    pub status: Option<u16>,
    /// Code of the error, when AWS gave one.
    pub code: Option<String>,
    /// What happened, for people.
    pub text: String,
}

impl CallError {
    /// The call was given up.
    pub fn not_in_time() -> Self {
        CallError::without_answer("the call was not answered in time")
    }

    /// There was no answer, or not all of it.
    pub fn without_answer(text: impl Into<String>) -> Self {
        CallError { status: None, code: None, text: text.into() }
    }

    /// Whether the call will not work before somebody changes something.
    pub fn is_lasting(&self) -> bool {
        let refused = self.status.is_some_and(|status| (300..500).contains(&status) && status != 429);
        let throttled = self.code.as_deref().is_some_and(|code| {
            ["Throttl", "LimitExceeded", "ThroughputExceeded", "TooManyRequests"].iter().any(|word| code.contains(word))
        });
        refused && !throttled
    }

    /// Whether AWS answered with this error code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A clock that can wait.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
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

    /// Makes a call within the time before the deadline. A call that was not answered may have had its effect.
    pub async fn call<T, E>(
        &self,
        deadline: SystemTime,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match self.in_time(deadline, call).await {
            Some(Ok(answer)) => Ok(answer),
            None => Err(CallError::not_in_time()),
            Some(Err(error)) => Err(CallError {
                status: error.raw_response().map(|response| response.status().as_u16()),
                code: error.code().map(str::to_owned),
                text: DisplayErrorContext(error).to_string(),
            }),
        }
    }

    /// Makes a call again and again while its failure may pass and there is time. Each call must be one that may have its
    /// effect more than once.
    pub async fn call_again<T, E, C>(&self, deadline: SystemTime, mut call: impl FnMut() -> C) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        C: Future<Output = Result<T, SdkError<E>>>,
    {
        self.attempts(deadline, || self.call(deadline, call())).await
    }

    /// As [`Clock::call_again`], of something that may take more than one call, and sees to its own time.
    pub async fn attempts<T, W>(&self, deadline: SystemTime, mut work: impl FnMut() -> W) -> Result<T, CallError>
    where
        W: Future<Output = Result<T, CallError>>,
    {
        let mut failure = CallError::not_in_time();
        let mut attempt = 0;
        while self.may_attempt(attempt, deadline).await {
            attempt += 1;
            match work().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_lasting() => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Waits before another look at something that takes time. Answers false, at once, when the deadline is too near.
    pub async fn pause(&self, wait: Duration, deadline: SystemTime) -> bool {
        if self.now() + wait + RESERVE >= deadline {
            return false;
        }
        self.sleep.sleep(wait).await;
        true
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
