//! The query that finds partition keys in a record: JQ, by the crate `jaq`, which follows jq 1.7 where that differs from
//! Firehose's JQ-1.6. Left out are functions that read the clock, the environment or further inputs, and those of regular
//! expressions, mathematics and `@formats` other than `@text` and `@json`: a query that names one is refused at creation.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _, Utc};
use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Compiler, Ctx, Error, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use jaq_std::ValT as _;

use crate::core::AwsError;

type Data = data::JustLut<Val>;

/// How deeply arrays and objects of a record may nest. Our bound: the parser recurses and has none. (Firehose's is
/// unverified.)
const DEPTH_MAX: usize = 256;

/// Definitions of the standard library that need what is left out, with the number of their arguments.
const LEFT_OUT: &[(&str, usize)] = &[
    ("stderr", 0),
    ("debug", 0),
    ("debug", 1),
    ("halt", 0),
    ("halt_error", 0),
    ("halt_error", 1),
    ("isnormal", 0),
    ("normals", 0),
    ("logb", 0),
    ("significand", 0),
    ("pow10", 0),
    ("drem", 2),
    ("nexttoward", 2),
    ("scalb", 2),
    ("gamma", 0),
    ("capture_of_match", 0),
    ("test", 1),
    ("test", 2),
    ("scan_", 2),
    ("scan", 1),
    ("scan", 2),
    ("match", 1),
    ("match", 2),
    ("capture", 1),
    ("capture", 2),
    ("split", 2),
    ("splits", 1),
    ("splits", 2),
    ("sub", 2),
    ("sub", 3),
    ("gsub", 2),
    ("gsub", 3),
    ("@sh", 0),
    ("@html", 0),
    ("@htmld", 0),
    ("@uri", 0),
    ("@urid", 0),
    ("@base64", 0),
    ("@base64d", 0),
];

/// A query, compiled.
pub(super) struct Query(jaq_core::Filter<Data>);

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query")
    }
}

fn is_kept(def: &Def<&'static str>) -> bool {
    !LEFT_OUT.contains(&(def.name, def.args.len()))
}

impl Query {
    /// Compiles a query.
    pub fn compile(text: &str) -> Result<Self, AwsError> {
        // The texts are unverified.
        let invalid = |what: String| AwsError::new("InvalidArgumentException", what);
        let defs = jaq_core::defs().chain(jaq_std::defs().filter(is_kept)).chain(jaq_json::defs());
        let funs = jaq_core::funs().chain(jaq_std::base_funs()).chain(jaq_json::funs()).chain(times());
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code: text, path: () })
            .map_err(|_| invalid(format!("the MetadataExtractionQuery {text:?} is not JQ")))?;
        let filter = Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
            let undefined = errors.iter().flat_map(|(_, errors)| errors).map(|(name, _)| name.to_string());
            let names: Vec<String> = undefined.collect();
            AwsError::not_modelled(format!("{} in a MetadataExtractionQuery", names.join(", ")))
        })?;
        Ok(Query(filter))
    }

    /// The keys of a record, or why there are none.
    pub fn keys(&self, record: &[u8]) -> Result<BTreeMap<String, String>, String> {
        let no_json = || "Non JSON record provided".to_owned();
        if is_too_deep(record) {
            return Err(no_json());
        }
        let input = read::parse_single(record).map_err(|_| no_json())?;
        let ctx = Ctx::<Data>::new(&self.0.lut, Vars::new([]));
        let mut outputs = self.0.id.run((ctx, input)).map(unwrap_valr);
        let found = match outputs.next() {
            Some(Ok(Val::Obj(found))) => found,
            Some(Ok(_)) | None => return Err("The query gave no object of partitionKeys".to_owned()),
            Some(Err(error)) => return Err(format!("The query failed: {error}")),
        };
        let text = |value: &Val| match value {
            Val::Null | Val::Arr(_) | Val::Obj(_) => None,
            Val::TStr(bytes) | Val::BStr(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            other => Some(other.to_string()),
        };
        let mut keys = BTreeMap::new();
        for (key, value) in found.iter() {
            let value = text(value).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| "partitionKeys values must not be null or empty".to_owned())?;
            keys.insert(text(key).unwrap_or_default(), value);
        }
        Ok(keys)
    }
}

