//! Bugs of the curation: its statements, as they reach Athena.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::edit::change_body;
use crate::run::Harness;
use crate::seam::{Call, Tamper};
use crate::world::clock;

const CURATION: &str = "curation";
const HOUR: Duration = Duration::from_secs(3_600);

/// A statement that does nothing.
const NOTHING: &str = "SELECT 1";

/// What is made of a statement.
struct Statements(fn(&str) -> String);

impl Tamper for Statements {
    fn request(&self, call: &Call<'_>, request: &mut Request<Bytes>) -> Option<Response<Bytes>> {
        if call.is(CURATION, "StartQueryExecution") {
            change_body(request, |body| {
                let statement = body["QueryString"].as_str().expect("a statement");
                body["QueryString"] = (self.0)(statement).into();
            });
        }
        None
    }
}

fn planted(change: fn(&str) -> String) -> Harness {
    Harness { tamper: Some(Arc::new(Statements(change))), ..Harness::default() }
}

/// The text of a statement before and behind a part of it.
///
/// # Panics
/// When it has no such part: then the bug is planted no more.
fn around<'s>(statement: &'s str, part: &str) -> (&'s str, &'s str) {
    let found = statement.split_once(part);
    found.unwrap_or_else(|| panic!("the statement has no {part:?}: the bug is not planted\n{statement}"))
}

/// The text behind a part of a statement up to the next quote.
fn quoted<'s>(statement: &'s str, part: &str) -> &'s str {
    around(statement, part).1.split('\'').next().unwrap_or_default()
}

pub(super) fn curated_again() -> Harness {
    planted(|statement| around(statement, "AND NOT EXISTS").0.trim_end().to_owned())
}

pub(super) fn copies_not_told_apart() -> Harness {
    planted(|statement| {
        let (before, behind) = around(statement, "copy_number = 1");
        format!("{before}copy_number >= 1{behind}")
    })
}

pub(super) fn hours_before_ten_skipped() -> Harness {
    planted(|statement| {
        let hour = quoted(statement, "WHERE datehour = '");
        let (day, of_day) = hour.rsplit_once('/').expect("an hour is written with slashes");
        let unpadded = format!("{day}/{}", of_day.strip_prefix('0').unwrap_or(of_day));
        statement.replacen(&format!("WHERE datehour = '{hour}'"), &format!("WHERE datehour = '{unpadded}'"), 1)
    })
}

pub(super) fn late_rows_left() -> Harness {
    planted(|statement| {
        let newest = (clock::now() - HOUR).to_datetime().format("%Y/%m/%d/%H").to_string();
        if quoted(statement, "WHERE datehour = '") == newest { statement.to_owned() } else { NOTHING.to_owned() }
    })
}

pub(super) fn duplicates_of_one_hour() -> Harness {
    planted(|statement| {
        let from = format!("kept.datehour >= '{}'", quoted(statement, "kept.datehour >= '"));
        let this = format!("kept.datehour >= '{}'", quoted(statement, "WHERE datehour = '").replace('/', "-"));
        let to = format!("kept.datehour <= '{}'", quoted(statement, "kept.datehour <= '"));
        statement.replacen(&to, &this.replace(">=", "<="), 1).replacen(&from, &this, 1)
    })
}
