//! Functions and mappings that change while they work.

use super::*;

const FUNCTION: &str = "AWS::Lambda::Function";
const MAPPING: &str = "AWS::Lambda::EventSourceMapping";

fn deployed(key: &str) -> Value {
    let mut properties = function("enrich");
    properties["Code"]["S3Key"] = key.into();
    properties
}

/// (started, revision, cold) of each invocation so far.
fn revisions(bench: &Bench) -> Vec<(f64, u64, bool)> {
    bench.invocations.iter().map(|i| (i.started.since(START).as_secs_f64(), i.revision, i.is_cold())).collect()
}

#[test]
fn a_new_deployment_lets_invocations_end_and_starts_the_next_one_cold() {
    let mut bench = Bench::mapped(1, json!({ "BatchSize": 1 }));
    bench.run = Duration::from_secs(3);
    bench.put("shard-0", 4);
    bench.run_until(at(1.5));
    let provisioned = bench.update(FUNCTION, "enrich", deployed("v2.zip")).unwrap();
    assert_eq!(provisioned.ready_at, Some(at(3.5)));
    let status = |bench: &mut Bench| {
        let (_, body) = bench.call("GET", "/2015-03-31/functions/enrich/configuration", &[], b"").unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["LastUpdateStatus"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&mut bench), "InProgress");
    let error = bench.update(FUNCTION, "enrich", deployed("v3.zip")).unwrap_err();
    assert_eq!(error.code, "ResourceConflictException", "{error}");
    bench.run_until(at(3.6));
    assert_eq!(status(&mut bench), "Successful");
    bench.run_until(at(30.0));
    // The first ends at 4 s in the old environment, which serves no other event.
    assert_eq!(revisions(&bench), [(1.0, 1, true), (4.0, 2, true), (7.0, 2, false), (10.0, 2, false)]);
    assert_eq!(bench.batches().len(), 4, "nothing was lost and nothing came twice");
}

#[test]
fn idle_environments_go_with_a_change_of_the_configuration_and_stay_without_one() {
    let mut bench = Bench::mapped(1, json!({}));
    let put_at = |bench: &mut Bench, second: f64| {
        bench.run_until(at(second));
        bench.put("shard-0", 1);
    };
    put_at(&mut bench, 0.5);
    put_at(&mut bench, 5.5);
    let provisioned = bench.update(FUNCTION, "enrich", deployed("bootstrap.zip")).unwrap();
    assert_eq!(provisioned.ready_at, None, "nothing changed");
    let mut reserved = function("enrich");
    reserved["ReservedConcurrentExecutions"] = 5.into();
    assert_eq!(bench.update(FUNCTION, "enrich", reserved.clone()).unwrap().ready_at, None);
    put_at(&mut bench, 10.5);
    reserved["MemorySize"] = 1_024.into();
    reserved["Environment"]["Variables"]["TABLE"] = "other".into();
    assert!(bench.update(FUNCTION, "enrich", reserved).unwrap().ready_at.is_some());
    put_at(&mut bench, 15.5);
    bench.run_until(at(20.0));
    assert_eq!(
        bench.invocations.iter().map(|i| (i.revision, i.is_cold())).collect::<Vec<_>>(),
        [(1, true), (1, false), (1, false), (2, true)]
    );
    assert_eq!(bench.counter("BilledDuration_mib_ms"), 100 * (3 * 512 + 1_024));
}

#[test]
fn another_role_reads_the_stream_and_stands_in_the_events() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.run_until(at(1.5));
    bench.put("shard-0", 2);
    let mut properties = function("enrich");
    properties["Role"] = "arn:aws:iam::123456789012:role/other-with-a-longer-name".into();
    bench.update(FUNCTION, "enrich", properties).unwrap();
    bench.run_until(at(5.0));
    let (caller, ..) = bench.stream.reads.last().unwrap();
    assert_eq!(caller, "arn:aws:sts::123456789012:assumed-role/other-with-a-longer-name/enrich");
    let identity = &bench.invocations[0].event["Records"][1]["invokeIdentityArn"];
    assert_eq!(*identity, "arn:aws:iam::123456789012:role/other-with-a-longer-name");
}

#[test]
fn a_mapping_takes_its_new_settings_and_rests_while_it_is_disabled() {
    let mut bench = Bench::new(1);
    let id = bench.map(json!({ "BatchSize": 10 })).unwrap().physical_id;
    bench.run = Duration::from_secs(2);
    bench.put("shard-0", 30);
    bench.run_until(at(1.5));
    bench.update(MAPPING, &id, mapping(json!({ "BatchSize": 4, "Enabled": false }))).unwrap();
    bench.run_until(at(20.0));
    assert_eq!(bench.batches(), [(1.0, 10)], "the batch in flight ended, and no other began");
    bench.update(MAPPING, &id, mapping(json!({ "BatchSize": 4, "Enabled": true }))).unwrap();
    bench.run_until(at(60.0));
    assert_eq!(bench.batches()[1..3], [(20.0, 4), (22.0, 4)]);
    let records: Vec<u128> = bench.invocations.iter().flat_map(|i| i.records.clone()).collect();
    assert_eq!(records, (1_000..1_030).collect::<Vec<u128>>());
}

