//! Bugs of calls: what is asked of AWS, and what is made of its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, Uri};
use serde_json::Value;

use super::edit::{all_written, change_body, change_reading, change_success, reading, written};
use crate::run::Harness;
use crate::seam::{Call, Tamper, Told};

/// Entries of a call that [`long_calls_cut_off`] sends.
const ENTRIES_SENT: usize = 3;
/// Header by which [`CutOff`] tells itself how many entries it did not send.
const CUT_OFF: &str = "x-cut-off";

const ENRICHMENT: &str = "enrichment";
const DETECTION: &str = "anomaly_detection";

fn planted(tamper: impl Tamper + 'static) -> Harness {
    Harness { tamper: Some(Arc::new(tamper)), ..Harness::default() }
}

/// A change of the requests of one operation of one function.
struct Asks {
    function: &'static str,
    operation: &'static str,
    change: fn(&mut Request<Bytes>),
}

impl Tamper for Asks {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if call.is(self.function, self.operation) {
            (self.change)(request);
        }
        None
    }
}

/// What a function hears in place of what was answered; `None` is a connection that ended without an answer.
type OtherAnswer = fn(&Request<Bytes>, Option<Response<Bytes>>) -> Option<Response<Bytes>>;

/// A change of what one operation of one function is answered.
struct Hears {
    function: &'static str,
    operation: &'static str,
    change: OtherAnswer,
}

impl Tamper for Hears {
    fn answer(&self, call: &Call<'_>, request: &Request<Bytes>, answer: Option<Response<Bytes>>) -> Told {
        Told::This(if call.is(self.function, self.operation) { (self.change)(request, answer) } else { answer })
    }
}

fn put_records(change: fn(&mut Request<Bytes>)) -> Harness {
    planted(Asks { function: ENRICHMENT, operation: "PutRecords", change })
}

fn put_records_answers(change: OtherAnswer) -> Harness {
    planted(Hears { function: ENRICHMENT, operation: "PutRecords", change })
}

/// Changes each entry of a `PutRecords` call.
fn entries(request: &mut Request<Bytes>, mut change: impl FnMut(&mut Value)) {
    change_body(request, |body| body["Records"].as_array_mut().expect("entries").iter_mut().for_each(&mut change));
}

pub(super) fn single_precision() -> Harness {
    put_records(|request| {
        entries(request, |entry| {
            change_reading(&mut entry["Data"], |reading| {
                for (_, value) in reading["metrics"].as_object_mut().into_iter().flatten() {
                    if let Some(number) = value.as_f64() {
                        *value = f64::from(number as f32).into();
                    }
                }
            });
        });
    })
}

pub(super) fn cross_tenant_write() -> Harness {
    put_records(|request| {
        let mut first: Option<Value> = None;
        entries(request, |entry| {
            change_reading(&mut entry["Data"], |reading| {
                reading["tenant_id"] = first.get_or_insert_with(|| reading["tenant_id"].clone()).clone();
            });
        });
    })
}

pub(super) fn random_partition_key() -> Harness {
    put_records(|request| {
        entries(request, |entry| {
            let seq = reading(&entry["Data"]).map_or(Value::Null, |reading| reading["seq"].clone());
            entry["PartitionKey"] = format!("{}-{seq}", entry["PartitionKey"].as_str().unwrap_or_default()).into();
        });
    })
}

/// Sends the first entries of a call, and takes all for written.
struct CutOff;

impl Tamper for CutOff {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if call.is(ENRICHMENT, "PutRecords") {
            let mut cut = 0;
            change_body(request, |body| {
                let entries = body["Records"].as_array_mut().expect("entries");
                cut = entries.len().saturating_sub(ENTRIES_SENT);
                entries.truncate(ENTRIES_SENT);
            });
            request.headers_mut().insert(CUT_OFF, cut.into());
        }
        None
    }

    fn answer(&self, call: &Call<'_>, request: &Request<Bytes>, mut answer: Option<Response<Bytes>>) -> Told {
        let cut = request.headers().get(CUT_OFF).and_then(|cut| cut.to_str().ok()?.parse().ok()).unwrap_or(0);
        if let Some(answer) = answer.as_mut().filter(|_| call.is(ENRICHMENT, "PutRecords")) {
            change_success(answer, |body| {
                body["Records"].as_array_mut().expect("results").extend((0..cut).map(|_: usize| written()));
            });
        }
        Told::This(answer)
    }
}

pub(super) fn long_calls_cut_off() -> Harness {
    planted(CutOff)
}

pub(super) fn partial_put_ignored() -> Harness {
    put_records_answers(|_, mut answer| {
        if let Some(answer) = &mut answer {
            change_success(answer, |body| {
                body["FailedRecordCount"] = 0.into();
                for result in body["Records"].as_array_mut().expect("results") {
                    if result.get("ErrorCode").is_some_and(|code| !code.is_null()) {
                        *result = written();
                    }
                }
            });
        }
        answer
    })
}

/// Whether the body of an answer has one of these words.
fn says(answer: &Response<Bytes>, words: &[&str]) -> bool {
    let body = String::from_utf8_lossy(answer.body());
    words.iter().any(|word| body.contains(word))
}

/// Whether a service was too busy, or unwell.
fn is_passing_failure(answer: &Response<Bytes>) -> bool {
    let status = answer.status().as_u16();
    status == 429 || status >= 500 || (status == 400 && says(answer, &["Throttl", "Throughput", "LimitExceeded"]))
}

fn is_denial(answer: &Response<Bytes>) -> bool {
    answer.status().as_u16() == 403 || (answer.status().as_u16() == 400 && says(answer, &["AccessDenied"]))
}

