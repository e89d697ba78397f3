//! Reading, batching, delivering again, shards that end, and execution environments.

use super::*;

#[test]
fn an_idle_shard_is_read_once_a_second_in_the_functions_role() {
    let mut bench = Bench::mapped(2, json!({}));
    bench.run_until(at(10.5));
    assert_eq!(bench.stream.reads.len(), 20);
    let (caller, shard, time, _) = &bench.stream.reads[0];
    assert_eq!(caller, "arn:aws:sts::123456789012:assumed-role/enrichment-role/enrich");
    assert_eq!((shard.as_str(), *time), ("shard-0", at(1.0)));
    assert!(bench.invocations.is_empty());
}

#[test]
fn without_a_window_a_batch_is_what_a_read_brought() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 100 }));
    bench.put("shard-0", 30);
    bench.run_until(at(1.5));
    bench.put("shard-0", 250);
    bench.run_until(at(10.0));
    // The batches of one read follow one another as fast as the function allows.
    assert_eq!(bench.batches(), [(1.0, 30), (2.0, 100), (2.1, 100), (2.2, 50)]);
    assert_eq!(bench.counter("PolledEventCount"), 280);
    assert_eq!(bench.counter("Invocations"), 4);
    assert_eq!(bench.counter("InvokedEventCount"), 280);
    assert_eq!(bench.counter("Duration_ms"), 400);
    assert_eq!(bench.counter("BilledDuration_mib_ms"), 400 * 512);
}

#[test]
fn a_window_gathers_until_it_is_over_or_the_batch_is_full() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 100, "MaximumBatchingWindowInSeconds": 5 }));
    for second in 0..20 {
        bench.put("shard-0", 10);
        bench.run_until(at(f64::from(second) + 0.5));
    }
    // Records read at 1 to 6 s are delivered together; so are those of 7 to 12 s.
    assert_eq!(bench.batches(), [(6.0, 70), (12.0, 60), (18.0, 60)]);
    bench.put("shard-0", 500);
    bench.run_until(at(20.0));
    assert!(bench.batches()[3..].iter().all(|(_, records)| *records == 100), "{:?}", bench.batches());
}

#[test]
fn an_event_holds_at_most_six_megabytes() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 10_000 }));
    let data = vec![7_u8; 1_000_000];
    for _ in 0..10 {
        bench.stream.put("shard-0", bench.now, &data);
    }
    bench.run_until(at(5.0));
    let sizes: Vec<usize> = bench.invocations.iter().map(|i| i.event.to_string().len()).collect();
    assert_eq!(bench.batches().iter().map(|b| b.1).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(sizes.iter().all(|size| *size <= 6_291_456), "{sizes:?}");
}

#[test]
fn a_record_that_no_event_can_hold_is_dropped_and_counted() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.stream.put("shard-0", bench.now, &vec![7_u8; 5_000_000]);
    bench.put("shard-0", 1);
    bench.run_until(at(5.0));
    assert_eq!(bench.invocations[0].records, [1_001]);
    assert_eq!(bench.counter("DroppedEventCount"), 1);
}

#[test]
fn one_batch_is_in_flight_per_shard_and_shards_do_not_wait_for_each_other() {
    let mut bench = Bench::mapped(2, json!({ "BatchSize": 10 }));
    bench.run = Duration::from_secs(7);
    bench.put("shard-0", 20);
    bench.put("shard-1", 10);
    bench.run_until(at(20.0));
    let started: Vec<_> = bench.invocations.iter().map(|i| (i.shard.as_str(), i.started)).collect();
    assert_eq!(started, [("shard-0", at(1.0)), ("shard-1", at(1.0)), ("shard-0", at(8.0))]);
    assert!(bench.invocations.iter().all(|i| i.function == "enrich"));
}

#[test]
fn a_failed_batch_comes_again_whole_with_growing_waits_and_blocks_its_shard() {
    for (end, kind) in [(End::Throws, "Unhandled"), (End::TimesOut, "TimedOut"), (End::Answers("{}"), "Success")] {
        let mut bench = Bench::mapped(1, json!({ "BatchSize": 10 }));
        bench.ends = std::iter::repeat_n(end, 3).collect();
        bench.put("shard-0", 10);
        bench.run_until(at(1.05));
        bench.put("shard-0", 5);
        bench.run_until(at(400.0));
        let records: Vec<u128> = bench.invocations.iter().map(|i| i.records[0]).collect();
        let waits: Vec<f64> =
            bench.invocations.windows(2).map(|pair| pair[1].started.since(pair[0].started).as_secs_f64()).collect();
        let run = if kind == "TimedOut" { 60.0 } else { 0.1 };
        if kind == "Success" {
            assert_eq!(records, [1_000, 1_010]);
        } else {
            assert_eq!(records, [1_000, 1_000, 1_000, 1_000, 1_010]);
            assert_eq!(waits, [run + 1.0, run + 2.0, run + 4.0, 0.1], "{kind}");
            assert_eq!(bench.counter("Errors"), 3);
            assert_eq!(bench.counter("FailedInvokeEventCount"), 30);
            assert_eq!(bench.parts.meter.calls()[&("lambda", "Invoke")].error, 3);
        }
    }
}

