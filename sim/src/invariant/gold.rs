//! Comparing the curated table with the processed one, and both with what devices sent: each reading once, and no other.

use super::ledger::{Example, Ledger, bit, difference, named, note, row_id, set_bit, violation};
use super::{EXACTLY_ONCE_IN_GOLD, Row, Violation};
use crate::fleet::Truth;

/// How often something was seen, and the first few of it.
#[derive(Default)]
struct Kept {
    count: u64,
    first: Vec<Example>,
}

impl Kept {
    fn note(&mut self, example: impl FnOnce() -> Example) {
        self.count += 1;
        note(&mut self.first, example);
    }

    fn violation(&self, what: &str) -> Option<Violation> {
        (self.count > 0).then(|| violation(EXACTLY_ONCE_IN_GOLD, what, self.count, &self.first))
    }
}

/// The rows of the curated table, as they are read.
pub struct Gold<'t> {
    truth: &'t Truth,
    seen: Vec<Vec<u64>>,
    /// Rows that Athena answered with, and rows of its files.
    rows: (u64, u64),
    twice: Kept,
    strangers: Kept,
    changed: Kept,
}

/// What the curated table came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curated {
    /// Rows that Athena answers with.
    pub rows: u64,
    /// Acknowledged readings that are in the processed table and not in the curated one.
    pub missing: u64,
    /// Broken promises, whenever they are looked at.
    pub violations: Vec<Violation>,
    /// What breaks a promise as soon as everything should be curated.
    pub overdue: Option<Violation>,
}

impl<'t> Gold<'t> {
    /// Nothing was read yet.
    pub fn new(truth: &'t Truth) -> Self {
        let (twice, strangers, changed) = (Kept::default(), Kept::default(), Kept::default());
        Gold { truth, seen: vec![Vec::new(); truth.device_count()], rows: (0, 0), twice, strangers, changed }
    }

    /// Takes one row of Athena's answer. Answers whether a device published such a reading.
    pub fn row(&mut self, row: &Row<'_>) -> bool {
        self.rows.0 += 1;
        let Some((index, seq)) = self.compare(row) else {
            self.strangers.note(|| (row_id(row), named(row)));
            return false;
        };
        if !set_bit(&mut self.seen[index as usize], seq) {
            self.twice.note(|| (row_id(row), named(row)));
        }
        true
    }

    /// Takes one row of the table's files, which tell what Athena was not asked for.
    pub fn file_row(&mut self, row: &Row<'_>) {
        self.rows.1 += 1;
        self.compare(row);
    }

    /// The published reading that a row is of, and that it is compared with.
    fn compare(&mut self, row: &Row<'_>) -> Option<(u32, u64)> {
        let (index, seq) = (self.truth.find(row.tenant, row.device)?, row.seq?);
        let reading = self.truth.reading(index, seq)?;
        if let Some(difference) = difference(row, &reading, || self.truth.stamps(index, seq)) {
            self.changed.note(|| (row_id(row), format!("{}: {difference}", named(row))));
        }
        Some((index, seq))
    }

