//! Whatever fails, the account is afterwards what it was before.

use serde_json::json;

use super::*;

/// A stack of resources that refer to one another.
fn before() -> Value {
    json!({"Resources": {
        "First": group("first", 7),
        "Second": alarm("second", &json!({"Ref": "First"})),
        "Third": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {
            "DashboardName": {"Fn::Sub": "third-${Second}"}, "DashboardBody": "{\"widgets\":[]}"}},
        "Fourth": group("fourth", 7),
        "Fifth": alarm("fifth", &json!({"Fn::Join": ["-", [{"Ref": "Third"}, {"Ref": "Fourth"}]]})),
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "topic"}},
        "Policy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {
            "Topics": [{"Ref": "Topic"}], "PolicyDocument": policy("sns:Publish")}},
        "Gone": group("gone", 7),
    }})
}

fn policy(action: &str) -> Value {
    json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"}]})
}

/// The same stack with one resource replaced, the others changed in place or by what they refer to, one removed, one added.
fn after() -> Value {
    let mut template = before();
    template["Resources"]["First"] = group("first-replaced", 7);
    template["Resources"]["Third"]["Properties"]["DashboardBody"] = json!("{\"widgets\":[1]}");
    template["Resources"]["Fourth"] = group("fourth-replaced", 30);
    template["Resources"]["Second"]["Properties"]["Threshold"] = json!(2);
    template["Resources"]["Policy"]["Properties"]["PolicyDocument"] = policy("sns:*");
    template["Resources"]["Added"] = alarm("added", &json!({"Fn::GetAtt": "Fourth.Arn"}));
    template["Resources"].as_object_mut().unwrap().remove("Gone");
    template
}

fn ids(template: &Value) -> Vec<String> {
    template["Resources"].as_object().unwrap().keys().cloned().collect()
}

/// Ways in which a resource can fail: CloudFormation refuses its properties, a reference leads nowhere, or the service
/// refuses it: groups and alarms when they are replaced or created, dashboards and policies when they are changed in place.
const WAYS: [usize; 3] = [0, 1, 2];

fn broken(template: &Value, id: &str, way: usize) -> Value {
    let mut template = template.clone();
    let properties = &mut template["Resources"][id]["Properties"];
    match way {
        0 => properties["Nope"] = json!(1),
        1 => properties["Tags"] = json!([{"Key": "k", "Value": "{{resolve:ssm:/absent}}"}]),
        _ if properties.get("LogGroupName").is_some() => properties["LogGroupName"] = json!("foreign"),
        _ if properties.get("AlarmName").is_some() => properties["AlarmName"] = json!("foreign"),
        _ if properties.get("DashboardBody").is_some() => properties["DashboardBody"] = json!("{"),
        _ if properties.get("TopicName").is_some() => properties["TopicName"] = json!("no topic"),
        _ => properties["PolicyDocument"] = json!({"Statement": "none"}),
    }
    template
}

/// An account in which the names that [`broken`] takes belong to others.
fn world_of_others() -> World {
    let mut world = World::new();
    world.foreign_group("foreign");
    world.foreign("AWS::CloudWatch::Alarm", json!({"AlarmName": "foreign"}));
    world
}

#[test]
fn a_creation_that_fails_leaves_nothing_whichever_resource_fails() {
    for way in WAYS {
        for id in ids(&before()) {
            let mut world = world_of_others();
            let held = world.held();
            assert_eq!(world.create("s", &broken(&before(), &id, way)), "ROLLBACK_COMPLETE", "{id}");
            assert_eq!(world.held(), held, "{id}");
            let events = world.events("s");
            let told = format!(
                "s ROLLBACK_IN_PROGRESS The following resource(s) failed to create: [{id}]. Rollback requested by user."
            );
            assert!(events.contains(&told), "{events:#?}");
            assert!(events.iter().any(|event| event.starts_with(&format!("{id} CREATE_FAILED "))), "{events:#?}");
        }
    }
}

#[test]
fn an_update_that_fails_brings_everything_back_whichever_resource_fails() {
    for way in WAYS {
        for id in ids(&after()) {
            let mut world = world_of_others();
            let others = world.held();
            world.create("s", &before());
            let held = world.held();
            let resources = |world: &mut World| {
                let xml = world.ask("ListStackResources", &[("StackName", "s")]).unwrap();
                (texts(&xml, "LogicalResourceId"), texts(&xml, "PhysicalResourceId"))
            };
            let had = resources(&mut world);
            assert_eq!(world.update("s", &broken(&after(), &id, way)), "UPDATE_ROLLBACK_COMPLETE", "{id}");
            assert_eq!(world.held(), held, "{way} {id}");
            assert_eq!(resources(&mut world), had, "{id}");
            let body = world.ask("GetTemplate", &[("StackName", "s")]).unwrap();
            assert_eq!(texts(&body, "TemplateBody"), [before().to_string()]);
            // It can be updated again, and everything can be deleted.
            assert_eq!(world.update("s", &after()), "UPDATE_COMPLETE", "{id}");
            world.delete("s");
            assert_eq!(world.held(), others, "{id}");
        }
    }
}

