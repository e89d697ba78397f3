//! What a process has once, whatever runs in it.

use std::sync::Once;

use crate::world::runtime::simulate;
use crate::world::seed::Seed;
use crate::world::time::Time;

/// Any instant that the simulated clock can begin at.
const START: Time = Time::from_unix_secs(1_772_323_200);

/// Has the libraries draw the keys that they keep for the whole process, in a world of its own. Whoever needed them first
/// would otherwise draw them: a run from its own world, so that the first run of a process was another than the second, or
/// the thread that records.
///
/// Every run asks for it; a program that starts threads of its own asks before.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        simulate(Seed::root(0).child("process"), START, || async {
            // The Parquet writer's, and those of Arrow's kernels.
            let _keys = ahash::RandomState::new();
        });
    });
}
