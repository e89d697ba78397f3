//! The function on the real SDK, against S3, SNS, Kinesis and shadows in memory that fail on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, SHARD, Services};

pub(super) const STATE_KEY: &str = "state/shardId-000000000003.bin";

type Hook = Box<dyn FnMut(&str, &mut Cloud) + Send>;

/// S3, SNS and shadows, as far as the function uses them.
#[derive(Default)]
pub(super) struct Cloud {
    /// Object and number of its version, by key.
    pub(super) objects: BTreeMap<String, (Vec<u8>, u64)>,
    versions: u64,
    /// Messages with their attributes.
    pub(super) alerts: Vec<(Value, BTreeMap<String, Value>)>,
    /// Shards of the stream as Kinesis lists them.
    pub(super) shards: Vec<Value>,
    /// Shadows by thing.
    pub(super) shadows: BTreeMap<String, Value>,
    /// Intervals that were desired: thing, ms.
    pub(super) desired: Vec<(String, u64)>,
    /// Happens before each call.
    hook: Option<Hook>,
}

pub(super) type Account = testing::Account<Cloud>;

impl Cloud {
    fn put(&mut self, request: &HttpRequest) -> Reply {
        let key = testing::path(request).to_owned();
        let bucket = if key.starts_with("state/") { "//states.s3." } else { "//findings.s3." };
        assert!(request.uri().contains(bucket), "{}", request.uri());
        let present = self.objects.get(&key).map(|(_, version)| format!("\"v{version}\""));
        let (wanted, absent) = (request.headers().get("if-match"), request.headers().get("if-none-match"));
        assert!(!key.ends_with(".bin") || wanted.is_some() != absent.is_some(), "a state is put without a condition");
        match (present, wanted) {
            (None, Some(_)) => return Reply::error(request, 404, "NoSuchKey"),
            (Some(present), Some(wanted)) if present != wanted => {
                return Reply::error(request, 412, "PreconditionFailed");
            }
            (Some(_), _) if absent.is_some() => return Reply::error(request, 412, "PreconditionFailed"),
            _ => {}
        }
        self.versions += 1;
        self.objects.insert(key, (testing::bytes(request).to_vec(), self.versions));
        Reply { headers: vec![("etag", format!("\"v{}\"", self.versions))], ..Reply::ok("") }
    }

    /// One page a shard, so that pages matter.
    fn list_shards(&self, request: &HttpRequest) -> Reply {
        let body = testing::body(request);
        let from = match (body["StreamName"].as_str(), body["NextToken"].as_str()) {
            (Some("s"), None) => 0,
            (None, Some(token)) => token.parse::<usize>().expect("a token of this answer"),
            other => panic!("{other:?}"),
        };
        let more = (from + 1 < self.shards.len()).then(|| (from + 1).to_string());
        Reply::ok(json!({"Shards": self.shards.get(from..from + 1).unwrap_or_default(), "NextToken": more}).to_string())
    }

    fn publish(&mut self, request: &HttpRequest) -> Reply {
        let form = testing::form(request);
        assert_eq!(form["TopicArn"], "arn:aws:sns:eu-west-1:1:t");
        let mut attributes = BTreeMap::new();
        for n in 1.. {
            let member = |name: &str| form.get(&format!("MessageAttributes.entry.{n}.{name}"));
            let Some(name) = member("Name") else { break };
            let value = member("Value.StringValue").expect("it has a value");
            let value = match member("Value.DataType").map(String::as_str) {
                Some("String") => value.as_str().into(),
                Some("String.Array") => serde_json::from_str(value).expect("an array of texts"),
                other => panic!("{other:?}"),
            };
            attributes.insert(name.clone(), value);
        }
        let attribute_bytes: usize =
            form.iter().filter(|(name, _)| name.starts_with("MessageAttributes")).map(|(_, value)| value.len()).sum();
        assert!(form["Message"].len() + attribute_bytes < 262_144 && form["Subject"].len() <= 100);
        self.alerts.push((serde_json::from_str(&form["Message"]).expect("an alert is JSON"), attributes));
        Reply::ok("<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>")
    }

