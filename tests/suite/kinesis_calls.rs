//! The list of calls by which this Kinesis is compared with other emulators (`.ci/judge_kinesis.py`), through the account's
//! front door: bytes and signatures as any client sends them.
//!
//! Each call is a line of `tests/conformance/kinesis_calls.json`. A text `${id.path}` is what an earlier call was answered;
//! `{"$x": n}` a text of n letters, `{"$base64": n}` n bytes as base64, `{"$repeat": [n, value]}` a list. After a call with
//! `settle` whatever it began is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::core::Principal;
use sim::cloud::front::Credential;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

const CALLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/kinesis_calls.json");
/// How long what a call began takes at most.
const SETTLED: Duration = Duration::from_secs(600);
/// Between two calls: no rate is met.
const PAUSE: Duration = Duration::from_millis(1_100);

struct Caller {
    account: Account,
    now: Time,
    answers: BTreeMap<String, Value>,
}

impl Caller {
    fn new() -> Self {
        let mut account = Account::new("eu-west-1", Seed::root(3), Trace::new());
        account.add_credential(Credential {
            access_key_id: "testing".to_owned(),
            secret_access_key: "testing".to_owned(),
            session_token: None,
            expires: None,
            principal: Principal::new("arn:aws:iam::123456789012:root"),
        });
        Caller { account, now: Time::from_unix_secs(1_772_323_200), answers: BTreeMap::new() }
    }

    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.account.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.account.wake_due(self.now);
        }
        self.now = until;
    }

    /// The input of a call with everything filled in.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                Some(path) => {
                    let mut parts = path.split('.');
                    let answer = parts.next().and_then(|id| self.answers.get(id)).unwrap_or(&Value::Null);
                    parts.fold(answer, |value, part| &value[part]).clone()
                }
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => {
                let count = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
                if let Some(letters) = members.get("$x") {
                    return "x".repeat(count(letters)).into();
                }
                if let Some(bytes) = members.get("$base64") {
                    return base64::engine::general_purpose::STANDARD.encode(vec![0; count(bytes)]).into();
                }
                if let Some(repeated) = members.get("$repeat") {
                    return vec![self.filled(&repeated[1]); count(&repeated[0])].into();
                }
                members.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect()
            }
            _ => value.clone(),
        }
    }

    /// Makes a call. Answers status and body.
    fn call(&mut self, operation: &str, input: &Value) -> (u16, Value) {
        let mut request = Request::builder()
            .method("POST")
            .uri("https://kinesis.eu-west-1.amazonaws.com/")
            .header("host", "kinesis.eu-west-1.amazonaws.com")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Bytes::from(self.filled(input).to_string()))
            .unwrap();
        let identity = Credentials::new("testing", "testing", None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("kinesis")
            .time(std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(self.now.unix_micros()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signable = {
            let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
            let body = SignableBody::Bytes(request.body());
            SignableRequest::new("POST", request.uri().to_string(), headers, body).unwrap()
        };
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let response = self.account.http(self.now, request);
        let body = response.body();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
        (response.status().as_u16(), body)
    }
}

/// Where the answers are written for the judge.
fn answers_file() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("kinesis_answers.json")
}

#[test]
fn every_call_of_the_list_is_answered_as_aws_may_answer_it() {
    let calls: Vec<Value> = serde_json::from_slice(&std::fs::read(CALLS).unwrap()).unwrap();
    assert!(calls.len() >= 60, "{} calls", calls.len());
    let (mut caller, mut written) = (Caller::new(), Vec::new());
    for call in &calls {
        let id = call["id"].as_str().unwrap();
        let (status, body) = caller.call(call["op"].as_str().unwrap(), &call["in"]);
        assert!(matches!(status, 200 | 400), "{id}: {status} {body}");
        if status == 400 {
            assert!(body["__type"].is_string(), "{id}: {body}");
        }
        caller.answers.insert(id.to_owned(), body.clone());
        written.push(json!({"id": id, "status": status, "body": body}));
        caller.wait(if call["settle"] == true { SETTLED } else { PAUSE });
    }
    let refused = written.iter().filter(|answer| answer["status"] == 400).count();
    assert!(refused > 30 && written.len() - refused > 60, "{refused} of {} are refused", written.len());
    std::fs::write(answers_file(), serde_json::to_vec_pretty(&written).unwrap()).unwrap();
}
