//! SQL of the rules engine, version 2016-03-23: parsed and checked when a rule is created, evaluated for each message.
//!
//! Modelled: `SELECT` of `*`, paths, literals, `+ - * / %`, `= <> < <= > >=`, `AND OR NOT`, the functions `topic()`,
//! `topic(n)`, `timestamp()`, `clientid()`, `newuuid()`, and `AS`; `FROM 'filter'`; `WHERE`; substitution templates.
//! Everything else that AWS has is refused at creation, with its position: `SET`, `SELECT VALUE`, nested queries, `CASE`,
//! array and object literals, aliases with a dot, the other functions, the other versions.
//!
//! Not stated by AWS, decided here, and listed in `docs/gaps.md`: operators bind as in standard SQL; an integer division by
//! zero is undefined; `*` with further members needs an empty payload or a JSON object, otherwise the rule ends with
//! `ParseError`; a member of the payload gives way to a defined alias of the same name.

mod eval;
mod json;
mod number;
mod parse;
mod splice;
mod statement;
mod template;
mod token;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use eval::{Message, Segments};
pub use statement::{Selected, Statement};
pub use template::Template;

use crate::core::AwsError;

/// The version of the SQL that is modelled.
pub const VERSION: &str = "2016-03-23";

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Byte in the text, from 0.
    pub position: usize,
    /// What is wrong there.
    pub message: String,
    /// Whether AWS has the construct and this simulator does not.
    pub not_modelled: bool,
}

impl SqlError {
    fn syntax(position: usize, message: impl Into<String>) -> Self {
        SqlError { position, message: message.into(), not_modelled: false }
    }

    fn not_modelled(position: usize, message: impl Into<String>) -> Self {
        SqlError { position, message: message.into(), not_modelled: true }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.position, self.message)
    }
}

impl From<SqlError> for AwsError {
    fn from(error: SqlError) -> Self {
        if error.not_modelled {
            AwsError::not_modelled(format!("in the rule's SQL {error}"))
        } else {
            AwsError::new("SqlParseException", format!("SQL {error}"))
        }
    }
}
