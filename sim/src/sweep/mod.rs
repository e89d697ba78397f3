//! Sweeps: one scenario with many seeds, on all cores.
//!
//! - `seeds`: which seeds, and which of them a machine runs.
//! - `row`: what one seed came to.
//! - `results`: the file of rows, which survives a kill and is resumed.
//! - `tally`: what all rows come to together.
//! - `coverage`: which marks and kinds of faults some scenarios reach, and which none does.
//!
//! Each run has a thread of its own ([`crate::world::runtime::simulate`]); the threads share nothing but the scenario. The
//! order in which runs end has no influence on what they come to.

pub mod coverage;
pub mod results;
mod row;
mod seeds;
mod tally;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub use results::{Header, Results};
pub use row::{End, Row, run_seed};
pub use seeds::{EXPECTED, Seeds, Shard};
pub use tally::{Count, Tally};

/// Runs `run` for each of `seeds`, `jobs` at a time, in the order of the seeds. `take` is called in this thread with what
/// comes of them, in the order in which they end; once `stop` is set, no further seed is begun.
pub fn in_parallel<R: Send, T>(
    seeds: &[u64],
    jobs: NonZeroUsize,
    stop: &AtomicBool,
    run: impl Fn(u64) -> R + Sync,
    take: impl FnOnce(Receiver<R>) -> T,
) -> T {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let worker = |send: mpsc::Sender<R>| {
        while !stop.load(Ordering::Relaxed) {
            let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            // Nobody listens any more when the results cannot be written.
            if send.send(run(*seed)).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(seeds.len()) {
            let (send, worker) = (send.clone(), &worker);
            scope.spawn(move || worker(send));
        }
        drop(send);
        take(receive)
    })
}
