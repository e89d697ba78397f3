//! Mappings over the API: their states, their changes; lanes and filters.

use super::*;

const MAPPINGS: &str = "/2015-03-31/event-source-mappings";

impl Bench {
    fn manage(&mut self, method: &str, target: &str, body: Value) -> Result<Value, AwsError> {
        let body: &'static [u8] = body.to_string().leak().as_bytes();
        let (status, answer) = self.call(method, target, &[], body)?;
        assert_eq!(status, if method == "GET" { 200 } else { 202 });
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }
}

#[test]
fn a_mapping_passes_through_its_states() {
    let mut bench = Bench::new(1);
    let created = bench.manage("POST", MAPPINGS, mapping(json!({ "BatchSize": 7 }))).unwrap();
    let target = format!("{MAPPINGS}/{}", created["UUID"].as_str().unwrap());
    assert_eq!(created["State"], "Creating");
    assert_eq!(created["LastProcessingResult"], "No records processed");
    let busy = bench.manage("PUT", &target, json!({ "BatchSize": 9 })).unwrap_err();
    assert_eq!((busy.code, busy.status), ("ResourceInUseException", 400));
    let same = bench.manage("POST", MAPPINGS, mapping(json!({}))).unwrap_err();
    assert_eq!((same.code, same.status), ("ResourceConflictException", 409));
    bench.put("shard-0", 3);
    bench.run_until(at(2.0));
    let got = bench.manage("GET", &target, json!({})).unwrap();
    assert_eq!((got["State"].as_str(), got["LastProcessingResult"].as_str()), (Some("Enabled"), Some("OK")));
    for (change, passing, then) in [
        (json!({ "BisectBatchOnFunctionError": true }), "Updating", "Enabled"),
        (json!({ "Enabled": false }), "Disabling", "Disabled"),
        (json!({ "Enabled": true, "MaximumRetryAttempts": 4 }), "Enabling", "Enabled"),
    ] {
        assert_eq!(bench.manage("PUT", &target, change).unwrap()["State"], passing);
        bench.run_until(bench.now + Duration::from_secs(2));
        assert_eq!(bench.manage("GET", &target, json!({})).unwrap()["State"], then);
    }
    let got = bench.manage("GET", &target, json!({})).unwrap();
    // What a change does not name stays.
    assert_eq!((&got["BatchSize"], &got["BisectBatchOnFunctionError"]), (&json!(7), &json!(true)));
    assert_eq!(got["MaximumRetryAttempts"], json!(4));
    assert_eq!(bench.manage("DELETE", &target, json!({})).unwrap()["State"], "Deleting");
    let listed = bench.manage("GET", MAPPINGS, json!({})).unwrap();
    assert_eq!(listed["EventSourceMappings"][0]["State"], "Deleting");
    bench.put("shard-0", 1);
    bench.run_until(at(60.0));
    assert_eq!(bench.manage("GET", &target, json!({})).unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(bench.invocations.len(), 1, "a deleted mapping reads nothing");
    let wrong = bench.manage("POST", MAPPINGS, mapping(json!({ "BatchSize": 0 }))).unwrap_err();
    assert_eq!(wrong.code, "InvalidParameterValueException");
    let fixed = bench.manage("PUT", &target, json!({ "StartingPosition": "LATEST" })).unwrap_err();
    assert_eq!(fixed.code, "NotImplemented");
}

#[test]
fn lanes_process_one_shard_at_the_same_time_and_a_change_of_their_number_waits_for_what_is_in_flight() {
    let mut bench = Bench::mapped(1, json!({ "ParallelizationFactor": 10, "BatchSize": 100 }));
    bench.run = Duration::from_secs(10);
    for key in 0..40 {
        bench.stream.put_keyed("shard-0", bench.now, &format!("key-{key}"), b"x");
    }
    bench.run_until(at(1.5));
    assert!((5..=10).contains(&bench.invocations.len()), "{}", bench.invocations.len());
    let id = bench.lambda.mappings[0].uuid.clone();
    bench.update("AWS::Lambda::EventSourceMapping", &id, mapping(json!({ "BatchSize": 100 }))).unwrap();
    let before = bench.invocations.len();
    for key in 0..40 {
        bench.stream.put_keyed("shard-0", bench.now, &format!("key-{key}"), b"y");
    }
    bench.run_until(at(10.9));
    assert_eq!(bench.invocations.len(), before);
    bench.run_until(at(60.0));
    assert_eq!(bench.batches()[before..], [(11.0, 40)]);
}

#[test]
fn records_that_no_filter_takes_are_skipped_and_counted() {
    let pattern = json!({ "data": { "kind": ["pump"] } }).to_string();
    let mut bench = Bench::mapped(1, json!({ "FilterCriteria": { "Filters": [{ "Pattern": pattern }] } }));
    for data in [r#"{"kind":"valve"}"#, r#"{"kind":"pump"}"#, "no JSON"] {
        bench.stream.put("shard-0", bench.now, data.as_bytes());
    }
    bench.run_until(at(10.0));
    assert_eq!(bench.invocations.iter().map(|i| i.records.clone()).collect::<Vec<_>>(), [[1_001]]);
    assert_eq!((bench.counter("PolledEventCount"), bench.counter("FilteredOutEventCount")), (3, 2));
}
