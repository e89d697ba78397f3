//! When the curated table is to hold what the processed one holds, and the look at it.
//!
//! The curation takes an hour once it is complete, at the next time of its schedule. Until then a reading is not missing: it
//! is awaited. A scenario whose peace is too short for that is refused, because its runs could only be unsettled.

use std::time::Duration;

use aws_types::SdkConfig;
use platform::Settings;
use platform::store::data_lake::curation::{CURATED_TABLE, SETTLED_AFTER_S};

use super::RunError;
use super::check::Oracles;
use crate::cloud::scheduler;
use crate::fleet::Truth;
use crate::invariant::{
    Curated, EXACTLY_ONCE_IN_GOLD, Gold, Hop, Isolation, LakeFile, LakeReader, Ledger, QueryError, Row,
};
use crate::scenario::{Scenario, duration};
use crate::seam::Deployed;
use crate::world::clock;
use crate::world::mark;
use crate::world::time::Time;

const HOUR: Duration = Duration::from_secs(3_600);

/// What an invocation of the curation may take after its schedule: three attempts within three minutes (Lambda's asynchronous
/// invocations), and as much again for its statements.
const WITHIN: Duration = Duration::from_secs(360);

/// Two files of one hour that were written so far apart are of two invocations of the curation, which runs at most once an
/// hour.
const APART: Duration = Duration::from_secs(1_800);

/// When hours are curated.
#[derive(Clone, Debug)]
pub(super) struct Due {
    schedule: String,
    start: Time,
}

impl Due {
    /// Of a run whose platform curates all the time, and whose scenario asks for it; nothing otherwise.
    pub fn of<'s>(scenario: &Scenario, mut settings: impl Iterator<Item = &'s Settings>) -> Option<Due> {
        let asked = scenario.expect.invariants.iter().any(|wanted| wanted == EXACTLY_ONCE_IN_GOLD.id);
        let first = settings.next().filter(|first| asked && first.curation.enabled)?;
        let same = settings.all(|settings| settings.curation == first.curation);
        same.then(|| Due { schedule: first.curation.schedule.clone(), start: scenario.start })
    }

    /// When everything is curated that came to the lake until an instant.
    pub fn after(&self, at: Time) -> Time {
        let hour_end = Time::from_unix_secs((at.unix_secs() / HOUR.as_secs() + 1) * HOUR.as_secs());
        let complete = hour_end + Duration::from_secs(SETTLED_AFTER_S.unsigned_abs());
        let next = scheduler::fires_at(&self.schedule, self.start, complete);
        next.ok().flatten().map_or(Time::MAX, |next| next + WITHIN)
    }
}

/// Refuses a scenario that expects to be held, and whose peace ends before the last hour of hardship can be curated.
pub(super) fn check(scenario: &Scenario, settings: &Settings, buffered: Duration) -> Result<(), RunError> {
    let Some(due) = Due::of(scenario, [settings].into_iter()) else { return Ok(()) };
    let hardship_end = scenario.start + scenario.phase.hardship;
    let needed = due.after(hardship_end + buffered).since(hardship_end);
    if scenario.expect.verdict != record::Verdict::Held || scenario.phase.peace >= needed {
        return Ok(());
    }
    let problem = format!(
        "is {}, and the hour in which the last readings come is curated later than that",
        duration::format(scenario.phase.peace)
    );
    let expected =
        format!("at least {}: the end of the hour, and the next time of its schedule", duration::format(needed));
    let hint = "begin the run later within an hour (`start`), lengthen peace, leave `exactly-once-in-gold` out of \
                `expect.invariants`, or take `platform.curation.enabled` away";
    Err(scenario.located_error("phase.peace", problem, expected, hint).into())
}

/// The reader of the curated table.
pub(super) struct GoldOracle {
    lake: LakeReader,
    /// When it is to hold what the processed table holds.
    pub due: Due,
}

impl GoldOracle {
    /// A reader of what the platform has deployed.
    pub fn new(config: &SdkConfig, deployed: &Deployed, due: Due) -> Self {
        GoldOracle { lake: LakeReader::new(config, &deployed.curated_bucket, &format!("{CURATED_TABLE}/")), due }
    }
}

impl Oracles {
    /// Reads the curated table, by Athena and from its files, if the run's platform curates. `processed` has seen all of the
    /// processed table, whose last file is of the hour of `last`.
    pub(super) async fn read_gold(
        &self,
        (truth, processed): (&Truth, &Ledger<'_>),
        conditions: &[String],
        last: Option<Time>,
        isolation: &mut Isolation<'_>,
    ) -> Result<Option<Curated>, QueryError> {
        let Some(oracle) = &self.gold else { return Ok(None) };
        let now = clock::now();
        let mut gold = Gold::new(truth);
        for condition in conditions {
            let each = |row: Row<'_>| {
                if !gold.row(&row) {
                    isolation.seen(Hop::QueryResult, row.tenant, row.device, row.seq);
                }
                self.sees((row.tenant, row.device, row.seq), CURATED_TABLE, || "holds its row: it is gold".to_owned());
            };
            self.athena.rows(CURATED_TABLE, condition, each).await?;
        }
        let files = oracle.lake.files().await?;
        for file in &files {
            oracle.lake.rows(file, |row, _| gold.file_row(&row)).await?;
        }
        if let Some(hour) = curated_again(&files) {
            self.trace.mark(now, mark::LATE_CURATED, hour);
        }
        let mut curated = gold.against(processed);
        let is_due = last.is_none_or(|last| now >= oracle.due.after(last));
        let overdue = curated.overdue.take().filter(|_| is_due);
        curated.violations.extend(overdue);
        Ok(Some(curated))
    }
}

