//! Asking the oracles: what Athena returns, what lies in the lake, and how that compares with what devices were told.

use std::collections::BTreeSet;

use record::LatencyMs;

use super::measure::Latencies;
use crate::fleet::Truth;
use crate::invariant::{AthenaReader, LakeReader, Ledger, QuarantineReader, QueryError, Tally, Violation};
use crate::world::time::Time;

/// The readers of one run.
pub(super) struct Oracles {
    athena: AthenaReader,
    lake: LakeReader,
    quarantine: QuarantineReader,
    table: &'static str,
}

/// What a look at everything showed.
#[derive(Debug)]
pub(super) struct Checked {
    /// Readings by Athena's rows.
    pub tally: Tally,
    /// Rows that `SELECT count(*)` answers.
    pub rows: u64,
    /// First deliveries out of order in the lake.
    pub out_of_order: u64,
    /// Publish to visible.
    pub latency: LatencyMs,
    /// When the last file with a first delivery was written; whole seconds, rounded down.
    pub last_written: Time,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl Oracles {
    pub fn new(athena: AthenaReader, lake: LakeReader, quarantine: QuarantineReader, table: &'static str) -> Self {
        Oracles { athena, lake, quarantine, table }
    }

    /// How many rows the table has, by a query whose answer is fetched with `GetQueryResults`.
    pub async fn rows(&self) -> Result<u64, QueryError> {
        self.athena.number(&format!("SELECT count(*) FROM {}", self.table)).await
    }

    /// Reads every row, through Athena and from the lake.
    pub async fn check(&self, truth: &Truth) -> Result<Checked, QueryError> {
        let rows = self.rows().await?;
        let tenants: BTreeSet<&str> = (0..truth.device_count())
            .map(|index| truth.device(u32::try_from(index).expect("devices are counted in 32 bits")).0)
            .collect();
        let mut ledger = Ledger::new(truth);
        for tenant in tenants {
            let each = |row: crate::invariant::Row<'_>| {
                ledger.row(row.tenant, row.device, row.seq, Some(row.ts_ms));
            };
            self.athena.rows(self.table, tenant, each).await?;
        }
        self.quarantine.rows(|tenant, device, seq| ledger.set_aside(tenant, device, seq)).await?;
        let lake = self.read_lake(truth).await?;
        let mut violations = ledger.content_violations();
        violations.extend(lake.violations);
        Ok(Checked { tally: ledger.tally(), rows, violations, ..lake })
    }

    async fn read_lake(&self, truth: &Truth) -> Result<Checked, QueryError> {
        let mut ledger = Ledger::new(truth);
        let mut latencies = Latencies::default();
        let mut last_written = Time::EPOCH;
        for file in self.lake.files().await? {
            let each = |tenant: &str, device: &str, seq: u64| {
                let first = ledger.row(tenant, device, seq, None);
                if let Some(reading) = first.and_then(|index| truth.reading(index, seq)) {
                    last_written = file.last_modified;
                    latencies.push(visible_after_ms(file.last_modified, reading.published_at));
                }
            };
            self.lake.rows(&file, each).await?;
        }
        let tally = ledger.tally();
        Ok(Checked {
            tally,
            rows: tally.delivered + tally.duplicates + tally.spurious,
            out_of_order: tally.out_of_order,
            latency: latencies.summary(),
            last_written,
            violations: ledger.order_violations(),
        })
    }
}

/// S3 tells when an object was written in whole seconds, rounded down; a reading is visible by the second after.
fn visible_after_ms(last_modified: Time, published: Time) -> u64 {
    let visible = Time::from_unix_secs(last_modified.unix_secs() + 1);
    u64::try_from(visible.since(published).as_millis()).unwrap_or(u64::MAX)
}
