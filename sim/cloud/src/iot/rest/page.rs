//! Lists in pages: which part of a list a request asks for, and how it asks for the next.
//!
//! AWS gives the largest page only: a page without a number has that many entries (unverified). Tokens are opaque to callers;
//! here they name the last entry of a page, so that entries which come or go in between move no others.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::core::AwsError;
use crate::iot::registry::invalid;

/// Most entries of a page.
const SIZE_MAX: usize = 250;

/// How an operation names its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `nextToken`, `maxResults`
    Token,
    /// `marker`, `pageSize`, `nextMarker`
    Marker,
}

/// The page that is asked for.
pub(super) struct Page {
    style: Style,
    pub(super) after: Option<String>,
    pub(super) size: usize,
    descending: bool,
}

impl Page {
    /// A page of an operation with `nextToken` and `maxResults`.
    pub(super) fn by_token(query: &BTreeMap<String, String>) -> Result<Page, AwsError> {
        Page::of(query, Style::Token, "nextToken", "maxResults")
    }

    /// A page of an operation with `marker` and `pageSize`.
    pub(super) fn by_marker(query: &BTreeMap<String, String>) -> Result<Page, AwsError> {
        Page::of(query, Style::Marker, "marker", "pageSize")
    }

    fn of(query: &BTreeMap<String, String>, style: Style, token: &str, size: &str) -> Result<Page, AwsError> {
        let decoded = |text: &String| {
            let bytes = if style == Style::Token { URL_SAFE_NO_PAD.decode(text) } else { STANDARD.decode(text) };
            let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| invalid(format!("this is no {token} of this operation")))
        };
        let counted = |text: &String| {
            let number = text.parse().ok().filter(|number| (1..=SIZE_MAX).contains(number));
            number.ok_or_else(|| invalid(format!("{size} is 1 to {SIZE_MAX}")))
        };
        let after = query.get(token).map(decoded).transpose()?;
        let size = query.get(size).map_or(Ok(SIZE_MAX), counted)?;
        Ok(Page { style, after, size, descending: false })
    }

    /// The same page of the list in its opposite order.
    pub(super) fn descending(mut self, descending: bool) -> Page {
        self.descending = descending;
        self
    }

    /// The answer: this page of the entries, under the name of the list. Keys are unique and order the entries.
    pub(super) fn answer(&self, list: &str, entries: impl IntoIterator<Item = (String, Value)>) -> Value {
        let mut rest: Vec<(String, Value)> = entries.into_iter().collect();
        rest.sort_by(|(a, _), (b, _)| if self.descending { b.cmp(a) } else { a.cmp(b) });
        if let Some(after) = &self.after {
            rest.retain(|(key, _)| if self.descending { key < after } else { key > after });
        }
        let more = rest.len() > self.size;
        rest.truncate(self.size);
        let last = rest.last().filter(|_| more).map(|(key, _)| self.token(key));
        let entries: Vec<Value> = rest.into_iter().map(|(_, entry)| entry).collect();
        let mut answer = serde_json::json!({ list: entries });
        if let Some((name, token)) = last {
            answer[name] = token.into();
        }
        answer
    }

    /// Name and text of what asks for the page behind this key.
    pub(super) fn token(&self, key: &str) -> (&'static str, String) {
        match self.style {
            Style::Token => ("nextToken", URL_SAFE_NO_PAD.encode(key)),
            Style::Marker => ("nextMarker", STANDARD.encode(key)),
        }
    }
}
