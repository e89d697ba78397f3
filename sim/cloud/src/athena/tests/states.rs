//! The API: states, results, limits.

use std::time::Duration;

use serde_json::{Value, json};

use super::World;

fn states(world: &mut World, id: &str) -> Vec<String> {
    let mut states = Vec::new();
    for _ in 0..400 {
        let state = world.describe(id)["Status"]["State"].as_str().expect("a state").to_owned();
        if states.last() != Some(&state) {
            states.push(state);
        }
        world.now += Duration::from_millis(5);
        while let Some(wake) = world.parts.timers.pop_due(world.now) {
            let mut cx = world.parts.cx(world.now, &world.caller);
            world.athena.wake(&mut cx, &mut world.catalog, &mut world.objects, wake.token);
        }
    }
    states
}

#[test]
fn a_query_is_queued_then_runs_then_succeeds_in_simulated_time() {
    let mut world = World::new();
    let before = world.now;
    let id = world.start("SELECT count(*) FROM processed").unwrap();
    assert_eq!(states(&mut world, &id), ["QUEUED", "RUNNING", "SUCCEEDED"]);
    let description = world.describe(&id);
    let statistics = &description["Statistics"];
    let total = statistics["TotalExecutionTimeInMillis"].as_u64().unwrap();
    let parts = [
        "QueryQueueTimeInMillis",
        "EngineExecutionTimeInMillis",
        "ServicePreProcessingTimeInMillis",
        "QueryPlanningTimeInMillis",
        "ServiceProcessingTimeInMillis",
    ];
    assert_eq!(parts.iter().map(|part| statistics[part].as_u64().unwrap()).sum::<u64>(), total);
    assert!((500..1_500).contains(&total), "{total} ms");
    assert_eq!(description["Status"]["SubmissionDateTime"].as_f64(), Some(before.epoch_seconds()));
    assert_eq!(description["ResultConfiguration"]["OutputLocation"], format!("s3://results/athena/{id}.csv"));
    assert_eq!(description["StatementType"], "DML");
    assert_eq!(description["EngineVersion"]["EffectiveEngineVersion"], "Athena engine version 3");
}

#[test]
fn results_come_in_pages_that_begin_with_the_names() {
    let mut world = World::new();
    let lines: String = (0..2_500).map(|n| format!("{{\"n\":{n},\"s\":\"a\\\"b,{n}\\n\"}}\n")).collect();
    world.objects.put("lake", "many/1.json", lines);
    world.table("many", super::JSON, &[("n", "int"), ("s", "string"), ("x", "string")], &[], "s3://lake/many/");
    let id = world.start("SELECT n, s, x FROM many ORDER BY n").unwrap();
    let early = world.call("GetQueryResults", json!({ "QueryExecutionId": id })).unwrap_err();
    assert_eq!(early.message, "Query has not yet finished. Current state: QUEUED");
    world.settle();
    let (mut token, mut rows, mut pages) = (Value::Null, Vec::new(), Vec::new());
    loop {
        let mut request = json!({ "QueryExecutionId": id });
        if token.is_string() {
            request["NextToken"] = token;
        }
        let answer = world.call("GetQueryResults", request).unwrap();
        let page = answer["ResultSet"]["Rows"].as_array().unwrap().clone();
        pages.push(page.len());
        rows.extend(page);
        token = answer["NextToken"].clone();
        if token.is_null() {
            let columns = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"].as_array().unwrap();
            let types: Vec<&str> = columns.iter().map(|column| column["Type"].as_str().unwrap()).collect();
            assert_eq!(types, ["integer", "varchar", "varchar"]);
            break;
        }
    }
    assert_eq!(pages, [1_000, 1_000, 501]);
    assert_eq!(rows[0], json!({ "Data": [{ "VarCharValue": "n" }, { "VarCharValue": "s" }, { "VarCharValue": "x" }] }));
    assert_eq!(rows[2_500], json!({ "Data": [{ "VarCharValue": "2499" }, { "VarCharValue": "a\"b,2499\n" }, {}] }));
    let few = world.call("GetQueryResults", json!({ "QueryExecutionId": id, "MaxResults": 2 })).unwrap();
    assert_eq!(few["ResultSet"]["Rows"].as_array().unwrap().len(), 2);
    assert!(world.call("GetQueryResults", json!({ "QueryExecutionId": id, "MaxResults": 1_001 })).is_err());
    assert!(world.call("GetQueryResults", json!({ "QueryExecutionId": id, "NextToken": "x" })).is_err());
}

