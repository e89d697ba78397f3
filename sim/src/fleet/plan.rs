//! The devices that follow from a scenario's fleets: a value, known before anything runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use super::join::Claim;
use super::spec::{FleetSpec, ModelSpec, Network, Pace, Series, SessionKind, SyntheticSpec, TwinSpec, Version};
use super::twin::Twin;
use crate::world::seed::Seed;

/// Longest name of a thing, in bytes (AWS IoT API Reference, `CreateThing`).
const THING_NAME_BYTES_MAX: usize = 128;

/// One device, before it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct DevicePlan {
    /// Name of its fleet.
    pub fleet: Arc<str>,
    /// Name of the device, its MQTT client id and its thing: `{fleet}-00001`, for a replayed series
    /// `{fleet}-{series}`. Unique in the run.
    pub id: String,
    /// Tenant.
    pub tenant: String,
    /// Id of its certificate: 64 hexadecimal digits.
    pub certificate_id: String,
    /// Kind of device, as the device directory names it: the name of its model.
    pub kind: &'static str,
    /// (metric, unit), for the metrics whose unit the device directory declares.
    pub units: Vec<(String, String)>,
    /// Access network.
    pub network: Network,
    /// What becomes of its session when a connection ends.
    pub session: SessionKind,
    /// Mean time between drops of its connection; that of the network when it is absent.
    pub disconnects: Option<Duration>,
    /// The version of the payload that its first firmware writes.
    pub payload: Version,
    /// Whether it follows its shadow.
    pub shadow: bool,
    /// What it measures.
    pub model: ModelPlan,
    /// How long after the start of the run the device gets power, when that is not at once.
    pub power_after: Option<Duration>,
    /// How it joins, when its owner has not registered it.
    pub join: Option<JoinPlan>,
}

/// How a device joins by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinPlan {
    /// Id of the claim certificate that the devices of its fleet and tenant share.
    pub claim_id: String,
    /// What its installer gave it. Known once the platform is there.
    pub claim: Option<Claim>,
}

impl DevicePlan {
    /// What can name a device, for errors.
    pub const ID_EXPECTED: &str = "a device name: at most 128 letters, digits, ':', '_' and '-'";

    /// The name of a fleet's device: `suffix` is its number with five digits, or the name of its series.
    pub fn id_of(fleet: &str, suffix: &str) -> String {
        format!("{fleet}-{suffix}")
    }

    /// Whether a text can name a device: `[a-zA-Z0-9:_-]+`, as AWS IoT asks of the name of a thing.
    pub fn is_id(text: &str) -> bool {
        (1..=THING_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-".contains(&b))
    }

    /// Topic of its readings.
    pub fn topic(&self) -> String {
        format!("tenant/{}/device/{}/data", self.tenant, self.id)
    }

    /// Topic of commands to it.
    pub fn command_topic(&self) -> String {
        format!("tenant/{}/device/{}/command", self.tenant, self.id)
    }

    /// Whether it subscribes to its commands.
    pub fn hears_commands(&self) -> bool {
        self.shadow || self.session == SessionKind::Persistent
    }
}

/// What one device measures.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelPlan {
    /// Values from a formula.
    Synthetic(Arc<SyntheticSpec>),
    /// The rows of one series.
    Replay {
        /// When rows are played.
        pace: Pace,
        /// The rows.
        series: Arc<Series>,
    },
    /// Values from physics.
    Twin(Arc<TwinSpec>),
}

/// Fleets that cannot exist. Scenarios are refused before they come to this, with the place in their file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// Two devices would have the same name.
    DuplicateId {
        /// The name.
        id: String,
    },
    /// A device's name is not the name of a thing.
    InvalidId {
        /// The name.
        id: String,
    },
    /// A fleet has no tenant.
    NoTenant {
        /// The fleet.
        fleet: String,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::DuplicateId { id } => {
                write!(f, "two devices would be named {id:?}; give their fleets other names")
            }
            PlanError::InvalidId { id } => write!(
                f,
                "{id:?} cannot name a device; use at most {THING_NAME_BYTES_MAX} letters, digits, ':', '_' and '-'"
            ),
            PlanError::NoTenant { fleet } => write!(f, "fleet {fleet:?} has no tenant; name at least one"),
        }
    }
}

impl std::error::Error for PlanError {}

