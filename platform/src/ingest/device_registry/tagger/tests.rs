//! The function on the real SDK, against a registry and a directory in memory that fail on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, START, Services};

const PREFIX: &str = "iot-platform-test-";

/// A thing of the registry.
#[derive(Clone, Debug)]
struct Thing {
    id: String,
    version: i64,
    attributes: BTreeMap<String, String>,
}

type Hook = Box<dyn FnMut(&str, &mut Cloud) + Send>;

/// The registry of AWS IoT and the directory's table, as far as the function uses them.
#[derive(Default)]
struct Cloud {
    things: BTreeMap<String, Thing>,
    /// Things by group.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Tags by billing group.
    billing_groups: BTreeMap<String, Value>,
    /// Billing group by thing.
    billed_to: BTreeMap<String, String>,
    items: BTreeMap<String, Map<String, Value>>,
    /// Groups of a page of `ListThingGroupsForThing`; all when it is 0.
    page: usize,
    /// Happens before each call.
    hook: Option<Hook>,
}

type Account = testing::Account<Cloud>;

impl Cloud {
    fn put_thing(&mut self, name: &str, tenant: Option<&str>) {
        let version = self.things.get(name).map_or(1, |thing| thing.version + 1);
        let attributes = tenant.map(|tenant| ("tenant".to_owned(), tenant.to_owned())).into_iter();
        let attributes = attributes.chain([("device_type".to_owned(), format!("pump-v{version}"))]).collect();
        self.things.insert(name.to_owned(), Thing { id: format!("id-{name}"), version, attributes });
    }

    /// The registry forgets a thing, and that it was in groups.
    fn delete_thing(&mut self, name: &str) {
        self.things.remove(name);
        self.billed_to.remove(name);
        self.groups.values_mut().for_each(|things| things.retain(|thing| thing != name));
    }

    fn groups_of(&self, name: &str) -> Vec<&str> {
        self.groups.iter().filter(|(_, things)| things.contains(name)).map(|(group, _)| group.as_str()).collect()
    }

    /// Adds or removes a thing as the body says.
    fn change_membership(&mut self, request: &HttpRequest, joins: bool) -> Reply {
        let body = testing::body(request);
        let text = |member: &str| body[member].as_str().unwrap_or_else(|| panic!("{member} in {body}")).to_owned();
        let thing = text("thingName");
        let exists = if body.get("billingGroupName").is_some() {
            self.billing_groups.contains_key(&text("billingGroupName"))
        } else {
            self.groups.contains_key(&text("thingGroupName"))
        };
        if !exists || !self.things.contains_key(&thing) {
            return Reply::error(request, 404, "ResourceNotFoundException");
        }
        match (body.get("billingGroupName").is_some(), joins) {
            // Adding replaces what a concurrent invocation has added.
            (true, true) => drop(self.billed_to.insert(thing, text("billingGroupName"))),
            (true, false) => drop(self.billed_to.remove(&thing)),
            (false, true) => drop(self.groups.get_mut(&text("thingGroupName")).expect("it exists").insert(thing)),
            (false, false) => drop(self.groups.get_mut(&text("thingGroupName")).expect("it exists").remove(&thing)),
        }
        Reply::ok("{}")
    }

    fn describe(&self, request: &HttpRequest, name: &str) -> Reply {
        let Some(thing) = self.things.get(name) else {
            return Reply::error(request, 404, "ResourceNotFoundException");
        };
        let answer = json!({"thingName": name, "thingId": thing.id, "version": thing.version,
            "attributes": thing.attributes, "billingGroupName": self.billed_to.get(name)});
        Reply::ok(answer.to_string())
    }

    fn list_groups(&self, request: &HttpRequest, name: &str) -> Reply {
        let groups = self.groups_of(name);
        let from = request.uri().split("nextToken=").nth(1).map_or(0, |token| token.parse().expect("a token of ours"));
        let to = if self.page == 0 { groups.len() } else { groups.len().min(from + self.page) };
        let names: Vec<Value> = groups[from..to].iter().map(|name| json!({"groupName": name})).collect();
        let token = (to < groups.len()).then(|| to.to_string());
        Reply::ok(json!({"thingGroups": names, "nextToken": token}).to_string())
    }

