//! Functions of dates and instants. The session's time zone is UTC, as in Athena.

use std::sync::Arc;

use chrono::{Datelike as _, NaiveDateTime, Timelike as _};
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Float64Array, Int64Array, StringBuilder, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMillisecondType};
use datafusion::error::Result;

use super::super::engine::types::{TIMESTAMP, timestamp_tz};
use super::super::failure::Failure;
use super::calendar::{Format, Unit, datetime, day, in_range, midnight, parse_iso8601};
use super::framework::Function;
use world::time::Time;

const TEXT: DataType = DataType::Utf8;

/// All of them but the clock.
pub(super) fn all() -> Vec<Function> {
    let mut all = fields();
    all.extend([
        Function::new("from_unixtime", vec![(vec![DataType::Float64], timestamp_tz())], |args, _| {
            let seconds = args[0].as_primitive::<Float64Type>();
            // Rounded as Java's `Math.round` does it; what lies beyond a whole number is no instant either.
            let instant = |seconds: f64| known(in_range((seconds * 1_000.0 + 0.5).floor() as i64));
            let instants = seconds.iter().map(|s| s.map(instant).transpose());
            Ok(Arc::new(instants.collect::<Result<TimestampMillisecondArray>>()?.with_timezone("UTC")))
        }),
        Function::new(
            "to_unixtime",
            vec![(vec![TIMESTAMP], DataType::Float64), (vec![timestamp_tz()], DataType::Float64)],
            |args, _| {
                let seconds = instants(&args[0]).map(|at| at.map(|at| at as f64 / 1_000.0));
                Ok(Arc::new(seconds.collect::<Float64Array>()))
            },
        ),
        Function::new(
            "date_format",
            vec![(vec![TIMESTAMP, TEXT], TEXT), (vec![timestamp_tz(), TEXT], TEXT)],
            |args, _| date_format(args),
        ),
        Function::new("date_parse", vec![(vec![TEXT, TEXT], TIMESTAMP)], |args, _| date_parse(args)),
        Function::new("from_iso8601_timestamp", vec![(vec![TEXT], timestamp_tz())], |args, _| {
            let parsed = args[0].as_string::<i32>().iter().map(|text| text.map(parse_iso8601).transpose());
            let parsed = parsed.collect::<std::result::Result<TimestampMillisecondArray, Failure>>();
            Ok(Arc::new(parsed.map_err(Failure::into_engine)?.with_timezone("UTC")))
        }),
        Function::new("date_trunc", over_times(|kind| (vec![TEXT, kind.clone()], kind)), |args, _| date_trunc(args)),
        Function::new("date_add", over_times(|kind| (vec![TEXT, DataType::Int64, kind.clone()], kind)), |args, _| {
            date_add(args)
        }),
        Function::new("date_diff", over_times(|kind| (vec![TEXT, kind.clone(), kind], DataType::Int64)), |args, _| {
            date_diff(args)
        }),
    ]);
    all
}

/// The functions that answer the start of the query.
pub(super) fn clock(now: Time) -> Vec<Function> {
    let ms = i64::try_from(now.unix_millis()).unwrap_or(i64::MAX);
    let instant = move || TimestampMillisecondArray::from(vec![ms]);
    vec![
        Function::constant("now", timestamp_tz(), move || Arc::new(instant().with_timezone("UTC"))),
        Function::constant("current_timestamp", timestamp_tz(), move || Arc::new(instant().with_timezone("UTC"))),
        Function::constant("localtimestamp", TIMESTAMP, move || Arc::new(instant())),
        Function::constant("current_date", DataType::Date32, move || Arc::new(Date32Array::from(vec![day(ms)]))),
    ]
}

fn over_times(shape: fn(DataType) -> (Vec<DataType>, DataType)) -> Vec<(Vec<DataType>, DataType)> {
    [DataType::Date32, TIMESTAMP, timestamp_tz()].into_iter().map(shape).collect()
}

/// Instants of a column of dates or instants.
fn instants(values: &ArrayRef) -> Box<dyn Iterator<Item = Option<i64>> + '_> {
    if *values.data_type() == DataType::Date32 {
        return Box::new(values.as_primitive::<Date32Type>().iter().map(|day| day.map(midnight)));
    }
    Box::new(values.as_primitive::<TimestampMillisecondType>().iter())
}

/// Instants as a column of the given type of dates or instants.
fn column(kind: &DataType, values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    match kind {
        DataType::Date32 => Arc::new(values.map(|at| at.map(day)).collect::<Date32Array>()),
        DataType::Timestamp(_, zone) => {
            Arc::new(values.collect::<TimestampMillisecondArray>().with_timezone_opt(zone.clone()))
        }
        other => unreachable!("overloads are of dates and instants, not of {other}"),
    }
}

/// Applies a parsed first argument to each row; the parse is repeated only when the argument changes.
struct Memo<T> {
    last: Option<(String, T)>,
    parse: fn(&str) -> std::result::Result<T, Failure>,
}

