//! However a stream is cut into batches and however often they come, a reading comes out as the same bytes, and what is
//! refused is kept as the same lines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::{Account, UNKNOWN_WAITS, reading, second};
use crate::testing::{self, FIRST_SEQUENCE_NUMBER};

/// The `position`-th record of a stream, of one of several kinds.
fn record(position: usize, kind: u8) -> String {
    let (seq, device) = (position as u64 + 1, ["a", "b", "c"][position % 3]);
    let (arrival, hour) = (1_772_323_200_040_i64, 3_600_000);
    match kind {
        0 => format!("garbage {position}"),
        1 => reading("nobody", seq),
        2 => second(device, seq, (arrival - 40, arrival - 20), "furlong"),
        3 => second(device, seq, (arrival + 3 * hour, arrival + 3 * hour + 20), "kelvin"),
        4 => second(device, seq, (arrival - 30 * hour, arrival), "kelvin"),
        5 => second(device, seq, (arrival - 40, arrival - 20), "degC").replace("\"v\":2", "\"v\":7"),
        6 => reading(device, seq).replace("1772323200000", "1772330400000"),
        _ => reading(device, seq),
    }
}

/// What comes of a stream that is delivered in these pieces: bytes of each reading by (device, seq), lines of the quarantine
/// by sequence number, and the quarantine's objects.
type Outcome = (BTreeMap<(String, u64), Vec<u8>>, BTreeMap<String, Value>, BTreeMap<String, String>);

fn delivered(records: &[String], pieces: &[(usize, usize)]) -> Outcome {
    let account = Account::with_devices(&["a", "b", "c"]);
    account.state().elapsed += UNKNOWN_WAITS + std::time::Duration::from_secs(1);
    let function = account.function();
    for (from, to) in pieces {
        let event = testing::batch(FIRST_SEQUENCE_NUMBER + from, &records[*from..*to]);
        let answer = account.invoke_batch(&function, &event, std::time::Duration::from_secs(60));
        assert_eq!(answer.expect("nothing fails"), None);
    }
    let state = account.state();
    let mut readings: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
    for ((key, value), data) in state.written.iter().zip(&state.data) {
        let identity = (key.clone(), value["seq"].as_u64().expect("seq is a number"));
        let known = readings.entry(identity).or_insert_with(|| data.clone());
        assert_eq!(known, data, "a copy of a reading has the bytes of the first");
    }
    let objects = state.objects.clone();
    drop(state);
    let mut lines: BTreeMap<String, Value> = BTreeMap::new();
    for line in account.quarantined() {
        let sequence_number = line["sequence_number"].as_str().expect("a text").to_owned();
        let known = lines.entry(sequence_number).or_insert_with(|| line.clone());
        assert_eq!(*known, line, "a copy of a line says the same");
    }
    (readings, lines, objects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_and_any_repetition_says_the_same(
        kinds in proptest::collection::vec(0..10_u8, 1..60),
        cuts in proptest::collection::vec(0..60_usize, 0..8),
        again in proptest::collection::vec((0..60_usize, 1..20_usize), 0..6),
    ) {
        let records: Vec<String> = kinds.iter().enumerate().map(|(n, kind)| record(n, *kind)).collect();
        let whole = delivered(&records, &[(0, records.len())]);
        let borders: BTreeSet<usize> = cuts.into_iter().filter(|cut| *cut < records.len()).chain([0, records.len()]).collect();
        let borders: Vec<usize> = borders.into_iter().collect();
        let mut pieces: Vec<(usize, usize)> = borders.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for (from, length) in again {
            let from = from.min(records.len() - 1);
            pieces.push((from, (from + length).min(records.len())));
        }
        let cut = delivered(&records, &pieces);
        prop_assert_eq!(&cut.0, &whole.0);
        prop_assert_eq!(&cut.1, &whole.1);
        // The same pieces once more: the same objects, and no other.
        let twice: Vec<(usize, usize)> = pieces.iter().chain(&pieces).copied().collect();
        prop_assert_eq!(delivered(&records, &twice).2, cut.2);
        let refused = kinds.iter().filter(|kind| matches!(kind, 0 | 1 | 2 | 5)).count();
        prop_assert_eq!((whole.0.len(), whole.1.len()), (records.len() - refused, refused));
    }
}
