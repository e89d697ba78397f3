//! The look at the alert topic: what was published, and what the run promises about it.

use std::time::Duration;

use platform::Settings;
use platform::transform::anomaly_detection::HANDLER;

use super::check::Left;
use crate::fault::Faults;
use crate::fleet::Truth;
use crate::invariant::{ALERTS_TOLD, Heard, Message, Promised, Told, Violation, compare};
use crate::scenario::Scenario;
use crate::seam::{Cloud, Logs};
use crate::world::clock;
use crate::world::time::Time;

/// Up to so many devices no shard is so full that it forgets when it told of one.
const DEVICES_MAX: usize = 5_000;

/// Who looks at the topic.
pub(super) struct AlertOracle {
    cloud: Cloud,
    topic: String,
    logs: Logs,
    /// How long a device and kind is held back, when that is the same all the time.
    hold: Option<Duration>,
    /// Whether nothing goes wrong in the whole run.
    unharmed: bool,
    asked: bool,
}

/// What the look came to.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// Alerts that were told.
    pub told: u64,
    /// Alerts that must come, and did not yet.
    pub owed: u64,
    /// Alerts that did not come, and perhaps cannot.
    pub not_judged: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl AlertOracle {
    /// Of a run with these settings at its start and after its changes.
    pub fn new(
        (cloud, topic, logs): (&Cloud, &str, &Logs),
        scenario: &Scenario,
        (settings, after_changes): (&Settings, &[Settings]),
    ) -> Self {
        let of = |settings: &Settings| Duration::from_secs(settings.anomaly_detection.alert_every_s.into());
        let hold = Some(of(settings)).filter(|hold| after_changes.iter().all(|settings| of(settings) == *hold));
        AlertOracle {
            cloud: cloud.clone(),
            topic: topic.to_owned(),
            logs: logs.clone(),
            hold,
            unharmed: scenario.faults.is_empty() && scenario.changes.is_empty(),
            asked: scenario.expect.invariants.iter().any(|wanted| wanted == ALERTS_TOLD.id),
        }
    }

    /// What was published so far. An alert's anomaly is in the lake before, so this is asked first.
    pub fn hear(&self) -> Heard {
        let mut heard = Heard::default();
        self.cloud.look(|account| {
            let Some(topic) = account.services.sns.topic(&self.topic) else { return };
            for published in topic.messages().kept() {
                let attributes = published.attributes.iter().map(|(name, of)| (&**name, &*of.value)).collect();
                heard.take(&Message { at: published.at, body: &published.message, attributes });
            }
            heard.more = topic.messages().more();
        });
        heard
    }

    /// Compares it with the anomalies of the lake. Hardship is over since `peace`, if it is.
    pub fn look(
        &self,
        (heard, lake): (&Heard, &Told),
        (truth, left, faults): (&Truth, &Left, &Faults),
        peace: Option<Time>,
    ) -> Alerts {
        let is_known = truth.device_count() <= DEVICES_MAX && !self.gave_up(left, faults);
        let promised = Promised {
            hold: self.hold.filter(|_| is_known),
            well_since: if self.unharmed { Time::EPOCH } else { peace.unwrap_or(Time::MAX) },
            dropped: self.logs.alerts_dropped(),
            now: clock::now(),
        };
        let alerted = compare(lake, heard, promised);
        let mut violations = heard.violations(lake);
        violations.extend(alerted.violations);
        let owed = if self.asked { alerted.owed } else { 0 };
        Alerts { told: heard.count(), owed, not_judged: alerted.not_judged, violations }
    }

    /// Whether detection gave a batch up that was not poison: an attempt at it that goes on may still bring its anomalies into
    /// the lake when the shard's children do not know them any more.
    fn gave_up(&self, left: &Left, faults: &Faults) -> bool {
        let poison = faults.poison();
        let by_itself = left.given_up.iter().filter(|given_up| given_up.is_of(HANDLER)).any(|given_up| {
            let id = given_up.identity.as_ref();
            !id.is_some_and(|id| poison.is(HANDLER, (&id.tenant_id, &id.device_id, id.seq), &given_up.data))
        });
        let unkept = ("lambda", "DestinationDeliveryFailures");
        by_itself || self.cloud.look(|account| account.meter().counters().get(&unkept).is_some_and(|count| *count > 0))
    }
}