    /// The data plane of AWS IoT.
    fn shadow(&mut self, request: &HttpRequest) -> Reply {
        assert!(request.uri().starts_with("https://a1-ats.iot.example.com/things/"), "{}", request.uri());
        let thing = testing::path(request).split('/').nth(1).expect("a thing is named").to_owned();
        let Some(shadow) = self.shadows.get_mut(&thing) else {
            return Reply::error(request, 404, "ResourceNotFoundException");
        };
        if request.method() == "GET" {
            return Reply::ok(shadow.to_string());
        }
        let update = testing::body(request);
        if update["version"] != shadow["version"] {
            return Reply::error(request, 409, "ConflictException");
        }
        let desired = &update["state"]["desired"];
        assert_eq!(update["state"].as_object().map(serde_json::Map::len), Some(1), "only what is desired: {update}");
        shadow["state"]["desired"]["publish_interval_ms"] = desired["publish_interval_ms"].clone();
        shadow["version"] = (shadow["version"].as_u64().expect("a version") + 1).into();
        self.desired.push((thing, desired["publish_interval_ms"].as_u64().expect("a whole number")));
        Reply::ok("{}")
    }

    /// The bytes of an object.
    pub(super) fn object(&self, key: &str) -> Option<&[u8]> {
        self.objects.get(key).map(|(bytes, _)| bytes.as_slice())
    }

    fn get(&self, request: &HttpRequest) -> Reply {
        let Some((body, version)) = self.objects.get(testing::path(request)) else {
            return Reply::error(request, 404, "NoSuchKey");
        };
        let etag = format!("\"v{version}\"");
        if request.headers().get("if-none-match") == Some(&etag) {
            return Reply { status: 304, ..Reply::ok("") };
        }
        Reply { headers: vec![("etag", etag)], ..Reply::ok(body.clone()) }
    }
}

impl Services for Cloud {
    const VARIABLES: &'static [(&'static str, &'static str)] = &[
        ("STATE_BUCKET", "states"),
        ("ANOMALY_BUCKET", "findings"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:eu-west-1:1:t"),
        ("ALERT_EVERY_S", "60"),
        ("METRIC_NAMESPACE", "IotPlatform/test"),
        ("ATTENTION", "on"),
        ("ATTENTION_INTERVAL_MIN_MS", "1000"),
        ("ATTENTION_QUIET_S", "600"),
    ];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        if let Some(mut hook) = self.hook.take() {
            hook(operation, self);
            self.hook = Some(hook);
        }
        match operation {
            "PutObject" => self.put(request),
            "GetObject" => self.get(request),
            "ListShards" => self.list_shards(request),
            "GET endpoint" => {
                assert!(request.uri().ends_with("?endpointType=iot%3AData-ATS"), "{}", request.uri());
                Reply::ok(json!({"endpointAddress": "a1-ats.iot.example.com"}).to_string())
            }
            call if call.contains(" things/") && call.ends_with("/shadow") => self.shadow(request),
            "Publish" => self.publish(request),
            other => panic!("the function calls {other}"),
        }
    }
}

impl Account {
    pub(super) fn function(&self) -> AnomalyDetection {
        AnomalyDetection::new(&self.config(), &Self::environment()).expect("the configuration is complete")
    }

    /// Invokes with readings whose sequence numbers begin at `first`. Answers whether the batch is done; when it is not,
    /// all of it comes again.
    pub(super) fn invoke(
        &self,
        function: &AnomalyDetection,
        first: usize,
        batch: &[String],
    ) -> Result<bool, FunctionError> {
        let answer = self.invoke_raw(function, &testing::batch(first, batch), Duration::from_secs(60))?;
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        let failures = answer["batchItemFailures"].as_array().expect("a list");
        let again = failures.iter().map(|failure| failure["itemIdentifier"].as_str().expect("a text").to_owned());
        let again: Vec<String> = again.collect();
        assert!(again.is_empty() || again == [first.to_string()], "{again:?}");
        Ok(again.is_empty())
    }

