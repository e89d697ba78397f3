//! Faults of the calls that the platform's functions make: where they strike, and what the function sees.
//!
//! A call may be refused without effect (throttle, server error), be lost before its effect or after it, never be
//! answered, or be slow. It is never answered with something that the service would not say, and an effect never happens
//! twice for one request. A slow request is on its way whatever its caller does: it takes effect even when the caller has
//! given up.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http::{Request, Response};
use xxhash_rust::xxh3::Xxh3;

use crate::cloud::core::AwsError;
use crate::cloud::front::comparable;
use crate::cloud::iot::Iot;
use crate::cloud::lambda::Lambda;
use crate::fault::{Faults, Kind, Opportunity, answers, region};
use crate::world::clock;

/// Delay of a slow service when its fault names none.
const SLOW: Duration = Duration::from_secs(1);

/// How long a call hangs when its fault does not say.
const HANGS: Duration = Duration::from_secs(60);

/// What a service says that its request id is when it refuses a call before it has one.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// One call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Handler of the function.
    pub caller: String,
    /// Signing name.
    pub service: String,
    pub operation: String,
    method: String,
    /// Tells this call from all others of the caller: a repetition has the same.
    pub identity: u64,
}

/// How a call ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// It has its effect and is answered.
    Passes,
    /// It is refused without effect.
    Refused(AwsError),
    /// Its connection is reset before the service acts.
    LostBefore,
    /// It has its effect, and its connection is reset then.
    LostAfter,
    /// Nothing happens for so long; then its connection ends.
    Hangs(Duration),
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) struct Fate {
    /// So much longer it takes, half of it before its effect.
    pub slower: Duration,
    pub ending: Ending,
}

impl Call {
    /// What is called, of a request to `service` by the function with the handler `caller`.
    pub fn of(caller: &str, service: &str, request: &Request<Bytes>) -> Self {
        let operation = operation(service, request);
        let mut identity = Xxh3::new();
        let target = request.uri().to_string();
        for part in [caller, service, &operation, request.method().as_str(), &target] {
            identity.update(part.as_bytes());
            identity.update(&[0xff]);
        }
        identity.update(&comparable(service, request.body()));
        let (caller, service) = (caller.to_owned(), service.to_owned());
        Call { caller, service, operation, method: request.method().to_string(), identity: identity.digest() }
    }

    /// Whether the call changes something.
    pub fn changes_something(&self) -> bool {
        !["Get", "BatchGet", "Head", "List", "Describe"].iter().any(|word| self.operation.starts_with(word))
    }

    /// Decides what becomes of the call.
    pub fn fate(&self, faults: &Faults) -> Fate {
        let at = Opportunity {
            service: &self.service,
            operation: &self.operation,
            function: &self.caller,
            subject: &self.operation,
            ..Opportunity::default()
        };
        if region::is_out(faults, clock::now()) {
            return Fate { slower: Duration::ZERO, ending: Ending::Refused(answers::failed(&self.service)) };
        }
        let strike = |kind| faults.strike(clock::now(), kind, &at);
        let mut slower = strike(Kind::SlowService).map_or(Duration::ZERO, |stroke| stroke.delay_or(SLOW));
        if let Some(unwell) = faults.under(clock::now(), Kind::BrownOut, &at) {
            slower += unwell.delay_or(SLOW).mul_f64(unwell.roll);
        }
        let throttled = || Ending::Refused(answers::throttled(&self.service, &self.operation));
        let failed = || Ending::Refused(answers::failed(&self.service));
        let ending = if strike(Kind::Throttle).is_some() {
            throttled()
        } else if strike(Kind::ServerError).is_some() {
            failed()
        } else if let Some(unwell) = strike(Kind::BrownOut) {
            if unwell.roll < 0.5 { throttled() } else { failed() }
        } else if let Some(hangs) = strike(Kind::Timeout) {
            Ending::Hangs(hangs.delay_or(HANGS))
        } else if strike(Kind::LostRequest).is_some() {
            Ending::LostBefore
        } else if strike(Kind::LostResponse).is_some() {
            Ending::LostAfter
        } else {
            Ending::Passes
        };
        Fate { slower, ending }
    }

    /// The answer to a call that is refused.
    pub fn refusal(&self, error: &AwsError) -> Response<Bytes> {
        answers::answer(&self.service, &self.method, REQUEST_ID, error)
    }
}

/// What a client sees of a connection that was reset.
pub(super) fn reset() -> ConnectorError {
    ConnectorError::io("connection reset by peer".into())
}

/// The operation that a request asks for.
pub(super) fn operation(service: &str, request: &Request<Bytes>) -> String {
    if let Some(target) = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    if let Some(action) = request.body().strip_prefix(b"Action=") {
        let end = action.iter().position(|byte| *byte == b'&').unwrap_or(action.len());
        return String::from_utf8_lossy(&action[..end]).into_owned();
    }
    let (method, path) = (request.method().as_str(), request.uri().path());
    let known = match service {
        "s3" => s3_operation(request),
        "iot" => Iot::operation_of(method, path),
        "iotdata" | "iotdevicegateway" => Iot::data_operation_of(method, path),
        "lambda" => Lambda::operation_of(method, path),
        _ => None,
    };
    known.unwrap_or(method).to_owned()
}

