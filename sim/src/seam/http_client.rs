//! The HTTP client, sleep and clock that the AWS SDK is given. Requests reach the account as bytes: signing, retries,
//! paging and error parsing are the SDK's own.

use std::sync::Arc;
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
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::calls::{Calls, GivenUp};
use super::event_streams::Rest;
use super::handle::Cloud;
use super::lit::Lit;
use super::service_faults::{self, Call, Ending, Fate};
use crate::cloud::core::{Deferred, EventStream, Unread};
use crate::cloud::front::{Credential, sigv4};
use crate::world::{clock, mark};

/// An `SdkConfig` whose every dependency on the outside is the simulated world, signing with `credential`, for those whose
/// calls no fault touches: oracles, and whoever deploys.
pub fn sdk_config(cloud: &Cloud, credential: &Credential) -> SdkConfig {
    sdk_config_for(cloud, credential, None)
}

/// The same for an environment of the function with the handler `caller`.
pub(super) fn sdk_config_of(cloud: &Cloud, credential: &Credential, caller: &str, calls: Calls) -> SdkConfig {
    sdk_config_for(cloud, credential, Some((caller.into(), calls)))
}

fn sdk_config_for(cloud: &Cloud, credential: &Credential, function: Option<(Arc<str>, Calls)>) -> SdkConfig {
    let caller = function.as_ref().map_or_else(String::new, |(caller, _)| caller.to_string());
    let expires = credential.expires.map(|t| SystemTime::UNIX_EPOCH + Duration::from_micros(t.unix_micros()));
    let credentials = Credentials::new(
        &credential.access_key_id,
        &credential.secret_access_key,
        credential.session_token.clone(),
        expires,
        "simulated",
    );
    SdkConfig::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(Region::new(cloud.region()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Lit::over(SimulatedHttp { cloud: cloud.clone(), function }, cloud, &caller))
        .sleep_impl(SharedAsyncSleep::new(SimulatedSleep))
        .time_source(SharedTimeSource::new(SimulatedTime))
        .retry_config(RetryConfig::standard())
        .build()
}

#[derive(Debug)]
struct SimulatedSleep;

impl AsyncSleep for SimulatedSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(clock::sleep(duration))
    }
}

#[derive(Debug)]
struct SimulatedTime;

impl TimeSource for SimulatedTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(clock::now().unix_micros())
    }
}

#[derive(Clone, Debug)]
struct SimulatedHttp {
    cloud: Cloud,
    /// Handler of the function whose calls these are, and what is known of them; nothing for those whose calls no fault
    /// touches.
    function: Option<(Arc<str>, Calls)>,
}

impl HttpClient for SimulatedHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SimulatedHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { cloud, function } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = into_bytes(request).await?;
            let service = sigv4::authorization(request.headers()).map_or(String::new(), |auth| auth.service.to_owned());
            let service_time = cloud.draw_latency(|latency| latency.call(&service));
            // Half of the time passes before the service acts, half before the client hears of it.
            clock::sleep(service_time / 2).await;
            let response = match &function {
                Some((caller, calls)) if cloud.faults().any() => {
                    under_faults(&cloud, Call::of(caller, &service, &request), calls, request).await?
                }
                _ => act(&cloud, request).await,
            };
            clock::sleep(service_time / 2).await;
            let rest = response.extensions().get::<Rest>().cloned();
            let body =
                |bytes: Bytes| rest.map_or_else(|| SdkBody::from(bytes.clone()), |rest| rest.after(bytes.clone()));
            HttpResponse::try_from(response.map(body)).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// The header with the id of a request.
const REQUEST_ID: &str = "x-amzn-requestid";

/// The account's answer to a request.
async fn act(cloud: &Cloud, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let mut response = cloud.enter(|account, now| account.http(now, request));
    if let Some(stream) = response.extensions().get::<EventStream>().copied() {
        let unread = response.extensions_mut().remove::<Unread>().unwrap_or_default();
        // At once: nothing is sent before somebody can read it.
        response.extensions_mut().insert(cloud.rest_of(stream, unread));
    }
    match response.extensions().get::<Deferred>().copied() {
        Some(ticket) => {
            let mut answer = cloud.answer(ticket).await;
            // The request has one id, whenever it is answered.
            if let Some(id) = response.headers_mut().remove(REQUEST_ID) {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
            answer
        }
        None => response,
    }
}

/// The answer to a function's call, with what goes wrong on the way.
async fn under_faults(
    cloud: &Cloud,
    call: Call,
    calls: &Calls,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, ConnectorError> {
    let Fate { slower, ending } = call.fate(cloud.faults());
    let is_lost = matches!(ending, Ending::LostAfter);
    let response = match ending {
        Ending::Passes | Ending::LostAfter if slower.is_zero() => {
            calls.tell(cloud, &call);
            act(cloud, request).await
        }
        Ending::Passes | Ending::LostAfter => {
            // A slow request is on its way, whoever waits for its answer. A task that is not waited for goes on.
            let (cloud, calls, call) = (cloud.clone(), calls.clone(), call.clone());
            let given_up = GivenUp::default();
            let waiting = given_up.clone();
            let acting = madsim::task::spawn(async move {
                clock::sleep(slower / 2).await;
                calls.tell(&cloud, &call);
                if given_up.is_given_up() {
                    cloud.unheard(&call);
                    cloud.enter(|account, now| account.mark(now, mark::LATE_EFFECT, &call.operation));
                }
                act(&cloud, request).await
            });
            let response = acting.await.map_err(|error| ConnectorError::other(error.into(), None))?;
            waiting.was_heard();
            response
        }
        Ending::Refused(error) => {
            clock::sleep(slower / 2).await;
            cloud.enter(|account, _| account.count_refused(&call.service, &call.operation, &error));
            call.refusal(&error)
        }
        Ending::LostBefore => return Err(service_faults::reset()),
        Ending::Hangs(patience) => {
            clock::sleep(patience).await;
            return Err(service_faults::reset());
        }
    };
    calls.acted();
    if is_lost {
        cloud.unheard(&call);
        return Err(service_faults::reset());
    }
    clock::sleep(slower / 2).await;
    Ok(response)
}

/// The request with its whole body in memory.
pub(super) async fn into_bytes(request: HttpRequest) -> Result<http::Request<Bytes>, ConnectorError> {
    let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
    let (head, body) = request.into_parts();
    let body = match body.bytes() {
        Some(bytes) => Bytes::copy_from_slice(bytes),
        None => body.collect().await.map_err(ConnectorError::user)?.to_bytes(),
    };
    Ok(http::Request::from_parts(head, body))
}