    pub(super) fn stored(&self, key: &str) -> Vec<u8> {
        self.state().objects[key].0.clone()
    }

    /// Sums of the metrics: anomalies, alerts, those that were suppressed and those that were dropped.
    pub(super) fn counted(&self) -> [u64; 4] {
        let state = self.state();
        let lines: Vec<Value> = state.metrics.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        [ANOMALIES, ALERTS, ALERTS_SUPPRESSED, ALERTS_DROPPED]
            .map(|name| lines.iter().map(|line| line[name].as_u64().expect("a count")).sum())
    }

    /// Every anomaly with its object.
    pub(super) fn anomalies(&self) -> Vec<(String, Value)> {
        let state = self.state();
        let objects = state.objects.iter().filter(|(key, _)| key.starts_with("anomalies/"));
        let rows =
            objects.flat_map(|(key, (body, _))| object::read(body.clone()).into_iter().map(|row| (key.clone(), row)));
        rows.collect()
    }
}

/// A shard as Kinesis lists it.
pub(super) fn shard(id: &str, parent: Option<&str>, hashes: std::ops::RangeInclusive<u128>) -> Value {
    let mut shard = json!({
        "ShardId": id, "SequenceNumberRange": {"StartingSequenceNumber": "1"},
        "HashKeyRange": {"StartingHashKey": hashes.start().to_string(), "EndingHashKey": hashes.end().to_string()},
    });
    if let Some(parent) = parent {
        shard["ParentShardId"] = parent.into();
    }
    shard
}

/// A reading of a device, the `n`th of it.
pub(super) fn reading(device: &str, n: usize, temp: f64) -> String {
    json!({
        "tenant_id": "acme", "device_id": device, "device_type": "pump", "seq": n, "ts": 1_772_323_200_000_i64,
        "received_at": 1_772_323_200_040_i64 + 1000 * i64::try_from(n).unwrap(), "metrics": {"temp": temp}, "flags": [],
    })
    .to_string()
}

pub(super) fn usual(n: usize) -> f64 {
    20.0 + f64::from(u32::try_from(n * 37 % 17).unwrap()) / 17.0
}

/// The readings `range` of a device; those in `spikes` are far off.
pub(super) fn readings(device: &str, range: std::ops::Range<usize>, spikes: &[usize]) -> Vec<String> {
    range.map(|n| reading(device, n, usual(n) + if spikes.contains(&n) { 50.0 } else { 0.0 })).collect()
}

#[test]
fn a_spike_is_written_told_and_not_found_again_when_its_batch_comes_again() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    assert!(account.anomalies().is_empty() && account.state().alerts.is_empty());
    let batch = readings("a", 100..200, &[150]);
    assert!(account.invoke(&function, 1100, &batch).unwrap());
    let found = account.anomalies();
    assert_eq!(found.len(), 1);
    let (key, anomaly) = &found[0];
    assert_eq!(key, &format!("anomalies/2026/03/01/00/{SHARD}-1100.parquet"));
    assert_eq!((&anomaly["kind"], &anomaly["device_id"], &anomaly["seq"]), (&json!("spike"), &json!("a"), &json!(150)));
    assert_eq!((&anomaly["metric"], &anomaly["sequence_number"]), (&json!("temp"), &json!("1150")));
    assert!((0.5..=1.0).contains(&anomaly["score"].as_f64().unwrap()), "{anomaly}");
    let (state, alerts) = (account.stored(STATE_KEY), account.state().alerts.clone());
    assert_eq!(alerts.len(), 1);
    let (message, attributes) = &alerts[0];
    let id = format!("{SHARD}-1100-0");
    assert_eq!((&message["object"], &message["id"]), (&json!(format!("s3://findings/{key}")), &json!(id)));
    assert_eq!(message["alerts"].as_array().map(Vec::len), Some(1));
    let alert = &message["alerts"][0];
    assert_eq!((&alert["device_id"], &alert["kind"], &alert["seq"]), (&json!("a"), &json!("spike"), &json!(150)));
    let expected = [("device", json!(["a"])), ("kind", json!(["spike"])), ("tenant", json!("acme"))];
    assert!(expected.iter().all(|(name, value)| attributes[*name] == *value), "{attributes:?}");
    assert_eq!(attributes["severity"], message["severity"]);
    account.state().calls.clear();
    assert!(account.invoke(&function, 1100, &batch).unwrap());
    assert_eq!(account.state().calls, ["GetObject"], "nothing is written again");
    // Another environment finds that it was told.
    assert!(account.invoke(&account.function(), 1100, &batch).unwrap());
    assert_eq!(account.state().calls, ["GetObject", "GetObject", "GetObject"]);
    assert_eq!((account.stored(STATE_KEY), account.anomalies(), account.state().alerts.len()), (state, found, 1));
}