/// The devices of all fleets, in order. Their certificates follow from `seed`.
pub fn plan(specs: &[FleetSpec], seed: Seed) -> Result<Vec<DevicePlan>, PlanError> {
    let mut devices = Vec::new();
    let mut ids = BTreeSet::new();
    for spec in specs {
        if spec.tenants.is_empty() {
            return Err(PlanError::NoTenant { fleet: spec.name.clone() });
        }
        let fleet: Arc<str> = spec.name.as_str().into();
        for (n, (suffix, model, units)) in members(spec).into_iter().enumerate() {
            let id = DevicePlan::id_of(&spec.name, &suffix);
            if !DevicePlan::is_id(&id) {
                return Err(PlanError::InvalidId { id });
            }
            if !ids.insert(id.clone()) {
                return Err(PlanError::DuplicateId { id });
            }
            let tenant = spec.tenants[n % spec.tenants.len()].clone();
            let seed_of = device_seed(seed, devices.len());
            let part = |within: Duration| within.mul_f64(seed_of.child("power").rng().random_range(0.0..1.0));
            let join = spec.by_claim.then(|| JoinPlan { claim_id: claim_id(seed, &spec.name, &tenant), claim: None });
            devices.push(DevicePlan {
                fleet: fleet.clone(),
                id,
                tenant,
                certificate_id: certificate_id(seed_of),
                kind: spec.model.kind(),
                // The directory learns of a device that joins from its thing, which says nothing of units.
                units: if join.is_some() { Vec::new() } else { units },
                network: spec.network,
                session: spec.session,
                disconnects: spec.disconnects,
                payload: spec.payload,
                shadow: spec.shadow,
                model,
                power_after: spec.powers_within().map(part),
                join,
            });
        }
    }
    Ok(devices)
}

type Member = (String, ModelPlan, Vec<(String, String)>);

fn members(spec: &FleetSpec) -> Vec<Member> {
    match &spec.model {
        ModelSpec::Synthetic(synthetic) => {
            let shared = Arc::new(synthetic.clone());
            let declared = synthetic.metrics.iter().filter_map(|m| Some((m.name.clone(), m.unit.clone()?)));
            let units: Vec<_> = declared.collect();
            let member = |n: u32| (format!("{n:05}"), ModelPlan::Synthetic(shared.clone()), units.clone());
            (1..=spec.devices).map(member).collect()
        }
        ModelSpec::Twin(twin) => {
            let shared = Arc::new(twin.clone());
            let units = Twin::units(twin.kind, twin.power);
            let member = |n: u32| (format!("{n:05}"), ModelPlan::Twin(shared.clone()), units.clone());
            (1..=spec.devices).map(member).collect()
        }
        ModelSpec::Replay(replay) => {
            let model = |series: &Arc<Series>| ModelPlan::Replay { pace: replay.pace, series: series.clone() };
            replay.series.iter().map(|series| (series.name.clone(), model(series), Vec::new())).collect()
        }
    }
}

/// The branch of the tree of seeds that belongs to the `index`-th device of the run.
pub(super) fn device_seed(seed: Seed, index: usize) -> Seed {
    seed.nth("device", index as u64)
}

fn certificate_id(device: Seed) -> String {
    let mut bytes = [0; 32];
    device.child("certificate").rng().fill(&mut bytes);
    hex::encode(bytes)
}

/// The claim certificate of a fleet's devices of one tenant.
fn claim_id(seed: Seed, fleet: &str, tenant: &str) -> String {
    certificate_id(seed.child("claim").child(fleet).child(tenant))
}

#[cfg(test)]
mod tests {
    use super::super::spec::{MetricSpec, ReplaySpec, SeriesRow};
    use super::*;

    fn metric(name: &str, unit: Option<&str>) -> MetricSpec {
        MetricSpec {
            name: name.to_owned(),
            unit: unit.map(str::to_owned),
            baseline: 1.0,
            noise: 0.0,
            season_amplitude: 0.0,
            season_period: Duration::from_secs(60),
            drift_per_day: 0.0,
            spike_probability: 0.0,
            spike: 0.0,
        }
    }

    fn pumps(name: &str, devices: u32, tenants: &[&str]) -> FleetSpec {
        FleetSpec {
            name: name.to_owned(),
            tenants: tenants.iter().map(|t| (*t).to_owned()).collect(),
            devices,
            network: Network::Lte,
            session: SessionKind::Clean,
            disconnects: None,
            shadow: false,
            by_claim: false,
            payload: Version::One,
            joins_within: None,
            model: ModelSpec::Synthetic(SyntheticSpec {
                publish_every: Duration::from_secs(10),
                metrics: vec![metric("temp", Some("celsius")), metric("count", None)],
            }),
        }
    }

