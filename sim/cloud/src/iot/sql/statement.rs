//! A statement: what it selects from a message.

use super::SqlError;
use super::eval::{Message, evaluate};
use super::json;
use super::parse::{self, Expr};
use super::splice::{Splice, splice};
use super::value::Value;
use crate::iot::topic::Filter;

/// What a statement made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// The condition of `WHERE` is not true: no action runs.
    No,
    /// The result is written.
    Yes,
    /// The result is written, and the statement asked for members of a payload that is not JSON.
    YesWithParseError,
    /// `*` with further members, and the payload is no object: no action runs.
    ParseError,
}

/// A statement that was checked when its rule was created.
#[derive(Debug)]
pub struct Statement {
    star: bool,
    items: Vec<(Box<str>, Expr)>,
    filter: Filter,
    condition: Option<Expr>,
    reads_payload: bool,
}

impl Statement {
    /// Parses and checks a statement.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let parse::Parsed { star, items, filter, condition } = parse::statement(text)?;
        let reads_payload = items.iter().map(|(_, expr)| expr).chain(&condition).any(Expr::reads_payload);
        Ok(Statement { star, items, filter, condition, reads_payload })
    }

    /// The topic filter of `FROM`.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Appends the result for a message to `out`. `uuid` makes the values of `newuuid()`.
    pub fn select(&self, message: &Message<'_>, uuid: &mut dyn FnMut() -> String, out: &mut Vec<u8>) -> Selected {
        self.run(message, uuid, out, self.star && !self.reads_payload)
    }

    /// [`Statement::select`]. With `fast` the payload is copied in one pass where that is possible.
    pub(super) fn run(
        &self,
        message: &Message<'_>,
        uuid: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
        fast: bool,
    ) -> Selected {
        if let Some(condition) = &self.condition
            && evaluate(condition, message, uuid) != Value::Bool(true)
        {
            return Selected::No;
        }
        let mut computed = Vec::with_capacity(self.items.len());
        for (name, expr) in &self.items {
            let value = evaluate(expr, message, uuid);
            if value != Value::Undefined {
                computed.retain(|(other, _)| *other != &**name);
                computed.push((&**name, value));
            }
        }
        let start = out.len();
        let is_computed = |name: &[u8]| computed.iter().any(|(alias, _)| alias.as_bytes() == name);
        if fast && splice(message.payload, is_computed, out) == Splice::Done {
            finish_object(start, &computed, out);
            return Selected::Yes;
        }
        self.general(message, &computed, out)
    }

    fn general(&self, message: &Message<'_>, computed: &[(&str, Value<'_>)], out: &mut Vec<u8>) -> Selected {
        let start = out.len();
        let parse_error = self.reads_payload && message.json().is_none();
        if self.star {
            match message.json() {
                Some(Value::Object(members)) => {
                    out.push(b'{');
                    for (name, value) in members {
                        if !computed.iter().any(|(alias, _)| alias == name) {
                            json::write_member(name, value, start + 1, out);
                        }
                    }
                }
                // An empty payload with further members: they are the whole result.
                _ if message.payload.is_empty() && !self.items.is_empty() => out.push(b'{'),
                // `*` alone passes on whatever it is.
                _ if self.items.is_empty() => {
                    out.extend_from_slice(message.payload);
                    return if parse_error { Selected::YesWithParseError } else { Selected::Yes };
                }
                _ => return Selected::ParseError,
            }
        } else {
            out.push(b'{');
        }
        finish_object(start, computed, out);
        if parse_error && !message.payload.is_empty() { Selected::YesWithParseError } else { Selected::Yes }
    }
}

/// Adds the computed members to the object that is open since `start`, and closes it.
fn finish_object(start: usize, computed: &[(&str, Value<'_>)], out: &mut Vec<u8>) {
    for (name, value) in computed {
        json::write_member(name, value, start + 1, out);
    }
    out.push(b'}');
}