#[test]
fn an_anomaly_and_its_alert_have_the_time_that_the_detector_judged_by() {
    let account = Account::default();
    let function = account.function();
    // The clock of the device is three hours ahead; from the second batch on the enrichment says so.
    let corrected = |reading: &String| {
        let mut reading: Value = serde_json::from_str(reading).expect("a reading is JSON");
        reading["event_at"] = (reading["ts"].as_i64().expect("a time") - 10_800_000).into();
        reading.to_string()
    };
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    assert!(account.invoke(&function, 1100, &readings("b", 0..100, &[90])).unwrap());
    let batch: Vec<String> = readings("a", 100..200, &[150]).iter().map(corrected).collect();
    assert!(account.invoke(&function, 1200, &batch).unwrap());
    let ts = 1_772_323_200_000_i64;
    let times = |value: &Value| ["ts", "event_at"].map(|member| value[member].as_i64().expect("a time"));
    let told: Vec<_> = account.anomalies().iter().map(|(_, row)| (row["device_id"].clone(), times(row))).collect();
    let expected = [(json!("b"), [ts, ts]), (json!("a"), [ts, ts - 10_800_000])];
    assert_eq!(told, expected, "without a correction it is the device's own time");
    let state = account.state();
    let alerts: Vec<_> = state.alerts.iter().map(|(message, _)| times(&message["alerts"][0])).collect();
    assert_eq!(alerts, expected.map(|(_, times)| times));
}

#[test]
fn a_reading_that_is_in_the_stream_twice_moves_no_detector_and_is_told_once() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    assert!(account.invoke(&function, 1100, &readings("a", 100..110, &[105])).unwrap());
    let (state, found) = (account.stored(STATE_KEY), account.anomalies());
    assert_eq!((found.len(), account.state().alerts.len()), (1, 1));
    account.state().calls.clear();
    // The same readings are records of their own: the enrichment wrote them again.
    assert!(account.invoke(&function, 1200, &readings("a", 100..110, &[105])).unwrap());
    assert_eq!(account.state().calls, ["GetObject"], "nothing is written and nobody is told");
    assert_eq!((account.stored(STATE_KEY), account.anomalies()), (state, found));
    // A batch that holds some again goes on with the others only.
    let alone = Account::default();
    let alone_function = alone.function();
    for (first, batch) in [(1000, readings("a", 0..100, &[])), (1100, readings("a", 100..110, &[105]))] {
        assert!(alone.invoke(&alone_function, first, &batch).unwrap());
    }
    let mixed: Vec<String> = readings("a", 105..110, &[105]).into_iter().chain(readings("a", 110..120, &[])).collect();
    assert!(account.invoke(&function, 1300, &mixed).unwrap());
    assert!(alone.invoke(&alone_function, 1305, &readings("a", 110..120, &[])).unwrap());
    assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
    assert_eq!(account.state().alerts.len(), 1);
}