#[test]
fn types_have_athenas_names() {
    let mut world = World::new();
    let id = world.start("SELECT *, now() AS w, 1.50 AS c, count(*) OVER () AS k FROM flat").unwrap();
    world.settle();
    let answer = world.call("GetQueryResults", json!({ "QueryExecutionId": id })).unwrap();
    let columns = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"].as_array().unwrap().clone();
    let types: Vec<(&str, &str)> =
        columns.iter().map(|c| (c["Name"].as_str().unwrap(), c["Type"].as_str().unwrap())).collect();
    assert_eq!(
        types,
        [
            ("n", "integer"),
            ("s", "varchar"),
            ("d", "double"),
            ("t", "boolean"),
            ("m", "map"),
            ("a", "array"),
            ("r", "row"),
            ("day", "date"),
            ("at", "timestamp"),
            ("f", "float"),
            ("w", "timestamp with time zone"),
            ("c", "decimal"),
            ("k", "bigint"),
        ]
    );
    assert_eq!(
        columns[0],
        json!({
            "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": "n", "Label": "n", "Type": "integer",
            "Precision": 10, "Scale": 0, "Nullable": "UNKNOWN", "CaseSensitive": false,
        })
    );
}

#[test]
fn a_query_that_would_read_too_much_is_cancelled() {
    let mut world = World::new();
    let rows: Vec<super::Reading> = (0..2_000_000).map(super::Reading::nth).collect();
    world.objects.put("lake", "processed/2026/03/01/03/big.parquet", super::parquet(&rows, 500_000));
    world.workgroup(json!({ "Name": "thrifty", "WorkGroupConfiguration": {
        "BytesScannedCutoffPerQuery": 10_000_000, "ResultConfiguration": { "OutputLocation": "s3://results/x" } } }));
    let body = json!({ "QueryString": "SELECT max(seq), max(ts), max(received_at) FROM processed", "WorkGroup": "thrifty",
        "QueryExecutionContext": { "Database": "iot" } });
    let id = world.call("StartQueryExecution", body).unwrap()["QueryExecutionId"].as_str().unwrap().to_owned();
    world.settle();
    let description = world.describe(&id);
    assert_eq!(description["Status"]["State"], "CANCELLED");
    assert!(description["Status"]["StateChangeReason"].as_str().unwrap().contains("Bytes scanned limit was exceeded"));
    assert_eq!(description["Statistics"]["DataScannedInBytes"], 10_000_000);
    let refused = world.provision(
        "AWS::Athena::WorkGroup",
        json!({ "Name": "w", "WorkGroupConfiguration": {
        "BytesScannedCutoffPerQuery": 9_999_999 } }),
    );
    assert!(refused.unwrap_err().message.contains("at least 10000000"));
}

#[test]
fn a_stopped_query_is_cancelled_and_writes_nothing() {
    let mut world = World::new();
    let id = world.start("SELECT 1").unwrap();
    world.call("StopQueryExecution", json!({ "QueryExecutionId": id })).unwrap();
    world.settle();
    let description = world.describe(&id);
    assert_eq!(description["Status"]["State"], "CANCELLED");
    assert!(world.objects.buckets["results"].is_empty());
    let error = world.call("GetQueryResults", json!({ "QueryExecutionId": id })).unwrap_err();
    assert_eq!(error.message, "Query did not finish successfully. Final query state: CANCELLED");
    // Stopping what has ended changes nothing.
    world.call("StopQueryExecution", json!({ "QueryExecutionId": id })).unwrap();
}

#[test]
fn a_request_token_starts_one_query() {
    let mut world = World::new();
    let request =
        |sql: &str| json!({ "QueryString": sql, "WorkGroup": "analysts", "ClientRequestToken": "0".repeat(36) });
    let first = world.call("StartQueryExecution", request("SELECT 1")).unwrap();
    assert_eq!(world.call("StartQueryExecution", request("SELECT 1")).unwrap(), first);
    let error = world.call("StartQueryExecution", request("SELECT 2")).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("InvalidRequestException", "Idempotent parameters do not match"));
    let short = json!({ "QueryString": "SELECT 1", "WorkGroup": "analysts", "ClientRequestToken": "short" });
    assert_eq!(world.call("StartQueryExecution", short).unwrap_err().code, "InvalidRequestException");
}

