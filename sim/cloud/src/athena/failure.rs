//! Why a query failed, in Athena's words.

use std::fmt;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// Why a query failed: `AthenaError` and `StateChangeReason` of `GetQueryExecution`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `ErrorCategory`: 1 Athena's fault, 2 the query's or the data's.
    pub(super) category: u8,
    /// `ErrorType`, 0..=9999.
    pub(super) error_type: u16,
    /// `ErrorMessage` and `StateChangeReason`.
    pub(super) reason: String,
}

/// `ErrorType` of errors in the query.
const USER: u16 = 1000;
/// `ErrorType` of errors in the data.
const DATA: u16 = 1001;
/// `ErrorType` of tables and views that do not exist.
const NO_SUCH_TABLE: u16 = 1110;
/// `ErrorType` of statements and constructs that are not supported.
const NOT_SUPPORTED: u16 = 1200;

impl Failure {
    fn user_error(error_type: u16, reason: impl Into<String>) -> Self {
        Failure { category: 2, error_type, reason: reason.into() }
    }

    /// An error in the query.
    pub(super) fn query(reason: impl Into<String>) -> Self {
        Failure::user_error(USER, reason)
    }

    /// An error in the data.
    pub(super) fn data(reason: impl Into<String>) -> Self {
        Failure::user_error(DATA, reason)
    }

    /// A table, view or schema that does not exist.
    pub(super) fn no_such_table(reason: impl Into<String>) -> Self {
        Failure::user_error(NO_SUCH_TABLE, reason)
    }

    /// What Athena has and this simulator does not model.
    pub(super) fn not_modelled(what: impl fmt::Display) -> Self {
        let reason = format!("NOT_SUPPORTED: not modelled by this simulator: {what} (see docs/gaps.md)");
        Failure::user_error(NOT_SUPPORTED, reason)
    }

    /// Writing the result failed.
    pub(super) fn writing(reason: impl Into<String>) -> Self {
        Failure { category: 2, error_type: 401, reason: reason.into() }
    }

    /// The query ran longer than the account allows.
    pub(super) fn timeout() -> Self {
        Failure { category: 2, error_type: 210, reason: "Query timeout".to_owned() }
    }

    /// As an error that travels through the query engine.
    pub(super) fn into_engine(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        if let Some(failure) = own(&error) {
            return failure.clone();
        }
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { field, .. } => {
                    Failure::query(format!("COLUMN_NOT_FOUND: Column '{}' cannot be resolved", field.name()))
                }
                SchemaError::AmbiguousReference { field } => {
                    Failure::query(format!("AMBIGUOUS_NAME: Column '{}' is ambiguous", field.name()))
                }
                other => Failure::not_modelled(other),
            },
            DataFusionError::ArrowError(arrow, _) => arithmetic(arrow),
            DataFusionError::Plan(text) => planning(text),
            other => Failure::not_modelled(other),
        }
    }
}

/// The failure that one of our own rules or functions raised, however deeply the engine wrapped it.
fn own(error: &DataFusionError) -> Option<&Failure> {
    let mut current: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(failure) = current.downcast_ref::<Failure>() {
            return Some(failure);
        }
        current = match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::Collection(errors)) => errors.first()?,
            Some(DataFusionError::External(inner)) => inner.as_ref(),
            _ => match current.downcast_ref::<ArrowError>() {
                Some(ArrowError::ExternalError(inner)) => inner.as_ref(),
                _ => current.source()?,
            },
        };
    }
}

/// Errors of the engine's own checks of types, in Trino's words as far as they are known.
fn planning(text: &str) -> Failure {
    let quoted = |begin: &str| text.split_once(begin).and_then(|(_, rest)| rest.split_once('\'')).map(|(call, _)| call);
    if let Some((name, types)) = quoted("argument types '").and_then(|call| call.split_once('(')) {
        let types = trino_words(types.trim_end_matches(')'));
        return Failure::query(format!("FUNCTION_NOT_FOUND: Unexpected parameters ({types}) for function {name}"));
    }
    let operands =
        text.strip_prefix("Cannot coerce arithmetic expression ").and_then(|rest| rest.split_once(" to valid"));
    match operands {
        Some((operands, _)) => {
            Failure::query(format!("TYPE_MISMATCH: Cannot apply operator: {}", trino_words(operands)))
        }
        None => Failure::query(format!("SYNTAX_ERROR: {text}")),
    }
}

/// Names of simple types in a message.
fn trino_words(text: &str) -> String {
    let words =
        [("Utf8", "varchar"), ("Int64", "bigint"), ("Int32", "integer"), ("Float64", "double"), ("Boolean", "boolean")];
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn arithmetic(error: &ArrowError) -> Failure {
    match error {
        ArrowError::DivideByZero => Failure::query("DIVISION_BY_ZERO: Division by zero"),
        ArrowError::ArithmeticOverflow(text) => Failure::query(format!("NUMERIC_VALUE_OUT_OF_RANGE: {text}")),
        ArrowError::CastError(text) => Failure::query(format!("INVALID_CAST_ARGUMENT: {text}")),
        other => Failure::not_modelled(other),
    }
}