pub(super) fn throttle_swallowed() -> Harness {
    put_records_answers(|request, answer| {
        answer.map(|said| if is_passing_failure(&said) { all_written(request) } else { said })
    })
}

pub(super) fn denial_swallowed() -> Harness {
    put_records_answers(|request, answer| answer.map(|said| if is_denial(&said) { all_written(request) } else { said }))
}

pub(super) fn reset_taken_for_success() -> Harness {
    put_records_answers(|request, answer| Some(answer.unwrap_or_else(|| all_written(request))))
}

/// Sends what failed again, at once and for ever.
struct Impatient;

impl Tamper for Impatient {
    fn answer(&self, _: &Call<'_>, _: &Request<Bytes>, answer: Option<Response<Bytes>>) -> Told {
        match answer {
            Some(answer) if !is_passing_failure(&answer) => Told::This(Some(answer)),
            _ => Told::Again,
        }
    }
}

pub(super) fn retry_storm() -> Harness {
    planted(Impatient)
}

fn directory_answers(change: OtherAnswer) -> Harness {
    planted(Hears { function: ENRICHMENT, operation: "BatchGetItem", change })
}

/// Changes every unit in a tree of DynamoDB's JSON.
fn change_units(tree: &mut Value, change: fn(&str) -> Option<&'static str>) {
    match tree {
        Value::Object(members) => members.values_mut().for_each(|member| change_units(member, change)),
        Value::Array(items) => items.iter_mut().for_each(|item| change_units(item, change)),
        Value::String(text) => {
            if let Some(other) = change(text) {
                other.clone_into(text);
            }
        }
        _ => {}
    }
}

pub(super) fn wrong_unit() -> Harness {
    directory_answers(|_, mut answer| {
        if let Some(answer) = &mut answer {
            change_success(answer, |body| {
                change_units(body, |unit| match unit {
                    "bar" => Some("mbar"),
                    _ => None,
                });
            });
        }
        answer
    })
}

/// Changes the key of objects that are put below a prefix.
struct Renames {
    prefix: &'static str,
    name: fn(&str, u64) -> String,
    puts: AtomicU64,
}

impl Tamper for Renames {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if call.operation == "PutObject" && request.uri().path().contains(self.prefix) {
            let name = (self.name)(&request.uri().to_string(), self.puts.fetch_add(1, Ordering::Relaxed));
            *request.uri_mut() = name.parse::<Uri>().expect("a key of plain characters");
        }
        None
    }
}

pub(super) fn anomalies_under_new_names() -> Harness {
    let name = |uri: &str, put| uri.replace(".parquet", &format!("-{put}.parquet"));
    planted(Renames { prefix: "/anomalies/", name, puts: AtomicU64::new(0) })
}

pub(super) fn quarantine_under_one_name() -> Harness {
    let name = |uri: &str, _| {
        let (before, rest) = uri.split_once("/quarantine/").expect("the prefix was seen");
        let query = rest.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        format!("{before}/quarantine/refused.ndjson{query}")
    };
    planted(Renames { prefix: "/quarantine/", name, puts: AtomicU64::new(0) })
}

/// Takes any end of a put below the prefix of anomalies for success.
struct Swallows;

impl Tamper for Swallows {
    fn answer(&self, call: &Call<'_>, request: &Request<Bytes>, answer: Option<Response<Bytes>>) -> Told {
        let is_put = call.operation == "PutObject" && request.uri().path().contains("/anomalies/");
        let written = answer.as_ref().is_some_and(|answer| answer.status().is_success());
        Told::This(if is_put && !written { Some(Response::new(Bytes::new())) } else { answer })
    }
}

pub(super) fn anomalies_swallowed() -> Harness {
    planted(Swallows)
}

/// Answers every question for a state that there is none, and takes off the condition that would tell the truth.
struct Forgets;

impl Tamper for Forgets {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if !request.uri().path().contains("/state/") {
            return None;
        }
        request.headers_mut().remove("if-none-match");
        let absent = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
        let answer = || Response::builder().status(404).header("content-type", "application/xml").body(absent.into());
        (call.operation == "GetObject").then(|| answer().expect("constant headers"))
    }
}

pub(super) fn detectors_forget() -> Harness {
    planted(Forgets)
}

/// What SNS answers to a message that it takes.
const PUBLISHED: &str = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
    <MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult></PublishResponse>";

pub(super) fn alerts_taken_for_sent() -> Harness {
    let change = |_: &Request<Bytes>, answer: Option<Response<Bytes>>| {
        let is_taken = answer.as_ref().is_some_and(|answer| answer.status().is_success());
        if is_taken { answer } else { Some(Response::new(PUBLISHED.into())) }
    };
    planted(Hears { function: DETECTION, operation: "Publish", change })
}

/// Gives the messages of alerts ids that nobody else has.
#[derive(Default)]
struct NewIds(AtomicU64);

impl Tamper for NewIds {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if call.is(DETECTION, "Publish") {
            // The body is a form, and the message in it JSON that begins with its id.
            let (begin, new) = ("Message=%7B%22id%22%3A%22", self.0.fetch_add(1, Ordering::Relaxed));
            let body = String::from_utf8(request.body().to_vec()).expect("a form is text");
            assert!(body.contains(begin), "the message has no id: the bug is not planted");
            *request.body_mut() = body.replacen(begin, &format!("{begin}{new}-"), 1).into();
        }
        None
    }
}

pub(super) fn alerts_under_new_ids() -> Harness {
    planted(NewIds::default())
}
