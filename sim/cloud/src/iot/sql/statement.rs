//! A statement: what it selects from a message.

use std::borrow::Cow;

use super::SqlError;
use super::clause;
use super::eval::{Asking, Evaluation, Scope, insert};
use super::expr::{Expr, Select};
use super::json;
use super::message::{Host, Message};
use super::splice::{Splice, splice};
use super::value::Value;
use crate::iot::topic::Filter;

/// Most bytes of JSON that the variables of `SET` hold together. Source: "SET clause" of the developer guide.
const VARIABLES_SIZE_MAX: usize = 128 << 10;

/// What a statement made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// The condition of `WHERE` is not true: no action runs.
    No,
    /// The result is written.
    Yes,
    /// The result is written, and the statement asked for members of a payload that is not JSON.
    YesWithParseError,
    /// `*` with further members, and the payload is no object; or variables, and the payload is not JSON: no action runs.
    ParseError,
    /// Something that the statement asks failed, as [`Evaluation::take_failure`] tells: the error action runs.
    Failed,
}

/// The variables of `SET`.
#[derive(Debug, Default)]
pub struct Variables {
    pub(super) names: Vec<Box<str>>,
    values: Vec<Expr>,
}

/// A statement that was checked when its rule was created.
#[derive(Debug)]
pub struct Statement {
    variables: Variables,
    select: Select,
    filter: Option<Filter>,
    condition: Option<Expr>,
    reads_payload: bool,
}

type Members<'v> = Vec<(Cow<'v, str>, Value<'v>)>;

impl Statement {
    /// Parses and checks a statement.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let clause::Parsed { variables, select, filter, condition } = clause::statement(text)?;
        let (names, values) = variables.into_iter().unzip();
        let variables = Variables { names, values };
        let parts = || {
            let items = select.items.iter().map(|(_, expr)| expr);
            items.chain(&condition).chain(&variables.values)
        };
        let reads_payload = parts().any(Expr::reads_payload);
        Ok(Statement { variables, select, filter, condition, reads_payload })
    }

    /// The topic filter of `FROM`. Without it only Basic Ingest starts the rule.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// The variables that templates of the rule can use.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Appends the result for a message to `out`.
    pub fn select<'v>(
        &'v self,
        evaluation: &mut Evaluation<'v, '_>,
        host: &mut dyn Host,
        out: &mut Vec<u8>,
    ) -> Selected {
        self.run(evaluation, host, out, self.select.star && !self.reads_payload)
    }

    /// [`Statement::select`]. With `fast` the payload is copied in one pass where that is possible.
    pub(super) fn run<'v>(
        &'v self,
        evaluation: &mut Evaluation<'v, '_>,
        host: &mut dyn Host,
        out: &mut Vec<u8>,
        fast: bool,
    ) -> Selected {
        let start = out.len();
        let selected = self.evaluate(&mut Asking { evaluation: &mut *evaluation, host }, out, fast);
        if evaluation.failure.is_some() {
            out.truncate(start);
            return Selected::Failed;
        }
        selected
    }

    fn evaluate<'v>(&'v self, asking: &mut Asking<'_, 'v, '_>, out: &mut Vec<u8>, fast: bool) -> Selected {
        let message = asking.evaluation.message;
        if !self.variables.values.is_empty() {
            if message.json().is_none() {
                return Selected::ParseError;
            }
            let mut size = 0;
            for value in &self.variables.values {
                let value = asking.evaluate(value, Scope::Payload);
                size += json::to_text(&value).len();
                asking.evaluation.variables.push(value);
            }
            if size > VARIABLES_SIZE_MAX {
                asking.evaluation.fail("the variables of SET hold more than 128 KiB");
                return Selected::Failed;
            }
        }
        if let Some(condition) = &self.condition
            && asking.evaluate(condition, Scope::Payload) != Value::Bool(true)
        {
            return Selected::No;
        }
        if self.select.value {
            return self.value(asking, out);
        }
        let mut computed = Vec::with_capacity(self.select.items.len());
        for (alias, expr) in &self.select.items {
            let value = asking.evaluate(expr, Scope::Payload);
            insert(&mut computed, alias, value);
        }
        let start = out.len();
        let is_computed = |name: &[u8]| computed.iter().any(|(alias, _)| alias.as_bytes() == name);
        if fast && splice(message.payload, is_computed, out) == Splice::Done {
            finish_object(start, &computed, out);
            return Selected::Yes;
        }
        self.general(message, &computed, out)
    }

    /// `SELECT VALUE`: the value alone. Undefined is an empty text.
    fn value<'v>(&'v self, asking: &mut Asking<'_, 'v, '_>, out: &mut Vec<u8>) -> Selected {
        let Some((_, expr)) = self.select.items.first() else {
            return self.general(asking.evaluation.message, &Members::new(), out);
        };
        let value = asking.evaluate(expr, Scope::Payload);
        if value != Value::Undefined {
            json::write(&value, out);
        }
        self.read(asking.evaluation.message)
    }

    /// The result is written. Whether members of something that is not JSON were asked for.
    fn read(&self, message: &Message<'_>) -> Selected {
        let is_wrong = self.reads_payload && !message.payload.is_empty() && message.json().is_none();
        if is_wrong { Selected::YesWithParseError } else { Selected::Yes }
    }

    fn general(&self, message: &Message<'_>, computed: &Members<'_>, out: &mut Vec<u8>) -> Selected {
        let start = out.len();
        if self.select.star {
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
                _ if message.payload.is_empty() && !self.select.items.is_empty() => out.push(b'{'),
                // `*` alone passes on whatever it is.
                _ if self.select.items.is_empty() => {
                    out.extend_from_slice(message.payload);
                    let is_wrong = self.reads_payload && message.json().is_none();
                    return if is_wrong { Selected::YesWithParseError } else { Selected::Yes };
                }
                _ => return Selected::ParseError,
            }
        } else {
            out.push(b'{');
        }
        finish_object(start, computed, out);
        self.read(message)
    }
}

/// Adds the computed members to the object that is open since `start`, and closes it.
fn finish_object(start: usize, computed: &Members<'_>, out: &mut Vec<u8>) {
    for (name, value) in computed {
        json::write_member(name, value, start + 1, out);
    }
    out.push(b'}');
}
