//! The simulated account: every service, and the ways in: HTTP requests, MQTT connections, timers, finished functions
//! and templates.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};

use super::athena::Athena;
use super::cloudformation::CloudFormation;
use super::core::access::{Access, Denials, Key};
use super::core::cx::CxParts;
use super::core::ports::Stores;
use super::core::{AwsError, Cx, Disturb, Effect, EventStream, Limits, Meter, Principal, Service};
use super::dynamodb::DynamoDb;
use super::firehose::Firehose;
use super::front::protocol::render;
use super::front::query::{self, Form, Xml};
use super::front::{Credential, Credentials, Protocol, comparable, render_error, sigv4};
use super::glue::Glue;
use super::iam::Iam;
use super::iot::{self, DataRequest, Iot, Refused, RestRequest};
use super::kept::Kept;
use super::kinesis::Kinesis;
use super::kms::Kms;
use super::lambda::{self, FunctionError, Lambda, RestCall};
use super::s3::S3;
use super::scheduler::Scheduler;
use super::sns::Sns;
use super::ssm::Ssm;
use super::sts::Sts;
use world::mark::{self, Mark};
use world::seed::Seed;
use world::time::Time;
use world::trace::{Field, Level, Trace};

/// The account: its services, and what they share.
pub struct Account {
    pub(super) parts: CxParts,
    credentials: Credentials,
    owner: Principal,
    /// Stands beside the services, because it acts on all of them.
    cloudformation: CloudFormation,
    /// The services.
    pub services: Services,
}

/// One state machine a service.
pub struct Services {
    /// AWS IoT Core.
    pub iot: Iot,
    /// Amazon Kinesis Data Streams.
    pub kinesis: Kinesis,
    /// AWS Lambda.
    pub lambda: Lambda,
    /// Amazon Data Firehose.
    pub firehose: Firehose,
    /// Amazon S3.
    pub s3: S3,
    /// Amazon DynamoDB.
    pub dynamodb: DynamoDb,
    /// AWS Glue Data Catalog.
    pub glue: Glue,
    /// Amazon Athena.
    pub athena: Athena,
    /// AWS IAM.
    pub iam: Iam,
    /// AWS KMS.
    pub kms: Kms,
    /// AWS Systems Manager Parameter Store.
    pub ssm: Ssm,
    /// Amazon SNS.
    pub sns: Sns,
    /// Amazon EventBridge Scheduler.
    pub scheduler: Scheduler,
    /// Resources that are configuration only.
    pub kept: Kept,
    /// AWS STS.
    pub sts: Sts,
}

impl Account {
    /// An empty account in `region`.
    pub fn new(region: &str, seed: Seed, trace: Trace) -> Self {
        let seed = seed.child("account");
        let ids = seed.child("ids").rng();
        let parts = CxParts { ids, access: Access::enforced(), ..CxParts::new(region, trace, seed.rng()) };
        Account {
            owner: Principal::new(format!("arn:aws:iam::{}:root", parts.account.id)),
            parts,
            credentials: Credentials::default(),
            services: Services {
                iot: Iot::new(),
                kinesis: Kinesis::new(),
                lambda: Lambda::new(),
                firehose: Firehose::new(),
                s3: S3::new(),
                dynamodb: DynamoDb::new(),
                glue: Glue::new(),
                athena: Athena::new(),
                iam: Iam::default(),
                kms: Kms,
                ssm: Ssm::default(),
                sns: Sns::new(),
                scheduler: Scheduler::new(),
                kept: Kept::default(),
                sts: Sts::default(),
            },
            cloudformation: CloudFormation::default(),
        }
    }

    /// Account id, twelve digits.
    pub fn id(&self) -> &str {
        &self.parts.account.id
    }

    /// Region.
    pub fn region(&self) -> &str {
        &self.parts.account.region
    }

    /// Counts of calls and other counters so far.
    pub fn meter(&self) -> &Meter {
        &self.parts.meter
    }

    /// The calls and uses of keys that were denied so far.
    pub fn denials(&self) -> &Denials {
        self.parts.access.denials()
    }