#[test]
fn results_need_a_location_and_a_bucket() {
    let mut world = World::new();
    let message = |world: &mut World, body: Value| world.call("StartQueryExecution", body).unwrap_err().message;
    let none = message(&mut world, json!({ "QueryString": "SELECT 1" }));
    assert!(none.starts_with("No output location provided."), "{none}");
    let unknown = message(&mut world, json!({ "QueryString": "SELECT 1", "WorkGroup": "nope" }));
    assert_eq!(unknown, "WorkGroup nope is not found.");
    let bucket = json!({ "QueryString": "SELECT 1", "ResultConfiguration": { "OutputLocation": "s3://absent/x/" } });
    assert_eq!(message(&mut world, bucket), "Unable to verify/create output bucket absent");
    world.workgroup(json!({ "Name": "closed", "State": "DISABLED", "WorkGroupConfiguration": {
        "ResultConfiguration": { "OutputLocation": "s3://results/" } } }));
    let closed = message(&mut world, json!({ "QueryString": "SELECT 1", "WorkGroup": "closed" }));
    assert_eq!(closed, "WorkGroup closed is disabled.");
    // An enforced workgroup decides; `primary` leaves the choice to the client.
    let asked = json!({ "QueryString": "SELECT 1", "WorkGroup": "analysts",
        "ResultConfiguration": { "OutputLocation": "s3://results/mine/" } });
    let id = world.call("StartQueryExecution", asked).unwrap()["QueryExecutionId"].as_str().unwrap().to_owned();
    assert_eq!(world.describe(&id)["ResultConfiguration"]["OutputLocation"], format!("s3://results/athena/{id}.csv"));
    let own = json!({ "QueryString": "SELECT 1", "ResultConfiguration": { "OutputLocation": "s3://results/mine" } });
    let id = world.call("StartQueryExecution", own).unwrap()["QueryExecutionId"].as_str().unwrap().to_owned();
    assert_eq!(world.describe(&id)["ResultConfiguration"]["OutputLocation"], format!("s3://results/mine/{id}.csv"));
}

#[test]
fn active_queries_and_calls_are_limited() {
    let mut world = World::new();
    let most = world.parts.limits.get("athena", "active_dml_queries");
    for _ in 0..most {
        world.start("SELECT 1").unwrap();
    }
    let error = world.start("SELECT 1").unwrap_err();
    assert_eq!(error.code, "TooManyRequestsException");
    assert_eq!(error.extra, [("Reason", "CONCURRENT_QUERY_LIMIT_EXCEEDED".into())]);
    world.settle();
    world.start("SELECT 1").unwrap();
    let list = |world: &mut World| world.call("ListQueryExecutions", json!({ "WorkGroup": "analysts" }));
    let rate = world.parts.limits.get("athena", "list_query_executions");
    for _ in 0..rate {
        list(&mut world).unwrap();
    }
    assert_eq!(list(&mut world).unwrap_err().code, "ThrottlingException");
    world.now += Duration::from_secs(1);
    assert!(list(&mut world).is_ok());
    let throttled = world.parts.meter.calls()[&("athena", "ListQueryExecutions")].throttled;
    assert_eq!(throttled, 1);
}

#[test]
fn long_statements_are_refused() {
    let mut world = World::new();
    let limit = usize::try_from(world.parts.limits.get("athena", "query_string")).unwrap();
    let padded = |length: usize| format!("SELECT 1{}", " ".repeat(length - 8));
    assert!(world.start(&padded(limit)).is_ok());
    assert_eq!(world.start(&padded(limit + 1)).unwrap_err().code, "InvalidRequestException");
}

