//! Requests to a shadow, and why they are rejected. Source: "Device Shadow error messages" of the IoT Core guide.
//!
//! Unverified: the order of the checks; that `"state": null` removes both sections (AWS's shadow manager for Greengrass was
//! tested against the cloud with it); that `"version": null` is no version; what counts as a level in an array (arrays and
//! objects in it do, its other items do not); that the content of a delete is read for its client token.

use std::borrow::Cow;
use std::fmt;

use super::document::Change;
use super::json::{Json, JsonError, Object};
use crate::core::{AwsError, Cx};

/// Limits of documents and requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(super) payload_size: usize,
    pub(super) state_size: usize,
    pub(super) depth: usize,
    pub(super) token_size: usize,
    pub(super) thing_name_size: usize,
    pub(super) shadow_name_size: usize,
}

impl Limits {
    /// Reads the limits from the quotas.
    pub fn new(cx: &Cx<'_>) -> Self {
        let size = |name: &str| usize::try_from(cx.limits.get("iot-core", name)).unwrap_or(usize::MAX);
        Limits {
            payload_size: size("payload_size"),
            state_size: size("shadow_document_size"),
            depth: size("shadow_document_depth"),
            token_size: size("shadow_client_token_size"),
            thing_name_size: size("thing_name_size"),
            shadow_name_size: size("shadow_name_size"),
        }
    }
}

/// Why a request is rejected: a code of HTTP and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Code.
    pub code: u16,
    /// Text.
    pub message: Cow<'static, str>,
}

impl Rejection {
    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Rejection { code: 400, message: message.into() }
    }

    pub(super) fn absent(shadow: &str) -> Self {
        Rejection { code: 404, message: format!("No shadow exists with name: '{shadow}'").into() }
    }

    pub(super) const CONFLICT: Rejection = Rejection { code: 409, message: Cow::Borrowed("Version conflict") };
    pub(super) const TOO_LARGE: Rejection =
        Rejection { code: 413, message: Cow::Borrowed("The payload exceeds the maximum size allowed") };
    const ENCODING: Rejection =
        Rejection { code: 415, message: Cow::Borrowed("Unsupported documented encoding; supported encoding is UTF-8") };
    /// The text is unverified.
    pub(super) const THROTTLED: Rejection = Rejection { code: 429, message: Cow::Borrowed("Too many requests") };
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl From<Rejection> for AwsError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.code {
            404 => "ResourceNotFoundException",
            409 => "ConflictException",
            413 => "RequestEntityTooLargeException",
            415 => "UnsupportedDocumentEncodingException",
            429 => "ThrottlingException",
            _ => "InvalidRequestException",
        };
        AwsError::new(code, rejection.message.into_owned()).status(rejection.code)
    }
}

/// A rejection, with the token of the request as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub rejection: Rejection,
    /// Client token.
    pub token: Option<Box<str>>,
}

impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Self {
        Rejected { rejection, token: None }
    }
}

/// An update that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What it does to the desired section.
    pub desired: Change,
    /// What it does to the reported section.
    pub reported: Change,
    /// The version that the shadow must have.
    pub version: Option<u64>,
    /// Client token.
    pub token: Option<Box<str>>,
    /// The part of the request's state that counts, as the answer repeats it.
    pub echo: Json,
}

/// Checks the names of a thing and of a shadow. Over MQTT AWS's answer to a name that cannot be one is unverified, and so are
/// the texts.
pub fn check_names(limits: &Limits, thing: &str, shadow: Option<&str>) -> Result<(), Rejection> {
    let fits = |name: &str, max: usize, others: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c) || others.contains(c);
        !name.is_empty() && name.len() <= max && name.chars().all(allowed)
    };
    if !fits(thing, limits.thing_name_size, "") {
        return Err(Rejection::invalid("Invalid thing name"));
    }
    if shadow.is_some_and(|name| !fits(name, limits.shadow_name_size, "$")) {
        return Err(Rejection::invalid("Invalid shadow name"));
    }
    Ok(())
}

/// Reads a payload as an object of JSON.
fn object(limits: &Limits, payload: &[u8]) -> Result<Object, Rejection> {
    if payload.len() > limits.payload_size {
        return Err(Rejection::TOO_LARGE);
    }
    let text = std::str::from_utf8(payload).map_err(|_| Rejection::ENCODING)?;
    match Json::parse(text) {
        Ok(Json::Object(members)) => Ok(members),
        Err(JsonError::TooDeep) => Err(too_deep(limits)),
        Ok(_) | Err(JsonError::Syntax) => Err(Rejection::invalid("Invalid JSON")),
    }
}

