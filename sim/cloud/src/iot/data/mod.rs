//! The data plane over HTTPS: publishes, retained messages, shadows and connections. Sources: the model of `iot-data`
//! (2015-05-28), "IoT Core API reference, AWS IoT data", and the Service Authorization Reference of AWS IoT.
//!
//! Modelled: every operation of the model, signed with Signature Version 4 (signing names `iotdata` and
//! `iotdevicegateway`). Requests with a client certificate, on port 8443, are absent.
//!
//! A caller without permission is answered `ForbiddenException`, 403, as AWS was seen to do although its model names
//! `UnauthorizedException` for most operations. Unverified: that a path of the data plane with another method is answered
//! `MethodNotAllowedException`; the sizes of pages when the caller names none (the largest); texts.

mod connections;
mod operations;
mod publish;
mod retained;
mod shadows;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use self::operations::Operation;
use super::Iot;
use super::registry::invalid;
use super::rest;
use super::rules::Ports;
use crate::core::{AwsError, Cx, Deferred, Outcome};

/// One request to the data plane.
pub struct DataRequest<'r> {
    /// HTTP method.
    pub method: &'r str,
    /// Path, still percent-encoded.
    pub path: &'r str,
    /// Query, still percent-encoded, without `?`.
    pub query: &'r str,
    /// Headers.
    pub headers: &'r HeaderMap,
    /// Body.
    pub body: &'r Bytes,
}

/// A request whose operation is known, with its parameters decoded.
struct Call<'r> {
    /// What the path names: a thing, a topic, a client id; nothing for lists.
    name: String,
    query: BTreeMap<String, String>,
    headers: &'r HeaderMap,
    body: &'r Bytes,
}

impl Call<'_> {
    /// A parameter of the query that is true or false. Without it: false.
    fn flag(&self, name: &str) -> Result<bool, AwsError> {
        match self.query.get(name).map(String::as_str) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(format!("{name} is true or false, not {other:?}"))),
        }
    }

    /// A parameter of the query that is a number within a range.
    fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, AwsError> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(invalid(format!("{name} is {} to {}, not {text:?}", range.start(), range.end()))),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn header(&self, name: &str) -> Result<Option<&str>, AwsError> {
        let text = self.headers.get(name).map(|value| value.to_str());
        text.transpose().map_err(|_| invalid(format!("the header {name} is no text")))
    }

    /// What a list goes on after: the text that the page before gave. Without one: the beginning.
    fn next_token(&self) -> Result<String, AwsError> {
        let Some(token) = self.text("nextToken") else { return Ok(String::new()) };
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.filter(|text| !text.is_empty()).ok_or_else(|| invalid("this is no nextToken of this operation"))
    }
}

/// The token with which a list goes on after `last`.
fn token(last: &str) -> Value {
    URL_SAFE_NO_PAD.encode(last.as_bytes()).into()
}

/// Whether the caller may do this.
fn permit(cx: &mut Cx<'_>, action: &str, resource: &str, context: &[(&str, &str)]) -> Result<(), AwsError> {
    cx.authorize_in(action, resource, context).map_err(|_| AwsError::new("ForbiddenException", "Forbidden").status(403))
}

fn throttled() -> AwsError {
    AwsError::new("ThrottlingException", "Rate exceeded").status(429)
}

impl Iot {
    /// The operation that a method and a path of the data plane ask for, if it has one.
    pub fn data_operation_of(method: &str, path: &str) -> Option<&'static str> {
        operations::find(method, path).ok().map(|(operation, _)| operation.name)
    }

    /// The answer that the last request to the data plane left for later, when it did: see [`Deferred`].
    pub fn take_deferred(&mut self) -> Option<Deferred> {
        self.deferred.take()
    }

    /// Answers a request to the data plane: HTTP status and body. An answer that has to wait is announced by
    /// [`Iot::take_deferred`].
    pub fn data(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        request: &DataRequest<'_>,
    ) -> Result<(u16, Vec<u8>), AwsError> {
        let (operation, name) = operations::find(request.method, request.path)?;
        let result = self.data_call(cx, ports, operation, name, request);
        cx.meter.call("iotdata", operation.name, result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        result.map(|body| (200, body))
    }

    fn data_call(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        operation: &Operation,
        name: String,
        request: &DataRequest<'_>,
    ) -> Result<Vec<u8>, AwsError> {
        let query = rest::query(request.query)?;
        if let Some(other) = query.keys().find(|name| !operation.query.contains(&name.as_str())) {
            return Err(invalid(format!("{} has no parameter {other}", operation.name)));
        }
        let call = Call { name, query, headers: request.headers, body: request.body };
        match operation.name {
            "Publish" => self.data_publish(cx, ports, &call),
            "GetThingShadow" => self.data_get_shadow(cx, &call),
            "UpdateThingShadow" => self.data_update_shadow(cx, &call),
            "DeleteThingShadow" => self.data_delete_shadow(cx, &call),
            "ListNamedShadowsForThing" => self.data_list_shadows(cx, &call),
            "GetRetainedMessage" => self.data_get_retained(cx, &call),
            "ListRetainedMessages" => self.data_list_retained(cx, &call),
            "GetConnection" => self.data_get_connection(cx, &call),
            "DeleteConnection" => self.data_delete_connection(cx, &call),
            "ListSubscriptions" => self.data_list_subscriptions(cx, &call),
            "SendDirectMessage" => self.data_send_direct(cx, &call),
            other => Err(AwsError::not_modelled(format!("iotdata {other}"))),
        }
    }
}
