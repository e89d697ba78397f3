//! An account in memory for the tests of functions on the real SDK: a clock that goes on when everything waits, and
//! services that fail on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::function::{Environment, Function, FunctionError, InvocationContext, MetricSink};

/// The next number of a Region. Clients of one Region share the SDK's allowance of retries in a process, so each function
/// of a test has a Region of its own: otherwise the failures of one test would use up the retries of another.
static REGIONS: AtomicU32 = AtomicU32::new(1);

/// The time at which every test begins: 2026-03-01T00:00:00Z.
pub(crate) const START: Duration = Duration::from_secs(1_772_323_200);

/// What a fault does to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// AWS answers with this status and error code.
    Answer(u16, &'static str),
    /// The call has its effect and the answer is lost.
    LostAnswer,
    /// The connection has died and nobody says so.
    Silence,
    /// The call has its effect and the answer begins, but its body does not end.
    Stall,
    /// The call has its effect, and its answer takes so long.
    Slow(Duration),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Done.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// An error in the form of the service that `request` is for.
    pub fn error(request: &HttpRequest, status: u16, code: &str) -> Self {
        let host = request.uri().split('/').nth(2).unwrap_or("");
        let body = if host.contains("sns.") {
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>")
        } else if host.contains("s3.") {
            format!("<Error><Code>{code}</Code><Message>m</Message></Error>")
        } else {
            json!({"__type": code, "message": "m"}).to_string()
        };
        Reply { status, headers: Vec::new(), body: body.into_bytes() }
    }
}

/// The services of an account as far as a function uses them.
pub(crate) trait Services: Default + Send + 'static {
    /// The environment variables of the function.
    const VARIABLES: &'static [(&'static str, &'static str)];

    /// The answer to a call.
    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply;
}

type CallFault = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// Everything that an account knows. Its services are at hand as if they were members.
#[derive(Default)]
pub(crate) struct State<S> {
    pub elapsed: Duration,
    timers: BTreeSet<(Duration, u64)>,
    timers_made: u64,
    /// The operations that were called, in order.
    pub calls: Vec<String>,
    /// The metrics that were written.
    pub metrics: Vec<String>,
    fail_call: Option<CallFault>,
    services: S,
}

impl<S> Deref for State<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.services
    }
}

impl<S> DerefMut for State<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.services
    }
}

/// An account.
pub(crate) struct Account<S>(Arc<Mutex<State<S>>>);

impl<S> Clone for Account<S> {
    fn clone(&self) -> Self {
        Account(Arc::clone(&self.0))
    }
}

impl<S: Default> Default for Account<S> {
    fn default() -> Self {
        Account(Arc::default())
    }
}

impl<S> fmt::Debug for Account<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

impl<S: Services> Account<S> {
    pub fn state(&self) -> MutexGuard<'_, State<S>> {
        // After a failed assertion timers are still dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `fault` what to do to each call from now on.
    pub fn fail_calls(&self, fault: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        self.state().fail_call = Some(Box::new(fault));
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| *call == operation).count()
    }

    /// An SDK configuration whose world is this account.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::from_keys("AKIATEST", "secret", None);
        SdkConfig::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .region(Region::new(format!("eu-west-{}", REGIONS.fetch_add(1, Ordering::Relaxed))))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .sleep_impl(SharedAsyncSleep::new(self.clone()))
            .time_source(SharedTimeSource::new(self.clone()))
            .build()
    }

    /// The function's environment variables.
    pub fn environment() -> Environment {
        let variables = S::VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Environment::new(variables.collect())
    }

    /// What an invocation is told that may take so long.
    pub fn context(&self, time: Duration) -> InvocationContext {
        let deadline = SystemTime::UNIX_EPOCH + START + self.state().elapsed + time;
        InvocationContext { request_id: "test".to_owned(), deadline, metrics: Arc::new(self.clone()) }
    }

    /// Invokes a function.
    pub fn invoke_raw(&self, function: &dyn Function, event: &[u8], time: Duration) -> Result<Vec<u8>, FunctionError> {
        let context = self.context(time);
        self.run(function.invoke(event, &context))
    }

    /// Invokes the function of a stream with a batch. Answers the position from which it wants the batch again.
    pub fn invoke_batch(
        &self,
        function: &dyn Function,
        event: &[u8],
        time: Duration,
    ) -> Result<Option<usize>, FunctionError> {
        let answer = self.invoke_raw(function, event, time)?;
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        let failures = answer["batchItemFailures"].as_array().expect("an answer lists failures");
        assert!(failures.len() <= 1);
        Ok(failures.first().map(|failure| {
            let id = failure["itemIdentifier"].as_str().expect("a sequence number is a text");
            id.parse::<usize>().expect("sequence numbers of tests are numbers") - FIRST_SEQUENCE_NUMBER
        }))
    }

    /// Runs a future; when it waits, the clock goes to the next timer.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_until(pin!(future), || false).expect("nothing stops it")
    }

    /// As [`Self::run`], until `stop` tells, which is asked whenever the future waits: then there is no output, and the
    /// future may be dropped or go on later.
    pub fn run_until<F: Future + ?Sized>(&self, mut future: Pin<&mut F>, stop: impl Fn() -> bool) -> Option<F::Output> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            if stop() {
                return None;
            }
            let mut state = self.state();
            // Timers of futures that were put aside may be over already.
            let now = (state.elapsed, u64::MAX);
            state.elapsed = state.timers.range(now..).next().expect("a future that waits has a timer").0;
        }
    }

    /// The answer to a call; nothing when there is none.
    fn answer(&self, request: &HttpRequest) -> Option<Result<HttpResponse, ConnectorError>> {
        let operation = operation(request);
        let mut state = self.state();
        state.calls.push(operation.clone());
        let fault = state.fail_call.as_mut().and_then(|fault| fault(&operation));
        match fault {
            Some(Fault::Answer(status, code)) => Some(Ok(respond(Reply::error(request, status, code)))),
            Some(Fault::Silence) => None,
            Some(Fault::Stall) => {
                let mut response = respond(state.services.answer(&operation, request));
                let begun = Bytes::copy_from_slice(response.body().bytes().unwrap_or_default());
                let body = SdkBody::from_body_1_x(Full::new(begun).with_trailers(std::future::pending()));
                *response.body_mut() = body;
                Some(Ok(response))
            }
            Some(Fault::Slow(time)) => {
                state.elapsed += time;
                Some(Ok(respond(state.services.answer(&operation, request))))
            }
            Some(Fault::LostAnswer) => {
                state.services.answer(&operation, request);
                Some(Err(ConnectorError::io("the connection was reset".into())))
            }
            None => Some(Ok(respond(state.services.answer(&operation, request)))),
        }
    }
}