    fn create(&mut self, request: &HttpRequest, path: &str) -> Reply {
        let (kind, name) = path.split_once('/').expect("a group has a name");
        let exists = if kind == "thing-groups" {
            let exists = self.groups.contains_key(name);
            self.groups.entry(name.to_owned()).or_default();
            exists
        } else {
            let tags = testing::body(request)["tags"].clone();
            self.billing_groups.insert(name.to_owned(), tags).is_some()
        };
        if exists { Reply::error(request, 409, "ResourceAlreadyExistsException") } else { Reply::ok("{}") }
    }

    /// `UpdateItem` with the expressions of this function.
    fn update_item(&mut self, request: &HttpRequest) -> Reply {
        let body = testing::body(request);
        let key = body["Key"]["device_key"]["S"].as_str().expect("a key").to_owned();
        let value = |name: &str| body["ExpressionAttributeValues"][name].clone();
        let number = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<i64>().ok());
        let update = body["UpdateExpression"].as_str().expect("a text");
        let condition = body["ConditionExpression"].as_str().expect("a text");
        let item = self.items.get(&key);
        let version = item.and_then(|item| item.get("thing_version")).and_then(number);
        let same = item.and_then(|item| item.get("thing_id")) == Some(&value(":thing"));
        let fresh = item.is_some_and(|item| !item.contains_key("expires_at"));
        let is_newer = |other: i64| version.is_none_or(|old| !same || old < other);
        let new = || number(&value(":version")).expect("a version");
        let fits = match condition {
            "attribute_exists(device_key) AND attribute_not_exists(expires_at) AND \
             (attribute_not_exists(thing_version) OR thing_id <> :thing OR thing_version < :version)" => {
                fresh && is_newer(new())
            }
            "attribute_exists(device_key) AND attribute_not_exists(expires_at) AND thing_id = :thing" => fresh && same,
            "attribute_not_exists(thing_version) OR thing_id <> :thing OR thing_version <= :version" => {
                is_newer(new() + 1)
            }
            other => panic!("the function asks for {other}"),
        };
        let all = [("tenant_id", ":tenant"), ("device_id", ":device"), ("thing_id", ":thing")];
        let all = all.into_iter().chain([("thing_version", ":version"), ("device_type", ":type")]);
        let text = "SET tenant_id = :tenant, device_id = :device, thing_id = :thing, thing_version = :version";
        let (sets, removes): (Vec<_>, &[&str]) = match update.strip_prefix(text) {
            Some(", device_type = :type REMOVE expires_at") => (all.collect(), &["expires_at"]),
            Some(" REMOVE expires_at, device_type") => (all.take(4).collect(), &["expires_at", "device_type"]),
            None if update == "SET expires_at = :expires" => (vec![("expires_at", ":expires")], &[]),
            _ => panic!("the function writes {update}"),
        };
        let values = body["ExpressionAttributeValues"].as_object().expect("values");
        let in_use = |name: &String| update.contains(name.as_str()) || condition.contains(name.as_str());
        assert!(values.keys().all(in_use), "DynamoDB refuses values that no expression uses: {body}");
        if !fits {
            return Reply::error(request, 400, "ConditionalCheckFailedException");
        }
        let item = self.items.entry(key.clone()).or_default();
        item.insert("device_key".to_owned(), json!({ "S": key }));
        for name in removes {
            item.remove(*name);
        }
        item.extend(sets.into_iter().map(|(name, from)| (name.to_owned(), value(from))));
        Reply::ok("{}")
    }
}