#[test]
fn a_batch_costs_two_calls() {
    let account = Account::default();
    let function = account.function();
    for n in 0..3 {
        account.state().calls.clear();
        assert!(account.invoke(&function, 1000 + 100 * n, &readings("a", 100 * n..100 * (n + 1), &[])).unwrap());
        // The first batch of a shard looks for its parents.
        account.state().calls.retain(|call| n > 0 || call != "ListShards");
        assert_eq!(account.state().calls, ["GetObject", "PutObject"]);
    }
}

#[test]
fn what_is_no_reading_is_passed_over() {
    let account = Account::default();
    let function = account.function();
    let mut batch = readings("a", 0..100, &[80]);
    batch[10] = "garbage".to_owned();
    batch[99] = "{}".to_owned();
    assert!(account.invoke(&function, 1000, &batch).unwrap());
    assert_eq!(account.anomalies().len(), 1);
    assert!(account.invoke(&function, 1100, &["garbage".to_owned()]).unwrap(), "the shard is not held up");
    assert!(account.invoke(&function, 1101, &[]).unwrap());
}

#[test]
fn another_execution_environment_goes_on_where_the_first_one_was() {
    let account = Account::default();
    let alone = Account::default();
    let function = alone.function();
    let environments = [account.function(), account.function(), account.function()];
    for n in 0..9 {
        let batch = readings("a", 50 * n..50 * (n + 1), &[130, 333]);
        assert!(account.invoke(&environments[n % 3], 1000 + 50 * n, &batch).unwrap());
        assert!(alone.invoke(&function, 1000 + 50 * n, &batch).unwrap());
    }
    assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
    assert_eq!(account.anomalies(), alone.anomalies());
    assert_eq!(account.anomalies().len(), 2);
}

#[test]
fn a_conflict_makes_the_batch_be_worked_out_again() {
    let account = Account::default();
    let alone = Account::default();
    let first = readings("a", 0..100, &[]);
    let batch = [readings("a", 100..140, &[120]), readings("b", 0..40, &[])].concat();
    for account in [&account, &alone] {
        assert!(account.invoke(&account.function(), 1000, &first).unwrap());
    }
    assert!(alone.invoke(&alone.function(), 2000, &batch).unwrap());
    let other = alone.stored(STATE_KEY);
    // Right before the state is stored, the same batch is stored by another invocation.
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 1 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (other.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 2000, &batch).unwrap());
    assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
    assert_eq!(account.anomalies(), alone.anomalies());
    assert_eq!(account.state().alerts.len(), 1);
}

