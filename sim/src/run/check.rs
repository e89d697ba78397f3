//! Asking the oracles: what Athena returns, what lies in the lake, and how that compares with what devices were told.

use std::time::Duration;

use platform::transform::{anomaly_detection, enrichment};
use record::{Detection, LatencyMs, ReadingId};

use super::alerts::{AlertOracle, Alerts};
use super::devices::{DeviceOracles, Devices};
use super::gold::{self, GoldOracle};
use super::measure::Latencies;
use crate::fault::{Faults, Opportunity};
use crate::fleet::Truth;
use crate::invariant::{
    AnomalyReader, Arrived, AthenaReader, Curated, DeliveryErrorReader, GivenUp, GivenUpReader, Hop, INTEGRITY,
    Isolation, LakeReader, Ledger, Metrics, QuarantineReader, QueryError, RawReader, Refused, Row, RuleError,
    RuleErrorReader, Shadowed, Strays, Tally, Told, Undelivered, Violation, Whose, judge,
};
use crate::seam::Logs;
use crate::world::clock;
use crate::world::spotlight::Stage;
use crate::world::time::Time;
use crate::world::trace::Trace;

/// Rows that one query of the table should answer with: what a result holds in memory is bounded by it.
const ROWS_PER_QUERY: u64 = 250_000;

/// The readers of one run.
pub(super) struct Oracles {
    pub(super) athena: AthenaReader,
    pub(super) lake: LakeReader,
    pub(super) quarantine: QuarantineReader,
    pub(super) rule_errors: RuleErrorReader,
    pub(super) given_up: GivenUpReader,
    pub(super) delivery_errors: DeliveryErrorReader,
    pub(super) anomalies: AnomalyReader,
    pub(super) alerts: AlertOracle,
    /// When the run's platform curates.
    pub(super) gold: Option<GoldOracle>,
    pub(super) devices: DeviceOracles,
    pub(super) raw: RawReader,
    pub(super) logs: Logs,
    pub(super) table: &'static str,
    /// Whether every plain outlier must be told.
    pub(super) outliers_owed: bool,
    pub(super) trace: Trace,
    /// When devices stop publishing.
    pub(super) hardship_end: Time,
    /// When everything was put right, if it is.
    pub(super) peace_begin: Option<Time>,
}

/// Readings of a run up to which every record of the raw stream is looked at: beyond it, those that came to the lake.
const RAW_READ_MAX: u64 = 500_000;

/// The call of the rule's action.
const RULES_ACTION: Opportunity<'static> = Opportunity {
    service: "kinesis",
    operation: "PutRecord",
    function: "",
    fleet: "",
    stream: "raw",
    index: 0,
    subject: "",
};

/// A rule tries an action for no longer than this before it gives a message up.
const RULE_TRIES: Duration = Duration::from_secs(180);

/// S3 tells when an object was written in whole seconds, rounded down.
const ROUNDING: Duration = Duration::from_secs(1);

/// What a look at everything showed.
#[derive(Debug)]
pub(super) struct Checked {
    /// Readings by Athena's rows. `corrupt` and `spurious` count what either reader saw, `out_of_order` what the lake's.
    pub tally: Tally,
    /// Rows that `SELECT count(*)` answers.
    pub rows: u64,
    /// Publish to visible.
    pub latency: LatencyMs,
    /// When the last file with a first delivery was written; whole seconds, rounded down.
    pub last_written: Time,
    /// Hour of the last file.
    last_hour: Option<Time>,
    /// What the curated table came to, when the run's platform curates.
    pub curated: Option<Curated>,
    /// Records that functions gave up.
    pub given_up: u64,
    /// Messages that are no readings: (in the quarantine, owed to it and not there).
    pub strays: (u64, u64),
    /// What intruders tried.
    pub intrusions: u64,
    /// Anomalies that the platform told.
    pub anomalies: u64,
    /// What the alert topic came to.
    pub alerts: Alerts,
    /// Outliers that are owed, and were not told.
    pub untold: u64,
    /// How well anomalies told what devices suffered.
    pub detection: Option<Detection>,
    /// What devices are and have heard.
    pub devices: Devices,
    /// The first reading that is owed and has not been seen.
    pub first_missing: Option<ReadingId>,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl Checked {
    /// What is owed and is not there yet: readings in either table, messages in the quarantine, anomalies, alerts, and what
    /// devices are and have heard.
    pub fn owed(&self) -> u64 {
        self.tally.missing + self.strays.1 + self.beside_rows()
    }

    /// The part of it that brings no row of the processed table.
    pub fn beside_rows(&self) -> u64 {
        let in_gold = self.curated.as_ref().map_or(0, |curated| curated.missing);
        self.untold + self.alerts.owed + self.devices.owed() + in_gold
    }
}

impl Oracles {
    /// Tells that a reader of the lake sees this reading.
    pub(super) fn sees(
        &self,
        (tenant, device, seq): (&str, &str, Option<u64>),
        place: &str,
        text: impl FnOnce() -> String,
    ) {
        if seq.is_some_and(|seq| self.trace.is_on(tenant, device, seq)) {
            self.trace.hop(clock::now(), Stage::Table, place, text);
        }
    }

