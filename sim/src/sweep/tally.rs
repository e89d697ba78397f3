//! What all seeds of a sweep came to together.

use std::collections::BTreeMap;

use record::Verdict;
use serde::Serialize;

use super::row::{End, Row};
use super::seeds::Seeds;
use crate::fault::KINDS;
use crate::world::mark;

/// How often something happened, and in how many seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Seeds in which it could happen; for marks all that came to their end.
    pub of: u64,
    /// Seeds in which it happened.
    pub seeds: u64,
    /// How often it happened in all of them.
    pub total: u64,
}

/// What all seeds came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tally {
    /// How many seeds were run.
    pub seeds: u64,
    /// Which.
    pub ran: String,
    /// Seeds by their end.
    pub ends: BTreeMap<&'static str, u64>,
    /// Rows that ended otherwise than the scenario expects, by seed.
    pub failures: Vec<Row>,
    /// Devices of all runs.
    pub devices: u64,
    /// Readings that were delivered in all runs.
    pub delivered: u64,
    /// Simulated seconds of all runs.
    pub simulated_s: f64,
    /// Seconds of work that all runs took, one after another.
    pub work_s: f64,
    /// Marks, in the order of the table: each of [`mark::ALL`], reached or not.
    pub marks: Vec<(&'static str, Count)>,
    /// Kinds of faults, in the order of the table: each of [`KINDS`], struck or not.
    pub faults: Vec<(&'static str, Count)>,
    /// The worst end among the failures.
    #[serde(skip)]
    pub worst: Option<End>,
}

impl Tally {
    /// What these rows come to, of a scenario that expects this verdict.
    pub fn of(rows: &[Row], expected: Verdict) -> Self {
        let mut ends = BTreeMap::new();
        for row in rows {
            *ends.entry(row.end.as_str()).or_default() += 1;
        }
        let mut failures: Vec<Row> = rows.iter().filter(|row| row.failed(expected)).cloned().collect();
        failures.sort_by_key(|row| row.seed);
        let marks = mark::ALL.iter().map(|mark| {
            let finished = rows.iter().filter(|row| row.digest.is_some());
            (mark.id, counted(finished.map(|row| row.marks.get(mark.id).copied().unwrap_or(0))))
        });
        let faults =
            KINDS.iter().map(|kind| (kind.id, counted(rows.iter().filter_map(|row| row.faults.get(kind.id).copied()))));
        Tally {
            seeds: rows.len() as u64,
            ran: Seeds::of(rows.iter().map(|row| row.seed).collect()).to_string(),
            ends,
            worst: failures.iter().map(|row| row.end).max(),
            devices: rows.iter().map(|row| row.devices).sum(),
            delivered: rows.iter().map(|row| row.delivered).sum(),
            simulated_s: rows.iter().map(|row| row.simulated_s).sum(),
            work_s: rows.iter().map(|row| row.wall_s).sum(),
            marks: marks.collect(),
            faults: faults.collect(),
            failures,
        }
    }
}

fn counted(times: impl Iterator<Item = u64>) -> Count {
    times.fold(Count::default(), |count, times| Count {
        of: count.of + 1,
        seeds: count.seeds + u64::from(times > 0),
        total: count.total + times,
    })
}