#[test]
fn the_reported_record_is_the_checkpoint() {
    let mut bench = Bench::mapped(1, json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] }));
    bench.put("shard-0", 10);
    bench.ends = [End::FailsAt(6), End::FailsAt(0), End::FailsAt(3)].into();
    bench.run_until(at(30.0));
    let batches: Vec<_> = bench.invocations.iter().map(|i| (i.records[0] - 1_000, i.records.len())).collect();
    assert_eq!(batches, [(0, 10), (6, 4), (6, 4), (9, 1)]);
    // 4, 4 and 1 records were not done; none of the invocations was an error.
    assert_eq!(bench.counter("FailedInvokeEventCount"), 9);
    assert_eq!(bench.counter("Errors"), 0);
}

#[test]
fn item_failures_count_only_where_the_mapping_asks_for_them() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.put("shard-0", 10);
    bench.ends = [End::FailsAt(6)].into();
    bench.run_until(at(30.0));
    assert_eq!(bench.invocations.len(), 1);
}

#[test]
fn an_invalid_answer_fails_the_batch() {
    let mut bench = Bench::mapped(1, json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] }));
    bench.put("shard-0", 10);
    bench.ends = [End::Answers(r#"{"batchItemFailures":[{"itemIdentifier":"x"}]}"#), End::Answers("null")].into();
    bench.run_until(at(30.0));
    assert_eq!(bench.batches().iter().map(|b| b.1).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn a_throttled_read_is_tried_again_a_second_later_and_loses_nothing() {
    for start in ["TRIM_HORIZON", "LATEST"] {
        let mut bench = Bench::mapped(1, json!({ "StartingPosition": start }));
        bench.stream.refusals = 3;
        bench.run_until(at(1.5));
        // LATEST was settled by the refused read at 1 s.
        bench.put("shard-0", 10);
        bench.run_until(at(10.0));
        assert_eq!(bench.batches(), [(4.0, 10)], "{start}");
    }
}

#[test]
fn the_starting_position_says_which_records_are_read() {
    // A timestamp is not in the future.
    let time = "StartingPositionTimestamp";
    for (created, settings, expected) in [
        (0.0, json!({}), vec![1_000, 1_001, 1_002]),
        (0.0, json!({ "StartingPosition": "LATEST" }), vec![1_002]),
        (0.4, json!({ "StartingPosition": "AT_TIMESTAMP", time: 1_800_000_000.4 }), vec![1_001, 1_002]),
    ] {
        let mut bench = Bench::new(1);
        let mut settings = Some(settings);
        for second in [0.3, 0.5, 1.5] {
            if created < second
                && let Some(settings) = settings.take()
            {
                bench.run_until(at(created));
                bench.map(settings).unwrap();
            }
            bench.run_until(at(second));
            bench.put("shard-0", 1);
        }
        bench.run_until(at(10.0));
        let read: Vec<u128> = bench.invocations.iter().flat_map(|i| i.records.clone()).collect();
        assert_eq!(read, expected);
    }
}

#[test]
fn children_are_read_once_their_parents_are_processed() {
    for start in ["TRIM_HORIZON", "LATEST"] {
        let mut bench = Bench::mapped(2, json!({ "StartingPosition": start }));
        bench.run = Duration::from_secs(5);
        bench.run_until(at(1.5));
        bench.put("shard-0", 3);
        bench.put("shard-1", 4);
        // The two shards are merged, and the child is split.
        bench.stream.add_shard("shard-2", &["shard-0", "shard-1"]);
        bench.put("shard-2", 5);
        for child in ["shard-3", "shard-4"] {
            bench.stream.add_shard(child, &["shard-2"]);
            bench.put(child, 2);
        }
        for closed in ["shard-0", "shard-1", "shard-2"] {
            bench.stream.shards.get_mut(closed).unwrap().closed = true;
        }
        bench.ends = [End::Throws].into();
        bench.run_until(at(60.0));
        let order: Vec<_> = bench.invocations.iter().map(|i| (i.shard.as_str(), i.records.len())).collect();
        let expected = [("shard-0", 3), ("shard-1", 4), ("shard-0", 3), ("shard-2", 5), ("shard-3", 2), ("shard-4", 2)];
        assert_eq!(order, expected, "{start}");
        let again = bench.invocations[2].started;
        assert!(bench.invocations[3].started >= again + bench.run, "the child waits for the slower parent");
        let reads = bench.stream.reads.len();
        bench.run_until(at(70.2));
        let later: Vec<_> = bench.stream.reads[reads..].iter().map(|read| read.1.as_str()).collect();
        assert!(later.iter().all(|shard| ["shard-3", "shard-4"].contains(shard)), "ended shards are left alone");
    }
}

#[test]
fn latest_skips_shards_that_were_closed_before_the_mapping() {
    let mut bench = Bench::new(1);
    bench.put("shard-0", 3);
    bench.stream.shards.get_mut("shard-0").unwrap().closed = true;
    bench.stream.add_shard("shard-1", &["shard-0"]);
    bench.map(json!({ "StartingPosition": "LATEST" })).unwrap();
    bench.run_until(at(1.5));
    bench.put("shard-1", 2);
    bench.run_until(at(5.0));
    assert_eq!(bench.invocations.iter().map(|i| i.shard.as_str()).collect::<Vec<_>>(), ["shard-1"]);
}

#[test]
fn a_batch_is_given_up_once_the_stream_no_longer_keeps_it() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.ends = std::iter::repeat_n(End::Throws, 10_000).collect();
    bench.put("shard-0", 10);
    bench.run_until(at(86_000.0));
    let before = bench.invocations.len();
    assert!(bench.invocations.iter().all(|i| i.records.len() == 10));
    // 24 hours are over, and the first six records are gone.
    bench.stream.shards.get_mut("shard-0").unwrap().trimmed = 6;
    bench.run_until(at(86_600.0));
    assert_eq!(bench.invocations.last().unwrap().records, [1_006, 1_007, 1_008, 1_009]);
    assert!(bench.invocations.len() > before);
    bench.stream.shards.get_mut("shard-0").unwrap().trimmed = 10;
    bench.run_until(at(86_700.0));
    let last = bench.invocations.len();
    bench.run_until(at(87_000.0));
    assert_eq!((bench.counter("DroppedEventCount"), bench.invocations.len()), (10, last));
}

#[test]
fn a_batch_that_is_never_admitted_is_given_up_once_the_stream_no_longer_keeps_it() {
    let mut bench = Bench::mapped(1, json!({}));
    let mut properties = function("enrich");
    properties["ReservedConcurrentExecutions"] = 0.into();
    bench.update("AWS::Lambda::Function", "enrich", properties).unwrap();
    bench.put("shard-0", 10);
    bench.run_until(at(86_000.0));
    bench.stream.shards.get_mut("shard-0").unwrap().trimmed = 6;
    bench.run_until(at(86_600.0));
    bench.update("AWS::Lambda::Function", "enrich", function("enrich")).unwrap();
    bench.run_until(at(86_700.0));
    let delivered: Vec<_> = bench.invocations.iter().map(|i| i.records.clone()).collect();
    assert_eq!((delivered, bench.counter("DroppedEventCount")), (vec![vec![1_006, 1_007, 1_008, 1_009]], 6));
}

#[test]
fn an_environment_is_cold_when_none_is_idle_and_is_lost_with_a_failure() {
    let mut bench = Bench::mapped(2, json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] }));
    bench.ends = [End::Ok, End::Ok, End::Throws, End::FailsAt(0)].into();
    bench.put("shard-0", 1);
    bench.put("shard-1", 1);
    bench.run_until(at(1.5));
    bench.put("shard-0", 1);
    bench.run_until(at(5.0));
    bench.put("shard-0", 1);
    bench.put("shard-1", 1);
    bench.run_until(at(10.0));
    // Two start; one is used again and lost by an error; the other serves the repetition, and with it the rest, one at a
    // time; a second one starts when both shards deliver at once.
    let cold: Vec<bool> = bench.invocations.iter().map(|i| i.is_cold()).collect();
    assert_eq!(cold, [true, true, false, false, false, false, true]);
    assert_eq!(bench.counter("ColdStarts"), 3);
    assert_eq!(bench.invocations[0].deadline, at(61.0));
}

