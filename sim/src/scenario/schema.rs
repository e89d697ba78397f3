//! Every key of a scenario file, as data. The parser's lists of allowed keys, its ranges and its errors, the generated
//! `scenarios/README.md` and the tests all come from this table.

mod sections;

pub use self::sections::{SECTIONS, Section};
use super::change::DeploymentOutcome;
use super::{fault, swarm};
use crate::fleet::spec::{FAILURES, Network, Power, SessionKind, TwinKind};
use crate::invariant;
use crate::world::mark;

/// Shortest interval of publishes: a device sends at most 80 publishes a second, because AWS IoT Core takes 100 from one
/// connection (AWS General Reference, "AWS IoT Core endpoints and quotas"). Shorter intervals only fill its queue.
pub const PUBLISH_EVERY_MIN: &str = "13ms";
/// Why no interval is shorter than [`PUBLISH_EVERY_MIN`], for errors.
pub const PUBLISH_EVERY_WHY: &str = "a device sends at most 80 readings a second, and AWS IoT Core takes 100";
/// Largest magnitude of a number: doubles up to it keep the three decimals of synthetic readings.
pub const NUMBER_MAX: f64 = 1e12;
/// Most devices of one fleet, and of all fleets together: the default quota of concurrent connections of an account
/// in the largest Regions (same source).
pub const DEVICES_MAX: u64 = 500_000;
/// Most readings that a run may publish: what the ledger of a run is made for.
pub const READINGS_MAX: u64 = 100_000_000;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A sentence.
    Text,
    /// A word that may stand in topics and resource names.
    Word,
    /// A word that may name a metric or a unit.
    Label,
    /// A whole number.
    Whole {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A list of seeds.
    Seeds,
    /// An instant.
    Instant,
    /// A duration.
    Duration {
        /// Shortest.
        min: &'static str,
        /// Longest.
        max: &'static str,
    },
    /// A duration or the word `recorded`.
    Pace,
    /// A finite number of a magnitude up to [`NUMBER_MAX`].
    Number {
        /// Whether it may be negative.
        negative: bool,
    },
    /// A probability or a share.
    Probability,
    /// True or false.
    Flag,
    /// One of some words.
    Choice(fn() -> Vec<&'static str>),
    /// A list of some words.
    Choices(fn() -> Vec<&'static str>),
    /// A file or a folder.
    Path,
    /// A table; its keys are those of the section of this name.
    Table(&'static str),
    /// Tables; their keys are those of the section of this name.
    Tables(&'static str),
    /// A table whose keys are checked elsewhere.
    Foreign,
    /// A text, a number, a truth value, a list or a table.
    Any,
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The key must be there.
    Required,
    /// The same as if this had been written.
    Toml(&'static str),
    /// What the words say.
    Words(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table that holds it: empty for the top of the file, or a name such as `fleet.metric`.
    pub section: &'static str,
    /// Name.
    pub name: &'static str,
    /// The kinds of fleet that have it; empty when all have.
    pub only: &'static [&'static str],
    /// What it takes.
    pub takes: Takes,
    /// What holds when it is absent.
    pub absent: Absent,
    /// What it decides.
    pub meaning: &'static str,
    /// A value, as TOML, that is not the default: for the document, and for the test that it changes something.
    pub example: &'static str,
}

/// The kinds of fleet.
pub const SYNTHETIC: &str = "synthetic";
/// See [`SYNTHETIC`].
pub const REPLAY: &str = "replay";

/// How devices come into the registry.
pub const REGISTERED: &str = "registered";
/// See [`REGISTERED`].
pub const BY_CLAIM: &str = "by-claim";

const ANY: &[&str] = &[];
const SYN: &[&str] = &[SYNTHETIC];
const REP: &[&str] = &[REPLAY];
/// All that have physics.
const TWINS: &[&str] = &["pump", "hvac", "meter", "tracker"];
/// All whose devices are numbered.
const NUMBERED: &[&str] = &[SYNTHETIC, "pump", "hvac", "meter", "tracker"];

const fn key(
    section: &'static str,
    name: &'static str,
    only: &'static [&'static str],
    takes: Takes,
    absent: Absent,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { section, name, only, takes, absent, meaning, example }
}

/// All keys, in the order of the document.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("", "title", ANY, Takes::Text, Absent::Required, "\"Half the fleet reconnects\"",
        "What happens, in one line."),
    key("", "why", ANY, Takes::Text, Absent::Required, "\"reconnects once lost readings\"",
        "Why the scenario is kept: what it shows, or what once broke."),
    key("", "seeds", ANY, Takes::Seeds, Absent::Toml("[1]"), "[1, 7, 20260823]",
        "Seeds that are worth running. `sim run` takes the first unless `--seed` gives another."),
    key("", "start", ANY, Takes::Instant, Absent::Toml("2026-03-01T00:00:00Z"), "2026-06-01T06:00:00Z",
        "Simulated instant at which the run begins. Tables of the lake know no hour before `platform.lake_start`."),
    key("", "fleet", ANY, Takes::Tables("fleet"), Absent::Words("required, unless `swarm` is there: then drawn"), "",
        "The devices."),
    key("", "phase", ANY, Takes::Table("phase"), Absent::Words("required, unless `swarm` is there: then drawn"), "",
        "How long the run is."),
    key("", "platform", ANY, Takes::Foreign, Absent::Words("the platform's defaults"), "{ raw_shards = 4 }",
        "Settings of the platform, with the keys of its settings file: `raw_shards`, `enriched_shards`, `enrichment.batch_size` and so on."),
    key("", "change", ANY, Takes::Tables("change"), Absent::Words("nothing is deployed while devices publish"), "",
        "Deployments in mid-traffic."),
    key("", "rollout", ANY, Takes::Tables("rollout"), Absent::Words("nothing is desired"), "",
        "Desired states that an operator sets."),
    key("", "command", ANY, Takes::Tables("command"), Absent::Words("no commands"), "",
        "Commands that an operator sends."),
    key("", "fault", ANY, Takes::Tables("fault"), Absent::Words("nothing goes wrong"), "",
        "What goes wrong during hardship."),
    key("", "swarm", ANY, Takes::Table("swarm"), Absent::Words("nothing is drawn"), "",
        "Bounds within which each run draws its own scenario."),
    key("", "expect", ANY, Takes::Table("expect"), Absent::Words("all invariants hold"), "",
        "What the run must come to."),

    key("fleet", "kind", ANY, Takes::Choice(kinds), Absent::Required, "",
        "The device model: `synthetic` has values from a formula, `replay` plays recorded series with one device for each, and the others are twins: devices with physics (see the table of twins below)."),
    key("fleet", "name", ANY, Takes::Word, Absent::Words("the kind"), "\"pumps\"",
        "Name of the fleet, unique in the scenario; the stem of the devices' names."),
    key("fleet", "tenant", ANY, Takes::Word, Absent::Required, "\"globex\"",
        "Tenant that owns the devices; the stem of the tenants' names when there are several."),
    key("fleet", "tenants", ANY, Takes::Whole { min: 1, max: 10_000 }, Absent::Toml("1"), "2",
        "Number of tenants. With two or more they are named `{tenant}-01` and so on."),
    key("fleet", "network", ANY, Takes::Choice(networks), Absent::Words("`ethernet`; of a twin: see below"), "\"lte\"",
        "Access network of the devices, which decides latency, loss, bandwidth and how often connections drop. `ethernet`, `wifi` and `lte` lose nothing, are never full and never drop a connection by themselves: faults do that."),
    key("fleet", "session", ANY, Takes::Choice(sessions), Absent::Toml("\"clean\""), "\"persistent\"",
        "Whether the sessions of the devices end with their connections, or outlive them: then the broker keeps what arrives for them. A device with a persistent session subscribes to its commands."),
    key("fleet", "disconnects", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Words("6 hours on `nb-iot`, 2 hours on `satellite`, never on the others"), "\"30min\"",
        "Mean time until the network drops a connection: the device notices at once and connects again, the broker hears nothing."),
    key("fleet", "shadow", ANY, Takes::Flag, Absent::Words("`true` for twins, `false` for the others"), "true",
        "Whether each device follows its classic shadow (it asks for what is desired of it, applies it and reports), and takes commands."),
    key("fleet", "joins", ANY, Takes::Choice(joins), Absent::Toml("\"registered\""), "\"by-claim\"",
        "How the devices come into the registry: `registered` by their owner before the run, or `by-claim`: each holds a claim certificate of its tenant, gets power during the run and registers itself. The platform must take claims: `platform.iot.fleet_provisioning`."),
    key("fleet", "joins_within", ANY, Takes::Duration { min: "1s", max: "1d" }, Absent::Words("20min with `joins = \"by-claim\"`, otherwise devices have power from the start"), "\"5min\"",
        "Within how long after the start the devices get power, each at an instant that is drawn."),
    key("fleet", "payload", ANY, Takes::Whole { min: 1, max: 2 }, Absent::Toml("1"), "2",
        "Version of the payload that the devices' first firmware writes: 1 has values alone; 2 has units beside them, some others than the directory's, and `sent_at`, the device's clock at each hand-over to the network. A firmware that is desired later writes version 2 when its major version is 2 or more."),
    key("fleet", "devices", NUMBERED, Takes::Whole { min: 1, max: DEVICES_MAX }, Absent::Required, "3",
        "Number of devices; all fleets together have at most as many."),
    key("fleet", "publish_every", NUMBERED, Takes::Duration { min: PUBLISH_EVERY_MIN, max: "7d" }, Absent::Words("required; of a twin: see below"), "\"20s\"",
        "Interval of a device's readings. The first comes at a phase within the interval that is drawn for each device. A device sends at most 80 a second, because AWS takes at most 100 from one connection: hence the shortest interval."),
    key("fleet", "metric", SYN, Takes::Tables("fleet.metric"), Absent::Words("`temp` and `pressure`, see below"), "",
        "Metrics of every reading, at most 64."),
    key("fleet", "series", REP, Takes::Path, Absent::Required, "\"other\"",
        "A CSV file, or a folder that is searched with its subfolders for `*.csv`, one device for each file in the order of their paths. Relative to the scenario file."),
    key("fleet", "pace", REP, Takes::Pace, Absent::Toml("\"1s\""), "\"recorded\"",
        "Interval of the rows, or `recorded` for the intervals of their timestamps. Rows that do not fit into `phase.hardship` are not played. The shortest interval is that of `publish_every`."),
    key("fleet", "power", TWINS, Takes::Choice(powers), Absent::Words("`battery` for trackers, `mains` for the others"), "\"battery\"",
        "Where the devices have their power from. A battery has from 40 to 100 % when the run begins, lasts five years without a message and for 100,000 messages, and is the metric `battery` (percent); an empty one ends the readings."),
    key("fleet", "flow", &["pump"], Takes::Number { negative: false }, Absent::Toml("120.0"), "300.0",
        "Rated flow in l/min, 1 to 100000; each pump has its own within 10 %."),
    key("fleet", "setpoint", &["hvac"], Takes::Number { negative: false }, Absent::Toml("21.0"), "19.5",
        "Setpoint in degrees Celsius, 10 to 30; each room has its own within half a degree."),
    key("fleet", "load", &["meter"], Takes::Number { negative: false }, Absent::Toml("0.5"), "1.5",
        "Mean load in kW, 0.01 to 1000; each household has its own within 40 %."),
    key("fleet", "speed", &["tracker"], Takes::Number { negative: false }, Absent::Toml("50.0"), "80.0",
        "Usual speed in km/h, 20 to 110; each vehicle has its own within 20 %."),
    key("fleet", "failure", TWINS, Takes::Tables("fleet.failure"), Absent::Words("nothing fails"), "",
        "How the devices fail."),

    key("fleet.failure", "kind", ANY, Takes::Choice(failures), Absent::Required, "",
        "How it fails: see the table of failures."),
    key("fleet.failure", "share", ANY, Takes::Probability, Absent::Toml("1.0"), "0.25",
        "Part of the devices that fails so; drawn once for each."),
    key("fleet.failure", "from", ANY, Takes::Duration { min: "0s", max: "366d" }, Absent::Toml("\"0s\""), "\"2min\"",
        "When it begins, after the start and within `phase.hardship`."),
    key("fleet.failure", "lasting", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Words("until the end of hardship"), "\"3min\"",
        "How long it lasts; at most until the end of hardship."),
    key("fleet.failure", "metric", ANY, Takes::Label, Absent::Words("as the kind says"), "\"pressure\"",
        "The metric that fails."),
    key("fleet.failure", "amount", ANY, Takes::Number { negative: true }, Absent::Words("as the kind says"), "12.5",
        "The number of the kinds that have one."),
    key("fleet.failure", "probability", ANY, Takes::Probability, Absent::Words("as the kind says"), "0.5",
        "How likely each reading is struck."),

    key("fleet.metric", "name", ANY, Takes::Label, Absent::Required, "\"rpm\"",
        "Name of the metric, as in the reading."),
    key("fleet.metric", "unit", ANY, Takes::Label, Absent::Words("not declared"), "\"kPa\"",
        "Unit, as the device directory declares it; the platform converts known units into canonical ones."),
    key("fleet.metric", "baseline", ANY, Takes::Number { negative: true }, Absent::Toml("0.0"), "900.0",
        "Mean, in the unit."),
    key("fleet.metric", "noise", ANY, Takes::Number { negative: false }, Absent::Toml("0.0"), "2.5",
        "Standard deviation of Gaussian noise, in the unit."),
    key("fleet.metric", "season_amplitude", ANY, Takes::Number { negative: false }, Absent::Toml("0.0"), "4.0",
        "Amplitude of the season, in the unit."),
    key("fleet.metric", "season_period", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Toml("\"1d\""), "\"8h\"",
        "Period of the season."),
    key("fleet.metric", "drift_per_day", ANY, Takes::Number { negative: true }, Absent::Toml("0.0"), "-0.25",
        "Linear drift, in the unit a day."),
    key("fleet.metric", "spike_probability", ANY, Takes::Probability, Absent::Toml("0.0"), "0.02",
        "How likely a reading is an outlier. None is among the first 40 readings of a device, and two are at least 12 readings apart, so that a detector has seen what is usual."),
    key("fleet.metric", "spike", ANY, Takes::Number { negative: false }, Absent::Toml("0.0"), "40.0",
        "How far an outlier is above the value, in the unit. One above 20 times `noise`, 10 times `season_amplitude`, a day's drift and a twentieth of `baseline` together must be told: invariant `anomalies-told`."),

    key("phase", "hardship", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Required, "\"2h\"",
        "How long devices publish. At least one interval of every fleet but replayed ones."),
    key("phase", "peace", ANY, Takes::Duration { min: "1s", max: "7d" }, Absent::Required, "\"4min\"",
        "How long the platform may take afterwards until everything owed has arrived. Deliveries buffer for 60 s by default (`platform.processed_delivery.buffer_interval_s`): give that and half a minute more."),

    key("change", "at", ANY, Takes::Duration { min: "0s", max: "366d" }, Absent::Required, "\"5min\"",
        "When the deployment begins, after the start and within `phase.hardship`."),
    key("change", "platform", ANY, Takes::Foreign, Absent::Words("as before"), "{ raw_shards = 4 }",
        "Settings of the platform that hold from here on, over those before: `raw_shards` reshards the stream, another `artifact_key` deploys the functions anew. `env`, `region`, `account` and `lake_start` cannot change."),
    key("change", "patch", ANY, Takes::Table("change.patch"), Absent::Words("nothing else is changed"), "",
        "One changed value of one template, such as one that AWS refuses."),
    key("change", "outcome", ANY, Takes::Choice(outcomes), Absent::Toml("\"deployed\""), "\"rolled-back\"",
        "How the deployment must end: `deployed`, or `rolled-back` when a stack must fail and be as it was before. Another end violates the invariant `deployment`."),

    key("change.patch", "stack", ANY, Takes::Word, Absent::Required, "\"streaming\"",
        "Stack inside the environment."),
    key("change.patch", "path", ANY, Takes::Text, Absent::Required, "\"/Resources/RawStream/Properties/ShardCount\"",
        "JSON pointer into the stack's template. Everything around the value must be there."),
    key("change.patch", "value", ANY, Takes::Any, Absent::Required, "20000",
        "The value, as TOML."),

    key("rollout", "fleet", ANY, Takes::Word, Absent::Words("all with `shadow = true`"), "\"synthetic\"",
        "Fleet whose devices are to change; it needs `shadow = true`."),
    key("rollout", "from", ANY, Takes::Duration { min: "0s", max: "366d" }, Absent::Toml("\"0s\""), "\"2min\"",
        "When the first batch begins, after the start and within `phase.hardship`."),
    key("rollout", "batch", ANY, Takes::Whole { min: 1, max: DEVICES_MAX }, Absent::Words("the whole fleet"), "2",
        "Devices of a batch, in the order of their names."),
    key("rollout", "pause", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Toml("\"1min\""), "\"30s\"",
        "Time from the beginning of a batch to that of the next. What does not fit into `phase.hardship` is refused."),
    key("rollout", "desired", ANY, Takes::Table("rollout.desired"), Absent::Required, "",
        "What is desired."),

    key("rollout.desired", "firmware", ANY, Takes::Label, Absent::Words("as it is"), "\"1.2.0\"",
        "Version of the firmware."),
    key("rollout.desired", "publish_interval", ANY, Takes::Duration { min: "200ms", max: "1d" }, Absent::Words("as it is"), "\"30s\"",
        "Interval of the readings."),
    key("rollout.desired", "setpoint", ANY, Takes::Number { negative: true }, Absent::Words("as it is"), "19.5",
        "Setpoint, in the device's unit. Devices without one never report it, so that their shadows never converge: name a fleet that has it."),

    key("command", "fleet", ANY, Takes::Word, Absent::Words("all that take commands"), "\"synthetic\"",
        "Fleet whose devices get commands; it needs `session = \"persistent\"` or `shadow = true`."),
    key("command", "every", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Required, "\"20s\"",
        "Interval of the commands to one device. They are spread evenly over the devices of the fleet, one after another."),
    key("command", "from", ANY, Takes::Duration { min: "0s", max: "366d" }, Absent::Toml("\"0s\""), "\"1min\"",
        "When the first is sent, after the start."),
    key("command", "until", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Words("the end of hardship"), "\"4min\"",
        "When no more are sent; not later than `phase.hardship`."),

    key("fault", "kind", ANY, Takes::Choice(fault::kinds), Absent::Required, "",
        "What goes wrong: see the table of kinds."),
    key("fault", "name", ANY, Takes::Text, Absent::Words("the kind"), "\"the cable is cut\"",
        "Name of the fault, unique in the scenario. Its choices follow from the run's seed and this name."),
    key("fault", "from", ANY, Takes::Duration { min: "0s", max: "366d" }, Absent::Toml("\"0s\""), "\"1min\"",
        "When it begins, after the start."),
    key("fault", "until", ANY, Takes::Duration { min: "1ms", max: "366d" }, Absent::Words("the end of hardship"), "\"4min\"",
        "When it ends, after the start; not later than `phase.hardship`."),
    key("fault", "service", ANY, Takes::Label, Absent::Words("all"), "\"kinesis\"",
        "Service whose calls are struck, by its signing name."),
    key("fault", "operation", ANY, Takes::Label, Absent::Words("all"), "\"PutRecords\"",
        "Operation whose calls are struck."),
    key("fault", "function", ANY, Takes::Label, Absent::Words("all"), "\"enrichment\"",
        "Function that is struck, or whose calls are, by its handler."),
    key("fault", "fleet", ANY, Takes::Word, Absent::Words("all"), "\"synthetic\"",
        "Fleet whose devices are struck."),
    key("fault", "stream", ANY, Takes::Choice(streams), Absent::Words("both"), "\"raw\"",
        "Stream that is struck."),
    key("fault", "probability", ANY, Takes::Probability, Absent::Toml("1.0"), "0.25",
        "How likely each opportunity (a call, an entry, an invocation, a message) is struck."),
    key("fault", "share", ANY, Takes::Probability, Absent::Toml("1.0"), "0.5",
        "Part of the devices, or of the objects, that is struck; drawn once for each."),
    key("fault", "every", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Words("once"), "\"2min\"",
        "Interval of its strokes; the first comes at `from`."),
    key("fault", "lasting", ANY, Takes::Duration { min: "1s", max: "366d" }, Absent::Words("until its window ends"), "\"30s\"",
        "How long one stroke lasts; never beyond `until`."),
    key("fault", "delay", ANY, Takes::Duration { min: "1ms", max: "366d" }, Absent::Words("what is usual for the kind"), "\"2s\"",
        "The delay of the kinds that have one."),
    key("fault", "amount", ANY, Takes::Number { negative: false }, Absent::Words("what is usual for the kind"), "0.5",
        "The number of the kinds that have one, in the unit that the kind says."),

    key("swarm", "devices_max", ANY, Takes::Whole { min: 1, max: 10_000 }, Absent::Toml("30"), "12",
        "Most devices of all fleets together."),
    key("swarm", "fleets_max", ANY, Takes::Whole { min: 1, max: 100 }, Absent::Toml("3"), "1",
        "Most fleets."),
    key("swarm", "readings_max", ANY, Takes::Whole { min: 1, max: 10_000_000 }, Absent::Toml("1500"), "400",
        "About how many readings the devices publish at most: intervals are lengthened until they fit. It bounds what a run costs."),
    key("swarm", "hardship_min", ANY, Takes::Duration { min: "10s", max: "366d" }, Absent::Toml("\"2min\""), "\"1min\"",
        "Shortest hardship."),
    key("swarm", "hardship_max", ANY, Takes::Duration { min: "10s", max: "366d" }, Absent::Toml("\"6min\""), "\"10min\"",
        "Longest hardship. Peace follows from what was drawn: windows, buffers, back-off and the longest fault."),
    key("swarm", "faults_max", ANY, Takes::Whole { min: 0, max: 1_000 }, Absent::Toml("8"), "2",
        "Most faults, at most one of a kind; each number from 0 on is as likely."),
    key("swarm", "families", ANY, Takes::Choices(swarm::families), Absent::Words("all"), "[\"device\", \"network\"]",
        "Families of faults that are drawn from."),
    key("swarm", "kinds", ANY, Takes::Choices(fault::kinds), Absent::Words("all but those that a correct platform need not survive"), "[\"throttle\", \"loss\"]",
        "Kinds of faults that are drawn from."),
    key("swarm", "family_off", ANY, Takes::Probability, Absent::Toml("0.25"), "0.5",
        "How likely a whole family of faults is switched off."),
    key("swarm", "kind_off", ANY, Takes::Probability, Absent::Toml("0.5"), "0.1",
        "How likely a kind of fault is switched off."),
    key("swarm", "setting_off", ANY, Takes::Probability, Absent::Toml("0.5"), "0.9",
        "How likely a setting of the platform keeps its default."),
    key("swarm", "twins", ANY, Takes::Probability, Absent::Toml("0.0"), "0.5",
        "How likely a fleet is one of twins, with a network and failures that are drawn."),

    key("expect", "verdict", ANY, Takes::Choice(verdicts), Absent::Toml("\"held\""), "\"unsettled\"",
        "`held`: no invariant is broken, everything owed arrives, and no device gives a reading up. `unsettled`: something owed has not arrived when peace ends, or a device gave a reading up because its queue was full (those that a fault `flash-full` makes it give up are counted apart). `violated`: an invariant is broken. Anything but `held` makes the scenario a canary, and a run of it that holds fails with exit code 1."),
    key("expect", "invariants", ANY, Takes::Choices(invariants), Absent::Words("all"), "[\"conservation\"]",
        "Invariants that are checked."),
    key("expect", "marks", ANY, Takes::Choices(marks), Absent::Words("none"), "[\"batch-repeated\", \"batch-split\"]",
        "States that a run which holds must have reached, or it is violated: a scenario that no longer shows what its title says proves nothing. `cargo sim marks` shows which scenarios reach them. For scenarios that hold and are no swarm; a run with `--devices`, `--hardship` or `--peace` is not asked for them."),
    key("expect", "budget", ANY, Takes::Table("expect.budget"), Absent::Words("no limit"), "",
        "What a run that holds may need."),
    key("expect.budget", "latency_p99", ANY, Takes::Duration { min: "1ms", max: "7d" }, Absent::Words("no limit"), "\"3min\"",
        "99 of 100 readings are in S3 at most this long after their publish (LastModified of their file, rounded up to the next second): from then on a query returns them."),
];

fn kinds() -> Vec<&'static str> {
    [SYNTHETIC, REPLAY].into_iter().chain(TwinKind::ALL.iter().map(|(name, _)| *name)).collect()
}

fn powers() -> Vec<&'static str> {
    Power::ALL.iter().map(|(name, _)| *name).collect()
}

