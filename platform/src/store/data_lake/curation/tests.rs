//! The function on the real SDK, against an Athena in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, START, Services};

/// Invoked for 2026-03-01T00:20:00Z.
const EVENT: &[u8] = br#"{"scheduled_time":"2026-03-01T00:20:00Z"}"#;
const HOURS: [&str; 3] = ["2026/02/28/21", "2026/02/28/22", "2026/02/28/23"];

/// How a statement goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    /// It succeeds at this look.
    SucceedsAt(usize),
    /// It ends so, for this reason.
    Ends(&'static str, &'static str),
}

#[derive(Debug)]
struct Execution {
    statement: String,
    course: Course,
    looks: usize,
    submitted_s: u64,
}

/// Athena, as far as the function uses it.
#[derive(Debug, Default)]
struct Athena {
    executions: Vec<Execution>,
    tokens: BTreeMap<String, usize>,
    /// The courses of the next statements; then they succeed at once.
    courses: Vec<Course>,
    now_s: u64,
}

type Account = testing::Account<Athena>;

impl Services for Athena {
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("DATABASE", "lake"), ("WORKGROUP", "curation"), ("STREAM_RETENTION_HOURS", "168")];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        let body = testing::body(request);
        let text = |member: &str| body[member].as_str().expect("a text").to_owned();
        match operation {
            "StartQueryExecution" => {
                assert_eq!(
                    (text("WorkGroup").as_str(), &body["QueryExecutionContext"]["Database"]),
                    ("curation", &json!("lake"))
                );
                let (token, statement) = (text("ClientRequestToken"), text("QueryString"));
                assert!((32..=128).contains(&token.len()));
                let index = *self.tokens.entry(token).or_insert(self.executions.len());
                if index == self.executions.len() {
                    let course = if self.courses.is_empty() { Course::SucceedsAt(1) } else { self.courses.remove(0) };
                    let submitted_s = self.now_s;
                    self.executions.push(Execution { statement, course, looks: 0, submitted_s });
                } else {
                    assert_eq!(self.executions[index].statement, statement, "one token, one statement");
                }
                Reply::ok(json!({"QueryExecutionId": format!("execution-{index}")}).to_string())
            }
            "GetQueryExecution" => {
                let index: usize = text("QueryExecutionId")["execution-".len()..].parse().expect("an id of ours");
                let execution = &mut self.executions[index];
                execution.looks += 1;
                let (state, reason) = match execution.course {
                    Course::SucceedsAt(look) if execution.looks >= look => ("SUCCEEDED", None),
                    Course::SucceedsAt(_) if execution.looks == 1 => ("QUEUED", None),
                    Course::SucceedsAt(_) => ("RUNNING", None),
                    Course::Ends(state, reason) => (state, Some(reason)),
                };
                let status =
                    json!({"State": state, "StateChangeReason": reason, "SubmissionDateTime": execution.submitted_s});
                Reply::ok(json!({"QueryExecution": {"Status": status}}).to_string())
            }
            other => panic!("the function calls {other}"),
        }
    }
}