#[test]
fn a_rollback_tells_of_every_step() {
    let mut world = World::new();
    world.foreign_group("taken");
    let version = |days: u32, name: &str| json!({"Resources": {"A": group("a", days), "B": group(name, 7), "C": group("c", days)}});
    world.create("s", &version(7, "b"));
    let before = world.events("s").len();
    world.update("s", &version(30, "taken"));
    let why = "Resource of type 'AWS::Logs::LogGroup' with identifier 'taken' already exists. (Service: Logs, Status Code: \
               400, Error Code: AlreadyExistsException)";
    assert_eq!(
        world.events("s")[before..],
        [
            "s UPDATE_IN_PROGRESS User Initiated",
            "A UPDATE_IN_PROGRESS",
            "A UPDATE_COMPLETE",
            "B UPDATE_IN_PROGRESS Requested update requires the creation of a new physical resource; hence creating one.",
            format!("B UPDATE_FAILED {why}").as_str(),
            "s UPDATE_ROLLBACK_IN_PROGRESS The following resource(s) failed to update: [B]. ".trim_end(),
            "B UPDATE_IN_PROGRESS",
            "B UPDATE_COMPLETE",
            "A UPDATE_IN_PROGRESS",
            "A UPDATE_COMPLETE",
            "s UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "s UPDATE_ROLLBACK_COMPLETE",
        ]
    );
}

#[test]
fn a_creation_may_be_left_as_it_is_or_deleted_as_a_whole() {
    let template = broken(&before(), "Fifth", 0).to_string();
    let base = [("StackName", "s"), ("TemplateBody", template.as_str())];
    let mut world = World::new();
    world.ask("CreateStack", &[&base[..], &[("OnFailure", "DO_NOTHING")]].concat()).unwrap();
    world.settle();
    assert_eq!(world.status("s"), "CREATE_FAILED");
    let created = world.events("s").iter().filter(|event| event.ends_with(" CREATE_COMPLETE")).count();
    assert!(created >= 4 && world.held().len() == created, "{created} {:?}", world.held());
    assert_eq!(world.update("s", &before()), "UPDATE_COMPLETE");
    assert_eq!(world.held().len(), 7);

    let mut world = World::new();
    let answer = world.ask("CreateStack", &[&base[..], &[("OnFailure", "DELETE")]].concat()).unwrap();
    world.settle();
    assert_eq!(world.status(&texts(&answer, "StackId")[0]), "DELETE_COMPLETE");
    assert_eq!(world.held(), Vec::<String>::new());
}

#[test]
fn a_retained_resource_outlives_a_rollback_unless_it_was_created_in_it() {
    let on_failure = [("ROLLBACK", "ROLLBACK_COMPLETE"), ("DELETE", "DELETE_COMPLETE")];
    let policies = [("Delete", 0), ("Retain", 1), ("RetainExceptOnCreate", 0)];
    let cases = on_failure.into_iter().flat_map(|one| policies.map(|policy| (one, policy)));
    for ((on_failure, status), (policy, left)) in cases {
        let mut world = World::new();
        let mut template = json!({"Resources": {"A": group("a", 7), "B": {"Type": "AWS::Logs::LogGroup", "DependsOn": "A",
            "Properties": {"Nope": 1}}}});
        template["Resources"]["A"]["DeletionPolicy"] = json!(policy);
        assert_eq!(world.change("CreateStack", &template, &[("OnFailure", on_failure)]), status);
        assert_eq!(world.held().len(), left, "{on_failure} {policy}");
    }
}

