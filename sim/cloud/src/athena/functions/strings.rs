//! Functions of text. Positions and lengths count code points.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;

use super::super::failure::Failure;
use super::framework::Function;

const TEXT: DataType = DataType::Utf8;
const COUNT: DataType = DataType::Int64;

/// All of them.
pub(super) fn all() -> Vec<Function> {
    let substr = |name| {
        let overloads = vec![(vec![TEXT, COUNT], TEXT), (vec![TEXT, COUNT, COUNT], TEXT)];
        Function::new(name, overloads, |args, _| Ok(substring(args)))
    };
    let concat = Function::resolving(
        "concat",
        |types| (types.len() >= 2 && types.iter().all(is_text)).then(|| (vec![TEXT; types.len()], TEXT)),
        |args, rows| Ok(concatenate(args, rows)),
    );
    vec![
        text("lower", |text| text.chars().map(|c| simple(c, c.to_lowercase())).collect()),
        text("upper", |text| text.chars().map(|c| simple(c, c.to_uppercase())).collect()),
        text("trim", |text| text.trim_matches(is_space).to_owned()),
        text("ltrim", |text| text.trim_start_matches(is_space).to_owned()),
        text("rtrim", |text| text.trim_end_matches(is_space).to_owned()),
        text("reverse", |text| text.chars().rev().collect()),
        Function::new("length", vec![(vec![TEXT], COUNT)], |args, _| {
            let values = args[0].as_string::<i32>().iter().map(|text| text.map(|text| whole(text.chars().count())));
            Ok(Arc::new(values.collect::<Int64Array>()))
        }),
        Function::new("strpos", vec![(vec![TEXT, TEXT], COUNT)], |args, _| {
            let values = pairs(args).map(|pair| pair.map(|(text, part)| position(text, part)));
            Ok(Arc::new(values.collect::<Int64Array>()))
        }),
        Function::new("starts_with", vec![(vec![TEXT, TEXT], DataType::Boolean)], |args, _| {
            let values = pairs(args).map(|pair| pair.map(|(text, start)| text.starts_with(start)));
            Ok(Arc::new(values.collect::<BooleanArray>()))
        }),
        Function::new("replace", vec![(vec![TEXT, TEXT], TEXT), (vec![TEXT, TEXT, TEXT], TEXT)], |args, _| {
            Ok(replace(args))
        }),
        Function::new("split_part", vec![(vec![TEXT, TEXT, COUNT], TEXT)], |args, _| split_part(args)),
        substr("substr"),
        substr("substring"),
        concat,
    ]
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Null)
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// White space as Java's `Character.isWhitespace` has it.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{85}')
        || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Simple case mapping: code points whose mapping is longer than one stay as they are.
fn simple(original: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => original,
    }
}

fn text(name: &str, map: fn(&str) -> String) -> Function {
    Function::new(name, vec![(vec![TEXT], TEXT)], move |args, _| {
        let values = args[0].as_string::<i32>().iter().map(|text| text.map(map));
        Ok(Arc::new(values.collect::<StringArray>()))
    })
}

fn pairs(args: &[ArrayRef]) -> impl Iterator<Item = Option<(&str, &str)>> {
    args[0].as_string::<i32>().iter().zip(args[1].as_string::<i32>()).map(|(a, b)| a.zip(b))
}

/// Position of the first occurrence from 1; 0 when there is none.
fn position(text: &str, part: &str) -> i64 {
    text.find(part).map_or(0, |at| whole(text[..at].chars().count()) + 1)
}

fn replace(args: &[ArrayRef]) -> ArrayRef {
    let with = args.get(2).map(|with| with.as_string::<i32>());
    let values = pairs(args).enumerate().map(|(row, pair)| {
        let with = match with {
            Some(with) if with.is_null(row) => return None,
            Some(with) => with.value(row),
            None => "",
        };
        pair.map(|(text, part)| text.replace(part, with))
    });
    Arc::new(values.collect::<StringArray>())
}

fn split_part(args: &[ArrayRef]) -> Result<ArrayRef> {
    let index = args[2].as_primitive::<Int64Type>();
    let values = pairs(args).zip(index).map(|(pair, index)| {
        let Some(((text, delimiter), index)) = pair.zip(index) else { return Ok(None) };
        if index < 1 {
            let reason = "INVALID_FUNCTION_ARGUMENT: Index must be greater than zero";
            return Err(Failure::query(reason).into_engine());
        }
        let index = usize::try_from(index - 1).unwrap_or(usize::MAX);
        Ok(if delimiter.is_empty() {
            text.chars().nth(index).map(String::from)
        } else {
            text.split(delimiter).nth(index).map(str::to_owned)
        })
    });
    Ok(Arc::new(values.collect::<Result<StringArray>>()?))
}

fn substring(args: &[ArrayRef]) -> ArrayRef {
    let (text, start) = (args[0].as_string::<i32>(), args[1].as_primitive::<Int64Type>());
    let length = args.get(2).map(|length| length.as_primitive::<Int64Type>());
    let values = text.iter().zip(start).enumerate().map(|(row, (text, start))| {
        let length = match length {
            Some(length) if length.is_null(row) => return None,
            Some(length) => length.value(row),
            None => i64::MAX,
        };
        text.zip(start).map(|(text, start)| part(text, start, length))
    });
    Arc::new(values.collect::<StringArray>())
}

/// From `start`, counted from 1, or from the end when negative. Nothing when it lies outside.
fn part(text: &str, start: i64, length: i64) -> String {
    let count = whole(text.chars().count());
    let from = if start > 0 { start - 1 } else { count + start };
    if start == 0 || from < 0 || from >= count || length <= 0 {
        return String::new();
    }
    let skip = usize::try_from(from).unwrap_or(usize::MAX);
    text.chars().skip(skip).take(usize::try_from(length).unwrap_or(usize::MAX)).collect()
}

/// Null as soon as one part is.
fn concatenate(args: &[ArrayRef], rows: usize) -> ArrayRef {
    let columns: Vec<&StringArray> = args.iter().map(|arg| arg.as_string::<i32>()).collect();
    let values = (0..rows).map(|row| {
        columns.iter().map(|column| column.is_valid(row).then(|| column.value(row))).collect::<Option<String>>()
    });
    Arc::new(values.collect::<StringArray>())
}
