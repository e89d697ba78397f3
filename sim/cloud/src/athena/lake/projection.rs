//! Partition projection: which partition an object lies in, and whether the table's parameters project it.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDateTime, TimeDelta};

use super::super::failure::Failure;
use super::pattern::{Pattern, Precision};
use crate::core::ports::CatalogTable;
use world::time::Time;

/// A step between projected dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Months(i64),
    Seconds(i64),
}

/// Digits of the longest whole number.
const MOST_DIGITS: usize = 19;

/// The values of one partition column.
#[derive(Clone, Debug)]
enum Values {
    Enum(Vec<String>),
    Integer { min: i64, max: i64, interval: i64, digits: usize },
    Date { from: NaiveDateTime, to: NaiveDateTime, step: Step, pattern: Pattern },
}

/// A piece of the location template.
#[derive(Clone, Debug)]
enum Segment {
    Text(String),
    Column(usize),
}

/// The projected partitions of a table at one instant.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    columns: Vec<Values>,
    template: Vec<Segment>,
}

fn wrong(table: &CatalogTable, text: impl std::fmt::Display) -> Failure {
    Failure::query(format!("INVALID_TABLE_PROPERTY: {}.{}: {text}", table.database, table.name))
}

impl Projection {
    /// Reads the parameters of a table with partition keys. `now` is what `NOW` stands for.
    pub(super) fn new(table: &CatalogTable, now: Time) -> Result<Self, Failure> {
        let mut columns = Vec::new();
        for key in &table.partition_keys {
            let parameter =
                |name: &str| table.parameters.get(&format!("projection.{}.{name}", key.name)).map(String::as_str);
            columns.push(values(table, &key.name, &parameter, now)?);
        }
        let default = || {
            let keys: Vec<String> = table.partition_keys.iter().map(|key| format!("{0}=${{{0}}}/", key.name)).collect();
            format!("{}/{}", table.location.trim_end_matches('/'), keys.concat())
        };
        let template = table.parameters.get("storage.location.template").cloned().unwrap_or_else(default);
        let template = segments(table, &template)?;
        Ok(Projection { columns, template })
    }

    /// Bucket and prefix under which every partition lies.
    pub(super) fn root(&self) -> &str {
        match self.template.first() {
            Some(Segment::Text(text)) => text,
            _ => "",
        }
    }

    /// The partition of an object, by the text after the root; `None` when it lies in none that is projected.
    pub(super) fn values_of(&self, rest: &str) -> Option<Vec<String>> {
        let mut found = vec![String::new(); self.columns.len()];
        self.matches(&self.template[1..], rest, &mut found).then_some(found)
    }

    fn matches(&self, template: &[Segment], rest: &str, found: &mut Vec<String>) -> bool {
        match template.split_first() {
            None => true,
            Some((Segment::Text(text), after)) => {
                rest.strip_prefix(text.as_str()).is_some_and(|rest| self.matches(after, rest, found))
            }
            Some((Segment::Column(column), after)) => {
                candidates(&self.columns[*column], rest).into_iter().any(|length| {
                    found[*column] = rest[..length].to_owned();
                    self.matches(after, &rest[length..], found)
                })
            }
        }
    }
}

/// Lengths of the beginnings of `rest` that are projected values.
fn candidates(values: &Values, rest: &str) -> Vec<usize> {
    match values {
        Values::Enum(values) => {
            values.iter().filter(|value| rest.starts_with(value.as_str())).map(String::len).collect()
        }
        Values::Integer { min, max, interval, digits } => {
            let length =
                rest.bytes().enumerate().take_while(|(at, b)| b.is_ascii_digit() || (*at == 0 && *b == b'-')).count();
            let text = &rest[..length];
            let projected = text.parse::<i64>().is_ok_and(|n| {
                (*min..=*max).contains(&n)
                    && (i128::from(n) - i128::from(*min)) % i128::from(*interval) == 0
                    && format!("{n:0digits$}") == text
            });
            projected.then_some(length).into_iter().collect()
        }
        Values::Date { from, to, step, pattern } => {
            let width = pattern.width();
            let at = rest.get(..width).and_then(|text| pattern.read(text));
            let projected = at.is_some_and(|at| *from <= at && at <= *to && aligned(*from, at, *step));
            projected.then_some(width).into_iter().collect()
        }
    }
}

fn aligned(from: NaiveDateTime, at: NaiveDateTime, step: Step) -> bool {
    match step {
        Step::Seconds(step) => (at - from).num_seconds() % step == 0,
        Step::Months(step) => {
            let month = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
            let months = month(at) - month(from);
            let by = u32::try_from(months).ok().map(Months::new);
            months % step == 0 && by.and_then(|by| from.checked_add_months(by)) == Some(at)
        }
    }
}

