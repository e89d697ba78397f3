//! Calls of functions under the spotlight: when a call that carries its reading begins, and how it ends. It looks on, and
//! changes nothing about the call.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::handle::Cloud;
use crate::world::clock;
use crate::world::spotlight::Stage;
use crate::world::trace::Trace;

/// An HTTP client that tells the spotlight of the calls of the function `caller`.
#[derive(Clone, Debug)]
pub(super) struct Lit<C> {
    inner: C,
    cloud: Cloud,
    caller: std::sync::Arc<str>,
}

impl<C> Lit<C> {
    pub(super) fn over(inner: C, cloud: &Cloud, caller: &str) -> Self {
        Lit { inner, cloud: cloud.clone(), caller: caller.into() }
    }

    /// Service and operation of a request that carries the reading, with the trace.
    fn lit(&self, request: &HttpRequest) -> Option<(Trace, String)> {
        if self.caller.is_empty() {
            return None;
        }
        let trace = self.cloud.look(|account| account.trace().is_lit().then(|| account.trace().clone()))?;
        let body = request.body().bytes()?;
        if !trace.carries(body) {
            return None;
        }
        // The scope of a signature: `Credential=KEY/date/region/service/aws4_request`.
        let scope = request.headers().get("authorization").and_then(|header| header.split("Credential=").nth(1));
        let service = scope.and_then(|scope| scope.split('/').nth(3)).unwrap_or_default();
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let operation = operation.unwrap_or_else(|| request.method());
        Some((trace, format!("{service}:{operation}")))
    }
}

impl<C: HttpClient + Clone + 'static> HttpClient for Lit<C> {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Lit { inner, cloud: self.cloud.clone(), caller: self.caller.clone() })
    }
}

impl HttpConnector for Lit<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some((trace, call)) = self.lit(&request) else { return self.inner.call(request) };
        let (answer, caller) = (self.inner.call(request), self.caller.clone());
        HttpConnectorFuture::new(async move {
            trace.hop(clock::now(), Stage::Call, &caller, || format!("calls {call} with it"));
            let answer = answer.await;
            trace.hop(clock::now(), Stage::Call, &caller, || match &answer {
                Ok(answer) => format!("is answered {} by {call}", answer.status().as_u16()),
                Err(error) => format!("has NO ANSWER of {call}: {}", source_of(error)),
            });
            answer
        })
    }
}

/// The innermost reason of an error.
fn source_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
