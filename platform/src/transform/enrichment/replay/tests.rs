//! The commands on the real SDK, against an account in memory that fails on demand.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::testing::{self, Fault, Reply, Services};

const BUCKET: &str = "iot-platform-sim-processed-123456789012-eu-west-1";

type RecordFault = Box<dyn FnMut(&str) -> bool + Send>;

/// S3, Kinesis and STS as far as the commands use them.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    written: Vec<(String, String)>,
    fail_record: Option<RecordFault>,
}

type Account = testing::Account<Bucket>;

impl Services for Bucket {
    const VARIABLES: &'static [(&'static str, &'static str)] = &[];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        let key = testing::decode(testing::path(request));
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let etag = |body: &[u8]| format!("\"{}\"", crate::digest::sha256_hex(body));
        match operation {
            "GetCallerIdentity" => Reply::ok(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>",
            ),
            "ListObjectsV2" => Reply::ok(self.list(&testing::decode(request.uri()))),
            "GetObject" => match self.objects.get(&key) {
                Some(body) => Reply { headers: vec![("etag", etag(body))], ..Reply::ok(body.clone()) },
                None => Reply::error(request, 404, "NoSuchKey"),
            },
            "PutObject" => {
                let known = self.objects.get(&key).map(|body| etag(body));
                let fits = match (header("if-match"), header("if-none-match")) {
                    (Some(expected), _) => known == Some(expected),
                    (None, Some(_)) => known.is_none(),
                    (None, None) => panic!("a marker is never written over another one blindly"),
                };
                if !fits {
                    return Reply::error(request, 412, "PreconditionFailed");
                }
                self.objects.insert(key, testing::bytes(request).to_vec());
                Reply::ok("")
            }
            "PutRecords" => Reply::ok(self.put_records(&testing::body(request))),
            other => panic!("the command calls {other}"),
        }
    }
}

impl Bucket {
    /// Pages of two.
    fn list(&self, uri: &str) -> String {
        let parameter =
            |name: &str| uri.split(['?', '&']).find_map(|part| part.strip_prefix(name)).unwrap_or("").to_owned();
        let (prefix, after) = (parameter("prefix="), parameter("continuation-token="));
        let keys: Vec<&String> = self.objects.keys().filter(|key| key.starts_with(&prefix) && **key > after).collect();
        let page = &keys[..keys.len().min(2)];
        let contents: String = page
            .iter()
            .map(|key| {
                format!("<Contents><Key>{key}</Key><LastModified>2026-03-01T00:00:00Z</LastModified></Contents>")
            })
            .collect();
        let more = if keys.len() > 2 {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>", page[1])
        } else {
            String::new()
        };
        format!("<ListBucketResult>{contents}{more}</ListBucketResult>")
    }

    fn put_records(&mut self, request: &Value) -> String {
        assert_eq!(request["StreamName"], "iot-platform-sim-raw");
        let mut results = Vec::new();
        let mut keys = BTreeSet::new();
        for record in request["Records"].as_array().expect("a request has records") {
            let key = record["PartitionKey"].as_str().expect("a record has a key").to_owned();
            assert!(keys.insert(key.clone()), "two records of {key} in one call: their order is not guaranteed");
            let data = STANDARD.decode(record["Data"].as_str().expect("a record has data")).expect("data is base64");
            let data = String::from_utf8(data).expect("what tests keep is text");
            if self.fail_record.as_mut().is_some_and(|fault| fault(&data)) {
                results.push(
                    json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}),
                );
            } else {
                self.written.push((key, data));
                results.push(json!({"ShardId": "shardId-000000000000", "SequenceNumber": "1"}));
            }
        }
        json!({"FailedRecordCount": 0, "Records": results}).to_string()
    }
}

