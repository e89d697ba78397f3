//! The world of one run, from its boot to its verdict.

use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle};
use platform::Settings;
use platform::deploy::Plan;
use platform::store::data_lake::{PROCESSED_TABLE, RAW_TABLE};
use platform::transform::enrichment;
use record::{Build, Digest, Manifest, SCHEMA_VERSION, Summary, Verdict};

use super::acts::Acts;
use super::alerts::AlertOracle;
use super::check::{Checked, Oracles};
use super::deployment::{Deployments, Ended};
use super::devices::DeviceOracles;
use super::gold::{Due, GoldOracle};
use super::operator::Operator;
use super::promises::{denials, owes_outliers, storms, unreached, violations};
use super::{Harness, Outcome, RunError, RunOptions, Status, labels, measure, service_acts};
use crate::cloud::account::Account;
use crate::fault::{Faults, InnerFaults};
use crate::fleet::spec::ModelSpec;
use crate::fleet::{self, Fleet};
use crate::invariant::{
    AnomalyReader, AthenaReader, DeliveryErrorReader, GivenUpReader, LakeReader, QuarantineReader, QueryError,
    RawReader, RuleErrorReader,
};
use crate::scenario::Scenario;
use crate::seam::{self, BROKER, Cloud, Deployed, Functions, Logs, Watch};
use crate::world::clock;
use crate::world::mark;
use crate::world::seed::Seed;
use crate::world::time::Time;
use crate::world::trace::{Event, EventSink, Level, Trace};

/// How often counters are sampled and progress is told.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// How long after peace a run may go on to tell lost readings from late ones: at least so long beside the platform's own
/// buffers, and at least as long as peace.
const GRACE_MIN: Duration = Duration::from_secs(900);

pub(super) struct World {
    pub(super) scenario: Scenario,
    options: RunOptions,
    trace: Trace,
    pub(super) cloud: Cloud,
    pub(super) fleet: Fleet,
    oracles: Oracles,
    pub(super) deployments: Deployments,
    pub(super) acts: Acts,
    pub(super) operator: Operator,
    watch: Watch,
    logs: Logs,
    /// How long a record may lie in the platform's windows and buffers.
    on_its_way: Duration,
    pub(super) peace_end: Time,
    phase: &'static str,
}

/// Hands kept events to the run's recorder.
struct Sink(record::Recorder);

impl EventSink for Sink {
    fn push(&mut self, event: Event) {
        self.0.event(super::event_row(event));
    }
}

/// Runs the scenario in the simulation that is current.
pub(super) async fn run(
    scenario: Scenario,
    settings: (Settings, Vec<Settings>),
    options: RunOptions,
    harness: Harness,
) -> Result<Outcome, RunError> {
    let mut options = options;
    let trace = match (options.watch.take(), &options.record) {
        (Some((level, sink)), _) => Trace::keeping(level, sink),
        (None, Some((recorder, level))) => Trace::keeping(*level, Box::new(Sink(recorder.clone()))),
        (None, None) => Trace::new(),
    };
    let trace = match options.spotlight.take() {
        Some(spotlight) => trace.under(spotlight),
        None => trace,
    };
    let mut world = World::boot(scenario, settings, options, harness, trace)?;
    let _listening = world.logs.listen();
    world.hardship().await;
    let (settled, checked) = world.peace().await?;
    Ok(world.outcome(settled, checked))
}