#[test]
fn beyond_the_accounts_concurrency_invocations_are_throttled_and_come_again() {
    let mut bench = Bench::mapped(1_003, json!({}));
    bench.run = Duration::from_secs(10);
    for shard in 0..1_003 {
        bench.put(&format!("shard-{shard}"), 1);
    }
    bench.run_until(at(1.0));
    assert_eq!((bench.invocations.len(), bench.counter("Throttles")), (1_000, 3));
    bench.run_until(at(60.0));
    assert_eq!(bench.invocations.len(), 1_003);
    let calls = bench.parts.meter.calls()[&("lambda", "Invoke")];
    assert_eq!((calls.ok, calls.error, calls.throttled), (1_003, 0, bench.counter("Throttles")));
    let times: std::collections::BTreeSet<Time> = bench.invocations.iter().map(|i| i.started).collect();
    // 1 s, 2 s and 4 s after the first refusal are too early; 8 s later there is room.
    assert_eq!(times.into_iter().collect::<Vec<_>>(), [at(1.0), at(16.0)]);
}

#[test]
fn what_waits_in_memory_is_bounded_while_a_shard_is_blocked() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 100 }));
    bench.ends = std::iter::repeat_n(End::Throws, 1_000).collect();
    for second in 0..60 {
        bench.put("shard-0", 1_000);
        bench.run_until(at(f64::from(second) + 0.5));
    }
    // The first read brought what was put until then; it holds a whole batch beside the one that fails.
    assert_eq!(bench.counter("PolledEventCount"), 2_000);
    bench.ends.clear();
    bench.run_until(at(600.0));
    assert_eq!(bench.counter("PolledEventCount"), 60_000);
    let delivered: std::collections::BTreeSet<u128> =
        bench.invocations.iter().flat_map(|i| i.records.iter().copied()).collect();
    assert_eq!(delivered.len(), 60_000);
}

