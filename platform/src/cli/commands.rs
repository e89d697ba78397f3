//! What the commands do, apart from packaging.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use platform::deploy::{self, Destruction, Level, Match, Options, Plan, StackDiff, StackStatus, synth as files};
use serde_json::{Value, json};

use super::console::{Console, Questions, say, time};
use super::{Failed, Source, StatusFormat, TableFormat, Target, Waiting, connection};

/// `diff` found differences.
const DIFFERENT: u8 = 3;

pub(super) fn synth(source: &Source, out: &Path) -> Result<ExitCode, Failed> {
    let settings = source.settings()?;
    let stacks = files::write(&settings, out).map_err(|error| {
        let hint = "--out takes a folder that can be made or written";
        Failed::work(format!("cannot write to {}: {error}\n  hint: {hint}", out.display()))
    })?;
    for stack in stacks {
        say(format_args!("{:<13} {}", stack.stage, stack.name));
    }
    say(format_args!("wrote {}, {} and the templates above to {}", files::MANIFEST, files::DIAGRAM, out.display()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stacks(source: &Source, format: TableFormat) -> Result<ExitCode, Failed> {
    let plan = source.plan()?;
    match format {
        TableFormat::Markdown => say(format_args!("{}", deploy::markdown(&plan).trim_end())),
        TableFormat::Json => say(format_args!("{:#}", deploy::listing(&plan))),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn diff(target: &Target, against: Option<&Path>) -> Result<ExitCode, Failed> {
    let plan = target.plan()?;
    let differences: Vec<StackDiff> = match against {
        Some(folder) => deploy::diff_plans(&Plan::read(folder)?, &plan),
        None => connection::with(&plan.region, async |config| deploy::diff_deployed(&config, &plan).await)?
            .map_err(Failed::work)?,
    };
    if differences.is_empty() {
        say(format_args!("no differences in {} stacks", plan.stacks.len()));
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &differences {
        say(format_args!("{}", difference.to_string().trim_end()));
    }
    Ok(ExitCode::from(DIFFERENT))
}

pub(super) fn deploy(target: &Target, approve: bool, recreate: bool, waiting: Waiting) -> Result<ExitCode, Failed> {
    let plan = target.plan()?;
    let mut questions = Questions::new(approve, "deploy")?;
    let options = Options { recreate, ..options(waiting) };
    let work = async |config| deploy::deploy(&config, &plan, &options, &mut Console, &mut questions).await;
    let deployed = connection::with(&plan.region, work)?.map_err(Failed::work)?;
    for (stack, status) in &deployed.changed {
        say(format_args!("{stack}: {status}"));
    }
    say(format_args!("{} stacks changed, {} unchanged", deployed.changed.len(), deployed.unchanged.len()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn destroy(target: &Target, approve: bool, waiting: Waiting) -> Result<ExitCode, Failed> {
    let plan = target.plan()?;
    let mut questions = Questions::new(approve, "destroy")?;
    let options = options(waiting);
    let work = async |config| deploy::destroy(&config, &plan, &options, &mut Console, &mut questions).await;
    let destroyed = connection::with(&plan.region, work)?.map_err(Failed::work)?;
    let Destruction { env, account, region, stacks, retained } = destroyed;
    if stacks.is_empty() {
        say(format_args!("no stack of environment {env} is in account {account} in {region}: nothing was deleted"));
        return Ok(ExitCode::SUCCESS);
    }
    for stack in &stacks {
        say(format_args!("{stack}: deleted"));
    }
    for resource in &retained {
        say(format_args!("{} ({}) stays", resource.physical_id, resource.resource_type));
    }
    say(format_args!(
        "{} stacks deleted from account {account} in {region}, {} resources stay",
        stacks.len(),
        retained.len()
    ));
    Ok(ExitCode::SUCCESS)
}

fn options(waiting: Waiting) -> Options {
    Options { stack_timeout: Duration::from_secs(waiting.timeout_min * 60), ..Options::default() }
}

pub(super) fn status(target: &Target, format: StatusFormat) -> Result<ExitCode, Failed> {
    let plan = target.plan()?;
    let found = connection::with(&plan.region, async |config| deploy::status(&config, &plan).await)?;
    let found = found.map_err(Failed::work)?;
    match format {
        StatusFormat::Json => say(format_args!("{:#}", found.iter().map(status_json).collect::<Value>())),
        StatusFormat::Table => say(format_args!("{}", status_table(&found).trim_end())),
    }
    Ok(ExitCode::SUCCESS)
}

fn status_json(status: &StackStatus) -> Value {
    json!({
        "stage": status.stage.to_string(),
        "stack": status.stack,
        "status": status.status,
        "changed_at": status.changed_at.map(time),
        "template": status.template,
    })
}

fn status_table(found: &[StackStatus]) -> String {
    let header = ["STAGE", "STACK", "STATUS", "CHANGED", "TEMPLATE"].map(str::to_owned);
    let row = |status: &StackStatus| {
        let template = match status.template {
            Match::Same => "same",
            Match::Differs => "differs",
            Match::Absent => "-",
        };
        [
            status.stage.to_string(),
            status.stack.clone(),
            status.status.clone().unwrap_or_else(|| "absent".to_owned()),
            status.changed_at.map_or_else(|| "-".to_owned(), time),
            template.to_owned(),
        ]
    };
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(found.iter().map(row)).collect();
    let mut width = [0; 5];
    for row in &rows {
        for (width, cell) in width.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(width).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

pub(super) fn doctor(target: &Target) -> Result<ExitCode, Failed> {
    let plan = target.plan()?;
    let findings = connection::with(&plan.region, async |config| deploy::doctor(&config, &plan).await)?;
    for finding in &findings {
        say(format_args!("{:<5} {}: {}", finding.level, finding.what, finding.detail));
        if let Some(hint) = &finding.hint {
            say(format_args!("      hint: {hint}"));
        }
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use platform::deploy::Stage;

    use super::*;

    #[test]
    fn the_status_is_a_table_with_a_line_a_stack() {
        let found = [
            StackStatus {
                stage: Stage::Ingest,
                stack: "one".to_owned(),
                status: Some("CREATE_COMPLETE".to_owned()),
                changed_at: Some(UNIX_EPOCH + Duration::from_millis(1500)),
                template: Match::Differs,
            },
            StackStatus {
                stage: Stage::CrossCutting,
                stack: "two".to_owned(),
                status: None,
                changed_at: None,
                template: Match::Absent,
            },
        ];
        let expected = "\
STAGE          STACK  STATUS           CHANGED               TEMPLATE
ingest         one    CREATE_COMPLETE  1970-01-01T00:00:01Z  differs
cross-cutting  two    absent           -                     -
";
        assert_eq!(status_table(&found), expected);
        assert_eq!(status_json(&found[0])["template"], "differs");
    }
}
