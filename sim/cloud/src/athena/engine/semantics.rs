//! The types of a planned query: Trino's rules where the query engine is more lenient or computes differently.
//!
//! Runs before the engine's own type coercion, so that every operand still has the type that the query gave it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, ScalarFunction, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, Operator, WindowFunctionDefinition,
};
use datafusion::optimizer::analyzer::AnalyzerRule;

use super::super::failure::Failure;
use super::super::functions;
use super::common::{check_planned_cast, refuse_mixed, unify, unify_nullif};
use super::types::{comparable, holds_map, is_float, is_integer, is_number, is_temporal, trino_name, trino_names};

/// Checks and corrects a plan.
#[derive(Debug, Default)]
pub(super) struct TrinoSemantics;

impl AnalyzerRule for TrinoSemantics {
    fn name(&self) -> &str {
        "trino_semantics"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match &plan {
        LogicalPlan::Limit(_) => return Ok(Transformed::no(plan)),
        LogicalPlan::Union(union) => {
            let width = union.schema.fields().len();
            for column in 0..width {
                let types: Vec<DataType> =
                    union.inputs.iter().map(|input| input.schema().field(column).data_type().clone()).collect();
                check_united("UNION query", &types)?;
                refuse_mixed("UNION", &types)?;
            }
        }
        LogicalPlan::Join(join) => {
            for (left, right) in &join.on {
                let types = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
                check_compared(Operator::Eq, &types.0, &types.1)?;
                refuse_mixed("the comparison", &[types.0, types.1])?;
            }
        }
        LogicalPlan::Aggregate(aggregate) => check_keys(&aggregate.group_expr, aggregate.input.schema())?,
        LogicalPlan::Sort(sort) => sort.expr.iter().try_for_each(|key| check_key(&key.expr, sort.input.schema()))?,
        LogicalPlan::Distinct(Distinct::All(input)) => {
            input.schema().fields().iter().try_for_each(|field| check_key_type(field.data_type()))?;
        }
        LogicalPlan::Values(values) => {
            let one = |expr: &Expr| Ok(expr.clone().transform_up(|expr| expression(expr, &values.schema))?.data);
            let rows =
                values.values.iter().map(|row| row.iter().map(one).collect()).collect::<Result<Vec<Vec<Expr>>>>()?;
            for column in 0..values.schema.fields().len() {
                let types = rows.iter().map(|row| row[column].get_type(&values.schema)).collect::<Result<Vec<_>>>()?;
                check_united("VALUES", &types)?;
                refuse_mixed("VALUES", &types)?;
            }
            return Ok(Transformed::yes(LogicalPlanBuilder::values(rows)?.build()?));
        }
        _ => {}
    }
    let schema = merge_schema(&plan.inputs());
    let preserver = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = preserver.save(&expr);
        let rewritten = expr.transform_up(|expr| expression(expr, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match checked(&expr, schema)? {
        Some(replacement) => Ok(Transformed::yes(replacement)),
        None => coerced(expr, schema),
    }
}

/// Casts operands to their common type.
fn coerced(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match &mut expr {
        Expr::BinaryExpr(binary) => unify([binary.left.as_mut(), binary.right.as_mut()], schema)?,
        Expr::Between(between) => {
            unify([between.expr.as_mut(), between.low.as_mut(), between.high.as_mut()], schema)?;
        }
        Expr::InList(list) => unify(std::iter::once(list.expr.as_mut()).chain(&mut list.list), schema)?,
        Expr::Case(case) => {
            if let Some(operand) = &mut case.expr {
                let whens = case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
                unify(std::iter::once(operand.as_mut()).chain(whens), schema)?;
            }
            let results = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
            unify(results.chain(case.else_expr.as_deref_mut()), schema)?;
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            "coalesce" => unify(args, schema)?,
            "nullif" => unify_nullif(args, schema)?,
            _ => return Ok(Transformed::no(expr)),
        },
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

/// Checks an expression; a replacement where the engine computes something else.
fn checked(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    match expr {
        // Trino's whole literals are integers where they fit.
        Expr::Literal(ScalarValue::Int64(Some(n)), meta) => {
            if let Ok(small) = i32::try_from(*n) {
                return Ok(Some(Expr::Literal(ScalarValue::Int32(Some(small)), meta.clone())));
            }
        }
        // A cast that the query asks for is a function.
        Expr::Cast(cast) => check_planned_cast(&cast.expr.get_type(schema)?, &expr.get_type(schema)?)?,
        Expr::BinaryExpr(binary) => return binary_expression(binary, schema),
        Expr::Between(between) => {
            let value = between.expr.get_type(schema)?;
            check_compared(Operator::GtEq, &value, &between.low.get_type(schema)?)?;
            check_compared(Operator::LtEq, &value, &between.high.get_type(schema)?)?;
        }
        Expr::InList(list) => {
            let value = list.expr.get_type(schema)?;
            for item in &list.list {
                check_compared(Operator::Eq, &value, &item.get_type(schema)?)?;
            }
        }
        Expr::InSubquery(query) => {
            let inner = query.subquery.subquery.schema().field(0).data_type().clone();
            let value = query.expr.get_type(schema)?;
            check_compared(Operator::Eq, &value, &inner)?;
            refuse_mixed("IN", &[value, inner])?;
        }
        Expr::Like(like) => {
            let text = like.expr.get_type(schema)?;
            if !matches!(text, DataType::Utf8 | DataType::Null) {
                return mismatch(format!(
                    "Left side of LIKE expression must evaluate to a varchar (actual: {})",
                    trino_name(&text)
                ));
            }
        }
        Expr::Case(case) => check_case(case, schema)?,
        Expr::ScalarFunction(ScalarFunction { func, args }) if matches!(func.name(), "coalesce" | "nullif") => {
            let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
            check_united(&func.name().to_uppercase(), &types)?;
            if let ("nullif", [a, b]) = (func.name(), types.as_slice()) {
                check_compared(Operator::Eq, a, b)?;
            }
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => check_rounding(func.name(), args, schema)?,
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            check_aggregate(call.func.name(), &params.args, schema)?;
            check_clauses(params.filter.as_deref(), &params.order_by, schema)?;
            if params.distinct {
                check_keys(&params.args, schema)?;
            }
        }
        Expr::WindowFunction(call) => {
            let params = &call.params;
            if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun {
                check_aggregate(function.name(), &params.args, schema)?;
            }
            check_clauses(params.filter.as_deref(), &params.order_by, schema)?;
            check_keys(&params.partition_by, schema)?;
        }
        _ => {}
    }
    Ok(None)
}

/// What groups, sorts or tells rows apart.
fn check_keys(exprs: &[Expr], schema: &DFSchema) -> Result<()> {
    exprs.iter().try_for_each(|expr| check_key(expr, schema))
}

fn check_key(expr: &Expr, schema: &DFSchema) -> Result<()> {
    check_key_type(&expr.get_type(schema)?)
}

fn check_key_type(kind: &DataType) -> Result<()> {
    if holds_map(kind) {
        let kind = trino_name(kind);
        return Err(Failure::not_modelled(format!("grouping, sorting or telling apart values of {kind}")).into_engine());
    }
    Ok(())
}

/// FILTER and ORDER BY of an aggregate or a window function.
fn check_clauses(filter: Option<&Expr>, order: &[Sort], schema: &DFSchema) -> Result<()> {
    if let Some(filter) = filter {
        let kind = filter.get_type(schema)?;
        if !matches!(kind, DataType::Boolean | DataType::Null) {
            return mismatch(format!("Filter expression must evaluate to a boolean (actual: {})", trino_name(&kind)));
        }
    }
    order.iter().try_for_each(|key| check_key(&key.expr, schema))
}

/// Trino rounds decimals and reals to other types than the engine, and whole numbers to a place.
fn check_rounding(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    if !matches!(name, "abs" | "round" | "ceil" | "ceiling" | "floor" | "sign" | "truncate") {
        return Ok(());
    }
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let Some(first) = types.first() else { return Ok(()) };
    let whole = is_integer(first) && (name == "truncate" || types.len() > 1);
    if whole || matches!(first, DataType::Decimal128(..) | DataType::Float32) {
        let types = trino_names(&types);
        return Err(Failure::not_modelled(format!("{name} of {types} (cast to double)")).into_engine());
    }
    Ok(())
}

fn mismatch<T>(text: impl std::fmt::Display) -> Result<T> {
    Err(Failure::query(format!("TYPE_MISMATCH: {text}")).into_engine())
}

fn cannot_apply<T>(op: Operator, left: &DataType, right: &DataType) -> Result<T> {
    mismatch(format!("Cannot apply operator: {} {op} {}", trino_name(left), trino_name(right)))
}

fn check_compared(op: Operator, left: &DataType, right: &DataType) -> Result<()> {
    if !comparable(left, right) {
        return cannot_apply(op, left, right);
    }
    let inexact = |kind: &DataType| kind.is_nested() || matches!(kind, DataType::Interval(_));
    if inexact(left) || inexact(right) {
        let (left, right) = (trino_name(left), trino_name(right));
        return Err(Failure::not_modelled(format!("the comparison {left} {op} {right}")).into_engine());
    }
    Ok(())
}

fn check_united(what: &str, types: &[DataType]) -> Result<()> {
    let first = types.iter().find(|kind| **kind != DataType::Null);
    match first.and_then(|first| types.iter().find(|kind| !comparable(first, kind))) {
        None => Ok(()),
        Some(_) => mismatch(format!(
            "All {what} operands must be the same type or coercible to a common type. Cannot find common type between: {}",
            trino_names(types)
        )),
    }
}

fn check_case(case: &Case, schema: &DFSchema) -> Result<()> {
    let operand = case.expr.as_ref().map(|operand| operand.get_type(schema)).transpose()?;
    let mut results = Vec::new();
    for (when, then) in &case.when_then_expr {
        let when = when.get_type(schema)?;
        match &operand {
            Some(operand) => check_compared(Operator::Eq, operand, &when)?,
            None if matches!(when, DataType::Boolean | DataType::Null) => {}
            None => {
                return mismatch(format!(
                    "CASE WHEN clause must evaluate to a boolean (actual: {})",
                    trino_name(&when)
                ));
            }
        }
        results.push(then.get_type(schema)?);
    }
    if let Some(otherwise) = &case.else_expr {
        results.push(otherwise.get_type(schema)?);
    }
    check_united("CASE", &results)
}

/// Checks an operator; a replacement where the engine computes something else.
fn binary_expression(binary: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (left, right) = (binary.left.get_type(schema)?, binary.right.get_type(schema)?);
    let op = binary.op;
    match op {
        Operator::And | Operator::Or => {
            for side in [&left, &right] {
                if !matches!(side, DataType::Boolean | DataType::Null) {
                    return mismatch(format!(
                        "Logical expression term must evaluate to a boolean (actual: {})",
                        trino_name(side)
                    ));
                }
            }
            Ok(None)
        }
        Operator::StringConcat => {
            let text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::Null);
            if text(&left) && text(&right) { Ok(None) } else { cannot_apply(op, &left, &right) }
        }
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            arithmetic(binary, &left, &right)
        }
        _ => check_compared(op, &left, &right).map(|()| None),
    }
}

fn arithmetic(binary: &BinaryExpr, left: &DataType, right: &DataType) -> Result<Option<Expr>> {
    let op = binary.op;
    let interval = |kind: &DataType| matches!(kind, DataType::Interval(_));
    let shift = match op {
        Operator::Plus => (is_temporal(left) && interval(right)) || (interval(left) && is_temporal(right)),
        Operator::Minus => is_temporal(left) && interval(right),
        _ => false,
    };
    if shift {
        if matches!(left, DataType::Date32) || matches!(right, DataType::Date32) {
            return Err(Failure::not_modelled("date plus or minus an interval (use date_add)").into_engine());
        }
        return Ok(None);
    }
    if interval(left) || interval(right) || (is_temporal(left) && is_temporal(right)) {
        return Err(Failure::not_modelled(format!("{} {op} {}", trino_name(left), trino_name(right))).into_engine());
    }
    let number = |kind: &DataType| is_number(kind) || *kind == DataType::Null;
    if !number(left) || !number(right) {
        return cannot_apply(op, left, right);
    }
    if is_float(left) || is_float(right) {
        return Ok(None);
    }
    if matches!(left, DataType::Decimal128(..)) || matches!(right, DataType::Decimal128(..)) {
        return Err(Failure::not_modelled("arithmetic of decimals (write 1e0 for a double)").into_engine());
    }
    // The engine's whole numbers wrap around; Trino's raise an error.
    let checked = functions::checked(op).filter(|_| is_integer(left) && is_integer(right));
    Ok(checked.map(|function| function.call(vec![(*binary.left).clone(), (*binary.right).clone()])))
}

/// Checks what an aggregate is applied to.
fn check_aggregate(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let scalar = |kind: &DataType| !kind.is_nested() && !matches!(kind, DataType::Interval(_));
    let fits = match (name, types.as_slice()) {
        ("count" | "array_agg" | "first_value", [_]) | ("bool_and" | "bool_or", [DataType::Boolean]) => true,
        ("min" | "max", [kind]) => scalar(kind),
        ("sum" | "avg", [DataType::Decimal128(..) | DataType::Float32]) => {
            let kind = trino_names(&types);
            return Err(Failure::not_modelled(format!("{name} of {kind} (cast to double)")).into_engine());
        }
        ("sum" | "avg", [kind]) => is_integer(kind) || is_float(kind),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let text = format!("FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {name}", trino_names(&types));
    Err(Failure::query(text).into_engine())
}
