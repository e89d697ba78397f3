//! A function of Trino as the query engine calls it: overloads, coercions, evaluation over columns.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::super::engine::types::{TIMESTAMP, is_float, is_integer, timestamp_tz, trino_names};
use super::super::failure::Failure;

/// Picks an overload: the types that the arguments are coerced to, and the type of the result.
pub(super) type Resolve = Arc<dyn Fn(&[DataType]) -> Option<(Vec<DataType>, DataType)> + Send + Sync>;
/// Computes a column from columns of equal length.
pub(super) type Evaluate = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// A function of Trino. Functions of one query are told apart by name.
pub(super) struct Function {
    name: String,
    signature: Signature,
    resolve: Resolve,
    evaluate: Evaluate,
}

impl Function {
    /// A function with overloads: (types of the arguments, type of the result).
    pub(super) fn new(
        name: &str,
        overloads: Vec<(Vec<DataType>, DataType)>,
        evaluate: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Function::resolving(name, move |types| pick(&overloads, types), evaluate)
    }

    /// A function whose result depends on its arguments' types in a way of its own.
    pub(super) fn resolving(
        name: &str,
        resolve: impl Fn(&[DataType]) -> Option<(Vec<DataType>, DataType)> + Send + Sync + 'static,
        evaluate: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Function {
            name: name.to_owned(),
            signature: Signature::user_defined(Volatility::Immutable),
            resolve: Arc::new(resolve),
            evaluate: Arc::new(evaluate),
        }
    }

    /// A function without arguments.
    pub(super) fn constant(name: &str, kind: DataType, value: impl Fn() -> ArrayRef + Send + Sync + 'static) -> Self {
        let resolve = move |types: &[DataType]| types.is_empty().then(|| (Vec::new(), kind.clone()));
        let mut function = Function::resolving(name, resolve, move |_, _| Ok(value()));
        function.signature = Signature::nullary(Volatility::Immutable);
        function
    }

    /// As the query engine registers it.
    pub(super) fn into_udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    fn resolved(&self, types: &[DataType]) -> Result<(Vec<DataType>, DataType)> {
        (self.resolve)(types).ok_or_else(|| {
            let (name, types) = (&self.name, trino_names(types));
            let reason = match name.split_once('_') {
                Some(("$cast" | "$try", target)) => format!("TYPE_MISMATCH: Cannot cast {types} to {target}"),
                _ => format!("FUNCTION_NOT_FOUND: Unexpected parameters ({types}) for function {name}"),
            };
            Failure::query(reason).into_engine()
        })
    }
}

/// Whether a value of one type is taken for another without a cast: nulls, wider numbers, instants from dates.
pub(super) fn coerces(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let rank = |kind: &DataType| match kind {
        T::Int8 => Some(0),
        T::Int16 => Some(1),
        T::Int32 => Some(2),
        T::Int64 | T::UInt64 => Some(3),
        _ => None,
    };
    if from == to || *from == T::Null {
        return true;
    }
    match (rank(from), rank(to)) {
        (Some(from), Some(to)) => from <= to,
        (Some(_), None) => is_float(to),
        _ => {
            (matches!(from, T::Decimal128(..)) && is_float(to))
                || (*from == T::Float32 && *to == T::Float64)
                || (*from == T::Date32 && matches!(to, T::Timestamp(..)))
                || (*from == TIMESTAMP && *to == timestamp_tz())
        }
    }
}

fn pick(overloads: &[(Vec<DataType>, DataType)], types: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let exact = overloads.iter().find(|(expected, _)| expected == types);
    let coerced = || {
        overloads.iter().find(|(expected, _)| {
            expected.len() == types.len() && types.iter().zip(expected).all(|(from, to)| coerces(from, to))
        })
    };
    exact.or_else(coerced).cloned()
}

/// The wider of numeric types, or the one type that all share.
pub(super) fn common(types: &[DataType]) -> Option<DataType> {
    let known: Vec<&DataType> = types.iter().filter(|kind| **kind != DataType::Null).collect();
    let widest = known.iter().find(|candidate| known.iter().all(|kind| coerces(kind, candidate)))?;
    Some(if is_integer(widest) && **widest == DataType::UInt64 { DataType::Int64 } else { (**widest).clone() })
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // What no overload takes fails in `return_type`, whose error the engine passes on as it is.
        Ok((self.resolve)(types).map_or_else(|| types.to_vec(), |(coerced, _)| coerced))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.resolved(types)?.1)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let column = (self.evaluate)(&columns, rows)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?));
        }
        debug_assert_eq!(column.len(), rows);
        Ok(ColumnarValue::Array(column))
    }
}
