//! The function on the real SDK, against an account in memory that fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

mod directory;
mod failures;
mod redelivery;

use super::handler::UNKNOWN_WAITS;
use super::*;
use crate::function::FunctionError;
use crate::testing::{self, FIRST_SEQUENCE_NUMBER, Reply, Services};

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
fn an_empty_batch_is_done() {
    let account = Account::default();
    assert_eq!(account.invoke(&account.function(), &[]).unwrap(), None);
    assert!(account.state().calls.is_empty());
}
