//! What devices are and have heard at the end of a run, compared with what was asked of them.

use aws_types::SdkConfig;
use record::Summary;

use super::world::World;
use crate::cloud::core::Limits;
use crate::fleet::Truth;
use crate::invariant::{Convergence, QueryError, SessionLimits, Sessions, ShadowReader, Shadowed, Violation};
use std::time::Duration;

/// Name of AWS IoT Core in the table of quotas.
const IOT_CORE: &str = "iot-core";

/// The oracles of shadows and sessions.
pub(super) struct DeviceOracles {
    shadows: ShadowReader,
    limits: SessionLimits,
}

/// What they saw.
#[derive(Debug, Default)]
pub(super) struct Devices {
    convergence: Convergence,
    sessions: Sessions,
}

impl DeviceOracles {
    /// Oracles of the account that `config` calls.
    pub fn new(config: &SdkConfig) -> Self {
        let region = config.region().map_or("us-east-1", |region| region.as_ref());
        let quotas = Limits::for_region(region);
        let limits = SessionLimits {
            expiry: Duration::from_secs(quotas.get(IOT_CORE, "persistent_session_expiry_default")),
            queued_per_second: quotas.get(IOT_CORE, "queued_messages_per_account"),
        };
        DeviceOracles { shadows: ShadowReader::new(config), limits }
    }

    /// Looks at the shadows of these devices, and at all commands.
    pub async fn look(&self, truth: &Truth, shadowed: &[Shadowed]) -> Result<Devices, QueryError> {
        let convergence = self.shadows.look(truth, shadowed).await?;
        Ok(Devices { convergence, sessions: Sessions::of(truth.commands(), self.limits) })
    }
}

impl Devices {
    /// Shadows that are not as they should be, and commands that have not arrived.
    pub fn owed(&self) -> u64 {
        (self.convergence.differences.len() + self.sessions.missing.len()) as u64
    }

    /// Broken promises.
    pub fn violations(&self, truth: &Truth) -> Vec<Violation> {
        self.convergence.violation(truth).into_iter().chain(self.sessions.violations(truth)).collect()
    }

    /// What a run waits for.
    pub fn why_unsettled(&self) -> Option<String> {
        let (shadows, commands) = (self.convergence.differences.len(), self.sessions.missing.len());
        if shadows > 0 {
            return Some(format!("{shadows} shadows were not as they should be"));
        }
        (commands > 0).then(|| format!("{commands} accepted commands had not reached their devices"))
    }
}

impl World {
    /// The devices with shadows, and what the operator desires of them.
    pub(super) fn shadowed(&self) -> Vec<Shadowed> {
        let mut desired = self.operator.desired();
        let own = self.fleet.own_states().into_iter();
        own.map(|(device, own)| Shadowed { device, own, desired: desired.remove(&device).unwrap_or_default() })
            .collect()
    }

    /// Writes figures of devices into a summary.
    pub(super) fn count_devices(&self, summary: &mut Summary, devices: &Devices) {
        let truth = self.fleet.truth();
        let (accepted, received, twice) = truth.lock().expect("one thread runs the simulation").commands().counts();
        let outage_ms = u64::try_from(self.fleet.longest_outage().as_millis()).unwrap_or(u64::MAX);
        for (name, count) in [
            ("operator:commands_accepted", accepted),
            ("operator:calls_refused", self.operator.refused()),
            ("operator:devices_desired", self.operator.desired().len() as u64),
            ("fleet:commands_received", received),
            ("fleet:commands_received_again", twice),
            ("fleet:longest_outage_ms", outage_ms),
            ("oracle:commands_excused", devices.sessions.excused),
            ("oracle:shadows_converged", devices.convergence.converged),
        ] {
            if count > 0 {
                summary.counters.insert(name.to_owned(), count);
            }
        }
    }
}
