//! Faults of AWS, lost answers, and what a run that was cut short leaves behind.

use super::*;

#[test]
fn every_failure_after_a_change_set_was_made_discards_it_and_none_hides_the_cause() {
    // Two stacks of one stage: the first has its change set when the second fails, or fails itself.
    let both = || {
        let mut both = plan(1);
        both.stacks[1].stage = Stage::Ingest;
        both
    };
    for (faults, cause, effects) in [
        (vec!["CreateChangeSet"], "making a change set of stack one", vec![]),
        (vec!["ExecuteChangeSet"], "executing the change set of stack one", vec!["delete one", "delete two"]),
        (vec!["DescribeStackEvents"], "reading the events of stack one", vec!["delete one", "delete two"]),
        (vec!["ExecuteChangeSet", "DeleteChangeSet"], "executing the change set of stack one", vec!["delete two"]),
        (vec!["ExecuteChangeSet", "DeleteStack"], "executing the change set of stack one", vec!["delete two"]),
    ] {
        let account = Account::default();
        let left = faults.len() - 1;
        account.state().faults.clone_from(&faults);
        let (result, news, _) = deploy_with(&account, &both(), &Options::default());
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with(cause) && message.contains("ServiceUnavailable"), "{faults:?}: {message}");
        assert_eq!(account.effects(), effects, "{faults:?}");
        assert_eq!(news.iter().filter(|line| line.starts_with("tolerated: deleting")).count(), left, "{news:?}");
        assert_eq!(deployed(&account, &both()).changed.len(), 2, "{faults:?}: the next deployment goes on");
    }
}

#[test]
fn looks_that_fail_for_a_passing_reason_are_repeated_and_not_for_ever() {
    let account = Account::default();
    account.state().flaky = true;
    let (result, news, _) = deploy_with(&account, &plan(1), &Options::default());
    assert_eq!(result.unwrap().changed.len(), 2);
    assert!(news.iter().any(|line| line.starts_with("tolerated: describing") && line.ends_with("trying again")));
    account.state().flaky = false;
    account.state().faults = vec!["DescribeStacks"; 1000];
    let options = Options { stack_timeout: Duration::from_secs(60), ..Options::default() };
    let message = refused(&account, &plan(1), &options);
    assert!(message.contains("describing stack one failed: ServiceUnavailable"), "{message}");
    assert!(account.state().faults.len() > 900, "a minute is not waited for longer");
}

#[test]
fn calls_that_change_something_have_tokens_of_their_own() {
    let account = Account::default();
    deployed(&account, &plan(1));
    let tokens = account.state().tokens.clone();
    let of_two_stacks = tokens.len() == 4 && tokens.iter().all(|token| token.len() == 64);
    let different: std::collections::BTreeSet<&String> = tokens.iter().collect();
    assert!(of_two_stacks && different.len() == 4, "{tokens:?}");
}

#[test]
fn a_half_made_bucket_of_packages_is_completed_and_its_own_policy_stays() {
    let package = package::Package {
        bytes: b"zip".to_vec(),
        sha256: "hash".to_owned(),
        unzipped: 3,
        obstacles: Vec::new(),
        warnings: Vec::new(),
    };
    let plan = with_function(plan(1));
    let put = |account: &Account| run(package::upload(&account.config(), &plan, &package, true));
    let account = Account::default();
    let bucket = "builds-123456789012";
    account.state().faults = vec!["bucket settings"];
    assert!(put(&account).is_err(), "a bucket that was just made is private, versioned and by TLS only, or an error");
    assert!(account.state().objects.is_empty());
    let second = put(&account).unwrap();
    assert!(!second[0].bucket_made && second[0].not_checked.is_empty(), "{second:?}");
    let settings: Vec<String> = account.state().settings.iter().cloned().collect();
    assert_eq!(settings, ["made", "policy", "publicAccessBlock", "versioning"].map(|what| format!("{bucket} {what}")));
    // Whoever may not look after the bucket may still upload.
    account.state().faults = vec!["bucket settings"];
    assert_eq!(put(&account).unwrap()[0].not_checked.len(), 1);
    let dead = package::Package { obstacles: vec!["no\n  hint: do".to_owned()], ..package.clone() };
    let refused = run(package::upload(&account.config(), &plan, &dead, true)).unwrap_err();
    assert!(matches!(refused, package::UploadError::NotStartable(_)), "{refused}");
    let other = run(package::check_upload(&account.config(), &plan, package::Architecture::Arm64)).unwrap_err();
    assert!(other.to_string().contains("run on x86_64, the package is for arm64"), "{other}");
    run(package::check_upload(&account.config(), &plan, package::Architecture::X86_64)).unwrap();
}

#[test]
fn a_bucket_that_cannot_be_asked_is_not_said_to_lack_the_package() {
    let account = Account::default();
    account.state().objects.insert("builds-123456789012/p.zip".to_owned());
    account.state().faults = vec!["HeadObject"];
    let message = refused(&account, &with_function(plan(1)), &Options::default());
    assert!(message.contains("HTTP status 503") && !message.contains("is not there"), "{message}");
}
