//! Faults that act by themselves at times: what an operator does to the account, and what befalls its resources.
//!
//! Each fault of a kind of [`ACTING`] has a task. At `from` it strikes: [`begin`] acts, and says how that is put right.
//! It is put right after `lasting`, when the window ends, and at the latest before peace begins
//! ([`Acts::put_all_right`]); then the account is as it was before. With `every` it strikes again.
//!
//! To add a kind: a name in [`ACTING`], and an arm of [`begin`] that answers an [`Act`]. Acts go through the account as its
//! owner, by the operations that an owner has. An act that finds its target broken already answers `None`: two faults never
//! break one thing, so that each can put back what it found.

mod account;
mod certificates;
mod excuses;
mod functions;
mod keys;
mod permissions;
mod rollback;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_types::SdkConfig;
use madsim::runtime::NodeHandle;
use platform::Settings;
use platform::function::HANDLERS;
use platform::naming::Naming;

use self::excuses::{Denies, Excuse};
use super::RunError;
use crate::cloud::core::access::Denial;
use crate::cloud::core::{AwsError, Limits};
use crate::fault::{FaultSpec, Faults, Kind, Opportunity};
use crate::fleet::DevicePlan;
use crate::scenario::Scenario;
use crate::seam::Cloud;
use crate::world::clock;
use crate::world::mark::Mark;
use crate::world::time::Time;
use crate::world::trace::{Level, Trace};

/// Kinds that act by themselves on the account.
const ACTING: &[Kind] = &[
    Kind::BadDeploy,
    Kind::Rollback,
    Kind::PermissionRemoved,
    Kind::KeyDisabled,
    Kind::CertificateExpiry,
    Kind::WrongConfiguration,
    Kind::RegionOutage,
    Kind::QuotaLowered,
    Kind::BitRot,
];

/// Function of a fault that names none.
const DEFAULT_FUNCTION: &str = "enrichment";

/// How long after a refusal what has to be put right is tried again: a change of a function is in progress for seconds,
/// and no other is taken meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Puts right what a stroke changed. It is called again until it succeeds.
type Undo = Box<dyn Fn(&Stage) -> Result<(), AwsError> + Send>;

/// One stroke, carried out.
struct Act {
    /// The service whose resource was struck.
    pub service: &'static str,
    /// What was struck: the name of a function, of a key, of a stack.
    pub subject: String,
    /// How it is put right. Absent when nothing is left behind.
    pub undo: Option<Undo>,
    /// Which denials it explains.
    pub denies: Option<Denies>,
}

impl Act {
    /// An act that lasts until it is put right.
    pub fn until(service: &'static str, subject: String, undo: Undo) -> Self {
        Act { service, subject, undo: Some(undo), denies: None }
    }

    /// An act that leaves nothing behind.
    pub fn done(service: &'static str, subject: String) -> Self {
        Act { service, subject, undo: None, denies: None }
    }
}

/// A device, as far as acts choose among them.
struct Site {
    index: u64,
    id: String,
    /// Id of its certificate.
    pub certificate: String,
}

/// Acts once. Nothing when there is nothing to break.
async fn begin(stage: &Stage, fault: &FaultSpec, nth: u64) -> Result<Option<Act>, AwsError> {
    match fault.kind {
        Kind::BadDeploy => functions::bad_deploy(stage, fault),
        Kind::WrongConfiguration => functions::wrong_configuration(stage, fault, nth),
        Kind::PermissionRemoved => permissions::remove(stage, fault, nth),
        Kind::KeyDisabled => keys::disable(stage, fault).await,
        Kind::CertificateExpiry => certificates::expire(stage, fault),
        Kind::Rollback => rollback::fail_half_way(stage, fault).await,
        Kind::RegionOutage => Ok(Some(account::region_outage(stage, fault))),
        Kind::QuotaLowered => account::lower_quotas(stage, fault),
        Kind::BitRot => account::rot(stage, fault),
        other => unreachable!("{} is not among the kinds that act", other.id()),
    }
}

/// What acts act on.
struct Stage {
    /// The account.
    pub cloud: Cloud,
    /// The platform's settings at the start.
    pub settings: Settings,
    /// How the account's owner calls AWS over the wire.
    pub config: SdkConfig,
    /// Where lots and shares come from.
    pub faults: Faults,
    trace: Trace,
    start: Time,
    /// Names of the fleets.
    fleets: Vec<String>,
    devices: Vec<Site>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is to be put right, in the order in which it was broken.
    broken: BTreeMap<u64, Broken>,
    strokes: u64,
    excuses: Vec<Excuse>,
    /// What did not go as an act was to go.
    complaints: Vec<String>,
    /// Acts that have begun and not returned.
    under_way: usize,
}

