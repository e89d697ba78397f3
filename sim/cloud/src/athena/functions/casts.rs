//! `CAST` and `TRY_CAST`, with Trino's rounding, ranges and texts.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Array, PrimitiveArray, StringBuilder,
    TimestampMillisecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type,
    TimestampMillisecondType,
};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::error::Result;

use super::super::engine::text;
use super::super::engine::types::{TIMESTAMP, is_integer, is_number, timestamp_tz};
use super::super::failure::Failure;
use super::calendar::{day, midnight, parse_date, parse_timestamp};
use super::framework::Function;

/// `$cast_{type}` and `$try_{type}` for each type.
pub(super) fn all() -> Vec<Function> {
    let targets = [
        ("varchar", DataType::Utf8),
        ("boolean", DataType::Boolean),
        ("tinyint", DataType::Int8),
        ("smallint", DataType::Int16),
        ("integer", DataType::Int32),
        ("bigint", DataType::Int64),
        ("real", DataType::Float32),
        ("double", DataType::Float64),
        ("date", DataType::Date32),
        ("timestamp", TIMESTAMP),
        ("timestamptz", timestamp_tz()),
    ];
    let one = |way: &str, safe: bool, name: &'static str, to: DataType| {
        let target = to.clone();
        Function::resolving(
            &format!("${way}_{name}"),
            move |types| match types {
                [from] if allowed(from, &target) => Some((vec![from.clone()], target.clone())),
                _ => None,
            },
            move |args, _| convert(&args[0], &to, name, safe),
        )
    };
    targets
        .into_iter()
        .flat_map(|(name, to)| [one("cast", false, name, to.clone()), one("try", true, name, to)])
        .chain([date_of()])
        .collect()
}

/// `date(x)` is a cast.
fn date_of() -> Function {
    let from = [DataType::Utf8, DataType::Date32, TIMESTAMP, timestamp_tz()];
    let overloads = from.into_iter().map(|kind| (vec![kind], DataType::Date32)).collect();
    Function::new("date", overloads, |args, _| convert(&args[0], &DataType::Date32, "date", false))
}

fn allowed(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let temporal = |kind: &T| matches!(kind, T::Date32 | T::Timestamp(..));
    match (from, to) {
        (T::Null, _) => true,
        // How Trino writes a double as text depends on its version.
        (T::Float32 | T::Float64 | T::Decimal128(..), T::Utf8) => false,
        (T::Utf8 | T::Boolean, T::Utf8) => true,
        (from, T::Utf8) => is_integer(from) || temporal(from),
        (T::Utf8, _) => true,
        (T::Boolean, to) => is_number(to) || *to == T::Boolean,
        (from, T::Boolean) => is_integer(from),
        (from, to) => (is_number(from) && is_number(to)) || (temporal(from) && temporal(to)),
    }
}

fn convert(values: &ArrayRef, to: &DataType, name: &str, safe: bool) -> Result<ArrayRef> {
    let from = values.data_type();
    if from == to {
        return Ok(Arc::clone(values));
    }
    match (from, to) {
        (DataType::Null, _) => Ok(cast(values, to)?),
        (_, DataType::Utf8) => Ok(to_text(values)),
        (DataType::Utf8, DataType::Boolean) => {
            let parsed = from_text(values, name, safe, |text| Ok(boolean(text)))?;
            Ok(Arc::new(parsed.into_iter().collect::<BooleanArray>()))
        }
        (DataType::Utf8, DataType::Date32) => {
            let parsed = from_text(values, name, safe, |text| exact(text, parse_date(text), is_date_form(text)))?;
            Ok(Arc::new(parsed.into_iter().collect::<Date32Array>()))
        }
        (DataType::Utf8, DataType::Timestamp(_, zone)) => {
            let instant = |text: &str| {
                let local = if zone.is_some() { text.strip_suffix(" UTC").unwrap_or(text) } else { text };
                exact(text, parse_timestamp(local), is_timestamp_form(local))
            };
            let parsed = from_text(values, name, safe, instant)?;
            let parsed = parsed.into_iter().collect::<TimestampMillisecondArray>();
            Ok(Arc::new(parsed.with_timezone_opt(zone.clone())))
        }
        (DataType::Utf8, _) if is_integer(to) => {
            let parsed = from_text(values, name, safe, |text| Ok(text.parse::<i64>().ok()))?;
            narrow(&(Arc::new(parsed.into_iter().collect::<PrimitiveArray<Int64Type>>()) as ArrayRef), to, name, safe)
        }
        (DataType::Utf8, _) => {
            let parsed = from_text(values, name, safe, |text| Ok(double(text)))?;
            let doubles: ArrayRef = Arc::new(parsed.into_iter().collect::<PrimitiveArray<Float64Type>>());
            Ok(cast(&doubles, to)?)
        }
        (DataType::Decimal128(_, scale), _) if is_integer(to) => {
            narrow(&whole_part(values, *scale, name, safe)?, to, name, safe)
        }
        (DataType::Decimal128(..), DataType::Float32) => Ok(Arc::new(floats::<Float32Type>(values))),
        (DataType::Decimal128(..), DataType::Float64) => Ok(Arc::new(floats::<Float64Type>(values))),
        (DataType::Float32 | DataType::Float64, _) if is_integer(to) => {
            let whole = rounded(&cast(values, &DataType::Float64)?, name, safe)?;
            narrow(&whole, to, name, safe)
        }
        (_, _) if is_integer(from) && is_integer(to) => narrow(values, to, name, safe),
        (DataType::Date32, DataType::Timestamp(_, zone)) => {
            let days = values.as_primitive::<Date32Type>();
            let instants = days.iter().map(|day| day.map(midnight)).collect::<TimestampMillisecondArray>();
            Ok(Arc::new(instants.with_timezone_opt(zone.clone())))
        }
        (DataType::Timestamp(..), DataType::Date32) => {
            let instants = values.as_primitive::<TimestampMillisecondType>();
            Ok(Arc::new(instants.iter().map(|at| at.map(day)).collect::<Date32Array>()))
        }
        // Widening, booleans, and the time zone of an instant, which is always UTC.
        _ => Ok(cast(values, to)?),
    }
}

