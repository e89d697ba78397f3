//! Deployments on the real SDK, against an account in memory.

mod account;
mod faults;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use account::{Account, ID, run};

/// Keeps the news, and approves as it is told.
#[derive(Default)]
struct Log {
    news: Vec<String>,
    approvals: Approvals,
    steps: Vec<Step>,
    refuse: bool,
    refuse_steps: bool,
    /// Only so many approvals.
    at_most: Option<usize>,
}

/// The stages that were asked for, each with its change sets.
type Approvals = Vec<(Stage, Vec<ChangeSet>)>;

/// Both ends of a [`Log`] at once.
#[derive(Clone, Default)]
struct Watcher(std::sync::Arc<std::sync::Mutex<Log>>);

impl Watcher {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }
}

impl Reporter for Watcher {
    fn report(&mut self, news: &News) {
        let line = match news {
            News::Event(event) => format!("{} {} {}", event.stack, event.logical_id, event.status),
            News::Unchanged(stack) => format!("{stack} unchanged"),
            News::Later { stack, after } => format!("{stack} after {}", after.join(",")),
            News::Waiting { stack, status } => format!("{stack} waits: {status}"),
            News::Recreating { stack, status } => format!("{stack} recreated: {status}"),
            News::RegistryEventsEnabled => "thing events on".to_owned(),
            News::NotChecked(what) => format!("not checked: {what}"),
            News::Tolerated(what) => format!("tolerated: {what}"),
            News::StageBegins(_) | News::StageEnds(_) | News::Proposed(_) | News::StackDone { .. } => return,
        };
        self.log().news.push(line);
    }
}

impl Approver for Watcher {
    fn approve(&mut self, stage: Stage, changes: &[ChangeSet]) -> bool {
        let mut log = self.log();
        log.approvals.push((stage, changes.to_vec()));
        !log.refuse && log.at_most.is_none_or(|most| log.approvals.len() <= most)
    }

    fn approve_step(&mut self, _: Stage, step: &Step) -> bool {
        let mut log = self.log();
        log.steps.push(step.clone());
        !log.refuse && !log.refuse_steps
    }

    fn approve_destruction(&mut self, _: &Destruction) -> bool {
        !self.log().refuse
    }
}

fn stack(name: &str, stage: Stage, resources: Value) -> Planned {
    let template = json!({"Resources": resources});
    Planned {
        name: name.to_owned(),
        stage,
        body: template.to_string(),
        template,
        capabilities: vec!["CAPABILITY_NAMED_IAM".to_owned()],
        reads: Vec::new(),
    }
}

