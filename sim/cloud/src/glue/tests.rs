use serde_json::{Value, json};

use super::*;
use crate::core::Principal;
use crate::core::cx::CxParts;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

/// A catalog and what a call needs.
struct Fixture {
    glue: Glue,
    parts: CxParts,
    caller: Principal,
    now: Time,
}

impl Fixture {
    fn new() -> Self {
        Fixture {
            glue: Glue::new(),
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng()),
            caller: Principal::new("arn:aws:iam::123456789012:user/tester"),
            now: Time::from_unix_secs(1_772_323_200),
        }
    }

    fn call(&mut self, operation: &str, body: &Value) -> Result<Value, AwsError> {
        let mut cx = self.parts.cx(self.now, &self.caller);
        let answer = self.glue.call(&mut cx, operation, body.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    fn code(&mut self, operation: &str, body: &Value) -> &'static str {
        self.call(operation, body).unwrap_err().code
    }
}

fn readings(location: &str) -> Value {
    json!({
        "Name": "Readings",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "projection.enabled": "true"},
        "PartitionKeys": [{"Name": "tenant", "Type": "string"}, {"Name": "day", "Type": "string"}],
        "StorageDescriptor": {
            "Columns": [{"Name": "Seq", "Type": "BIGINT", "Comment": "counts"}, {"Name": "metrics", "Type": "map<string,double>"}],
            "Location": location,
            "InputFormat": "in",
            "OutputFormat": "out",
            "SerdeInfo": {"SerializationLibrary": "serde", "Parameters": {"a": "b"}},
        },
    })
}

fn with_table() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.call("CreateDatabase", &json!({"DatabaseInput": {"Name": "IoT"}})).unwrap();
    fixture.call("CreateTable", &json!({"DatabaseName": "iot", "TableInput": readings("s3://a/")})).unwrap();
    fixture
}

