//! Substitution templates: `${expression}` in the fields of actions.

use std::borrow::Cow;

use super::SqlError;
use super::eval::{Message, evaluate};
use super::parse::{self, Expr};
use super::value::Value;

/// A text with places that are filled in for each message.
#[derive(Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Value(Expr),
}

impl Template {
    /// Parses and checks a template.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            if found > 0 {
                parts.push(Part::Text(text[at..at + found].into()));
            }
            let (expr, end) = parse::template(text, at + found + 2)?;
            parts.push(Part::Value(expr));
            at = end;
        }
        if at < text.len() {
            parts.push(Part::Text(text[at..].into()));
        }
        Ok(Template { parts })
    }

    /// The text for a message. `None` when a value in it is undefined or null: what AWS writes then is not stated.
    pub fn render<'v>(&'v self, message: &'v Message<'_>, uuid: &mut dyn FnMut() -> String) -> Option<Cow<'v, str>> {
        match self.parts.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [only] => only.render(message, uuid),
            parts => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&part.render(message, uuid)?);
                }
                Some(Cow::Owned(text))
            }
        }
    }
}

impl Part {
    fn render<'v>(&'v self, message: &'v Message<'_>, uuid: &mut dyn FnMut() -> String) -> Option<Cow<'v, str>> {
        match self {
            Part::Text(text) => Some(Cow::Borrowed(text)),
            Part::Value(expr) => match evaluate(expr, message, uuid) {
                Value::Text(text) => Some(text),
                other => other.to_text().map(|text| Cow::Owned(text.into_owned())),
            },
        }
    }
}
