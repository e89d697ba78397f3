//! The arguments of the `sim` command.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use record::{ReadingId, shell_word};

use crate::bugs::{self, Bug};
use crate::scenario::schema::DEVICES_MAX;
use crate::scenario::{Overrides, duration};
use crate::sweep::{Seeds, Shard};
use crate::world::time::Time;
use crate::world::trace::Level;

/// Exit codes of a run, for the help.
const EXIT_CODES: &str = "Exit codes: 0 held, 1 an invariant was violated or a canary held, 2 usage or scenario file, \
                          3 did not settle, 4 not deterministic, 101 a bug of the simulator. Results go to stdout, progress and errors to stderr.";

/// Runs an IoT data platform on AWS, with its cloud and its devices, in a deterministic simulation.
#[derive(Debug, Parser)]
#[command(name = "sim", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a scenario and print what it came to
    Run(RunArgs),
    /// Run a scenario twice in fresh processes and compare every event
    Verify(VerifyArgs),
    /// Print the scenario that a run of a swarm draws from its seed
    Draw(DrawArgs),
    /// Run many seeds of a scenario on all cores
    Sweep(SweepArgs),
    /// Join the results of sweeps that shared their seeds
    Merge(MergeArgs),
    /// Print which marks and which kinds of faults scenarios reach; fail when one is never reached
    Marks(MarksArgs),
    /// List the scenarios of a folder
    List(ListArgs),
    /// Print what a run folder holds
    Show(ShowArgs),
    /// Write a run folder as one page of HTML
    Report(ReportArgs),
    /// Measure a scenario at several sizes of its fleet
    Bench(BenchArgs),
    /// Repeat a run and compare it with its folder, or print its events at an instant
    Replay(ReplayArgs),
    /// Tell the story of the first violation of a run
    Explain(ExplainArgs),
    /// Compare two run folders: the first event and every figure that differs
    Diff(DiffArgs),
    /// Find the smallest scenario that still fails in the same way
    Shrink(ShrinkArgs),
    /// Plant bugs, one at a time, and see whether the oracles find them
    Bugs(BugsArgs),
    /// Judge the anomaly detector on the Numenta Anomaly Benchmark
    Nab(NabArgs),
    /// Print the keys of scenario files: the text of scenarios/README.md
    Schema,
}

/// `sim run`.
#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// Scenario file
    pub(super) file: PathBuf,
    /// Seed of the run [default: the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Folder to write: manifest, summary, events and metrics. It must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Form of the summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Finest events that the folder keeps; goes with --out [default: calls]
    #[arg(long, value_enum, requires = "out", default_value_if("out", ArgPredicate::IsPresent, "calls"))]
    pub(super) events: Option<Events>,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
    /// Plant a bug, to see the oracles find it; `sim bugs --list` names all
    #[arg(long, value_name = "ID", value_parser = parse_bug)]
    pub(super) bug: Option<&'static Bug>,
    /// No progress on stderr
    #[arg(long)]
    pub(super) quiet: bool,
}

/// `sim verify`.
#[derive(Args, Clone, Debug)]
pub(super) struct VerifyArgs {
    /// Scenario file
    pub(super) file: PathBuf,
    /// Seed of both runs [default: the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
}

/// `sim draw`.
#[derive(Args, Clone, Debug)]
pub(super) struct DrawArgs {
    /// Scenario file with a table [swarm]
    pub(super) file: PathBuf,
    /// Seed of the run [default: the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
}

/// `sim sweep`.
#[derive(Args, Clone, Debug)]
pub(super) struct SweepArgs {
    /// Scenario file; one with a table [swarm] is another scenario for each seed
    pub(super) file: PathBuf,
    /// Seeds to run: 0..500, or several ranges and single seeds with commas between them
    #[arg(long, value_name = "A..B")]
    pub(super) seeds: Seeds,
    /// Runs at the same time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,
    /// Folder of results: a line a seed as they come, and the run folders of failures. A sweep that was stopped or killed
    /// goes on where it was; a file `stop` in the folder stops it after the seeds that are under way
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Run only every n-th seed, from the i-th on (from 0): one of n machines
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub(super) shard: Shard,
    /// Begin no further seed after so many failures
    #[arg(long, value_name = "N")]
    pub(super) stop_after: Option<NonZeroUsize>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
    /// No progress on stderr
    #[arg(long)]
    pub(super) quiet: bool,
}

