//! The statement of an hour, in Athena's SQL.

use super::schedule::LOOK_BACK_H;
use super::schema::{CURATED_COLUMNS, CURATED_TABLE};
use crate::calendar::{HOUR_S, datehour};
use crate::store::data_lake::PROCESSED_TABLE;

/// Inserts the readings of an hour that are not curated yet, each once: the copy that arrived first. `hour` is its
/// beginning, in seconds since the Unix epoch. Readings of `window_h` hours before are looked at for duplicates: as long
/// as a stream keeps readings, and so may deliver them again.
pub fn curate(hour: i64, window_h: u32) -> String {
    let columns = CURATED_COLUMNS.map(|column| column.name).join(", ");
    let this = datehour(hour);
    // In the curated table an hour is written without slashes.
    let curated = |hour| datehour(hour).replace('/', "-");
    let first = hour - i64::from(window_h) * HOUR_S;
    let (written, from, to) = (curated(hour), curated(first), curated(hour + (LOOK_BACK_H - 1) * HOUR_S));
    format!(
        "INSERT INTO {CURATED_TABLE} ({columns}, datehour)\n\
         SELECT {columns}, '{written}' AS datehour\n\
         FROM (\n  \
           SELECT {columns},\n    \
             row_number() OVER (PARTITION BY tenant_id, device_id, seq ORDER BY received_at, ts) AS copy_number\n  \
           FROM {PROCESSED_TABLE}\n  \
           WHERE datehour = '{this}'\n\
         ) AS reading\n\
         WHERE copy_number = 1\n  \
           AND NOT EXISTS (\n    \
             SELECT 1\n    \
             FROM {CURATED_TABLE} AS kept\n    \
             WHERE kept.datehour >= '{from}' AND kept.datehour <= '{to}'\n      \
               AND kept.tenant_id = reading.tenant_id\n      \
               AND kept.device_id = reading.device_id\n      \
               AND kept.seq = reading.seq\n  \
           )"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_reads_one_hour_and_looks_for_duplicates_around_it() {
        insta::assert_snapshot!(curate(1_772_323_200, 24), @"
        INSERT INTO curated (tenant_id, device_id, device_type, seq, ts, received_at, event_at, clock_skew_ms, recorded_at, metrics, flags, datehour)
        SELECT tenant_id, device_id, device_type, seq, ts, received_at, event_at, clock_skew_ms, recorded_at, metrics, flags, '2026-03-01-00' AS datehour
        FROM (
          SELECT tenant_id, device_id, device_type, seq, ts, received_at, event_at, clock_skew_ms, recorded_at, metrics, flags,
            row_number() OVER (PARTITION BY tenant_id, device_id, seq ORDER BY received_at, ts) AS copy_number
          FROM processed
          WHERE datehour = '2026/03/01/00'
        ) AS reading
        WHERE copy_number = 1
          AND NOT EXISTS (
            SELECT 1
            FROM curated AS kept
            WHERE kept.datehour >= '2026-02-28-00' AND kept.datehour <= '2026-03-01-02'
              AND kept.tenant_id = reading.tenant_id
              AND kept.device_id = reading.device_id
              AND kept.seq = reading.seq
          )
        ");
    }

    #[test]
    fn duplicates_are_looked_for_as_long_as_a_stream_keeps_readings() {
        for (window_h, from) in [(24, "2026-02-28-00"), (168, "2026-02-22-00"), (8_760, "2025-03-01-00")] {
            let statement = curate(1_772_323_200, window_h);
            assert!(statement.contains(&format!("kept.datehour >= '{from}'")), "{statement}");
        }
    }
}
