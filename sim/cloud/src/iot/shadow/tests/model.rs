//! The service against a plain implementation that keeps JSON and looks at leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Account, PREFIX};

type Path = Vec<String>;

/// What a shadow should hold.
#[derive(Clone, Debug, Default)]
struct Plain {
    exists: bool,
    version: u64,
    sections: BTreeMap<&'static str, Map<String, Value>>,
    /// When each leaf was set: section, then path.
    instants: BTreeMap<(&'static str, Path), u64>,
}

/// The leaves of a value: everything that is no object with members.
fn leaves(value: &Value, path: &Path, found: &mut Vec<(Path, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() || path.is_empty() => {
            for (name, value) in members {
                let path = [path.as_slice(), std::slice::from_ref(name)].concat();
                leaves(value, &path, found);
            }
        }
        leaf => found.push((path.clone(), leaf.clone())),
    }
}

fn leaves_of(value: &Value) -> Vec<(Path, Value)> {
    let mut found = Vec::new();
    leaves(value, &Path::new(), &mut found);
    found
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
}

fn put(object: &mut Map<String, Value>, path: &[String], leaf: Value) {
    match path {
        [] => unreachable!("a leaf has a name"),
        [name] => drop(object.insert(name.clone(), leaf)),
        [name, rest @ ..] => {
            let inner = object.entry(name.clone()).or_insert_with(|| json!({}));
            put(inner.as_object_mut().expect("leaves of one value do not contradict"), rest, leaf);
        }
    }
}

/// A value without its nulls; nothing when only nulls were in it.
fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) if !members.is_empty() => {
            let kept: Map<_, _> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), without_nulls(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

fn merged(state: &mut Map<String, Value>, update: &Map<String, Value>) {
    for (name, value) in update {
        if let (Some(Value::Object(inner)), Value::Object(update)) = (state.get_mut(name), value) {
            merged(inner, update);
        } else if let Some(value) = without_nulls(value) {
            state.insert(name.clone(), value);
        } else {
            state.shift_remove(name);
        }
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        _ => a == b,
    }
}

impl Plain {
    fn update(&mut self, state: &Value, now: u64) {
        self.exists = true;
        self.version += 1;
        for name in ["desired", "reported"] {
            let section = self.sections.entry(name).or_default();
            match state.get(name) {
                _ if state.is_null() => section.clear(),
                None => {}
                Some(Value::Null) => section.clear(),
                Some(update) => {
                    merged(section, update.as_object().expect("only objects are generated"));
                    for (path, leaf) in leaves_of(update) {
                        if !leaf.is_null() {
                            self.instants.insert((name, path), now);
                        }
                    }
                }
            }
        }
        let sections = &self.sections;
        self.instants.retain(|(name, path), _| {
            let section = Value::Object(sections[name].clone());
            // An object has no instant of its own, and neither has one that is empty.
            at(&section, path).is_some_and(|leaf| !leaf.is_object())
        });
    }

    fn section(&self, name: &str) -> Value {
        Value::Object(self.sections.get(name).cloned().unwrap_or_default())
    }

    /// The sections that have members.
    fn state(&self) -> Value {
        let full = self.sections.iter().filter(|(_, members)| !members.is_empty());
        full.map(|(name, members)| ((*name).to_owned(), Value::Object(members.clone()))).collect()
    }

    /// The leaves that are desired and not reported, in objects.
    fn delta(&self) -> Map<String, Value> {
        let reported = self.section("reported");
        let mut delta = Map::new();
        for (path, leaf) in leaves_of(&self.section("desired")) {
            let same = match (&leaf, at(&reported, &path)) {
                (_, None) => false,
                (Value::Object(_), Some(found)) => found.is_object(),
                (leaf, Some(found)) => equal(leaf, found),
            };
            if !same {
                put(&mut delta, &path, leaf);
            }
        }
        delta
    }

    /// Whether `metadata` has the shape of a part of a section, and the instants of its leaves.
    fn check_metadata(&self, name: &'static str, state: &Value, metadata: &Value) -> Result<(), TestCaseError> {
        let stamp = |at: u64| json!({ "timestamp": at });
        let mut expected = Map::new();
        for (path, leaf) in leaves_of(state) {
            let stamped = match &leaf {
                Value::Object(_) => json!({}),
                leaf => {
                    let at = self.instants.get(&(name, path.clone()));
                    let at = *at.ok_or_else(|| TestCaseError::fail(format!("{path:?} was never set")))?;
                    leaf.as_array().map_or_else(|| stamp(at), |items| items.iter().map(|_| stamp(at)).collect())
                }
            };
            put(&mut expected, &path, stamped);
        }
        prop_assert_eq!(&Value::Object(expected), metadata);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A state, a version relative to the current one, and whether the request has another fault.
    Update(Value, Option<i64>, bool),
    Delete,
    Wait(u64),
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..3_u64).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(0.5)),
        "[ab\"é]{0,2}".prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        3 => scalar.clone(),
        2 => Just(Value::Null),
        1 => Just(json!({})),
        1 => prop::collection::vec(scalar, 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|members| members.into_iter().collect())
    })
}