struct Broken {
    fault: String,
    subject: String,
    undo: Undo,
    /// Position of its excuse.
    excuse: Option<usize>,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Name of the function that a fault strikes.
    pub fn function(&self, fault: &FaultSpec) -> String {
        Naming::new(&self.settings).function(fault.target.function.as_deref().unwrap_or(DEFAULT_FUNCTION))
    }

    /// One of `all`, by the lot of a fault's stroke.
    pub fn pick<'a, T>(&self, fault: &FaultSpec, nth: u64, all: &'a [T]) -> Option<&'a T> {
        let at = self.faults.lot(fault, nth) * all.len() as f64;
        all.get(at as usize)
    }

    /// The devices that a fault strikes: its share of its fleet.
    pub fn devices_of<'s>(&'s self, fault: &'s FaultSpec) -> impl Iterator<Item = &'s Site> {
        let wanted = fault.target.fleet.as_deref();
        let of_fleet = move |site: &&Site| wanted.is_none_or(|fleet| self.fleet_of(&site.id) == Some(fleet));
        self.devices.iter().filter(of_fleet).filter(|site| self.faults.takes_in(fault, site.index))
    }

    /// The fleet after which a device is named.
    fn fleet_of(&self, device: &str) -> Option<&str> {
        let its = |fleet: &&String| device.strip_prefix(fleet.as_str()).is_some_and(|rest| rest.starts_with('-'));
        self.fleets.iter().filter(its).max_by_key(|fleet| fleet.len()).map(String::as_str)
    }

    /// When a stroke of a fault ends that begins now. Without `lasting` it lasts until the next one, or until the window
    /// ends.
    pub fn ends(&self, fault: &FaultSpec) -> Time {
        let until = self.start + fault.until;
        let longest = if fault.kind == Kind::KeyDisabled { Some(keys::LONGEST) } else { None };
        let lasting = fault.lasting.or(fault.every).into_iter().chain(longest).min();
        lasting.map_or(until, |lasting| (clock::now() + lasting).min(until))
    }

    /// Whether a fault strikes no more.
    pub fn is_over(&self, fault: &FaultSpec) -> bool {
        self.faults.healed() || clock::now() >= self.start + fault.until
    }

    /// Whether a fault has broken this and it was not put right yet.
    pub fn is_broken(&self, subject: &str) -> bool {
        self.lock().broken.values().any(|broken| broken.subject == subject)
    }

    /// Marks a state that was reached.
    pub fn mark(&self, mark: Mark, subject: &str) {
        self.trace.mark(clock::now(), mark, subject);
    }

    /// Remembers that an act did not go as it was to go.
    pub fn complain(&self, complaint: String) {
        self.lock().complaints.push(complaint);
    }

    /// Strikes once. Answers under which number what it broke is kept.
    async fn strike(&self, fault: &FaultSpec, nth: u64) -> Option<u64> {
        let from = clock::now();
        self.lock().under_way += 1;
        let begun = begin(self, fault, nth).await;
        self.lock().under_way -= 1;
        let now = clock::now();
        match begun {
            Ok(Some(Act { service, subject, undo, denies })) => {
                let function = fault.target.function.as_deref().unwrap_or("");
                let at = Opportunity { service, function, subject: &subject, ..Opportunity::default() };
                self.faults.struck(now, fault, &at);
                let undo = undo?;
                let mut state = self.lock();
                state.strokes += 1;
                let (number, fault) = (state.strokes, fault.name.clone());
                let excuse = denies.map(|denies| {
                    state.excuses.push(Excuse { denies, from, until: Time::MAX });
                    state.excuses.len() - 1
                });
                state.broken.insert(number, Broken { fault, subject, undo, excuse });
                Some(number)
            }
            Ok(None) => None,
            Err(error) => {
                self.tell(now, "not-possible", &fault.name, &error.to_string());
                None
            }
        }
    }

    /// Puts right what is kept under a number. Whoever comes second finds it done.
    async fn put_right(&self, number: u64) {
        loop {
            let Some(broken) = self.lock().broken.remove(&number) else { return };
            match (broken.undo)(self) {
                Ok(()) => {
                    if let Some(at) = broken.excuse {
                        self.lock().excuses[at].ends(clock::now());
                    }
                    return self.tell(clock::now(), "put-right", &broken.fault, &broken.subject);
                }
                Err(error) => {
                    self.tell(clock::now(), "not-yet-put-right", &broken.fault, &error.to_string());
                    self.lock().broken.insert(number, broken);
                }
            }
            clock::sleep(TRY_AGAIN).await;
        }
    }

    fn tell(&self, now: Time, kind: &'static str, fault: &str, detail: &str) {
        self.trace.event(Level::Call, now, "fault", kind, fault, &[("detail", detail.into())]);
    }
}