/// The name of the operation, from the header, the form or the method and the path.
fn operation(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    if let Some(action) = form(request).remove("Action") {
        return action;
    }
    match (request.uri().contains(".s3."), request.method()) {
        (true, "PUT") => "PutObject".to_owned(),
        (true, "GET") if request.uri().contains("list-type=2") => "ListObjectsV2".to_owned(),
        (true, "GET") => "GetObject".to_owned(),
        (_, method) => format!("{method} {}", path(request)),
    }
}

/// The path of a request, without host and query.
pub(crate) fn path(request: &HttpRequest) -> &str {
    let uri = request.uri();
    let path = uri.splitn(4, '/').nth(3).unwrap_or("");
    path.split('?').next().unwrap_or("")
}

/// The body of a request as JSON.
pub(crate) fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(bytes(request)).expect("a request is JSON")
}

/// The bytes of a request's body.
pub(crate) fn bytes(request: &HttpRequest) -> &[u8] {
    request.body().bytes().expect("bodies of functions are in memory")
}

/// The members of a form.
pub(crate) fn form(request: &HttpRequest) -> BTreeMap<String, String> {
    let form = request.headers().get("content-type").is_some_and(|t| t.contains("x-www-form-urlencoded"));
    let text = if form { String::from_utf8_lossy(bytes(request)).into_owned() } else { String::new() };
    text.split('&').filter_map(|member| member.split_once('=')).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// Decodes percent escapes.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| text_of(tail.get(..2)?).and_then(|hex| u8::from_str_radix(hex, 16).ok()));
        match escaped.flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("what tests send is text")
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn respond(reply: Reply) -> HttpResponse {
    let status = StatusCode::try_from(reply.status).expect("a valid status");
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Sequence number of a batch's first record, unless the test says otherwise.
pub(crate) const FIRST_SEQUENCE_NUMBER: usize = 1000;
/// The shard of all batches.
pub(crate) const SHARD: &str = "shardId-000000000003";

/// The event of a stream's batch. The sequence number of a record is `first` + its position, so that tests can tell
/// where an answer points.
pub(crate) fn batch(first: usize, payloads: &[String]) -> Vec<u8> {
    let record = |(position, payload): (usize, &String)| {
        let sequence_number = (first + position).to_string();
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": sequence_number,
                "data": STANDARD.encode(payload), "approximateArrivalTimestamp": 1_772_323_200.1,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{SHARD}:{sequence_number}"),
            "eventName": "aws:kinesis:record", "awsRegion": "eu-west-1", "invokeIdentityArn": "arn",
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s",
        })
    };
    json!({"Records": payloads.iter().enumerate().map(record).collect::<Vec<_>>()}).to_string().into_bytes()
}

impl<S: Services> MetricSink for Account<S> {
    fn put(&self, line: &str) {
        self.state().metrics.push(line.to_owned());
    }
}

impl<S: Services> TimeSource for Account<S> {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + START + self.state().elapsed
    }
}

impl<S: Services> AsyncSleep for Account<S> {
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.state();
        state.timers_made += 1;
        let timer = (state.elapsed + duration, state.timers_made);
        state.timers.insert(timer);
        Sleep::new(Timer { account: self.clone(), timer })
    }
}

/// Ends when the account's clock is there.
struct Timer<S: Services> {
    account: Account<S>,
    timer: (Duration, u64),
}

impl<S: Services> Future for Timer<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.account.state().elapsed >= self.timer.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<S: Services> Drop for Timer<S> {
    fn drop(&mut self) {
        self.account.state().timers.remove(&self.timer);
    }
}

impl<S: Services> HttpClient for Account<S> {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<S: Services> HttpConnector for Account<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.answer(&request) {
            Some(answer) => HttpConnectorFuture::ready(answer),
            None => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}
