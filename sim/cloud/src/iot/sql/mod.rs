//! SQL of the rules engine, version 2016-03-23: parsed and checked when a rule is created, evaluated for each message.
//!
//! Modelled: `SET`; `SELECT` and `SELECT VALUE` of `*`, paths, literals with arrays and objects, operators, `CASE`, nested
//! queries, and every function of the developer guide but those below; `AS` with and without dots; `FROM`, which may be
//! absent for Basic Ingest; `WHERE`; substitution templates.
//! Refused at creation, with their position: the versions 2015-10-08 and beta; `aws_lambda`, `get_dynamodb`,
//! `get_registry_data`, `get_secret`, `machinelearning_predict`, `sourceip`, protocol buffers; patterns of regular
//! expressions and of times that are computed, and what Java has in them and this simulator has not (`regexp`, `time`);
//! `get_user_properties()` without a key; substitution templates, backslashes and doubled quotes in texts of a statement;
//! `* AS name`, and a value without a name.
//!
//! Not stated by AWS, decided here, and listed in `docs/gaps.md`: operators bind as in standard SQL; an integer division by
//! zero, and what has more than 34 digits or is out of range, is undefined; `*` with further members needs an empty payload
//! or a JSON object, and variables need JSON, otherwise the rule ends with `ParseError`; a member of the payload gives way
//! to a defined alias of the same name, or of the same first name; a nested query of an object gives its result, of an array
//! an array, of anything else nothing; a statement that takes more than two million steps for a message fails.

mod call;
mod clause;
mod eval;
mod export;
mod expr;
mod function;
mod json;
mod message;
mod number;
mod parse;
mod regexp;
mod splice;
mod statement;
mod template;
pub(crate) mod time;
mod token;
mod value;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

use std::fmt;

pub use eval::Evaluation;
pub use export::{attributes, elements};
pub use message::{Host, Message, Segments};
pub use statement::{Selected, Statement, Variables};
pub use template::Template;
pub use value::Value;

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
