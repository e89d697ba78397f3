//! The function on the real SDK, against S3, SNS, Kinesis and shadows in memory that fail on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
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
    pub(super) versions: u64,
    /// Messages with their attributes.
    pub(super) alerts: Vec<(Value, BTreeMap<String, Value>)>,
    /// Shards of the stream as Kinesis lists them.
    pub(super) shards: Vec<Value>,
    /// Shadows by thing.
    pub(super) shadows: BTreeMap<String, Value>,
    /// Intervals that were desired: thing, ms.
    pub(super) desired: Vec<(String, u64)>,
    /// Happens before each call.
    pub(super) hook: Option<Hook>,
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
            .map(|name| lines.iter().filter_map(|line| line.get(name)?.as_u64()).sum())
    }

    /// The counts of one metric, in their order.
    fn counts(&self, name: &str) -> Vec<u64> {
        let state = self.state();
        let lines = state.metrics.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter_map(|line| line.get(name)?.as_u64()).collect()
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
    assert_eq!(account.counts(UNREADABLE), [2, 1], "and it is counted");
    // A batch that comes again for another reason is counted when it is done.
    account.fail_calls(|call| (call == "GetObject").then_some(Fault::Answer(403, "AccessDenied")));
    let batch = [reading("a", 100, usual(100)), "garbage".to_owned()];
    assert!(!account.invoke(&function, 1102, &batch).unwrap());
    account.fail_calls(|_| None);
    assert!(account.invoke(&function, 1102, &batch).unwrap());
    assert_eq!(account.counts(UNREADABLE), [2, 1, 1]);
}

#[test]
fn series_that_no_detector_judges_are_counted_once_a_batch() {
    let account = Account::default();
    let function = account.function();
    let many = |n: usize, metrics: usize| {
        let mut reading: Value = serde_json::from_str(&reading("a", n, usual(n))).expect("JSON");
        reading["metrics"] =
            (0..metrics).map(|metric| (format!("m{metric}"), json!(1.0))).collect::<serde_json::Map<_, _>>().into();
        reading.to_string()
    };
    assert!(account.invoke(&function, 1000, &[many(0, state::DEVICE_SERIES_MAX)]).unwrap());
    assert_eq!(account.counts(WITHOUT_DETECTOR), [0_u64; 0]);
    let batch = [3, 7, 5].into_iter().enumerate().map(|(n, more)| many(1 + n, state::DEVICE_SERIES_MAX + more));
    let batch: Vec<String> = batch.collect();
    assert!(account.invoke(&function, 1001, &batch).unwrap());
    assert_eq!(account.counts(WITHOUT_DETECTOR), [7]);
    assert!(account.invoke(&function, 1001, &batch).unwrap());
    assert_eq!(account.counts(WITHOUT_DETECTOR), [7], "not when the batch comes again");
}

#[test]
fn the_value_of_an_anomaly_is_that_of_its_reading_to_the_last_bit() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    // What `serde_json` by itself reads of it is its neighbour.
    let text = "96.29215328811475";
    let value: f64 = text.parse().expect("a number");
    assert_ne!(serde_json::from_str::<f64>(text).unwrap().to_bits(), value.to_bits(), "the case is one");
    assert!(account.invoke(&function, 1100, &[reading("a", 100, 70.5).replace("70.5", text)]).unwrap());
    let found = account.anomalies();
    assert_eq!(found[0].1["value"].as_f64().map(f64::to_bits), Some(value.to_bits()));
    let state = account.state();
    let told = state.alerts[0].1.clone();
    assert_eq!(told["device"], json!(["a"]));
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