    /// How many rows the table has, by a query whose answer is fetched with `GetQueryResults`.
    pub async fn rows(&self) -> Result<u64, QueryError> {
        self.athena.number(&format!("SELECT count(*) FROM {}", self.table)).await
    }

    /// Reads every row, through Athena and from the lake, and what was set aside on the way.
    pub async fn check(&self, truth: &Truth, faults: &Faults, shadowed: &[Shadowed]) -> Result<Checked, QueryError> {
        let before = self.rows().await?;
        let mut isolation = Isolation::new(truth);
        let mut ledger = Ledger::new(truth);
        let conditions = conditions(truth);
        let read = self.read_table(&conditions, &mut ledger, &mut isolation).await?;
        let mut strays = self.read_set_aside(truth, &mut ledger, &mut isolation).await?;
        let left = self.read_left(&mut isolation).await?;
        left.tell(&mut ledger, faults);
        left.explained(faults).for_each(|message| strays.left_at_the_rule(message));
        let after = self.rows().await?;
        let mut violations = ledger.content_violations();
        violations.extend(strays.violations());
        if !(before..=after).contains(&read) {
            let message = format!("SELECT count(*) counts {before} to {after} rows, and reading them gave {read}");
            violations.push(Violation { invariant: INTEGRITY, message, reading: None });
        }
        let heard = self.alerts.hear();
        let mut told = self.anomalies.told().await?;
        let lake = self.read_lake((truth, &left, faults), &mut told, &mut isolation).await?;
        for violation in lake.violations {
            if !violations.iter().any(|known| known.invariant == violation.invariant) {
                violations.push(violation);
            }
        }
        let curated = self.read_gold((truth, &ledger), &conditions, lake.last_hour, &mut isolation).await?;
        violations.extend(curated.iter().flat_map(|curated| curated.violations.clone()));
        told.whose().for_each(|(tenant, device, seq)| isolation.seen(Hop::Object, tenant, device, Some(seq)));
        self.read_raw(truth, &mut isolation).await?;
        violations.extend(isolation.violations());
        let poison = faults.poison();
        let arrived = |device: u32, seq: u64| {
            let (tenant, id) = truth.device(device);
            ledger.has_seen(device, seq) && !poison.has(anomaly_detection::HANDLER, (tenant, id, seq))
        };
        let owed = self.outliers_owed.then_some(&arrived as Arrived<'_>);
        let (of_anomalies, untold) = told.violations(truth, owed);
        violations.extend(of_anomalies);
        let alerts = self.alerts.look((&heard, &told), (truth, &left, faults), self.peace_begin);
        violations.extend(alerts.violations.iter().cloned());
        let detection = judge(truth, told.each(), self.hardship_end);
        let devices = self.devices.look(truth, shadowed).await?;
        violations.extend(devices.violations(truth));
        // Once: it walks over every acknowledged reading.
        let tally = ledger.tally();
        let tally = Tally {
            spurious: tally.spurious.max(lake.tally.spurious),
            corrupt: tally.corrupt.max(lake.tally.corrupt),
            out_of_order: lake.tally.out_of_order,
            ..tally
        };
        Ok(Checked {
            tally,
            rows: after,
            latency: lake.latency,
            last_written: lake.last_written,
            last_hour: lake.last_hour,
            curated,
            given_up: left.given_up.len() as u64,
            strays: (strays.kept(), strays.missing()),
            intrusions: truth.intrusions().tried,
            anomalies: told.count() as u64,
            alerts,
            untold,
            detection,
            devices,
            first_missing: ledger.first_missing(),
            violations,
        })
    }

    /// Reads what the platform refused: readings go to the ledger, and what is none is answered.
    async fn read_set_aside<'t>(
        &self,
        truth: &'t Truth,
        ledger: &mut Ledger<'t>,
        isolation: &mut Isolation<'_>,
    ) -> Result<Strays<'t>, QueryError> {
        let mut strays = Strays::new(truth);
        let each = |refused: &Refused| {
            let is_reading = refused
                .identity()
                .is_some_and(|id| ledger.set_aside(&id.tenant_id, &id.device_id, id.seq, &refused.reason));
            if let Some(id) = refused.identity() {
                isolation.seen(Hop::Object, &id.tenant_id, &id.device_id, Some(id.seq));
                let id = (&*id.tenant_id, &*id.device_id, Some(id.seq));
                self.sees(id, "quarantine", || format!("holds it, refused: {}", refused.reason));
            }
            if !is_reading {
                strays.found(refused);
            }
        };
        self.quarantine.rows(each).await?;
        Ok(strays)
    }