/// Whether arrays and objects nest beyond [`DEPTH_MAX`]. Brackets in texts, and in the comments that the parser skips,
/// nest nothing.
fn is_too_deep(record: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut bytes = record.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'#' => drop(bytes.find(|byte| **byte == b'\n')),
            b'"' => {
                while let Some(byte) = bytes.next().filter(|byte| **byte != b'"') {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// The functions of dates: all in UTC, none of which reads a clock.
fn times() -> impl Iterator<Item = Fun<Data>> {
    let funs: [jaq_core::native::Filter<jaq_core::RunPtr<Data>>; 6] = [
        ("strftime", v(1), |cv| {
            unary(cv, |value, format| {
                let at = instant(&value)?;
                let mut text = String::new();
                let written = fmt::Write::write_fmt(&mut text, format_args!("{}", at.format(&str_of(&format)?)));
                written.map_err(|_| fail(&format, "a format of times"))?;
                Ok(Val::from(text))
            })
        }),
        ("strptime", v(1), |cv| {
            unary(cv, |value, format| {
                let (text, format) = (str_of(&value)?, str_of(&format)?);
                let parsed = NaiveDateTime::parse_from_str(&text, &format);
                let day = || NaiveDate::parse_from_str(&text, &format).ok()?.and_hms_opt(0, 0, 0);
                let parsed = parsed.ok().or_else(day).ok_or_else(|| fail(&value, "a time of this format"))?;
                Ok(broken_down(parsed.and_utc()))
            })
        }),
        ("gmtime", v(0), |cv| bome(instant(&cv.1).map(broken_down))),
        ("mktime", v(0), |cv| bome(instant(&cv.1).map(|at| Val::from(at.timestamp() as isize)))),
        ("todateiso8601", v(0), |cv| {
            bome(instant(&cv.1).map(|at| Val::from(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())))
        }),
        ("fromdateiso8601", v(0), |cv| {
            let parsed = str_of(&cv.1).map(|text| DateTime::parse_from_rfc3339(&text));
            bome(parsed.and_then(|parsed| match parsed {
                Ok(at) => Ok(Val::from(at.timestamp() as isize)),
                Err(_) => Err(fail(&cv.1, "a date of ISO 8601")),
            }))
        }),
    ];
    funs.into_iter().map(run::<Data>)
}

fn fail(value: &Val, what: &str) -> Error<Val> {
    Error::str(format_args!("{value} is not {what}"))
}

fn str_of(value: &Val) -> Result<String, Error<Val>> {
    let bytes = value.try_as_utf8_bytes()?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The instant that a number of seconds or a broken down time stands for.
fn instant(value: &Val) -> Result<DateTime<Utc>, Error<Val>> {
    let missing = || fail(value, "a time");
    if let Val::Arr(parts) = value {
        let part = |at: usize| parts.get(at).and_then(|part| part.as_f64()).map(f64::floor);
        let field = |at: usize| part(at).filter(|value| (0.0..1e6).contains(value)).map(|value| value as u32);
        let date = part(0).zip(field(1)).zip(field(2));
        let date = date.and_then(|((year, month), day)| NaiveDate::from_ymd_opt(year as i32, month + 1, day));
        let time = field(3).zip(field(4)).zip(field(5));
        let at = date.zip(time).and_then(|(date, ((hour, minute), second))| date.and_hms_opt(hour, minute, second));
        return at.map(|at| at.and_utc()).ok_or_else(missing);
    }
    let seconds = value.as_f64().ok_or_else(missing)?;
    DateTime::from_timestamp(seconds.floor() as i64, 0).ok_or_else(missing)
}

/// Year, month from 0, day, hour, minute, second, day of the week from Sunday, day of the year from 0.
fn broken_down(at: DateTime<Utc>) -> Val {
    let parts = [
        at.year() as isize,
        at.month0() as isize,
        at.day() as isize,
        at.hour() as isize,
        at.minute() as isize,
        at.second() as isize,
        at.weekday().num_days_from_sunday() as isize,
        at.ordinal0() as isize,
    ];
    parts.into_iter().map(Val::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(query: &str, record: &str) -> Result<Vec<(String, String)>, String> {
        let query = Query::compile(query).map_err(|error| format!("{}: {}", error.code, error.message))?;
        query.keys(record.as_bytes()).map(|keys| keys.into_iter().collect())
    }

    #[test]
    fn keys_are_found_as_the_guide_shows() {
        // The example of "Understand partitioning keys".
        let record = r#"{"type":{"device":"mobile","event":"user_clicked_submit_button"},"customer_id":"1234567890",
            "event_timestamp":1565382027,"region":"us"}"#;
        let query = r#"{customer_id:.customer_id,device:.type.device,year:.event_timestamp|strftime("%Y"),
            day:(.event_timestamp|strftime("%Y-%m-%d"))}"#;
        let expected = [("customer_id", "1234567890"), ("day", "2019-08-09"), ("device", "mobile"), ("year", "2019")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(keys(query, record).as_deref(), Ok(expected.as_slice()));
    }

    #[test]
    fn values_of_all_types_and_the_library_are_there() {
        let record =
            r#"{"n":12,"f":1.5,"t":true,"s":"A-b","at":"2026-03-01T10:20:30Z","list":[3,1],"id":9007199254740993}"#;
        for (query, expected) in [
            ("{k: .n}", "12"),
            ("{k: .f}", "1.5"),
            ("{k: .t}", "true"),
            ("{k: .id}", "9007199254740993"),
            ("{k: (.s | ascii_downcase)}", "a-b"),
            ("{k: (.s | split(\"-\")[0])}", "A"),
            ("{k: (.list | sort | map(tostring) | join(\"_\"))}", "1_3"),
            ("{k: (if .n > 10 then \"high\" else \"low\" end)}", "high"),
            ("{k: (.missing // \"none\")}", "none"),
            ("{k: (.at | fromdateiso8601 | todateiso8601)}", "2026-03-01T10:20:30Z"),
            ("{k: (.at | strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime | strftime(\"%H\"))}", "10"),
            ("{k: (.at[:7])}", "2026-03"),
            ("{k: \"\\(.n)-\\(.s)\"}", "12-A-b"),
        ] {
            assert_eq!(keys(query, record), Ok(vec![("k".to_owned(), expected.to_owned())]), "{query}");
        }
    }

    #[test]
    fn a_record_without_keys_says_why() {
        for (query, record, why) in [
            ("{k: .k}", "not json", "Non JSON record"),
            ("{k: .k}", r#"{"k":1}{"k":2}"#, "Non JSON record"),
            ("{k: .k}", "{}", "null or empty"),
            ("{k: .k}", r#"{"k":""}"#, "null or empty"),
            ("{k: .k}", r#"{"k":[1]}"#, "null or empty"),
            (".k", r#"{"k":1}"#, "no object"),
            ("empty", "{}", "no object"),
            ("{k: .k.deeper}", r#"{"k":1}"#, "failed"),
        ] {
            let found = keys(query, record).unwrap_err();
            assert!(found.contains(why), "{query} {record}: {found}");
        }
    }

    #[test]
    fn a_record_that_nests_too_deeply_is_no_json_and_ends_nothing() {
        let nested = |open: &str, close: &str, depth: usize| {
            format!(r#"{{"k":"v","deep":{}1{}}}"#, open.repeat(depth), close.repeat(depth))
        };
        let expected = vec![("k".to_owned(), "v".to_owned())];
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[\"]\\\"]\",", "]"), ("[ # ]\"\n", "]")] {
            assert_eq!(keys("{k}", &nested(open, close, DEPTH_MAX - 1)).as_ref(), Ok(&expected), "{open}");
            for depth in [DEPTH_MAX, 200_000] {
                let found = keys("{k}", &nested(open, close, depth));
                assert_eq!(found.unwrap_err(), "Non JSON record provided", "{open} {depth}");
            }
        }
        let flat = format!(r#"{{"k":"v","text":"\"{}","list":[{}]}}"#, "[{".repeat(300), "[],{},".repeat(300) + "1");
        assert_eq!(keys("{k}", &flat), Ok(expected));
    }

    #[test]
    fn what_is_no_query_or_reads_the_world_is_refused() {
        for (query, code) in [
            ("{k: ", "InvalidArgumentException"),
            ("{k: now}", "NotImplemented: not modelled by this simulator: now"),
            ("{k: env.HOME}", "NotImplemented"),
            ("{k: (.k | test(\"a\"))}", "NotImplemented"),
            ("{k: (.k | @base64)}", "NotImplemented"),
            ("{k: input}", "NotImplemented"),
            ("{k: (.k | localtime)}", "NotImplemented"),
        ] {
            let found = keys(query, "{}").unwrap_err();
            assert!(found.starts_with(code), "{query}: {found}");
        }
    }
}
