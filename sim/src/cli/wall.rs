//! What only the machine knows: wall time and memory. Nothing of it reaches a run.

use std::time::{Duration, Instant};

/// Measures wall time from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the CLI alone measures wall time; outside of a simulation it is real"
    )]
    pub(super) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Wall time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Peak resident memory of this process, where the operating system tells.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM` of Linux's `/proc/self/status`, in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_the_status_of_the_process() {
        assert_eq!(high_water_mark("Name:\tsim\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n"), Some(2_097_152));
        assert_eq!(high_water_mark("Name:\tsim\n"), None);
        assert_eq!(high_water_mark("VmHWM:\tmuch\n"), None);
    }
}
