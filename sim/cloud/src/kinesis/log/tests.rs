//! The log against a naive model: a plain list of all records.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn at(micros: u64) -> Time {
    Time::from_unix_micros(micros)
}

fn record(number: u64, size: usize, micros: u64) -> Stored {
    let mut data = format!("{{\"seq\":{number}}}").into_bytes();
    data.resize(data.len().max(size), b' ');
    Stored { data: Bytes::from(data), key: format!("device-{}", number % 7).into(), arrival: at(micros) }
}

#[derive(Clone, Debug)]
enum Step {
    Put { size: usize, wait: u64 },
    Read { from: u64, records: usize, bytes: usize },
    Trim,
    Find { back: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..300usize, 0..50u64).prop_map(|(size, wait)| Step::Put { size, wait }),
        3 => (0..400u64, 1..60usize, 1..4_000usize)
            .prop_map(|(from, records, bytes)| Step::Read { from, records, bytes }),
        1 => Just(Step::Trim),
        1 => (0..8_000u64).prop_map(|back| Step::Find { back }),
    ]
}

/// What a read must give: the first record always, then as long as there is room.
fn naive(all: &[Stored], from: u64, cutoff: Time, room: Room) -> (Vec<(u64, Stored)>, u64) {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    let mut next = from.max(all.iter().position(|r| r.arrival >= cutoff).unwrap_or(all.len()) as u64);
    for (offset, record) in all.iter().enumerate().skip(next as usize) {
        bytes += record.size_bytes();
        if taken.len() == room.records || (!taken.is_empty() && bytes > room.bytes) {
            break;
        }
        taken.push((offset as u64, record.clone()));
        next = offset as u64 + 1;
    }
    (taken, next)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_cursor_reads_every_kept_record_once_and_in_order(
        steps in prop::collection::vec(step(), 1..400),
        tail in 0..3_000usize,
        segment in 1..2_000usize,
        retention in 200..6_000u64,
    ) {
        let mut log = Log::with_sizes(tail, segment);
        let (mut all, mut now) = (Vec::new(), 10_000);
        for step in steps {
            let cutoff = at(now - retention);
            match step {
                Step::Put { size, wait } => {
                    now += wait;
                    let record = record(all.len() as u64, size, now);
                    prop_assert_eq!(log.push(record.clone()), all.len() as u64);
                    all.push(record);
                }
                Step::Read { from, records, bytes } => {
                    let (room, mut got) = (Room { records, bytes }, Vec::new());
                    let from = from.min(all.len() as u64);
                    let next = log.read(from, cutoff, room, |offset, record| got.push((offset, record)));
                    let (expected, expected_next) = naive(&all, from, cutoff, room);
                    prop_assert_eq!(got, expected);
                    prop_assert!(next == expected_next, "next is {}, not {}", next, expected_next);
                }
                Step::Trim => {
                    log.trim(cutoff);
                    let expired = all.iter().filter(|record| record.arrival < cutoff).count() as u64;
                    prop_assert!(log.first() <= expired, "nothing within the retention is forgotten");
                }
                Step::Find { back } => {
                    let time = at(now.saturating_sub(back));
                    let found = log.first_since(time).max(log.first());
                    let expected = all.iter().position(|record| record.arrival >= time).unwrap_or(all.len());
                    prop_assert_eq!(found, (expected as u64).max(log.first()));
                }
            }
            prop_assert_eq!(log.end(), all.len() as u64);
        }
    }

    #[test]
    fn readers_that_page_through_see_all_of_it(puts in 1..600u64, pages in prop::collection::vec(1..50usize, 1..20)) {
        let mut log = Log::with_sizes(500, 700);
        for number in 0..puts {
            log.push(record(number, 20, number));
        }
        let (mut cursors, mut seen) = ([0, 0], [Vec::new(), Vec::new()]);
        for (turn, &records) in pages.iter().cycle().enumerate() {
            let reader = turn % 2;
            let room = Room { records: records + 30 * reader, bytes: 1 << 20 };
            cursors[reader] = log.read(cursors[reader], at(0), room, |offset, _| seen[reader].push(offset));
            if cursors == [puts, puts] {
                break;
            }
        }
        let all: Vec<u64> = (0..puts).collect();
        prop_assert_eq!(&seen[0], &all);
        prop_assert_eq!(&seen[1], &all);
    }
}

#[test]
fn a_reader_at_the_tip_unpacks_nothing() {
    let mut log = Log::with_sizes(TAIL_BYTES, SEGMENT_BYTES);
    let mut cursor = 0;
    for number in 0..60_000 {
        log.push(record(number, 250, number));
        if number % 1_000 == 0 {
            cursor = log.read(cursor, at(0), Room { records: 10_000, bytes: 10 << 20 }, |_, _| ());
        }
    }
    assert!(!log.segments.is_empty(), "most of it is packed");
    assert!(log.unpacked.is_empty());
}

#[test]
fn expired_records_give_their_memory_back() {
    let mut log = Log::with_sizes(TAIL_BYTES, SEGMENT_BYTES);
    for number in 0..60_000 {
        log.push(record(number, 250, number));
    }
    let full = log.held_bytes();
    log.trim(at(59_990));
    assert!(log.held_bytes() < full / 100, "{} of {full} bytes", log.held_bytes());
    assert_eq!(log.first(), 59_990);
    log.trim(at(70_000));
    assert_eq!((log.first(), log.end()), (60_000, 60_000));
}
