//! The function on the real SDK, against an account in memory that fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

mod redelivery;

use super::handler::UNKNOWN_WAITS;
use super::*;
use crate::function::FunctionError;
use crate::testing::{self, FIRST_SEQUENCE_NUMBER, Fault, Reply, Services};

const TABLE: &str = "directory";

type RecordFault = Box<dyn FnMut(&str, &[u8]) -> bool + Send>;

/// Kinesis, DynamoDB and S3 as far as the function uses them.
#[derive(Default)]
struct Lake {
    devices: BTreeMap<String, Value>,
    written: Vec<(String, Value)>,
    /// The same as bytes.
    data: Vec<Vec<u8>>,
    objects: BTreeMap<String, String>,
    unprocessed: usize,
    fail_record: Option<RecordFault>,
}

type Account = testing::Account<Lake>;

impl Account {
    fn with_devices(ids: &[&str]) -> Self {
        let account = Account::default();
        ids.iter().for_each(|id| account.register(id));
        account
    }

    fn register(&self, id: &str) {
        let item = json!({
            "device_key": {"S": format!("acme#{id}")},
            "tenant_id": {"S": "acme"},
            "device_id": {"S": id},
            "device_type": {"S": "pump"},
            "units": {"M": {"temp": {"S": "fahrenheit"}, "odd": {"S": "furlong"}, "length": {"S": "km"}}},
        });
        self.state().devices.insert(format!("acme#{id}"), item);
    }

    fn fail_records(&self, fault: impl FnMut(&str, &[u8]) -> bool + Send + 'static) {
        self.state().fail_record = Some(Box::new(fault));
    }

    fn function(&self) -> Enrichment {
        Enrichment::new(&self.config(), &Self::environment()).expect("the configuration is complete")
    }

    /// Invokes the function with a batch. Answers the position from which it wants the batch again.
    fn invoke(&self, function: &Enrichment, batch: &[String]) -> Result<Option<usize>, FunctionError> {
        self.invoke_within(function, batch, Duration::from_secs(60))
    }

    fn invoke_within(
        &self,
        function: &Enrichment,
        batch: &[String],
        time: Duration,
    ) -> Result<Option<usize>, FunctionError> {
        self.invoke_batch(function, &testing::batch(FIRST_SEQUENCE_NUMBER, batch), time)
    }

    /// Sequence numbers of a device's readings in the order of the stream.
    fn seqs(&self, device: &str) -> Vec<u64> {
        let state = self.state();
        let of_device = state.written.iter().filter(|(key, _)| key == device);
        of_device.map(|(_, reading)| reading["seq"].as_u64().expect("seq is a number")).collect()
    }

    /// The payloads in the quarantine, sorted; one that was kept twice comes twice.
    fn refused_payloads(&self) -> Vec<String> {
        let payload = |line: &Value| {
            let data = STANDARD.decode(line["data"].as_str().expect("data is a text")).expect("data is base64");
            String::from_utf8(data).expect("what tests send is text")
        };
        let mut payloads: Vec<String> = self.quarantined().iter().map(payload).collect();
        payloads.sort();
        payloads
    }

    /// Every line of the quarantine.
    fn quarantined(&self) -> Vec<Value> {
        let state = self.state();
        let lines = state.objects.values().flat_map(|body| body.lines());
        lines.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

impl Services for Lake {
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("DIRECTORY_TABLE", TABLE), ("ENRICHED_STREAM", "enriched"), ("QUARANTINE_BUCKET", "lake")];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        Reply::ok(match operation {
            "PutRecords" => self.put_records(&testing::body(request)),
            "BatchGetItem" => self.batch_get_item(&testing::body(request)),
            "PutObject" => {
                let body = String::from_utf8(testing::bytes(request).to_vec()).expect("the quarantine is text");
                self.objects.insert(testing::path(request).to_owned(), body);
                String::new()
            }
            other => panic!("the function calls {other}"),
        })
    }
}

