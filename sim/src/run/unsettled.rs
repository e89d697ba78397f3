//! What a run that has not settled was waiting for, and where it is stuck.

use record::ReadingId;

use super::check::Checked;
use super::world::World;
use crate::cloud::account::Account;
use crate::fleet::Stats;
use crate::world::time::Time;

impl World {
    /// What a run that has not settled was waiting for.
    pub(super) fn why_unsettled(&self, counts: &Stats, checked: &Checked) -> String {
        if !self.deployments.finished() {
            return format!("{} deployments had not ended", self.deployments.left());
        }
        if !self.acts.finished() {
            return "what a fault did to the account was not put right".to_owned();
        }
        if counts.queued > 0 {
            return format!("{} readings still wait in devices for their PUBACK", counts.queued);
        }
        if checked.tally.missing > 0 {
            return format!("{} owed readings are not in the lake; {}", checked.tally.missing, self.where_stuck());
        }
        if checked.strays.1 > 0 {
            return format!("{} messages that are no readings are not in the quarantine", checked.strays.1);
        }
        if checked.untold > 0 {
            return format!("{} plain outliers were not told", checked.untold);
        }
        if checked.alerts.owed > 0 {
            return format!("{} alerts were not told", checked.alerts.owed);
        }
        if let Some(missing) = checked.curated.as_ref().map(|curated| curated.missing).filter(|missing| *missing > 0) {
            return format!("{missing} readings of the processed table were not in the curated one");
        }
        if let Some(why) = checked.devices.why_unsettled() {
            return why;
        }
        if !self.fleet.shadows_settled() {
            return "devices still wait for answers of their shadows".to_owned();
        }
        let after = |time: Time| time.since(self.scenario.start).as_secs();
        format!(
            "the last owed readings reached the lake {} s after the start, and peace had ended after {} s",
            after(checked.last_written),
            after(self.peace_end)
        )
    }

    /// Where records wait inside the account.
    fn where_stuck(&self) -> String {
        let waiting = self.cloud.look(Account::waiting);
        if waiting.is_empty() {
            return "no record waits anywhere in the account".to_owned();
        }
        let places: Vec<String> = waiting.iter().map(|w| format!("{} ({} records)", w.place, w.records)).collect();
        format!("records wait here: {}", places.join(", "))
    }

    /// The first reading that such a run was waiting for.
    pub(super) fn awaited(&self, counts: &Stats, checked: &Checked) -> Option<ReadingId> {
        if counts.queued == 0 {
            return checked.first_missing.clone();
        }
        let truth = self.fleet.truth();
        let truth = truth.lock().expect("one thread runs the simulation");
        let (index, seq) = truth.first_unacknowledged()?;
        let (tenant, device) = truth.device(index);
        Some(ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq })
    }
}