#[test]
fn findings_of_a_state_that_was_void_are_told_to_nobody() {
    // With the state of the first batch the second one has a spike; the state that another invocation has stored
    // meanwhile knows nothing of the device, and there is none.
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    let fresh = state::Shard::default().to_bytes();
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 1 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (fresh.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    assert!(account.anomalies().is_empty(), "{:?}", account.anomalies());
    assert!(account.state().alerts.is_empty());
}

#[test]
fn a_state_that_cannot_be_read_is_named_and_not_overwritten() {
    let account = Account::default();
    account.state().objects.insert(STATE_KEY.to_owned(), (b"not a state".to_vec(), 7));
    let error = account.invoke(&account.function(), 1000, &readings("a", 0..5, &[])).unwrap_err();
    assert!(
        matches!(&error, FunctionError::State(text) if text.contains(STATE_KEY) && text.contains("delete")),
        "{error}"
    );
    assert_eq!(account.stored(STATE_KEY), b"not a state");
}

#[test]
fn whatever_fails_for_good_the_batch_comes_again_before_the_deadline() {
    // The state is the first object that is put, the object of anomalies the second.
    for (operation, from) in [("GetObject", 0), ("PutObject", 0), ("PutObject", 1)] {
        for fault in [Fault::Answer(403, "AccessDenied"), Fault::Answer(503, "SlowDown"), Fault::Silence] {
            let account = Account::default();
            let function = account.function();
            assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
            let before = (account.stored(STATE_KEY), account.state().elapsed);
            let mut calls = 0;
            account.fail_calls(move |call| {
                calls += usize::from(call == operation);
                (call == operation && calls > from).then_some(fault)
            });
            let batch = readings("a", 100..200, &[150]);
            let case = format!("{operation} {from} {fault:?}");
            assert!(!account.invoke(&function, 1100, &batch).unwrap(), "{case}");
            assert_eq!(account.stored(STATE_KEY) != before.0, from > 0, "{case}");
            assert!(account.state().elapsed - before.1 < Duration::from_secs(60), "{case}");
            account.fail_calls(|_| None);
            assert!(account.invoke(&function, 1100, &batch).unwrap());
            assert_eq!(account.anomalies().len(), 1);
            let ids: Vec<Value> = account.state().alerts.iter().map(|(message, _)| message["id"].clone()).collect();
            assert!(!ids.is_empty() && ids.iter().all(|id| *id == format!("{SHARD}-1100-0")), "{case}: {ids:?}");
        }
    }
}

#[test]
fn what_a_batch_that_was_given_up_has_to_tell_is_told_before_the_next_state() {
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    let mut puts = 0;
    account.fail_calls(move |call| {
        puts += usize::from(call == "PutObject");
        (call == "PutObject" && puts > 1).then_some(Fault::Answer(403, "AccessDenied"))
    });
    assert!(!account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    account.fail_calls(|_| None);
    account.state().calls.clear();
    // Lambda has given the batch up; the next one comes.
    assert!(account.invoke(&account.function(), 1200, &readings("a", 110..120, &[])).unwrap());
    let expected = ["GetObject", "GetObject", "PutObject", "PutObject", "PutObject", "Publish", "PutObject"];
    assert_eq!(account.state().calls, expected, "state and told; object and told; state; alert and told");
    assert_eq!((account.anomalies().len(), account.state().alerts.len()), (1, 1));
}

#[test]
fn a_device_and_kind_is_told_once_in_the_hold_time_and_the_rest_is_counted() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    // A reading a second: the hold is 60 s.
    let spikes = [110, 130, 150, 169, 171, 190];
    for n in 10..20 {
        let range = 10 * n..10 * (n + 1);
        assert!(account.invoke(&account.function(), 1000 + 10 * n, &readings("a", range, &spikes)).unwrap());
    }
    assert_eq!(account.anomalies().len(), spikes.len());
    let state = account.state();
    let told: Vec<&Value> = state.alerts.iter().map(|(message, _)| &message["alerts"][0]["seq"]).collect();
    assert_eq!(told, [110, 171]);
    drop(state);
    assert_eq!(account.counted(), [6, 2, 4, 0]);
    let line: Value = serde_json::from_str(&account.state().metrics[0]).expect("JSON");
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("IotPlatform/test"), &json!([[]])));
    let names = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), [ANOMALIES, ALERTS, ALERTS_SUPPRESSED, ALERTS_DROPPED]);
}