#[test]
fn a_rollback_that_fails_waits_and_goes_on_without_what_is_skipped() {
    let mut world = World::new();
    let version = |days: u32| json!({"Resources": {"A": group("a", days), "B": group("b", days), "C": group("c", 7)}});
    world.create("s", &version(7));
    let mut target = version(30);
    target["Resources"]["C"]["Properties"]["Nope"] = json!(1);
    world.ask("UpdateStack", &[("StackName", "s"), ("TemplateBody", &target.to_string())]).unwrap();
    world.until("B UPDATE_IN_PROGRESS");
    world.lose_group("a");
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_ROLLBACK_FAILED");
    assert_eq!(world.member("s", "StackStatusReason"), "The following resource(s) failed to update: [A]. ");
    let body = version(60).to_string();
    world.refused(
        "UpdateStack",
        &[("StackName", "s"), ("TemplateBody", &body)],
        "ValidationError",
        "UPDATE_ROLLBACK_FAILED state and can not be updated.",
    );
    world.ask("ContinueUpdateRollback", &[("StackName", "s"), ("ResourcesToSkip.member.1", "A")]).unwrap();
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_ROLLBACK_COMPLETE");
    assert!(world.held().iter().any(|held| held.contains("\"b\",\"RetentionInDays\":7")), "{:?}", world.held());
}

#[test]
fn an_update_can_be_cancelled() {
    let mut world = World::new();
    let version = |days: u32| json!({"Resources": {"A": group("a", days), "B": group("b", days)}});
    world.create("s", &version(7));
    let held = world.held();
    world.ask("UpdateStack", &[("StackName", "s"), ("TemplateBody", &version(30).to_string())]).unwrap();
    world.until("B UPDATE_IN_PROGRESS");
    world.ask("CancelUpdateStack", &[("StackName", "s")]).unwrap();
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(world.held(), held);
    assert!(
        world.events("s").contains(&"B UPDATE_FAILED Resource update cancelled".to_owned()),
        "{:#?}",
        world.events("s")
    );
}

#[test]
fn a_cancelled_update_waits_for_a_function_that_changes() {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let version = |memory: u64| {
        json!({"Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "f-role", "AssumeRolePolicyDocument": trust}},
            "Logs": group("/aws/lambda/f", 7),
            "F": {"Type": "AWS::Lambda::Function", "DependsOn": "Logs", "Properties": {
                "FunctionName": "f", "Handler": "h", "Runtime": "provided.al2023", "MemorySize": memory,
                "Role": {"Fn::GetAtt": "Role.Arn"}, "Code": {"S3Bucket": "artifacts", "S3Key": "k"}}},
        }})
    };
    let mut world = World::new();
    let capability = [("Capabilities.member.1", "CAPABILITY_NAMED_IAM")];
    assert_eq!(world.change("CreateStack", &version(128), &capability), "CREATE_COMPLETE", "{:#?}", world.events("s"));
    let memory = |world: &World| world.account.services.lambda.functions().next().map(|one| one.memory_mib);
    let body = version(512).to_string();
    world.ask("UpdateStack", &[&[("StackName", "s"), ("TemplateBody", &body)][..], &capability].concat()).unwrap();
    while memory(&world) != Some(512) {
        assert!(world.step());
    }
    world.ask("CancelUpdateStack", &[("StackName", "s")]).unwrap();
    assert_eq!(world.status("s"), "UPDATE_IN_PROGRESS");
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_ROLLBACK_COMPLETE", "{:#?}", world.events("s"));
    assert_eq!(memory(&world), Some(128));
}

#[test]
fn a_resource_whose_own_change_is_refused_is_made_again_what_it_was() {
    let version = |body: &str, days: u32| {
        json!({"Resources": {"A": group("a", days), "B": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {
            "DashboardName": "b", "DashboardBody": body}}}})
    };
    let mut world = World::new();
    world.create("s", &version("{}", 7));
    let held = world.held();
    let before = world.events("s").len();
    assert_eq!(world.update("s", &version("{", 30)), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(world.held(), held);
    let events = world.events("s").split_off(before);
    let told: Vec<&str> = events.iter().map(|event| event.split(" The ").next().unwrap_or_default()).collect();
    assert_eq!(
        told,
        [
            "s UPDATE_IN_PROGRESS User Initiated",
            "A UPDATE_IN_PROGRESS",
            "A UPDATE_COMPLETE",
            "B UPDATE_IN_PROGRESS",
            "B UPDATE_FAILED",
            "s UPDATE_ROLLBACK_IN_PROGRESS",
            "B UPDATE_IN_PROGRESS",
            "B UPDATE_COMPLETE",
            "A UPDATE_IN_PROGRESS",
            "A UPDATE_COMPLETE",
            "s UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "s UPDATE_ROLLBACK_COMPLETE",
        ]
    );
    let calls = |world: &World| world.account.meter().calls()[&("kept", "Update")].ok;
    assert_eq!(calls(&world), 3, "A forth and back, B back");
}
