//! The function on the real SDK, against S3, SNS and shadows in memory that fail on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, SHARD, Services};

const STATE_KEY: &str = "state/shardId-000000000003.bin";

type Hook = Box<dyn FnMut(&str, &mut Cloud) + Send>;

/// S3, SNS and shadows, as far as the function uses them.
#[derive(Default)]
pub(super) struct Cloud {
    /// Object and number of its version, by key.
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    versions: u64,
    pub(super) alerts: Vec<Value>,
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
        assert!(
            !key.starts_with("state/") || wanted.is_some() != absent.is_some(),
            "a state is put without a condition"
        );
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

    /// All objects of the bucket of states, changed at the time at which tests begin.
    fn list(&self, request: &HttpRequest) -> Reply {
        assert!(
            request.uri().contains("//states.s3.") && request.uri().contains("prefix=state%2F"),
            "{}",
            request.uri()
        );
        let object = |key: &String| {
            format!("<Contents><Key>{key}</Key><LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents>")
        };
        let objects: String = self.objects.keys().filter(|key| key.starts_with("state/")).map(object).collect();
        Reply::ok(format!("<ListBucketResult>{objects}</ListBucketResult>"))
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
            "ListObjectsV2" => self.list(request),
            "GET endpoint" => {
                assert!(request.uri().ends_with("?endpointType=iot%3AData-ATS"), "{}", request.uri());
                Reply::ok(json!({"endpointAddress": "a1-ats.iot.example.com"}).to_string())
            }
            call if call.contains(" things/") && call.ends_with("/shadow") => self.shadow(request),
            "Publish" => {
                let form = testing::form(request);
                assert_eq!(form["TopicArn"], "arn:aws:sns:eu-west-1:1:t");
                assert!(form["Message"].len() < 262_144 && form["Subject"].len() <= 100);
                self.alerts.push(serde_json::from_str(&form["Message"]).expect("an alert is JSON"));
                Reply::ok("<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>")
            }
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

    fn object(&self, key: &str) -> Vec<u8> {
        self.state().objects[key].0.clone()
    }

    /// Every anomaly with its object.
    pub(super) fn anomalies(&self) -> Vec<(String, Value)> {
        let state = self.state();
        let objects = state.objects.iter().filter(|(key, _)| key.starts_with("anomalies/"));
        let lines = objects.flat_map(|(key, (body, _))| {
            let text = std::str::from_utf8(body).expect("anomalies are text");
            text.lines().map(|line| (key.clone(), serde_json::from_str(line).expect("a line is JSON")))
        });
        lines.collect()
    }
}

/// A reading of a device, the `n`th of it.
fn reading(device: &str, n: usize, temp: f64) -> String {
    json!({
        "tenant_id": "acme", "device_id": device, "device_type": "pump", "seq": n, "ts": 1_772_323_200_000_i64,
        "received_at": 1_772_323_200_040_i64 + 1000 * i64::try_from(n).unwrap(), "metrics": {"temp": temp}, "flags": [],
    })
    .to_string()
}

fn usual(n: usize) -> f64 {
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
    assert_eq!(key, &format!("anomalies/2026/03/01/00/{SHARD}-1100.ndjson"));
    assert_eq!((&anomaly["kind"], &anomaly["device_id"], &anomaly["seq"]), (&json!("spike"), &json!("a"), &json!(150)));
    assert_eq!((&anomaly["metric"], &anomaly["sequence_number"]), (&json!("temp"), &json!("1150")));
    assert!((0.5..=1.0).contains(&anomaly["score"].as_f64().unwrap()), "{anomaly}");
    let (state, alerts) = (account.object(STATE_KEY), account.state().alerts.clone());
    assert_eq!(alerts.len(), 1);
    assert_eq!((&alerts[0]["object"], &alerts[0]["spikes"]), (&json!(format!("s3://findings/{key}")), &json!(1)));
    account.state().calls.clear();
    for function in [&function, &account.function()] {
        assert!(account.invoke(function, 1100, &batch).unwrap());
    }
    assert_eq!(account.state().calls, ["GetObject", "GetObject"], "nothing is written again");
    assert_eq!((account.object(STATE_KEY), account.anomalies()), (state, found));
}

#[test]
fn a_reading_that_is_in_the_stream_twice_moves_no_detector_and_is_told_once() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    assert!(account.invoke(&function, 1100, &readings("a", 100..110, &[105])).unwrap());
    let (state, found) = (account.object(STATE_KEY), account.anomalies());
    assert_eq!((found.len(), account.state().alerts.len()), (1, 1));
    account.state().calls.clear();
    // The same readings are records of their own: the enrichment wrote them again.
    assert!(account.invoke(&function, 1200, &readings("a", 100..110, &[105])).unwrap());
    assert_eq!(account.state().calls, ["GetObject"], "nothing is written and nobody is told");
    assert_eq!((account.object(STATE_KEY), account.anomalies()), (state, found));
    // A batch that holds some again goes on with the others only.
    let alone = Account::default();
    let alone_function = alone.function();
    for (first, batch) in [(1000, readings("a", 0..100, &[])), (1100, readings("a", 100..110, &[105]))] {
        assert!(alone.invoke(&alone_function, first, &batch).unwrap());
    }
    let mixed: Vec<String> = readings("a", 105..110, &[105]).into_iter().chain(readings("a", 110..120, &[])).collect();
    assert!(account.invoke(&function, 1300, &mixed).unwrap());
    assert!(alone.invoke(&alone_function, 1305, &readings("a", 110..120, &[])).unwrap());
    assert_eq!(account.object(STATE_KEY), alone.object(STATE_KEY));
    assert_eq!(account.state().alerts.len(), 1);
}

