//! Change sets, and what is refused at the door.

use serde_json::json;

use super::*;

const STACK: (&str, &str) = ("StackName", "s");

fn change_set(world: &mut World, name: &str, kind: &str, template: &Value) {
    let body = template.to_string();
    let members = [STACK, ("ChangeSetName", name), ("ChangeSetType", kind), ("TemplateBody", body.as_str())];
    world.ask("CreateChangeSet", &members).unwrap();
}

fn describe(world: &mut World, name: &str) -> String {
    world.ask("DescribeChangeSet", &[STACK, ("ChangeSetName", name)]).unwrap()
}

#[test]
fn a_change_set_creates_a_stack_when_it_is_executed() {
    let mut world = World::new();
    change_set(&mut world, "first", "CREATE", &json!({"Resources": {"A": group("a", 7)}}));
    assert_eq!(world.status("s"), "REVIEW_IN_PROGRESS");
    let execute = [STACK, ("ChangeSetName", "first")];
    assert_eq!(texts(&describe(&mut world, "first"), "Status"), ["CREATE_IN_PROGRESS"]);
    world.refused(
        "ExecuteChangeSet",
        &execute,
        "InvalidChangeSetStatus",
        "in its current status of [CREATE_IN_PROGRESS]",
    );
    world.now += std::time::Duration::from_secs(2);
    let described = describe(&mut world, "first");
    assert_eq!(texts(&described, "ExecutionStatus"), ["AVAILABLE"]);
    assert_eq!(texts(&described, "Action"), ["Add"]);
    assert_eq!(world.held(), Vec::<String>::new());
    world.ask("ExecuteChangeSet", &execute).unwrap();
    assert_eq!(texts(&describe(&mut world, "first"), "ExecutionStatus"), ["EXECUTE_IN_PROGRESS"]);
    world.settle();
    assert_eq!(world.status("s"), "CREATE_COMPLETE");
    assert_eq!(world.held().len(), 1);
    assert_eq!(texts(&describe(&mut world, "first"), "ExecutionStatus"), ["EXECUTE_COMPLETE"]);
    assert!(world.member("s", "ChangeSetId").contains(":changeSet/first/"));
    assert_eq!(world.events("s")[..2], ["s REVIEW_IN_PROGRESS User Initiated", "s CREATE_IN_PROGRESS User Initiated"]);
}

/// What a description says of each change, a line each, by logical id.
fn changes_of(described: &str) -> Vec<String> {
    let mut changes: Vec<String> = described
        .split("<ResourceChange>")
        .skip(1)
        .map(|change| {
            let one = |name| texts(change, name).join(",");
            let parts = [
                one("LogicalResourceId"),
                one("Action"),
                one("Replacement"),
                one("Name"),
                one("RequiresRecreation"),
                one("Evaluation"),
                one("ChangeSource"),
                one("CausingEntity"),
                one("PolicyAction"),
            ];
            parts.join(" ")
        })
        .collect();
    changes.sort_unstable();
    changes
}

