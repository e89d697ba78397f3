//! The service as its callers see it: JSON in, JSON out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::DynamoDb;
use crate::core::cx::CxParts;
use crate::core::disturb::Plan;
use crate::core::meter::Calls;
use crate::core::{AwsError, Principal, Provisioned, Resource};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

struct Bench {
    parts: CxParts,
    dynamodb: DynamoDb,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        Bench { parts, dynamodb: DynamoDb::new(), now: Time::from_unix_secs(1_800_000_000) }
    }

    /// With the table `directory`, keyed by the text `device`.
    fn with_directory() -> Self {
        let mut bench = Bench::new();
        bench.provision(table("directory", &[("device", "S")])).unwrap();
        bench
    }

    fn provision(&mut self, properties: Value) -> Result<Provisioned, AwsError> {
        let owner = Principal::new("owner");
        let resource = Resource {
            stack: "stack".to_owned(),
            logical_id: "Table".to_owned(),
            kind: "AWS::DynamoDB::Table".to_owned(),
            properties,
        };
        self.dynamodb.provision(&mut self.parts.cx(self.now, &owner), &resource)
    }

    fn call(&mut self, operation: &str, request: Value) -> Result<Value, AwsError> {
        let caller = Principal::new("caller");
        let mut cx = self.parts.cx(self.now, &caller);
        let answer = self.dynamodb.call(&mut cx, operation, request.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    fn put(&mut self, item: Value) -> Result<Value, AwsError> {
        self.call("PutItem", json!({ "TableName": "directory", "Item": item }))
    }

    fn get(&mut self, device: &str) -> Value {
        let key = json!({ "device": { "S": device } });
        self.call("GetItem", json!({ "TableName": "directory", "Key": key })).unwrap()
    }
}

/// Properties of a table with these keys: (name, type).
fn table(name: &str, keys: &[(&str, &str)]) -> Value {
    let definitions: Vec<Value> =
        keys.iter().map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind })).collect();
    let schema: Vec<Value> = keys
        .iter()
        .zip(["HASH", "RANGE"])
        .map(|((name, _), kind)| json!({ "AttributeName": name, "KeyType": kind }))
        .collect();
    json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": definitions, "KeySchema": schema,
    })
}

fn refused(result: Result<Value, AwsError>, code: &str, text: &str) {
    let error = result.expect_err(text);
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(text), "{error} does not say {text:?}");
}

#[test]
fn a_table_answers_its_references() {
    let provisioned = Bench::new().provision(table("directory", &[("device", "S")])).unwrap();
    assert_eq!(provisioned.physical_id, "directory");
    assert_eq!(provisioned.attributes["Arn"], "arn:aws:dynamodb:eu-west-1:123456789012:table/directory");
}

#[test]
fn what_no_table_can_be_is_refused() {
    let with = |member: &str, value: Value| {
        let mut properties = table("directory", &[("device", "S")]);
        properties[member] = value;
        properties
    };
    for (properties, expected) in [
        (with("TableName", json!("ab")), "TableName"),
        (with("BillingMode", json!("PROVISIONED")), "BillingMode"),
        (with("GlobalSecondaryIndexes", json!([])), "GlobalSecondaryIndexes"),
        (with("AttributeDefinitions", json!([])), "AttributeDefinitions"),
        (with("AttributeDefinitions", json!([{"AttributeName": "device", "AttributeType": "BOOL"}])), "S, N or B"),
        (with("KeySchema", json!([{"AttributeName": "device", "KeyType": "RANGE"}])), "HASH"),
    ] {
        let error = Bench::new().provision(properties).expect_err(expected);
        assert!(error.message.contains(expected), "{error}");
    }
    let mut bench = Bench::with_directory();
    let error = bench.provision(table("directory", &[("device", "S")])).unwrap_err();
    assert_eq!(error.code, "ResourceInUseException");
}

#[test]
fn an_item_is_got_as_it_was_put_and_with_its_numbers_in_one_form() {
    let mut bench = Bench::with_directory();
    let item =
        json!({"device": {"S": "a"}, "n": {"N": "1.50e2"}, "m": {"M": {"l": {"L": [{"BOOL": true}, {"NULL": true}]}}}});
    assert_eq!(bench.put(item.clone()).unwrap(), json!({}));
    let mut expected = item;
    expected["n"]["N"] = json!("150");
    assert_eq!(bench.get("a"), json!({ "Item": expected }));
    assert_eq!(bench.get("absent"), json!({}));
}