    /// Looks at every record of the raw stream, where that is not too much, and at what functions logged.
    async fn read_raw(&self, truth: &Truth, isolation: &mut Isolation<'_>) -> Result<(), QueryError> {
        self.logs.seen().1.iter().for_each(|line| isolation.logged(line));
        if truth.published_count() > RAW_READ_MAX {
            return Ok(());
        }
        let each = |whose: &Whose| {
            isolation.seen(Hop::Record, &whose.tenant_id, &whose.device_id, whose.seq.as_u64());
        };
        self.raw.rows(each).await
    }

    /// Reads the processed table through Athena. Answers how many rows it has.
    async fn read_table(
        &self,
        conditions: &[String],
        ledger: &mut Ledger<'_>,
        isolation: &mut Isolation<'_>,
    ) -> Result<u64, QueryError> {
        let mut read = 0;
        for condition in conditions {
            let each = |row: Row<'_>| {
                read += 1;
                let strangers = ledger.strangers();
                ledger.row(&row);
                if ledger.strangers() > strangers {
                    isolation.seen(Hop::QueryResult, row.tenant, row.device, row.seq);
                }
                self.sees((row.tenant, row.device, row.seq), self.table, || "Athena answers with its row".to_owned());
            };
            self.athena.rows(self.table, condition, each).await?;
        }
        Ok(read)
    }

    /// Reads what failed for good.
    async fn read_left(&self, isolation: &mut Isolation<'_>) -> Result<Left, QueryError> {
        let left = Left {
            at_the_rule: self.rule_errors.read().await?,
            given_up: self.given_up.read().await?,
            undelivered: self.delivery_errors.read().await?,
        };
        for error in left.at_the_rule.iter().filter(|error| error.seq.is_some()) {
            isolation.seen(Hop::Object, &error.tenant, &error.device, error.seq);
        }
        for undelivered in &left.undelivered {
            let Some(id) = &undelivered.identity else { continue };
            isolation.seen(Hop::Object, &id.tenant_id, &id.device_id, Some(id.seq));
            let id = (&*id.tenant_id, &*id.device_id, Some(id.seq));
            self.sees(id, "delivery errors", || format!("hold it: {}", undelivered.reason));
        }
        for given_up in &left.given_up {
            let Some(id) = &given_up.identity else { continue };
            isolation.seen(Hop::Object, &id.tenant_id, &id.device_id, Some(id.seq));
            let id = (&*id.tenant_id, &*id.device_id, Some(id.seq));
            let text = || format!("holds it, given up by {}: {}", given_up.function, given_up.condition);
            self.sees(id, "failure destination", text);
        }
        Ok(left)
    }

    async fn read_lake(
        &self,
        (truth, left, faults): (&Truth, &Left, &Faults),
        told: &mut Told,
        isolation: &mut Isolation<'_>,
    ) -> Result<Checked, QueryError> {
        let mut ledger = Ledger::new(truth);
        left.tell(&mut ledger, faults);
        let mut latencies = Latencies::default();
        let mut last_written = Time::EPOCH;
        let mut last_hour = None;
        let mut rows = 0;
        let mut second = None;
        for file in self.lake.files().await? {
            let of_this = Some(file.last_modified.unix_secs());
            ledger.begin_file(second.replace(file.last_modified.unix_secs()) != of_this);
            let each = |row: Row<'_>, metrics: Metrics<'_>| {
                rows += 1;
                told.compare(&row, &metrics);
                let strangers = ledger.strangers();
                let first = ledger.row(&row);
                if ledger.strangers() > strangers {
                    isolation.seen(Hop::Row, row.tenant, row.device, row.seq);
                }
                self.sees((row.tenant, row.device, row.seq), &file.key, || {
                    format!("holds its row; LastModified {}", file.last_modified.rfc3339())
                });
                if let Some(reading) = first.and_then(|(index, seq)| truth.reading(index, seq)) {
                    last_written = file.last_modified;
                    latencies.push(visible_after_ms(file.last_modified, reading.published_at));
                }
            };
            self.lake.rows(&file, each).await?;
            last_hour = last_hour.max(gold::hour_of(&file.key));
        }
        let mut violations = ledger.content_violations();
        violations.extend(ledger.order_violations());
        Ok(Checked {
            tally: ledger.tally(),
            rows,
            latency: latencies.summary(),
            last_written,
            last_hour,
            curated: None,
            given_up: 0,
            strays: (0, 0),
            intrusions: 0,
            anomalies: 0,
            alerts: Alerts::default(),
            untold: 0,
            detection: None,
            devices: Devices::default(),
            first_missing: None,
            violations,
        })
    }
}