#[test]
fn a_change_set_says_what_would_change_and_why() {
    let mut world = World::new();
    let version = |group_name: &str, days: &str, more: Option<&str>| {
        let mut template = json!({
            "Parameters": {"Days": {"Type": "Number", "Default": days}},
            "Resources": {
                "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": group_name}},
                "Timed": {"Type": "AWS::Logs::LogGroup", "Properties": {
                    "LogGroupName": "timed", "RetentionInDays": {"Ref": "Days"}}},
                "Named": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {
                    "DashboardName": {"Fn::Sub": "d-${Group}"}, "DashboardBody": "{}"}},
                "Alarm": alarm("a", &json!({"Fn::GetAtt": "Group.Arn"})),
                "Same": group("same", 7),
            },
        });
        if let Some(id) = more {
            template["Resources"][id] = group(id, 7);
        }
        template
    };
    world.create("s", &version("old", "7", Some("gone")));
    change_set(&mut world, "c", "UPDATE", &version("new", "30", Some("added")));
    world.now += std::time::Duration::from_secs(2);
    let described = describe(&mut world, "c");
    let changes = changes_of(&described);
    assert_eq!(
        changes,
        [
            "Alarm Modify False AlarmDescription Never Dynamic ResourceAttribute Group.Arn ",
            "Group Modify True LogGroupName Always Static DirectModification  ReplaceAndDelete",
            "Named Modify Conditional DashboardName Always Dynamic ResourceReference Group ReplaceAndDelete",
            "Timed Modify False RetentionInDays Never Static ParameterReference Days ",
            "added Add       ",
            "gone Remove       Delete",
        ]
        .map(str::to_owned)
    );
    change_set(&mut world, "none", "UPDATE", &version("old", "7", Some("gone")));
    world.now += std::time::Duration::from_secs(2);
    let none = describe(&mut world, "none");
    assert_eq!(
        (texts(&none, "Status"), texts(&none, "ExecutionStatus")),
        (vec!["FAILED".to_owned()], vec!["UNAVAILABLE".to_owned()])
    );
    assert!(texts(&none, "StatusReason")[0].starts_with("The submitted information didn't contain changes."));
    let listed = world.ask("ListChangeSets", &[STACK]).unwrap();
    assert_eq!(texts(&listed, "ChangeSetName"), ["c", "none"]);
    world.ask("DeleteChangeSet", &[STACK, ("ChangeSetName", "none")]).unwrap();
    world.refused(
        "DescribeChangeSet",
        &[STACK, ("ChangeSetName", "none")],
        "ChangeSetNotFound",
        "ChangeSet [none] does not exist",
    );
    world.ask("ExecuteChangeSet", &[STACK, ("ChangeSetName", "c")]).unwrap();
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_COMPLETE");
    assert!(
        world.held().iter().any(|held| held.starts_with("AWS::CloudWatch::Dashboard d-new ")),
        "{:?}",
        world.held()
    );
}

#[test]
fn requests_are_refused_with_the_codes_of_aws() {
    let mut world = World::new();
    let template = json!({"Resources": {"A": group("a", 7)}}).to_string();
    let body = ("TemplateBody", template.as_str());
    let role = json!({"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "r", "AssumeRolePolicyDocument": {}}}}})
    .to_string();
    world
        .ask("CreateStack", &[STACK, body, ("ClientRequestToken", "t"), ("EnableTerminationProtection", "true")])
        .unwrap();
    world.settle();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 12] = [
        ("CreateStack", &[STACK, body], "AlreadyExistsException", "Stack [s] already exists"),
        (
            "CreateStack",
            &[("StackName", "1x"), body],
            "ValidationError",
            "regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*",
        ),
        (
            "CreateStack",
            &[("StackName", "x")],
            "ValidationError",
            "Either Template URL or Template Body must be specified.",
        ),
        (
            "CreateStack",
            &[("StackName", "x"), body, ("TimeoutInMinutes", "5")],
            "NotImplemented",
            "TimeoutInMinutes of CreateStack",
        ),
        (
            "CreateStack",
            &[("StackName", "x"), ("TemplateBody", &role), ("Capabilities.member.1", "CAPABILITY_IAM")],
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_NAMED_IAM]",
        ),
        (
            "CreateStack",
            &[("StackName", "x"), body, ("RoleARN", "arn:aws:iam::123456789012:role/none")],
            "ValidationError",
            "Role arn:aws:iam::123456789012:role/none is invalid or cannot be assumed",
        ),
        ("UpdateStack", &[("StackName", "x"), body], "ValidationError", "Stack [x] does not exist"),
        ("UpdateStack", &[STACK, body, ("ClientRequestToken", "t")], "TokenAlreadyExistsException", "t"),
        (
            "UpdateStack",
            &[STACK, ("TemplateBody", "{\"Resources\":{\"A\":{\"Type\":\"AWS::SNS::Topic\"}}}")],
            "ValidationError",
            "modifies resource type of the following resources: [A]",
        ),
        (
            "DeleteStack",
            &[STACK],
            "ValidationError",
            "Stack [s] cannot be deleted while TerminationProtection is enabled",
        ),
        ("CreateStackSet", &[], "NotImplemented", "CreateStackSet"),
        ("MakeCoffee", &[], "InvalidAction", "Could not find operation MakeCoffee for version 2010-05-15"),
    ];
    for (action, members, code, expected) in cases {
        world.refused(action, members, code, expected);
    }
    world.ask("UpdateTerminationProtection", &[STACK, ("EnableTerminationProtection", "false")]).unwrap();
    assert_eq!(world.delete("s"), "DELETE_COMPLETE");
}