impl World {
    fn boot(
        scenario: Scenario,
        (settings, after_changes): (Settings, Vec<Settings>),
        options: RunOptions,
        harness: Harness,
        trace: Trace,
    ) -> Result<Self, RunError> {
        let seed = Seed::root(options.seed);
        let now = clock::now();
        let mut account = Account::new(&settings.region, seed, trace.clone());
        let change_template = harness.change_template;
        let change = |stack: &str, body: String| match &change_template {
            Some(change) => change(stack, body),
            None => body,
        };
        let plan = Plan::of(&settings);
        seam::upload_packages(&mut account, now, &plan).map_err(RunError::failed)?;
        for settings in &after_changes {
            seam::upload_packages(&mut account, now, &Plan::of(settings)).map_err(RunError::failed)?;
        }
        let deployed = seam::boot(&mut account, now, (&settings, &plan), change).map_err(RunError::failed)?;
        let mut plan = fleet::plan(&scenario.fleets_in_hardship(), seed)
            .map_err(|error| RunError { message: error.to_string(), usage: true })?;
        register(&mut account, (&settings, &deployed), &mut plan)?;
        seam::enable_registry_events(&mut account, now).map_err(RunError::failed)?;
        let oracle = seam::oracle(&mut account, now, &settings, &deployed).map_err(RunError::failed)?;
        let faults = Faults::new(&scenario.faults, seed, now, trace.clone());
        account.set_disturb(Box::new(InnerFaults::new(faults.clone())));
        let cloud = Cloud::under(account, seed.child("cloud"), faults.clone());
        let aws = node("aws", "10.0.0.1");
        let watch = Watch::default();
        let functions = Functions::new(node("lambda", "10.0.0.2"), harness.wrap_function);
        cloud.set_functions(functions.under(harness.tamper, watch.clone()));
        cloud.spawn_pump(&aws);
        seam::serve(&cloud, &aws, harness.wire);
        let owed = owes_outliers(&scenario);
        let logs = Logs::of(plan.iter().map(|device| (device.tenant.as_str(), device.id.as_str())));
        let hardship_end = scenario.start + scenario.phase.hardship;
        let due = Due::of(&scenario, after_changes.iter().chain([&settings]));
        let config = seam::sdk_config(&cloud, &oracle);
        let alerts = AlertOracle::new((&cloud, &deployed.alert_topic, &logs), &scenario, (&settings, &after_changes));
        let oracles = oracles((&config, &deployed), (owed, hardship_end, due), alerts, (trace.clone(), logs.clone()));
        let deployer =
            seam::session_credential("deployer", &format!("arn:aws:iam::{}:root", cloud.look(|a| a.id().to_owned())));
        cloud.enter(|account, _| account.add_credential(deployer.clone()));
        let config = seam::sdk_config(&cloud, &deployer);
        let owner = node("owner", "10.0.0.3");
        service_acts::start(&cloud, &settings, &owner, &trace);
        let deploying = (config.clone(), &owner);
        let deployments = Deployments::start(&scenario, &after_changes, change_template, deploying, trace.clone())?;
        let acts = Acts::start(&scenario, &settings, (&cloud, &trace), (config.clone(), &owner), &plan)?;
        let fleet = Fleet::start(plan, seed, BROKER.parse().expect("an address"), now, trace.clone(), faults);
        let operator = Operator::start(&scenario, (&config, &owner), fleet.truth(), fleet.devices(), trace.clone());
        let on_its_way = after_changes.iter().chain([&settings]).map(on_its_way).max().unwrap_or_default();
        let world = World {
            deployments,
            acts,
            operator,
            watch,
            logs,
            scenario,
            options,
            trace,
            cloud,
            fleet,
            oracles,
            on_its_way,
            peace_end: Time::MAX,
            phase: "boot",
        };
        let fields = [("scenario", world.scenario.source.name.as_str().into()), ("seed", world.options.seed.into())];
        service_acts::begin(&owner, &world.cloud, harness.acts);
        world.trace.event(Level::Run, now, "run", "begin", &world.scenario.title, &fields);
        Ok(world)
    }

    /// Devices publish until hardship is over, or until recorded series have come to their end.
    async fn hardship(&mut self) {
        self.enter_phase("hardship");
        let end = self.scenario.start + self.scenario.phase.hardship;
        let can_end = self.scenario.fleets.iter().all(|fleet| matches!(fleet.model, ModelSpec::Replay(_)));
        while clock::now() < end && !(can_end && self.fleet.finished()) {
            clock::sleep_until((clock::now() + SAMPLE_EVERY).min(end)).await;
            self.sample();
        }
        self.fleet.stop_publishing();
        self.cloud.faults().heal();
        self.fleet.end_faults();
        self.acts.put_all_right().await;
    }