#[test]
fn a_read_takes_all_it_can_while_there_is_room_however_much_waits() {
    let settings =
        |lanes| json!({ "ParallelizationFactor": lanes, "BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 300 });
    let mut bench = Bench::mapped(1, settings(10));
    for record in 0..45_000 {
        bench.stream.put_keyed("shard-0", bench.now, &format!("key-{}", record % 100), b"x");
    }
    bench.run_until(at(5.5));
    let sizes = |bench: &Bench| bench.stream.reads.iter().map(|read| read.3).collect::<Vec<_>>();
    assert_eq!(sizes(&bench), [10_000, 10_000, 10_000, 10_000, 5_000]);
    // One lane that is nearly full reads on, too.
    let mut bench = Bench::mapped(1, settings(1));
    bench.put("shard-0", 9_990);
    bench.run_until(at(1.5));
    bench.put("shard-0", 9_000);
    bench.run_until(at(2.5));
    assert_eq!(sizes(&bench)[..2], [9_990, 9_000]);
}

#[test]
fn a_poller_that_stands_still_reads_and_delivers_nothing_and_goes_on_where_it_was() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 10 }));
    bench.run_until(START + Duration::from_secs(5));
    let until = START + Duration::from_secs(130);
    bench.parts.disturb = Some(Box::new(Plan { still_until: Some(until), ..Plan::default() }));
    bench.put("shard-0", 3);
    bench.run_until(at(129.0));
    assert_eq!(bench.invocations.len(), 0);
    bench.run_until(at(135.0));
    assert_eq!(bench.invocations.iter().map(|i| i.records.len()).sum::<usize>(), 3);
    let marks = bench.parts.trace.marks();
    assert!(marks["reader-stood-still"] >= 2 && marks["reader-behind"] > 0, "{marks:?}");
}

#[test]
fn reads_that_fail_or_are_not_answered_are_repeated_without_losing_or_doubling_a_record() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 10 }));
    let error = || AwsError::new("InternalFailureException", "x").status(500);
    let calls = [None, Some(Disturbance::Refused(error())), Some(Disturbance::AnswerLost(error()))];
    bench.parts.disturb = Some(Box::new(Plan { calls: calls.into(), ..Plan::default() }));
    bench.put("shard-0", 4);
    bench.run_until(START + Duration::from_secs(2));
    bench.put("shard-0", 4);
    bench.run_until(START + Duration::from_secs(10));
    let delivered: Vec<u128> = bench.invocations.iter().flat_map(|i| i.records.clone()).collect();
    assert!(delivered.len() == 8 && delivered.is_sorted(), "{delivered:?}");
}
