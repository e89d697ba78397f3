//! The commands for what lies in quarantine.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use platform::transform::enrichment::replay::{
    self, Filter, Group, Listing, Problem, Progress, ReplayError, Replayed, Request, Shown,
};
use serde_json::{Value, json};

use super::console::{self, say, tell};
use super::{Failed, Source, StatusFormat, connection};

/// So many problems are shown.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// Count what was set aside, by hour, reason and tenant, and how much of it was replayed
    #[command(after_help = "Examples:\n  platform quarantine list --settings prod.toml\n  \
                            platform quarantine list --settings prod.toml --reason unknown-unit --format json\n\n\
                            Permissions: sts:GetCallerIdentity; on the bucket of processed readings s3:ListBucket, and\n\
                            s3:GetObject below quarantine/, aws/lambda/ and replayed/; kms:Decrypt with the data key.")]
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        source: Source,
        /// How to print it
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// Show records that were set aside, decoded
    #[command(
        after_help = "Examples:\n  platform quarantine show --settings prod.toml --tenant acme --device pump-1\n  \
                            platform quarantine show --settings prod.toml --reason not-json --limit 5 --format json\n\n\
                            Permissions: those of `platform quarantine list`."
    )]
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        source: Source,
        /// At most so many records
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// How to print them
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// Send records through the platform again, after their cause is put right
    #[command(
        after_help = "Examples:\n  platform quarantine replay --settings prod.toml --reason unknown-unit --dry-run\n  \
                            platform quarantine replay --settings prod.toml --reason unknown-unit --tenant acme\n  \
                            platform quarantine replay --settings prod.toml --all --rate 2000 --format json\n\n\
                            The original bytes go to the raw stream with the device's partition key. What was replayed is marked below\n\
                            replayed/, and is passed over the next time unless --again is said; nothing is deleted. A command that was\n\
                            interrupted is simply run again.\n\n\
                            Functions believe what the directory of devices said for five minutes: replay that long after it was put\n\
                            right. What is refused again lies in quarantine anew. A replayed reading comes after what its device has\n\
                            sent since: it keeps its seq and its times, and not its place.\n\n\
                            The curated table recognises copies within stream_retention_hours of one another. What is replayed later may\n\
                            come twice there, if it was enriched before: with --again, and of a batch that Lambda gave up\n\
                            (function-failed), which may have been enriched in part.\n\n\
                            What the anomaly detection could not work on (detection-failed) is in the lake, and is never replayed.\n\n\
                            Permissions: those of `platform quarantine list`, s3:PutObject below replayed/, kinesis:PutRecords on the raw\n\
                            stream, and kms:GenerateDataKey with the data key.\n\
                            Exit codes: 0 all that is meant was replayed, 1 something was not, such as a record that names no device, 2 the\n\
                            command was called wrongly. Records of detection-failed count only when that reason is asked for."
    )]
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        source: Source,
        /// Everything: no filter is needed
        #[arg(long)]
        all: bool,
        /// Also what was replayed before
        #[arg(long)]
        again: bool,
        /// Count what would be replayed; write nothing
        #[arg(long)]
        dry_run: bool,
        /// Records a second, at most, a second's at once: devices write to the same stream, which takes 1,000 a second and shard
        #[arg(long, value_name = "N", default_value_t = replay::RATE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        /// How to print the summary
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
}

/// Which records are meant: those for which all holds that is said.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Which {
    /// Refused for this reason, such as unknown-unit; function-failed for batches that Lambda gave up, detection-failed for
    /// those of the anomaly detection. May be repeated
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Of this device
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Set aside at this time or later: 2026-03-01T12:00:00Z or 2026-03-01, in UTC
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Set aside before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Which {
    fn filter(self) -> Result<Filter, Failed> {
        let Which { reason, tenant, device, from, to } = self;
        Filter::new(reason, tenant, device, from.as_deref(), to.as_deref()).map_err(failed)
    }
}

fn failed(error: ReplayError) -> Failed {
    if error.is_usage() { Failed::usage(error) } else { Failed::work(error) }
}