fn values<'t>(
    table: &CatalogTable,
    column: &str,
    parameter: &dyn Fn(&str) -> Option<&'t str>,
    now: Time,
) -> Result<Values, Failure> {
    let required =
        |name: &str| parameter(name).ok_or_else(|| wrong(table, format!("projection.{column}.{name} is missing")));
    let Some(kind) = parameter("type") else {
        let reason = format!(
            "HIVE_METASTORE_ERROR: projection.{column}.type is missing for table {}.{}",
            table.database, table.name
        );
        return Err(Failure::query(reason));
    };
    match kind {
        "enum" => Ok(Values::Enum(required("values")?.split(',').map(str::to_owned).collect())),
        "integer" => {
            let bad = |what: &str| wrong(table, format!("projection.{column}.{what} is not a whole number"));
            let (min, max) = required("range")?.split_once(',').ok_or_else(|| bad("range"))?;
            let number = |text: &str, what: &str| text.trim().parse::<i64>().map_err(|_| bad(what));
            let interval = parameter("interval").map_or(Ok(1), |text| number(text, "interval"))?;
            let digits = parameter("digits").map_or(Ok(1), |text| number(text, "digits"))?;
            if interval < 1 {
                return Err(bad("interval"));
            }
            let digits = usize::try_from(digits).ok().filter(|n| *n <= MOST_DIGITS).ok_or_else(|| bad("digits"))?;
            Ok(Values::Integer { min: number(min, "range")?, max: number(max, "range")?, interval, digits })
        }
        "date" => date(table, column, parameter, required("format")?, required("range")?, now),
        "injected" => Err(Failure::not_modelled("partition projection of type injected")),
        other => Err(wrong(table, format!("projection.{column}.type is {other:?}"))),
    }
}

fn date<'t>(
    table: &CatalogTable,
    column: &str,
    parameter: &dyn Fn(&str) -> Option<&'t str>,
    format: &str,
    range: &str,
    now: Time,
) -> Result<Values, Failure> {
    let bad = |what: &str, value: &str| wrong(table, format!("projection.{column}.{what} is {value:?}"));
    let pattern = Pattern::parse(format)
        .ok_or_else(|| Failure::not_modelled(format!("the date format {format:?} of partition projection")))?;
    let (from, to) = range.split_once(',').ok_or_else(|| bad("range", range))?;
    let now = DateTime::from_timestamp_millis(i64::try_from(now.unix_millis()).unwrap_or(i64::MAX)).unwrap_or_default();
    let bound = |text: &str| bound(text.trim(), &pattern, now.naive_utc()).ok_or_else(|| bad("range", range));
    let (from, to) = (pattern.truncate(bound(from)?), bound(to)?);
    let interval: i64 = match parameter("interval") {
        None => 1,
        Some(text) => text.trim().parse().ok().filter(|n| *n > 0).ok_or_else(|| bad("interval", text))?,
    };
    let step = match (parameter("interval.unit"), pattern.precision()) {
        (Some(unit), _) => step(unit, interval).ok_or_else(|| bad("interval.unit", unit))?,
        (None, Precision::Day) => step("DAY", interval).ok_or_else(|| bad("interval", &interval.to_string()))?,
        (None, Precision::Month) => Step::Months(interval),
        (None, _) => return Err(wrong(table, format!("projection.{column}.interval.unit is missing"))),
    };
    Ok(Values::Date { from, to, step, pattern })
}

fn step(unit: &str, interval: i64) -> Option<Step> {
    Some(match unit.to_uppercase().trim_end_matches('S') {
        "YEAR" => Step::Months(interval.checked_mul(12)?),
        "MONTH" => Step::Months(interval),
        "WEEK" => Step::Seconds(interval.checked_mul(7 * 86_400)?),
        "DAY" => Step::Seconds(interval.checked_mul(86_400)?),
        "HOUR" => Step::Seconds(interval.checked_mul(3_600)?),
        "MINUTE" => Step::Seconds(interval.checked_mul(60)?),
        "SECOND" => Step::Seconds(interval),
        _ => return None,
    })
}

/// `NOW`, `NOW-3YEARS`, `NOW+1DAY`, or a text of the pattern.
fn bound(text: &str, pattern: &Pattern, now: NaiveDateTime) -> Option<NaiveDateTime> {
    let Some(offset) = text.strip_prefix("NOW") else { return pattern.read(text) };
    let offset = offset.trim();
    if offset.is_empty() {
        return Some(now);
    }
    let (back, amount) = match offset.strip_prefix('-') {
        Some(amount) => (true, amount.trim()),
        None => (false, offset.strip_prefix('+')?.trim()),
    };
    let digits = amount.bytes().take_while(u8::is_ascii_digit).count();
    let n: i64 = amount[..digits].parse().ok()?;
    match step(amount[digits..].trim(), n)? {
        Step::Months(months) => {
            let months = Months::new(u32::try_from(months).ok()?);
            if back { now.checked_sub_months(months) } else { now.checked_add_months(months) }
        }
        Step::Seconds(seconds) if seconds % 86_400 == 0 => {
            let days = Days::new(u64::try_from(seconds / 86_400).ok()?);
            if back { now.checked_sub_days(days) } else { now.checked_add_days(days) }
        }
        Step::Seconds(seconds) => {
            let length = TimeDelta::try_seconds(seconds)?;
            if back { now.checked_sub_signed(length) } else { now.checked_add_signed(length) }
        }
    }
}

fn segments(table: &CatalogTable, template: &str) -> Result<Vec<Segment>, Failure> {
    let mut segments = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("${") {
        let (name, after) =
            after.split_once('}').ok_or_else(|| wrong(table, format!("{template:?} has no end of ${{")))?;
        let column = table.partition_keys.iter().position(|key| key.name == name.to_lowercase());
        let column = column.ok_or_else(|| wrong(table, format!("{name} in {template:?} is not a partition column")))?;
        segments.push(Segment::Text(text.to_owned()));
        segments.push(Segment::Column(column));
        rest = after;
    }
    segments.push(Segment::Text(if rest.ends_with('/') { rest.to_owned() } else { format!("{rest}/") }));
    let missing = (0..table.partition_keys.len())
        .find(|index| !segments.iter().any(|segment| matches!(segment, Segment::Column(column) if column == index)));
    match missing {
        Some(index) => Err(wrong(table, format!("{} is missing in {template:?}", table.partition_keys[index].name))),
        None => Ok(segments),
    }
}