fn stream(name: &str, shards: u32) -> Value {
    json!({"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name, "ShardCount": shards}})
}

/// Two stages with a stack each.
fn plan(shards: u32) -> Plan {
    let stacks = vec![
        stack("one", Stage::Ingest, json!({"A": stream("a", shards), "B": stream("b", 1)})),
        stack("two", Stage::Transform, json!({"C": stream("c", 1)})),
    ];
    Plan { env: "test".to_owned(), region: "eu-west-1".to_owned(), account: None, stacks }
}

fn deploy_with(
    account: &Account,
    plan: &Plan,
    options: &Options,
) -> (Result<Deployed, DeployError>, Vec<String>, Approvals) {
    let (mut reporter, mut approver) = (Watcher::default(), Watcher::default());
    let result = run(deploy(&account.config(), plan, options, &mut reporter, &mut approver));
    let news = std::mem::take(&mut reporter.log().news);
    let approvals = std::mem::take(&mut approver.log().approvals);
    (result, news, approvals)
}

fn deployed(account: &Account, plan: &Plan) -> Deployed {
    let (result, _, _) = deploy_with(account, plan, &Options::default());
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn refused(account: &Account, plan: &Plan, options: &Options) -> String {
    let (result, _, _) = deploy_with(account, plan, options);
    let message = result.expect_err("this cannot be deployed").to_string();
    assert!(message.contains("hint: "), "{message}");
    message
}

#[test]
fn stacks_are_created_stage_by_stage_and_each_event_is_told_once() {
    let account = Account::default();
    let (result, news, approvals) = deploy_with(&account, &plan(1), &Options::default());
    let complete = |name: &str| (name.to_owned(), "CREATE_COMPLETE".to_owned());
    assert_eq!(result.unwrap().changed, [complete("one"), complete("two")]);
    assert_eq!(account.effects(), ["create one", "create two"]);
    let events = |name: &str| {
        ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"].map(|s| (format!("{name} {name} {s}"), format!("{name} A {s}")))
    };
    let expected: Vec<String> = ["one", "two"]
        .into_iter()
        .flat_map(|name| {
            let [(begun, a_begun), (done, a_done)] = events(name);
            [begun, a_begun, a_done, done]
        })
        .collect();
    assert_eq!(news, expected);
    let asked: Vec<_> =
        approvals.iter().map(|(stage, sets)| (*stage, sets[0].creates, sets[0].changes.len())).collect();
    assert_eq!(asked, [(Stage::Ingest, true, 2), (Stage::Transform, true, 1)]);
}

#[test]
fn an_update_shows_what_is_replaced_and_leaves_the_rest_alone() {
    let account = Account::default();
    deployed(&account, &plan(1));
    account.effects();
    let mut changed = plan(4);
    changed.stacks[0] = stack("one", Stage::Ingest, json!({"A": stream("other", 1), "N": stream("n", 1)}));
    let (result, news, approvals) = deploy_with(&account, &changed, &Options::default());
    let result = result.unwrap();
    assert_eq!(
        (result.changed, result.unchanged),
        (vec![("one".to_owned(), "UPDATE_COMPLETE".to_owned())], vec!["two".to_owned()])
    );
    assert_eq!(account.effects(), ["update one"]);
    assert!(
        news.contains(&"two unchanged".to_owned()) && !news.iter().any(|line| line.contains("CREATE_")),
        "{news:?}"
    );
    let [(Stage::Ingest, sets)] = approvals.as_slice() else { panic!("{approvals:?}") };
    let shown: Vec<_> =
        sets[0].changes.iter().map(|c| (c.action.as_str(), c.logical_id.as_str(), c.replacement)).collect();
    let expected = [("Modify", "A", Replacement::Yes), ("Remove", "B", Replacement::No), ("Add", "N", Replacement::No)];
    assert_eq!(shown, expected);
    assert_eq!(sets[0].replacements(), 1);
}

#[test]
fn a_second_deployment_changes_nothing_and_asks_nothing() {
    let account = Account::default();
    deployed(&account, &plan(1));
    account.effects();
    let (result, _, approvals) = deploy_with(&account, &plan(1), &Options::default());
    assert_eq!(result.unwrap().unchanged, ["one", "two"]);
    assert!(account.effects().is_empty() && approvals.is_empty());
}

const FAILS: [(&str, &[account::EventRow]); 3] = [
    ("UPDATE_IN_PROGRESS", &[("*", "UPDATE_IN_PROGRESS", ""), ("B", "UPDATE_FAILED", "Resource update cancelled")]),
    (
        "UPDATE_ROLLBACK_IN_PROGRESS",
        &[
            ("A", "UPDATE_FAILED", "Limit exceeded"),
            ("C", "UPDATE_FAILED", "too"),
            ("*", "UPDATE_ROLLBACK_IN_PROGRESS", ""),
        ],
    ),
    ("UPDATE_ROLLBACK_COMPLETE", &[("*", "UPDATE_ROLLBACK_COMPLETE", "")]),
];

#[test]
fn events_of_things_are_switched_on_once_for_rules_that_wait_for_them() {
    let account = Account::default();
    let mut plan = plan(1);
    let rule = json!({"TopicRulePayload": {"Sql": "SELECT * FROM '$aws/events/thing/+/created'"}});
    let rule = json!({"Rule": {"Type": "AWS::IoT::TopicRule", "Properties": rule}});
    plan.stacks.push(stack("rules", Stage::Ingest, rule));
    plan.stacks.sort_by_key(|stack| stack.stage);
    let mut approver = Watcher::default();
    approver.log().refuse_steps = true;
    let message =
        run(deploy(&account.config(), &plan, &Options::default(), &mut Silent, &mut approver)).unwrap_err().to_string();
    assert_eq!(approver.log().steps, [Step::EnableRegistryEvents], "a setting of the whole account is asked for");
    assert!(message.contains("one: CREATE_COMPLETE, rules: CREATE_COMPLETE"), "{message}");
    assert_eq!(account.effects(), ["create one", "create rules"]);
    let (result, news, _) = deploy_with(&account, &plan, &Options::default());
    assert_eq!(result.unwrap().changed.len(), 1);
    assert_eq!(account.effects(), ["thing events on", "create two"]);
    assert!(news.contains(&"thing events on".to_owned()), "{news:?}");
    let (_, news, _) = deploy_with(&account, &plan, &Options::default());
    assert!(account.effects().is_empty() && !news.contains(&"thing events on".to_owned()), "{news:?}");
}

#[test]
fn a_failure_is_told_after_the_rollback_with_its_first_cause_and_the_next_deployment_resumes() {
    let account = Account::default();
    deployed(&account, &plan(1));
    account.effects();
    let script = FAILS.map(|(status, events)| (status, events.to_vec())).to_vec();
    account.state().scripts.insert("one".to_owned(), script);
    let mut changed = plan(4);
    changed.stacks[1] = stack("two", Stage::Transform, json!({"C": stream("c", 2)}));
    let message = refused(&account, &changed, &Options::default());
    for part in [
        "stack one (stage ingest) failed: UPDATE_ROLLBACK_COMPLETE",
        "first to fail: A (AWS::Kinesis::Stream) UPDATE_FAILED: Limit exceeded",
        "run deploy again",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(account.effects(), ["update one"], "the next stage is not begun");
    assert_eq!(deployed(&account, &changed).changed.len(), 2);
    assert_eq!(account.effects(), ["update one", "update two"]);
}

#[test]
fn the_remains_of_a_failed_creation_are_deleted_with_consent_only() {
    for status in ["ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"] {
        let account = Account::default();
        account.has_stack("two", status, "{}");
        let message = refused(&account, &plan(1), &Options::default());
        assert!(
            message.contains(&format!("stack two (stage transform) is {status}")) && message.contains("--recreate"),
            "{message}"
        );
        assert!(account.effects().is_empty(), "nothing is changed before everything is checked");
        let options = Options { recreate: true, ..Options::default() };
        let mut approver = Watcher::default();
        approver.log().refuse_steps = true;
        let result = run(deploy(&account.config(), &plan(1), &options, &mut Silent, &mut approver));
        assert!(matches!(result, Err(DeployError::NotApproved { stage: Stage::Transform, .. })), "{result:?}");
        assert_eq!(approver.log().steps, [Step::DeleteRemains(vec![("two".to_owned(), status.to_owned())])]);
        assert_eq!(account.effects(), ["create one"], "each deletion is asked for by name");
        let (result, news, _) = deploy_with(&account, &plan(1), &options);
        assert_eq!(result.unwrap().changed.len(), 1);
        assert_eq!(account.effects(), ["delete two", "create two"]);
        assert!(news.contains(&format!("two recreated: {status}")), "{news:?}");
    }
}

#[test]
fn what_an_interruption_left_during_the_question_is_no_obstacle() {
    let account = Account::default();
    account.has_stack("two", "REVIEW_IN_PROGRESS", "{}");
    let found = run(status(&account.config(), &plan(1))).unwrap();
    assert_eq!(found[1].template, Match::Absent);
    let (result, news, approvals) = deploy_with(&account, &plan(1), &Options::default());
    assert_eq!(result.unwrap().changed.len(), 2);
    assert_eq!(account.effects(), ["create one", "create two"]);
    assert!(approvals.iter().all(|(_, sets)| sets[0].creates), "{approvals:?}");
    assert!(!news.iter().any(|line| line.contains("recreated")), "{news:?}");
}

#[test]
fn what_was_done_before_a_refusal_is_not_denied() {
    let account = Account::default();
    let mut plan = plan(1);
    plan.stacks[1].stage = Stage::Ingest;
    plan.stacks[1].reads = vec!["one".to_owned()];
    let mut approver = Watcher::default();
    approver.log().at_most = Some(1);
    let error = run(deploy(&account.config(), &plan, &Options::default(), &mut Silent, &mut approver)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("one: CREATE_COMPLETE") && !message.contains("nothing"), "{message}");
    assert_eq!(account.effects(), ["create one", "delete two"]);
}

#[test]
fn a_state_that_needs_a_person_is_refused_with_the_way_out() {
    let account = Account::default();
    account.has_stack("one", "UPDATE_ROLLBACK_FAILED", "{}");
    let message = refused(&account, &plan(1), &Options { recreate: true, ..Options::default() });
    assert!(message.contains("continue-update-rollback --stack-name one"), "{message}");
    assert!(account.effects().is_empty());
}

#[test]
fn an_operation_of_somebody_else_is_waited_for_and_not_for_ever() {
    let account = Account::default();
    let plan = plan(1);
    deployed(&account, &plan);
    account.effects();
    let steps = [("UPDATE_IN_PROGRESS", vec![]), ("UPDATE_IN_PROGRESS", vec![]), ("UPDATE_COMPLETE", vec![])];
    account.state().stacks.get_mut("one").unwrap().begin(steps.to_vec());
    let (result, news, _) = deploy_with(&account, &plan, &Options::default());
    assert_eq!(result.unwrap().unchanged.len(), 2);
    assert_eq!(news[0], "one waits: UPDATE_IN_PROGRESS");
    account.state().stacks.get_mut("one").unwrap().begin(vec![("UPDATE_IN_PROGRESS", vec![])]);
    let options = Options { stack_timeout: Duration::from_secs(600), ..Options::default() };
    let message = refused(&account, &plan, &options);
    assert!(message.contains("stack one (stage ingest) is still UPDATE_IN_PROGRESS after 10 min"), "{message}");
}

#[test]
fn a_stack_that_reads_what_another_changes_is_proposed_after_it() {
    let account = Account::default();
    let mut plan = plan(1);
    plan.stacks[1].stage = Stage::Ingest;
    plan.stacks[1].reads = vec!["one".to_owned()];
    let (result, news, approvals) = deploy_with(&account, &plan, &Options::default());
    assert_eq!(result.unwrap().changed.len(), 2);
    assert_eq!(news[0], "two after one");
    let asked: Vec<_> = approvals.iter().map(|(stage, sets)| (*stage, sets[0].stack.as_str())).collect();
    assert_eq!(asked, [(Stage::Ingest, "one"), (Stage::Ingest, "two")]);
}

#[test]
fn what_is_not_approved_leaves_nothing_behind() {
    let account = Account::default();
    let (mut reporter, mut approver) = (Watcher::default(), Watcher::default());
    approver.log().refuse = true;
    let error =
        run(deploy(&account.config(), &plan(1), &Options::default(), &mut reporter, &mut approver)).unwrap_err();
    assert!(matches!(error, DeployError::NotApproved { stage: Stage::Ingest, .. }), "{error}");
    assert!(error.to_string().contains("nothing of it was changed"), "{error}");
    assert_eq!(account.effects(), ["delete one"], "the empty stack of the change set goes");
    let mut plan = plan(1);
    plan.account = Some("999999999999".to_owned());
    let message = refused(&account, &plan, &Options::default());
    assert!(message.contains(ID) && message.contains("999999999999"), "{message}");
}

#[test]
fn credentials_that_do_not_work_are_one_error_with_a_hint() {
    for (status, code, hint) in [
        (403, "ExpiredToken", "expired: sign in again"),
        (403, "InvalidClientTokenId", "check AWS_PROFILE"),
        (403, "AccessDenied", "platform doctor"),
    ] {
        let account = Account::default();
        account.state().refuse = Some((status, code));
        let message = refused(&account, &plan(1), &Options::default());
        assert!(message.starts_with("finding out who the caller is failed: ") && message.contains(hint), "{message}");
        assert!(message.contains(code) && account.effects().is_empty(), "{message}");
    }
}

fn with_function(mut plan: Plan) -> Plan {
    let code = json!({"S3Bucket": {"Fn::Sub": "builds-${AWS::AccountId}"}, "S3Key": "p.zip"});
    let function = json!({"F": {"Type": "AWS::Lambda::Function", "Properties": {"Code": code}}});
    plan.stacks[1] = stack("two", Stage::Transform, function);
    plan
}

#[test]
fn nothing_is_changed_without_the_functions_package() {
    let account = Account::default();
    let plan = with_function(plan(1));
    let message = refused(&account, &plan, &Options::default());
    assert!(
        message.contains("s3://builds-123456789012/p.zip") && message.contains("platform package --upload"),
        "{message}"
    );
    assert!(account.effects().is_empty());
    account.state().objects.insert("builds-123456789012/p.zip".to_owned());
    assert_eq!(deployed(&account, &plan).changed.len(), 2);
}

#[test]
fn a_large_template_goes_through_the_bucket_of_packages() {
    let account = Account::default();
    let mut plan = plan(1);
    plan.stacks[0] = stack("one", Stage::Ingest, json!({"A": stream(&"a".repeat(60_000), 1)}));
    let message = refused(&account, &plan, &Options::default());
    assert!(message.contains("the template of one has") && message.contains("51200"), "{message}");
    assert!(account.effects().is_empty());
    let plan = with_function(plan);
    account.state().objects.insert("builds-123456789012/p.zip".to_owned());
    assert_eq!(deployed(&account, &plan).changed.len(), 2);
    assert_eq!(account.effects(), ["put builds-123456789012/templates", "create one", "create two"]);
    let body = account.state().stacks["one"].template.clone();
    assert!(body.starts_with("https://builds-123456789012.s3.eu-west-1.amazonaws.com/templates/"), "{body}");
}

#[test]
fn destruction_goes_backwards_and_tells_what_stays() {
    let account = Account::default();
    let mut plan = plan(1);
    let bucket = |policy: &str| json!({"Type": "AWS::S3::Bucket", "DeletionPolicy": policy, "Properties": {}});
    plan.stacks[0] =
        stack("one", Stage::Ingest, json!({"Kept": bucket("RetainExceptOnCreate"), "Lost": bucket("Delete")}));
    deployed(&account, &plan);
    account.effects();
    let destroyed = |account: &Account| {
        run(destroy(&account.config(), &plan, &Options::default(), &mut Watcher::default(), &mut ApproveAll))
    };
    account.state().objects.insert("the-lost/object".to_owned());
    account.state().objects.insert("the-kept/object".to_owned());
    let message = destroyed(&account).unwrap_err().to_string();
    assert!(message.contains("aws s3 rm s3://the-lost --recursive") && !message.contains("the-kept"), "{message}");
    assert!(account.effects().is_empty());
    account.state().objects.clear();
    let destruction = destroyed(&account).unwrap();
    assert_eq!(destruction.stacks, ["two", "one"]);
    assert_eq!((destruction.account.as_str(), destruction.region.as_str()), (ID, "eu-west-1"));
    assert_eq!(destruction.retained.iter().map(|r| r.physical_id.as_str()).collect::<Vec<_>>(), ["the-kept"]);
    assert_eq!(account.effects(), ["delete two", "delete one"]);
    assert!(destroyed(&account).unwrap().stacks.is_empty(), "a second destruction finds nothing");
}

#[test]
fn a_deletion_that_fails_names_its_resource() {
    let account = Account::default();
    deployed(&account, &plan(1));
    let script = vec![("DELETE_FAILED", vec![("C", "DELETE_FAILED", "in use"), ("*", "DELETE_FAILED", "")])];
    account.state().scripts.insert("two".to_owned(), script);
    let gone = run(destroy(&account.config(), &plan(1), &Options::default(), &mut Silent, &mut ApproveAll));
    let message = gone.unwrap_err().to_string();
    assert!(message.contains("first to fail: C (AWS::Kinesis::Stream) DELETE_FAILED: in use"), "{message}");
}

#[test]
fn status_and_diff_compare_with_what_is_deployed() {
    let account = Account::default();
    let mut first = plan(1);
    first.stacks.pop();
    deployed(&account, &first);
    let found = run(status(&account.config(), &plan(4))).unwrap();
    let found: Vec<_> = found.iter().map(|s| (s.stack.as_str(), s.status.as_deref(), s.template)).collect();
    assert_eq!(found, [("one", Some("CREATE_COMPLETE"), Match::Differs), ("two", None, Match::Absent)]);
    let same = run(status(&account.config(), &first)).unwrap();
    assert_eq!(same[0].template, Match::Same);
    let differences = run(diff_deployed(&account.config(), &plan(4))).unwrap();
    let text: String = differences.iter().map(ToString::to_string).collect();
    let expected = "~ stack one\n  ~ A (AWS::Kinesis::Stream)\n      Properties.ShardCount\n      - 1\n      + 4\n\
                    + stack two\n  + C (AWS::Kinesis::Stream)\n";
    assert_eq!(text, expected);
}

#[test]
fn a_deployment_can_be_handed_to_another_thread() {
    fn sends<T: Send>(_: &T) {}
    let (config, plan, options) = (Account::default().config(), plan(1), Options::default());
    sends(&deploy(&config, &plan, &options, &mut Silent, &mut ApproveAll));
    sends(&destroy(&config, &plan, &options, &mut Silent, &mut ApproveAll));
}
