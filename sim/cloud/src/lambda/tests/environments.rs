//! What becomes of an environment when an invocation ends, and which one the next invocation gets.

use super::*;

const NEW: Start = Start::New { most: Duration::from_secs(10) };

#[test]
fn the_next_invocation_gets_an_idle_environment_then_one_that_broke_then_a_new_one() {
    for (end, next) in
        [(End::Ok, Start::Warm), (End::Throws, NEW), (End::Crashes, Start::Again), (End::TimesOut, Start::Again)]
    {
        let mut bench = Bench::mapped(2, json!({}));
        bench.ends = [end.clone(), End::Ok].into();
        bench.put("shard-0", 1);
        bench.run_until(at(200.0));
        // The repetition of what failed, or the next batch.
        bench.put("shard-0", 1);
        bench.run_until(at(300.0));
        let starts: Vec<Start> = bench.invocations.iter().map(|i| i.start).collect();
        assert_eq!(starts[..2], [NEW, next], "{end:?}");
        assert_eq!(starts[2..].iter().find(|start| **start != Start::Warm), None, "{end:?}: one is enough");
        assert_eq!(bench.counter("Timeouts"), u64::from(matches!(end, End::TimesOut)));
    }
}

#[test]
fn an_environment_that_broke_goes_with_a_deployment_and_counts_no_new_one() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.ends = std::iter::repeat_n(End::Crashes, 3).collect();
    bench.put("shard-0", 1);
    bench.run_until(at(2.5));
    let mut properties = function("enrich");
    properties["Code"]["S3Key"] = "v2.zip".into();
    bench.update("AWS::Lambda::Function", "enrich", properties).unwrap();
    bench.run_until(at(60.0));
    let starts: Vec<_> = bench.invocations.iter().map(|i| (i.revision, i.start)).collect();
    // The change was in progress until the third had begun.
    assert_eq!(starts, [(1, NEW), (1, Start::Again), (1, Start::Again), (2, NEW)]);
    bench.lambda.drop_idle(None);
    bench.put("shard-0", 1);
    bench.run_until(at(70.0));
    assert_eq!(bench.invocations[4].start, NEW);
}

#[test]
fn the_initialisation_of_a_new_environment_is_billed_and_is_no_part_of_the_duration() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.init = Duration::from_micros(40_300);
    bench.put("shard-0", 1);
    bench.run_until(at(5.0));
    let counted = ["Duration_ms", "InitDuration_ms", "BilledDuration_mib_ms"].map(|name| bench.counter(name));
    // 59.7 ms, 40.3 ms, and both together.
    assert_eq!(counted, [60, 41, 100 * 512]);
}
