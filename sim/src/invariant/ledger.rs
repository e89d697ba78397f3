//! Comparing rows that came out with readings that went in.

use std::collections::BTreeMap;

use record::ReadingId;

use crate::fleet::{Recorded, Truth};
use crate::invariant::{CONSERVATION, INTEGRITY, Invariant, ORDER, Row, RuleError, Violation, event_time, flags};
use crate::world::time::Time;

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
    /// Acknowledged readings that the rule's error action stored, because their action failed, and that did not come out.
    pub set_aside: u64,
    /// Acknowledged readings that a function gave up because a fault had made them poison, and that did not come out.
    pub poisoned: u64,
    /// Rows that no device published.
    pub spurious: u64,
    /// Rows that do not say what their device sent.
    pub corrupt: u64,
    /// First deliveries that came after a later reading of their device.
    pub out_of_order: u64,
}

/// Readings seen so far, per device.
pub struct Ledger<'t> {
    truth: &'t Truth,
    seen: Vec<Vec<u64>>,
    /// Reason by (device, seq).
    set_aside: BTreeMap<(u32, u64), String>,
    /// Readings that the rule's error action stored, by (device, seq): why, and whether a fault explains it.
    rule_errors: BTreeMap<(u32, u64), (String, bool)>,
    /// Readings that a function gave up, by (device, seq): why, and whether a fault had made them poison.
    given_up: BTreeMap<(u32, u64), (String, bool)>,
    /// Readings that lie in the error prefix of their delivery, by (device, seq): why.
    undelivered: BTreeMap<(u32, u64), String>,
    last_first: Vec<u64>,
    /// Highest sequence numbers in files of earlier seconds, and in all files before this one, per device.
    sealed: Vec<(u64, u64)>,
    tally: Tally,
    examples: Examples,
}

#[derive(Default)]
struct Examples {
    spurious: Vec<Example>,
    corrupt: Vec<Example>,
    out_of_order: Vec<Example>,
}

/// A reading that lies elsewhere, by (device, seq), with why and whether a fault explains it.
type Elsewhere<'l> = ((u32, u64), &'l (String, bool));

/// A reading, where its row names one, and what there is to say of it.
pub(super) type Example = (Option<ReadingId>, String);