    /// The keys of KMS that exist, by id.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.parts.access.keys.by_id.values()
    }

    /// The quotas.
    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// Counts a call that never reached its service, as the service would have counted it.
    pub fn count_refused(&mut self, service: &str, operation: &str, error: &AwsError) {
        self.parts.meter.call_named(service, operation, error.into());
    }

    /// The idle execution environments of functions are gone: of those with this handler, or of all. Answers the
    /// functions' names.
    pub fn drop_idle(&mut self, handler: Option<&str>) -> Vec<String> {
        self.services.lambda.drop_idle(handler)
    }

    /// Leaves a mark in the account's trace.
    pub fn mark(&self, now: Time, mark: Mark, subject: &str) {
        self.parts.trace.mark(now, mark, subject);
    }

    /// Makes an access key known.
    pub fn add_credential(&mut self, credential: Credential) {
        self.services.s3.add_credential(&credential);
        self.credentials.insert(credential);
    }

    /// Says who decides what goes wrong inside the account. Without it nothing does.
    pub fn set_disturb(&mut self, disturb: Box<dyn Disturb>) {
        self.parts.disturb = Some(disturb);
    }

    /// Lets the account's owner act on the services at `now`.
    pub fn as_owner<T>(&mut self, now: Time, act: impl FnOnce(&mut Services, &mut Cx<'_>) -> T) -> T {
        act(&mut self.services, &mut self.parts.cx(now, &self.owner))
    }

    /// Lets CloudFormation act on the services at `now`, on behalf of the account's owner.
    pub(super) fn with_cloudformation<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut CloudFormation, &mut Services, &mut Cx<'_>) -> T,
    ) -> T {
        act(&mut self.cloudformation, &mut self.services, &mut self.parts.cx(now, &self.owner))
    }

    /// What the services ask of the outside since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.parts.effects)
    }

    /// When the account next wants to be woken.
    pub fn next_due(&self) -> Option<Time> {
        self.parts.timers.next_due()
    }

    /// Runs every wake-up that is due.
    pub fn wake_due(&mut self, now: Time) {
        while let Some(wake) = self.parts.timers.pop_due(now) {
            self.with_cloudformation(now, |cloudformation, s, cx| match wake.service {
                Service::CloudFormation => cloudformation.wake(s, cx, wake.token),
                Service::Iot => s.with_iot(|iot, ports| iot.wake(cx, ports, wake.token)),
                Service::Kinesis => s.kinesis.wake(cx, wake.token),
                Service::Lambda => {
                    s.with_lambda(|lambda, ports| lambda.wake(cx, ports, wake.token));
                    s.hand_over(cx);
                }
                Service::Firehose => {
                    let stores = Stores { streams: &mut s.kinesis, objects: &mut s.s3, catalog: &mut s.glue };
                    s.firehose.wake(cx, stores, &mut s.lambda, wake.token);
                }
                Service::S3 => s.s3.wake(cx, wake.token),
                Service::Athena => s.athena.wake(cx, &mut s.glue, &mut s.s3, wake.token),
                Service::Scheduler => s.scheduler.wake(cx, &mut s.lambda, wake.token),
            });
        }
    }

    /// A device's connection presents its certificate.
    pub fn mqtt_open(&mut self, now: Time, connection: u64, certificate: &str, ip: &str) -> Result<(), Refused> {
        self.as_owner(now, |s, cx| s.iot.open(cx, connection, certificate, ip))
    }

    /// Bytes arrive on a device's connection.
    pub fn mqtt_receive(&mut self, now: Time, connection: u64, bytes: &[u8]) {
        self.as_owner(now, |s, cx| s.with_iot(|iot, ports| iot.receive(cx, ports, connection, bytes)));
    }

    /// A device's connection is gone.
    pub fn mqtt_closed(&mut self, now: Time, connection: u64) {
        self.as_owner(now, |s, cx| s.iot.closed(cx, connection));
    }

    /// Nobody reads the body of a response any more.
    pub fn event_stream_closed(&mut self, stream: EventStream) {
        self.services.kinesis.event_stream_closed(stream);
    }

    /// A function's invocation has ended. `init`: how long its environment was initialised before the function's time
    /// began.
    pub fn complete(&mut self, now: Time, invocation: u64, init: Duration, result: Result<Bytes, FunctionError>) {
        if let Err(error) = &result
            && error.error_type == "Runtime.InitError"
        {
            self.parts.trace.mark(now, mark::FUNCTION_NOT_STARTED, &error.message);
        }
        self.as_owner(now, |s, cx| {
            s.with_lambda(|lambda, ports| lambda.complete(cx, ports, invocation, init, result));
            s.hand_over(cx);
        });
    }

    /// The trace of the run.
    pub fn trace(&self) -> &Trace {
        &self.parts.trace
    }

    /// A function has written a line of metrics to its standard output. It is an event of the trace and nothing else.
    pub fn metric(&mut self, now: Time, function: &str, line: &str) {
        self.parts.trace.event(Level::Call, now, "lambda", "metric", function, &[("line", line.into())]);
    }

    /// Answers one HTTP request to any service. An answer that comes later, as [`Effect::Answer`], has
    /// [`Deferred`](super::core::Deferred) among the extensions of the response; a body that goes on has
    /// [`EventStream`].
    pub fn http(&mut self, now: Time, request: Request<Bytes>) -> Response<Bytes> {
        let (service, response) = self.answer(now, &request);
        let operation =
            request.headers().get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or(request.uri().path());
        self.parts.trace.event(
            Level::Call,
            now,
            "front-door",
            "http",
            operation,
            &[
                ("service", service.as_str().into()),
                ("request", Field::Bytes(&comparable(&service, request.body()))),
                ("status", u64::from(response.status().as_u16()).into()),
                ("response", Field::Bytes(response.body())),
            ],
        );
        response
    }

    /// The signing name of the service that answers (empty when none does), and its answer.
    fn answer(&mut self, now: Time, request: &Request<Bytes>) -> (String, Response<Bytes>) {
        let auth = sigv4::authorization(request.headers());
        // Requests to S3 need no Authorization header: presigned, posted by a form, or anonymous. S3 judges them itself.
        if addresses_s3(request) || auth.as_ref().is_ok_and(|auth| auth.service == "s3") {
            let signer = auth.ok().and_then(|auth| self.credentials.get(auth.access_key_id));
            let caller = signer.map_or_else(|| self.owner.clone(), |credential| credential.principal.clone());
            let response = self.services.s3.http(&mut self.parts.cx(now, &caller), request.clone());
            return ("s3".to_owned(), response);
        }
        let auth = match auth {
            Ok(auth) => auth,
            Err(error) => return (String::new(), self.refuse(Protocol::Json11, "", &error)),
        };
        let region = &self.parts.account.region;
        let verified = sigv4::verify(request, &auth, &self.credentials, region, now)
            .map(|credential| credential.principal.clone());
        let response = match query::dialect(auth.service) {
            Some(dialect) => self.query_http(now, auth.service, dialect, request.body(), verified),
            None => self.json_http(now, auth.service, request, verified),
        };
        (auth.service.to_owned(), response)
    }

    fn query_http(
        &mut self,
        now: Time,
        service: &str,
        dialect: query::Dialect,
        body: &[u8],
        verified: Result<Principal, AwsError>,
    ) -> Response<Bytes> {
        let result = verified.and_then(|caller| {
            let mut form = dialect.parse(body)?;
            let cx = &mut self.parts.cx(now, &caller);
            let answer = match service {
                "cloudformation" => self.cloudformation.call(&mut self.services, cx, &mut form)?,
                other => self.services.route_query(cx, other, &mut form)?,
            };
            Ok((form, answer))
        });
        for credential in self.services.sts.take_issued() {
            self.add_credential(credential);
        }
        let request_id = self.request_id();
        match result {
            Ok((form, answer)) => dialect.respond(form.action(), &request_id, &answer),
            Err(error) => dialect.respond_error(&request_id, &error),
        }
    }

    fn refuse(&mut self, protocol: Protocol, namespace: &str, error: &AwsError) -> Response<Bytes> {
        let request_id = self.request_id();
        render_error(protocol, namespace, &request_id, error)
    }

    fn request_id(&mut self) -> String {
        self.parts.cx(Time::EPOCH, &self.owner).uuid()
    }

    fn json_http(
        &mut self,
        now: Time,
        service: &str,
        request: &Request<Bytes>,
        verified: Result<Principal, AwsError>,
    ) -> Response<Bytes> {
        let (protocol, namespace) = protocol_of(service);
        // Errors of a signature: 403 in REST-JSON, 400 in the JSON protocols ("Denial message" of the AWS facts on IAM).
        let verified = verified.map_err(|error| if protocol == Protocol::RestJson { error.status(403) } else { error });
        let result =
            verified.and_then(|caller| self.services.route(&mut self.parts.cx(now, &caller), service, request));
        match result {
            Ok((status, body)) => {
                let invocation = self.services.lambda.take_request_id();
                let request_id = invocation.unwrap_or_else(|| self.request_id());
                let mut response = render(protocol, status, &request_id, body);
                let (lambda, iot) = (&mut self.services.lambda, &mut self.services.iot);
                if let Some(ticket) = lambda.take_deferred().or_else(|| iot.take_deferred()) {
                    response.extensions_mut().insert(ticket);
                }
                if let Some((stream, unread)) = self.services.kinesis.take_opened() {
                    let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
                    response.headers_mut().insert("content-type", kind);
                    response.extensions_mut().insert(stream);
                    response.extensions_mut().insert(unread);
                }
                response
            }
            Err(error) => self.refuse(protocol, namespace, &error),
        }
    }
}

