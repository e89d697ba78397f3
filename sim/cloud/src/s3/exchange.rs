//! One HTTP exchange: the way of a request through `s3s`, and the finish of its answer (request ids, date, error body).

use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use s3s::{Body, HttpResponse};
use serde_json::Value;

use super::errors::{into_s3_error, text_of};
use super::state::{Done, Failure};
use super::{S3, auth};
use crate::core::{AwsError, Cx, Outcome};

const AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const AMZ_ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");

impl S3 {
    /// Answers one request. Every request is counted once; those refused before their operation is known are counted
    /// as `Refused`.
    pub fn http(&mut self, cx: &mut Cx<'_>, mut request: Request<Bytes>) -> Response<Bytes> {
        complete_headers(&mut request);
        let is_head = *request.method() == Method::HEAD;
        let path = request.uri().path().to_owned();
        let admitted = auth::admit(&self.shared.lock(), cx.account, cx.now, &request);
        let rendered = match &admitted {
            Ok(()) => self.pass(cx, request),
            Err(error) => render(error),
        };
        let (head, body) = into_bytes(rendered);
        let done = self.shared.lock().call.done.take();
        let done = done.unwrap_or_else(|| self.unfinished(&path, &body));
        done.record(cx);
        let members = match &admitted {
            Ok(()) => done.failure.as_ref().map(|failure| failure.members.as_slice()).unwrap_or_default(),
            Err(error) => error.extra.as_slice(),
        };
        let body = if is_error(&head) { with_members(&body, members) } else { body };
        finish(cx, head, body, is_head, &path)
    }

    /// Hands the request to `s3s`.
    fn pass(&mut self, cx: &mut Cx<'_>, request: Request<Bytes>) -> HttpResponse {
        {
            let mut state = self.shared.lock();
            state.call.now = cx.now;
            state.call.account = cx.account.clone();
            state.call.body = request.body().clone();
            state.call.operation = None;
            state.call.done = None;
            state.call.gate.enter(cx);
        }
        let answer = self.service.call(request.map(Body::from)).now_or_never();
        {
            let mut state = self.shared.lock();
            state.call.body = Bytes::new();
            state.call.gate.leave(cx);
        }
        match answer.expect("the store is in memory: no operation waits") {
            Ok(response) => response,
            Err(error) => panic!("s3s could not render an answer: {error:?}"),
        }
    }

    /// What became of a request whose operation was never run: its key, its signature, or something that is not
    /// modelled stopped it.
    fn unfinished(&self, path: &str, body: &[u8]) -> Done {
        let operation = self.shared.lock().call.operation.take().unwrap_or("Refused");
        let code = element(body, "Code").unwrap_or("InternalError").to_owned();
        let failure = Failure { code, outcome: Outcome::Error, members: Vec::new() };
        Done { failure: Some(failure), ..Done::new(operation, path.trim_start_matches('/'), "") }
    }
}

/// HTTP clients add these headers below the SDK.
fn complete_headers(request: &mut Request<Bytes>) {
    let authority = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    let length = HeaderValue::from(request.body().len());
    let headers = request.headers_mut();
    if let (false, Some(host)) = (headers.contains_key(HOST), authority) {
        headers.insert(HOST, host);
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, length);
    }
}

fn render(error: &AwsError) -> HttpResponse {
    into_s3_error(error).to_http_response().expect("an error of plain text renders as XML")
}

fn into_bytes(response: HttpResponse) -> (http::response::Parts, Bytes) {
    let (head, mut body) = response.into_parts();
    let collected = body.store_all_limited(usize::MAX).now_or_never().expect("the body is in memory");
    (head, collected.expect("a body in memory can be read"))
}

fn is_error(head: &http::response::Parts) -> bool {
    head.status.as_u16() >= 400 && head.headers.get(CONTENT_TYPE).is_some_and(|t| t == "application/xml")
}

/// Adds to an error what AWS tells of its code beyond code and message.
fn with_members(body: &Bytes, members: &[(&'static str, Value)]) -> Bytes {
    let text = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix("</Error>"));
    let (Some(open), false) = (text, members.is_empty()) else { return body.clone() };
    let mut whole = open.to_owned();
    for (name, value) in members {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        whole.push_str(&format!("<{name}>{}</{name}>", escape(&text)));
    }
    whole.push_str("</Error>");
    Bytes::from(whole)
}

/// Adds what AWS adds to every answer.
fn finish(cx: &mut Cx<'_>, head: http::response::Parts, body: Bytes, is_head: bool, path: &str) -> Response<Bytes> {
    let id = cx.uuid().replace('-', "").to_uppercase();
    let (request_id, host_id) = id.split_at(16);
    let bodyless = is_head || matches!(head.status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    let body = match (bodyless, is_error(&head)) {
        (true, _) => Bytes::new(),
        (false, true) => complete_error(&body, path, request_id, host_id),
        (false, false) => body,
    };
    let mut response = Response::from_parts(head, body);
    let length = HeaderValue::from(response.body().len());
    let date = cx.now.to_datetime().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = response.headers_mut();
    if !bodyless {
        headers.insert(CONTENT_LENGTH, length);
    } else if headers.get(CONTENT_TYPE).is_some_and(|t| t == "application/xml") {
        headers.remove(CONTENT_TYPE);
    }
    insert(headers, AMZ_REQUEST_ID, request_id);
    insert(headers, AMZ_ID_2, host_id);
    insert(headers, DATE, &date);
    insert(headers, SERVER, "AmazonS3");
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `s3s` writes code and message; AWS also names the resource and the request.
fn complete_error(body: &Bytes, path: &str, request_id: &str, host_id: &str) -> Bytes {
    let Some(open) = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix("</Error>")) else {
        return body.clone();
    };
    let message = match (element(body, "Message"), element(body, "Code")) {
        (None, Some(code)) => format!("<Message>{}</Message>", escape(text_of(code))),
        _ => String::new(),
    };
    let resource = escape(path);
    let whole = format!(
        "{open}{message}<Resource>{resource}</Resource><RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>"
    );
    Bytes::from(whole)
}

/// The text of the first element with this name.
fn element<'b>(body: &'b [u8], name: &str) -> Option<&'b str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
}

/// Text as XML writes it. A control character, which a key may hold, becomes a reference.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() => out.push_str(&format!("&#x{:x};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