#[test]
fn messages_are_of_one_tenant_and_stay_within_the_size_of_one() {
    let account = Account::default();
    let function = account.function();
    let devices: Vec<String> = (0..300).map(|n| format!("{n:\u{1}>250}")).collect();
    let batch = |n: usize, value: fn(usize, u32) -> f64| -> Vec<String> {
        let reading = |(device, id): (u32, &String)| {
            let text = reading(id, n, value(n, device));
            if device < 290 { text } else { text.replace("acme", "globex") }
        };
        (0..).zip(&devices).map(reading).collect()
    };
    for n in 0..40 {
        assert!(account.invoke(&function, 1000 + 1000 * n, &batch(n, |n, _| usual(n))).unwrap());
    }
    let batch = batch(40, |_, device| 100.0 + f64::from(device));
    assert!(account.invoke(&function, 90_000, &batch).unwrap());
    assert_eq!(account.anomalies().len(), 300);
    let state = account.state();
    let mut told = BTreeMap::<&str, Vec<usize>>::new();
    for (message, attributes) in &state.alerts {
        let alerts = message["alerts"].as_array().unwrap();
        assert_eq!(attributes["tenant"], message["tenant_id"]);
        assert_eq!(attributes["device"].as_array().map(Vec::len), Some(alerts.len()));
        told.entry(message["tenant_id"].as_str().unwrap()).or_default().push(alerts.len());
    }
    let mut of_acme = vec![20; 14];
    of_acme.push(10);
    assert_eq!(told, BTreeMap::from([("acme", of_acme), ("globex", vec![10])]));
    assert_eq!(state.alerts[0].0["alerts"][0]["value"], json!(389.0), "the worst first");
    let ids: std::collections::BTreeSet<String> = state.alerts.iter().map(|(m, _)| m["id"].to_string()).collect();
    assert_eq!(ids.len(), state.alerts.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_fails_and_comes_again_the_end_is_that_of_batches_that_came_once(
        order in proptest::collection::vec((0..3_usize, 0..3_usize), 60),
        faults in proptest::collection::vec(0..10_u8, 600),
    ) {
        let batches: Vec<Vec<String>> = (0..8)
            .map(|n| {
                let range = 25 * n..25 * (n + 1);
                [readings("a", range.clone(), &[60, 110, 170]), readings("b", range, &[99, 150])].concat()
            })
            .collect();
        let first = |n: usize| 1000 + 100 * n;
        let alone = Account::default();
        let function = alone.function();
        for (n, batch) in batches.iter().enumerate() {
            prop_assert!(alone.invoke(&function, first(n), batch).unwrap());
        }
        let account = Account::default();
        for device in ["a", "b"] {
            let shadow = json!({"state": {"reported": {"usual_publish_interval_ms": 60_000}}, "version": 1});
            account.state().shadows.insert(device.to_owned(), shadow);
        }
        let mut faults = faults.into_iter();
        account.fail_calls(move |_| match faults.next() {
            Some(0) => Some(Fault::Answer(500, "InternalError")),
            Some(1) => Some(Fault::LostAnswer),
            Some(2) => Some(Fault::Silence),
            Some(3) => Some(Fault::Answer(403, "AccessDenied")),
            _ => None,
        });
        let environments = [account.function(), account.function(), account.function()];
        let mut next = 0;
        for (environment, back) in order {
            // A batch before the next one comes again at times; what it answers does not matter to its event source.
            let n = next - back.min(next);
            let done = account.invoke(&environments[environment], first(n), &batches[n]).unwrap();
            next += usize::from(done && n == next);
            if next == batches.len() {
                break;
            }
        }
        account.fail_calls(|_| None);
        for (n, batch) in batches.iter().enumerate().skip(next) {
            prop_assert!(account.invoke(&environments[0], first(n), batch).unwrap());
        }
        prop_assert_eq!(account.anomalies(), alone.anomalies());
        // Whoever was asked is asked no longer once it was quiet, whatever failed.
        for (n, account) in [(2000, &account), (4000, &account), (2000, &alone), (4000, &alone)] {
            let quiet = [readings("a", n..n + 1, &[]), readings("b", n..n + 1, &[])].concat();
            prop_assert!(account.invoke(&account.function(), 10_000 + n, &quiet).unwrap());
        }
        prop_assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
        for device in ["a", "b"] {
            let desired = account.state().shadows[device]["state"]["desired"]["publish_interval_ms"].clone();
            prop_assert!(desired.is_null() || desired == 60_000, "{}: {}", device, desired);
        }
        let ids = |account: &Account| -> std::collections::BTreeSet<String> {
            account.state().alerts.iter().map(|(message, _)| message["id"].to_string()).collect()
        };
        prop_assert_eq!(ids(&account), ids(&alone), "no alert is lost, and one that comes again is known");
    }
}