impl Lake {
    fn put_records(&mut self, request: &Value) -> String {
        assert_eq!(request["StreamName"], "enriched");
        let records = request["Records"].as_array().expect("a request has records");
        assert!((1..=500).contains(&records.len()), "{} records in a call", records.len());
        let mut keys = BTreeSet::new();
        let mut results = Vec::new();
        for record in records {
            let key = record["PartitionKey"].as_str().expect("a record has a key").to_owned();
            assert!(keys.insert(key.clone()), "two records of {key} in one call: their order is not guaranteed");
            let data = STANDARD.decode(record["Data"].as_str().expect("a record has data")).expect("data is base64");
            if self.fail_record.as_mut().is_some_and(|fault| fault(&key, &data)) {
                results.push(
                    json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}),
                );
            } else {
                self.written.push((key, serde_json::from_slice(&data).expect("data is JSON")));
                self.data.push(data);
                results.push(json!({"ShardId": "shardId-000000000000", "SequenceNumber": "1"}));
            }
        }
        let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
        json!({"FailedRecordCount": failed, "Records": results}).to_string()
    }

    fn batch_get_item(&mut self, request: &Value) -> String {
        let keys = request["RequestItems"][TABLE]["Keys"].as_array().expect("a request has keys");
        assert!((1..=100).contains(&keys.len()), "{} keys in a call", keys.len());
        let left_over = self.unprocessed.min(keys.len() - 1);
        self.unprocessed = 0;
        let (now, later) = keys.split_at(keys.len() - left_over);
        let item = |key: &Value| self.devices.get(key["device_key"]["S"].as_str().expect("a key is a text")).cloned();
        let items: Vec<Value> = now.iter().filter_map(item).collect();
        let unprocessed = if later.is_empty() { json!({}) } else { json!({TABLE: {"Keys": later}}) };
        json!({"Responses": {TABLE: items}, "UnprocessedKeys": unprocessed}).to_string()
    }
}

fn reading(device: &str, seq: u64) -> String {
    json!({
        "seq": seq, "ts": 1_772_323_200_000_i64, "metrics": {"temp": 212.0, "spin": 3.5},
        "tenant_id": "acme", "device_id": device, "received_at": 1_772_323_200_040_i64,
    })
    .to_string()
}

#[test]
fn a_valid_reading_comes_out_with_its_device_s_type_and_in_canonical_units() {
    let account = Account::with_devices(&["a"]);
    assert_eq!(account.invoke(&account.function(), &[reading("a", 7)]).unwrap(), None);
    let expected = json!({
        "tenant_id": "acme", "device_id": "a", "device_type": "pump", "seq": 7,
        "ts": 1_772_323_200_000_i64, "received_at": 1_772_323_200_040_i64, "event_at": 1_772_323_200_000_i64,
        "metrics": {"temp": 100.0, "spin": 3.5}, "flags": ["unit-undeclared"],
    });
    let state = account.state();
    let (key, value) = &state.written[0];
    assert_eq!(key, "a");
    let temp = value["metrics"]["temp"].as_f64().unwrap();
    assert!((temp - 100.0).abs() < 1e-9, "{temp}");
    let mut value = value.clone();
    value["metrics"]["temp"] = json!(100.0);
    assert_eq!(value, expected);
    let columns: Vec<&str> = PROCESSED_COLUMNS.iter().map(|column| column.name).collect();
    assert!(value.as_object().unwrap().keys().all(|member| columns.contains(&member.as_str())), "{value}");
}

#[test]
fn clocks_that_are_off_are_flagged_and_recorded_timestamps_travel() {
    let account = Account::with_devices(&["a"]);
    let with = |ts: i64| {
        reading("a", 1).replace("\"ts\":1772323200000", &format!("\"ts\":{ts},\"recorded_at\":\"2014-04-01 00:00:00\""))
    };
    let arrival = 1_772_323_200_040;
    let batch = [arrival - 3_600_001_i64, arrival - 3_600_000, arrival + 300_000, arrival + 300_001].map(with);
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    let state = account.state();
    let flags: Vec<&Value> = state.written.iter().map(|(_, value)| &value["flags"]).collect();
    assert_eq!(
        flags,
        [
            &json!(["late", "unit-undeclared"]),
            &json!(["unit-undeclared"]),
            &json!(["skewed", "unit-undeclared"]),
            &json!(["ahead", "skewed", "unit-undeclared"]),
        ]
    );
    let event_at = state.written.iter().map(|(_, value)| value["event_at"].as_i64().unwrap() - arrival);
    assert_eq!(event_at.collect::<Vec<_>>(), [-3_600_001, -3_600_000, 0, 0]);
    assert_eq!(state.written[2].1["clock_skew_ms"], -300_000);
    assert_eq!(state.written[1].1.get("clock_skew_ms"), None);
    assert_eq!(state.written[0].1["recorded_at"], "2014-04-01 00:00:00");
}

