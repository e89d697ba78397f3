//! What is replaced is told from what replaces it, and goes in the end.

use serde_json::json;

use super::*;
use crate::core::ports::Catalog as _;

/// Resources whose `Ref` stays when they are replaced, before and after, with what they need.
fn cases() -> [(Value, Value, Value); 3] {
    let stream = |group: &str| {
        json!({"Type": "AWS::Logs::LogStream", "DependsOn": ["A", "B"], "Properties": {
            "LogGroupName": group, "LogStreamName": "one"}})
    };
    let database = |name: &str| {
        json!({"Type": "AWS::Glue::Database", "Properties": {
            "CatalogId": "123456789012", "DatabaseInput": {"Name": name}}})
    };
    let table = |database: &str| {
        json!({"Type": "AWS::Glue::Table", "DependsOn": ["A", "B"], "Properties": {
            "CatalogId": "123456789012", "DatabaseName": database, "TableInput": {"Name": "one"}}})
    };
    let query = |description: &str| {
        json!({"Type": "AWS::Athena::NamedQuery", "Properties": {
            "Name": "one", "Database": "a", "QueryString": "SELECT 1", "Description": description}})
    };
    [
        (json!({"A": group("a", 7), "B": group("b", 7)}), stream("a"), stream("b")),
        (json!({"A": database("a"), "B": database("b")}), table("a"), table("b")),
        (json!({"A": group("a", 7)}), query("before"), query("after")),
    ]
}

fn template(base: &Value, it: &Value) -> Value {
    let mut resources = base.clone();
    resources["It"] = it.clone();
    json!({ "Resources": resources })
}

/// The streams, tables and named queries of the account, a line each.
fn shown(world: &mut World) -> Vec<String> {
    let kept = &world.account.services.kept;
    let mut shown: Vec<String> = kept.of_kind("AWS::Logs::LogStream").map(|(_, stream)| stream.to_string()).collect();
    let more = world.account.as_owner(world.now, |services, cx| {
        let mut more = Vec::new();
        for database in services.glue.database_names(cx) {
            let tables = services.glue.table_names(cx, &database).unwrap();
            more.extend(tables.iter().map(|table| format!("{database} {table}")));
        }
        let mut athena = |operation: &str, body: &Value| -> Value {
            let body = body.to_string();
            let (athena, glue, s3) = (&mut services.athena, &mut services.glue, &mut services.s3);
            serde_json::from_slice(&athena.call(cx, glue, s3, operation, body.as_bytes()).unwrap()).unwrap()
        };
        let ids = athena("ListNamedQueries", &json!({}))["NamedQueryIds"].clone();
        for id in ids.as_array().unwrap() {
            more.push(athena("GetNamedQuery", &json!({"NamedQueryId": id})).to_string());
        }
        more
    });
    shown.extend(more);
    shown
}

#[test]
fn a_resource_that_is_replaced_under_an_equal_ref_stays_with_the_stack() {
    for (base, before, after) in cases() {
        let mut world = World::new();
        assert_eq!(world.create("s", &template(&base, &before)), "CREATE_COMPLETE", "{:#?}", world.events("s"));
        let had = shown(&mut world);
        assert_eq!(had.len(), 1, "{had:?}");

        let mut failing = template(&base, &after);
        failing["Resources"]["Z"] =
            json!({"Type": "AWS::Logs::LogGroup", "DependsOn": "It", "Properties": {"Nope": 1}});
        assert_eq!(world.update("s", &failing), "UPDATE_ROLLBACK_COMPLETE");
        assert_eq!(shown(&mut world), had, "undone");

        assert_eq!(world.update("s", &template(&base, &after)), "UPDATE_COMPLETE");
        let has = shown(&mut world);
        assert!(has.len() == 1 && has != had, "{has:?}");
        let resources = world.ask("ListStackResources", &[("StackName", "s")]).unwrap();
        assert!(texts(&resources, "LogicalResourceId").contains(&"It".to_owned()), "{resources}");
        world.delete("s");
        assert_eq!(shown(&mut world), Vec::<String>::new());
    }
}

#[test]
fn what_is_replaced_stays_only_if_its_policy_for_that_says_so() {
    for (policy, left) in [("UpdateReplacePolicy", 2), ("DeletionPolicy", 1)] {
        for (base, mut before, mut after) in cases() {
            before[policy] = json!("Retain");
            after[policy] = json!("Retain");
            let mut world = World::new();
            world.create("s", &template(&base, &before));
            assert_eq!(world.update("s", &template(&base, &after)), "UPDATE_COMPLETE");
            assert_eq!(shown(&mut world).len(), left, "{policy} {base}");
        }
    }
}

/// `A` under this name, `B` with so many days.
fn version(name: &str, days: u32) -> Value {
    json!({"Resources": {"A": group(name, 7), "B": group("b", days)}})
}

/// The names of the log groups.
fn groups(world: &World) -> Vec<String> {
    world.account.services.kept.of_kind("AWS::Logs::LogGroup").map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn what_was_replaced_before_a_failure_that_was_left_goes_with_the_next_operation() {
    let mut failing = version("a2", 7);
    failing["Resources"]["B"]["Properties"]["Nope"] = json!(1);
    let left = || {
        let mut world = World::new();
        world.create("s", &version("a", 7));
        assert_eq!(world.change("UpdateStack", &failing, &[("DisableRollback", "true")]), "UPDATE_FAILED");
        assert_eq!(groups(&world), ["a", "a2", "b"]);
        world
    };
    let mut world = left();
    assert_eq!(world.update("s", &version("a2", 30)), "UPDATE_COMPLETE");
    assert_eq!(groups(&world), ["a2", "b"]);

    let mut world = left();
    let mut again = failing.clone();
    again["Resources"]["B"]["Properties"]["RetentionInDays"] = json!(30);
    assert_eq!(world.update("s", &again), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(groups(&world), ["a2", "b"]);

    let mut world = left();
    assert_eq!(world.delete("s"), "DELETE_COMPLETE");
    assert_eq!(groups(&world), Vec::<String>::new());
}

#[test]
fn a_stack_whose_rollback_failed_is_deleted_with_what_was_new_in_it() {
    let mut world = World::new();
    world.create("s", &version("a", 7));
    let mut failing = version("a2", 30);
    failing["Resources"]["Added"] = group("added", 7);
    failing["Resources"]["Last"] =
        json!({"Type": "AWS::Logs::LogGroup", "DependsOn": "Added", "Properties": {"Nope": 1}});
    world.ask("UpdateStack", &[("StackName", "s"), ("TemplateBody", &failing.to_string())]).unwrap();
    world.until("Added CREATE_IN_PROGRESS");
    world.lose_group("b");
    world.settle();
    assert_eq!(world.status("s"), "UPDATE_ROLLBACK_FAILED");
    assert_eq!(groups(&world), ["a", "a2", "added"]);
    assert_eq!(world.delete("s"), "DELETE_COMPLETE");
    assert_eq!(groups(&world), Vec::<String>::new());
}
