//! Common types of operands, where the query engine would choose another than Trino.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable as _};

use super::super::failure::Failure;
use super::super::functions;
use super::types::{is_float, trino_names};

/// What decimals beside floating-point numbers, and dates beside instants, become. The engine would make decimals of
/// the doubles, and nanoseconds of the dates.
fn target(types: &[DataType]) -> Option<DataType> {
    let any = |is: fn(&DataType) -> bool| types.iter().any(is);
    if any(|kind| matches!(kind, DataType::Decimal128(..))) && any(is_float) {
        return Some(if types.contains(&DataType::Float64) { DataType::Float64 } else { DataType::Float32 });
    }
    if !types.contains(&DataType::Date32) {
        return None;
    }
    let zoned = types.iter().find(|kind| matches!(kind, DataType::Timestamp(_, Some(_))));
    zoned.or_else(|| types.iter().find(|kind| matches!(kind, DataType::Timestamp(..)))).cloned()
}

fn is_cast(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal128(..) | DataType::Date32)
}

/// Casts the operands of a set to its common type.
pub(super) fn unify<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>, schema: &DFSchema) -> Result<()> {
    let mut exprs: Vec<&mut Expr> = exprs.into_iter().collect();
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let Some(to) = target(&types) else { return Ok(()) };
    for (expr, _) in exprs.iter_mut().zip(&types).filter(|(_, kind)| is_cast(kind)) {
        let operand = std::mem::take(*expr);
        **expr = functions::conversion(&to).call(vec![operand]);
    }
    Ok(())
}

/// `nullif(value, other)`, whose type is that of `value`.
pub(super) fn unify_nullif(args: &mut [Expr], schema: &DFSchema) -> Result<()> {
    if let [value, other] = args {
        let types = [value.get_type(schema)?, other.get_type(schema)?];
        if is_cast(&types[0]) {
            refuse_mixed("NULLIF", &types)?;
        }
    }
    unify(args, schema)
}

/// Refuses a set that has no type in common but by a cast that is not made there.
pub(super) fn refuse_mixed(what: &str, types: &[DataType]) -> Result<()> {
    match target(types) {
        None => Ok(()),
        Some(_) => {
            let types = trino_names(types);
            Err(Failure::not_modelled(format!("{what} of {types} without casts to one type")).into_engine())
        }
    }
}

/// Refuses what the engine's planner made of columns of VALUES whose types differ.
pub(super) fn check_planned_cast(from: &DataType, to: &DataType) -> Result<()> {
    let lossy = is_float(from) && matches!(to, DataType::Decimal128(..));
    if lossy || (from != to && matches!(to, DataType::Timestamp(..))) {
        let types = trino_names(&[from.clone(), to.clone()]);
        return Err(Failure::not_modelled(format!("VALUES of {types} without casts to one type")).into_engine());
    }
    Ok(())
}
