//! For any script of results: no record is lost, order holds, and no checkpoint moves past a failed record.

use proptest::prelude::*;

use super::*;

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Ok),
        1 => Just(End::Throws),
        1 => Just(End::TimesOut),
        1 => Just(End::Answers("[]")),
        3 => (0..50_usize).prop_map(End::FailsAt),
    ]
}

/// What a shard's function has done so far, told from its invocations and their results.
#[derive(Default)]
struct Model {
    /// Records done, in order.
    done: u128,
}

impl Model {
    /// Checks one invocation against what was done before it, and takes its result into account.
    fn check(&mut self, invocation: &Invocation, end: &End) -> Result<(), TestCaseError> {
        let first = invocation.records[0] - 1_000;
        prop_assert_eq!(first, self.done, "a batch begins with the first record that is not done");
        let expected: Vec<u128> = (invocation.records[0]..).take(invocation.records.len()).collect();
        prop_assert_eq!(&invocation.records, &expected, "a batch has no gaps");
        let done = match end {
            End::Ok => invocation.records.len(),
            End::FailsAt(position) => position % invocation.records.len(),
            End::Throws | End::Crashes | End::ThrowsAt(_) | End::TimesOut | End::Answers(_) => 0,
        };
        self.done += done as u128;
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_record_is_done_once_and_in_order_whatever_functions_do(
        puts in prop::collection::vec((0..2_usize, 1..40_usize, 0..3_000_u64), 1..12),
        ends in prop::collection::vec(end(), 0..20),
        batch_size in 1..30_usize,
        window in 0..4_u64,
        refusals in 0..5_usize,
    ) {
        let mut bench = Bench::mapped(2, json!({
            "BatchSize": batch_size,
            "MaximumBatchingWindowInSeconds": window,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }));
        bench.ends = ends.clone().into();
        bench.stream.refusals = refusals;
        let mut put = [0, 0];
        for (shard, count, pause_ms) in puts {
            bench.put(&format!("shard-{shard}"), count);
            put[shard] += count as u128;
            bench.run_until(bench.now + Duration::from_millis(pause_ms));
        }
        // Twenty failures wait for less than twenty minutes.
        bench.run_until(bench.now + Duration::from_secs(4_000));
        let mut models: BTreeMap<String, Model> = BTreeMap::new();
        let ends = ends.into_iter().chain(std::iter::repeat(End::Ok));
        for (invocation, end) in bench.invocations.iter().zip(ends) {
            prop_assert!(invocation.records.len() <= batch_size);
            models.entry(invocation.shard.clone()).or_default().check(invocation, &end)?;
        }
        for (shard, count) in put.into_iter().enumerate() {
            let done = models.get(&format!("shard-{shard}")).map_or(0, |model| model.done);
            prop_assert_eq!(done, count, "nothing is missing in shard-{}", shard);
        }
    }

    #[test]
    fn a_warm_invocation_always_finds_an_idle_environment(ends in prop::collection::vec(end(), 0..40)) {
        let mut bench = Bench::mapped(5, json!({ "BatchSize": 2, "FunctionResponseTypes": ["ReportBatchItemFailures"] }));
        bench.ends = ends.clone().into();
        for shard in 0..5 {
            bench.put(&format!("shard-{shard}"), 5 + shard);
        }
        bench.run_until(at(4_000.0));
        // Replays what the seam does: take one for a warm invocation, keep one after a success.
        let ends: Vec<End> = ends.into_iter().chain(std::iter::repeat(End::Ok)).take(bench.invocations.len()).collect();
        let mut moments = Vec::new();
        for (invocation, end) in bench.invocations.iter().zip(&ends) {
            let (ended, result) = conclude(end, invocation, invocation.started + bench.run);
            moments.push((invocation.started, 1, -i64::from(!invocation.is_cold())));
            moments.push((ended, 0, i64::from(result.is_ok())));
        }
        moments.sort_unstable();
        let mut idle = 0;
        for (_, _, change) in moments {
            idle += change;
            prop_assert!(idle >= 0);
        }
    }
}