#[test]
fn a_scan_gives_every_item_once_page_by_page() {
    let mut bench = Bench::with_directory();
    for n in 0..7 {
        bench.put(json!({ "device": { "S": format!("d{n}") }, "n": { "N": n.to_string() } })).unwrap();
    }
    let (mut found, mut start, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let mut request = json!({ "TableName": "directory", "Limit": 3 });
        if !start.is_null() {
            request["ExclusiveStartKey"] = start;
        }
        let page = bench.call("Scan", request).unwrap();
        assert_eq!(page["Count"], page["Items"].as_array().unwrap().len());
        found.extend(
            page["Items"].as_array().unwrap().iter().map(|item| item["device"]["S"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        start = page["LastEvaluatedKey"].clone();
        if start.is_null() {
            break;
        }
        assert_eq!(start.as_object().unwrap().len(), 1, "the key alone: {start}");
    }
    found.sort();
    assert_eq!((found, pages), ((0..7).map(|n| format!("d{n}")).collect(), 3));
    let big = "x".repeat(300 * 1024);
    for n in 0..5 {
        bench.put(json!({ "device": { "S": format!("d{n}") }, "t": { "S": big } })).unwrap();
    }
    let page = bench.call("Scan", json!({ "TableName": "directory", "ConsistentRead": true })).unwrap();
    assert_eq!(
        (page["Count"].clone(), page["LastEvaluatedKey"].clone()),
        (json!(4), json!({ "device": { "S": "d3" } }))
    );
    for (more, code) in [(json!(0), "ValidationException"), (json!("x"), "SerializationException")] {
        let error = bench.call("Scan", json!({ "TableName": "directory", "Limit": more })).unwrap_err();
        assert_eq!(error.code, code, "{error}");
    }
    let error = bench.call("Scan", json!({ "TableName": "directory", "FilterExpression": "a" })).unwrap_err();
    assert_eq!(error.code, "NotImplemented", "{error}");
}

#[test]
fn invalid_requests_are_refused_with_awss_words() {
    let mut bench = Bench::with_directory();
    let long = "x".repeat(2049);
    let big = "x".repeat(400 * 1024);
    let put = |item: Value| ("PutItem", json!({ "TableName": "directory", "Item": item }));
    let get = |key: Value| ("GetItem", json!({ "TableName": "directory", "Key": key }));
    let batch = |keys: Value| ("BatchGetItem", json!({ "RequestItems": { "directory": { "Keys": keys } } }));
    let many: Vec<Value> = (0..101).map(|n| json!({ "device": { "S": format!("{n}") } })).collect();
    let twice = json!({
        "directory": { "Keys": [{ "device": { "S": "a" } }] },
        "arn:aws:dynamodb:eu-west-1:123456789012:table/directory": { "Keys": [{ "device": { "S": "b" } }] },
    });
    let validation = "ValidationException";
    for ((operation, request), code, text) in [
        (put(json!({"site": {"S": "x"}})), validation, "Missing the key device in the item"),
        (put(json!({"device": {"N": "1"}})), validation, "Type mismatch for key device expected: S actual: N"),
        (put(json!({"device": {"S": ""}})), validation, "cannot contain an empty string value. Key: device"),
        (put(json!({"device": {"S": long}})), validation, "limit of2048 bytes"),
        (
            put(json!({"device": {"S": "a"}, "b": {"S": big}})),
            validation,
            "Item size has exceeded the maximum allowed size",
        ),
        (put(json!({"device": {"S": "a"}, "b": {"N": "x"}})), validation, "cannot be converted to a numeric value: x"),
        (get(json!({"device": {"N": "1"}})), validation, "The provided key element does not match the schema"),
        (get(json!({"device": {"S": "a"}, "b": {"S": "x"}})), validation, "does not match the schema"),
        (get(json!({})), validation, "does not match the schema"),
        (batch(json!([])), validation, "greater than or equal to 1"),
        (batch(json!([{"device": {"S": "a"}}, {"device": {"S": "a"}}])), validation, "contains duplicates"),
        (batch(json!(many)), validation, "Too many items requested for the BatchGetItem call"),
        (("BatchGetItem", json!({"RequestItems": twice})), validation, "the table directory more than once"),
        (("BatchGetItem", json!({"RequestItems": {}})), validation, "requestItems"),
        (("GetItem", json!({"TableName": "directory"})), validation, "Value null at 'key'"),
        (("GetItem", json!({"Key": {}})), validation, "Value null at 'tableName'"),
        (
            ("GetItem", json!({"TableName": "no", "Key": {}})),
            "ResourceNotFoundException",
            "Requested resource not found",
        ),
        (("DescribeTable", json!({"TableName": "no"})), "ResourceNotFoundException", "Table: no not found"),
        (("GetItem", json!({"TableName": 7})), "SerializationException", "string"),
        (("GetItem", json!({"ProjectionExpression": "a"})), "NotImplemented", "GetItem ProjectionExpression"),
        (("PutItem", json!({"ConditionExpression": "a"})), "NotImplemented", "PutItem ConditionExpression"),
        (("PutItem", json!({"Item": {}, "ReturnValues": "ALL_NEW"})), validation, "ALL_OLD or NONE"),
        (("Query", json!({})), "NotImplemented", "dynamodb Query"),
        (("CreateTable", json!({})), "NotImplemented", "dynamodb CreateTable"),
        (("Quarry", json!({})), "UnknownOperationException", "Quarry"),
    ] {
        refused(bench.call(operation, request), code, text);
    }
}

#[test]
fn a_batch_leaves_out_what_is_absent_and_tells_its_capacity() {
    let mut bench = Bench::with_directory();
    for (device, bytes) in [("a", 10), ("b", 5_000)] {
        bench.put(json!({ "device": { "S": device }, "pad": { "S": "x".repeat(bytes) } })).unwrap();
    }
    let keys: Vec<Value> = ["b", "absent", "a"].iter().map(|d| json!({ "device": { "S": d } })).collect();
    let mut batch = |consistent: bool| {
        let request = json!({ "directory": { "Keys": keys, "ConsistentRead": consistent } });
        let request = json!({ "RequestItems": request, "ReturnConsumedCapacity": "TOTAL" });
        bench.call("BatchGetItem", request).unwrap()
    };
    let answer = batch(false);
    let found = answer["Responses"]["directory"].as_array().unwrap();
    assert_eq!(found.iter().map(|item| item["device"]["S"].as_str().unwrap()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(answer["UnprocessedKeys"], json!({}));
    // Two units for 5,000 bytes, one each for what is small and what is absent; half of it when eventually consistent.
    assert_eq!(answer["ConsumedCapacity"], json!([{ "TableName": "directory", "CapacityUnits": 2.0 }]));
    assert_eq!(batch(true)["ConsumedCapacity"][0]["CapacityUnits"], json!(4.0));
    let counters = bench.parts.meter.counters();
    assert_eq!(counters[&("dynamodb", "ConsumedReadCapacity_half_units")], 12);
    assert_eq!(counters[&("dynamodb", "ConsumedWriteCapacity_units")], 6);
    let calls = bench.parts.meter.calls()[&("dynamodb", "BatchGetItem")];
    assert_eq!(calls, Calls { ok: 2, throttled: 0, error: 0 });
}

#[test]
fn a_full_answer_leaves_keys_unprocessed() {
    let mut bench = Bench::with_directory();
    let name = |n: usize| format!("{n:03}");
    for n in 0..50 {
        bench.put(json!({ "device": { "S": name(n) }, "pad": { "S": "x".repeat(399 * 1024) } })).unwrap();
        bench.now += std::time::Duration::from_secs(1);
    }
    let mut keys: Value = (0..50).map(|n| json!({ "device": { "S": name(n) } })).collect();
    let mut seen = Vec::new();
    let mut calls = 0;
    while keys != Value::Null {
        let request = json!({ "RequestItems": { "directory": { "Keys": keys, "ConsistentRead": true } } });
        let answer = bench.call("BatchGetItem", request).unwrap();
        calls += 1;
        let items = answer["Responses"]["directory"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["device"]["S"].as_str().unwrap().to_owned()));
        let rest = &answer["UnprocessedKeys"]["directory"];
        assert!(rest.is_null() || rest["ConsistentRead"] == json!(true));
        keys = rest["Keys"].clone();
    }
    assert_eq!(calls, 2, "16 MB hold 41 items of 399 KB");
    assert_eq!(seen, (0..50).map(name).collect::<Vec<_>>());
}

#[test]
fn a_table_beyond_its_quota_throttles_until_time_passes() {
    let mut bench = Bench::with_directory();
    let item = json!({ "device": { "S": "a" }, "pad": { "S": "x".repeat(400_000) } });
    let puts = (0..200).take_while(|_| bench.put(item.clone()).is_ok()).count();
    // 391 units each, of the 40,000 of one second.
    assert_eq!(puts, 102);
    let error = bench.put(item.clone()).unwrap_err();
    assert!(error.is_throttle());
    assert_eq!(error.extra[0].1[0]["reason"], json!("TableWriteAccountLimitExceeded"));
    let request =
        json!({ "RequestItems": { "directory": { "Keys": [{ "device": { "S": "a" } }], "ConsistentRead": true } } });
    let gets = (0..1_000).take_while(|_| bench.call("BatchGetItem", request.clone()).is_ok()).count();
    // 98 units each.
    assert_eq!(gets, 408);
    bench.now += std::time::Duration::from_secs(1);
    bench.put(item).unwrap();
    bench.call("BatchGetItem", request).unwrap();
    assert_eq!(bench.parts.meter.calls()[&("dynamodb", "PutItem")].throttled, 2);
}

#[test]
fn a_batch_that_is_throttled_in_part_leaves_keys_unprocessed() {
    let mut bench = Bench::with_directory();
    bench.put(json!({ "device": { "S": "a" }, "pad": { "S": "x".repeat(400_000) } })).unwrap();
    let get = json!({ "TableName": "directory", "Key": { "device": { "S": "a" } }, "ConsistentRead": true });
    let gets = (0..1_000).take_while(|_| bench.call("GetItem", get.clone()).is_ok()).count();
    // 98 units of 40,000 each leave 16 units: 32 halves.
    assert_eq!(gets, 408);
    let keys: Vec<Value> = (0..100).map(|n| json!({ "device": { "S": format!("absent-{n}") } })).collect();
    let answer = bench.call("BatchGetItem", json!({ "RequestItems": { "directory": { "Keys": keys } } })).unwrap();
    assert_eq!(answer["UnprocessedKeys"]["directory"]["Keys"].as_array().unwrap().len(), 100 - 32);
}

#[test]
fn tables_are_described_and_listed_in_pages() {
    let mut bench = Bench::new();
    for name in ["ccc", "aaa", "bbb"] {
        bench.provision(table(name, &[("k", "N"), ("s", "B")])).unwrap();
    }
    let page = bench.call("ListTables", json!({ "Limit": 2 })).unwrap();
    assert_eq!(page, json!({ "TableNames": ["aaa", "bbb"], "LastEvaluatedTableName": "bbb" }));
    let page = bench.call("ListTables", json!({ "ExclusiveStartTableName": "bbb" })).unwrap();
    assert_eq!(page, json!({ "TableNames": ["ccc"] }));
    refused(bench.call("ListTables", json!({ "Limit": 0 })), "ValidationException", "'limit'");

    let item = json!({ "k": { "N": "1" }, "s": { "B": "AAEC" } });
    bench.call("PutItem", json!({ "TableName": "aaa", "Item": item })).unwrap();
    let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/aaa";
    let described = &bench.call("DescribeTable", json!({ "TableName": arn })).unwrap()["Table"];
    assert_eq!(described["TableStatus"], json!("ACTIVE"));
    assert_eq!(described["TableArn"], json!(arn));
    assert_eq!(described["ItemCount"], json!(1));
    assert_eq!(described["TableSizeBytes"], json!(1 + 2 + 1 + 3));
    assert_eq!(described["KeySchema"][1], json!({ "AttributeName": "s", "KeyType": "RANGE" }));
}

#[test]
fn keys_of_equal_numbers_are_one_key() {
    let mut bench = Bench::new();
    bench.provision(table("numbers", &[("k", "N"), ("s", "S")])).unwrap();
    let key = |k: &str, s: &str| json!({ "k": { "N": k }, "s": { "S": s } });
    bench.call("PutItem", json!({ "TableName": "numbers", "Item": key("1.0", "a") })).unwrap();
    let mut found = |k: &str, s: &str| {
        let answer = bench.call("GetItem", json!({ "TableName": "numbers", "Key": key(k, s) })).unwrap();
        answer.get("Item").is_some()
    };
    assert!(found("1", "a") && found("10e-1", "a"));
    assert!(!found("1", "b") && !found("10", "a"));
}

#[derive(Clone, Debug)]
enum Action {
    Put(u8, u8),
    Get(u8),
    Delete(u8),
    Batch(Vec<u8>),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..8_u8, any::<u8>()).prop_map(|(key, value)| Action::Put(key, value)),
        (0..8_u8).prop_map(Action::Get),
        (0..8_u8).prop_map(Action::Delete),
        prop::collection::btree_set(0..8_u8, 1..8).prop_map(|keys| Action::Batch(keys.into_iter().collect())),
    ]
}

/// Size of an item of the model: its two names, its text, and two digits a byte without zeros at the end.
fn size_bytes(item: &Value) -> usize {
    let digits = item["value"]["N"].as_str().unwrap().trim_end_matches('0').len().max(1);
    "device".len() + item["device"]["S"].as_str().unwrap().len() + "value".len() + digits.div_ceil(2) + 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_table_is_a_map(actions in prop::collection::vec(action(), 1..60)) {
        let mut bench = Bench::with_directory();
        let mut model: BTreeMap<u8, Value> = BTreeMap::new();
        let key = |key: u8| json!({ "device": { "S": format!("device-{key}") } });
        for action in actions {
            match action {
                Action::Put(k, value) => {
                    let mut item = key(k);
                    item["value"] = json!({ "N": format!("{value}") });
                    let request = json!({ "TableName": "directory", "Item": item, "ReturnValues": "ALL_OLD" });
                    let answer = bench.call("PutItem", request).unwrap();
                    let old = model.insert(k, item);
                    prop_assert_eq!(answer.get("Attributes"), old.as_ref());
                }
                Action::Get(k) => {
                    let answer = bench.call("GetItem", json!({ "TableName": "directory", "Key": key(k) })).unwrap();
                    prop_assert_eq!(answer.get("Item"), model.get(&k));
                }
                Action::Delete(k) => {
                    let request = json!({ "TableName": "directory", "Key": key(k), "ReturnValues": "ALL_OLD" });
                    let answer = bench.call("DeleteItem", request).unwrap();
                    let old = model.remove(&k);
                    prop_assert_eq!(answer.get("Attributes"), old.as_ref());
                }
                Action::Batch(keys) => {
                    let wanted: Vec<Value> = keys.iter().map(|k| key(*k)).collect();
                    let request = json!({ "RequestItems": { "directory": { "Keys": wanted } } });
                    let answer = bench.call("BatchGetItem", request).unwrap();
                    let expected: Vec<Value> = keys.iter().filter_map(|k| model.get(k).cloned()).collect();
                    prop_assert_eq!(&answer["Responses"]["directory"], &Value::Array(expected));
                }
            }
            let described = bench.call("DescribeTable", json!({ "TableName": "directory" })).unwrap();
            prop_assert_eq!(&described["Table"]["ItemCount"], &json!(model.len()));
            let size: usize = model.values().map(size_bytes).sum();
            prop_assert_eq!(&described["Table"]["TableSizeBytes"], &json!(size));
        }
    }
}

#[test]
fn an_update_changes_what_it_names_when_its_condition_is_met() {
    let mut bench = Bench::with_directory();
    let update = |version: u64| {
        json!({
            "TableName": "directory", "Key": {"device": {"S": "d"}}, "ReturnValues": "ALL_NEW",
            "UpdateExpression": "SET version = :v, #k = if_not_exists(#k, :kind) REMOVE gone",
            "ConditionExpression": "attribute_not_exists(version) OR version < :v",
            "ExpressionAttributeNames": {"#k": "kind"},
            "ExpressionAttributeValues": {":v": {"N": version.to_string()}, ":kind": {"S": "pump"}},
        })
    };
    let item =
        |version: &str, kind: &str| json!({"device": {"S": "d"}, "version": {"N": version}, "kind": {"S": kind}});
    assert_eq!(bench.call("UpdateItem", update(2)).unwrap()["Attributes"], item("2", "pump"));
    assert_eq!(bench.get("d")["Item"], item("2", "pump"));
    bench
        .put(json!({"device": {"S": "d"}, "version": {"N": "9"}, "kind": {"S": "valve"}, "gone": {"BOOL": true}}))
        .unwrap();
    for refused in [2, 9] {
        let error = bench.call("UpdateItem", update(refused)).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("ConditionalCheckFailedException", "The conditional request failed")
        );
    }
    assert_eq!(bench.call("UpdateItem", update(10)).unwrap()["Attributes"], item("10", "valve"));
    let mut of_key = update(11);
    of_key["UpdateExpression"] = "SET device = :kind, version = :v, #k = :kind".into();
    let error = bench.call("UpdateItem", of_key).unwrap_err();
    assert!(error.message.ends_with("Cannot update attribute device. This attribute is part of the key"), "{error}");
    let bare = json!({"TableName": "directory", "Key": {"device": {"S": "new"}}});
    bench.call("UpdateItem", bare).unwrap();
    assert_eq!(bench.get("new")["Item"], json!({"device": {"S": "new"}}));
}

#[test]
fn an_eventually_consistent_read_of_a_function_may_see_what_was_there_before() {
    use std::time::Duration;

    let mut bench = Bench::with_directory();
    let plan = Plan { stale: Some(Duration::from_secs(3)), ..Plan::default() };
    bench.parts.disturb = Some(Box::new(plan));
    let item = |unit: &str| json!({ "device": { "S": "d1" }, "unit": { "S": unit } });
    let read = |bench: &mut Bench, caller: &str, consistent: bool| {
        let request = json!({
            "TableName": "directory", "Key": { "device": { "S": "d1" } }, "ConsistentRead": consistent,
        });
        let caller = Principal::new(caller);
        let mut cx = bench.parts.cx(bench.now, &caller);
        let answer = bench.dynamodb.call(&mut cx, "GetItem", request.to_string().as_bytes()).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["Item"]["unit"]["S"].as_str().unwrap_or("absent").to_owned()
    };
    const FUNCTION: &str = "arn:aws:sts::123456789012:assumed-role/r/f";
    bench.put(item("bar")).unwrap();
    bench.now += Duration::from_secs(10);
    bench.put(item("psi")).unwrap();
    // (seconds after the second write, reader, consistent, what is seen)
    for (seconds, caller, consistent, expected) in [
        (2, FUNCTION, false, "bar"),
        (2, FUNCTION, true, "psi"),
        (2, "arn:aws:iam::123456789012:user/oracle", false, "psi"),
        (3, FUNCTION, false, "psi"),
    ] {
        let mut bench_at = |seconds| {
            let then = bench.now;
            bench.now += Duration::from_secs(seconds);
            let seen = read(&mut bench, caller, consistent);
            bench.now = then;
            seen
        };
        assert_eq!(bench_at(seconds), expected, "{seconds} s later, {caller}, {consistent}");
    }
    assert_eq!(bench.parts.trace.marks()["stale-read"], 1);
    bench.now += Duration::from_secs(5);
    bench.call("DeleteItem", json!({ "TableName": "directory", "Key": { "device": { "S": "d1" } } })).unwrap();
    bench.now += Duration::from_secs(2);
    assert_eq!(read(&mut bench, FUNCTION, false), "psi");
    bench.now += Duration::from_secs(2);
    assert_eq!(read(&mut bench, FUNCTION, false), "absent");
}

#[test]
fn keys_that_a_fault_strikes_are_left_unprocessed() {
    let mut bench = Bench::with_directory();
    for device in ["d1", "d2", "d3"] {
        bench.put(json!({ "device": { "S": device } })).unwrap();
    }
    let throttled = || Some(AwsError::new("ProvisionedThroughputExceededException", "Rate exceeded"));
    let keys: Vec<Value> = ["d1", "d2", "d3"].iter().map(|d| json!({ "device": { "S": d } })).collect();
    let request = json!({ "RequestItems": { "directory": { "Keys": keys } } }).to_string();
    let caller = Principal::new("arn:aws:sts::123456789012:assumed-role/r/f");
    let mut ask = |entries: Vec<Option<AwsError>>| {
        bench.parts.disturb = Some(Box::new(Plan { entries: entries.into(), ..Plan::default() }));
        bench.dynamodb.call(&mut bench.parts.cx(bench.now, &caller), "BatchGetItem", request.as_bytes())
    };
    let answer: Value = serde_json::from_slice(&ask(vec![None, throttled()]).unwrap()).unwrap();
    assert_eq!(answer["Responses"]["directory"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["UnprocessedKeys"]["directory"]["Keys"], json!([{ "device": { "S": "d2" } }]));
    let error = ask(vec![throttled(), throttled(), throttled()]).expect_err("no key was processed");
    assert_eq!(error.code, "ProvisionedThroughputExceededException");
}