fn failures() -> Vec<&'static str> {
    FAILURES.iter().map(|contract| contract.id).collect()
}

fn streams() -> Vec<&'static str> {
    fault::STREAMS.to_vec()
}

fn joins() -> Vec<&'static str> {
    vec![REGISTERED, BY_CLAIM]
}

fn networks() -> Vec<&'static str> {
    Network::ALL.iter().map(|(name, _)| *name).collect()
}

fn sessions() -> Vec<&'static str> {
    SessionKind::ALL.iter().map(|(name, _)| *name).collect()
}

fn verdicts() -> Vec<&'static str> {
    super::VERDICTS.iter().map(|v| v.as_str()).collect()
}

fn outcomes() -> Vec<&'static str> {
    DeploymentOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect()
}

fn invariants() -> Vec<&'static str> {
    invariant::ALL.iter().map(|i| i.id).collect()
}

fn marks() -> Vec<&'static str> {
    mark::ALL.iter().map(|mark| mark.id).collect()
}

/// The key `name` of a section.
///
/// # Panics
/// When the table has no such key: a bug of the parser.
pub fn find(section: &str, name: &str) -> &'static Key {
    let key = KEYS.iter().find(|k| k.section == section && k.name == name);
    key.unwrap_or_else(|| panic!("the schema has no key `{name}` in section `{section}`"))
}