    /// Devices drain, and everything that is owed has until the end of peace to arrive. Answers whether it has.
    async fn peace(&mut self) -> Result<(bool, Checked), RunError> {
        self.enter_phase("peace");
        let peace = self.scenario.phase.peace;
        self.peace_end = clock::now() + peace;
        self.oracles.peace_begin = Some(clock::now());
        let (settled, checked) = self.settle_until(self.peace_end).await?;
        if settled {
            return Ok((true, checked));
        }
        // What arrives now is late and not lost.
        self.enter_phase("grace");
        let (_, checked) = self.settle_until(clock::now() + peace.max(GRACE_MIN + self.on_its_way)).await?;
        Ok((false, checked))
    }

    /// Waits until devices are drained and nothing is missing, at most until `end`. Answers whether that came about, and
    /// the last look at everything.
    async fn settle_until(&mut self, end: Time) -> Result<(bool, Checked), RunError> {
        let mut rows_at_last_look = None;
        loop {
            let now = clock::now();
            let rows = if self.drained() { Some(self.rows().await?) } else { None };
            // What the rule could not put into the stream does not come, nor what is poison; this only says when it is worth looking.
            let left = self.left_at_rules() + self.cloud.faults().poison().count(enrichment::HANDLER);
            let owed = self.fleet.stats().acknowledged.saturating_sub(left);
            let arrived = rows.is_some_and(|rows| rows >= owed) && rows != rows_at_last_look;
            if arrived {
                // What should not come at all may still be on its way behind what is owed.
                clock::sleep_until(self.all_arrived(clock::now()).min(end)).await;
                self.sample();
            }
            if arrived || now >= end {
                let drained = self.drained();
                let checked = self.check().await?;
                // A look takes time: what was written while the oracles read came after the end.
                let settled = drained && checked.owed() == 0 && checked.last_written <= end;
                if settled || now >= end {
                    return Ok((settled, checked));
                }
                // An anomaly that is late is no row of the table, and a command that is late is none either.
                rows_at_last_look = rows.filter(|_| checked.beside_rows() == 0);
            }
            clock::sleep_until((clock::now() + SAMPLE_EVERY).min(end)).await;
            self.sample();
        }
    }

    /// When everything has come to its end that is on its way now, curation included.
    fn all_arrived(&self, now: Time) -> Time {
        let arrived = now + self.on_its_way;
        self.oracles.gold.as_ref().map_or(arrived, |gold| gold.due.after(arrived))
    }

    /// Whether devices are drained, and nobody is at work on the account.
    fn drained(&self) -> bool {
        let asked = self.operator.finished() && self.fleet.shadows_settled();
        self.fleet.drained() && asked && self.deployments.finished() && self.acts.finished()
    }

    /// Messages that error actions of rules have stored.
    fn left_at_rules(&self) -> u64 {
        let stored = ("iot", "ErrorActionSuccess");
        self.cloud.look(|account| account.meter().counters().get(&stored).copied().unwrap_or(0))
    }

    async fn rows(&self) -> Result<u64, RunError> {
        self.oracles.rows().await.map_err(|error| self.unanswered(&error))
    }

    /// The error of an oracle that got no answer.
    fn unanswered(&self, error: &QueryError) -> RunError {
        let text = error.to_string();
        if text.contains("Bytes scanned limit") {
            let key = "platform.athena_scan_limit_bytes";
            let problem = format!("is too small for the queries that check the run: {text}");
            return self.scenario.located_error(key, problem, "a larger limit", "the default is 10 GiB").into();
        }
        RunError::failed(text)
    }