impl Services {
    /// Lets IoT Core act, with the services that its rules use.
    pub fn with_iot<T>(&mut self, act: impl FnOnce(&mut Iot, &mut iot::Ports<'_>) -> T) -> T {
        let mut ports = iot::Ports {
            streams: &mut self.kinesis,
            objects: &mut self.s3,
            functions: &mut self.lambda,
            deliveries: &mut self.firehose,
            catalog: &mut self.glue,
            notifications: &mut self.sns,
            items: &mut self.dynamodb,
        };
        act(&mut self.iot, &mut ports)
    }

    /// Lets Lambda act, with the services that it uses.
    pub fn with_lambda<T>(&mut self, act: impl FnOnce(&mut Lambda, &mut lambda::Ports<'_>) -> T) -> T {
        let mut ports = lambda::Ports {
            streams: &mut self.kinesis,
            objects: &mut self.s3,
            topics: &mut self.sns,
            logs: &self.kept,
        };
        act(&mut self.lambda, &mut ports)
    }

    /// Tells services of functions that they wait for and that have ended: IoT Core of its provisioning hooks, Firehose of
    /// its transformations.
    fn hand_over(&mut self, cx: &mut Cx<'_>) {
        for (ticket, answered) in self.lambda.take_answers() {
            let stores = Stores { streams: &mut self.kinesis, objects: &mut self.s3, catalog: &mut self.glue };
            self.firehose.function_answered(cx, stores, &mut self.lambda, ticket, &answered);
            self.iot.function_answered(cx, ticket, answered);
        }
    }

    /// The services that speak Query, a line each (CloudFormation acts on all of them and is asked before).
    fn route_query(&mut self, cx: &mut Cx<'_>, service: &str, form: &mut Form) -> Result<Xml, AwsError> {
        match service {
            "sns" => self.sns.call(cx, form),
            "sts" => self.sts.call(cx, &self.iam, form),
            "iam" => Err(AwsError::not_modelled(format!("{} of IAM's own interface", form.action()))),
            _ => Err(AwsError::not_modelled(format!("{} of the service {service:?}", form.action()))),
        }
    }

    fn route(&mut self, cx: &mut Cx<'_>, service: &str, request: &Request<Bytes>) -> Result<(u16, Vec<u8>), AwsError> {
        let body = request.body();
        let ok = |body: Vec<u8>| (200, body);
        match service {
            "kinesis" => self.kinesis.call(cx, operation(request, "Kinesis_20131202")?, body).map(ok),
            "firehose" => {
                let op = operation(request, "Firehose_20150804")?;
                let stores = Stores { streams: &mut self.kinesis, objects: &mut self.s3, catalog: &mut self.glue };
                self.firehose.call(cx, stores, &mut self.lambda, op, body).map(ok)
            }
            "dynamodb" => self.dynamodb.call(cx, operation(request, "DynamoDB_20120810")?, body).map(ok),
            "kms" => self.kms.call(cx, operation(request, "TrentService")?, body).map(ok),
            "glue" => self.glue.call(cx, operation(request, "AWSGlue")?, body).map(ok),
            "athena" => {
                let op = operation(request, "AmazonAthena")?;
                self.athena.call(cx, &mut self.glue, &mut self.s3, op, body).map(ok)
            }
            "iot" => {
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
                let principal = request.headers().get("x-amzn-principal").and_then(|value| value.to_str().ok());
                self.iot.rest(cx, &RestRequest { method: request.method().as_str(), path, query, principal, body })
            }
            "iotdata" | "iotdevicegateway" => {
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
                let (method, headers) = (request.method().as_str(), request.headers());
                let request = DataRequest { method, path, query, headers, body };
                self.with_iot(|iot, ports| iot.data(cx, ports, &request))
            }
            "lambda" => {
                let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
                let call = RestCall { method: request.method().as_str(), target, headers: request.headers(), body };
                self.with_lambda(|lambda, ports| lambda.call_rest(cx, ports, &call))
            }
            other => Err(AwsError::not_modelled(format!("the service with the signing name {other:?}"))),
        }
    }
}

/// The protocol of a service that speaks JSON, by its signing name, and what stands before the codes of its errors.
pub fn protocol_of(service: &str) -> (Protocol, &'static str) {
    match service {
        "dynamodb" => (Protocol::Json10, super::dynamodb::ERROR_NAMESPACE),
        "iot" | "iotdata" | "iotdevicegateway" | "lambda" | "scheduler" => (Protocol::RestJson, ""),
        _ => (Protocol::Json11, ""),
    }
}

fn operation<'r>(request: &'r Request<Bytes>, prefix: &str) -> Result<&'r str, AwsError> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("");
    target
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or_else(|| AwsError::unknown_operation(target))
}