pub(super) fn run(command: Quarantine) -> Result<ExitCode, Failed> {
    match command {
        Quarantine::List { which, source, format } => {
            let (filter, settings) = (which.filter()?, source.settings()?);
            let work = async |config| replay::list(&config, &settings, &filter).await;
            let listing = connection::with(&settings.region, work)?.map_err(failed)?;
            match format {
                StatusFormat::Table => table(&listing).iter().for_each(|line| say(format_args!("{line}"))),
                StatusFormat::Json => say(format_args!("{:#}", listed(&listing))),
            }
            Ok(told(&listing.problems))
        }
        Quarantine::Show { which, source, limit, format } => {
            let (filter, settings) = (which.filter()?, source.settings()?);
            let mut found = Vec::new();
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let work = async |config| replay::show(&config, &settings, &filter, limit, |shown| found.push(shown)).await;
            let problems = connection::with(&settings.region, work)?.map_err(failed)?;
            match format {
                StatusFormat::Table => found.iter().for_each(|shown| say(format_args!("{}", text(shown)))),
                StatusFormat::Json => say(format_args!("{:#}", found.iter().map(document).collect::<Value>())),
            }
            Ok(told(&problems))
        }
        Quarantine::Replay { which, source, all, again, dry_run, rate, format } => {
            let request = Request { filter: which.filter()?, all, again, dry_run, rate };
            if request.filter.is_empty() && !all {
                return Err(failed(ReplayError::NoFilter));
            }
            let settings = source.settings()?;
            let work = async |config| replay::replay(&config, &settings, &request, &mut Bar::default()).await;
            let outcome = connection::with(&settings.region, work)?.map_err(failed)?;
            match format {
                StatusFormat::Table => say(format_args!("{}", summary(&outcome, dry_run))),
                StatusFormat::Json => say(format_args!("{:#}", counts(&outcome, dry_run))),
            }
            let code = told(&outcome.problems);
            Ok(if outcome.is_complete(&request.filter) { code } else { ExitCode::FAILURE })
        }
    }
}