/// `sim merge`.
#[derive(Args, Clone, Debug)]
pub(super) struct MergeArgs {
    /// Folder to write
    pub(super) out: PathBuf,
    /// Folders that `sim sweep --out` wrote, of one scenario and build and without a seed in common
    #[arg(required = true, value_name = "DIR")]
    pub(super) folders: Vec<PathBuf>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// `sim marks`.
#[derive(Args, Clone, Debug)]
pub(super) struct MarksArgs {
    /// Scenario files, or folders of them; of a folder only those of up to 100,000 readings
    #[arg(default_value = "scenarios")]
    pub(super) paths: Vec<PathBuf>,
    /// Seeds of each scenario, beginning with its own. A swarm, each seed of which is another scenario, has a hundred
    /// times as many
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(super) seeds: NonZeroUsize,
    /// Form of the table
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// No progress on stderr
    #[arg(long)]
    pub(super) quiet: bool,
}

/// `sim list`.
#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// Folder of scenario files
    #[arg(default_value = "scenarios")]
    pub(super) dir: PathBuf,
}

/// `sim show`.
#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// Folder that `sim run --out` wrote
    pub(super) run: PathBuf,
    /// Print the kept events instead, one a line
    #[arg(long, conflicts_with = "metrics")]
    pub(super) events: bool,
    /// Print the metrics instead, one a line
    #[arg(long)]
    pub(super) metrics: bool,
}

/// `sim report`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReportArgs {
    /// Folder that `sim run --out` wrote
    pub(super) run: PathBuf,
    /// File to write [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// `sim bench`.
#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// Scenario file
    #[arg(default_value = "scenarios/fleet-10k.toml")]
    pub(super) file: PathBuf,
    /// Sizes to measure, in devices of all fleets but replayed ones
    #[arg(
        long,
        value_name = "N,N,..",
        value_delimiter = ',',
        value_parser = parse_devices,
        allow_negative_numbers = true,
        default_values_t = [1000, 3000, 10000]
    )]
    pub(super) devices: Vec<u32>,
    /// How long devices publish [default: the scenario's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) hardship: Option<Duration>,
    /// Form of the table
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// `sim replay`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReplayArgs {
    /// Run folder, or scenario file
    pub(super) run: PathBuf,
    /// Another seed [default: that of the run folder, or the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Print the last events up to an instant: `2min` after the start, or `2026-03-01T00:02:00Z`
    #[arg(long, value_name = "T", value_parser = parse_instant, conflicts_with = "from_event")]
    pub(super) until: Option<Instant>,
    /// Print events from the one of this number on
    #[arg(long, value_name = "K")]
    pub(super) from_event: Option<u64>,
    /// Events to print
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) count: u32,
    /// Finest events to print; goes with --until or --from-event [default: calls]
    #[arg(long, value_enum)]
    pub(super) events: Option<Events>,
}

/// `sim explain`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExplainArgs {
    /// Run folder, or scenario file
    pub(super) run: PathBuf,
    /// Another seed [default: that of the run folder, or the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Tell the story of this reading instead: `tenant/device/seq`
    #[arg(long, value_name = "READING", value_parser = parse_reading)]
    pub(super) reading: Option<ReadingId>,
    /// Form of the story
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// `sim diff`.
#[derive(Args, Clone, Debug)]
pub(super) struct DiffArgs {
    /// Run folder
    pub(super) first: PathBuf,
    /// Another run folder
    pub(super) second: PathBuf,
    /// Events to print before and after the first that differs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(super) context: u32,
    /// Form of the comparison
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// `sim shrink`.
#[derive(Args, Clone, Debug)]
pub(super) struct ShrinkArgs {
    /// Folder of a run that failed, or scenario file
    pub(super) run: PathBuf,
    /// Another seed [default: that of the run folder, or the first of the scenario]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Longest wall time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2min")]
    pub(super) budget: Duration,
    /// Scenario file to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Runs at the same time; the result is the same [default: the processors of the machine]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) jobs: Option<u32>,
    /// No progress on stderr
    #[arg(long)]
    pub(super) quiet: bool,
}

/// An instant of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instant {
    /// So long after its start.
    After(Duration),
    /// By the simulated clock.
    At(Time),
}

