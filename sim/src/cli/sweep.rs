//! `sim sweep`: many seeds of a scenario, on all cores.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{RecordError, RunFolder, Verdict, thousands};

use super::args::{Events, SweepArgs};
use super::tallied::{self, Report, Speed, reason};
use super::wall::{self, Stopwatch};
use super::{BUG, Failure, print};
use crate::run::RunOptions;
use crate::scenario::{Overrides, Scenario, duration};
use crate::sweep::{End, Header, Results, Row, Tally, in_parallel, run_seed};

/// Folder of the run folders of failures, in that of the results.
pub(super) const FAILURES: &str = "failures";
/// A file of this name in the folder of the results stops the sweep after the seeds that are under way.
const STOP: &str = "stop";
/// Between two looks at the request to stop, and two drawings.
const REDRAW: Duration = Duration::from_millis(150);
/// Between two lines when stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Runs all seeds that are not yet in the results, and prints what all of them come to.
pub(super) fn sweep(args: &SweepArgs) -> Result<u8, Failure> {
    let scenario = Scenario::load(&args.file)?;
    let overrides = args.overrides.overrides();
    if scenario.swarm.is_none() {
        // A flag that does not fit is told once, and not by every seed.
        scenario.with_overrides(&overrides)?;
    }
    let seeds = args.shard.part(&args.seeds);
    let jobs = args.jobs.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let mut kept = Kept::open(args.out.as_deref(), &scenario, &overrides)?;
    let wanted: BTreeSet<u64> = seeds.iter().copied().collect();
    let known: BTreeSet<u64> = kept.rows().iter().map(|row| row.seed).collect();
    let left: Vec<u64> = seeds.iter().copied().filter(|seed| !known.contains(seed)).collect();
    if !args.quiet && left.len() < seeds.len() {
        eprintln!("{} of {} seeds are in the results already", seeds.len() - left.len(), seeds.len());
    }
    let sweep = Sweep { scenario: &scenario, overrides: &overrides, out: args.out.as_deref() };
    let (stop, clock) = (AtomicBool::new(false), Stopwatch::start());
    let before = seeds.len() - left.len();
    let progress = Progress { total: seeds.len(), before, clock, expected: scenario.expect.verdict, quiet: args.quiet };
    let take = |rows| progress.take(rows, &mut kept, &stop, args.stop_after);
    let run = |seed| sweep.run(seed);
    let taken = in_parallel(&left, jobs, &stop, run, take);
    let wall_s = clock.elapsed().as_secs_f64();
    let ran = taken?;
    let rows: Vec<Row> = kept.rows().iter().filter(|row| wanted.contains(&row.seed)).cloned().collect();
    let report = Report {
        scenario: scenario.source.name.clone(),
        file: args.file.display().to_string(),
        flags: overrides.flags(),
        expected: scenario.expect.verdict,
        left: (seeds.len() - rows.len()) as u64,
        speed: (ran > 0).then(|| Speed::new(jobs.get(), ran, wall_s)),
        tally: Tally::of(&rows, scenario.expect.verdict),
    };
    print(&tallied::rendered(&report, args.format))?;
    if report.left > 0 {
        eprintln!("note: {} seeds were not run; with `--out` the same command goes on with them", report.left);
    }
    if let (Some(failure), Some(out)) = (report.tally.failures.first(), &args.out) {
        eprintln!("the run folders of failures are in {}", out.join(FAILURES).display());
        eprintln!("repeat it with:\n{}", report.repeat(failure));
    } else if let Some(failure) = report.tally.failures.first() {
        eprintln!("repeat it with:\n{}", report.repeat(failure));
    }
    Ok(report.exit_code())
}

/// Rows in a file, or in memory alone.
struct Kept {
    results: Option<Results>,
    rows: Vec<Row>,
    stop: Option<PathBuf>,
}

impl Kept {
    fn open(out: Option<&Path>, scenario: &Scenario, overrides: &Overrides) -> Result<Self, Failure> {
        let Some(out) = out else { return Ok(Kept { results: None, rows: Vec::new(), stop: None }) };
        let build = wall::build().map_err(|e| Failure {
            message: format!("this program cannot be read, so that its results would have no name: {e}"),
            code: BUG,
            repeat: None,
        })?;
        let results = Results::open(out, &Header::new(scenario, overrides, build))?;
        let stop = out.join(STOP);
        // A request that was met does not stop the next sweep.
        let _ = std::fs::remove_file(&stop);
        Ok(Kept { results: Some(results), rows: Vec::new(), stop: Some(stop) })
    }

    fn rows(&self) -> &[Row] {
        self.results.as_ref().map_or(&self.rows, Results::rows)
    }

    fn push(&mut self, row: Row) -> Result<(), RecordError> {
        match &mut self.results {
            Some(results) => results.push(row),
            None => {
                self.rows.push(row);
                Ok(())
            }
        }
    }

