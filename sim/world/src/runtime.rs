//! Runs one simulation in a thread of its own.

use std::future::Future;
use std::time::Duration;

use madsim::runtime::Runtime;

use super::clock;
use super::seed::Seed;
use super::time::Time;

/// Latency of a packet on the simulated backbone. Access networks add theirs in the fleet's connections.
const BACKBONE: std::ops::Range<Duration> = Duration::from_micros(300)..Duration::from_micros(900);

/// The stack of a simulation's thread: query planning recurses deeply.
const STACK_BYTES: usize = 64 << 20;

/// Runs `main` in a world whose clock begins at `start` and whose every bit follows from `seed`.
///
/// A fresh thread runs it, because the hash seeds of the standard library and the SDK's generator of jitter are
/// per thread. A panic inside is a bug of the simulator and is passed on.
pub fn simulate<T, F>(seed: Seed, start: Time, main: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let thread = std::thread::Builder::new().name("simulation".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        fastrand::seed(seed.child("sdk").value());
        let mut config = madsim::Config::default();
        config.net.send_latency = BACKBONE;
        let runtime = Runtime::with_seed_and_config(seed.child("scheduler").value(), config);
        runtime.block_on(async move {
            // The standard library draws this thread's hash keys from the world when the first map is made: here, so
            // that it does not matter who makes one first.
            #[expect(clippy::disallowed_types, reason = "its keys are drawn, and no map is made with them")]
            drop(std::hash::RandomState::new());
            clock::begin_at(start);
            main().await
        })
    });
    let thread = thread.expect("the operating system gives the simulation a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