/// Keeps the first few.
pub(super) fn note(examples: &mut Vec<Example>, example: impl FnOnce() -> Example) {
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
            set_aside: BTreeMap::new(),
            rule_errors: BTreeMap::new(),
            given_up: BTreeMap::new(),
            undelivered: BTreeMap::new(),
            last_first: vec![0; devices],
            sealed: vec![(0, 0); devices],
            tally: Tally::default(),
            examples: Examples::default(),
        }
    }

    /// The rows that follow are of another file. S3 tells whole seconds: files of one second have no order that a reader
    /// could see, so that readings are compared with those of earlier seconds, and of their own file.
    pub fn begin_file(&mut self, of_a_new_second: bool) {
        for (last, (sealed, highest)) in self.last_first.iter_mut().zip(&mut self.sealed) {
            *highest = (*highest).max(*last);
            if of_a_new_second {
                *sealed = *highest;
            }
            *last = *sealed;
        }
    }

    /// Takes one row in the order of reading. Answers the device's index and the sequence number when this is the first
    /// delivery of a published reading.
    pub fn row(&mut self, row: &Row<'_>) -> Option<(u32, u64)> {
        let index = self.truth.find(row.tenant, row.device);
        let published = index.zip(row.seq).and_then(|(index, seq)| Some((index, seq, self.truth.reading(index, seq)?)));
        let Some((index, seq, reading)) = published else {
            self.tally.spurious += 1;
            note(&mut self.examples.spurious, || (row_id(row), named(row)));
            return None;
        };
        let stamps = || self.truth.stamps(index, seq);
        if let Some(difference) = difference(row, &reading, stamps) {
            self.tally.corrupt += 1;
            note(&mut self.examples.corrupt, || (row_id(row), format!("{}: {difference}", named(row))));
        }
        if !set_bit(&mut self.seen[index as usize], seq) {
            self.tally.duplicates += 1;
            return None;
        }
        self.tally.delivered += 1;
        // A copy that the rule gave up, because of a fault, lets the next reading pass; the device's own repetition comes later.
        let overtaken = self.rule_errors.get(&(index, seq)).is_some_and(|(_, explained)| *explained);
        let last = &mut self.last_first[index as usize];
        if seq < *last && !overtaken {
            let after = *last;
            self.tally.out_of_order += 1;
            note(&mut self.examples.out_of_order, || (row_id(row), format!("{} after seq {after}", named(row))));
        }
        *last = (*last).max(seq);
        Some((index, seq))
    }

    /// Rows so far that no device published.
    pub fn strangers(&self) -> u64 {
        self.tally.spurious
    }

    /// Takes one reading that the platform set aside with a reason: it is accounted for, and was not delivered. Answers
    /// whether a device published such a reading.
    pub fn set_aside(&mut self, tenant: &str, device: &str, seq: u64, reason: &str) -> bool {
        let index = self.truth.find(tenant, device).filter(|index| self.truth.reading(*index, seq).is_some());
        let Some(index) = index else { return false };
        if self.set_aside.insert((index, seq), reason.to_owned()).is_none() {
            self.tally.quarantined += 1;
        }
        true
    }

    /// Takes one message that the rule's error action stored. `explained`: whether a fault may have made its action fail
    /// between the reading's publication and now; it is asked for readings that were published.
    pub fn rule_error(&mut self, error: &RuleError, explained: impl FnOnce(&Recorded) -> bool) {
        let index = self.truth.find(&error.tenant, &error.device);
        let Some((index, seq)) = index.zip(error.seq) else { return };
        let Some(reading) = self.truth.reading(index, seq) else { return };
        let explained = explained(&reading);
        let entry = self.rule_errors.entry((index, seq));
        entry.and_modify(|(_, known)| *known &= explained).or_insert_with(|| (error.reason.clone(), explained));
    }

    /// Takes one reading that a function gave up: it lies in the failure destination. `poisoned`: whether a fault had made
    /// it poison to that function, and these are its bytes. Answers whether a device published such a reading.
    pub fn given_up(&mut self, (tenant, device, seq): (&str, &str, u64), condition: &str, poisoned: bool) -> bool {
        let index = self.truth.find(tenant, device).filter(|index| self.truth.reading(*index, seq).is_some());
        let Some(index) = index else { return false };
        let entry = self.given_up.entry((index, seq));
        entry.and_modify(|(_, known)| *known &= poisoned).or_insert_with(|| (condition.to_owned(), poisoned));
        true
    }

    /// Takes one record that lies in the error prefix of the delivery to the table. No fault takes it there: what cannot be
    /// written is tried again, and what cannot be converted never should have been sent.
    pub fn undelivered(&mut self, (tenant, device, seq): (&str, &str, u64), reason: &str) {
        let index = self.truth.find(tenant, device).filter(|index| self.truth.reading(*index, seq).is_some());
        if let Some(index) = index {
            self.undelivered.entry((index, seq)).or_insert_with(|| reason.to_owned());
        }
    }

    /// Whether a reading is owed, and neither came out nor was refused with a reason.
    fn is_lost(&self, (device, seq): (u32, u64)) -> bool {
        let owed = self.truth.reading(device, seq).is_some_and(|reading| reading.acknowledged_at.is_some());
        owed && !bit(&self.seen[device as usize], seq) && !self.set_aside.contains_key(&(device, seq))
    }

    /// Acknowledged readings that the rule's error action stored and that came out nowhere, with why and whether a fault
    /// explains it.
    fn left_at_the_rule(&self) -> impl Iterator<Item = Elsewhere<'_>> {
        self.rule_errors.iter().map(|(reading, why)| (*reading, why)).filter(|(reading, _)| self.is_lost(*reading))
    }

    /// The same of readings that a function gave up. One may be both, because it came twice.
    fn left_by_functions(&self) -> impl Iterator<Item = Elsewhere<'_>> {
        self.given_up.iter().map(|(reading, why)| (*reading, why)).filter(|(reading, _)| self.is_lost(*reading))
    }

    /// Whether the table returned this reading.
    pub fn has_seen(&self, device: u32, seq: u64) -> bool {
        bit(&self.seen[device as usize], seq)
    }

    /// The counts, with what is owed and has not been seen.
    pub fn tally(&self) -> Tally {
        let missing = self.missing(usize::MAX).count() as u64;
        let set_aside = self.left_at_the_rule().count() as u64;
        let by_poison = |(reading, (_, poisoned)): &Elsewhere<'_>| *poisoned && !self.rule_errors.contains_key(reading);
        let poisoned = self.left_by_functions().filter(by_poison).count() as u64;
        Tally { missing, set_aside, poisoned, ..self.tally }
    }

    fn id(&self, device: u32, seq: u64) -> ReadingId {
        let (tenant, id) = self.truth.device(device);
        ReadingId { tenant: tenant.to_owned(), device: id.to_owned(), seq }
    }

    /// A reading as an example.
    pub(super) fn example(&self, device: u32, seq: u64) -> Example {
        let id = self.id(device, seq);
        let name = id.to_string();
        (Some(id), name)
    }

    /// The first reading that is owed and has not been seen.
    pub fn first_missing(&self) -> Option<ReadingId> {
        self.missing(1).next().map(|(device, seq)| self.id(device, seq))
    }

    fn missing(&self, at_most: usize) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.truth
            .acknowledged_readings()
            .filter(|(device, seq)| {
                !bit(&self.seen[*device as usize], *seq)
                    && !self.set_aside.contains_key(&(*device, *seq))
                    && !self.rule_errors.contains_key(&(*device, *seq))
                    && !self.given_up.contains_key(&(*device, *seq))
                    && !self.undelivered.contains_key(&(*device, *seq))
            })
            .take(at_most)
    }

    /// Broken promises of `conservation` and `integrity`.
    pub fn content_violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let tally = self.tally();
        if tally.missing > 0 {
            let named: Vec<Example> = self.missing(NAMED_MAX).map(|(device, seq)| self.example(device, seq)).collect();
            violations.push(violation(CONSERVATION, "acknowledged readings are missing", tally.missing, &named));
        }
        let at_the_rule: Vec<_> = self.left_at_the_rule().filter(|(_, (_, explained))| !explained).collect();
        let what = "readings were left at the rule, whose action no fault had struck";
        violations.extend(self.unexplained(&at_the_rule, what));
        let by_functions: Vec<_> = self.left_by_functions().filter(|(_, (_, poisoned))| !poisoned).collect();
        let what = "readings were given up by a function, and lie in its failure destination without being poison";
        violations.extend(self.unexplained(&by_functions, what));
        violations.extend(self.not_delivered());
        if tally.quarantined > 0 {
            // No device of a scenario sends what the platform should refuse.
            let named = |((device, seq), reason): (&(u32, u64), &String)| {
                let id = self.id(*device, *seq);
                let text = format!("{id} ({reason})");
                (Some(id), text)
            };
            let refused: Vec<Example> = self.set_aside.iter().take(NAMED_MAX).map(named).collect();
            violations.push(violation(
                CONSERVATION,
                "valid readings were put into quarantine",
                tally.quarantined,
                &refused,
            ));
        }
        if tally.spurious > 0 {
            let examples = &self.examples.spurious;
            violations.push(violation(INTEGRITY, "rows were published by no device", tally.spurious, examples));
        }
        if tally.corrupt > 0 {
            let examples = &self.examples.corrupt;
            violations.push(violation(INTEGRITY, "rows differ from what was published", tally.corrupt, examples));
        }
        violations
    }

    /// The violation by readings that came nowhere but into the error prefix of their delivery.
    fn not_delivered(&self) -> Option<Violation> {
        let lost: Vec<_> = self.undelivered.iter().filter(|(reading, _)| self.is_lost(**reading)).collect();
        let named = |((device, seq), reason): &(&(u32, u64), &String)| {
            let (id, name) = self.example(*device, *seq);
            (id, format!("{name} ({reason})"))
        };
        let first: Vec<Example> = lost.iter().take(NAMED_MAX).map(named).collect();
        let what = "readings could not be delivered, and lie in the delivery's error prefix";
        (!lost.is_empty()).then(|| violation(CONSERVATION, what, lost.len() as u64, &first))
    }

    /// The violation by readings that lie elsewhere for a reason that no fault explains.
    fn unexplained(&self, readings: &[Elsewhere<'_>], what: &str) -> Option<Violation> {
        let named = |((device, seq), (reason, _)): &Elsewhere<'_>| {
            let id = self.id(*device, *seq);
            let text = format!("{id} ({reason})");
            (Some(id), text)
        };
        let first: Vec<Example> = readings.iter().take(NAMED_MAX).map(named).collect();
        (!readings.is_empty()).then(|| violation(CONSERVATION, what, readings.len() as u64, &first))
    }

    /// Broken promises of `order`.
    pub fn order_violations(&self) -> Vec<Violation> {
        if self.tally.out_of_order == 0 {
            return Vec::new();
        }
        let what = "readings reached the lake after a later one of their device";
        vec![violation(ORDER, what, self.tally.out_of_order, &self.examples.out_of_order)]
    }
}