#[test]
fn a_batch_costs_two_calls() {
    let account = Account::default();
    let function = account.function();
    for n in 0..3 {
        account.state().calls.clear();
        assert!(account.invoke(&function, 1000 + 100 * n, &readings("a", 100 * n..100 * (n + 1), &[])).unwrap());
        // The first batch of a shard looks for what its parents have left.
        account.state().calls.retain(|call| n > 0 || call != "ListObjectsV2");
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
    assert_eq!(account.object(STATE_KEY), alone.object(STATE_KEY));
    assert_eq!(account.anomalies(), alone.anomalies());
    assert_eq!(account.anomalies().len(), 2);
}

#[test]
fn a_conflict_makes_the_batch_be_worked_out_again_and_what_was_told_is_put_right() {
    let account = Account::default();
    let alone = Account::default();
    let first = readings("a", 0..100, &[]);
    let batch = [readings("a", 100..140, &[120]), readings("b", 0..40, &[])].concat();
    for account in [&account, &alone] {
        assert!(account.invoke(&account.function(), 1000, &first).unwrap());
    }
    assert!(alone.invoke(&alone.function(), 2000, &batch).unwrap());
    let other = alone.object(STATE_KEY);
    // Right before the state is stored, the same batch is stored by another invocation.
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 2 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (other.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 2000, &batch).unwrap());
    assert_eq!(account.object(STATE_KEY), alone.object(STATE_KEY));
    assert_eq!(account.anomalies(), alone.anomalies());
    assert_eq!(account.state().alerts.len(), 1);
}

#[test]
fn findings_of_a_state_that_was_void_are_overwritten() {
    // With the state of the first batch the second one has a spike; the state that another invocation has stored
    // meanwhile knows nothing of the device, and there is none.
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    let fresh = state::Shard::default().to_bytes();
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 2 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (fresh.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    assert!(account.anomalies().is_empty(), "{:?}", account.anomalies());
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
    assert_eq!(account.object(STATE_KEY), b"not a state");
}

#[test]
fn whatever_fails_for_good_the_batch_comes_again_before_the_deadline() {
    for operation in ["GetObject", "PutObject", "Publish"] {
        for fault in [Fault::Answer(403, "AccessDenied"), Fault::Answer(503, "SlowDown"), Fault::Silence] {
            let account = Account::default();
            let function = account.function();
            assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
            let before = (account.object(STATE_KEY), account.state().elapsed);
            account.fail_calls(move |call| (call == operation).then_some(fault));
            let batch = readings("a", 100..200, &[150]);
            assert!(!account.invoke(&function, 1100, &batch).unwrap(), "{operation} {fault:?}");
            assert_eq!(account.object(STATE_KEY), before.0);
            assert!(account.state().elapsed - before.1 < Duration::from_secs(60), "{operation} {fault:?}");
            account.fail_calls(|_| None);
            assert!(account.invoke(&function, 1100, &batch).unwrap());
            assert_eq!(account.anomalies().len(), 1);
        }
    }
}

#[test]
fn an_alert_names_the_worst_and_stays_within_a_message() {
    let account = Account::default();
    let function = account.function();
    let devices: Vec<String> = (0..300).map(|n| format!("{n:\u{1}>250}")).collect();
    for n in 0..40 {
        let batch: Vec<String> = devices.iter().map(|device| reading(device, n, usual(n))).collect();
        assert!(account.invoke(&function, 1000 + 1000 * n, &batch).unwrap());
    }
    let off = |(n, device): (usize, &String)| reading(device, 40, 100.0 + f64::from(u32::try_from(n).unwrap()));
    let batch: Vec<String> = devices.iter().enumerate().map(off).collect();
    assert!(account.invoke(&function, 90_000, &batch).unwrap());
    assert_eq!(account.anomalies().len(), 300);
    let alert = account.state().alerts[0].clone();
    assert_eq!(alert["anomalies"], 300);
    let worst = alert["worst"].as_array().unwrap();
    assert_eq!((worst.len(), &worst[0]["value"]), (20, &json!(399.0)));
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
        prop_assert_eq!(account.object(STATE_KEY), alone.object(STATE_KEY));
        for device in ["a", "b"] {
            let desired = account.state().shadows[device]["state"]["desired"]["publish_interval_ms"].clone();
            prop_assert!(desired.is_null() || desired == 60_000, "{}: {}", device, desired);
        }
        prop_assert!(account.state().alerts.len() >= alone.state().alerts.len(), "no alert is lost");
    }
}