    async fn check(&mut self) -> Result<Checked, RunError> {
        let phase = std::mem::replace(&mut self.phase, "check");
        self.tell();
        // A copy: devices go on living while the oracles read.
        let truth = self.fleet.truth().lock().expect("one thread runs the simulation").clone();
        let checked = self.oracles.check(&truth, self.cloud.faults(), &self.shadowed()).await;
        let checked = checked.map_err(|error| self.unanswered(&error))?;
        self.phase = phase;
        Ok(checked)
    }

    fn enter_phase(&mut self, phase: &'static str) {
        self.phase = phase;
        self.trace.event(Level::Run, clock::now(), "run", "phase", phase, &[]);
        self.sample();
    }

    fn sample(&mut self) {
        if let Some((recorder, _)) = &self.options.record {
            let counts = self.fleet.stats();
            self.cloud.look(|account| measure::sample(recorder, clock::now(), account.meter(), &counts));
        }
        self.tell();
    }

    fn tell(&mut self) {
        let phase = &self.scenario.phase;
        let counts = self.fleet.stats();
        if let Some(progress) = &mut self.options.progress {
            progress(&Status {
                phase: self.phase,
                simulated: clock::now().since(self.scenario.start),
                simulated_max: phase.hardship + phase.peace,
                published: counts.published,
                acknowledged: counts.acknowledged,
            });
        }
    }

    fn tell_of_devices(&self, summary: &mut Summary, checked: &Checked) {
        self.count_devices(summary, &checked.devices);
        summary.detection.clone_from(&checked.detection);
        measure::joins(summary, &self.fleet.joins());
        let end = self.scenario.start + self.scenario.phase.hardship;
        labels::tell(&self.fleet.truth(), end, self.options.record.as_ref(), summary);
    }

    fn outcome(self, settled: bool, checked: Checked) -> Outcome {
        let now = clock::now();
        let mut summary = Summary::new(&self.scenario.source.name, self.options.seed);
        let counts = self.fleet.stats();
        summary.simulated_s = now.since(self.scenario.start).as_secs_f64();
        summary.devices = counts.devices;
        summary.published = counts.published;
        summary.acknowledged = counts.acknowledged;
        summary.rejected = counts.rejected;
        summary.delivered = checked.tally.delivered;
        summary.duplicates = checked.tally.duplicates;
        summary.missing = checked.tally.missing;
        summary.spurious = checked.tally.spurious;
        summary.corrupt = checked.tally.corrupt;
        summary.quarantined = checked.tally.quarantined;
        summary.set_aside = checked.tally.set_aside;
        summary.out_of_order = checked.tally.out_of_order;
        summary.latency_ms = checked.latency;
        self.cloud.look(|account| measure::count_calls(&mut summary, account.meter()));
        measure::oracles(&mut summary, &checked, &counts);
        for (name, count) in
            [("deployments:ended", self.deployments.ended().len() as u64), ("functions:log_lines", self.logs.seen().0)]
        {
            if count > 0 {
                summary.counters.insert(name.to_owned(), count);
            }
        }
        self.tell_of_devices(&mut summary, &checked);
        for (mark, count) in
            [(mark::DUPLICATE_DELIVERED, checked.tally.duplicates), (mark::MESSAGE_QUARANTINED, checked.strays.0)]
        {
            if count > 0 {
                self.trace.mark(now, mark, "oracle");
            }
        }
        summary.faults = self.cloud.faults().strokes();
        summary.marks = self.trace.marks().into_iter().map(|(mark, count)| (mark.to_owned(), count)).collect();
        let ended = self.deployments.ended();
        let complaints = ended.iter().filter_map(Ended::complaint).chain(self.acts.complaints());
        summary.violations = violations(&self.scenario, settled, &checked, complaints);
        summary.violations.extend(self.cloud.look(|account| denials(&self.scenario, account, &self.acts)));
        summary.violations.extend(storms(&self.scenario, &self.watch));
        summary.violations.extend(unreached(&self.scenario, settled, &summary.marks));
        summary.unsettled_reading = if settled { None } else { self.awaited(&counts, &checked) };
        summary.unsettled = if settled { None } else { Some(self.why_unsettled(&counts, &checked)) };
        if counts.rejected > 0 {
            let note = format!("devices gave up {} readings, because their queues were full", counts.rejected);
            summary.unsettled.get_or_insert(note);
        }
        summary.verdict = if !summary.violations.is_empty() {
            Verdict::Violated
        } else if settled && counts.rejected == 0 {
            Verdict::Held
        } else {
            Verdict::Unsettled
        };
        self.trace.event(Level::Run, now, "run", "verdict", summary.verdict.as_str(), &[("rows", checked.rows.into())]);
        summary.digest = Digest(self.trace.digest());
        Outcome { manifest: manifest(&self.scenario, &self.options), summary }
    }
}

