//! A hand between a function and AWS: whoever plants a bug sees each call before it is sent and each answer before the
//! function does, and may change both. The product knows nothing of it.
//!
//! A request that was changed is signed again, by the SDK's own signer. An S3 body that was changed loses the checksums
//! that the SDK put into its headers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;

use super::http_client::into_bytes;
use super::service_faults;
use crate::cloud::front::{Credential, sigv4};
use crate::world::clock;

/// Most times that one call is sent again in a row because a [`Tamper`] wants it: the sender's patience, not AWS's.
const AGAIN_MAX: u32 = 400;

/// A call of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Handler of the function that calls, such as `enrichment`.
    pub function: &'a str,
    /// Signing name of the service.
    pub service: &'a str,
    /// Operation.
    pub operation: &'a str,
}

impl Call<'_> {
    /// Whether the function calls this operation.
    pub fn is(&self, function: &str, operation: &str) -> bool {
        self.function == function && self.operation == operation
    }
}

/// What becomes of an answer.
#[derive(Debug)]
pub enum Told {
    /// The function sees it; `None` is a connection that ended without an answer.
    This(Option<Response<Bytes>>),
    /// The function does not see it, and the same request is sent again at once.
    Again,
}

/// Changes calls of functions.
pub trait Tamper: Send + Sync {
    /// Sees a request before it is sent, and may change its body, headers and URI. An answer is given in the service's
    /// place: then nothing is sent.
    fn request(&self, _call: &Call<'_>, _request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        None
    }

    /// Sees an answer to `request`, as it was sent, before the function; `None` is a connection that ended without one.
    fn answer(&self, _call: &Call<'_>, _request: &Request<Bytes>, answer: Option<Response<Bytes>>) -> Told {
        Told::This(answer)
    }
}

/// The configuration of a function whose calls go through `tamper`, in front of whatever carries them now.
pub(super) fn tampered(config: SdkConfig, tamper: &Arc<dyn Tamper>, function: &str, key: &Credential) -> SdkConfig {
    let inner = config.http_client().expect("the simulated configuration has an HTTP client");
    let credentials = Credentials::new(
        &key.access_key_id,
        &key.secret_access_key,
        key.session_token.clone(),
        None,
        "signs what was changed",
    );
    let http = TamperedHttp { inner, tamper: tamper.clone(), function: function.into(), identity: credentials.into() };
    config.into_builder().http_client(http).build()
}

#[derive(Clone)]
struct TamperedHttp {
    inner: SharedHttpClient,
    tamper: Arc<dyn Tamper>,
    function: Arc<str>,
    identity: Identity,
}

impl fmt::Debug for TamperedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TamperedHttp").field("function", &self.function).finish_non_exhaustive()
    }
}

impl HttpClient for TamperedHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(TamperedConnector { http: self.clone(), inner })
    }
}

#[derive(Clone, Debug)]
struct TamperedConnector {
    http: TamperedHttp,
    inner: SharedHttpConnector,
}

impl HttpConnector for TamperedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { http, inner } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = into_bytes(request).await?;
            let service = sigv4::authorization(request.headers()).map_or(String::new(), |auth| auth.service.to_owned());
            let operation = service_faults::operation(&request);
            let call = Call { function: &http.function, service: &service, operation: &operation };
            http.exchange(&call, &inner, request).await
        })
    }
}

impl TamperedHttp {
    async fn exchange(
        &self,
        call: &Call<'_>,
        inner: &SharedHttpConnector,
        mut request: Request<Bytes>,
    ) -> Result<HttpResponse, ConnectorError> {
        let before = request.clone();
        if let Some(answer) = self.tamper.request(call, &mut request) {
            return sdk_response(answer);
        }
        let changed =
            before.uri() != request.uri() || before.headers() != request.headers() || before.body() != request.body();
        if changed {
            let other_body = before.body() != request.body();
            self.sign_again(call.service, &mut request, other_body);
        }
        for _ in 0..AGAIN_MAX {
            let sent = HttpRequest::try_from(request.clone().map(SdkBody::from)).map_err(user)?;
            let (answer, lost) = match inner.call(sent).await {
                Ok(answer) => (Some(response_bytes(answer).await?), None),
                Err(lost) => (None, Some(lost)),
            };
            match (self.tamper.answer(call, &request, answer), lost) {
                (Told::Again, _) => {}
                (Told::This(Some(answer)), _) => return sdk_response(answer),
                (Told::This(None), lost) => return Err(lost.unwrap_or_else(service_faults::reset)),
            }
        }
        Err(service_faults::reset())
    }

    fn sign_again(&self, service: &str, request: &mut Request<Bytes>, other_body: bool) {
        let region = sigv4::authorization(request.headers()).map_or(String::new(), |auth| auth.region.to_owned());
        let headers = request.headers_mut();
        for name in ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
            headers.remove(name);
        }
        headers.remove(AUTHORIZATION);
        if other_body {
            let checksums: Vec<_> = headers.keys().filter(|name| is_checksum(name.as_str())).cloned().collect();
            checksums.into_iter().for_each(|name| drop(headers.remove(name)));
        }
        if request.headers().contains_key(CONTENT_LENGTH) {
            let length = HeaderValue::from(request.body().len());
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&region)
            .name(service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_micros(clock::now().unix_micros()))
            .settings(settings(service))
            .build()
            .expect("all parameters are given")
            .into();
        let signable = {
            let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")));
            let body = SignableBody::Bytes(request.body());
            SignableRequest::new(request.method().as_str(), request.uri().to_string(), headers, body)
        };
        let signed = sign(signable.expect("it was a request before"), &params).expect("a key signs everything");
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(request);
    }
}

/// S3 signs paths as they are, and the hash of the body in a header of its own ("Create a signed AWS API request").
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

fn is_checksum(header: &str) -> bool {
    header.starts_with("x-amz-checksum-") || header == "x-amz-sdk-checksum-algorithm" || header == "content-md5"
}

fn user(error: impl std::error::Error + Send + Sync + 'static) -> ConnectorError {
    ConnectorError::user(error.into())
}

fn sdk_response(answer: Response<Bytes>) -> Result<HttpResponse, ConnectorError> {
    HttpResponse::try_from(answer.map(SdkBody::from)).map_err(user)
}

async fn response_bytes(answer: HttpResponse) -> Result<Response<Bytes>, ConnectorError> {
    let (head, body) = answer.try_into_http1x().map_err(user)?.into_parts();
    let body = match body.bytes() {
        Some(bytes) => Bytes::copy_from_slice(bytes),
        None => body.collect().await.map_err(ConnectorError::user)?.to_bytes(),
    };
    Ok(Response::from_parts(head, body))
}
