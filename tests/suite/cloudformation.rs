//! CloudFormation by the real SDK: its form encoder, its XML parsers, its paginators and its waiters judge ours.

use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::client::Waiters as _;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetType, ChangeSource, OnFailure, Parameter, Replacement, ResourceStatus,
    StackStatus, Tag,
};
use sim::seam::{Cloud, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;

use crate::support::account;

const LIMIT: Duration = Duration::from_secs(600);

/// Runs `test` against an empty account.
fn with_account<T, F>(test: impl FnOnce(Client) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(13);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
        let (account, root) = account(seed);
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        test(Client::new(&sdk_config(&cloud, &root))).await
    })
}

/// Log groups with these names and days, each with an alarm that names it.
fn template(groups: &[(&str, &str, u32)]) -> String {
    let resources: Vec<String> = groups
        .iter()
        .map(|(id, name, days)| {
            format!(
                r#""{id}": {{"Type": "AWS::Logs::LogGroup", "Properties": {{"LogGroupName": "{name}", "RetentionInDays": {days}}}}},
                "{id}Alarm": {{"Type": "AWS::CloudWatch::Alarm", "Properties": {{"AlarmName": "alarm-{id}",
                    "AlarmDescription": {{"Fn::Sub": "of ${{{id}}} & <others>"}}, "ComparisonOperator": "GreaterThanThreshold",
                    "EvaluationPeriods": "1", "MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum", "Threshold": 1}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"Parameters": {{"Env": {{"Type": "String", "Default": "dev"}}}}, "Resources": {{{}}},
            "Outputs": {{"Env": {{"Value": {{"Ref": "Env"}}, "Export": {{"Name": {{"Fn::Sub": "${{AWS::StackName}}-env"}}}}}}}}}}"#,
        resources.join(",")
    )
}

#[test]
fn a_stack_lives_from_creation_to_deletion() {
    with_account(|cfn| async move {
        let tag = Tag::builder().key("team").value("iot & more").build();
        let env = Parameter::builder().parameter_key("Env").parameter_value("prod").build();
        let create = cfn.create_stack().stack_name("s").template_body(template(&[("A", "/a", 7), ("B", "/b", 7)]));
        let begun = clock::now();
        let created = create.tags(tag).parameters(env).send().await.unwrap();
        cfn.wait_until_stack_create_complete().stack_name("s").wait(LIMIT).await.unwrap();
        assert!(clock::now().since(begun) >= Duration::from_secs(6), "{:?}", clock::now().since(begun));

        let described = cfn.describe_stacks().stack_name("s").send().await.unwrap();
        let stack = &described.stacks()[0];
        assert_eq!(stack.stack_status(), Some(&StackStatus::CreateComplete));
        assert_eq!((stack.stack_id(), stack.tags()[0].value()), (created.stack_id(), Some("iot & more")));
        assert_eq!(stack.outputs()[0].output_value(), Some("prod"));
        assert_eq!(stack.parameters()[0].parameter_value(), Some("prod"));
        assert_eq!(stack.creation_time().map(|time| time.secs()), Some(i64::try_from(begun.unix_secs()).unwrap()));

        let resource = cfn.describe_stack_resource().stack_name("s").logical_resource_id("A").send().await.unwrap();
        let detail = resource.stack_resource_detail().unwrap();
        assert_eq!(detail.physical_resource_id(), Some("/a"));
        assert_eq!(detail.resource_status(), Some(&ResourceStatus::CreateComplete));
        let exports = cfn.list_exports().send().await.unwrap();
        assert_eq!(exports.exports()[0].name(), Some("s-env"));

        cfn.delete_stack().stack_name("s").send().await.unwrap();
        let id = created.stack_id().unwrap();
        cfn.wait_until_stack_delete_complete().stack_name(id).wait(LIMIT).await.unwrap();
        let gone = cfn.describe_stacks().stack_name("s").send().await.unwrap_err();
        assert_eq!(gone.message(), Some("Stack with id s does not exist"));
        let resources = cfn.describe_stack_resources().stack_name(id).send().await.unwrap();
        let statuses: Vec<_> = resources.stack_resources().iter().map(|r| r.resource_status().cloned()).collect();
        assert_eq!(statuses, vec![Some(ResourceStatus::DeleteComplete); 4]);
    });
}

#[test]
fn a_change_set_is_described_executed_and_done() {
    with_account(|cfn| async move {
        let set = |kind: ChangeSetType, name: &str, body: String| {
            let set = cfn.create_change_set().stack_name("s").change_set_name(name).change_set_type(kind);
            set.template_body(body).send()
        };
        for (name, kind, days, action) in [
            ("first", ChangeSetType::Create, 7, ChangeAction::Add),
            ("second", ChangeSetType::Update, 30, ChangeAction::Modify),
        ] {
            set(kind.clone(), name, template(&[("A", "/a", days)])).await.unwrap();
            let wait = cfn.wait_until_change_set_create_complete().stack_name("s").change_set_name(name);
            let ready = wait.wait(LIMIT).await.unwrap();
            let described = ready.as_result().unwrap();
            let change = described.changes()[0].resource_change().unwrap();
            assert_eq!((change.action(), change.logical_resource_id()), (Some(&action), Some("A")));
            if kind == ChangeSetType::Update {
                assert_eq!(change.replacement(), Some(&Replacement::False));
                assert_eq!(change.details()[0].change_source(), Some(&ChangeSource::DirectModification));
                assert_eq!(change.details()[0].target().unwrap().name(), Some("RetentionInDays"));
            }
            cfn.execute_change_set().stack_name("s").change_set_name(name).send().await.unwrap();
            match kind {
                ChangeSetType::Create => {
                    cfn.wait_until_stack_create_complete().stack_name("s").wait(LIMIT).await.unwrap();
                }
                _ => drop(cfn.wait_until_stack_update_complete().stack_name("s").wait(LIMIT).await.unwrap()),
            }
        }
        set(ChangeSetType::Update, "none", template(&[("A", "/a", 30)])).await.unwrap();
        clock::sleep(Duration::from_secs(5)).await;
        let none = cfn.describe_change_set().stack_name("s").change_set_name("none").send().await.unwrap();
        assert!(none.status_reason().unwrap().starts_with("The submitted information didn't contain changes."));
        let absent = cfn.describe_change_set().stack_name("s").change_set_name("absent").send().await.unwrap_err();
        assert!(absent.into_service_error().is_change_set_not_found_exception());
    });
}

#[test]
fn a_failure_is_rolled_back_and_its_events_can_be_paged() {
    with_account(|cfn| async move {
        let groups: Vec<(String, String)> = (0..25).map(|n| (format!("G{n}"), format!("/g{n}"))).collect();
        let groups: Vec<(&str, &str, u32)> = groups.iter().map(|(id, name)| (id.as_str(), name.as_str(), 7)).collect();
        let mut body = template(&groups);
        body = body.replace("alarm-G24\"", "alarm-G24\", \"Nope\": 1");
        cfn.create_stack().stack_name("s").template_body(body).on_failure(OnFailure::Rollback).send().await.unwrap();
        let failed = cfn.wait_until_stack_create_complete().stack_name("s").wait(LIMIT).await;
        assert!(failed.is_err());
        clock::sleep(LIMIT).await;
        let pages = cfn.describe_stack_events().stack_name("s").into_paginator().items().send();
        let events = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        // 50 resources with three events and two of deletion, the failed one with two and one, and the stack with three.
        assert_eq!(events.len(), 49 * 5 + 3 + 3);
        assert!(events.windows(2).all(|pair| pair[0].timestamp().unwrap() >= pair[1].timestamp().unwrap()));
        assert_eq!(events[0].resource_status().map(ResourceStatus::as_str), Some("ROLLBACK_COMPLETE"));
        let cause = events.iter().find(|event| event.resource_status() == Some(&ResourceStatus::CreateFailed)).unwrap();
        assert_eq!(cause.logical_resource_id(), Some("G24Alarm"));
        assert_eq!(
            cause.resource_status_reason(),
            Some("Property validation failure: [Encountered unsupported properties in {/}: [Nope]]")
        );
        let again = cfn.update_stack().stack_name("s").template_body(template(&groups)).send().await.unwrap_err();
        assert!(again.message().unwrap().ends_with("is in ROLLBACK_COMPLETE state and can not be updated."));
    });
}

#[test]
fn errors_have_the_codes_that_the_sdk_knows() {
    with_account(|cfn| async move {
        let role =
            r#"{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}}}"#;
        let create = |body: &str| cfn.create_stack().stack_name("s").template_body(body);
        let refused = create(role).send().await.unwrap_err().into_service_error();
        assert!(refused.is_insufficient_capabilities_exception(), "{}", DisplayErrorContext(&refused));
        let refused = create("{").capabilities(Capability::CapabilityIam).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("ValidationError"));
        assert_eq!(refused.message(), Some("Template format error: JSON not well-formed. (line 1, column 1)"));
        create(&template(&[("A", "/a", 7)])).send().await.unwrap();
        let refused = create(&template(&[("A", "/a", 7)])).send().await.unwrap_err().into_service_error();
        assert!(refused.is_already_exists_exception(), "{}", DisplayErrorContext(&refused));
        let summary = cfn.get_template_summary().template_body(role).send().await.unwrap();
        assert_eq!(summary.capabilities(), [Capability::CapabilityIam]);
        let refused = cfn.describe_type().type_name("AWS::S3::Bucket").send().await.unwrap_err();
        assert_eq!(refused.code(), Some("NotImplemented"));
        let pages = cfn.list_stacks().into_paginator().items().send();
        assert_eq!(pages.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 1);
    });
}