/// The same reading in version 2, sent at `sent_at`, with `temp` in `unit`.
fn second(device: &str, seq: u64, (ts, sent_at): (i64, i64), unit: &str) -> String {
    json!({
        "v": 2, "seq": seq, "ts": ts, "sent_at": sent_at,
        "metrics": {"temp": {"value": 373.15, "unit": unit}, "odd": {"value": 1.0, "unit": "s"}, "length": 2.0},
        "tenant_id": "acme", "device_id": device, "received_at": 1_772_323_200_040_i64,
    })
    .to_string()
}

#[test]
fn both_versions_flow_together_and_the_payload_s_units_and_stamps_win() {
    let account = Account::with_devices(&["a", "b"]);
    let (arrival, hour) = (1_772_323_200_040_i64, 3_600_000);
    let batch = [
        reading("a", 1),
        second("a", 2, (arrival - 40, arrival - 20), "kelvin"),
        second("b", 1, (arrival + 3 * hour, arrival + 3 * hour + 20), "K"),
        second("b", 2, (arrival - 30 * hour, arrival), "kelvin"),
        second("b", 3, (arrival - 2 * hour - 20, arrival - 2 * hour), "kelvin"),
        second("b", 4, (arrival - 40, arrival - 20), "furlong"),
        reading("b", 5),
    ];
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    assert_eq!((account.seqs("a"), account.seqs("b")), (vec![1, 2], vec![1, 2, 3, 5]));
    let found = |device: &str, seq: u64| {
        let state = account.state();
        let of = |(key, value): &&(String, Value)| key == device && value["seq"] == seq;
        let value = state.written.iter().find(of).expect("it was written").1.clone();
        let skew = value.get("clock_skew_ms").and_then(Value::as_i64);
        (value["event_at"].as_i64().unwrap() - arrival, skew, value["flags"].to_string(), value["metrics"].clone())
    };
    let (event_at, skew, flags, metrics) = found("a", 2);
    assert!((metrics["temp"].as_f64().unwrap() - 100.0).abs() < 1e-9, "{metrics}");
    assert_eq!(
        (&metrics["odd"], &metrics["length"]),
        (&json!(1.0), &json!(2000.0)),
        "the directory's unit of odd is unknown"
    );
    assert_eq!((event_at, skew, flags.as_str()), (-40, None, "[]"));
    let (event_at, skew, flags, _) = found("b", 1);
    assert_eq!((event_at, skew, flags.as_str()), (-20, Some(-3 * hour - 20), r#"["ahead","skewed"]"#));
    let (event_at, skew, flags, _) = found("b", 2);
    assert_eq!(
        (event_at, skew, flags.as_str()),
        (-30 * hour, None, r#"["late"]"#),
        "it was held back: nothing is corrected"
    );
    let (event_at, skew, flags, _) = found("b", 3);
    assert_eq!((event_at, skew, flags.as_str()), (-20, Some(2 * hour), r#"["skewed"]"#));
    let refused = account.quarantined();
    assert_eq!((refused.len(), &refused[0]["reason"]), (1, &json!("unknown-unit")));
    assert_eq!(refused[0]["detail"], r#"metric "temp" is in "furlong", as the payload says"#);
    assert_eq!(refused[0]["partition_key"], "k");
}

#[test]
fn what_is_refused_is_kept_with_its_reason_and_its_bytes() {
    let account = Account::with_devices(&["a"]);
    account.state().elapsed += UNKNOWN_WAITS + Duration::from_secs(1);
    let batch = [
        "garbage".to_owned(),
        reading("a", 1),
        reading("nobody", 2),
        reading("a", 3).replace("spin", "odd"),
        reading("a", 4).replace("acme", "other"),
        reading("a", 5).replace("spin", "length").replace("3.5", "1.7e308"),
        reading("a", 6),
    ];
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    assert_eq!(account.seqs("a"), [1, 6]);
    let lines = account.quarantined();
    let reasons: Vec<&str> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["not-json", "unknown-device", "unknown-unit", "unknown-device", "metric-not-finite"]);
    for (line, position) in lines.iter().zip([0, 2, 3, 4, 5]) {
        assert_eq!(line["shard_id"], "shardId-000000000003");
        assert_eq!(line["sequence_number"], (1000 + position).to_string());
        assert_eq!(STANDARD.decode(line["data"].as_str().unwrap()).unwrap(), batch[position].as_bytes());
        assert!(!line["detail"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_batch_that_comes_again_as_a_whole_overwrites_its_quarantine() {
    let account = Account::with_devices(&["a"]);
    let batch = [reading("a", 1), "garbage".to_owned(), reading("a", 2), "more garbage".to_owned()];
    for function in [account.function(), account.function()] {
        assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    }
    let state = account.state();
    assert_eq!(state.objects.len(), 1, "{:?}", state.objects.keys());
    let key = state.objects.keys().next().unwrap();
    assert!(key.starts_with("quarantine/shardId-000000000003/1001-1003-"), "{key}");
    assert!(key.ends_with(".ndjson"), "{key}");
}

#[test]
fn a_batch_that_comes_again_in_part_keeps_each_refused_record_once() {
    let account = Account::with_devices(&["a", "b"]);
    let batch =
        ["garbage 0".to_owned(), reading("a", 1), "garbage 2".to_owned(), reading("b", 1), "garbage 4".to_owned()];
    account.fail_records(|key, _| key == "b");
    let function = account.function();
    assert_eq!(account.invoke(&function, &batch).unwrap(), Some(3));
    assert_eq!(account.quarantined().len(), 2, "what comes again is not kept yet");
    assert_eq!(account.invoke(&function, &batch[3..]).unwrap(), Some(0));
    account.state().fail_record = None;
    assert_eq!(account.invoke(&function, &batch[3..]).unwrap(), None);
    assert_eq!((account.seqs("a"), account.seqs("b")), (vec![1], vec![1]));
    assert_eq!(account.refused_payloads(), ["garbage 0", "garbage 2", "garbage 4"]);
}

#[test]
fn while_the_quarantine_fails_the_batch_comes_again_from_its_first_refused_record() {
    let account = Account::with_devices(&["a"]);
    account.fail_calls(|operation| (operation == "PutObject").then_some(Fault::Answer(503, "SlowDown")));
    let batch = [reading("a", 1), "garbage 1".to_owned(), reading("a", 2), "garbage 3".to_owned()];
    let function = account.function();
    assert_eq!(account.invoke(&function, &batch).unwrap(), Some(1));
    for _ in 0..3 {
        assert_eq!(account.invoke(&function, &batch[1..]).unwrap(), Some(0));
    }
    assert_eq!(account.seqs("a"), [1, 2], "nothing is doubled while the quarantine is out of reach");
    account.fail_calls(|_| None);
    assert_eq!(account.invoke(&function, &batch[1..]).unwrap(), None);
    assert_eq!(account.seqs("a"), [1, 2, 2]);
    assert_eq!(account.refused_payloads(), ["garbage 1", "garbage 3"]);
}

#[test]
fn a_throttled_stream_leaves_time_for_the_quarantine() {
    let account = Account::with_devices(&["a", "b"]);
    account.fail_records(|key, _| key == "b");
    let batch = [reading("a", 1), "garbage".to_owned(), reading("b", 1)];
    let time = Duration::from_secs(10);
    assert_eq!(account.invoke_within(&account.function(), &batch, time).unwrap(), Some(2));
    assert_eq!(account.refused_payloads(), ["garbage"]);
    assert!(account.state().elapsed < time);
}

#[test]
fn a_failed_record_is_repeated_before_its_device_s_next_one() {
    let account = Account::with_devices(&["a", "b"]);
    let mut left = 3;
    account.fail_records(move |key, _| {
        left -= i32::from(key == "a");
        key == "a" && left >= 0
    });
    let batch = [reading("a", 1), reading("b", 1), reading("a", 2), reading("b", 2), reading("a", 3)];
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    assert_eq!(account.seqs("a"), [1, 2, 3]);
    assert_eq!(account.seqs("b"), [1, 2], "what succeeded is not repeated");
    assert_eq!(account.state().elapsed, Duration::from_millis(100 + 200 + 400));
}

#[test]
fn a_device_that_keeps_failing_holds_the_batch_at_its_record() {
    let account = Account::with_devices(&["a", "b", "c"]);
    account.fail_records(|key, data| key == "b" && data.windows(8).any(|w| w == b"\"seq\":2,"));
    let batch = [reading("a", 1), reading("b", 1), reading("c", 1), reading("b", 2), reading("a", 2), reading("b", 3)];
    let function = account.function();
    let again = account.invoke(&function, &batch).unwrap();
    assert_eq!(again, Some(3));
    assert_eq!(account.seqs("b"), [1], "nothing overtakes what failed");
    account.state().fail_record = None;
    assert_eq!(account.invoke(&function, &batch[3..]).unwrap(), None);
    assert_eq!((account.seqs("a"), account.seqs("b"), account.seqs("c")), (vec![1, 2, 2], vec![1, 2, 3], vec![1]));
}

#[test]
fn the_answer_points_at_the_earliest_reading_that_is_not_safe() {
    // Device b fails in the first wave at position 4; device a's second reading, at position 1, was never tried.
    let account = Account::with_devices(&["a", "b"]);
    account.fail_records(|key, _| key == "b");
    let batch = [reading("a", 1), reading("a", 2), reading("a", 3), reading("a", 4), reading("b", 1)];
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), Some(1));
    assert_eq!(account.seqs("a"), [1]);
}

#[test]
fn a_lost_answer_may_double_readings_and_never_reorders_them() {
    let account = Account::with_devices(&["a", "b"]);
    let mut calls = 0;
    account.fail_calls(move |operation| {
        calls += u32::from(operation == "PutRecords");
        (operation == "PutRecords" && calls % 2 == 1).then_some(Fault::LostAnswer)
    });
    let batch: Vec<String> = (1..=4).flat_map(|seq| [reading("a", seq), reading("b", seq)]).collect();
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    for device in ["a", "b"] {
        let seqs = account.seqs(device);
        assert_eq!(seqs, [1, 1, 2, 2, 3, 3, 4, 4]);
    }
}

#[test]
fn a_lasting_refusal_is_not_repeated_and_a_throttled_call_is() {
    let account = Account::with_devices(&["a"]);
    account.fail_calls(|operation| (operation == "PutRecords").then_some(Fault::Answer(400, "AccessDeniedException")));
    assert_eq!(account.invoke(&account.function(), &[reading("a", 1)]).unwrap(), Some(0));
    assert_eq!(account.calls("PutRecords"), 1);
    let mut left = 5;
    account.fail_calls(move |operation| {
        left -= i32::from(operation == "PutRecords");
        (operation == "PutRecords" && left >= 0).then_some(Fault::Answer(400, "ProvisionedThroughputExceededException"))
    });
    assert_eq!(account.invoke(&account.function(), &[reading("a", 1)]).unwrap(), None);
    assert_eq!(account.seqs("a"), [1]);
}

#[test]
fn the_directory_is_asked_in_hundreds_and_remembered() {
    let ids: Vec<String> = (0..250).map(|n| format!("device-{n}")).collect();
    let account = Account::with_devices(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    account.state().unprocessed = 40;
    let batch: Vec<String> = ids.iter().map(|id| reading(id, 1)).collect();
    let function = account.function();
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 4, "three calls and one for what was left unprocessed");
    assert_eq!(account.state().written.len(), 250);
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 4, "the second batch asks nothing");
    account.state().elapsed += cache::KNOWN_FOR;
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 7, "entries are believed for a limited time");
}

#[test]
fn readings_wait_for_a_device_that_has_just_registered_itself() {
    let account = Account::with_devices(&["a"]);
    let function = account.function();
    let batch = [reading("a", 1), reading("new", 1), "garbage".to_owned(), reading("a", 2)];
    assert_eq!(account.invoke(&function, &batch).unwrap(), Some(1), "from its reading on the batch comes again");
    assert_eq!((account.seqs("a"), account.quarantined().len()), (vec![1], 0), "what is before it is written");
    account.register("new");
    account.state().elapsed += cache::UNKNOWN_FOR;
    assert_eq!(account.invoke(&function, &batch[1..]).unwrap(), None);
    assert_eq!((account.seqs("new"), account.seqs("a")), (vec![1], vec![1, 2]));
}

#[test]
fn a_device_that_nobody_registers_is_refused_after_a_while_and_welcome_later() {
    let account = Account::default();
    let function = account.function();
    account.state().elapsed += UNKNOWN_WAITS - Duration::from_secs(1);
    assert_eq!(account.invoke(&function, &[reading("new", 1)]).unwrap(), Some(0));
    account.state().elapsed += Duration::from_secs(2);
    assert_eq!(account.invoke(&function, &[reading("new", 1)]).unwrap(), None);
    assert_eq!(account.quarantined()[0]["reason"], "unknown-device");
    account.register("new");
    account.state().elapsed += cache::UNKNOWN_FOR;
    assert_eq!(account.invoke(&function, &[reading("new", 2)]).unwrap(), None);
    assert_eq!(account.seqs("new"), [2]);
}

#[test]
fn a_device_is_waited_for_once_and_its_readings_are_refused_after_a_look_that_came_after_them() {
    let account = Account::with_devices(&["a"]);
    let function = account.function();
    let arrived = |device: &str, seq: u64, after: Duration| {
        let at = 1_772_323_200_040 + u64::try_from(after.as_millis()).unwrap();
        reading(device, seq).replace("1772323200040", &at.to_string())
    };
    account.state().elapsed += UNKNOWN_WAITS + Duration::from_secs(1);
    assert_eq!(account.invoke(&function, &[reading("new", 1), reading("a", 1)]).unwrap(), None);
    // A reading that has just arrived holds nobody up any more.
    let elapsed = account.state().elapsed;
    account.state().elapsed += Duration::from_millis(200);
    let batch = [arrived("new", 2, elapsed), arrived("a", 2, elapsed)];
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!((account.quarantined().len(), account.seqs("a")), (2, vec![1, 2]));
    assert_eq!(account.calls("BatchGetItem"), 2, "it was looked for after the reading arrived");
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 2, "and not again at once");
    // The item comes, and the next reading is welcome at once.
    account.register("new");
    account.state().elapsed += Duration::from_millis(100);
    let elapsed = account.state().elapsed;
    assert_eq!(account.invoke(&function, &[arrived("new", 3, elapsed)]).unwrap(), None);
    assert_eq!(account.seqs("new"), [3]);
}

#[test]
fn without_the_directory_the_invocation_fails_and_writes_nothing() {
    for fault in [Fault::Answer(400, "AccessDeniedException"), Fault::Answer(500, "InternalServerError")] {
        let account = Account::with_devices(&["a"]);
        account.fail_calls(move |operation| (operation == "BatchGetItem").then_some(fault));
        let error = account.invoke(&account.function(), &[reading("a", 1), "garbage".to_owned()]).unwrap_err();
        assert!(matches!(error, FunctionError::Directory(_)), "{error}");
        assert!(account.state().written.is_empty() && account.state().objects.is_empty());
    }
}

#[test]
fn a_connection_that_died_silently_is_given_up() {
    let account = Account::with_devices(&["a"]);
    let mut calls = 0;
    account.fail_calls(move |_| {
        calls += 1;
        (calls == 2).then_some(Fault::Silence)
    });
    assert_eq!(account.invoke(&account.function(), &[reading("a", 1)]).unwrap(), None);
    assert_eq!(account.seqs("a"), [1]);
    let elapsed = account.state().elapsed;
    assert!(elapsed >= Duration::from_secs(5) && elapsed < Duration::from_secs(10), "{elapsed:?}");
}

#[test]
fn retries_end_before_the_deadline() {
    let account = Account::with_devices(&["a"]);
    account.fail_records(|_, _| true);
    let time = Duration::from_secs(6);
    assert_eq!(account.invoke_within(&account.function(), &[reading("a", 1)], time).unwrap(), Some(0));
    let elapsed = account.state().elapsed;
    assert!(elapsed > Duration::from_secs(1) && elapsed < time, "{elapsed:?}");
}

#[test]
fn whatever_is_silent_the_answer_comes_before_the_deadline() {
    let time = Duration::from_secs(10);
    for silent in ["BatchGetItem", "PutRecords", "PutObject", ""] {
        let account = Account::with_devices(&["a"]);
        account.fail_calls(move |operation| (silent.is_empty() || operation == silent).then_some(Fault::Silence));
        for batch in [[reading("a", 1), "garbage".to_owned()], ["garbage".to_owned(), reading("a", 1)]] {
            let function = account.function();
            let before = account.state().elapsed;
            let answer = account.invoke_within(&function, &batch, time);
            let took = account.state().elapsed - before;
            assert!(took < time, "{silent}: {took:?}");
            assert!(took > Duration::from_secs(5), "{silent}: {took:?} is too early to give up");
            match silent {
                "BatchGetItem" | "" => assert!(matches!(answer, Err(FunctionError::Directory(_))), "{answer:?}"),
                "PutRecords" if batch[0] == "garbage" => assert_eq!(answer.unwrap(), Some(1)),
                "PutObject" if batch[1] == "garbage" => assert_eq!(answer.unwrap(), Some(1)),
                _ => assert_eq!(answer.unwrap(), Some(0)),
            }
        }
    }
}

#[test]
fn with_a_known_device_everything_else_may_be_silent() {
    let account = Account::with_devices(&["a"]);
    let function = account.function();
    assert_eq!(account.invoke(&function, &[reading("a", 1)]).unwrap(), None);
    account.fail_calls(|_| Some(Fault::Silence));
    let (before, time) = (account.state().elapsed, Duration::from_secs(10));
    let batch = [reading("a", 2), "garbage".to_owned(), reading("a", 3)];
    assert_eq!(account.invoke_within(&function, &batch, time).unwrap(), Some(0));
    assert!(account.state().elapsed - before < time);
    account.fail_calls(|_| None);
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.seqs("a"), [1, 2, 3]);
}

#[test]
fn an_empty_batch_is_done() {
    let account = Account::default();
    assert_eq!(account.invoke(&account.function(), &[]).unwrap(), None);
    assert!(account.state().calls.is_empty());
}

#[test]
fn the_fewest_attempts_that_may_be_set_outlast_the_wait_for_a_device() {
    let waits =
        (0..crate::settings::ENRICHMENT_RETRIES_MIN).map(|n| Duration::from_secs(1 << n).min(Duration::from_secs(60)));
    assert!(waits.sum::<Duration>() > UNKNOWN_WAITS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_fails_each_device_s_first_copies_are_complete_and_in_order(
        devices in proptest::collection::vec(0..5_usize, 1..40),
        garbage in proptest::collection::vec(0..40_usize, 0..4),
        faults in proptest::collection::vec(any::<u8>(), 400),
        call_faults in proptest::collection::vec(0..12_u8, 60),
    ) {
        let ids = ["a", "b", "c", "d", "e"];
        let account = Account::with_devices(&ids);
        let mut next = [0_u64; 5];
        let batch: Vec<String> = devices.iter().enumerate().map(|(position, &device)| {
            if garbage.contains(&position) {
                return format!("garbage {position}");
            }
            next[device] += 1;
            reading(ids[device], next[device])
        }).collect();
        let mut faults = faults.into_iter();
        account.fail_records(move |_, _| faults.next().is_some_and(|fault| fault < 150));
        let mut call_faults = call_faults.into_iter();
        account.fail_calls(move |operation| match call_faults.next() {
            Some(0) => Some(Fault::Answer(500, "InternalFailure")),
            // What was kept and not confirmed may be kept again; apart from that it is kept once.
            Some(1) if operation != "PutObject" => Some(Fault::LostAnswer),
            Some(2) => Some(Fault::Silence),
            _ => None,
        });
        let function = account.function();
        let mut from = 0;
        for _ in 0..50 {
            // A failed invocation is delivered again as it was; a partial answer moves the batch on.
            match account.invoke(&function, &batch[from..]) {
                Ok(None) => { from = batch.len(); break; }
                Ok(Some(again)) => from += again,
                Err(_) => {}
            }
        }
        prop_assert_eq!(from, batch.len(), "the batch was never done");
        for (device, id) in ids.iter().enumerate() {
            let mut first_copies = Vec::new();
            for seq in account.seqs(id) {
                if !first_copies.contains(&seq) {
                    first_copies.push(seq);
                }
            }
            prop_assert_eq!(first_copies, (1..=next[device]).collect::<Vec<_>>(), "device {}", id);
        }
        let mut refused: Vec<String> = batch.iter().filter(|payload| payload.starts_with("garbage")).cloned().collect();
        refused.sort();
        prop_assert_eq!(account.refused_payloads(), refused);
    }
}