/// The hour of a file of the processed table, by its key: `processed/2026/03/01/00/..`.
pub(super) fn hour_of(key: &str) -> Option<Time> {
    let digits: Vec<&str> = key.split('/').skip(1).take(4).collect();
    let text = format!("{}:00:00", digits.join("-"));
    let time = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d-%H:%M:%S").ok()?;
    u64::try_from(time.and_utc().timestamp()).ok().map(Time::from_unix_secs)
}

/// A folder with files of two invocations: something came to its hour after it was curated first.
fn curated_again(files: &[LakeFile]) -> Option<&str> {
    let folder = |file: &'_ LakeFile| file.key.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
    files.iter().enumerate().find_map(|(n, file)| {
        let of_it = &file.key[..folder(file)];
        let again = files[n + 1..].iter().any(|later| {
            later.key[..folder(later)] == *of_it && later.last_modified.since(file.last_modified) >= APART
        });
        again.then_some(of_it)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn at(text: &str) -> Time {
        let time = chrono::DateTime::parse_from_rfc3339(text).expect("an instant");
        Time::from_unix_secs(u64::try_from(time.timestamp()).expect("after 1970"))
    }

    fn scenario(start: &str, phase: &str, more: &str) -> Scenario {
        let text = format!(
            "title = \"t\"\nwhy = \"w\"\nstart = {start}\n[[fleet]]\nkind = \"synthetic\"\ntenant = \"acme\"\ndevices = 1\n\
             publish_every = \"10s\"\n[phase]\n{phase}\n[platform]\ncuration.enabled = true\n{more}"
        );
        Scenario::parse(&text, Path::new("some.toml")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_hour_is_due_after_the_first_schedule_that_finds_it_complete() {
        let due = Due { schedule: "cron(20 * * * ? *)".to_owned(), start: at("2026-03-01T00:00:00Z") };
        for (came, expected) in [
            ("2026-03-01T00:00:00Z", "2026-03-01T01:26:00Z"),
            ("2026-03-01T00:59:59Z", "2026-03-01T01:26:00Z"),
            ("2026-03-01T01:00:00Z", "2026-03-01T02:26:00Z"),
            ("2026-03-01T23:30:00Z", "2026-03-02T00:26:00Z"),
        ] {
            assert_eq!(due.after(at(came)), at(expected), "{came}");
        }
        let early = Due { schedule: "cron(10 * * * ? *)".to_owned(), ..due };
        assert_eq!(early.after(at("2026-03-01T00:30:00Z")), at("2026-03-01T02:16:00Z"), "at 01:10 it is not complete");
    }

    #[test]
    fn a_peace_that_ends_before_the_last_hour_is_curated_is_refused_with_what_it_needs() {
        let settings = Settings { curation: enabled(), ..Settings::default() };
        let buffered = Duration::from_secs(66);
        for (start, phase, needs) in [
            ("2026-03-01T00:40:00Z", "hardship = \"10min\"\npeace = \"36min\"", None),
            ("2026-03-01T00:40:00Z", "hardship = \"10min\"\npeace = \"35min\"", Some("at least 36min")),
            ("2026-03-01T00:50:00Z", "hardship = \"10min\"\npeace = \"85min\"", Some("at least 1h26min")),
            // The last readings are buffered beyond the hour.
            ("2026-03-01T00:49:30Z", "hardship = \"10min\"\npeace = \"30min\"", Some("at least 1h26min30s")),
        ] {
            let said = check(&scenario(start, phase, ""), &settings, buffered);
            let said = said.err().map(|error| error.to_string());
            assert_eq!(said.is_some(), needs.is_some(), "{start} {phase}: {said:?}");
            let parts = ["some.toml:", "`phase.peace`", "hint: begin the run later"];
            for part in needs.into_iter().chain(parts.into_iter().filter(|_| needs.is_some())) {
                assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{part}: {said:?}");
            }
        }
        let not_asked = "[expect]\ninvariants = [\"conservation\"]\n";
        let canary = "[expect]\nverdict = \"unsettled\"\n";
        for more in [not_asked, canary] {
            let short = scenario("2026-03-01T00:40:00Z", "hardship = \"10min\"\npeace = \"1min\"", more);
            check(&short, &settings, buffered).unwrap_or_else(|error| panic!("{more}: {error}"));
        }
    }

    fn enabled() -> platform::settings::Curation {
        platform::settings::Curation { enabled: true, ..platform::settings::Curation::default() }
    }

    #[test]
    fn keys_tell_their_hour_and_files_of_two_invocations_are_known() {
        assert_eq!(hour_of("processed/2026/03/01/07/x.parquet"), Some(at("2026-03-01T07:00:00Z")));
        assert_eq!(hour_of("processed/2026/03/x.parquet"), None);
        let file = |key: &str, secs| LakeFile { key: key.to_owned(), last_modified: Time::from_unix_secs(secs) };
        let all = |second| [file("curated/a/1", 0), file("curated/b/1", 3_600), second];
        for (second, expected) in [
            (file("curated/a/2", 3_601), Some("curated/a")),
            (file("curated/a/2", 60), None),
            (file("curated/b/2", 3_700), None),
            (file("curated/ab/2", 7_200), None),
        ] {
            assert_eq!(curated_again(&all(second.clone())), expected, "{second:?}");
        }
    }
}
