//! The HTTP client, sleep and clock that the AWS SDK is given. Requests reach the account as bytes: signing, retries,
//! paging and error parsing are the SDK's own.

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

use super::handle::Cloud;
use super::lit::Lit;
use super::service_faults::{self, Fate};
use crate::cloud::core::Deferred;
use crate::cloud::front::{Credential, sigv4};
use crate::world::clock;

/// An `SdkConfig` whose every dependency on the outside is the simulated world, signing with `credential`, for those whose
/// calls no fault touches: oracles, and whoever deploys.
pub fn sdk_config(cloud: &Cloud, credential: &Credential) -> SdkConfig {
    sdk_config_of(cloud, credential, "")
}

/// The same for the function with the handler `caller`.
pub(super) fn sdk_config_of(cloud: &Cloud, credential: &Credential, caller: &str) -> SdkConfig {
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
        .http_client(Lit::over(SimulatedHttp { cloud: cloud.clone(), caller: caller.into() }, cloud, caller))
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
    caller: std::sync::Arc<str>,
}

impl HttpClient for SimulatedHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SimulatedHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { cloud, caller } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = into_bytes(request).await?;
            let service = sigv4::authorization(request.headers()).map_or(String::new(), |auth| auth.service.to_owned());
            let service_time = cloud.draw_latency(|latency| latency.call(&service));
            // Half of the time passes before the service acts, half before the client hears of it.
            clock::sleep(service_time / 2).await;
            let fate = if caller.is_empty() {
                Fate::Passes
            } else {
                service_faults::fate(cloud.faults(), &caller, &service, &service_faults::operation(&request)).await
            };
            let lost = matches!(fate, Fate::LostAfter);
            let mut response = match fate {
                Fate::Answered(refused) => refused,
                Fate::LostBefore => return Err(service_faults::reset()),
                Fate::Passes | Fate::LostAfter => cloud.enter(|account, now| account.http(now, request)),
            };
            if let Some(ticket) = response.extensions().get::<Deferred>().copied() {
                response = cloud.answer(ticket).await;
            }
            if lost {
                return Err(service_faults::reset());
            }
            clock::sleep(service_time / 2).await;
            HttpResponse::try_from(response.map(SdkBody::from)).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
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