impl Services for Cloud {
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("DIRECTORY_TABLE", "directory"), ("GROUP_PREFIX", PREFIX), ("STREAM_RETENTION_HOURS", "168")];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        if let Some(mut hook) = self.hook.take() {
            hook(operation, self);
            self.hook = Some(hook);
        }
        match operation.split_once(' ').unwrap_or(("", operation)) {
            ("", "UpdateItem") => self.update_item(request),
            ("PUT", path) if path.contains("/addThingTo") => self.change_membership(request, true),
            ("PUT", path) if path.contains("/removeThingFrom") => self.change_membership(request, false),
            ("POST", path) => self.create(request, path),
            ("GET", path) => match path.strip_prefix("things/").expect("only things are read").split_once('/') {
                Some((name, "thing-groups")) => self.list_groups(request, name),
                _ => self.describe(request, &path["things/".len()..]),
            },
            _ => panic!("the function calls {operation}"),
        }
    }
}

fn event(name: &str, operation: &str, version: i64) -> Vec<u8> {
    json!({"eventType": "THING_EVENT", "eventId": "e", "timestamp": 1_772_323_200_000_i64, "operation": operation,
        "accountId": "123456789012", "thingId": "of the event", "thingName": name, "versionNumber": version,
        "thingTypeName": null, "attributes": {"tenant": "the event is not believed"}})
    .to_string()
    .into_bytes()
}

impl Account {
    fn invoke(&self, event: &[u8]) -> Result<String, FunctionError> {
        let function = Tagger::new(&self.config(), &Self::environment()).expect("the configuration is complete");
        let answer = self.invoke_raw(&function, event, Duration::from_secs(60))?;
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        Ok(answer["outcome"].as_str().expect("a text").to_owned())
    }

    fn tag(&self, name: &str) -> Result<String, FunctionError> {
        self.invoke(&event(name, "UPDATED", 1))
    }

    /// The event of the deletion of a thing with this id, which was of a tenant.
    fn tell_of_deletion(&self, name: &str, id: &str, tenant: &str) -> Result<String, FunctionError> {
        let mut event: Value = serde_json::from_slice(&event(name, "DELETED", 2)).expect("an event is JSON");
        event["thingId"] = id.into();
        event["attributes"] = json!({ "tenant": tenant, "note": null });
        self.invoke(event.to_string().as_bytes())
    }

    /// When an item expires, in seconds from the beginning of the test.
    fn expires(&self, key: &str) -> Option<u64> {
        let at = self.state().items[key].get("expires_at")?["N"].as_str().expect("a number").parse::<u64>();
        Some(at.expect("a number") - START.as_secs())
    }

    /// The thing is in the groups of its tenant and in none of another one's, and its item says so.
    fn assert_tagged(&self, name: &str, tenant: &str) {
        let state = self.state();
        let own: Vec<&str> = state.groups_of(name).into_iter().filter(|group| group.starts_with(PREFIX)).collect();
        let group = format!("{PREFIX}{tenant}");
        assert_eq!(own, [group.as_str()]);
        assert_eq!(state.billed_to.get(name), Some(&group));
        let (item, thing) = (&state.items[&format!("{tenant}#{name}")], &state.things[name]);
        assert_eq!(item["tenant_id"], json!({ "S": tenant }));
        assert_eq!(item["device_id"], json!({ "S": name }));
        assert_eq!(item["device_type"], json!({"S": thing.attributes["device_type"]}));
        assert_eq!(item["thing_version"], json!({"N": thing.version.to_string()}));
        assert!(!item.contains_key("expires_at"), "{item:?}");
    }
}

#[test]
fn a_new_thing_gets_its_groups_and_its_item_and_a_repeated_event_changes_nothing() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.state().put_thing("pump-2", Some("acme"));
    assert_eq!(account.invoke(&event("pump-1", "CREATED", 1)).unwrap(), "tagged");
    account.assert_tagged("pump-1", "acme");
    let tags = account.state().billing_groups["iot-platform-test-acme"].clone();
    assert_eq!(tags, json!([{"Key": "tenant", "Value": "acme"}]));
    account.state().calls.clear();
    assert_eq!(account.invoke(&event("pump-1", "CREATED", 1)).unwrap(), "tagged");
    let repeated = ["GET things/pump-1", "UpdateItem", "GET things/pump-1/thing-groups", "GET things/pump-1"];
    assert_eq!(account.state().calls, repeated);
    account.state().calls.clear();
    assert_eq!(account.tag("pump-2").unwrap(), "tagged");
    account.assert_tagged("pump-2", "acme");
    assert!(!account.state().calls.iter().any(|call| call.starts_with("POST")), "the groups are there");
}