impl Account {
    fn invoke_at(&self, event: &[u8], time: Duration) -> Result<Value, FunctionError> {
        let now_s = START.as_secs() + self.state().elapsed.as_secs();
        self.state().now_s = now_s + 1;
        let function = Curation::new(&self.config(), &Self::environment()).expect("the configuration is complete");
        let answer = self.invoke_raw(&function, event, time)?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    fn invoke(&self) -> Result<Value, FunctionError> {
        self.invoke_at(EVENT, Duration::from_secs(300))
    }

    /// The hours of the statements, in their order.
    fn hours(&self) -> Vec<String> {
        let of =
            |execution: &Execution| execution.statement.split("datehour = '").nth(1).expect("an hour")[..13].to_owned();
        self.state().executions.iter().map(of).collect()
    }
}

#[test]
fn each_complete_hour_is_curated_once_however_often_the_schedule_repeats_itself() {
    let account = Account::default();
    account.state().courses = vec![Course::SucceedsAt(4)];
    for _ in 0..3 {
        assert_eq!(account.invoke().unwrap(), json!({ "curated": HOURS }));
        assert_eq!(account.hours(), HOURS);
    }
    account.invoke_at(br#"{"scheduled_time":"2026-03-01T01:20:00Z"}"#, Duration::from_secs(300)).unwrap();
    assert_eq!(account.hours()[3..], ["2026/02/28/22", "2026/02/28/23", "2026/03/01/00"], "late rows are added");
}

#[test]
fn a_statement_that_fails_fails_the_invocation_with_its_reason_and_holds_up_no_other_hour() {
    for (state, reason) in
        [("FAILED", "HIVE_BAD_DATA: a file is damaged"), ("CANCELLED", "Bytes scanned limit was exceeded")]
    {
        let account = Account::default();
        account.state().courses = vec![Course::Ends(state, reason)];
        let error = account.invoke().unwrap_err();
        assert!(
            matches!(&error, FunctionError::Query(text) if text.contains(reason) && text.contains(state)),
            "{error}"
        );
        assert_eq!(account.hours(), HOURS);
        // The invocation that is tried again does not find the failed statement for ever: it runs it once more.
        account.state().elapsed += Duration::from_secs(60);
        assert_eq!(account.invoke().unwrap(), json!({ "curated": HOURS }));
        assert_eq!(account.hours()[3..], HOURS[..1]);
    }
}

#[test]
fn a_statement_that_always_fails_is_run_a_bounded_number_of_times() {
    let account = Account::default();
    account.state().courses = vec![Course::Ends("FAILED", "no"); 100];
    for _ in 0..10 {
        account.invoke().unwrap_err();
        account.state().elapsed += Duration::from_secs(60);
    }
    assert_eq!(account.state().executions.len(), 6 * HOURS.len());
}

#[test]
fn a_statement_that_goes_on_at_the_deadline_is_found_again() {
    let account = Account::default();
    account.state().courses = vec![Course::SucceedsAt(12)];
    let time = Duration::from_secs(30);
    let before = account.state().elapsed;
    let error = account.invoke_at(EVENT, time).unwrap_err();
    assert!(matches!(&error, FunctionError::Query(text) if text.contains("goes on")), "{error}");
    assert!(account.state().elapsed - before < time);
    assert_eq!(account.hours(), HOURS[..1], "no other statement runs at the same time");
    assert_eq!(account.invoke().unwrap(), json!({ "curated": HOURS }));
    assert_eq!(account.hours(), HOURS, "the statement of the first invocation was waited for");
}

#[test]
fn lost_answers_start_nothing_twice_and_throttles_pass() {
    let account = Account::default();
    let mut calls = 0;
    account.fail_calls(move |_| {
        calls += 1;
        match calls % 4 {
            1 => Some(Fault::LostAnswer),
            3 => Some(Fault::Answer(400, "TooManyRequestsException")),
            _ => None,
        }
    });
    assert_eq!(account.invoke().unwrap(), json!({ "curated": HOURS }));
    assert_eq!(account.hours(), HOURS);
    for fault in [Fault::Answer(400, "InvalidRequestException"), Fault::Silence] {
        account.fail_calls(move |operation| (operation == "GetQueryExecution").then_some(fault));
        assert!(matches!(account.invoke().unwrap_err(), FunctionError::Query(_)));
    }
}

#[test]
fn no_statement_is_started_after_one_that_may_be_going_on() {
    for operation in ["StartQueryExecution", "GetQueryExecution"] {
        for fault in [Fault::Answer(400, "InvalidRequestException"), Fault::LostAnswer, Fault::Silence] {
            let account = Account::default();
            account.fail_calls(move |call| (call == operation).then_some(fault));
            assert!(matches!(account.invoke().unwrap_err(), FunctionError::Query(_)));
            assert!(account.hours().len() <= 1, "{operation} {fault:?}: {:?}", account.hours());
            account.fail_calls(|_| None);
            assert_eq!(account.invoke().unwrap(), json!({ "curated": HOURS }));
            assert_eq!(account.hours(), HOURS);
        }
    }
}
