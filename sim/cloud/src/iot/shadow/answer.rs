//! What the shadow service answers and publishes, as bytes. Source: "Device Shadow service documents".
//!
//! Unverified: that a removed member has a timestamp in the metadata of the answer; that the document before the first
//! update is told as an empty one of version 0; which error documents carry a timestamp (AWS says "not all", and its
//! examples of 404 have none).

use super::document::{Document, Part, stamped};
use super::json::{Json, Object};
use super::request::{Rejected, Update};

/// What is common to the answers to one request.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the answer is made, in seconds since 1970.
    pub at: u64,
    /// Client token of the request.
    pub token: Option<&'a str>,
}

impl Frame<'_> {
    fn close(self, mut members: Object) -> Vec<u8> {
        members.insert("timestamp".into(), self.at.into());
        if let Some(token) = self.token {
            members.insert("clientToken".into(), token.into());
        }
        Json::Object(members).to_bytes()
    }
}

fn members(part: Part, version: u64) -> Object {
    [("state", part.state), ("metadata", part.metadata), ("version", version.into())]
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
}

/// The answer to a get: everything, and the difference within the state.
pub fn got(frame: Frame<'_>, document: &Document, version: u64) -> Vec<u8> {
    let mut full = document.full();
    if let (Json::Object(state), Some(delta)) = (&mut full.state, document.delta()) {
        state.insert("delta".into(), delta.state);
    }
    frame.close(members(full, version))
}

/// The answer to an update: what the request said, with the instant of it.
pub fn accepted(frame: Frame<'_>, update: &Update, version: u64) -> Vec<u8> {
    let metadata = match &update.echo {
        Json::Object(_) => stamped(&update.echo, frame.at),
        _ => Json::Object(Object::new()),
    };
    frame.close(members(Part { state: update.echo.clone(), metadata }, version))
}

/// The difference after an update.
pub fn delta(frame: Frame<'_>, part: Part, version: u64) -> Vec<u8> {
    frame.close(members(part, version))
}

/// The documents before and after an update, each with its version.
pub fn documents(frame: Frame<'_>, previous: (&Document, u64), current: (&Document, u64)) -> Vec<u8> {
    let told = [("previous", previous), ("current", current)];
    let told = told
        .into_iter()
        .map(|(name, (document, version))| (name.into(), Json::Object(members(document.full(), version))));
    frame.close(told.collect())
}

/// The answer to a delete.
pub fn deleted(frame: Frame<'_>, version: u64) -> Vec<u8> {
    frame.close([("version".into(), version.into())].into())
}

/// The error document.
pub fn rejected(at: u64, rejected: &Rejected) -> Vec<u8> {
    let Rejected { rejection, token } = rejected;
    let mut members: Object =
        [("code".into(), u64::from(rejection.code).into()), ("message".into(), Json::from(&*rejection.message))].into();
    if rejection.code != 404 {
        members.insert("timestamp".into(), at.into());
    }
    if let Some(token) = token {
        members.insert("clientToken".into(), Json::from(&**token));
    }
    Json::Object(members).to_bytes()
}