fn section() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        9 => prop::collection::btree_map("[abcd]", value(), 0..4).prop_map(|members| members.into_iter().collect()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let state = (prop::option::of(section()), prop::option::of(section())).prop_map(|(desired, reported)| {
        let named = [("desired", desired), ("reported", reported)];
        named.into_iter().filter_map(|(name, section)| Some((name.to_owned(), section?))).collect::<Value>()
    });
    let state = prop_oneof![20 => state, 1 => Just(Value::Null)];
    let version = prop_oneof![3 => Just(None), 2 => Just(Some(0)), 1 => (-2..3_i64).prop_map(Some)];
    prop_oneof![
        12 => (state, version, prop::bool::weighted(0.1)).prop_map(|(state, version, bad)| Step::Update(state, version, bad)),
        1 => Just(Step::Delete),
        2 => (1..100_u64).prop_map(Step::Wait),
    ]
}

/// The answers to an update against the plain implementation before and after it.
fn check_answers(
    before: &Plain,
    after: &Plain,
    answers: &[(String, Value)],
    state: &Value,
) -> Result<(), TestCaseError> {
    let delta = after.delta();
    let topics: Vec<&str> = answers.iter().map(|(topic, _)| topic.as_str()).collect();
    let expected: &[&str] = if delta.is_empty() {
        &["update/accepted", "update/documents"]
    } else {
        &["update/accepted", "update/delta", "update/documents"]
    };
    prop_assert_eq!(topics, expected);
    let (accepted, documents) = (&answers[0].1, &answers[answers.len() - 1].1);
    prop_assert_eq!(&accepted["state"], state);
    prop_assert_eq!(accepted["version"].as_u64(), Some(after.version));
    for (name, plain) in [("previous", before), ("current", after)] {
        prop_assert_eq!(&documents[name]["state"], &plain.state(), "{}", name);
        prop_assert_eq!(documents[name]["version"].as_u64(), Some(plain.version), "{}", name);
        for section in ["desired", "reported"] {
            let metadata = documents[name]["metadata"].get(section).cloned().unwrap_or_else(|| json!({}));
            plain.check_metadata(section, &plain.section(section), &metadata)?;
        }
    }
    if !delta.is_empty() {
        let told = &answers[1].1;
        prop_assert_eq!(&told["state"], &Value::Object(delta));
        prop_assert_eq!(told["version"].as_u64(), Some(after.version));
        after.check_metadata("desired", &told["state"], &told["metadata"])?;
    }
    Ok(())
}

