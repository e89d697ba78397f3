//! What only the machine knows: wall time and memory. Nothing of it reaches a run.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3Default;

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

/// This build: the version, and a hash of the program's bytes, the same on every machine that has the same program.
pub(super) fn build() -> std::io::Result<String> {
    let mut program = File::open(std::env::current_exe()?)?;
    let (mut hash, mut buffer) = (Xxh3Default::new(), vec![0; 1 << 20]);
    loop {
        match program.read(&mut buffer)? {
            0 => return Ok(format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hash.digest())),
            n => hash.update(&buffer[..n]),
        }
    }
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
