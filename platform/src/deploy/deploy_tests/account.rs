//! An account in memory that speaks the wire protocols of CloudFormation, STS and S3, as far as deployments use them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::Value;

pub const ID: &str = "123456789012";
const START: Duration = Duration::from_secs(1_772_323_200);

/// What an operation on a stack does, step by step: the stack's status, and the events that come with it.
type Steps = VecDeque<(&'static str, Vec<EventRow>)>;
/// Logical id (`*` for the stack itself), status, reason.
pub type EventRow = (&'static str, &'static str, &'static str);

#[derive(Clone, Default)]
pub struct Account(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub stacks: BTreeMap<String, StackState>,
    change_sets: BTreeMap<String, (String, String, bool)>,
    /// Operations that changed something, in order.
    pub effects: Vec<String>,
    pub objects: BTreeSet<String>,
    /// The next operation on a stack does this instead of succeeding.
    pub scripts: BTreeMap<String, Vec<(&'static str, Vec<EventRow>)>>,
    /// Every call is answered with this error.
    pub refuse: Option<(u16, &'static str)>,
    /// Whether AWS IoT Core publishes events of things.
    pub thing_events: bool,
    /// Actions that fail next, each as often as it is here, with a fault of AWS.
    pub faults: Vec<&'static str>,
    /// Every second look at a stack or a change set fails with a fault of AWS.
    pub flaky: bool,
    looks: u32,
    /// The tokens of calls that change something.
    pub tokens: Vec<String>,
    /// What was set on buckets, each the bucket and the setting.
    pub settings: BTreeSet<String>,
    elapsed: Duration,
}

#[derive(Default)]
pub struct StackState {
    pub status: String,
    pub template: String,
    pub events: Vec<(String, String, String, String)>,
    steps: Steps,
}

impl StackState {
    /// Somebody else begins an operation.
    pub fn begin(&mut self, steps: Vec<(&'static str, Vec<EventRow>)>) {
        self.steps = steps.into();
    }
}

impl Account {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    pub fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("AKIDEXAMPLE", "secret", None)))
            .http_client(self.clone())
            .sleep_impl(SharedAsyncSleep::new(self.clone()))
            .time_source(SharedTimeSource::new(self.clone()))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .build()
    }

    pub fn has_stack(&self, name: &str, status: &str, template: &str) {
        let state = StackState { status: status.to_owned(), template: template.to_owned(), ..StackState::default() };
        self.state().stacks.insert(name.to_owned(), state);
    }

    pub fn effects(&self) -> Vec<String> {
        std::mem::take(&mut self.state().effects)
    }
}

/// Runs a future to its end. Every call and every sleep of the account is done at once.
pub fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for something that never comes");
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account")
    }
}

impl TimeSource for Account {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + START + self.state().elapsed
    }
}

impl AsyncSleep for Account {
    fn sleep(&self, duration: Duration) -> Sleep {
        let account = self.clone();
        // Time passes only for who waits: a time-out that is raced with a call that is done costs none.
        Sleep::new(async move { account.state().elapsed += duration })
    }
}