/// The keys of a section, in the order of the document.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| k.section == section)
}

impl Takes {
    /// What is accepted, in words.
    pub fn expected(self) -> String {
        match self {
            Takes::Text => "a text that is not empty".to_owned(),
            Takes::Word => "1 to 32 of a-z, 0-9 and -, beginning with a letter and not ending with -".to_owned(),
            Takes::Label => {
                "1 to 32 of letters, digits and _ - . / %, beginning with a letter, a digit or %".to_owned()
            }
            Takes::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Takes::Seeds => "a list of at least one whole number, each once, such as [1, 7]".to_owned(),
            Takes::Instant => {
                "an instant from 2023 to 2100 as RFC 3339 writes it, such as 2026-03-01T00:00:00Z".to_owned()
            }
            Takes::Duration { min, max } => {
                format!("a duration from \"{min}\" to \"{max}\", with the units d, h, min, s, ms")
            }
            Takes::Pace => format!(
                "a duration from \"{PUBLISH_EVERY_MIN}\" to \"7d\", with the units d, h, min, s, ms, or \"recorded\""
            ),
            Takes::Number { negative: true } => format!("a finite number from -{NUMBER_MAX:e} to {NUMBER_MAX:e}"),
            Takes::Number { negative: false } => {
                format!("a finite number that is not negative, at most {NUMBER_MAX:e}")
            }
            Takes::Probability => "a number from 0 to 1".to_owned(),
            Takes::Flag => "true or false".to_owned(),
            Takes::Choice(words) => format!("one of {}", quoted(&words())),
            Takes::Choices(words) => format!("a list of at least one of {}", quoted(&words())),
            Takes::Path => "a path, relative to the scenario file".to_owned(),
            Takes::Table(_) | Takes::Foreign => "a table".to_owned(),
            Takes::Any => "any value of TOML but a date".to_owned(),
            Takes::Tables(section) => format!("at least one table [[{section}]]"),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")
}
