//! Substitution templates: `${expression}` in the fields of actions.

use std::borrow::Cow;

use super::SqlError;
use super::clause;
use super::eval::{Asking, Evaluation, Failure, Scope};
use super::expr::Expr;
use super::message::Host;
use super::statement::Variables;
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
    /// Parses and checks a template of a rule whose statement sets these variables.
    pub fn parse(text: &str, variables: &Variables) -> Result<Self, SqlError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            if found > 0 {
                parts.push(Part::Text(text[at..at + found].into()));
            }
            let (expr, end) = clause::template(text, at + found + 2, &variables.names)?;
            parts.push(Part::Value(expr));
            at = end;
        }
        if at < text.len() {
            parts.push(Part::Text(text[at..].into()));
        }
        Ok(Template { parts })
    }

    /// Whether a place of the template asks another service.
    pub fn is_external(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Value(expr) if expr.is_external()))
    }

    /// The text for a message. `None` when a value in it is undefined or null: what AWS writes then is not stated.
    pub fn render<'v>(
        &'v self,
        evaluation: &mut Evaluation<'v, '_>,
        host: &mut dyn Host,
    ) -> Result<Option<Cow<'v, str>>, Failure> {
        let mut asking = Asking { evaluation, host };
        let text = match self.parts.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [only] => only.render(&mut asking),
            parts => {
                let mut text = String::new();
                let all = parts.iter().try_for_each(|part| {
                    text.push_str(&part.render(&mut asking)?);
                    Some(())
                });
                all.map(|()| Cow::Owned(text))
            }
        };
        match asking.evaluation.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(text),
        }
    }
}

impl Part {
    fn render<'v>(&'v self, asking: &mut Asking<'_, 'v, '_>) -> Option<Cow<'v, str>> {
        match self {
            Part::Text(text) => Some(Cow::Borrowed(text)),
            Part::Value(expr) => match asking.evaluate(expr, Scope::Payload) {
                Value::Text(text) => Some(text),
                other => other.to_text().map(|text| Cow::Owned(text.into_owned())),
            },
        }
    }
}