/// The error page says 6, the table of quotas 8: the text names the limit in force.
fn too_deep(limits: &Limits) -> Rejection {
    Rejection::invalid(format!("JSON contains too many levels of nesting; maximum is {}", limits.depth))
}

fn token(limits: &Limits, members: &mut Object) -> Result<Option<Box<str>>, Rejection> {
    match members.remove("clientToken") {
        None => Ok(None),
        Some(Json::Text(token)) if token.len() <= limits.token_size => Ok(Some(token)),
        Some(_) => Err(Rejection::invalid("Invalid clientToken")),
    }
}

/// The client token of a get: its payload is empty or an object.
pub fn token_of_get(limits: &Limits, payload: &[u8]) -> Result<Option<Box<str>>, Rejection> {
    if payload.is_empty() { Ok(None) } else { token(limits, &mut object(limits, payload)?) }
}

/// The client token of a delete, whose content is otherwise ignored.
pub fn token_of_delete(limits: &Limits, payload: &[u8]) -> Option<Box<str>> {
    token(limits, &mut object(limits, payload).ok()?).ok().flatten()
}

/// Reads an update.
pub fn update(limits: &Limits, payload: &[u8]) -> Result<Update, Rejected> {
    let mut members = object(limits, payload)?;
    let token = token(limits, &mut members)?;
    read(limits, members, token.clone()).map_err(|rejection| Rejected { rejection, token })
}

fn read(limits: &Limits, mut members: Object, token: Option<Box<str>>) -> Result<Update, Rejection> {
    let state = members.remove("state").ok_or_else(|| Rejection::invalid("Missing required node: state"))?;
    let version = version(members.remove("version"))?;
    let mut state = match state {
        Json::Null => {
            let (desired, reported) = (Change::Remove, Change::Remove);
            return Ok(Update { desired, reported, version, token, echo: Json::Null });
        }
        Json::Object(state) => state,
        _ => return Err(Rejection::invalid("State node must be an object")),
    };
    let mut echo = Object::new();
    let mut section = |name: &str, otherwise: &'static str| match state.remove(name) {
        None => Ok(Change::Keep),
        Some(Json::Null) => {
            echo.insert(name.into(), Json::Null);
            Ok(Change::Remove)
        }
        Some(Json::Object(members)) => {
            check_values(limits, &members)?;
            echo.insert(name.into(), Json::Object(members.clone()));
            Ok(Change::Merge(members))
        }
        Some(_) => Err(Rejection::invalid(otherwise)),
    };
    let desired = section("desired", "Desired node must be an object")?;
    let reported = section("reported", "Reported node must be an object")?;
    Ok(Update { desired, reported, version, token, echo: Json::Object(echo) })
}

fn version(value: Option<Json>) -> Result<Option<u64>, Rejection> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(text)) => text.parse().map(Some).map_err(|_| Rejection::invalid("Invalid version")),
        Some(_) => Err(Rejection::invalid("Invalid version")),
    }
}

/// Checks the members of a section: how deep they are, and that no array has a null.
fn check_values(limits: &Limits, members: &Object) -> Result<(), Rejection> {
    if members.values().any(|value| 1 + levels(value) > limits.depth) {
        return Err(too_deep(limits));
    }
    if members.values().any(|value| has_null_in_array(value, false)) {
        return Err(Rejection::invalid("State contains an invalid node"));
    }
    Ok(())
}

/// Levels below a value: AWS's example of eight levels is `{"one": {"two": ... {"eight": {}}}}`.
fn levels(value: &Json) -> usize {
    match value {
        Json::Object(members) => members.values().map(|value| 1 + levels(value)).max().unwrap_or(0),
        Json::Array(items) => {
            let nested = items.iter().filter(|item| matches!(item, Json::Object(_) | Json::Array(_)));
            nested.map(|item| 1 + levels(item)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

fn has_null_in_array(value: &Json, within: bool) -> bool {
    match value {
        Json::Null => within,
        Json::Array(items) => items.iter().any(|item| has_null_in_array(item, true)),
        Json::Object(members) => members.values().any(|value| has_null_in_array(value, within)),
        _ => false,
    }
}