fn data(device: &str, seq: usize) -> String {
    format!(r#"{{"seq":{seq},"tenant_id":"acme","device_id":"{device}"}}"#)
}

fn line(reason: &str, number: usize, data: &str) -> String {
    let line = json!({
        "reason": reason, "detail": "d", "shard_id": "shardId-0", "sequence_number": number.to_string(),
        "data": STANDARD.encode(data),
    });
    format!("{line}\n")
}

impl Account {
    fn keep(&self, key: &str, lines: &[String]) {
        self.state().objects.insert(key.to_owned(), lines.concat().into_bytes());
    }

    /// Three objects: two readings of a, one of b and one that names nobody; another copy of the first; one of a for another
    /// reason.
    fn filled() -> Self {
        let account = Account::default();
        let unit = |number, data: &str| line("unknown-unit", number, data);
        let lines = [unit(1, &data("a", 1)), unit(2, &data("a", 2)), unit(3, &data("b", 1)), unit(4, "nobody's")];
        account.keep("quarantine/shardId-0/1-4-x.ndjson", &lines);
        account.keep("quarantine/shardId-0/1-1-y.ndjson", &[unit(1, &data("a", 1))]);
        account.keep("quarantine/shardId-0/5-5-z.ndjson", &[line("seq-missing", 5, &data("a", 9))]);
        account
    }

    fn replay(&self, change: impl FnOnce(&mut Request)) -> Result<Replayed, ReplayError> {
        let mut request = Request { all: true, ..Request::default() };
        change(&mut request);
        let settings = Settings { env: "sim".to_owned(), ..Settings::default() };
        let config = self.config();
        self.run(replay(&config, &settings, &request, &mut Silent))
    }

    fn written(&self) -> Vec<String> {
        self.state().written.iter().map(|(_, data)| data.clone()).collect()
    }
}

fn filter(reason: &str, device: Option<&str>) -> Filter {
    Filter::new(vec![reason.to_owned()], None, device.map(str::to_owned), None, None).unwrap()
}

fn outcome(objects: u64, replayed: u64, before: u64, keyless: u64) -> Replayed {
    Replayed { objects, replayed, before, keyless, ..Replayed::default() }
}

#[test]
fn a_record_is_replayed_once_wherever_its_copies_lie_unless_again_is_said() {
    let account = Account::filled();
    assert_eq!(account.replay(|request| request.dry_run = true).unwrap(), outcome(3, 4, 1, 1));
    assert!(account.written().is_empty() && account.calls("PutObject") == 0, "a dry run writes nothing");
    let unit = |request: &mut Request| request.filter = filter("unknown-unit", None);
    assert_eq!(account.replay(unit).unwrap(), outcome(3, 3, 1, 1));
    assert_eq!(account.written(), [data("a", 1), data("a", 2), data("b", 1)]);
    assert!(account.state().written.iter().all(|(key, data)| data.contains(&format!("\"{key}\""))), "the device's key");
    assert_eq!(account.replay(unit).unwrap(), outcome(3, 0, 4, 1), "a second time nothing");
    assert_eq!(account.replay(|_| {}).unwrap(), outcome(3, 1, 4, 1), "what another reason left");
    let only = |request: &mut Request| {
        request.filter = filter("unknown-unit", Some("b"));
        request.again = true;
    };
    assert_eq!(account.replay(only).unwrap(), outcome(3, 1, 0, 0));
    assert_eq!(account.written()[3..], [data("a", 9), data("b", 1)]);
    let kept = account.state().objects.keys().filter(|key| key.starts_with("quarantine/")).count();
    assert_eq!(kept, 3, "nothing is deleted");
}

#[test]
fn a_body_that_stalls_is_given_up_and_read_again() {
    let account = Account::filled();
    let mut reads = 0;
    account.fail_calls(move |call| {
        reads += usize::from(call == "GetObject");
        (call == "GetObject" && reads % 2 == 1).then_some(Fault::Stall)
    });
    assert_eq!(account.replay(|_| {}).unwrap(), outcome(3, 4, 1, 1));
    account.fail_calls(|call| (call == "GetObject").then_some(Fault::Stall));
    let error = account.replay(|_| {}).unwrap_err().to_string();
    assert!(error.contains("reading s3://") && error.contains("not answered in time"), "{error}");
}

#[test]
fn no_more_is_written_and_marked_at_once_than_the_rate_allows_in_a_second() {
    let account = Account::default();
    let lines: Vec<String> = (1..=25).map(|seq| line("unknown-unit", seq, &data("a", seq))).collect();
    account.keep("quarantine/shardId-0/1-25-x.ndjson", &lines);
    // The stream takes what the first two seconds write, and then a record no more.
    account.state().fail_record = Some(Box::new(|record| record.contains("\"seq\":23,")));
    let error = account.replay(|request| request.rate = 10).unwrap_err().to_string();
    assert!(error.contains("x.ndjson:23 ") && error.contains("(22 records of this object"), "{error}");
    let marked = |account: &Account| {
        let marker = account.state().objects["replayed/quarantine/shardId-0/1-25-x.ndjson"].clone();
        let marker: Value = serde_json::from_slice(&marker).unwrap();
        let times: BTreeSet<String> =
            marker["replayed"].as_object().unwrap().values().map(|at| at.as_str().unwrap().to_owned()).collect();
        (marker["replayed"].as_object().unwrap().len(), times.len())
    };
    assert_eq!(marked(&account).0, 22);
    assert!(marked(&account).1 >= 3, "each piece has a time of its own");
    account.state().fail_record = None;
    assert_eq!(account.replay(|request| request.rate = 10).unwrap(), outcome(1, 3, 22, 0));
    assert_eq!(account.written(), (1..=25).map(|seq| data("a", seq)).collect::<Vec<_>>());
}

/// A batch of a stream that Lambda gave up, with one reading.
fn given_up(stream: &str, device: &str) -> String {
    let record = json!({
        "kinesis": {"partitionKey": device, "sequenceNumber": "1", "data": STANDARD.encode(data(device, 1))},
        "eventID": "shardId-0:1",
    });
    json!({
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "KinesisBatchInfo": {"streamArn": format!("arn:aws:kinesis:x:1:stream/iot-platform-sim-{stream}")},
        "payload": json!({ "Records": [record] }).to_string(),
    })
    .to_string()
}

#[test]
fn what_only_lacks_its_detection_is_listed_and_never_replayed() {
    let account = Account::default();
    account.keep("aws/lambda/u/shardId-0/2026/03/01/a", &[given_up("raw", "a")]);
    account.keep("aws/lambda/v/shardId-0/2026/03/01/b", &[given_up("enriched", "b")]);
    let lacking = |replayed| Replayed { undetected: 1, ..outcome(2, replayed, 0, 0) };
    let done = account.replay(|_| {}).unwrap();
    assert_eq!(done, lacking(1));
    assert!(done.is_complete(&Filter::default()), "nobody asked for it");
    assert_eq!(account.written(), [data("a", 1)]);
    let asked = filter(DETECTION_FAILED, None);
    let done = account.replay(|request| request.filter = asked.clone()).unwrap();
    assert_eq!(done, lacking(0));
    assert!(!done.is_complete(&asked), "it was asked for and not replayed");
    assert!(!outcome(1, 1, 0, 1).is_complete(&Filter::default()), "a record without a key was not replayed");

    let settings = Settings { env: "sim".to_owned(), ..Settings::default() };
    let config = account.config();
    let listing = account.run(list(&config, &settings, &Filter::default())).unwrap();
    let counts: Vec<_> = listing.groups.iter().map(|g| (g.reason.as_str(), g.records, g.replayed)).collect();
    // The two have the same name in their streams.
    assert_eq!(counts, [(DETECTION_FAILED, 1, 0), (FUNCTION_FAILED, 1, 1)]);
    let mut shown = Vec::new();
    account.run(show(&config, &settings, &asked, 3, |record| shown.push(record))).unwrap();
    assert!(shown.len() == 1 && shown[0].replayed_at.is_none(), "{shown:?}");
    assert!(shown[0].kept.detail.contains("of the stream iot-platform-sim-enriched"), "{shown:?}");
}

#[test]
fn without_a_filter_everything_must_be_asked_for() {
    let account = Account::filled();
    let error = account.replay(|request| request.all = false).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("--all"), "{error}");
    assert!(account.state().calls.is_empty());
}

