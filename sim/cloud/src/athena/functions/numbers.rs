//! Functions of numbers, and whole-number arithmetic that raises overflows.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array};
use datafusion::arrow::compute::kernels::cmp::{gt, lt};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{and, cast, is_not_null};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::error::Result;

use super::super::engine::types::is_integer;
use super::super::failure::Failure;
use super::framework::{Function, common};

const DOUBLE: DataType = DataType::Float64;

/// All of them.
pub(super) fn all() -> Vec<Function> {
    vec![
        operator("$plus", "addition", |a, b| add(a, b)),
        operator("$minus", "subtraction", |a, b| sub(a, b)),
        operator("$multiply", "multiplication", |a, b| mul(a, b)),
        Function::new("abs", whole_or_double(), |args, _| absolute(&args[0])),
        rounding("ceil", f64::ceil),
        rounding("ceiling", f64::ceil),
        rounding("floor", f64::floor),
        rounding("truncate", f64::trunc),
        rounding("sign", sign),
        Function::new("round", round_overloads(), |args, _| Ok(round(args))),
        double("sqrt", f64::sqrt),
        double("exp", f64::exp),
        double("ln", f64::ln),
        double("log10", f64::log10),
        double("log2", f64::log2),
        power("power"),
        power("pow"),
        predicate("is_nan", f64::is_nan),
        predicate("is_finite", f64::is_finite),
        predicate("is_infinite", f64::is_infinite),
        extreme("greatest", |candidate, best| gt(candidate, best)),
        extreme("least", |candidate, best| lt(candidate, best)),
    ]
}

type Pair = fn(&ArrayRef, &ArrayRef) -> std::result::Result<ArrayRef, ArrowError>;
type Compare = fn(&ArrayRef, &ArrayRef) -> std::result::Result<BooleanArray, ArrowError>;

fn operator(name: &'static str, what: &'static str, apply: Pair) -> Function {
    Function::resolving(
        name,
        |types| {
            let kind = common(types).filter(is_integer)?;
            Some((vec![kind.clone(), kind.clone()], kind))
        },
        move |args, _| {
            apply(&args[0], &args[1]).map_err(|error| match error {
                ArrowError::ArithmeticOverflow(text) => {
                    let kind = super::super::engine::types::trino_name(args[0].data_type());
                    Failure::query(format!("NUMERIC_VALUE_OUT_OF_RANGE: {kind} {what} overflow: {text}")).into_engine()
                }
                other => other.into(),
            })
        },
    )
}

fn whole_or_double() -> Vec<(Vec<DataType>, DataType)> {
    let kinds = [DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64, DOUBLE];
    kinds.into_iter().map(|kind| (vec![kind.clone()], kind)).collect()
}

fn round_overloads() -> Vec<(Vec<DataType>, DataType)> {
    let mut overloads = whole_or_double();
    overloads.push((vec![DOUBLE, DataType::Int64], DOUBLE));
    overloads
}

fn absolute(values: &ArrayRef) -> Result<ArrayRef> {
    if *values.data_type() == DOUBLE {
        return Ok(Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs)));
    }
    let zero = datafusion::common::ScalarValue::new_zero(values.data_type())?.to_array_of_size(values.len())?;
    Ok(zip(&lt(values, &zero)?, &neg(values)?, values)?)
}

fn map(values: &ArrayRef, f: fn(f64) -> f64) -> ArrayRef {
    Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f))
}

fn double(name: &str, f: fn(f64) -> f64) -> Function {
    Function::new(name, vec![(vec![DOUBLE], DOUBLE)], move |args, _| Ok(map(&args[0], f)))
}

/// Whole numbers are rounded already.
fn rounding(name: &'static str, f: fn(f64) -> f64) -> Function {
    let mut overloads = whole_or_double();
    if name == "truncate" {
        overloads.retain(|(args, _)| args[0] == DOUBLE);
    }
    Function::new(name, overloads, move |args, _| match args[0].data_type() {
        DataType::Float64 => Ok(map(&args[0], f)),
        kind if name == "sign" => {
            let signs = map(&cast(&args[0], &DOUBLE)?, f);
            Ok(cast(&signs, kind)?)
        }
        _ => Ok(Arc::clone(&args[0])),
    })
}

fn sign(value: f64) -> f64 {
    if value == 0.0 || value.is_nan() { value } else { value.signum() }
}

/// Half away from zero.
fn round(args: &[ArrayRef]) -> ArrayRef {
    if *args[0].data_type() != DOUBLE {
        return Arc::clone(&args[0]);
    }
    let values = args[0].as_primitive::<Float64Type>();
    let Some(digits) = args.get(1) else { return Arc::new(values.unary::<_, Float64Type>(f64::round)) };
    let rounded = values.iter().zip(digits.as_primitive::<Int64Type>()).map(|(value, digits)| {
        let (value, digits) = value.zip(digits)?;
        let factor = 10f64.powi(i32::try_from(digits).ok()?);
        let scaled = (value * factor).round() / factor;
        Some(if scaled.is_finite() { scaled } else { value })
    });
    Arc::new(rounded.collect::<Float64Array>())
}

fn power(name: &str) -> Function {
    Function::new(name, vec![(vec![DOUBLE, DOUBLE], DOUBLE)], |args, _| {
        let pairs = args[0].as_primitive::<Float64Type>().iter().zip(args[1].as_primitive::<Float64Type>());
        Ok(Arc::new(pairs.map(|(a, b)| a.zip(b).map(|(a, b)| a.powf(b))).collect::<Float64Array>()))
    })
}

fn predicate(name: &str, f: fn(f64) -> bool) -> Function {
    Function::new(name, vec![(vec![DOUBLE], DataType::Boolean)], move |args, _| {
        let values = args[0].as_primitive::<Float64Type>().iter().map(|value| value.map(f));
        Ok(Arc::new(values.collect::<BooleanArray>()))
    })
}

/// Null as soon as one argument is.
fn extreme(name: &str, better: Compare) -> Function {
    Function::resolving(
        name,
        |types| {
            let kind = common(types).filter(|kind| !kind.is_nested())?;
            Some((vec![kind.clone(); types.len()], kind))
        },
        move |args, _| {
            let mut best = Arc::clone(&args[0]);
            for candidate in &args[1..] {
                let known = and(&is_not_null(candidate)?, &is_not_null(&best)?)?;
                let chosen = zip(&better(candidate, &best)?, candidate, &best)?;
                best = datafusion::arrow::compute::nullif(&chosen, &datafusion::arrow::compute::not(&known)?)?;
            }
            Ok(best)
        },
    )
}
