//! The simulated clock. Only the runtime reads it; services are told the time.

use std::time::{Duration, SystemTime};

use super::time::Time;

/// The instant that it is in the simulated world.
///
/// # Panics
/// Outside a simulation.
pub fn now() -> Time {
    let now = madsim::time::TimeHandle::current().now_time();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("simulated time starts after the Unix epoch");
    Time::EPOCH + since
}

/// Moves the clock to `start`. The scheduler begins at a date in 2022 that it draws from the seed, so any later
/// instant can be reached.
pub fn begin_at(start: Time) {
    madsim::time::advance(start.since(now()));
}

/// Waits until `deadline`; at least one simulated millisecond.
pub async fn sleep_until(deadline: Time) {
    madsim::time::sleep(deadline.since(now())).await;
}

/// Waits for `duration`; at least one simulated millisecond, and nothing at all when it is zero.
pub async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        madsim::time::sleep(duration).await;
    }
}