#[test]
fn what_the_stream_took_is_marked_when_it_takes_no_more() {
    let account = Account::filled();
    account.state().fail_record = Some(Box::new(|record| record.contains("\"seq\":2,")));
    let error = account.replay(|request| request.filter = filter("unknown-unit", None)).unwrap_err().to_string();
    for part in [format!("s3://{BUCKET}/quarantine/shardId-0/1-4-x.ndjson:2"), "Rate exceeded".into(), "hint: ".into()]
    {
        assert!(error.contains(&part), "{error}");
    }
    assert_eq!(account.written(), [data("a", 1), data("b", 1)], "nothing overtakes what failed");
    account.state().fail_record = None;
    assert_eq!(account.replay(|_| {}).unwrap(), outcome(3, 2, 3, 1));
    assert_eq!(account.written()[2..], [data("a", 2), data("a", 9)]);
}

#[test]
fn a_missing_permission_is_named_and_points_to_the_help() {
    for operation in ["ListObjectsV2", "GetObject", "PutObject", "PutRecords"] {
        let account = Account::filled();
        account.fail_calls(move |call| (call == operation).then_some(Fault::Answer(403, "AccessDenied")));
        let error = account.replay(|_| {}).unwrap_err().to_string();
        assert!(error.contains("AccessDenied") && error.contains("permissions"), "{operation}: {error}");
        assert!(error.contains(BUCKET), "{operation}: {error}");
    }
}