#[test]
fn what_others_wrote_into_an_item_stays() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    let units = json!({"M": {"temp": {"S": "fahrenheit"}}});
    let item = json!({"device_key": {"S": "acme#pump-1"}, "units": units, "note": {"S": "on the roof"}});
    account.state().items.insert("acme#pump-1".to_owned(), item.as_object().unwrap().clone());
    assert_eq!(account.tag("pump-1").unwrap(), "tagged");
    account.assert_tagged("pump-1", "acme");
    let state = account.state();
    let item = &state.items["acme#pump-1"];
    assert_eq!((&item["units"], &item["note"]), (&units, &json!({"S": "on the roof"})));
}

#[test]
fn a_thing_that_moves_leaves_its_old_groups_and_its_old_item_expires() {
    let account = Account::default();
    account.state().page = 1;
    account.state().put_thing("pump-1", Some("acme"));
    account.tag("pump-1").unwrap();
    account.state().groups.insert("others-own".to_owned(), BTreeSet::from(["pump-1".to_owned()]));
    account.state().put_thing("pump-1", Some("beta"));
    assert_eq!(account.tag("pump-1").unwrap(), "tagged");
    account.assert_tagged("pump-1", "beta");
    assert!(account.state().groups["others-own"].contains("pump-1"), "groups of others are left alone");
    let expires = START.as_secs() + 8 * 86_400;
    assert_eq!(account.state().items["acme#pump-1"]["expires_at"], json!({"N": expires.to_string()}));
    account.state().put_thing("pump-1", Some("acme"));
    assert_eq!(account.tag("pump-1").unwrap(), "tagged");
    account.assert_tagged("pump-1", "acme");
    assert!(account.state().items["beta#pump-1"].contains_key("expires_at"));
}

#[test]
fn things_without_a_tenant_of_ours_and_things_that_are_gone_are_left_alone() {
    let account = Account::default();
    account.state().put_thing("bare", None);
    account.state().put_thing("odd", Some("a/b"));
    for (name, outcome) in [("bare", "left-alone"), ("odd", "left-alone"), ("gone", "gone")] {
        assert_eq!(account.tag(name).unwrap(), outcome);
    }
    let state = account.state();
    assert!(state.groups.is_empty() && state.items.is_empty() && state.billing_groups.is_empty());
}

#[test]
fn a_device_type_that_is_taken_away_is_gone_from_the_item() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.tag("pump-1").unwrap();
    assert!(account.state().items["acme#pump-1"].contains_key("device_type"));
    account.state().put_thing("pump-1", Some("acme"));
    account.state().things.get_mut("pump-1").unwrap().attributes.remove("device_type");
    assert_eq!(account.tag("pump-1").unwrap(), "tagged");
    let item = account.state().items["acme#pump-1"].clone();
    assert_eq!((item.get("device_type"), &item["thing_version"]), (None, &json!({"N": "2"})));
}

#[test]
fn a_thing_that_loses_its_tenant_leaves_its_groups_and_its_item_expires() {
    for tenant in [None, Some("a/b")] {
        let account = Account::default();
        account.state().put_thing("pump-1", Some("acme"));
        account.tag("pump-1").unwrap();
        account.state().put_thing("pump-1", tenant);
        assert_eq!(account.tag("pump-1").unwrap(), "left-alone");
        assert!(account.state().groups_of("pump-1").is_empty() && account.state().billed_to.is_empty());
        assert_eq!(account.expires("acme#pump-1"), Some(8 * 86_400));
        account.state().put_thing("pump-1", Some("acme"));
        assert_eq!(account.tag("pump-1").unwrap(), "tagged");
        account.assert_tagged("pump-1", "acme");
    }
}

