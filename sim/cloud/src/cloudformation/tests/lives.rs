//! Creation, update, replacement, deletion, exports.

use serde_json::json;

use super::*;
use crate::cloudformation::create_stack;
use crate::core::ports::Objects as _;

#[test]
fn a_creation_tells_of_every_step_and_takes_time() {
    let mut world = World::new();
    let begun = world.now;
    let template = json!({
        "Resources": {"Alarm": alarm("a", &json!({"Ref": "Group"})), "Group": group("g", 7)},
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": "Group.Arn"}, "Description": "d"}},
    });
    world.ask("CreateStack", &[("StackName", "s"), ("TemplateBody", &template.to_string())]).unwrap();
    assert_eq!(world.status("s"), "CREATE_IN_PROGRESS");
    assert_eq!(world.held(), Vec::<String>::new());
    world.settle();
    assert!(world.now.since(begun).as_secs() >= 3, "{:?}", world.now.since(begun));
    assert_eq!(
        world.events("s"),
        [
            "s CREATE_IN_PROGRESS User Initiated",
            "Group CREATE_IN_PROGRESS",
            "Group CREATE_IN_PROGRESS Resource creation Initiated",
            "Group CREATE_COMPLETE",
            "Alarm CREATE_IN_PROGRESS",
            "Alarm CREATE_IN_PROGRESS Resource creation Initiated",
            "Alarm CREATE_COMPLETE",
            "s CREATE_COMPLETE",
        ]
    );
    assert_eq!(world.output("s"), "arn:aws:logs:eu-west-1:123456789012:log-group:g:*");
    assert!(world.held()[1].contains("\"AlarmDescription\":\"g\""), "{:?}", world.held());
    let xml = world.ask("DescribeStackEvents", &[("StackName", "s")]).unwrap();
    let ids: std::collections::BTreeSet<String> = texts(&xml, "EventId").into_iter().collect();
    assert_eq!(ids.len(), 8);
    assert!(ids.iter().any(|id| id.starts_with("Group-CREATE_COMPLETE-2026-03-01T00:00:01.500Z")), "{ids:?}");
}

#[test]
fn an_update_changes_in_place_replaces_and_moves_references() {
    let mut world = World::new();
    let version = |name: &str, days: u32, other_days: u32| {
        json!({"Resources": {
            "Group": group(name, days),
            "Other": group("other", other_days),
            "Alarm": alarm("a", &json!({"Ref": "Group"})),
        }})
    };
    world.create("s", &version("old", 7, 7));
    let before = world.events("s").len();
    assert_eq!(world.update("s", &version("new", 7, 30)), "UPDATE_COMPLETE");
    assert_eq!(
        world.events("s")[before..],
        [
            "s UPDATE_IN_PROGRESS User Initiated",
            "Group UPDATE_IN_PROGRESS Requested update requires the creation of a new physical resource; hence creating one.",
            "Group UPDATE_IN_PROGRESS Resource creation Initiated",
            "Group UPDATE_COMPLETE",
            "Other UPDATE_IN_PROGRESS",
            "Other UPDATE_COMPLETE",
            "Alarm UPDATE_IN_PROGRESS",
            "Alarm UPDATE_COMPLETE",
            "s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "Group DELETE_IN_PROGRESS",
            "Group DELETE_COMPLETE",
            "s UPDATE_COMPLETE",
        ]
    );
    let held = world.held();
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held[2].contains("\"AlarmDescription\":\"new\""), "{held:?}");
    let body = version("new", 7, 30).to_string();
    world.refused(
        "UpdateStack",
        &[("StackName", "s"), ("TemplateBody", &body)],
        "ValidationError",
        "No updates are to be performed.",
    );
    // What the template no longer declares goes.
    assert_eq!(world.update("s", &json!({"Resources": {"Group": group("new", 7)}})), "UPDATE_COMPLETE");
    assert_eq!(world.held().len(), 1);
    let resources = world.ask("ListStackResources", &[("StackName", "s")]).unwrap();
    assert_eq!(texts(&resources, "LogicalResourceId"), ["Group"]);
}

#[test]
fn a_resource_with_a_name_of_its_own_is_not_replaced_under_it() {
    let mut world = World::new();
    let domain = |name: &str| {
        json!({"Resources": {"Domain": {"Type": "AWS::IoT::DomainConfiguration", "Properties": {
            "DomainConfigurationName": "mine", "DomainName": name}}}})
    };
    world.create("s", &domain("a.example.com"));
    assert_eq!(world.update("s", &domain("b.example.com")), "UPDATE_ROLLBACK_COMPLETE");
    let told = "Domain UPDATE_FAILED CloudFormation cannot update a stack when a custom-named resource requires replacing. \
                Rename mine and update the stack again.";
    assert!(world.events("s").iter().any(|event| event == told), "{:#?}", world.events("s"));
}

