//! A deployment on a terminal: its news, and its questions.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use platform::deploy::{Approver, ChangeSet, Destruction, Event, News, Replacement, Reporter, Stage};

use super::Failed;

/// Writes the news to the standard error.
pub(super) struct Console;

/// Asks on the terminal, unless everything was approved with a flag.
pub(super) struct Questions {
    approve: bool,
}

impl Questions {
    /// Fails when there is nobody to ask.
    pub(super) fn new(approve: bool, command: &str) -> Result<Self, Failed> {
        if approve || io::stdin().is_terminal() {
            return Ok(Questions { approve });
        }
        Err(Failed::usage(format!(
            "there is no terminal to ask for approval\n  hint: look at `platform diff` first, then `platform {command} --approve`"
        )))
    }
}

impl Reporter for Console {
    fn report(&mut self, news: &News) {
        match news {
            News::StageBegins(stage) => eprintln!("\n== stage {stage}"),
            News::StageEnds(stage) => eprintln!("== stage {stage} is complete"),
            News::Unchanged(stack) => eprintln!("{stack}: unchanged"),
            News::Proposed(change_set) => eprint!("{}", shown(change_set)),
            News::Later { stack, after } => eprintln!("{stack}: waits for {}", after.join(", ")),
            News::Waiting { stack, status } => eprintln!("{stack}: is {status}, waiting until that is done"),
            News::Recreating { stack, status } => eprintln!("{stack}: is {status}, deleting it to create it again"),
            News::Event(event) => eprintln!("{}", event_line(event)),
            News::StackDone { stack, status } => eprintln!("{stack}: {status}"),
            News::RegistryEventsEnabled => {
                eprintln!(
                    "AWS IoT Core publishes events of things from now on (a setting of the account in this Region)"
                );
            }
            News::NotChecked(what) => eprintln!("not checked: {what}"),
        }
    }
}

impl Approver for Questions {
    fn approve(&mut self, stage: Stage, changes: &[ChangeSet]) -> bool {
        let replacements: usize = changes.iter().map(ChangeSet::replacements).sum();
        let (stacks, plural) = (changes.len(), if changes.len() == 1 { "" } else { "s" });
        let loudly = if replacements > 0 { format!(", REPLACING {replacements} resources") } else { String::new() };
        if self.approve {
            eprintln!("stage {stage}: {stacks} stack{plural}{loudly}: approved by --approve");
            return true;
        }
        let answer =
            ask(&format!("Execute the change sets of {stacks} stack{plural} of stage {stage}{loudly}? [y/N] "));
        matches!(answer.as_str(), "y" | "Y" | "yes")
    }

    fn approve_destruction(&mut self, destruction: &Destruction) -> bool {
        eprintln!("These stacks are deleted, in this order:");
        destruction.stacks.iter().for_each(|stack| eprintln!("  {stack}"));
        if !destruction.retained.is_empty() {
            eprintln!("These resources stay:");
        }
        for resource in &destruction.retained {
            eprintln!("  {} ({}) of {}", resource.physical_id, resource.resource_type, resource.stack);
        }
        self.approve || ask("Type the name of the environment to delete it: ") == destruction.env
    }
}

/// A line from the terminal.
fn ask(question: &str) -> String {
    eprint!("{question}");
    let mut answer = String::new();
    // A terminal that cannot be written to or read from gives no consent.
    let asked = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
    if asked.is_err() {
        answer.clear();
    }
    answer.trim().to_owned()
}

/// A change set as text.
fn shown(change_set: &ChangeSet) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let what = if change_set.creates { "new stack" } else { "changes" };
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a String takes all text");
    line(format_args!("{}: {what}", change_set.stack));
    for change in &change_set.changes {
        let replaced = match change.replacement {
            Replacement::No => "",
            Replacement::Perhaps => "  (may be replaced)",
            Replacement::Yes => "  !!! IS REPLACED: the old one goes, unless its policy retains it",
        };
        line(format_args!("  {:<7} {} {}{replaced}", change.action, change.resource_type, change.logical_id));
    }
    if change_set.changes.is_empty() {
        line(format_args!("  no resource changes"));
    }
    out
}

fn event_line(event: &Event) -> String {
    let Event { at, logical_id, resource_type, status, reason, .. } = event;
    let at = at.map_or_else(|| " ".repeat(8), |at| time(at).get(11..19).unwrap_or_default().to_owned());
    let reason = reason.as_deref().map(|reason| format!("  {reason}")).unwrap_or_default();
    format!("  {at} {status:<28} {resource_type} {logical_id}{reason}")
}

/// An instant as RFC 3339 in UTC, by the second.
pub(super) fn time(at: SystemTime) -> String {
    let seconds = DateTime::from_secs(DateTime::from(at).secs());
    seconds.fmt(Format::DateTime).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use platform::deploy::Change;

    use super::*;

    #[test]
    fn a_replacement_is_shown_loudly() {
        let change = |action: &str, logical_id: &str, replacement| Change {
            action: action.to_owned(),
            logical_id: logical_id.to_owned(),
            resource_type: "AWS::Kinesis::Stream".to_owned(),
            replacement,
        };
        let change_set = ChangeSet {
            stack: "s".to_owned(),
            stage: Stage::Ingest,
            creates: false,
            id: "id".to_owned(),
            changes: vec![change("Modify", "Raw", Replacement::Yes), change("Add", "New", Replacement::No)],
        };
        let text = shown(&change_set);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "s: changes");
        assert!(lines[1].starts_with("  Modify  AWS::Kinesis::Stream Raw  !!! IS REPLACED"), "{text}");
        assert_eq!(lines[2], "  Add     AWS::Kinesis::Stream New");
    }

    #[test]
    fn an_event_has_its_time_of_day_and_its_reason() {
        let event = Event {
            stack: "s".to_owned(),
            at: Some(UNIX_EPOCH + Duration::from_millis(3_723_456)),
            logical_id: "Raw".to_owned(),
            resource_type: "AWS::Kinesis::Stream".to_owned(),
            status: "CREATE_FAILED".to_owned(),
            reason: Some("why".to_owned()),
        };
        assert_eq!(event_line(&event), "  01:02:03 CREATE_FAILED                AWS::Kinesis::Stream Raw  why");
    }
}