#[test]
fn the_item_of_a_thing_that_is_gone_expires_once_and_not_that_of_another_thing_of_its_name() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.tag("pump-1").unwrap();
    assert_eq!(account.tell_of_deletion("pump-1", "id-of-one-before", "acme").unwrap(), "tagged");
    account.assert_tagged("pump-1", "acme");
    account.state().delete_thing("pump-1");
    for _ in 0..2 {
        assert_eq!(account.tell_of_deletion("pump-1", "id-pump-1", "acme").unwrap(), "gone");
        assert_eq!(account.expires("acme#pump-1"), Some(8 * 86_400));
        account.state().elapsed += Duration::from_secs(60);
    }
    assert_eq!(account.tell_of_deletion("never-seen", "id", "acme").unwrap(), "gone");
    assert!(!account.state().items.contains_key("acme#never-seen"), "nothing is made");
    // Another thing of the name is there again: the late event of the first one's deletion does it no harm.
    account.state().put_thing("pump-1", Some("acme"));
    account.state().things.get_mut("pump-1").unwrap().id = "id-of-the-next".to_owned();
    assert_eq!(account.tell_of_deletion("pump-1", "id-pump-1", "acme").unwrap(), "tagged");
    account.assert_tagged("pump-1", "acme");
}

#[test]
fn the_item_of_a_thing_that_goes_while_it_is_worked_on_expires() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.state().hook = Some(Box::new(|operation, cloud| {
        if operation.ends_with("/thing-groups") {
            cloud.delete_thing("pump-1");
        }
    }));
    assert_eq!(account.tag("pump-1").unwrap(), "gone");
    assert_eq!(account.expires("acme#pump-1"), Some(8 * 86_400));
}

#[test]
fn items_stay_a_day_longer_than_streams_keep_readings() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.tag("pump-1").unwrap();
    account.state().put_thing("pump-1", None);
    let variables = Cloud::VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut variables: BTreeMap<String, String> = variables.collect();
    variables.insert(STREAM_RETENTION_HOURS.to_owned(), "24".to_owned());
    let function = Tagger::new(&account.config(), &crate::function::Environment::new(variables)).unwrap();
    account.invoke_raw(&function, &event("pump-1", "UPDATED", 2), Duration::from_secs(60)).unwrap();
    assert_eq!(account.expires("acme#pump-1"), Some(2 * 86_400));
}

#[test]
fn a_thing_in_a_billing_group_of_somebody_else_stays_there_and_is_tagged_otherwise() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.state().billing_groups.insert("finance".to_owned(), json!([]));
    account.state().billed_to.insert("pump-1".to_owned(), "finance".to_owned());
    assert_eq!(account.tag("pump-1").unwrap(), "tagged");
    let state = account.state();
    assert_eq!(state.billed_to["pump-1"], "finance");
    assert_eq!(state.groups_of("pump-1"), ["iot-platform-test-acme"]);
    assert!(state.items.contains_key("acme#pump-1"));
    assert!(!state.calls.iter().any(|call| call.contains("BillingGroup")), "{:?}", state.calls);
}

#[test]
fn a_thing_that_changes_meanwhile_is_worked_on_again() {
    // Before each of the first calls in turn, somebody else moves the thing and its own invocation does everything.
    for at in 1..=10 {
        let account = Account::default();
        account.state().put_thing("pump-1", Some("acme"));
        let mut calls = 0;
        account.state().hook = Some(Box::new(move |_, cloud| {
            calls += 1;
            if calls == at {
                cloud.put_thing("pump-1", Some("beta"));
                let group = format!("{PREFIX}beta");
                cloud.groups.entry(group.clone()).or_default().insert("pump-1".to_owned());
                cloud.billing_groups.insert(group.clone(), json!([]));
                // The billing group is the last thing that an invocation changes, and a thing has one at most.
                cloud.billed_to.insert("pump-1".to_owned(), group);
            }
        }));
        assert_eq!(account.tag("pump-1").unwrap(), "tagged", "call {at}");
        account.assert_tagged("pump-1", "beta");
    }
}