impl HttpClient for Account {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Account {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.state().answer(&request);
        let status = StatusCode::try_from(status).expect("a valid status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> (u16, String) {
        if let Some((status, code)) = self.refuse {
            return (status, error(code, "The security token included in the request is expired"));
        }
        if request.uri().contains("s3") {
            return self.s3(request);
        }
        if request.uri().ends_with("/event-configurations") {
            if request.method() == "PATCH" {
                self.effects.push("thing events on".to_owned());
                self.thing_events = true;
            }
            let on = self.thing_events;
            return (200, format!(r#"{{"eventConfigurations":{{"THING":{{"Enabled":{on}}}}}}}"#));
        }
        let body = request.body().bytes().expect("requests of these services are in memory");
        let form = parse(std::str::from_utf8(body).expect("a form is text"));
        let action = form["Action"].clone();
        self.looks += u32::from(action == "DescribeStacks" || action == "DescribeChangeSet");
        let hiccup = self.flaky
            && action.starts_with("Describe")
            && action != "DescribeStackEvents"
            && self.looks.is_multiple_of(2);
        let fault = self.faults.iter().position(|fault| *fault == action);
        if hiccup || fault.map(|at| self.faults.remove(at)).is_some() {
            return (503, error("ServiceUnavailable", "try again"));
        }
        match self.query(&action, &form) {
            Ok(result) => {
                (200, format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"))
            }
            Err(message) => (400, error("ValidationError", &message)),
        }
    }

    fn s3(&mut self, request: &HttpRequest) -> (u16, String) {
        let uri = request.uri().trim_start_matches("https://");
        let bucket = uri.split(".s3").next().expect("split gives one part").to_owned();
        let path = uri.split_once('/').map(|(_, path)| path).unwrap_or_default();
        let key = path.split('?').next().expect("split gives one part");
        let creates_bucket = request.method() == "PUT" && key.is_empty() && !path.contains('?');
        let of_packages = bucket.starts_with("builds-") && !creates_bucket;
        let owner = request.headers().get("x-amz-expected-bucket-owner");
        assert!(!of_packages || owner == Some(ID), "{} {uri}: the bucket's owner is checked", request.method());
        let setting = path.split_once('?').map_or("", |(_, query)| query.split('&').next().expect("one part"));
        match (request.method(), setting.trim_end_matches('=')) {
            ("HEAD", _) if self.faults.first() == Some(&"HeadObject") => {
                self.faults.remove(0);
                return (503, String::new());
            }
            ("HEAD", _) if key.is_empty() => {
                return (if self.settings.contains(&format!("{bucket} made")) { 200 } else { 404 }, String::new());
            }
            ("PUT", "") if key.is_empty() => {
                self.settings.insert(format!("{bucket} made"));
                return (200, String::new());
            }
            ("GET", "policy") if !self.settings.contains(&format!("{bucket} policy")) => {
                return (404, "<Error><Code>NoSuchBucketPolicy</Code></Error>".to_owned());
            }
            ("GET", "policy") => return (200, "{}".to_owned()),
            ("PUT", "policy" | "versioning" | "publicAccessBlock") => {
                let setting = setting.trim_end_matches('=');
                if self.faults.first() == Some(&"bucket settings") && setting != "publicAccessBlock" {
                    self.faults.remove(0);
                    return (403, "<Error><Code>AccessDenied</Code></Error>".to_owned());
                }
                self.settings.insert(format!("{bucket} {setting}"));
                return (200, String::new());
            }
            _ => {}
        }
        match request.method() {
            "HEAD" if self.objects.contains(&format!("{bucket}/{key}")) => (200, String::new()),
            "HEAD" => (404, String::new()),
            "PUT" => {
                self.effects.push(format!("put {bucket}/{}", key.split('/').next().expect("split gives one part")));
                self.objects.insert(format!("{bucket}/{key}"));
                (200, String::new())
            }
            "GET" if path.contains("versions") => {
                let held = self.objects.iter().any(|object| object.starts_with(&format!("{bucket}/")));
                let version = if held { "<Version><Key>k</Key><VersionId>v</VersionId></Version>" } else { "" };
                (200, format!("<ListVersionsResult>{version}</ListVersionsResult>"))
            }
            other => panic!("S3 is asked to {other} {uri}"),
        }
    }

    fn query(&mut self, action: &str, form: &BTreeMap<String, String>) -> Result<String, String> {
        let given = form.get("StackName").cloned().unwrap_or_default();
        let name = given.trim_start_matches("id-of-").to_owned();
        self.tokens.extend(form.get("ClientToken").or(form.get("ClientRequestToken")).cloned());
        match action {
            "GetCallerIdentity" => Ok(format!("<Account>{ID}</Account><Arn>arn:aws:iam::{ID}:user/me</Arn>")),
            "DescribeStacks" => self.describe(&name),
            "CreateChangeSet" => Ok(self.create_change_set(&name, form)),
            "DescribeChangeSet" => Ok(self.describe_change_set(form)),
            "ExecuteChangeSet" => {
                self.execute(&name, &form["ChangeSetName"]);
                Ok(String::new())
            }
            "DeleteChangeSet" => {
                self.change_sets.remove(&form["ChangeSetName"]);
                Ok(String::new())
            }
            "DeleteStack" => {
                assert!(given.starts_with("id-of-"), "stacks are deleted by their id");
                self.effects.push(format!("delete {name}"));
                let script = self.scripts.remove(&name).unwrap_or_else(|| {
                    vec![("DELETE_IN_PROGRESS", vec![("*", "DELETE_IN_PROGRESS", "")]), ("DELETE_COMPLETE", vec![])]
                });
                if let Some(stack) = self.stacks.get_mut(&name) {
                    stack.steps = script.into();
                }
                Ok(String::new())
            }
            "DescribeStackEvents" => self.events(&name, form.get("NextToken")),
            "GetTemplate" => Ok(format!("<TemplateBody>{}</TemplateBody>", escape(&self.stacks[&name].template))),
            "ListStackResources" => Ok(list_resources(&self.stacks[&name].template)),
            other => panic!("CloudFormation is asked to {other}"),
        }
    }

    fn describe(&mut self, name: &str) -> Result<String, String> {
        let absent = format!("Stack with id {name} does not exist");
        let stack = self.stacks.get_mut(name).ok_or_else(|| absent.clone())?;
        if let Some((status, events)) = stack.steps.pop_front() {
            status.clone_into(&mut stack.status);
            for (logical_id, status, reason) in events {
                let logical_id = if logical_id == "*" { name } else { logical_id };
                let id = format!("{name}-{}", stack.events.len());
                stack.events.push((id, logical_id.to_owned(), status.to_owned(), reason.to_owned()));
            }
        }
        if stack.status == "DELETE_COMPLETE" {
            self.stacks.remove(name);
            return Err(absent);
        }
        let status = &stack.status;
        Ok(format!(
            "<Stacks><member><StackName>{name}</StackName><StackId>id-of-{name}</StackId><StackStatus>{status}</StackStatus>\
             <CreationTime>2026-03-01T00:00:00Z</CreationTime></member></Stacks>"
        ))
    }

    fn create_change_set(&mut self, name: &str, form: &BTreeMap<String, String>) -> String {
        let id = format!("arn:{name}:{}", self.change_sets.len() + self.effects.len());
        let body = form.get("TemplateBody").or_else(|| form.get("TemplateURL")).expect("a template is given").clone();
        let creates = form["ChangeSetType"] == "CREATE";
        if creates {
            self.stacks.insert(
                name.to_owned(),
                StackState { status: "REVIEW_IN_PROGRESS".to_owned(), ..StackState::default() },
            );
        }
        self.change_sets.insert(id.clone(), (name.to_owned(), body, creates));
        format!("<Id>{id}</Id><StackId>{name}</StackId>")
    }

    /// One change a page.
    fn describe_change_set(&self, form: &BTreeMap<String, String>) -> String {
        let (name, body, _) = &self.change_sets[&form["ChangeSetName"]];
        let old = &self.stacks[name].template;
        if old == body {
            return "<Status>FAILED</Status><StatusReason>The submitted information didn't contain changes.</StatusReason>"
                .to_owned();
        }
        let changes = changes(old, body);
        let page: usize = form.get("NextToken").map_or(0, |token| token.parse().expect("a token of ours"));
        let next =
            if page + 1 < changes.len() { format!("<NextToken>{}</NextToken>", page + 1) } else { String::new() };
        let change = changes.get(page).cloned().unwrap_or_default();
        format!("<Status>CREATE_COMPLETE</Status><Changes>{change}</Changes>{next}")
    }

    fn execute(&mut self, name: &str, id: &str) {
        let (_, body, creates) = self.change_sets.remove(id).expect("a change set that was made");
        let verb = if creates { "create" } else { "update" };
        self.effects.push(format!("{verb} {name}"));
        let script = self.scripts.remove(name).unwrap_or_else(|| {
            let (begun, done) = match creates {
                true => ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"),
                false => ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"),
            };
            vec![(begun, vec![("*", begun, ""), ("A", begun, "")]), (done, vec![("A", done, ""), ("*", done, "")])]
        });
        let stack = self.stacks.get_mut(name).expect("a stack that exists");
        // Right after the call, the stack is described as before.
        stack.steps = script.into();
        if !stack.steps.iter().any(|(status, _)| status.contains("ROLLBACK")) {
            stack.template = body;
        }
        let before: &'static str = if creates { "REVIEW_IN_PROGRESS" } else { "UPDATE_COMPLETE" };
        stack.steps.push_front((before, Vec::new()));
    }

    /// Two events a page, the newest first.
    fn events(&self, name: &str, token: Option<&String>) -> Result<String, String> {
        let stack = self.stacks.get(name).ok_or_else(|| format!("Stack [{name}] does not exist"))?;
        let from: usize = token.map_or(0, |token| token.parse().expect("a token of ours"));
        let mut page = String::new();
        for (id, logical_id, status, reason) in stack.events.iter().rev().skip(from).take(2) {
            let kind = if logical_id == name { "AWS::CloudFormation::Stack" } else { "AWS::Kinesis::Stream" };
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!("<ResourceStatusReason>{reason}</ResourceStatusReason>")
            };
            page.push_str(&format!(
                "<member><EventId>{id}</EventId><StackName>{name}</StackName><LogicalResourceId>{logical_id}</LogicalResourceId>\
                 <ResourceType>{kind}</ResourceType><ResourceStatus>{status}</ResourceStatus>{reason}</member>"
            ));
        }
        let next =
            if from + 2 < stack.events.len() { format!("<NextToken>{}</NextToken>", from + 2) } else { String::new() };
        Ok(format!("<StackEvents>{page}</StackEvents>{next}"))
    }
}

/// The changes between two templates: a resource whose name changes is replaced.
fn changes(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default()["Resources"].clone();
    let (old, new) = (parse(old), parse(new));
    let ids: BTreeSet<&String> =
        [&old, &new].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    let mut found = Vec::new();
    for id in ids {
        let (before, after) = (&old[id], &new[id]);
        let action = match (before.is_null(), after.is_null()) {
            (true, _) => "Add",
            (_, true) => "Remove",
            _ if before == after => continue,
            _ => "Modify",
        };
        let replaced = action == "Modify" && before["Properties"]["Name"] != after["Properties"]["Name"];
        let kind = if after.is_null() { &before["Type"] } else { &after["Type"] }.as_str().expect("a type");
        let replacement = if action == "Modify" {
            format!("<Replacement>{}</Replacement>", if replaced { "True" } else { "False" })
        } else {
            String::new()
        };
        found.push(format!(
            "<member><Type>Resource</Type><ResourceChange><Action>{action}</Action><LogicalResourceId>{id}</LogicalResourceId>\
             <ResourceType>{kind}</ResourceType>{replacement}</ResourceChange></member>"
        ));
    }
    found
}

fn list_resources(template: &str) -> String {
    let template: Value = serde_json::from_str(template).expect("a template is JSON");
    let resources = template["Resources"].as_object().expect("a template has resources");
    let rows = resources.iter().map(|(id, resource)| {
        let kind = resource["Type"].as_str().expect("a type");
        format!(
            "<member><LogicalResourceId>{id}</LogicalResourceId><PhysicalResourceId>the-{}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>",
            id.to_lowercase()
        )
    });
    format!("<StackResourceSummaries>{}</StackResourceSummaries>", rows.collect::<String>())
}

fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A form as `application/x-www-form-urlencoded` writes it.
fn parse(form: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let digits = std::str::from_utf8(&rest[..2]).expect("digits are ASCII");
                    out.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                    rest = &rest[2..];
                }
                other => out.push(*other),
            }
        }
        String::from_utf8(out).expect("a form is text")
    };
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}