    fn asked_to_stop(&self) -> bool {
        self.stop.as_ref().is_some_and(|file| file.exists())
    }
}

/// What every run of a sweep needs.
pub(super) struct Sweep<'a> {
    /// The scenario, not drawn.
    pub(super) scenario: &'a Scenario,
    /// Flags that change it.
    pub(super) overrides: &'a Overrides,
    /// Where the run folders of failures go.
    pub(super) out: Option<&'a Path>,
}

impl Sweep<'_> {
    /// Runs a seed. One that fails is run again and recorded: the same value gives the same run.
    pub(super) fn run(&self, seed: u64) -> Result<Row, RecordError> {
        let clock = Stopwatch::start();
        let (mut row, outcome) = run_seed(self.scenario, self.overrides, RunOptions::seeded(seed));
        row.wall_s = clock.elapsed().as_secs_f64();
        let (Some(out), Some(_), true) = (self.out, outcome, row.failed(self.scenario.expect.verdict)) else {
            return Ok(row);
        };
        let target = out.join(FAILURES).join(format!("seed-{seed}"));
        if target.exists() {
            return Ok(row);
        }
        let folder = RunFolder::create(&target)?;
        let options = RunOptions {
            record: Some((folder.recorder(), Events::Calls.level())),
            settings: self.overrides.settings(),
            ..RunOptions::seeded(seed)
        };
        let (again, outcome) = run_seed(self.scenario, self.overrides, options);
        if again.digest != row.digest {
            row.end = End::NotDeterministic;
            row.why = Some("the run that recorded the failure had other events than the first".to_owned());
        }
        if let Some(mut outcome) = outcome {
            outcome.summary.set_wall_clock(row.wall_s, None);
            folder.finish(&outcome.manifest, &outcome.summary)?;
        }
        Ok(row)
    }
}

/// Takes rows as they come, keeps them, and tells how far the sweep is.
struct Progress {
    total: usize,
    before: usize,
    clock: Stopwatch,
    expected: Verdict,
    quiet: bool,
}

impl Progress {
    fn take(
        &self,
        rows: Receiver<Result<Row, RecordError>>,
        kept: &mut Kept,
        stop: &AtomicBool,
        stop_after: Option<NonZeroUsize>,
    ) -> Result<u64, Failure> {
        let bar = self.bar();
        let (mut done, mut failures, mut told) = (0, 0, Duration::ZERO);
        loop {
            match rows.recv_timeout(REDRAW) {
                Ok(row) => {
                    let row = row.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                    done += 1;
                    if row.failed(self.expected) {
                        failures += 1;
                        self.tell(bar.as_ref(), &format!("seed {} {}: {}", row.seed, row.end.as_str(), reason(&row)));
                    }
                    kept.push(row).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if kept.asked_to_stop() || stop_after.is_some_and(|most| failures >= most.get()) {
                stop.store(true, Ordering::Relaxed);
            }
            let line = line(self.before + done, self.total, done, failures, self.clock.elapsed());
            match &bar {
                Some(bar) => {
                    bar.set_position((self.before + done) as u64);
                    bar.set_message(line);
                }
                None if !self.quiet && self.clock.elapsed() >= told + LINE_EVERY => {
                    told = self.clock.elapsed();
                    eprintln!("{line}");
                }
                None => {}
            }
        }
        bar.inspect(ProgressBar::finish_and_clear);
        Ok(done as u64)
    }

    fn bar(&self) -> Option<ProgressBar> {
        (!self.quiet && std::io::stderr().is_terminal()).then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {percent:>3} % {wide_msg}").expect("the template is valid");
            ProgressBar::with_draw_target(Some(self.total as u64), ProgressDrawTarget::stderr()).with_style(style)
        })
    }

    fn tell(&self, bar: Option<&ProgressBar>, text: &str) {
        match bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }
}

/// How far a sweep is: seeds of all, speed, failures, and how long the rest takes.
fn line(done: usize, total: usize, ran: usize, failures: usize, wall: Duration) -> String {
    let speed = ran as f64 / wall.as_secs_f64().max(0.001);
    let rest = match Duration::try_from_secs_f64((total - done) as f64 / speed) {
        Ok(rest) => duration::format(Duration::from_secs(rest.as_secs())),
        Err(_) => "?".to_owned(),
    };
    format!(
        "{} of {} seeds, {speed:.1} seeds/s, {failures} failures, {rest} left",
        thousands(done as u64),
        thousands(total as u64)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_and_what_was_found() {
        let line = |done, ran, wall| line(done, 500, ran, 3, Duration::from_secs(wall));
        assert_eq!(line(200, 100, 10), "200 of 500 seeds, 10.0 seeds/s, 3 failures, 30s left");
        assert_eq!(line(0, 0, 10), "0 of 500 seeds, 0.0 seeds/s, 3 failures, ? left");
    }
}
