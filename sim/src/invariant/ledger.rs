//! Comparing rows that came out with readings that went in.

use std::collections::BTreeSet;

use crate::fleet::Truth;
use crate::invariant::{CONSERVATION, INTEGRITY, ORDER, Violation};

/// How many readings a message names before it says "and so on".
const NAMED_MAX: usize = 5;

/// What the comparison counted. Units: readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Distinct published readings that came out.
    pub delivered: u64,
    /// Rows beyond the first of their reading.
    pub duplicates: u64,
    /// Acknowledged readings that neither came out nor were set aside.
    pub missing: u64,
    /// Published readings that the platform set aside with a reason.
    pub quarantined: u64,
    /// Rows that no device published.
    pub spurious: u64,
    /// Rows whose timestamp is not what the device sent.
    pub corrupt: u64,
    /// First deliveries that came after a later reading of their device.
    pub out_of_order: u64,
}

/// Readings seen so far, per device.
pub struct Ledger<'t> {
    truth: &'t Truth,
    seen: Vec<Vec<u64>>,
    set_aside: BTreeSet<(u32, u64)>,
    last_first: Vec<u64>,
    tally: Tally,
    examples: Examples,
}

#[derive(Default)]
struct Examples {
    spurious: Vec<String>,
    corrupt: Vec<String>,
    out_of_order: Vec<String>,
}

fn note(examples: &mut Vec<String>, example: impl FnOnce() -> String) {
    if examples.len() < NAMED_MAX {
        examples.push(example());
    }
}

impl<'t> Ledger<'t> {
    /// A ledger that has seen nothing yet.
    pub fn new(truth: &'t Truth) -> Self {
        let devices = truth.device_count();
        Ledger {
            truth,
            seen: vec![Vec::new(); devices],
            set_aside: BTreeSet::new(),
            last_first: vec![0; devices],
            tally: Tally::default(),
            examples: Examples::default(),
        }
    }

    /// Takes one row in the order of reading. `ts_ms` is `None` where the source does not tell it. Answers the device's
    /// index when this is the first delivery of a published reading.
    pub fn row(&mut self, tenant: &str, device: &str, seq: u64, ts_ms: Option<u64>) -> Option<u32> {
        let index = self.truth.find(tenant, device);
        let published = index.and_then(|index| self.truth.reading(index, seq));
        let (Some(index), Some(reading)) = (index, published) else {
            self.tally.spurious += 1;
            note(&mut self.examples.spurious, || format!("{tenant}/{device} seq {seq}"));
            return None;
        };
        if ts_ms.is_some_and(|ts| ts != reading.ts_ms) {
            self.tally.corrupt += 1;
            note(&mut self.examples.corrupt, || {
                format!("{tenant}/{device} seq {seq}: ts {} was sent as {}", ts_ms.unwrap_or_default(), reading.ts_ms)
            });
        }
        if !set_bit(&mut self.seen[index as usize], seq) {
            self.tally.duplicates += 1;
            return None;
        }
        self.tally.delivered += 1;
        let last = &mut self.last_first[index as usize];
        if seq < *last {
            let after = *last;
            self.tally.out_of_order += 1;
            note(&mut self.examples.out_of_order, || format!("{tenant}/{device} seq {seq} after seq {after}"));
        }
        *last = (*last).max(seq);
        Some(index)
    }

    /// Takes one reading that the platform set aside with a reason: it is accounted for, and was not delivered.
    pub fn set_aside(&mut self, tenant: &str, device: &str, seq: u64) {
        let index = self.truth.find(tenant, device);
        if let Some(index) = index.filter(|index| self.truth.reading(*index, seq).is_some())
            && self.set_aside.insert((index, seq))
        {
            self.tally.quarantined += 1;
        }
    }

    /// The counts, with what is owed and has not been seen.
    pub fn tally(&self) -> Tally {
        Tally { missing: self.missing(usize::MAX).count() as u64, ..self.tally }
    }