/// Whether a request's host is one of S3's: `s3.{region}.amazonaws.com`, `{bucket}.s3.{region}.amazonaws.com`.
fn addresses_s3(request: &Request<Bytes>) -> bool {
    let header = request.headers().get("host").and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    [header, authority].into_iter().flatten().any(|host| host.starts_with("s3.") || host.contains(".s3."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_unix_secs(1_772_323_200);

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::new()).expect("a valid request")
    }

    /// Status, the code's header, and the body of the answer to a request. Every request must leave an event.
    fn ask(uri: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let trace = Trace::new();
        let mut account = Account::new("eu-west-1", Seed::root(1), trace.clone());
        let response = account.http(NOW, request(uri, headers));
        assert!(!trace.is_empty(), "{uri} left no event");
        let code = response.headers().get("x-amzn-errortype").map_or("", |code| code.to_str().expect("a code"));
        let body = String::from_utf8(response.body().to_vec()).expect("errors are texts");
        (response.status().as_u16(), code.to_owned(), body)
    }

    #[test]
    fn s3_answers_requests_without_an_authorization_header() {
        let posted = [("host", "lake.s3.amazonaws.com"), ("content-type", "multipart/form-data")];
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);
        let cases: [Case<'_>; 3] = [
            ("https://lake.s3.eu-west-1.amazonaws.com/key", &[], 403, "AccessDenied"),
            ("https://s3.eu-west-1.amazonaws.com/lake/key?X-Amz-Signature=00", &[], 501, "NotImplemented"),
            ("/key", &posted, 501, "NotImplemented"),
        ];
        for (uri, headers, status, code) in cases {
            let (found, _, body) = ask(uri, headers);
            assert_eq!(found, status, "{uri}: {body}");
            assert!(body.contains(&format!("<Code>{code}</Code>")), "{uri}: {body}");
        }
    }

    #[test]
    fn other_services_refuse_requests_without_an_authorization_header() {
        let (status, _, body) = ask("https://kinesis.eu-west-1.amazonaws.com/", &[]);
        assert_eq!(status, 403);
        assert!(body.contains("MissingAuthenticationTokenException"), "{body}");
    }

    #[test]
    fn errors_of_a_signature_have_the_status_of_their_protocol() {
        for (service, status) in [("kinesis", 400), ("dynamodb", 400), ("iot", 403), ("iotdata", 403), ("lambda", 403)]
        {
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=AKIAUNKNOWN/20260301/eu-west-1/{service}/aws4_request, \
                 SignedHeaders=host, Signature=00"
            );
            let uri = format!("https://{service}.eu-west-1.amazonaws.com/");
            let (found, header, body) = ask(&uri, &[("authorization", authorization.as_str())]);
            assert_eq!(found, status, "{service}: {body}");
            let code = "UnrecognizedClientException";
            assert!(header == code || body.contains(code), "{service}: {header} {body}");
        }
    }

    #[test]
    fn the_region_of_a_run_is_the_region_of_its_quotas() {
        for (region, rate) in [("eu-west-1", 3_000), ("ca-central-1", 100)] {
            let account = Account::new(region, Seed::root(1), Trace::new());
            assert_eq!(account.parts.limits.get("iot-core", "connect_rate_per_account"), rate, "{region}");
        }
    }
}
