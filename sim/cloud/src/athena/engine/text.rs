//! Values as Athena writes them in results.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMillisecondType, UInt64Type,
};

use super::super::functions::datetime;

/// Appends one value that is not null.
pub(crate) fn write(out: &mut String, values: &ArrayRef, row: usize) {
    let result = match values.data_type() {
        DataType::Utf8 => out.write_str(values.as_string::<i32>().value(row)),
        DataType::Boolean => write!(out, "{}", values.as_boolean().value(row)),
        DataType::Int8 => write!(out, "{}", values.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => write!(out, "{}", values.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => write!(out, "{}", values.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write!(out, "{}", values.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => write!(out, "{}", values.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => {
            let value = values.as_primitive::<Float32Type>().value(row);
            java_number(out, &format!("{value:e}"), f64::from(value));
            Ok(())
        }
        DataType::Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            java_number(out, &format!("{value:e}"), value);
            Ok(())
        }
        DataType::Decimal128(..) => out.write_str(&values.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Date32 => {
            let ms = i64::from(values.as_primitive::<Date32Type>().value(row)) * 86_400_000;
            write!(out, "{}", datetime(ms).format("%Y-%m-%d"))
        }
        DataType::Timestamp(_, zone) => {
            let at = datetime(values.as_primitive::<TimestampMillisecondType>().value(row));
            let zone = if zone.is_some() { " UTC" } else { "" };
            write!(out, "{}{zone}", at.format("%Y-%m-%d %H:%M:%S%.3f"))
        }
        DataType::List(_) => {
            list(out, &values.as_list::<i32>().value(row));
            Ok(())
        }
        DataType::Map(..) => {
            let entries = values.as_map().value(row);
            pairs(out, entries.column(0), entries.column(1));
            Ok(())
        }
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns();
            let mut separator = "{";
            for (field, column) in fields.iter().zip(columns) {
                out.push_str(separator);
                out.push_str(field.name());
                out.push('=');
                nested(out, column, row);
                separator = ", ";
            }
            out.write_str("}")
        }
        other => unreachable!("the plan lets no column of type {other} through"),
    };
    result.expect("writing to a string does not fail");
}

/// Whether [`write`] knows the type.
pub(crate) fn is_written(kind: &DataType) -> bool {
    use DataType as T;
    match kind {
        T::Utf8 | T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt64 | T::Float32 | T::Float64 => true,
        T::Decimal128(..)
        | T::Date32
        | T::Timestamp(datafusion::arrow::datatypes::TimeUnit::Millisecond, _)
        | T::Null => true,
        T::List(item) => is_written(item.data_type()),
        T::Map(entries, _) => is_written(entries.data_type()),
        T::Struct(fields) => fields.iter().all(|field| is_written(field.data_type())),
        _ => false,
    }
}

fn nested(out: &mut String, values: &ArrayRef, row: usize) {
    if values.is_null(row) || *values.data_type() == DataType::Null {
        out.push_str("null");
    } else {
        write(out, values, row);
    }
}

fn list(out: &mut String, items: &ArrayRef) {
    out.push('[');
    for row in 0..items.len() {
        if row > 0 {
            out.push_str(", ");
        }
        nested(out, items, row);
    }
    out.push(']');
}

fn pairs(out: &mut String, keys: &ArrayRef, values: &ArrayRef) {
    out.push('{');
    for row in 0..keys.len() {
        if row > 0 {
            out.push_str(", ");
        }
        nested(out, keys, row);
        out.push('=');
        nested(out, values, row);
    }
    out.push('}');
}

/// Java's `Double.toString`, from the shortest digits in scientific form, such as `1.25e-3`.
fn java_number(out: &mut String, scientific: &str, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("Infinity");
    }
    let (mantissa, exponent) = scientific.trim_start_matches('-').split_once('e').unwrap_or((scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 {
        return out.push_str("0.0");
    }
    if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        write!(out, "{first}.{rest}E{exponent}").expect("writing to a string does not fail");
        return;
    }
    if let Ok(whole) = usize::try_from(exponent) {
        let whole = whole + 1;
        let padded = format!("{digits:0<whole$}");
        let (before, after) = padded.split_at(whole);
        out.push_str(before);
        out.push('.');
        out.push_str(if after.is_empty() { "0" } else { after });
    } else {
        out.push_str("0.");
        (1..exponent.unsigned_abs()).for_each(|_| out.push('0'));
        out.push_str(&digits);
    }
}