/// S3 names no operation: it follows from the method, from whether the request is for an object, a bucket or neither, and
/// from a word of the query. The bucket stands in the host (virtual-hosted style) or begins the path.
fn s3_operation(request: &Request<Bytes>) -> Option<&'static str> {
    let header = request.headers().get("host").and_then(|value| value.to_str().ok());
    let host = request.uri().host().or(header).unwrap_or_default();
    let path = request.uri().path().trim_start_matches('/');
    let (has_bucket, has_key) = match host.starts_with("s3.") || host.starts_with("s3-") {
        true => (!path.is_empty(), path.split_once('/').is_some_and(|(_, key)| !key.is_empty())),
        false => (true, !path.is_empty()),
    };
    let query = request.uri().query().unwrap_or_default();
    let asks = |word: &str| query.split('&').any(|part| part.split('=').next() == Some(word));
    Some(match (request.method().as_str(), has_bucket, has_key) {
        ("GET", _, true) => "GetObject",
        ("PUT", _, true) if request.headers().contains_key("x-amz-copy-source") => "CopyObject",
        ("PUT", _, true) => "PutObject",
        ("HEAD", _, true) => "HeadObject",
        ("DELETE", _, true) => "DeleteObject",
        ("GET", true, false) if asks("location") => "GetBucketLocation",
        ("GET", true, false) => "ListObjectsV2",
        ("GET", false, false) => "ListBuckets",
        ("HEAD", true, false) => "HeadBucket",
        ("POST", true, false) if asks("delete") => "DeleteObjects",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Request<Bytes> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::from_static(body)).unwrap()
    }

    #[test]
    fn the_operation_of_a_request_is_known_whatever_its_protocol() {
        let target = [("x-amz-target", "Kinesis_20131202.PutRecords")];
        let copy = [("x-amz-copy-source", "/lake/a")];
        for (service, method, uri, headers, body, expected) in [
            ("kinesis", "POST", "https://kinesis.eu-west-1.amazonaws.com/", &target[..], &b"{}"[..], "PutRecords"),
            ("sns", "POST", "https://sns.eu-west-1.amazonaws.com/", &[], b"Action=Publish&Version=1", "Publish"),
            ("s3", "PUT", "https://lake.s3.eu-west-1.amazonaws.com/a/b", &[], b"", "PutObject"),
            ("s3", "PUT", "https://lake.s3.eu-west-1.amazonaws.com/a/b", &copy, b"", "CopyObject"),
            ("s3", "GET", "https://lake.s3.eu-west-1.amazonaws.com/a", &[], b"", "GetObject"),
            ("s3", "GET", "https://lake.s3.eu-west-1.amazonaws.com/?list-type=2&prefix=x", &[], b"", "ListObjectsV2"),
            ("s3", "GET", "https://s3.eu-west-1.amazonaws.com/lake/a", &[], b"", "GetObject"),
            ("s3", "GET", "https://s3.eu-west-1.amazonaws.com/lake", &[], b"", "ListObjectsV2"),
            ("s3", "GET", "https://s3.eu-west-1.amazonaws.com/", &[], b"", "ListBuckets"),
            ("s3", "POST", "https://lake.s3.eu-west-1.amazonaws.com/?delete", &[], b"", "DeleteObjects"),
            ("iot", "GET", "https://iot.eu-west-1.amazonaws.com/things/pump-1", &[], b"", "DescribeThing"),
            ("iotdata", "POST", "https://data-ats.iot.eu-west-1.amazonaws.com/topics/a%2Fb", &[], b"", "Publish"),
            ("lambda", "POST", "https://lambda.x.com/2015-03-31/functions/f/invocations", &[], b"", "Invoke"),
        ] {
            assert_eq!(operation(service, &request(method, uri, headers, body)), expected, "{service} {method} {uri}");
        }
    }

    #[test]
    fn a_call_is_a_repetition_when_everything_but_its_signature_is_the_same() {
        let call = |caller: &str, uri: &str, body: &'static [u8]| {
            Call::of(caller, "s3", &request("PUT", uri, &[("authorization", "any")], body)).identity
        };
        let first = call("enrichment", "https://lake.s3.eu-west-1.amazonaws.com/a", b"1");
        assert_eq!(first, call("enrichment", "https://lake.s3.eu-west-1.amazonaws.com/a", b"1"));
        assert_ne!(first, call("curation", "https://lake.s3.eu-west-1.amazonaws.com/a", b"1"));
        assert_ne!(first, call("enrichment", "https://lake.s3.eu-west-1.amazonaws.com/b", b"1"));
        assert_ne!(first, call("enrichment", "https://lake.s3.eu-west-1.amazonaws.com/a", b"2"));
    }
}