    /// What the rows came to, beside those of the processed table.
    pub fn against(&self, processed: &Ledger<'_>) -> Curated {
        let (mut missing, mut ahead) = (Kept::default(), Kept::default());
        for (device, seq) in self.truth.acknowledged_readings() {
            if processed.has_seen(device, seq) && !bit(&self.seen[device as usize], seq) {
                missing.note(|| processed.example(device, seq));
            }
        }
        for (device, words) in (0..).zip(&self.seen) {
            let last = words.len() as u64 * 64;
            for seq in (1..last).filter(|seq| bit(words, *seq) && !processed.has_seen(device, *seq)) {
                ahead.note(|| processed.example(device, seq));
            }
        }
        let mut violations: Vec<Violation> = [
            self.twice.violation("rows are in the curated table beyond the first of their reading"),
            self.strangers.violation("rows of the curated table were published by no device"),
            self.changed.violation("rows of the curated table differ from what was published"),
            ahead.violation("readings are in the curated table and not in the processed one"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (answered, stored) = self.rows;
        if answered != stored {
            let what = "rows are in files of the curated table, other than Athena answers with";
            violations.push(violation(EXACTLY_ONCE_IN_GOLD, what, stored.abs_diff(answered), &[]));
        }
        let what = "acknowledged readings are in the processed table and not in the curated one";
        Curated { rows: answered, missing: missing.count, violations, overdue: missing.violation(what) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Content;
    use crate::invariant::{Flags, Rest};
    use crate::world::time::Time;

    fn says(value: f64) -> Content {
        Content::canonical(None, [("temp", value)])
    }

    /// Two acknowledged readings of one device, and a third that was only published.
    fn truth() -> Truth {
        let mut truth = Truth::new(Time::from_unix_secs(1_000));
        let device = truth.add_device("acme", "acme-1");
        for seq in 1..=3 {
            truth.published(device, seq, Time::from_unix_secs(1_000), 1_000_000 + seq, says(21.5));
        }
        for seq in 1..=2 {
            truth.acknowledged(device, seq, Time::from_unix_secs(1_000));
        }
        truth
    }

    fn row(seq: u64) -> Row<'static> {
        Row { tenant: "acme", device: "acme-1", seq: Some(seq), ts_ms: Some(1_000_000 + seq), rest: None }
    }

    /// What is said when these are the rows of the processed table, of Athena's answer, and of the files.
    fn seen(processed: &[u64], rows: &[Row<'_>], files: &[Row<'_>]) -> (Vec<String>, u64) {
        let truth = truth();
        let (mut ledger, mut gold) = (Ledger::new(&truth), Gold::new(&truth));
        for seq in processed {
            ledger.row(&row(*seq));
        }
        for row in rows {
            gold.row(row);
        }
        files.iter().for_each(|row| gold.file_row(row));
        let curated = gold.against(&ledger);
        let said = curated.violations.iter().chain(&curated.overdue).map(|violation| violation.message.clone());
        (said.collect(), curated.missing)
    }

    #[test]
    fn each_reading_of_the_processed_table_once_breaks_no_promise() {
        for once in [vec![row(1), row(2)], vec![row(2), row(1), row(3)]] {
            assert_eq!(seen(&[1, 2, 2, 3], &once, &once), (Vec::new(), 0));
        }
        // What is not in the processed table is not owed to this one.
        assert_eq!(seen(&[1], &[row(1)], &[row(1)]), (Vec::new(), 0));
    }

    #[test]
    fn what_is_twice_missing_strange_changed_or_ahead_is_told_apart() {
        let with = |rest| Row { rest: Some(rest), ..row(2) };
        let all = [row(1), row(2)];
        let changed = [
            row(1),
            with(Rest {
                received_ms: Some(2_000_000),
                event_ms: Some(1_000_002),
                skew_ms: None,
                flags: Flags::default(),
                content: says(9.0),
            }),
        ];
        let stranger = Row { device: "acme-9", ..row(1) };
        for (rows, files, missing, part) in [
            (&[row(1), row(2), row(1)][..], None, 0, "beyond the first of their reading: acme/acme-1 seq 1"),
            (&[row(2)], None, 1, "not in the curated one: acme/acme-1 seq 1"),
            (&[row(1), row(2), stranger], None, 0, "published by no device: acme/acme-9 seq 1"),
            (&all, Some(&changed[..]), 0, "differ from what was published: acme/acme-1 seq 2"),
            (&[row(1), Row { ts_ms: Some(5), ..row(2) }], Some(&all), 0, "differ from what was published"),
            (&[row(1), row(2), row(3)], None, 0, "and not in the processed one: acme/acme-1 seq 3"),
            (&all, Some(&all[..1]), 0, "1 rows are in files of the curated table"),
        ] {
            let (said, lacks) = seen(&[1, 2], rows, files.unwrap_or(rows));
            assert!(said.len() == 1 && said[0].contains(part) && lacks == missing, "{part}: {said:?} {lacks}");
        }
    }
}