pub(super) fn named(row: &Row<'_>) -> String {
    let seq = row.seq.map_or("absent".to_owned(), |seq| seq.to_string());
    format!("{}/{} seq {seq}", row.tenant, row.device)
}

/// How a row differs from the reading that its device published.
pub(super) fn difference<S>(row: &Row<'_>, reading: &Recorded, stamps: impl FnOnce() -> S) -> Option<String>
where
    S: Iterator<Item = (Time, u64)>,
{
    if row.ts_ms != Some(reading.ts_ms) {
        return Some(format!("ts {} was sent as {}", row.ts_ms.map_or(-1, |ts| ts as i64), reading.ts_ms));
    }
    let rest = row.rest.as_ref()?;
    if !reading.content.agrees_with(&rest.content) {
        return Some("its metrics or its recorded timestamp are not what was sent".to_owned());
    }
    let received = rest.received_ms.unwrap_or(0);
    if received < reading.published_at.unix_millis() {
        return Some(format!("received_at {received} lies before its publication"));
    }
    let ts = i64::try_from(reading.ts_ms).unwrap_or(i64::MAX);
    event_time::wrong(rest, reading, stamps()).or_else(|| flags::wrong(rest, ts))
}

/// The identity that a row tells.
pub(super) fn row_id(row: &Row<'_>) -> Option<ReadingId> {
    Some(ReadingId { tenant: row.tenant.to_owned(), device: row.device.to_owned(), seq: row.seq? })
}

/// The violation of a promise by so many readings, the first of which are named.
pub(super) fn violation(invariant: Invariant, what: &str, count: u64, examples: &[Example]) -> Violation {
    let named: Vec<&str> = examples.iter().map(|(_, text)| text.as_str()).collect();
    let more = if !named.is_empty() && count > named.len() as u64 { ", …" } else { "" };
    let colon = if named.is_empty() { "" } else { ": " };
    let message = format!("{count} {what}{colon}{}{more}", named.join(", "));
    Violation { invariant, message, reading: examples.first().and_then(|(id, _)| id.clone()) }
}

/// Whether a bit is set.
pub(super) fn bit(words: &[u64], index: u64) -> bool {
    words.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

/// Sets a bit. Answers whether it was clear before.
pub(super) fn set_bit(words: &mut Vec<u64>, index: u64) -> bool {
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
    use crate::fleet::Content;
    use crate::invariant::{Flags, Rest};

    /// A row as Athena returns it, with the timestamp that was sent.
    fn row(device: &str, seq: u64) -> Row<'_> {
        Row { tenant: "acme", device, seq: Some(seq), ts_ms: Some(1_000_000 + seq), rest: None }
    }

    fn says(value: f64) -> Content {
        Content::canonical(None, [("temp", value)])
    }

    fn truth() -> Truth {
        let start = Time::from_unix_secs(1_000);
        let mut truth = Truth::new(start);
        let device = truth.add_device("acme", "acme-1");
        for seq in 1..=3 {
            truth.published(device, seq, start, 1_000_000 + seq, says(21.5));
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
            assert_eq!(ledger.row(&row("acme-1", seq)), Some((0, seq)));
        }
        assert_eq!(ledger.tally(), Tally { delivered: 3, ..Tally::default() });
        assert!(ledger.content_violations().is_empty() && ledger.order_violations().is_empty());
    }

    #[test]
    fn an_acknowledged_reading_that_is_absent_is_missing_and_named() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row(&row("acme-1", 2));
        assert_eq!(ledger.tally().missing, 1);
        assert_eq!(ledger.content_violations()[0].message, "1 acknowledged readings are missing: acme/acme-1 seq 1");
    }

    #[test]
    fn a_valid_reading_in_quarantine_is_counted_once_and_breaks_conservation() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row(&row("acme-1", 1));
        for (device, seq, known) in
            [("acme-1", 2, true), ("acme-1", 2, true), ("acme-9", 2, false), ("acme-1", 9, false)]
        {
            assert_eq!(ledger.set_aside("acme", device, seq, "unknown-unit"), known, "{device} {seq}");
        }
        assert_eq!(ledger.tally(), Tally { delivered: 1, quarantined: 1, ..Tally::default() });
        let expected = "1 valid readings were put into quarantine: acme/acme-1 seq 2 (unknown-unit)";
        assert_eq!(ledger.content_violations()[0].message, expected);
    }

    fn rule_error(device: &str, seq: u64) -> RuleError {
        RuleError {
            tenant: "acme".to_owned(),
            device: device.to_owned(),
            seq: Some(seq),
            payload: Vec::new(),
            reason: "KinesisAction".to_owned(),
            stored: Time::from_unix_secs(1_060),
        }
    }

    #[test]
    fn a_reading_whose_first_copy_the_rule_gave_up_may_come_later_when_a_fault_explains_it() {
        let truth = truth();
        for explained in [None, Some(false), Some(true)] {
            let mut ledger = Ledger::new(&truth);
            if let Some(explained) = explained {
                ledger.rule_error(&rule_error("acme-1", 1), |_| explained);
            }
            ledger.row(&row("acme-1", 2));
            ledger.row(&row("acme-1", 1));
            assert_eq!(ledger.tally().out_of_order, u64::from(explained != Some(true)), "{explained:?}");
        }
    }

    #[test]
    fn a_reading_that_was_left_at_the_rule_is_no_loss_when_a_fault_explains_it() {
        let truth = truth();
        for (explained, broken) in [(true, 0), (false, 1)] {
            let mut ledger = Ledger::new(&truth);
            ledger.row(&row("acme-1", 1));
            // The second is missing otherwise; the first came out as well, the third is not owed, and nobody sent the rest.
            for stored in [("acme-1", 2), ("acme-1", 2), ("acme-1", 1), ("acme-1", 3)] {
                ledger.rule_error(&rule_error(stored.0, stored.1), |_| explained);
            }
            for stranger in [("acme-9", 1), ("acme-1", 9)] {
                ledger.rule_error(&rule_error(stranger.0, stranger.1), |_| unreachable!("nobody published it"));
            }
            assert_eq!(ledger.tally(), Tally { delivered: 1, set_aside: 1, ..Tally::default() });
            assert_eq!(ledger.content_violations().len(), broken);
        }
        let mut ledger = Ledger::new(&truth);
        ledger.row(&row("acme-1", 1));
        ledger.rule_error(&rule_error("acme-1", 2), |_| false);
        let expected =
            "1 readings were left at the rule, whose action no fault had struck: acme/acme-1 seq 2 (KinesisAction)";
        assert_eq!(ledger.content_violations()[0].message, expected);
    }

    #[test]
    fn a_reading_that_a_function_gave_up_is_no_loss_when_it_was_poison() {
        let truth = truth();
        for (poisoned, broken) in [(true, 0), (false, 1)] {
            let mut ledger = Ledger::new(&truth);
            ledger.row(&row("acme-1", 1));
            // The first came out as well, the third is not owed, and nobody sent the rest.
            for (device, seq, known) in [
                ("acme-1", 2, true),
                ("acme-1", 1, true),
                ("acme-1", 3, true),
                ("acme-1", 9, false),
                ("acme-9", 1, false),
            ] {
                assert_eq!(ledger.given_up(("acme", device, seq), "RetryAttemptsExhausted", poisoned), known);
            }
            assert_eq!(ledger.tally(), Tally { delivered: 1, poisoned: u64::from(poisoned), ..Tally::default() });
            let said = ledger.content_violations();
            assert_eq!(said.len(), broken, "{said:?}");
            let expected = "without being poison: acme/acme-1 seq 2 (RetryAttemptsExhausted)";
            assert!(said.iter().all(|violation| violation.message.ends_with(expected)), "{said:?}");
        }
        let mut twice = Ledger::new(&truth);
        twice.row(&row("acme-1", 1));
        twice.given_up(("acme", "acme-1", 2), "RetryAttemptsExhausted", true);
        twice.given_up(("acme", "acme-1", 2), "RetryAttemptsExhausted", false);
        assert_eq!(twice.content_violations().len(), 1, "other bytes of it were given up, too");
    }

    #[test]
    fn a_reading_in_the_error_prefix_is_not_missing_but_named_unless_it_came() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row(&row("acme-1", 1));
        let before = ledger.tally().missing;
        ledger.undelivered(("acme", "acme-1", 2), "Malformed: x");
        ledger.undelivered(("acme", "acme-9", 2), "Malformed: x");
        ledger.undelivered(("acme", "acme-1", 1), "Malformed: x");
        assert_eq!(ledger.tally().missing, before - 1);
        let told: Vec<String> = ledger.content_violations().into_iter().map(|violation| violation.message).collect();
        let text = "1 readings could not be delivered, and lie in the delivery's error prefix: \
                    acme/acme-1 seq 2 (Malformed: x)";
        assert!(told.contains(&text.to_owned()), "{told:?}");
        ledger.row(&row("acme-1", 2));
        assert!(!ledger.content_violations().iter().any(|violation| violation.message.contains("error prefix")));
    }

    #[test]
    fn an_unacknowledged_reading_is_not_owed() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        ledger.row(&row("acme-1", 1));
        ledger.row(&row("acme-1", 2));
        assert_eq!(ledger.tally().missing, 0);
    }

    #[test]
    fn duplicates_strangers_changes_and_inversions_are_told_apart() {
        let truth = truth();
        let mut ledger = Ledger::new(&truth);
        let (changed, late, nameless) =
            (Row { ts_ms: Some(7), ..row("acme-1", 1) }, row("acme-1", 4), Row { seq: None, ..row("acme-1", 1) });
        for row in [row("acme-1", 2), changed, row("acme-1", 2), row("acme-9", 1), late, nameless] {
            ledger.row(&row);
        }
        ledger.row(&Row { tenant: "other", ..row("acme-1", 3) });
        let expected =
            Tally { delivered: 2, duplicates: 1, spurious: 4, corrupt: 1, out_of_order: 1, ..Tally::default() };
        assert_eq!(ledger.tally(), expected);
        let broken: Vec<&str> = ledger.content_violations().iter().map(|v| v.invariant.id).collect();
        assert_eq!(broken, ["integrity", "integrity"]);
        assert_eq!(ledger.order_violations().len(), 1);
    }

    #[test]
    fn a_row_of_the_lake_must_say_what_was_sent_and_have_arrived_after_it() {
        let truth = truth();
        for (content, received_ms, raised, corrupt) in [
            (says(21.5), Some(1_000_000), &[][..], 0),
            (says(21.6), Some(1_000_000), &[], 1),
            (says(21.5), Some(999_999), &[], 1),
            (says(21.5), None, &[], 1),
            (says(21.5), Some(1_000_000), &["late"], 1),
        ] {
            let mut ledger = Ledger::new(&truth);
            let flags = Flags::of(raised.iter().copied());
            let rest = Rest { received_ms, content, event_ms: Some(1_000_001), skew_ms: None, flags };
            ledger.row(&Row { rest: Some(rest), ..row("acme-1", 1) });
            assert_eq!(ledger.tally().corrupt, corrupt, "{content:?} {received_ms:?}");
        }
    }

    #[test]
    fn an_inversion_between_files_of_one_second_is_not_told_and_one_between_seconds_is() {
        let truth = truth();
        for (seconds, expected) in [([true, false, false], 0), ([true, true, false], 1), ([true, false, true], 1)] {
            let mut ledger = Ledger::new(&truth);
            for (new_second, seq) in seconds.into_iter().zip([3, 2, 1]) {
                ledger.begin_file(new_second);
                ledger.row(&row("acme-1", seq));
            }
            assert!(ledger.tally().out_of_order >= expected, "{seconds:?}");
            assert_eq!(ledger.tally().out_of_order == 0, expected == 0, "{seconds:?}");
        }
    }
}