    fn recorded(name: &str, series: &[&str]) -> FleetSpec {
        let row = SeriesRow { recorded_at: "2014-02-14 14:30:00".into(), recorded_us: 0, value: 1.0 };
        let series = series.iter().map(|s| Arc::new(Series { name: (*s).to_owned(), rows: vec![row.clone()] }));
        FleetSpec {
            name: name.to_owned(),
            tenants: vec!["nab".to_owned()],
            devices: 0,
            network: Network::Ethernet,
            session: SessionKind::Clean,
            disconnects: None,
            shadow: false,
            by_claim: false,
            payload: Version::One,
            joins_within: None,
            model: ModelSpec::Replay(ReplaySpec { pace: Pace::Recorded, series: series.collect() }),
        }
    }

    #[test]
    fn devices_are_numbered_dealt_to_tenants_and_certified() {
        let fleets = [pumps("pump", 3, &["acme", "globex"]), recorded("nab", &["speed_6005", "rds_cpu"])];
        let devices = plan(&fleets, Seed::root(7)).expect("valid fleets");
        let named: Vec<(&str, &str, &str)> =
            devices.iter().map(|d| (d.id.as_str(), d.tenant.as_str(), d.kind)).collect();
        assert_eq!(
            named,
            [
                ("pump-00001", "acme", "synthetic"),
                ("pump-00002", "globex", "synthetic"),
                ("pump-00003", "acme", "synthetic"),
                ("nab-speed_6005", "nab", "replay"),
                ("nab-rds_cpu", "nab", "replay"),
            ]
        );
        assert_eq!(devices[0].units, [("temp".to_owned(), "celsius".to_owned())]);
        assert_eq!(devices[3].units, []);
        assert_eq!([&*devices[2].fleet, &*devices[3].fleet], ["pump", "nab"]);
        assert_eq!(devices[1].topic(), "tenant/globex/device/pump-00002/data");
        let certificates: BTreeSet<&str> = devices.iter().map(|d| d.certificate_id.as_str()).collect();
        assert_eq!(certificates.len(), 5);
        assert!(certificates.iter().all(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn a_plan_follows_from_its_seed() {
        let fleets = [pumps("pump", 2, &["acme"])];
        assert_eq!(plan(&fleets, Seed::root(7)), plan(&fleets, Seed::root(7)));
        assert_ne!(plan(&fleets, Seed::root(7)), plan(&fleets, Seed::root(8)));
    }

    #[test]
    fn fleets_that_cannot_exist_are_refused_by_name() {
        let long = "x".repeat(125);
        let cases = [
            (vec![pumps("a", 1, &["t"]), recorded("a", &["00001"])], "two devices would be named \"a-00001\""),
            (vec![recorded("a", &["my series"])], "\"a-my series\" cannot name a device"),
            (vec![pumps(&long, 1, &["t"])], "cannot name a device; use at most 128 letters"),
            (vec![pumps("a", 1, &[])], "fleet \"a\" has no tenant"),
        ];
        for (fleets, expected) in cases {
            let error = plan(&fleets, Seed::root(1)).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn devices_that_join_share_a_claim_by_tenant_and_get_power_within_their_window() {
        let mut fleet = pumps("p", 60, &["acme", "globex"]);
        fleet.by_claim = true;
        let of = |fleet: &FleetSpec| plan(std::slice::from_ref(fleet), Seed::root(1)).unwrap();
        let claims: BTreeSet<_> =
            of(&fleet).iter().map(|d| (d.tenant.clone(), d.join.as_ref().unwrap().claim_id.clone())).collect();
        let distinct: BTreeSet<_> = claims.iter().map(|(_, claim)| claim).collect();
        assert_eq!((claims.len(), distinct.len()), (2, 2), "{claims:?}");
        for (within, least_s, most_s) in [(None, 600, 1_200), (Some(Duration::from_secs(10)), 5, 10)] {
            fleet.joins_within = within;
            let latest = of(&fleet).iter().filter_map(|device| device.power_after).max().unwrap().as_secs();
            assert!((least_s..=most_s).contains(&latest), "{within:?}: {latest} s");
        }
        assert!(of(&fleet).iter().all(|device| device.units.is_empty()), "nobody declares units of theirs");
        let owned = of(&pumps("p", 2, &["acme"]));
        assert!(owned.iter().all(|device| device.join.is_none() && device.power_after.is_none()));
    }
}