#[test]
fn a_role_may_trust_cloudformation_for_some_stacks_only() {
    let mut world = World::new();
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/*"}}}]});
    let role = json!({"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "r", "AssumeRolePolicyDocument": trust}}}})
    .to_string();
    let capability = ("Capabilities.member.1", "CAPABILITY_NAMED_IAM");
    world.ask("CreateStack", &[("StackName", "roles"), ("TemplateBody", &role), capability]).unwrap();
    world.settle();
    let body = json!({"Resources": {"A": group("a", 7)}}).to_string();
    let with = [("TemplateBody", body.as_str()), ("RoleARN", "arn:aws:iam::123456789012:role/r")];
    for action in ["CreateStack", "CreateChangeSet"] {
        let set = [("ChangeSetName", "c"), ("ChangeSetType", "CREATE")];
        let more = if action == "CreateStack" { &[][..] } else { &set };
        let other = [&[("StackName", "other")], &with[..], more].concat();
        world.refused(action, &other, "ValidationError", "role/r is invalid or cannot be assumed");
    }
    world.ask("CreateStack", &[&[STACK], &with[..]].concat()).unwrap();
    world.settle();
    assert_eq!(world.status("s"), "CREATE_COMPLETE");
    assert_eq!(world.delete("s"), "DELETE_COMPLETE");
}

#[test]
fn templates_are_summarised_and_read_from_s3() {
    use crate::core::ports::Objects as _;
    let mut world = World::new();
    let template = json!({
        "Description": "d", "Parameters": {"P": {"Type": "String", "Default": "x", "AllowedValues": ["x"]}},
        "Resources": {"A": group("a", 7), "R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}},
    })
    .to_string();
    let summary = world.ask("GetTemplateSummary", &[("TemplateBody", &template)]).unwrap();
    for expected in [
        "<ParameterType>String</ParameterType>",
        "<Capabilities><member>CAPABILITY_IAM</member></Capabilities>",
        "The following resource(s) require capabilities: [AWS::IAM::Role]",
        "<ResourceTypes><member>AWS::IAM::Role</member><member>AWS::Logs::LogGroup</member></ResourceTypes>",
    ] {
        assert!(summary.contains(expected), "{summary}");
    }
    let valid = world.ask("ValidateTemplate", &[("TemplateBody", &template)]).unwrap();
    assert_eq!(
        (texts(&valid, "ParameterKey"), texts(&valid, "Description")),
        (vec!["P".to_owned()], vec!["d".to_owned()])
    );

    let bucket = json!({"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "templates"}}}});
    world.create("b", &bucket);
    let body = json!({"Resources": {"A": group("from-s3", 7)}}).to_string();
    let put =
        world.account.as_owner(world.now, |s, cx| s.s3.put_object(cx, "templates", "t.json", body.into(), "text/json"));
    put.unwrap();
    for address in
        ["https://templates.s3.eu-west-1.amazonaws.com/t.json", "https://s3.eu-west-1.amazonaws.com/templates/t.json"]
    {
        world.ask("ValidateTemplate", &[("TemplateURL", address)]).unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    for address in ["https://templates.s3.eu-west-1.amazonaws.com/none", "https://example.com/t.json", "t.json"] {
        world.refused("ValidateTemplate", &[("TemplateURL", address)], "ValidationError", "TemplateURL must reference");
    }
}