    fn missing(&self, at_most: usize) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.truth
            .acknowledged_readings()
            .filter(|(device, seq)| {
                !bit(&self.seen[*device as usize], *seq) && !self.set_aside.contains(&(*device, *seq))
            })
            .take(at_most)
    }

    /// Broken promises of `conservation` and `integrity`.
    pub fn content_violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let tally = self.tally();
        if tally.missing > 0 {
            let named: Vec<String> = self
                .missing(NAMED_MAX)
                .map(|(device, seq)| {
                    let (tenant, id) = self.truth.device(device);
                    format!("{tenant}/{id} seq {seq}")
                })
                .collect();
            let message = listed("acknowledged readings are missing", tally.missing, &named);
            violations.push(Violation { invariant: CONSERVATION, message });
        }
        if tally.spurious > 0 {
            let message = listed("rows were published by no device", tally.spurious, &self.examples.spurious);
            violations.push(Violation { invariant: INTEGRITY, message });
        }
        if tally.corrupt > 0 {
            let message = listed("rows differ from what was published", tally.corrupt, &self.examples.corrupt);
            violations.push(Violation { invariant: INTEGRITY, message });
        }
        violations
    }

    /// Broken promises of `order`.
    pub fn order_violations(&self) -> Vec<Violation> {
        if self.tally.out_of_order == 0 {
            return Vec::new();
        }
        let what = "readings reached the lake after a later one of their device";
        let message = listed(what, self.tally.out_of_order, &self.examples.out_of_order);
        vec![Violation { invariant: ORDER, message }]
    }
}

fn listed(what: &str, count: u64, named: &[String]) -> String {
    let more = if count > named.len() as u64 { ", …" } else { "" };
    format!("{count} {what}: {}{more}", named.join(", "))
}

fn bit(words: &[u64], index: u64) -> bool {
    words.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

/// Sets a bit. Answers whether it was clear before.
fn set_bit(words: &mut Vec<u64>, index: u64) -> bool {
    let word = (index / 64) as usize;
    if words.len() <= word {
        words.resize(word + 1, 0);
    }
    let mask = 1 << (index % 64);
    let was_clear = words[word] & mask == 0;
    words[word] |= mask;
    was_clear
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::time::Time;

    fn truth() -> Truth {
        let start = Time::from_unix_secs(1_000);
        let mut truth = Truth::new(start);
        let device = truth.add_device("acme", "acme-1");
        for seq in 1..=3 {
            truth.published(device, seq, start, 1_000_000 + seq);
        }
        truth.acknowledged(device, 1, start);
        truth.acknowledged(device, 2, start);
        truth
    }

    #[test]
    fn everything_once_and_in_order_breaks_no_promise() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        for seq in 1..=3 {
            assert!(ledger.row("acme", "acme-1", seq, Some(1_000_000 + seq)).is_some());
        }
        assert_eq!(ledger.tally(), Tally { delivered: 3, ..Tally::default() });
        assert!(ledger.content_violations().is_empty() && ledger.order_violations().is_empty());
    }

    #[test]
    fn an_acknowledged_reading_that_is_absent_is_missing_and_named() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row("acme", "acme-1", 2, None);
        assert_eq!(ledger.tally().missing, 1);
        assert_eq!(ledger.content_violations()[0].message, "1 acknowledged readings are missing: acme/acme-1 seq 1");
    }

    #[test]
    fn a_reading_in_quarantine_is_accounted_for_once_and_a_stranger_s_is_not() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row("acme", "acme-1", 1, None);
        for (device, seq) in [("acme-1", 2), ("acme-1", 2), ("acme-9", 2), ("acme-1", 9)] {
            ledger.set_aside("acme", device, seq);
        }
        assert_eq!(ledger.tally(), Tally { delivered: 1, quarantined: 1, ..Tally::default() });
    }

    #[test]
    fn an_unacknowledged_reading_is_not_owed() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row("acme", "acme-1", 1, None);
        ledger.row("acme", "acme-1", 2, None);
        assert_eq!(ledger.tally().missing, 0);
    }

    #[test]
    fn duplicates_strangers_changes_and_inversions_are_told_apart() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        for (device, seq, ts) in
            [("acme-1", 2, 1_000_002), ("acme-1", 1, 7), ("acme-1", 2, 1_000_002), ("acme-9", 1, 1), ("acme-1", 4, 1)]
        {
            ledger.row("acme", device, seq, Some(ts));
        }
        let expected =
            Tally { delivered: 2, duplicates: 1, spurious: 2, corrupt: 1, out_of_order: 1, ..Tally::default() };
        assert_eq!(ledger.tally(), expected);
        let broken: Vec<&str> = ledger.content_violations().iter().map(|v| v.invariant.id).collect();
        assert_eq!(broken, ["integrity", "integrity"]);
        assert_eq!(ledger.order_violations().len(), 1);
    }
}