#[test]
fn a_deletion_goes_backwards_and_heeds_policies() {
    let mut world = World::new();
    let mut kept = group("kept", 7);
    kept["DeletionPolicy"] = json!("Retain");
    let template = json!({"Resources": {
        "Group": group("g", 7), "Alarm": alarm("a", &json!({"Ref": "Group"})), "Kept": kept}});
    world.create("s", &template);
    let before = world.events("s").len();
    let id = world.member("s", "StackId");
    assert_eq!(world.delete("s"), "DELETE_COMPLETE");
    assert_eq!(
        world.events(&id)[before..],
        [
            "s DELETE_IN_PROGRESS User Initiated",
            "Alarm DELETE_IN_PROGRESS",
            "Alarm DELETE_COMPLETE",
            "Kept DELETE_SKIPPED",
            "Group DELETE_IN_PROGRESS",
            "Group DELETE_COMPLETE",
            "s DELETE_COMPLETE",
        ]
    );
    assert_eq!(world.held().len(), 1);
    world.refused("DescribeStacks", &[("StackName", "s")], "ValidationError", "Stack with id s does not exist");
    assert_eq!(world.ask("DeleteStack", &[("StackName", "s")]), Ok(String::new()));
    let listed = world.ask("ListStacks", &[("StackStatusFilter.member.1", "DELETE_COMPLETE")]).unwrap();
    assert_eq!(texts(&listed, "StackName"), ["s"]);
}