#[test]
fn lanes_change_once_the_failure_destination_of_a_batch_in_the_old_ones_is_told() {
    let lanes = |factor: u64| {
        json!({
            "BatchSize": 1, "ParallelizationFactor": factor, "MaximumRetryAttempts": 0,
            "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:s3:::quarantine" } },
        })
    };
    let mut bench = Bench::new(1);
    let id = bench.map(lanes(1)).unwrap().physical_id;
    bench.ends = [End::Throws].into();
    bench.store.refusals = 1;
    bench.put("shard-0", 10);
    bench.run_until(at(1.5));
    bench.update(MAPPING, &id, mapping(lanes(2))).unwrap();
    bench.run_until(at(60.0));
    assert_eq!((bench.store.objects.len(), bench.batches().len()), (1, 10), "nothing waits for ever");
}

#[test]
fn a_mapping_that_was_never_enabled_begins_when_it_is() {
    let mut bench = Bench::new(1);
    let id = bench.map(json!({ "Enabled": false })).unwrap().physical_id;
    bench.put("shard-0", 3);
    bench.run_until(at(10.0));
    bench.update(MAPPING, &id, mapping(json!({}))).unwrap();
    bench.run_until(at(20.0));
    assert_eq!(bench.batches(), [(11.0, 3)]);
}

#[test]
fn a_deleted_mapping_stops_after_the_batch_in_flight() {
    let mut bench = Bench::new(1);
    let id = bench.map(json!({ "BatchSize": 5 })).unwrap().physical_id;
    bench.run = Duration::from_secs(2);
    bench.ends = [End::Throws].into();
    bench.put("shard-0", 20);
    bench.run_until(at(1.5));
    bench.delete(MAPPING, &id);
    bench.run_until(at(100.0));
    assert_eq!(bench.batches(), [(1.0, 5)]);
    // Its stream is resharded, and nothing waits for it.
    bench.stream.add_shard("shard-1", &["shard-0"]);
    let waiting = bench.lambda.waiting(&|_, _, _| 20, &|_| vec!["shard-0".into(), "shard-1".into()]);
    assert!(waiting.is_empty(), "{waiting:?}");
    bench.stream.shards.remove("shard-1");
    let reads = bench.stream.reads.len();
    bench.run_until(at(200.0));
    assert_eq!(bench.stream.reads.len(), reads);
    let again = bench.map(json!({})).unwrap().physical_id;
    assert_ne!(again, id);
    bench.run_until(at(210.0));
    assert_eq!(bench.batches()[1], (201.0, 20));
}

#[test]
fn a_function_that_is_gone_fails_its_mapping_until_it_is_back() {
    let mut bench = Bench::mapped(1, json!({}));
    bench.run_until(at(0.5));
    bench.delete(FUNCTION, "enrich");
    bench.put("shard-0", 3);
    bench.run_until(at(20.0));
    assert!(bench.invocations.is_empty());
    // What is not invoked is no error of an invocation.
    assert!(bench.counter("NotInvoked") > 0);
    assert_eq!((bench.counter("Errors"), bench.counter("Invocations")), (0, 0));
    bench.provision(FUNCTION, function("enrich")).unwrap();
    bench.run_until(at(60.0));
    assert_eq!((bench.invocations.len(), bench.invocations[0].revision), (1, 2));
}

#[test]
fn reserved_concurrency_is_a_ceiling_and_is_kept_from_the_others() {
    let mut bench = Bench::mapped(3, json!({}));
    bench.run = Duration::from_secs(10);
    let mut properties = function("enrich");
    properties["ReservedConcurrentExecutions"] = 2.into();
    bench.update(FUNCTION, "enrich", properties.clone()).unwrap();
    for shard in ["shard-0", "shard-1", "shard-2"] {
        bench.put(shard, 1);
    }
    bench.run_until(at(1.0));
    assert_eq!((bench.invocations.len(), bench.counter("Throttles")), (2, 1));
    bench.run_until(at(60.0));
    assert_eq!(bench.invocations.len(), 3);
    properties["ReservedConcurrentExecutions"] = 0.into();
    bench.update(FUNCTION, "enrich", properties).unwrap();
    bench.put("shard-0", 1);
    bench.run_until(at(120.0));
    assert_eq!(bench.invocations.len(), 3, "none at all is allowed");
    let mut greedy = function("greedy");
    greedy["ReservedConcurrentExecutions"] = 901.into();
    assert!(bench.provision(FUNCTION, greedy).unwrap_err().message.contains("minimum value of [100]"));
}