fn check_get(account: &mut Account, plain: &Plain) -> Result<(), TestCaseError> {
    let (topic, document) = account.answer("get", "");
    if !plain.exists {
        prop_assert_eq!((topic.as_str(), document["code"].as_u64()), ("get/rejected", Some(404)));
        return Ok(());
    }
    prop_assert_eq!(topic.as_str(), "get/accepted");
    let mut state = plain.state();
    let delta = plain.delta();
    if !delta.is_empty() {
        state["delta"] = Value::Object(delta);
    }
    prop_assert_eq!(&document["state"], &state);
    prop_assert_eq!(document["version"].as_u64(), Some(plain.version));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_sequence_of_updates_keeps_the_difference_the_versions_and_the_instants(
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let mut account = Account::new();
        let mut plain = Plain::default();
        for step in steps {
            match step {
                Step::Wait(seconds) => account.now += Duration::from_secs(seconds),
                Step::Delete => {
                    let (topic, document) = account.answer("delete", "");
                    if plain.exists {
                        prop_assert_eq!((topic.as_str(), document["version"].as_u64()), ("delete/accepted", Some(plain.version)));
                        plain = Plain { version: plain.version, ..Plain::default() };
                    } else {
                        prop_assert_eq!((topic.as_str(), document["code"].as_u64()), ("delete/rejected", Some(404)));
                    }
                }
                Step::Update(state, version, bad) => {
                    let mut request = json!({ "state": state });
                    let named = version.map(|offset| plain.version.saturating_add_signed(offset));
                    if let Some(named) = named {
                        request["version"] = named.into();
                    }
                    if bad {
                        request["clientToken"] = 7.into();
                    }
                    let before = plain.clone();
                    let answers = account.ask("update", &request.to_string());
                    let conflicts = named.is_some_and(|named| named != plain.version);
                    if bad || conflicts {
                        let code = if bad { 400 } else { 409 };
                        prop_assert_eq!(answers.len(), 1);
                        prop_assert_eq!(answers[0].1["code"].as_u64(), Some(code));
                    } else {
                        plain.update(&state, account.now.unix_secs());
                        check_answers(&before, &plain, &answers, &state)?;
                    }
                }
            }
            check_get(&mut account, &plain)?;
        }
    }

    #[test]
    fn any_bytes_are_accepted_or_rejected_with_a_known_code(
        requests in prop::collection::vec((0..3_usize, prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[\\[\\]{}\",:0-9a-z.\\-+\\\\ ]{0,60}".prop_map(String::into_bytes),
            (section(), "[a-z\"{}\\[\\],:0-9]{0,3}", any::<prop::sample::Index>()).prop_map(|(desired, noise, at)| {
                let mut bytes = json!({ "state": { "desired": desired }, "version": 1 }).to_string().into_bytes();
                let at = at.index(bytes.len());
                bytes.splice(at..at, noise.into_bytes());
                bytes
            }),
            (section(), any::<u8>(), any::<prop::sample::Index>()).prop_map(|(reported, byte, at)| {
                let mut bytes = json!({ "state": { "reported": reported }, "clientToken": "t" }).to_string().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            }),
        ]), 1..8),
    ) {
        let mut account = Account::new();
        for (verb, payload) in requests {
            let verb = ["get", "update", "delete"][verb];
            account.now += Duration::from_secs(1);
            let answers = account.ask_at(&format!("{PREFIX}{verb}"), &payload);
            let (topic, document) = &answers[0];
            if *topic == format!("{PREFIX}{verb}/rejected") {
                prop_assert_eq!(answers.len(), 1);
                let code = document["code"].as_u64().unwrap_or(0);
                prop_assert!([400, 404, 409, 413, 415].contains(&code), "{}", document);
                prop_assert!(!document["message"].as_str().unwrap_or("").is_empty());
            } else {
                prop_assert_eq!(topic, &format!("{PREFIX}{verb}/accepted"));
                prop_assert!(document["version"].is_u64());
            }
        }
    }
}