#[test]
fn a_thing_that_never_rests_fails_and_is_tried_again_later() {
    let account = Account::default();
    account.state().put_thing("pump-1", Some("acme"));
    account.state().hook = Some(Box::new(|operation, cloud| {
        if operation == "UpdateItem" {
            cloud.put_thing("pump-1", Some("acme"));
        }
    }));
    let error = account.tag("pump-1").unwrap_err();
    assert!(matches!(&error, FunctionError::Registry(text) if text.contains("changed 5 times")), "{error}");
}

#[test]
fn failures_are_repeated_while_they_may_pass_and_told_when_they_last() {
    for (operation, expected) in [("UpdateItem", "Directory"), ("GET things/pump-1", "Registry"), ("PUT", "Registry")] {
        let account = Account::default();
        account.state().put_thing("pump-1", Some("acme"));
        let mut left = 7;
        account.fail_calls(move |call| {
            left -= i32::from(call.starts_with(operation));
            (call.starts_with(operation) && left >= 0).then_some(Fault::Answer(400, "ThrottlingException"))
        });
        assert_eq!(account.tag("pump-1").unwrap(), "tagged", "{operation}");
        account.assert_tagged("pump-1", "acme");
        account.state().put_thing("pump-1", Some("beta"));
        account
            .fail_calls(move |call| call.starts_with(operation).then_some(Fault::Answer(403, "AccessDeniedException")));
        assert_eq!(account.tag("pump-1").unwrap_err().kind(), expected);
        account.fail_calls(move |call| call.starts_with(operation).then_some(Fault::Silence));
        let before = account.state().elapsed;
        assert_eq!(account.tag("pump-1").unwrap_err().kind(), expected);
        assert!(account.state().elapsed - before < Duration::from_secs(60), "the answer comes before the deadline");
    }
}

#[test]
fn what_is_no_event_on_a_thing_is_refused() {
    let group = r#"{"eventType":"THING_GROUP_EVENT","operation":"CREATED","thingName":"x","versionNumber":1}"#;
    let nameless = r#"{"eventType":"THING_EVENT","operation":"CREATED","thingName":"","versionNumber":1}"#;
    for event in ["", "[]", "{}", group, nameless] {
        let error = Account::default().invoke(event.as_bytes()).unwrap_err();
        assert!(matches!(error, FunctionError::Event(_)), "{event}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_fails_and_comes_again_a_thing_ends_where_it_belongs(
        steps in proptest::collection::vec((0..3_usize, 0..3_usize), 1..12),
        faults in proptest::collection::vec(0..8_u8, 300),
    ) {
        let (tenants, account) = (["acme", "beta", "gamma"], Account::default());
        account.state().page = 1;
        account.state().put_thing("pump-1", Some("acme"));
        let mut faults = faults.into_iter();
        account.fail_calls(move |_| match faults.next() {
            Some(0) => Some(Fault::Answer(403, "AccessDeniedException")),
            Some(1) => Some(Fault::Answer(500, "InternalFailureException")),
            Some(2) => Some(Fault::LostAnswer),
            _ => None,
        });
        let mut tenant = "acme";
        for (moves_to, events) in steps {
            tenant = tenants[moves_to];
            account.state().put_thing("pump-1", Some(tenant));
            for _ in 0..events {
                // A failed invocation is repeated by Lambda, or by the next event; both are the same to the function.
                let _ = account.tag("pump-1");
            }
        }
        account.fail_calls(|_| None);
        prop_assert_eq!(account.tag("pump-1").unwrap(), "tagged");
        account.assert_tagged("pump-1", tenant);
    }
}