#[test]
fn queries_are_listed_newest_first_and_described_in_batches() {
    let mut world = World::new();
    let ids: Vec<String> = (0..3).map(|n| world.start(&format!("SELECT {n}")).unwrap()).collect();
    let page = world.call("ListQueryExecutions", json!({ "WorkGroup": "analysts", "MaxResults": 2 })).unwrap();
    assert_eq!(page["QueryExecutionIds"], json!([ids[2], ids[1]]));
    let rest = json!({ "WorkGroup": "analysts", "NextToken": page["NextToken"] });
    assert_eq!(world.call("ListQueryExecutions", rest).unwrap()["QueryExecutionIds"], json!([ids[0]]));
    let batch = world.call("BatchGetQueryExecution", json!({ "QueryExecutionIds": [ids[0], "nope"] })).unwrap();
    assert_eq!(batch["QueryExecutions"][0]["Query"], "SELECT 0");
    assert_eq!(batch["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"], "nope");
    let error = world.call("GetQueryExecution", json!({ "QueryExecutionId": "nope" })).unwrap_err();
    assert_eq!(error.message, "QueryExecution nope was not found");
}

#[test]
fn workgroups_and_named_queries_come_from_templates() {
    let mut world = World::new();
    let created = world.provision(
        "AWS::Athena::NamedQuery",
        json!({
        "Name": "last", "Description": "d", "Database": "iot", "WorkGroup": "analysts", "QueryString": "SELECT 1" }),
    );
    let created = created.unwrap();
    assert_eq!(created.physical_id, "last");
    let id = &created.attributes["NamedQueryId"];
    let listed = world.call("ListNamedQueries", json!({ "WorkGroup": "analysts" })).unwrap();
    assert_eq!(listed["NamedQueryIds"], json!([id]));
    let query = world.call("GetNamedQuery", json!({ "NamedQueryId": id })).unwrap();
    assert_eq!(query["NamedQuery"]["QueryString"], "SELECT 1");
    let groups = world.call("ListWorkGroups", json!({})).unwrap();
    let names: Vec<&str> =
        groups["WorkGroups"].as_array().unwrap().iter().map(|g| g["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["analysts", "primary"]);
    let group = world.call("GetWorkGroup", json!({ "WorkGroup": "analysts" })).unwrap();
    assert_eq!(group["WorkGroup"]["Configuration"]["ResultConfiguration"]["OutputLocation"], "s3://results/athena/");
    assert_eq!(group["WorkGroup"]["State"], "ENABLED");
    let broken = json!({ "Name": "b", "Database": "iot", "WorkGroup": "analysts", "QueryString": "SELEC" });
    assert!(world.provision("AWS::Athena::NamedQuery", broken).is_err());
    let unknown = json!({ "Name": "w", "Frobnicate": 1 });
    assert!(world.provision("AWS::Athena::WorkGroup", unknown).unwrap_err().message.contains("Frobnicate"));
    assert!(world.provision("AWS::Athena::DataCatalog", json!({})).is_err());
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let mut world = World::new();
    let refused = |world: &mut World, operation: &str, body: Value| world.call(operation, body).unwrap_err();
    let error = refused(&mut world, "CreateWorkGroup", json!({ "Name": "x" }));
    assert_eq!((error.code, error.status), ("NotImplemented", 501));
    assert!(error.message.contains("athena CreateWorkGroup"));
    assert_eq!(refused(&mut world, "Frobnicate", json!({})).code, "UnknownOperationException");
    let body = json!({ "QueryString": "SELECT ?", "WorkGroup": "analysts", "ExecutionParameters": ["1"] });
    assert!(refused(&mut world, "StartQueryExecution", body).message.contains("ExecutionParameters"));
    let body = json!({ "QueryString": 7 });
    assert_eq!(refused(&mut world, "StartQueryExecution", body).code, "SerializationException");
    let body = json!({ "WorkGroup": "analysts" });
    assert!(refused(&mut world, "StartQueryExecution", body).message.contains("queryString"));
}

#[test]
fn a_failed_query_tells_category_and_type() {
    let mut world = World::new();
    let (description, _) = world.run("SELECT * FROM nope");
    assert_eq!(
        description["Status"]["AthenaError"],
        json!({
            "ErrorCategory": 2, "ErrorType": 1110, "Retryable": false,
            "ErrorMessage": "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.iot.nope' does not exist",
        })
    );
    assert_eq!(description["Statistics"]["DataScannedInBytes"], 0);
}