/// `sim bugs`.
#[derive(Args, Clone, Debug)]
pub(super) struct BugsArgs {
    /// Print the bugs and what they are, and run nothing
    #[arg(long)]
    pub(super) list: bool,
    /// Only these bugs
    #[arg(long, value_name = "ID,ID,..", value_delimiter = ',', value_parser = parse_bug)]
    pub(super) only: Vec<&'static Bug>,
    /// Scenario file whose seeds are run
    #[arg(long, value_name = "FILE", default_value = "scenarios/swarm.toml")]
    pub(super) scenario: PathBuf,
    /// From how many seeds, far apart, the hunt for each bug begins
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(super) bases: u64,
    /// Most seeds that are run from each of them
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) seeds_max: u64,
    /// Bugs that are hunted at a time [default: as many as the machine has cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub(super) jobs: Option<u64>,
    /// Do not look for the smallest scenario that finds each bug
    #[arg(long)]
    pub(super) no_shrink: bool,
    /// Form of the table
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// `sim nab`.
#[derive(Args, Clone, Debug)]
pub(super) struct NabArgs {
    /// Folder of the benchmark: data/, labels/ and config/
    #[arg(default_value = "data/nab")]
    pub(super) corpus: PathBuf,
    /// Judge the series that a detector may be made with, and leave alone those that are held out
    #[arg(long)]
    pub(super) training_only: bool,
    /// Folder to write: a CSV a series with `timestamp,value,anomaly_score`. It must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// Flags that change a scenario for one run.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct OverrideArgs {
    /// How long devices publish, in place of the scenario's `phase.hardship`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) hardship: Option<Duration>,
    /// How long everything owed may take, in place of the scenario's `phase.peace`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) peace: Option<Duration>,
    /// Devices of all fleets but replayed ones together; each keeps its share
    #[arg(long, value_name = "N", value_parser = parse_devices, allow_negative_numbers = true)]
    pub(super) devices: Option<u32>,
}

impl OverrideArgs {
    /// The same for a scenario.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { hardship: self.hardship, peace: self.peace, devices: self.devices }
    }
}

impl VerifyArgs {
    /// Each of the two runs.
    pub(super) fn run_args(&self) -> RunArgs {
        quiet_run(self.file.clone(), self.seed, self.overrides.clone())
    }
}

impl BenchArgs {
    /// The run of one size.
    pub(super) fn run_args(&self, devices: u32) -> RunArgs {
        let overrides = OverrideArgs { hardship: self.hardship, peace: None, devices: Some(devices) };
        quiet_run(self.file.clone(), None, overrides)
    }
}

fn quiet_run(file: PathBuf, seed: Option<u64>, overrides: OverrideArgs) -> RunArgs {
    RunArgs { file, seed, out: None, format: Format::Json, events: None, overrides, bug: None, quiet: true }
}

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Finest events that a run folder keeps. The digest covers all of them in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Events {
    /// Milestones of the run.
    Run,
    /// Also calls to services, deliveries, invocations and connections.
    Calls,
    /// Also one event a message a hop: millions in a large run.
    Messages,
}

impl Events {
    /// The level of the trace.
    pub(super) fn level(self) -> Level {
        match self {
            Events::Run => Level::Run,
            Events::Calls => Level::Call,
            Events::Messages => Level::Message,
        }
    }

    /// The flag's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Events::Run => "run",
            Events::Calls => "calls",
            Events::Messages => "messages",
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|e| format!("it {}; expected {}; {}", e.problem, duration::EXPECTED, e.hint))
}

fn parse_instant(text: &str) -> Result<Instant, String> {
    if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
        let micros = u64::try_from(instant.timestamp_micros()).map_err(|_| "it lies before 1970".to_owned())?;
        return Ok(Instant::At(Time::from_unix_micros(micros)));
    }
    parse_duration(text)
        .map(Instant::After)
        .map_err(|error| format!("{error}; or an instant such as 2026-03-01T00:02:00Z"))
}

fn parse_reading(text: &str) -> Result<ReadingId, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let [tenant, device, seq] = parts[..] else { return Err("expected `tenant/device/seq`".to_owned()) };
    let seq = seq.parse().map_err(|_| format!("{seq:?} is no sequence number"))?;
    Ok(ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq })
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

fn parse_bug(text: &str) -> Result<&'static Bug, String> {
    bugs::find(text).ok_or_else(|| bugs::unknown(text))
}

fn parse_devices(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1 to {DEVICES_MAX}"))
}

/// The command that repeats a run, as one would paste it.
pub(super) fn repeat_command(verb: &str, file: &Path, seed: u64, overrides: &Overrides) -> String {
    let mut words = vec!["cargo sim".to_owned(), verb.to_owned(), shell_word(&file.display().to_string())];
    words.extend(["--seed".to_owned(), seed.to_string()]);
    words.extend(overrides.flags());
    words.join(" ")
}