fn invalid(value: &str, target: &str) -> Failure {
    Failure::query(format!("INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {}", target.to_uppercase()))
}

fn from_text<T>(
    values: &ArrayRef,
    name: &str,
    safe: bool,
    parse: impl Fn(&str) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let one = |text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => match parse(text)? {
            None if !safe => Err(invalid(text, name).into_engine()),
            parsed => Ok(parsed),
        },
    };
    values.as_string::<i32>().iter().map(one).collect()
}

/// A date or an instant that was read from a text in one of the forms that are modelled. Trino takes others as well:
/// what may be one of those is refused.
fn exact<T>(text: &str, parsed: Option<T>, modelled: bool) -> Result<Option<T>> {
    let begins_like_one = text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
    if !modelled && begins_like_one && text.contains('-') {
        return Err(Failure::not_modelled(format!("the form of the date or instant '{text}'")).into_engine());
    }
    Ok(parsed.filter(|_| modelled))
}

/// Digits where `form` has zeros, and what else it has.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(c, f)| if f == b'0' { c.is_ascii_digit() } else { c == f })
}

fn is_date_form(text: &str) -> bool {
    has_form(text, "0000-00-00")
}

/// To the millisecond: finer instants are rounded in Trino.
fn is_timestamp_form(text: &str) -> bool {
    let fractions = ["", ".0", ".00", ".000"];
    is_date_form(text) || fractions.iter().any(|fraction| has_form(text, &format!("0000-00-00 00:00:00{fraction}")))
}

/// Decimals as the nearest floating-point numbers.
fn floats<T: ArrowPrimitiveType>(values: &ArrayRef) -> PrimitiveArray<T>
where
    T::Native: std::str::FromStr,
{
    let decimals = values.as_primitive::<Decimal128Type>();
    let one = |row| decimals.is_valid(row).then(|| decimals.value_as_string(row).parse().ok()).flatten();
    (0..decimals.len()).map(one).collect()
}

/// Decimals as whole numbers, half away from zero.
fn whole_part(values: &ArrayRef, scale: i8, name: &str, safe: bool) -> Result<ArrayRef> {
    let decimals = values.as_primitive::<Decimal128Type>();
    let unit = 10i128.pow(u32::try_from(scale).unwrap_or(0));
    let one = |(row, value): (usize, Option<i128>)| {
        let Some(value) = value else { return Ok(None) };
        let (whole, rest) = (value / unit, value % unit);
        let up = i128::from(rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs());
        match i64::try_from(whole + up * value.signum()) {
            Ok(whole) => Ok(Some(whole)),
            Err(_) if safe => Ok(None),
            Err(_) => Err(invalid(&decimals.value_as_string(row), name).into_engine()),
        }
    };
    let values = decimals.iter().enumerate().map(one);
    Ok(Arc::new(values.collect::<Result<PrimitiveArray<Int64Type>>>()?))
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// The texts that Java's `Double.parseDouble` takes, without its hexadecimal form and type suffixes.
fn double(text: &str) -> Option<f64> {
    match text.trim() {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        number if number.bytes().any(|b| b.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    }
}

/// Half away from zero.
fn rounded(values: &ArrayRef, name: &str, safe: bool) -> Result<ArrayRef> {
    // The first double beyond the range.
    let limit = 2f64.powi(63);
    let one = |value: Option<f64>| match value {
        None => Ok(None),
        Some(value) if (-limit..limit).contains(&value.round()) => {
            let whole = value.round() as i64;
            Ok(Some(whole))
        }
        Some(_) if safe => Ok(None),
        Some(value) => Err(invalid(&value.to_string(), name).into_engine()),
    };
    let values = values.as_primitive::<Float64Type>().iter().map(one);
    Ok(Arc::new(values.collect::<Result<PrimitiveArray<Int64Type>>>()?))
}

/// To a narrower whole number.
fn narrow(values: &ArrayRef, to: &DataType, name: &str, safe: bool) -> Result<ArrayRef> {
    let options = CastOptions { safe, format_options: FormatOptions::default() };
    cast_with_options(values, to, &options)
        .map_err(|_| Failure::query(format!("INVALID_CAST_ARGUMENT: Out of range for {name}")).into_engine())
}

fn to_text(values: &ArrayRef) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(values.len(), values.len() * 8);
    let mut scratch = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            out.append_null();
            continue;
        }
        scratch.clear();
        text::write(&mut scratch, values, row);
        out.append_value(&scratch);
    }
    Arc::new(out.finish())
}