#[test]
fn names_are_folded_to_lower_case() {
    let mut fixture = with_table();
    assert_eq!(fixture.call("GetDatabase", &json!({"Name": "IOT"})).unwrap()["Database"]["Name"], "iot");
    let table = fixture.call("GetTable", &json!({"DatabaseName": "Iot", "Name": "READINGS"})).unwrap()["Table"].clone();
    assert_eq!((&table["Name"], &table["DatabaseName"]), (&json!("readings"), &json!("iot")));
    assert_eq!((&table["VersionId"], &table["CatalogId"]), (&json!("0"), &json!("123456789012")));
    assert_eq!(table["CreateTime"], json!(1_772_323_200.0));
    assert_eq!(table["StorageDescriptor"]["Columns"][0]["Comment"], "counts");
    assert_eq!(table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"], "serde");
}

#[test]
fn other_services_read_the_same_table() {
    let mut fixture = with_table();
    let mut cx = fixture.parts.cx(fixture.now, &fixture.caller);
    let table = fixture.glue.get_table(&mut cx, "IoT", "Readings").unwrap();
    let columns: Vec<(&str, &str)> = table.columns.iter().map(|c| (&*c.name, &*c.hive_type)).collect();
    assert_eq!(columns, [("seq", "bigint"), ("metrics", "map<string,double>")]);
    assert_eq!(table.partition_keys.len(), 2);
    assert_eq!((&*table.location, &*table.input_format, &*table.serialization_library), ("s3://a/", "in", "serde"));
    assert_eq!(table.parameters["projection.enabled"], "true");
    assert_eq!(table.serde_parameters["a"], "b");
    assert_eq!(fixture.glue.table_names(&mut cx, "iot").unwrap(), ["readings"]);
    assert_eq!(fixture.glue.database_names(&mut cx), ["iot"]);
    assert_eq!(fixture.glue.get_table(&mut cx, "iot", "nope").unwrap_err().message, "Table nope not found.");
    assert_eq!(fixture.glue.table_names(&mut cx, "nope").unwrap_err().message, "Database nope not found.");
    let calls = fixture.parts.meter.calls();
    assert_eq!((calls[&("glue", "GetTable")].ok, calls[&("glue", "GetTable")].error), (1, 1));
}

#[test]
fn an_update_makes_a_version_and_keeps_the_old_one() {
    let mut fixture = with_table();
    let update = |location: &str, more: Value| {
        let mut body = json!({"DatabaseName": "iot", "TableInput": readings(location)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    fixture.call("UpdateTable", &update("s3://b/", json!({}))).unwrap();
    fixture.call("UpdateTable", &update("s3://c/", json!({"SkipArchive": true, "VersionId": "1"}))).unwrap();
    let stale = fixture.code("UpdateTable", &update("s3://d/", json!({"VersionId": "1"})));
    assert_eq!(stale, "ConcurrentModificationException");
    let versions = fixture.call("GetTableVersions", &json!({"DatabaseName": "iot", "TableName": "readings"})).unwrap();
    let seen: Vec<(&str, &str)> = versions["TableVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["VersionId"].as_str().unwrap(), v["Table"]["StorageDescriptor"]["Location"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [("2", "s3://c/"), ("0", "s3://a/")]);
    let wanted = json!({"DatabaseName": "iot", "TableName": "readings", "VersionId": "0"});
    assert_eq!(fixture.call("GetTableVersion", &wanted).unwrap()["TableVersion"]["Table"]["VersionId"], "0");
    let mut cx = fixture.parts.cx(fixture.now, &fixture.caller);
    let current = fixture.glue.get_table(&mut cx, "iot", "readings").unwrap();
    assert_eq!((&*current.version_id, &*current.location), ("2", "s3://c/"));
}

#[test]
fn pages_put_together_are_all_tables() {
    let mut fixture = Fixture::new();
    fixture.call("CreateDatabase", &json!({"DatabaseInput": {"Name": "iot"}})).unwrap();
    for n in 0..7 {
        let input = json!({"DatabaseName": "iot", "TableInput": {"Name": format!("t{n}")}});
        fixture.call("CreateTable", &input).unwrap();
    }
    let (mut names, mut token) = (Vec::new(), None::<Value>);
    let mut pages = 0;
    loop {
        let mut body = json!({"DatabaseName": "iot", "MaxResults": 3});
        if let Some(token) = &token {
            body["NextToken"] = token.clone();
        }
        let answer = fixture.call("GetTables", &body).unwrap();
        names.extend(answer["TableList"].as_array().unwrap().iter().map(|t| t["Name"].as_str().unwrap().to_owned()));
        pages += 1;
        token = answer.get("NextToken").cloned();
        if token.is_none() {
            break;
        }
    }
    assert_eq!((names.join(" ").as_str(), pages), ("t0 t1 t2 t3 t4 t5 t6", 3));
}

#[test]
fn a_listing_goes_on_when_its_last_item_is_gone() {
    let mut fixture = Fixture::new();
    fixture.call("CreateDatabase", &json!({"DatabaseInput": {"Name": "iot"}})).unwrap();
    for name in ["a", "b", "c", "d"] {
        fixture.call("CreateTable", &json!({"DatabaseName": "iot", "TableInput": {"Name": name}})).unwrap();
    }
    let page = |fixture: &mut Fixture, token: Option<&Value>| {
        let mut body = json!({"DatabaseName": "iot", "MaxResults": 2});
        body.as_object_mut().unwrap().extend(token.map(|token| ("NextToken".to_owned(), token.clone())));
        let answer = fixture.call("GetTables", &body).unwrap();
        let names: Vec<Value> = answer["TableList"].as_array().unwrap().iter().map(|t| t["Name"].clone()).collect();
        (json!(names), answer.get("NextToken").cloned())
    };
    let (names, token) = page(&mut fixture, None);
    assert_eq!(names, json!(["a", "b"]));
    fixture.call("DeleteTable", &json!({"DatabaseName": "iot", "Name": "b"})).unwrap();
    assert_eq!(page(&mut fixture, token.as_ref()), (json!(["c", "d"]), None));
}

#[test]
fn versions_are_paged_from_the_newest_even_when_one_is_replaced() {
    let mut fixture = with_table();
    let update = |skip: bool| json!({"DatabaseName": "iot", "TableInput": readings("s3://b/"), "SkipArchive": skip});
    // The ninth and the tenth update show that versions are ordered as numbers.
    for _ in 0..10 {
        fixture.call("UpdateTable", &update(false)).unwrap();
    }
    let page = |fixture: &mut Fixture, token: Option<&Value>| {
        let mut body = json!({"DatabaseName": "iot", "TableName": "readings", "MaxResults": 1});
        body.as_object_mut().unwrap().extend(token.map(|token| ("NextToken".to_owned(), token.clone())));
        let answer = fixture.call("GetTableVersions", &body).unwrap();
        (answer["TableVersions"][0]["VersionId"].clone(), answer.get("NextToken").cloned())
    };
    let (first, token) = page(&mut fixture, None);
    assert_eq!(first, "10");
    fixture.call("UpdateTable", &update(true)).unwrap();
    let (second, token) = page(&mut fixture, token.as_ref());
    assert_eq!(second, "9");
    let mut rest = Vec::new();
    let mut token = token;
    while token.is_some() {
        let (version, next) = page(&mut fixture, token.as_ref());
        rest.push(version);
        token = next;
    }
    assert_eq!(json!(rest), json!(["8", "7", "6", "5", "4", "3", "2", "1", "0"]));
}

#[test]
fn partitions_are_never_registered_and_say_so() {
    let mut fixture = with_table();
    let table = json!({"DatabaseName": "iot", "TableName": "readings"});
    assert_eq!(fixture.call("GetPartitions", &table).unwrap(), json!({"Partitions": []}));
    let mut one = table.clone();
    one["PartitionValues"] = json!(["acme", "2026-03-01"]);
    let error = fixture.call("GetPartition", &one).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("EntityNotFoundException", "Cannot find partition."));
    let mut batch = table.clone();
    batch["PartitionsToGet"] = json!([{"Values": ["acme", "2026-03-01"]}]);
    assert_eq!(fixture.call("BatchGetPartition", &batch).unwrap()["Partitions"], json!([]));
    batch["PartitionsToGet"] = json!([{"Values": ["acme"]}]);
    assert_eq!(fixture.code("BatchGetPartition", &batch), "InvalidInputException");
    let mut filtered = table;
    filtered["Expression"] = json!("tenant = 'acme'");
    assert_eq!(fixture.code("GetPartitions", &filtered), "NotImplemented");
}

#[test]
fn deleted_things_are_gone() {
    let mut fixture = with_table();
    let table = json!({"DatabaseName": "iot", "Name": "readings"});
    fixture.call("DeleteTable", &table).unwrap();
    assert_eq!(fixture.code("GetTable", &table), "EntityNotFoundException");
    assert_eq!(fixture.code("DeleteTable", &table), "EntityNotFoundException");
    fixture.call("DeleteDatabase", &json!({"Name": "iot"})).unwrap();
    assert_eq!(fixture.call("GetDatabase", &json!({"Name": "iot"})).unwrap_err().message, "Database iot not found.");
}

#[test]
fn refusals_have_the_code_of_their_reason() {
    let mut fixture = with_table();
    let long = "x".repeat(256);
    for (operation, body, code) in [
        ("CreateDatabase", json!({"DatabaseInput": {"Name": "iot"}}), "AlreadyExistsException"),
        ("CreateDatabase", json!({"DatabaseInput": {"Name": long}}), "InvalidInputException"),
        ("CreateDatabase", json!({"DatabaseInput": {"Name": ""}}), "InvalidInputException"),
        ("CreateDatabase", json!({"DatabaseInput": {}}), "InvalidInputException"),
        ("CreateDatabase", json!({"DatabaseInput": {"Name": 7}}), "SerializationException"),
        ("CreateDatabase", json!({"DatabaseInput": {"Name": "x"}, "Tags": {}}), "NotImplemented"),
        ("CreateTable", json!({"DatabaseName": "iot", "TableInput": readings("s3://a/")}), "AlreadyExistsException"),
        ("CreateTable", json!({"DatabaseName": "no", "TableInput": readings("s3://a/")}), "EntityNotFoundException"),
        (
            "CreateTable",
            json!({"DatabaseName": "iot", "TableInput": {"Name": "v", "TableType": "VIRTUAL_VIEW"}}),
            "NotImplemented",
        ),
        ("GetDatabases", json!({"MaxResults": 101}), "InvalidInputException"),
        ("GetDatabases", json!({"CatalogId": "210987654321"}), "NotImplemented"),
        ("GetTables", json!({"DatabaseName": "iot", "Expression": "r*"}), "NotImplemented"),
        ("CreatePartition", json!({}), "NotImplemented"),
        ("DoMagic", json!({}), "UnknownOperationException"),
    ] {
        assert_eq!(fixture.code(operation, &body), code, "{operation} {body}");
    }
}

#[test]
fn templates_create_databases_and_tables() {
    let mut fixture = Fixture::new();
    let mut provision = |kind: &str, properties: Value| {
        let resource =
            Resource { stack: "store".to_owned(), logical_id: "Thing".to_owned(), kind: kind.to_owned(), properties };
        fixture.glue.provision(&mut fixture.parts.cx(fixture.now, &fixture.caller), &resource)
    };
    let database = json!({"CatalogId": "123456789012", "DatabaseInput": {"Name": "lake", "Description": "all"}});
    assert_eq!(provision("AWS::Glue::Database", database).unwrap().physical_id, "lake");
    let table = json!({"CatalogId": "123456789012", "DatabaseName": "lake", "TableInput": readings("s3://a/")});
    assert_eq!(provision("AWS::Glue::Table", table.clone()).unwrap().physical_id, "readings");
    assert_eq!(provision("AWS::Glue::Table", table.clone()).unwrap_err().code, "AlreadyExistsException");
    let mut unknown = table;
    unknown["OpenTableFormatInput"] = json!({});
    let error = provision("AWS::Glue::Table", unknown).unwrap_err();
    assert!(error.message.contains("store Thing (AWS::Glue::Table)") && error.message.contains("OpenTableFormatInput"));
    assert!(provision("AWS::Glue::Crawler", json!({})).is_err());
}