/// Readings that lie elsewhere, because something failed for good.
pub(super) struct Left {
    /// What the rule's error action stored.
    at_the_rule: Vec<RuleError>,
    /// What functions gave up.
    pub given_up: Vec<GivenUp>,
    /// What the delivery to the table could not deliver.
    undelivered: Vec<Undelivered>,
}

impl Left {
    /// The messages that the rule gave up because of a fault.
    fn explained(&self, faults: &Faults) -> impl Iterator<Item = &RuleError> {
        self.at_the_rule.iter().filter(|message| {
            let from = Time::from_unix_secs(message.stored.unix_secs().saturating_sub(RULE_TRIES.as_secs()));
            faults.explain(&RULES_ACTION, from, message.stored + ROUNDING)
        })
    }

    /// Tells a ledger of it.
    fn tell(&self, ledger: &mut Ledger<'_>, faults: &Faults) {
        for error in &self.at_the_rule {
            let until = error.stored + ROUNDING;
            ledger.rule_error(error, |reading| faults.explain(&RULES_ACTION, reading.published_at, until));
        }
        for Undelivered { identity, reason } in &self.undelivered {
            let Some(id) = identity else { continue };
            ledger.undelivered((&id.tenant_id, &id.device_id, id.seq), reason);
        }
        let poison = faults.poison();
        for given_up in &self.given_up {
            // What detection gives up is in the table all the same. That it was not judged breaks no promise: an outage that
            // outlasts the attempts of its mapping explains it.
            let (Some(id), true) = (&given_up.identity, given_up.is_of(enrichment::HANDLER)) else { continue };
            let id = (&*id.tenant_id, &*id.device_id, id.seq);
            ledger.given_up(id, &given_up.condition, poison.is(enrichment::HANDLER, id, &given_up.data));
        }
    }
}

/// Conditions that cover every row exactly once, each met by a bounded number of rows. Sequence numbers grow with time,
/// so each query touches a few files.
fn conditions(truth: &Truth) -> Vec<String> {
    let devices = truth.device_count().max(1) as u64;
    let step = (ROWS_PER_QUERY / devices).max(1);
    let last = truth.longest();
    let mut conditions: Vec<String> = (1..=last)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .map(|from| format!("seq BETWEEN {from} AND {}", (from + step - 1).min(last)))
        .collect();
    conditions.push(format!("seq < 1 OR seq > {last} OR seq IS NULL"));
    conditions
}

/// S3 tells when an object was written in whole seconds, rounded down; a reading is visible by the second after.
fn visible_after_ms(last_modified: Time, published: Time) -> u64 {
    let visible = Time::from_unix_secs(last_modified.unix_secs() + 1);
    u64::try_from(visible.since(published).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Content;

    fn truth(devices: u64, readings: u64) -> Truth {
        let mut truth = Truth::new(Time::EPOCH);
        for n in 0..devices {
            let device = truth.add_device("acme", &format!("pump-{n}"));
            for seq in 1..=readings {
                truth.published(device, seq, Time::EPOCH, 0, Content::canonical(None, []));
            }
        }
        truth
    }

    #[test]
    fn conditions_cover_every_sequence_number_once() {
        assert_eq!(conditions(&truth(2, 0)), ["seq < 1 OR seq > 0 OR seq IS NULL"]);
        assert_eq!(conditions(&truth(2, 9)), ["seq BETWEEN 1 AND 9", "seq < 1 OR seq > 9 OR seq IS NULL"]);
        let many = conditions(&truth(100_000, 5));
        let expected = ["seq BETWEEN 1 AND 2", "seq BETWEEN 3 AND 4", "seq BETWEEN 5 AND 5"];
        assert_eq!(many[..3], expected);
        assert_eq!(many.len(), 4);
    }
}
