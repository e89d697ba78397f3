//! The grammar: what Athena's parser refuses before a query starts.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::depth;

/// Trino's lexical rules: double quotes delimit names, backticks do not.
#[derive(Debug)]
struct Trino;

impl Dialect for Trino {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_ascii_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_ascii_alphanumeric() || ch == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}

/// Parses one statement. The error is the text of `StartQueryExecution`'s refusal; its wording is unverified.
pub(crate) fn parse(sql: &str) -> Result<Statement, String> {
    if Tokenizer::new(&Trino, sql).tokenize().is_ok_and(|tokens| depth::of(&tokens) > depth::LIMIT) {
        return Err(text(&ParserError::RecursionLimitExceeded));
    }
    let mut statements = Parser::parse_sql(&Trino, sql).map_err(|error| text(&error))?;
    match statements.len() {
        1 => Ok(statements.remove(0)),
        0 => Err("line 1:1: mismatched input '<EOF>'. Expecting: <query>".to_owned()),
        _ => Err(format!("Only one sql statement is allowed. Got: {sql}")),
    }
}

fn text(error: &ParserError) -> String {
    let (ParserError::TokenizerError(message) | ParserError::ParserError(message)) = error else {
        return "line 1:1: statement is too large (stack overflow while parsing)".to_owned();
    };
    let Some((what, position)) = message.rsplit_once(" at Line: ") else {
        return format!("line 1:1: {message}");
    };
    let (line, column) = position.split_once(", Column: ").unwrap_or((position, "1"));
    match what.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
        Some((expected, found)) => format!("line {line}:{column}: mismatched input '{found}'. Expecting: {expected}"),
        None => format!("line {line}:{column}: {what}"),
    }
}