#[test]
fn what_cannot_be_read_is_named_by_its_line_and_holds_nothing_up() {
    let account = Account::filled();
    account.keep("quarantine/shardId-0/0-0-w.ndjson", &["{}\n".to_owned(), line("not-json", 6, &data("c", 1))]);
    let Replayed { replayed, problems, .. } = account.replay(|_| {}).unwrap();
    assert_eq!((replayed, problems.len()), (5, 1));
    assert!(problems[0].to_string().starts_with(&format!("s3://{BUCKET}/quarantine/shardId-0/0-0-w.ndjson:1: ")));
}

#[test]
fn what_lies_there_is_counted_and_shown_with_what_was_replayed() {
    let account = Account::filled();
    account.replay(|request| request.filter = filter("unknown-unit", Some("a"))).unwrap();
    let settings = Settings { env: "sim".to_owned(), ..Settings::default() };
    let config = account.config();
    let listing = account.run(list(&config, &settings, &Filter::default())).unwrap();
    let group = |g: &Group| (g.hour.clone(), g.reason.clone(), g.tenant.clone(), g.records, g.replayed);
    let hour = || "2026/03/01/00".to_owned();
    let (acme, reason) = (Some("acme".to_owned()), |reason: &str| reason.to_owned());
    let expected = [
        (hour(), reason("seq-missing"), acme.clone(), 1, 0),
        (hour(), reason("unknown-unit"), None, 1, 0),
        // The copy of the first is no record of its own: the command that replays counts the same.
        (hour(), reason("unknown-unit"), acme, 3, 2),
    ];
    assert_eq!(listing.groups.iter().map(group).collect::<Vec<_>>(), expected);
    let mut shown = Vec::new();
    account.run(show(&config, &settings, &filter("unknown-unit", None), 3, |record| shown.push(record))).unwrap();
    let found: Vec<_> = shown.iter().map(|s| (s.kept.line, s.kept.seq, s.replayed_at.is_some())).collect();
    assert_eq!(found, [(1, Some(1), true), (1, Some(1), true), (2, Some(2), true)]);
    let later = Filter::new(Vec::new(), None, None, Some("2026-03-02"), None).unwrap();
    assert!(account.run(list(&config, &settings, &later)).unwrap().groups.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_it_is_interrupted_everything_is_replayed_in_order_and_the_last_time_nothing(
        devices in proptest::collection::vec(0..4_usize, 1..40),
        cuts in proptest::collection::vec(1..6_usize, 12),
        faults in proptest::collection::vec(any::<u8>(), 300),
        calls in proptest::collection::vec(0..10_u8, 120),
    ) {
        let account = Account::default();
        let (ids, mut next) = (["a", "b", "c", "d"], [0_usize; 4]);
        let lines: Vec<String> = devices.iter().enumerate().map(|(number, &device)| {
            next[device] += 1;
            line("unknown-unit", number, &data(ids[device], next[device]))
        }).collect();
        let mut rest = lines.as_slice();
        for (number, cut) in cuts.iter().chain(std::iter::repeat_n(&7, 10)).enumerate() {
            let (object, later) = rest.split_at((*cut).min(rest.len()));
            account.keep(&format!("quarantine/shardId-0/{number:03}.ndjson"), object);
            rest = later;
        }
        prop_assert!(rest.is_empty());
        let (mut faults, mut calls) = (faults.into_iter(), calls.into_iter());
        account.state().fail_record = Some(Box::new(move |_| faults.next().is_some_and(|fault| fault < 120)));
        account.fail_calls(move |_| match calls.next() {
            Some(0) => Some(Fault::Answer(403, "AccessDenied")),
            Some(1) => Some(Fault::LostAnswer),
            Some(2) => Some(Fault::Answer(500, "InternalFailure")),
            _ => None,
        });
        let ended = (0..200).any(|_| account.replay(|_| {}).is_ok());
        prop_assert!(ended, "it never ended");
        // It may have ended before all of the failures came.
        account.state().fail_record = None;
        account.fail_calls(|_| None);
        let written = account.written().len();
        let last = account.replay(|_| {}).unwrap();
        prop_assert_eq!((last.replayed, last.before), (0, devices.len() as u64));
        prop_assert_eq!(account.written().len(), written);
        for (device, id) in ids.iter().enumerate() {
            let mut first: Vec<String> = Vec::new();
            for record in account.state().written.iter().filter(|(key, _)| key == id).map(|(_, data)| data) {
                if !first.contains(record) {
                    first.push(record.clone());
                }
            }
            let expected: Vec<String> = (1..=next[device]).map(|seq| data(id, seq)).collect();
            prop_assert_eq!(first, expected);
        }
    }
}
