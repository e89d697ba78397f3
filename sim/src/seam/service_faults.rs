//! Faults of the calls that the platform's functions make: where they strike, and what the function sees.
//!
//! A call may be refused without effect (throttle, server error), be lost before its effect or after it, or be slow. It is
//! never answered with something that the service would not say, and an effect never happens twice for one request.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http::{Request, Response};

use crate::fault::{Faults, Kind, Opportunity, answers, region};
use crate::world::clock;

/// Delay of a slow service when its fault names none.
const SLOW: Duration = Duration::from_secs(1);

/// What becomes of a call.
pub(super) enum Fate {
    /// It goes on.
    Passes,
    /// It is answered without effect.
    Answered(Response<Bytes>),
    /// Its connection is reset before the service acts.
    LostBefore,
    /// It has its effect, and its connection is reset then.
    LostAfter,
}

/// What is struck: the service, the operation and the caller of a request.
pub(super) fn operation(request: &Request<Bytes>) -> String {
    if let Some(target) = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    if let Some(action) = request.body().strip_prefix(b"Action=") {
        let end = action.iter().position(|byte| *byte == b'&').unwrap_or(action.len());
        return String::from_utf8_lossy(&action[..end]).into_owned();
    }
    // S3 and other REST services name no operation: a method on an object or on a bucket.
    let of_object = request.uri().path().trim_matches('/').contains('/') || request.uri().path().len() > 1;
    match (request.method().as_str(), of_object) {
        ("GET", true) => "GetObject",
        ("PUT", true) => "PutObject",
        ("HEAD", true) => "HeadObject",
        ("DELETE", true) => "DeleteObject",
        ("GET", false) => "ListObjectsV2",
        (method, _) => method,
    }
    .to_owned()
}

/// Decides what becomes of a call of the function `caller`. Waits when the service is slow.
pub(super) async fn fate(faults: &Faults, caller: &str, service: &str, operation: &str) -> Fate {
    if caller.is_empty() || faults.healed() {
        return Fate::Passes;
    }
    let at = Opportunity { service, operation, function: caller, subject: operation, ..Opportunity::default() };
    let strike = |kind| faults.strike(clock::now(), kind, &at);
    if let Some(stroke) = strike(Kind::SlowService) {
        clock::sleep(stroke.delay_or(SLOW) / 2).await;
    }
    let refused = |error| Fate::Answered(answers::answer(service, "struck-by-a-fault", &error));
    if region::is_out(faults, clock::now()) {
        return refused(answers::failed(service));
    }
    if strike(Kind::Throttle).is_some() {
        return refused(answers::throttled(service, operation));
    }
    if strike(Kind::ServerError).is_some() {
        return refused(answers::failed(service));
    }
    if strike(Kind::LostRequest).is_some() {
        return Fate::LostBefore;
    }
    if strike(Kind::LostResponse).is_some() {
        return Fate::LostAfter;
    }
    Fate::Passes
}

/// What a client sees of a connection that was reset.
pub(super) fn reset() -> ConnectorError {
    ConnectorError::io("connection reset by peer".into())
}