impl<T> Memo<T> {
    fn new(parse: fn(&str) -> std::result::Result<T, Failure>) -> Self {
        Memo { last: None, parse }
    }

    fn get(&mut self, text: &str) -> Result<&T> {
        if self.last.as_ref().is_none_or(|(known, _)| known != text) {
            self.last = Some((text.to_owned(), (self.parse)(text).map_err(Failure::into_engine)?));
        }
        Ok(&self.last.as_ref().expect("it was set just now").1)
    }
}

/// What the calendar of this simulator holds.
fn known<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Failure::not_modelled("dates and instants more than 70000 years from 1970").into_engine())
}

/// A unit that values of the type have.
fn unit_of(units: &mut Memo<Unit>, name: &str, kind: &DataType) -> Result<Unit> {
    let unit = *units.get(name)?;
    if *kind == DataType::Date32 && !unit.is_of_dates() {
        let reason = format!("INVALID_FUNCTION_ARGUMENT: '{name}' is not a valid DATE field");
        return Err(Failure::query(reason).into_engine());
    }
    Ok(unit)
}

fn date_format(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut formats = Memo::new(Format::parse);
    let mut out = StringBuilder::with_capacity(args[0].len(), args[0].len() * 16);
    let mut scratch = String::new();
    for (at, format) in instants(&args[0]).zip(args[1].as_string::<i32>()) {
        match at.zip(format) {
            None => out.append_null(),
            Some((at, format)) => {
                scratch.clear();
                formats.get(format)?.write(&mut scratch, at);
                out.append_value(&scratch);
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

fn date_parse(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut formats = Memo::new(Format::parse);
    let pairs = args[0].as_string::<i32>().iter().zip(args[1].as_string::<i32>());
    let parsed = pairs.map(|(text, format)| match text.zip(format) {
        None => Ok(None),
        Some((text, format)) => formats.get(format)?.read(text).map(Some).map_err(Failure::into_engine),
    });
    Ok(Arc::new(parsed.collect::<Result<TimestampMillisecondArray>>()?))
}

fn date_trunc(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut units = Memo::new(Unit::parse);
    let rows = args[0].as_string::<i32>().iter().zip(instants(&args[1]));
    let values = rows.map(|(unit, at)| match unit.zip(at) {
        None => Ok(None),
        Some((unit, at)) => {
            let found = unit_of(&mut units, unit, args[1].data_type())?;
            known(found.truncate(at)).map(Some)
        }
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(column(args[1].data_type(), values.into_iter()))
}

fn date_add(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut units = Memo::new(Unit::parse);
    let amounts = args[1].as_primitive::<Int64Type>().iter().zip(instants(&args[2]));
    let rows = args[0].as_string::<i32>().iter().zip(amounts);
    let values = rows.map(|(unit, (n, at))| match unit.zip(n.zip(at)) {
        None => Ok(None),
        Some((unit, (n, at))) => {
            let found = unit_of(&mut units, unit, args[2].data_type())?;
            known(found.add(at, n)).map(Some)
        }
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(column(args[2].data_type(), values.into_iter()))
}

fn date_diff(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut units = Memo::new(Unit::parse);
    let rows = args[0].as_string::<i32>().iter().zip(instants(&args[1]).zip(instants(&args[2])));
    let values = rows.map(|(unit, (from, to))| match unit.zip(from.zip(to)) {
        None => Ok(None),
        Some((unit, (from, to))) => {
            let found = unit_of(&mut units, unit, args[1].data_type())?;
            known(found.between(from, to)).map(Some)
        }
    });
    Ok(Arc::new(values.collect::<Result<Int64Array>>()?))
}

/// `year(x)`, `hour(x)`, ..: parts of a date or an instant.
fn fields() -> Vec<Function> {
    let part = |name: &str, part: fn(NaiveDateTime) -> i64| {
        Function::new(name, over_times(|kind| (vec![kind], DataType::Int64)), move |args, _| {
            let values = instants(&args[0]).map(|at| at.map(|at| part(datetime(at))));
            Ok(Arc::new(values.collect::<Int64Array>()))
        })
    };
    vec![
        part("year", |at| at.year().into()),
        part("quarter", |at| i64::from(at.month0() / 3 + 1)),
        part("month", |at| at.month().into()),
        part("week", |at| at.iso_week().week().into()),
        part("day", |at| at.day().into()),
        part("day_of_month", |at| at.day().into()),
        part("day_of_week", |at| at.weekday().number_from_monday().into()),
        part("day_of_year", |at| at.ordinal().into()),
        part("hour", |at| at.hour().into()),
        part("minute", |at| at.minute().into()),
        part("second", |at| at.second().into()),
        part("millisecond", |at| i64::from(at.nanosecond() / 1_000_000)),
    ]
}