/// Registers the devices that do not join by themselves, and gives the others what they join with.
fn register(
    account: &mut Account,
    (settings, deployed): (&Settings, &Deployed),
    plan: &mut [fleet::DevicePlan],
) -> Result<(), RunError> {
    let now = clock::now();
    seam::give_claims(account, now, settings, plan).map_err(RunError::failed)?;
    let mut owners = plan.iter().filter(|device| device.join.is_none());
    owners.try_for_each(|device| seam::register_device(account, now, deployed, device).map_err(RunError::failed))
}

/// Batching window, delivery buffer, and some seconds of polls and calls.
pub(super) fn on_its_way(settings: &Settings) -> Duration {
    let buffered_s = settings.enrichment.batch_window_s + settings.processed_delivery.buffer_interval_s;
    Duration::from_secs(u64::from(buffered_s) + 5)
}

fn node(name: &str, ip: &str) -> NodeHandle {
    let ip = ip.parse().expect("a constant address");
    Handle::current().create_node().name(name).ip(ip).build()
}

fn oracles(
    (config, deployed): (&aws_types::SdkConfig, &Deployed),
    (outliers_owed, hardship_end, due): (bool, Time, Option<Due>),
    alerts: AlertOracle,
    (trace, logs): (Trace, Logs),
) -> Oracles {
    Oracles {
        athena: AthenaReader::new(config, &deployed.workgroup, &deployed.database),
        lake: LakeReader::new(config, &deployed.processed_bucket, &format!("{PROCESSED_TABLE}/")),
        quarantine: QuarantineReader::new(config, &deployed.processed_bucket, "quarantine/"),
        rule_errors: RuleErrorReader::new(config, &deployed.rule_errors_bucket, "rule-errors/readings/"),
        // Lambda decides the beginning of the names.
        given_up: GivenUpReader::new(config, &deployed.processed_bucket, "aws/lambda/"),
        delivery_errors: DeliveryErrorReader::new(config, &deployed.processed_bucket, "delivery-errors/"),
        anomalies: AnomalyReader::new(config, &deployed.processed_bucket, "anomalies/"),
        alerts,
        gold: due.map(|due| GoldOracle::new(config, deployed, due)),
        devices: DeviceOracles::new(config),
        raw: RawReader::new(config, &deployed.raw_bucket, &format!("{RAW_TABLE}/")),
        logs,
        table: PROCESSED_TABLE,
        outliers_owed,
        trace,
        hardship_end,
        peace_begin: None,
    }
}

fn manifest(scenario: &Scenario, options: &RunOptions) -> Manifest {
    let mut cfg = Vec::new();
    for (name, set) in [("madsim", cfg!(madsim)), ("debug_assertions", cfg!(debug_assertions))] {
        if set {
            cfg.push(name.to_owned());
        }
    }
    Manifest {
        schema_version: SCHEMA_VERSION,
        // What was drawn follows from the swarm and the seed.
        scenario: scenario.origin.as_ref().unwrap_or(&scenario.source).clone(),
        seed: options.seed,
        build: Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cfg,
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
        start: scenario.start.rfc3339(),
        settings: options.settings.clone(),
    }
}