/// Tells what could not be read.
fn told(problems: &[Problem]) -> ExitCode {
    for problem in problems.iter().take(SHOWN_MAX) {
        tell(format_args!("{problem}"));
    }
    if problems.len() > SHOWN_MAX {
        tell(format_args!("and {} more like these", problems.len() - SHOWN_MAX));
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(listing: &Listing) -> Vec<String> {
    let mut lines = vec!["hour\treason\ttenant\trecords\treplayed".to_owned()];
    let sum = |count: fn(&Group) -> u64| listing.groups.iter().map(count).sum::<u64>();
    for Group { hour, reason, tenant, records, replayed } in &listing.groups {
        lines.push(format!("{hour}\t{reason}\t{}\t{records}\t{replayed}", tenant.as_deref().unwrap_or("-")));
    }
    lines.push(format!("all\t\t\t{}\t{}", sum(|group| group.records), sum(|group| group.replayed)));
    lines
}

fn listed(listing: &Listing) -> Value {
    let groups = listing.groups.iter().map(|Group { hour, reason, tenant, records, replayed }| {
        json!({ "hour": hour, "reason": reason, "tenant": tenant, "records": records, "replayed": replayed })
    });
    json!({ "groups": groups.collect::<Value>(), "problems": places(&listing.problems) })
}

fn places(problems: &[Problem]) -> Value {
    let place = |Problem { bucket, key, line, problem }: &Problem| json!({ "object": format!("s3://{bucket}/{key}"), "line": line, "problem": problem });
    problems.iter().map(place).collect()
}

fn text(shown: &Shown) -> String {
    let Shown { key, replayed_at, kept, .. } = shown;
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let seq = kept.seq.map_or("-".to_owned(), |seq| seq.to_string());
    let replayed = match replayed_at {
        Some(at) => format!("\n  replayed {at}"),
        None if !kept.is_replayable() => "\n  never replayed: it is in the lake".to_owned(),
        None => String::new(),
    };
    format!(
        "{key}:{}\n  {}: {}\n  tenant {}, device {}, seq {seq}{replayed}\n  {}",
        kept.line,
        kept.reason,
        kept.detail,
        or(&kept.tenant),
        or(&kept.device),
        kept.data.escape_ascii()
    )
}

fn document(shown: &Shown) -> Value {
    let Shown { key, kept_at, replayed_at, kept } = shown;
    // Bytes that are no text are written with escapes, and told apart.
    let text = std::str::from_utf8(&kept.data).ok();
    json!({
        "key": key, "line": kept.line, "kept_at": kept_at, "replayed_at": replayed_at, "reason": kept.reason, "replayable": kept.is_replayable(),
        "detail": kept.detail, "shard_id": kept.shard_id, "sequence_number": kept.sequence_number,
        "partition_key": kept.partition_key, "tenant": kept.tenant, "device": kept.device, "seq": kept.seq,
        "text": text, "escaped": text.is_none().then(|| kept.data.escape_ascii().to_string()),
    })
}

fn summary(outcome: &Replayed, dry_run: bool) -> String {
    let Replayed { objects, replayed, before, keyless, undetected, problems } = outcome;
    let would = if dry_run { "would be " } else { "" };
    let mut text = format!("{replayed} records {would}replayed of {objects} objects, {before} were before");
    if *keyless > 0 {
        text.push_str(&format!(", {keyless} name no device and cannot be"));
    }
    if *undetected > 0 {
        text.push_str(&format!(", {undetected} are in the lake and lack only their detection"));
    }
    if !problems.is_empty() {
        text.push_str(&format!(", {} could not be read", problems.len()));
    }
    text
}

fn counts(outcome: &Replayed, dry_run: bool) -> Value {
    let Replayed { objects, replayed, before, keyless, undetected, problems } = outcome;
    json!({
        "dry_run": dry_run, "objects": objects, "replayed": replayed, "replayed_before": before, "keyless": keyless,
        "undetected": undetected, "problems": places(problems),
    })
}

/// A progress bar on the standard error, where that is a terminal.
#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
    replayed: usize,
}

impl Progress for Bar {
    fn begin(&mut self, objects: usize) {
        self.bar = Some(console::bar(objects, 0, "objects, {eta} left"));
    }

    fn step(&mut self, replayed: usize) {
        self.replayed += replayed;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("({} records)", self.replayed));
            bar.inc(1);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        let (bucket, key) = ("b".to_owned(), "quarantine/x.ndjson".to_owned());
        Problem { bucket, key, line: Some(7), problem: "the line is no record".to_owned() }
    }

    #[test]
    fn what_is_wrong_with_the_call_is_told_before_any_connection() {
        let replay = |which| Quarantine::Replay {
            which,
            source: Source::default(),
            all: false,
            again: false,
            dry_run: true,
            rate: 1,
            format: StatusFormat::Table,
        };
        let reason = |reason: &str| Which { reason: vec![reason.to_owned()], ..Which::default() };
        let from = Which { from: Some("noon".to_owned()), ..Which::default() };
        for (which, expected) in
            [(Which::default(), "--all"), (reason("unknown-units"), "unknown-unit,"), (from, "--from: \"noon\"")]
        {
            let Err(Failed(code, message)) = run(replay(which)) else { panic!("{expected}") };
            assert!(code == 2 && message.contains(expected) && message.contains("hint: "), "{message}");
        }
    }

    #[test]
    fn results_are_text_and_json() {
        let mut outcome = Replayed { objects: 3, replayed: 5, before: 2, ..Replayed::default() };
        assert_eq!(summary(&outcome, false), "5 records replayed of 3 objects, 2 were before");
        assert_eq!(summary(&outcome, true), "5 records would be replayed of 3 objects, 2 were before");
        outcome.keyless = 1;
        outcome.undetected = 2;
        outcome.problems.push(problem());
        let expected = "5 records replayed of 3 objects, 2 were before, 1 name no device and cannot be, 2 are in the lake \
             and lack only their detection, 1 could not be read";
        assert_eq!(summary(&outcome, false), expected);
        let document = counts(&outcome, false);
        assert_eq!((&document["replayed"], &document["problems"][0]["line"]), (&json!(5), &json!(7)));
        assert!(problem().to_string().starts_with("s3://b/quarantine/x.ndjson:7: the line is no record\n  hint: "));

        let group = |tenant: Option<&str>, replayed| Group {
            hour: "2026/03/01/00".to_owned(),
            reason: "not-json".to_owned(),
            tenant: tenant.map(str::to_owned),
            records: 4,
            replayed,
        };
        let listing = Listing { groups: vec![group(None, 0), group(Some("acme"), 3)], problems: vec![problem()] };
        let lines = table(&listing);
        assert_eq!(
            lines[1..],
            [
                "2026/03/01/00\tnot-json\t-\t4\t0".to_owned(),
                "2026/03/01/00\tnot-json\tacme\t4\t3".to_owned(),
                "all\t\t\t8\t3".to_owned(),
            ]
        );
        assert_eq!(listed(&listing)["groups"][1]["tenant"], "acme");
    }
}
