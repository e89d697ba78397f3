//! Sweeps without a run: results that survive, are resumed, refused and merged, and what they come to.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use record::{Digest, Verdict};

use super::results::{RESULTS_FILE, merge, read};
use super::*;
use crate::scenario::{Overrides, Scenario};

const SWARM: &str = "title = \"t\"\nwhy = \"w\"\n[swarm]\n";

fn header(text: &str, devices: Option<u32>, build: &str) -> Header {
    let scenario = Scenario::parse(text, Path::new("swarms/s.toml")).expect("a scenario");
    Header::new(&scenario, &Overrides { devices, ..Overrides::default() }, build.to_owned())
}

fn row(seed: u64, end: End) -> Row {
    Row {
        seed,
        end,
        why: (end != End::Held).then(|| "order: \"x\"\nand more".to_owned()),
        digest: (end != End::Panicked).then_some(Digest(seed)),
        devices: 2,
        delivered: 10,
        simulated_s: 60.5,
        wall_s: 0.25,
        faults: [("throttle".to_owned(), seed), ("loss".to_owned(), 0)].into(),
        marks: if seed > 1 { [("partial-put".to_owned(), 3)].into() } else { [].into() },
    }
}

#[test]
fn results_are_resumed_and_a_line_that_a_kill_cut_off_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let header = header(SWARM, None, "1");
    let mut results = Results::open(folder.path(), &header).unwrap();
    assert!(results.rows().is_empty());
    for seed in [4, 2] {
        results.push(row(seed, End::Held)).unwrap();
    }
    let busy = Results::open(folder.path(), &header).expect_err("it is open");
    assert!(busy.problem.contains("another sweep"), "{busy}");
    drop(results);
    let file = folder.path().join(RESULTS_FILE);
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{whole}{{\"seed\":5,\"en")).unwrap();
    let mut results = Results::open(folder.path(), &header).unwrap();
    assert_eq!(results.rows(), [row(4, End::Held), row(2, End::Held)]);
    results.push(row(5, End::Violated)).unwrap();
    drop(results);
    let (found, rows) = read(folder.path()).unwrap();
    assert_eq!((found, rows), (header, vec![row(4, End::Held), row(2, End::Held), row(5, End::Violated)]));
}

#[test]
fn results_of_another_scenario_flag_or_build_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Results::open(folder.path(), &header(SWARM, Some(3), "1")).unwrap();
    for (other, problem) in [
        (header(&format!("{SWARM}faults_max = 1\n"), Some(3), "1"), "of another scenario (swarms/s.toml"),
        (header(SWARM, None, "1"), "with --devices 3, not with no flags"),
        (header(SWARM, Some(3), "2"), "of another build (1), and this one (2)"),
    ] {
        let error = Results::open(folder.path(), &other).expect_err(problem);
        assert!(error.problem.contains(problem) && error.hint.contains("--out"), "{error}");
    }
    let file = folder.path().join(RESULTS_FILE);
    for (text, problem) in [("{}\n", "is damaged in line 1"), ("nothing\n", "is damaged in line 1")] {
        fs::write(&file, text).unwrap();
        let error = Results::open(folder.path(), &header(SWARM, Some(3), "1")).expect_err(problem);
        assert!(error.problem.contains(problem), "{error}");
    }
}

#[test]
fn results_of_shards_are_merged_and_foreign_or_overlapping_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = |name: &str| folder.path().join(name);
    for (name, text, seeds) in
        [("a", SWARM, [0, 2]), ("b", SWARM, [3, 1]), ("c", SWARM, [9, 2]), ("d", &format!("{SWARM}# other\n"), [5, 6])]
    {
        let mut results = Results::open(&dir(name), &header(text, None, "1")).unwrap();
        seeds.into_iter().for_each(|seed| results.push(row(seed, End::Held)).unwrap());
    }
    let (_, rows) = merge(&dir("out"), &[dir("a"), dir("b")]).unwrap();
    assert_eq!(rows.iter().map(|row| row.seed).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(read(&dir("out")).unwrap().1, rows);
    for (out, folders, problem) in [
        ("out", ["a", "b"], "exists"),
        ("new", ["a", "c"], "has seed 2, and so has a folder before it"),
        ("new", ["a", "d"], "of another scenario"),
        ("new", ["a", "gone"], "cannot be read"),
    ] {
        let error = merge(&dir(out), &folders.map(dir)).expect_err(problem);
        assert!(error.problem.contains(problem), "{error}");
        assert!(!dir("new").exists(), "nothing is left behind");
    }
}

#[test]
fn rows_come_to_a_tally() {
    let rows = [row(1, End::Held), row(3, End::Violated), row(2, End::Unsettled), row(5, End::Panicked)];
    let tally = Tally::of(&rows, Verdict::Held);
    assert_eq!((tally.seeds, tally.ran.as_str(), tally.worst), (4, "1..4,5", Some(End::Panicked)));
    assert_eq!(tally.failures.iter().map(|row| row.seed).collect::<Vec<_>>(), [2, 3, 5]);
    let of = |counts: &[(&str, Count)], id: &str| counts.iter().find(|(found, _)| *found == id).expect(id).1;
    assert_eq!(of(&tally.faults, "throttle"), Count { of: 4, seeds: 4, total: 11 });
    assert_eq!(of(&tally.faults, "loss"), Count { of: 4, seeds: 0, total: 0 });
    assert_eq!(of(&tally.faults, "zombie"), Count::default());
    assert_eq!(of(&tally.marks, "partial-put"), Count { of: 3, seeds: 2, total: 6 });
    let canary = Tally::of(&rows[2..3], Verdict::Unsettled);
    assert_eq!((canary.failures.len(), canary.worst), (0, None));
    assert_eq!(Tally::of(&rows[..1], Verdict::Unsettled).worst, Some(End::Held), "a canary that holds has failed");
}

#[test]
fn every_seed_is_run_once_and_none_after_a_stop() {
    let seeds: Vec<u64> = (0..200).collect();
    for jobs in [1, 2, 7] {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let mut ran: Vec<u64> =
            in_parallel(&seeds, jobs, &AtomicBool::new(false), |seed| seed, |rows| rows.iter().collect());
        ran.sort_unstable();
        assert_eq!(ran, seeds);
        let stop = AtomicBool::new(false);
        let run = |seed| {
            if seed == 20 {
                stop.store(true, Ordering::Relaxed);
            }
            seed
        };
        let ran: Vec<u64> = in_parallel(&seeds, jobs, &stop, run, |rows| rows.iter().collect());
        assert!((21..100).contains(&ran.len()), "{} seeds with {jobs} jobs", ran.len());
    }
}

#[test]
fn a_scenario_that_cannot_run_is_a_row_and_not_the_end() {
    let text = format!("{SWARM}[platform]\nraw_shards = 0\n");
    let scenario = Scenario::parse(&text, Path::new("s.toml")).unwrap();
    let (row, outcome) = run_seed(&scenario, &Overrides::default(), crate::run::RunOptions::seeded(3));
    assert!(outcome.is_none());
    assert_eq!((row.seed, row.end, row.failed(Verdict::Held)), (3, End::Refused, true));
    assert!(row.why.is_some_and(|why| why.contains("raw_shards")));
}