/// The acts of a run.
pub(super) struct Acts(Arc<Stage>);

impl Acts {
    /// Begins to act on `node` at the times of the faults of a run that starts now. `config` is the owner's.
    pub fn start(
        scenario: &Scenario,
        settings: &Settings,
        (cloud, trace): (&Cloud, &Trace),
        (config, node): (SdkConfig, &NodeHandle),
        devices: &[DevicePlan],
    ) -> Result<Self, RunError> {
        check(scenario)?;
        let site = |(index, device): (u64, &DevicePlan)| Site {
            index,
            id: device.id.clone(),
            certificate: device.certificate_id.clone(),
        };
        let stage = Arc::new(Stage {
            cloud: cloud.clone(),
            settings: settings.clone(),
            config,
            faults: cloud.faults().clone(),
            trace: trace.clone(),
            start: clock::now(),
            fleets: scenario.fleets.iter().map(|fleet| fleet.name.clone()).collect(),
            // Who is there is of interest to faults that choose among devices only.
            devices: if cloud.faults().has(Kind::CertificateExpiry) {
                (0..).zip(devices).map(site).collect()
            } else {
                Vec::new()
            },
            state: Mutex::default(),
        });
        for fault in ACTING.iter().flat_map(|kind| stage.faults.of(*kind)) {
            node.spawn(act_at_times(stage.clone(), fault));
        }
        Ok(Acts(stage))
    }

    /// Puts everything right, the last first. Called when hardship is over.
    pub async fn put_all_right(&self) {
        loop {
            let Some(last) = self.0.lock().broken.keys().next_back().copied() else { return };
            self.0.put_right(last).await;
        }
    }

    /// Whether a fault explains this denial.
    pub fn explain(&self, denial: &Denial) -> bool {
        self.0.lock().excuses.iter().any(|excuse| excuse.covers(denial))
    }

    /// What did not go as acts were to go.
    pub fn complaints(&self) -> Vec<String> {
        self.0.lock().complaints.clone()
    }

    /// Whether nothing is under way and nothing is left to be put right.
    pub fn finished(&self) -> bool {
        let state = self.0.lock();
        state.under_way == 0 && state.broken.is_empty()
    }
}

/// Refuses faults that could strike nothing: of functions that are not there, of services without rates.
fn check(scenario: &Scenario) -> Result<(), RunError> {
    for (i, fault) in scenario.faults.iter().enumerate().filter(|(_, fault)| ACTING.contains(&fault.kind)) {
        if let Some(function) = fault.target.function.as_ref().filter(|name| !HANDLERS.contains(&name.as_str())) {
            let (key, expected) = (format!("fault[{i}].function"), format!("one of {}", HANDLERS.join(", ")));
            let problem = format!("is \"{function}\", and there is no such function");
            let hint = format!("leave it out to strike {DEFAULT_FUNCTION}");
            return Err(scenario.located_error(&key, problem, expected, hint).into());
        }
        let limits = Limits::aws_defaults();
        if fault.kind == Kind::QuotaLowered
            && let Some(service) = &fault.target.service
            && limits.scales_of(Some(service)).next().is_none()
        {
            let problem = format!("is \"{service}\", and no quota of such a service is known");
            let hint = "leave it out to lower those of all services";
            let key = format!("fault[{i}].service");
            return Err(scenario.located_error(&key, problem, "a service such as kinesis, s3 or lambda", hint).into());
        }
        if let Some(amount) = fault.amount.filter(|amount| !(0.0..=1.0).contains(amount)) {
            let problem = format!("is {amount}");
            let hint = "0.5 halves the quotas";
            let key = format!("fault[{i}].amount");
            return Err(scenario.located_error(&key, problem, "the part that is left, from 0 to 1", hint).into());
        }
    }
    Ok(())
}

/// Strikes at the beginning of the fault's window, and again after each `every`.
async fn act_at_times(stage: Arc<Stage>, fault: Arc<FaultSpec>) {
    let mut at = stage.start + fault.from;
    for nth in 0.. {
        clock::sleep_until(at).await;
        if stage.is_over(&fault) {
            return;
        }
        if let Some(number) = stage.strike(&fault, nth).await {
            clock::sleep_until(stage.ends(&fault)).await;
            stage.put_right(number).await;
        }
        let Some(every) = fault.every else { return };
        at = (at + every.max(TRY_AGAIN)).max(clock::now());
    }
}