#[test]
fn a_bucket_with_objects_stays_and_can_be_let_go() {
    let mut world = World::new();
    let template = json!({"Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "full"}}, "Group": group("g", 7)}});
    world.create("s", &template);
    let put = world.account.as_owner(world.now, |s, cx| s.s3.put_object(cx, "full", "k", "x".into(), "text/plain"));
    put.unwrap();
    assert_eq!(world.delete("s"), "DELETE_FAILED");
    assert_eq!(world.member("s", "StackStatusReason"), "The following resource(s) failed to delete: [Bucket]. ");
    assert_eq!(world.held(), Vec::<String>::new());
    world.ask("DeleteStack", &[("StackName", "s"), ("RetainResources.member.1", "Bucket")]).unwrap();
    world.settle();
    world.refused("DescribeStacks", &[("StackName", "s")], "ValidationError", "does not exist");
}

#[test]
fn exports_in_use_cannot_change_or_go() {
    let mut world = World::new();
    let exporter = |name: &str| {
        json!({"Resources": {"Group": group(name, 7)},
            "Outputs": {"Name": {"Value": {"Ref": "Group"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-name"}}}}})
    };
    let importer = json!({"Resources": {"Alarm": alarm("a", &json!({"Fn::ImportValue": "base-name"}))}});
    assert_eq!(world.create("early", &importer), "ROLLBACK_COMPLETE");
    assert!(world.events("early").contains(&"Alarm CREATE_FAILED No export named base-name found.".to_owned()));
    world.create("base", &exporter("g"));
    assert_eq!(world.create("user", &importer), "CREATE_COMPLETE");
    assert!(world.held()[1].contains("\"AlarmDescription\":\"g\""));
    assert_eq!(texts(&world.ask("ListImports", &[("ExportName", "base-name")]).unwrap(), "member"), ["user"]);
    assert_eq!(texts(&world.ask("ListExports", &[]).unwrap(), "Value"), ["g"]);
    assert_eq!(world.delete("base"), "DELETE_FAILED");
    let why = "Export base-name cannot be deleted as it is in use by user";
    assert_eq!(world.member("base", "StackStatusReason"), why);
    assert_eq!(world.delete("user"), "DELETE_COMPLETE");
    assert_eq!(world.delete("base"), "DELETE_COMPLETE");

    world.create("base", &exporter("g"));
    world.create("user", &importer);
    let before = world.held();
    assert_eq!(world.update("base", &exporter("h")), "UPDATE_ROLLBACK_COMPLETE");
    let why = "base UPDATE_ROLLBACK_IN_PROGRESS Export base-name cannot be updated as it is in use by user.";
    assert!(world.events("base").contains(&why.to_owned()), "{:#?}", world.events("base"));
    assert_eq!(world.held(), before);
    let same = json!({"Resources": {"Group": group("other", 7)},
        "Outputs": {"Name": {"Value": "x", "Export": {"Name": "base-name"}}}});
    assert_eq!(world.create("rival", &same), "ROLLBACK_COMPLETE");
    assert!(world.events("rival").iter().any(|e| e.contains("base-name is already exported by stack base")));
}

#[test]
fn parameters_mappings_and_conditions_shape_a_stack() {
    let mut world = World::new();
    let template = json!({
        "Parameters": {"Env": {"Type": "String", "AllowedValues": ["dev", "prod"]}, "Secret": {"Type": "String", "NoEcho": true}},
        "Mappings": {"Days": {"dev": {"keep": 7}, "prod": {"keep": 30}}},
        "Conditions": {"Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]}},
        "Resources": {
            "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {
                "LogGroupName": {"Fn::Sub": "/${Env}"}, "RetentionInDays": {"Fn::FindInMap": ["Days", {"Ref": "Env"}, "keep"]}}},
            "Alarm": {"Type": "AWS::Logs::LogGroup", "Condition": "Prod", "Properties": {"LogGroupName": "extra"}},
        },
        "Outputs": {"Extra": {"Condition": "Prod", "Value": {"Ref": "Alarm"}}},
    })
    .to_string();
    let with =
        |env: &'static str| [("Parameters.member.1.ParameterKey", "Env"), ("Parameters.member.1.ParameterValue", env)];
    let secret = [("Parameters.member.2.ParameterKey", "Secret"), ("Parameters.member.2.ParameterValue", "x")];
    let base = [("StackName", "s"), ("TemplateBody", template.as_str())];
    world.refused("CreateStack", &base, "ValidationError", "Parameters: [Env, Secret] must have values");
    world.ask("CreateStack", &[&base[..], &with("dev"), &secret].concat()).unwrap();
    world.settle();
    assert_eq!(world.held(), ["AWS::Logs::LogGroup /dev {\"LogGroupName\":\"/dev\",\"RetentionInDays\":7}"]);
    let xml = world.ask("DescribeStacks", &[("StackName", "s")]).unwrap();
    assert_eq!(texts(&xml, "ParameterValue"), ["dev", "****"]);
    let kept = [("Parameters.member.2.ParameterKey", "Secret"), ("Parameters.member.2.UsePreviousValue", "true")];
    let again = [("StackName", "s"), ("UsePreviousTemplate", "true")];
    world.ask("UpdateStack", &[&again[..], &with("prod"), &kept].concat()).unwrap();
    world.settle();
    assert_eq!(world.held().len(), 2);
    assert_eq!(world.output("s"), "extra");
    world.ask("UpdateStack", &[&again[..], &with("dev"), &kept].concat()).unwrap();
    world.settle();
    assert_eq!(world.held().len(), 1);
}

#[test]
fn a_stack_at_once_is_there_and_its_failures_are_named() {
    let mut world = World::new();
    let create = |world: &mut World, name: &str, template: serde_json::Value| {
        create_stack(&mut world.account, world.now, name, &template.to_string()).map_err(|error| error.message)
    };
    let template = json!({"Resources": {"Group": group("g", 7)},
        "Outputs": {"Out": {"Value": {"Fn::Sub": "${Group}-x"}}}});
    let made = create(&mut world, "s", template).unwrap();
    assert_eq!((made.outputs["Out"].as_str(), made.resources["Group"].physical_id.as_str()), ("g-x", "g"));
    assert_eq!(world.status("s"), "CREATE_COMPLETE");
    assert_eq!(world.account.next_due(), None);
    let bad = json!({"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"Nmae": "x"}}}});
    let error = create(&mut world, "t", bad).unwrap_err();
    assert_eq!(
        error,
        "t Group (AWS::Logs::LogGroup): Property validation failure: [Encountered unsupported properties in {/}: [Nmae]]"
    );
    for (value, expected) in [
        (json!(5), "u1 output Out: Template format error: The Value field of every Outputs member"),
        (json!(["a"]), "must evaluate to a String, not [\"a\"]"),
        (json!({"Ref": "AWS::NoValue"}), "must evaluate to a String, not null"),
    ] {
        let name = format!("u{}", world.account.services.kept.of_kind("AWS::Logs::LogGroup").count());
        let template = json!({"Resources": {"A": group(&name, 7)}, "Outputs": {"Out": {"Value": value}}});
        let error = create(&mut world, &name, template).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
