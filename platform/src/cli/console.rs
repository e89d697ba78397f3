//! A deployment on a terminal: its news, and its questions.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use platform::deploy::{Approver, ChangeSet, Destruction, Event, News, Replacement, Reporter, Stage, Step};

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

/// Writes a line of progress. A closed pipe must not end a deployment half-way: what cannot be written is not.
pub(super) fn tell(line: fmt::Arguments<'_>) {
    #[cfg(not(test))]
    let _ = writeln!(io::stderr(), "{line}");
    // Tests keep to themselves only what goes through the macros.
    #[cfg(test)]
    eprintln!("{line}");
}

/// Writes a line of the result, as [`tell`] does.
pub(super) fn say(line: fmt::Arguments<'_>) {
    #[cfg(not(test))]
    let _ = writeln!(io::stdout(), "{line}");
    #[cfg(test)]
    println!("{line}");
}

/// A progress bar over so many of something, on the standard error, where that is a terminal. It counts itself as far as
/// `before`; `counts` says what stands after the bar, in the template language of `indicatif`.
pub(super) fn bar(length: usize, before: usize, counts: &str) -> ProgressBar {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(number(length)), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {counts} {{msg}}"));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(number(before));
    bar
}

impl Reporter for Console {
    fn report(&mut self, news: &News) {
        match news {
            News::StageBegins(stage) => tell(format_args!("\n== stage {stage}")),
            News::StageEnds(stage) => tell(format_args!("== stage {stage} is complete")),
            News::Unchanged(stack) => tell(format_args!("{stack}: unchanged")),
            News::Proposed(change_set) => tell(format_args!("{}", shown(change_set).trim_end())),
            News::Later { stack, after } => tell(format_args!("{stack}: waits for {}", after.join(", "))),
            News::Waiting { stack, status } => tell(format_args!("{stack}: is {status}, waiting until that is done")),
            News::Recreating { stack, status } => {
                tell(format_args!("{stack}: is {status}, deleting it to create it again"));
            }
            News::Event(event) => tell(format_args!("{}", event_line(event))),
            News::StackDone { stack, status } => tell(format_args!("{stack}: {status}")),
            News::RegistryEventsEnabled => tell(format_args!(
                "AWS IoT Core publishes events of things from now on (a setting of the account in this Region)"
            )),
            News::NotChecked(what) => tell(format_args!("not checked: {what}")),
            News::Tolerated(what) => tell(format_args!("note: {what}")),
        }
    }
}

impl Questions {
    /// Whether the person agrees, or has agreed beforehand.
    pub(super) fn agrees(&self, what: &str, question: &str) -> bool {
        if self.approve {
            tell(format_args!("{what}: approved by --approve"));
            return true;
        }
        matches!(ask(&format!("{question} [y/N] ")).as_str(), "y" | "Y" | "yes")
    }
}

impl Approver for Questions {
    fn approve(&mut self, stage: Stage, changes: &[ChangeSet]) -> bool {
        let replacements: usize = changes.iter().map(ChangeSet::replacements).sum();
        let (stacks, plural) = (changes.len(), if changes.len() == 1 { "" } else { "s" });
        let loudly = if replacements > 0 { format!(", REPLACING {replacements} resources") } else { String::new() };
        self.agrees(
            &format!("stage {stage}: {stacks} stack{plural}{loudly}"),
            &format!("Execute the change sets of {stacks} stack{plural} of stage {stage}{loudly}?"),
        )
    }

    fn approve_step(&mut self, stage: Stage, step: &Step) -> bool {
        let (what, question) = step_texts(step);
        self.agrees(&format!("stage {stage}: {what}"), &question)
    }

    fn approve_destruction(&mut self, destruction: &Destruction) -> bool {
        tell(format_args!("{}", destruction_text(destruction).trim_end()));
        let Destruction { env, account, region, .. } = destruction;
        let question = format!("Type the name of the environment to delete it from account {account} in {region}: ");
        self.approve || ask(&question) == *env
    }
}

/// A step as a phrase, and as a question.
fn step_texts(step: &Step) -> (String, String) {
    match step {
        Step::DeleteRemains(remains) => {
            let named: Vec<String> = remains.iter().map(|(stack, status)| format!("{stack} ({status})")).collect();
            let named = named.join(", ");
            (
                format!("DELETING what failed before: {named}"),
                format!("DELETE what failed before, to create it again: {named}?"),
            )
        }
        Step::EnableRegistryEvents => (
            "events of things are switched on for the whole account in this Region".to_owned(),
            "Rules wait for events of things. Switch these on, for the whole account in this Region?".to_owned(),
        ),
    }
}

/// What a destruction deletes and leaves, as text.
fn destruction_text(destruction: &Destruction) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let mut line = |text: fmt::Arguments<'_>| writeln!(out, "{text}").expect("a String takes all text");
    let Destruction { account, region, stacks, retained, .. } = destruction;
    line(format_args!("These stacks of account {account} in {region} are deleted, in this order:"));
    stacks.iter().for_each(|stack| line(format_args!("  {stack}")));
    if !retained.is_empty() {
        line(format_args!("These resources stay:"));
    }
    for resource in retained {
        line(format_args!("  {} ({}) of {}", resource.physical_id, resource.resource_type, resource.stack));
    }
    out
}

/// A line from the terminal.
fn ask(question: &str) -> String {
    let mut answer = String::new();
    // A terminal that cannot be written to or read from gives no consent.
    let asked = write!(io::stderr(), "{question}")
        .and_then(|()| io::stderr().flush())
        .and_then(|()| io::stdin().read_line(&mut answer));
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
    let mut line = |text: fmt::Arguments<'_>| writeln!(out, "{text}").expect("a String takes all text");
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
    fn questions_name_what_is_deleted_and_where() {
        let remains = Step::DeleteRemains(vec![("one".to_owned(), "ROLLBACK_COMPLETE".to_owned())]);
        for text in [step_texts(&remains).0, step_texts(&remains).1] {
            assert!(text.contains("DELET") && text.contains("one (ROLLBACK_COMPLETE)"), "{text}");
        }
        assert!(step_texts(&Step::EnableRegistryEvents).1.contains("whole account"));
        let destruction = Destruction {
            env: "dev".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            stacks: vec!["one".to_owned()],
            retained: Vec::new(),
        };
        let expected = "These stacks of account 123456789012 in eu-west-1 are deleted, in this order:\n  one\n";
        assert_eq!(destruction_text(&destruction), expected);
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
