//! Filters of a mapping: which records reach the function. The rest is skipped and counts as processed.
//!
//! Source: Lambda guide, "Control which events Lambda sends to your function" and "Using event filtering with a Kinesis
//! event source". A record that satisfies one of the patterns is taken. The rules are those of the guide's table: null,
//! empty and equal texts, equal numbers by their text, `equals-ignore-case`, `anything-but`, `numeric`, `exists`,
//! `prefix`, `suffix`, and `$or` of several fields. A pattern for `data` drops what is no JSON object. Numbers are compared
//! as this build writes them, so that 3.0e2 is 300.0, which AWS tells apart. Other metadata than that of the member
//! `kinesis` of an event is refused, and so are the rules that EventBridge has beyond the table.

use serde_json::{Map, Value};

use crate::core::ports::{StreamRecord, render_sequence_number};

/// The metadata that a pattern can name.
const METADATA: [&str; 4] = ["kinesisSchemaVersion", "partitionKey", "sequenceNumber", "approximateArrivalTimestamp"];
/// The member for a record's data.
const DATA: &str = "data";
/// Several alternatives.
const OR: &str = "$or";
/// Most characters of a pattern (API reference, `Filter`).
const PATTERN_MAX: usize = 4_096;

/// The filters of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filters {
    patterns: Vec<(String, Node)>,
}

/// What an object must satisfy.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// All of the fields.
    Fields(Vec<(String, Node)>),
    /// One of the nodes, and all of the fields beside them.
    Or(Vec<Node>, Box<Node>),
    /// One of the rules.
    Rules(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// A text, a number, a truth value or null.
    Equals(Value),
    IgnoreCase(String),
    AnythingBut(Vec<Value>),
    /// Comparisons that all hold.
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
    Prefix(String),
    Suffix(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filters {
    /// The filters with these patterns; nothing when there is none.
    pub fn parse(texts: Vec<String>) -> Result<Option<Self>, String> {
        let mut patterns = Vec::with_capacity(texts.len());
        for text in texts {
            if text.chars().count() > PATTERN_MAX {
                return Err(format!("a pattern has at most {PATTERN_MAX} characters"));
            }
            let node = pattern(&text).map_err(|why| format!("Invalid filter pattern definition {text:?}: {why}"))?;
            patterns.push((text, node));
        }
        Ok((!patterns.is_empty()).then_some(Filters { patterns }))
    }

    /// The patterns as they were given.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|(text, _)| text.as_str())
    }

    /// Whether a record satisfies one of the patterns.
    pub fn take(&self, record: &StreamRecord) -> bool {
        let mut event = Map::new();
        event.insert("kinesisSchemaVersion".to_owned(), "1.0".into());
        event.insert("partitionKey".to_owned(), record.partition_key.as_ref().into());
        event.insert("sequenceNumber".to_owned(), render_sequence_number(record.sequence_number).into());
        event.insert("approximateArrivalTimestamp".to_owned(), record.arrival.epoch_seconds().into());
        if self.patterns.iter().any(|(_, node)| node.names(DATA)) {
            let data = serde_json::from_slice(&record.data).ok().filter(Value::is_object);
            if let Some(data) = data {
                event.insert(DATA.to_owned(), data);
            }
        }
        let has_data = event.contains_key(DATA);
        let event = Value::Object(event);
        self.patterns.iter().any(|(_, node)| (has_data || !node.names(DATA)) && node.matches(Some(&event)))
    }
}

impl Node {
    /// Whether the pattern says something of a member of the event.
    fn names(&self, member: &str) -> bool {
        match self {
            Node::Fields(fields) => fields.iter().any(|(name, _)| name == member),
            Node::Or(nodes, beside) => beside.names(member) || nodes.iter().any(|node| node.names(member)),
            Node::Rules(_) => false,
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // One element of a list is enough.
            (Node::Fields(_) | Node::Or(..), Some(Value::Array(items))) => items.iter().any(|i| self.matches(Some(i))),
            (Node::Fields(fields), value) => {
                fields.iter().all(|(name, node)| node.matches(value.and_then(|value| value.get(name))))
            }
            (Node::Or(nodes, beside), value) => nodes.iter().any(|node| node.matches(value)) && beside.matches(value),
            (Node::Rules(rules), Some(Value::Array(items))) if !items.is_empty() => {
                rules.iter().any(|rule| items.iter().any(|item| rule.matches(Some(item))))
            }
            (Node::Rules(rules), value) => rules.iter().any(|rule| rule.matches(value)),
        }
    }
}

impl Rule {
    fn matches(&self, value: Option<&Value>) -> bool {
        // A rule is about a leaf.
        let leaf = value.filter(|value| !value.is_object() && !value.is_array());
        let text = leaf.and_then(Value::as_str);
        match self {
            Rule::Equals(expected) => leaf.is_some_and(|found| equal(expected, found)),
            Rule::IgnoreCase(expected) => text.is_some_and(|text| text.to_lowercase() == expected.to_lowercase()),
            Rule::AnythingBut(excluded) => leaf.is_some_and(|found| !excluded.iter().any(|one| equal(one, found))),
            Rule::Numeric(bounds) => leaf
                .and_then(Value::as_f64)
                .is_some_and(|number| bounds.iter().all(|(comparison, bound)| comparison.holds(number, *bound))),
            Rule::Exists(expected) => leaf.is_some() == *expected,
            Rule::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
            Rule::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix.as_str())),
        }
    }
}

impl Comparison {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Comparison::Equal => number.total_cmp(&bound).is_eq(),
            Comparison::Less => number < bound,
            Comparison::LessOrEqual => number <= bound,
            Comparison::Greater => number > bound,
            Comparison::GreaterOrEqual => number >= bound,
        }
    }
}

fn equal(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(expected), Value::Number(found)) => expected.to_string() == found.to_string(),
        _ => expected == found,
    }
}

fn pattern(text: &str) -> Result<Node, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let Value::Object(members) = &value else { return Err("it is no JSON object".to_owned()) };
    let node = object(members)?;
    check_top(&node)?;
    Ok(node)
}

/// What the top of a pattern may name.
fn check_top(node: &Node) -> Result<(), String> {
    match node {
        Node::Fields(fields) => fields.iter().try_for_each(|(name, node)| match (name.as_str(), node) {
            (DATA, Node::Rules(_)) => Err("data is an object; texts of it are not modelled".to_owned()),
            (DATA, _) => Ok(()),
            (name, Node::Rules(_)) if METADATA.contains(&name) => Ok(()),
            (name, _) => Err(format!("{name:?} is not modelled; a pattern has data and {}", METADATA.join(", "))),
        }),
        Node::Or(nodes, beside) => nodes.iter().chain([&**beside]).try_for_each(check_top),
        Node::Rules(_) => Ok(()),
    }
}

fn object(members: &Map<String, Value>) -> Result<Node, String> {
    let mut fields = Vec::new();
    let mut or = None;
    for (name, value) in members {
        match value {
            Value::Array(alternatives) if name == OR => {
                let nodes = alternatives.iter().map(|one| match one {
                    Value::Object(members) => object(members),
                    other => Err(format!("{OR} takes objects, not {other}")),
                });
                or = Some(nodes.collect::<Result<Vec<_>, _>>()?);
            }
            Value::Object(members) => fields.push((name.clone(), object(members)?)),
            Value::Array(rules) if rules.is_empty() => return Err(format!("{name:?} has no rule")),
            Value::Array(rules) => {
                fields.push((name.clone(), Node::Rules(rules.iter().map(rule).collect::<Result<_, _>>()?)));
            }
            other => return Err(format!("{name:?} is {other}; it must be an object or a list of rules")),
        }
    }
    let fields = Node::Fields(fields);
    Ok(match or {
        Some(nodes) => Node::Or(nodes, Box::new(fields)),
        None => fields,
    })
}

fn rule(value: &Value) -> Result<Rule, String> {
    let Value::Object(members) = value else {
        return match value {
            Value::Array(_) => Err(format!("{value} is no rule")),
            leaf => Ok(Rule::Equals(leaf.clone())),
        };
    };
    let Some((name, argument)) = members.iter().next().filter(|_| members.len() == 1) else {
        return Err(format!("{value} is no rule"));
    };
    let wrong = || format!("{name} does not take {argument}");
    let text = || argument.as_str().map(str::to_owned).ok_or_else(wrong);
    match name.as_str() {
        "prefix" => text().map(Rule::Prefix),
        "suffix" => text().map(Rule::Suffix),
        "equals-ignore-case" => text().map(Rule::IgnoreCase),
        "exists" => argument.as_bool().map(Rule::Exists).ok_or_else(wrong),
        "anything-but" => match argument {
            Value::String(_) | Value::Number(_) => Ok(Rule::AnythingBut(vec![argument.clone()])),
            Value::Array(list) if !list.is_empty() && list.iter().all(|one| one.is_string() || one.is_number()) => {
                Ok(Rule::AnythingBut(list.clone()))
            }
            _ => Err(wrong()),
        },
        "numeric" => numeric(argument).map(Rule::Numeric).ok_or_else(wrong),
        other => Err(format!("the rule {other:?} is not modelled")),
    }
}

/// One comparison, or a lower and an upper bound.
fn numeric(argument: &Value) -> Option<Vec<(Comparison, f64)>> {
    let parts = argument.as_array()?;
    if ![2, 4].contains(&parts.len()) {
        return None;
    }
    parts.chunks(2).map(|pair| Some((Comparison::of(pair[0].as_str()?)?, pair[1].as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use world::time::Time;

    fn takes(pattern: &Value, data: &str) -> bool {
        let filters = Filters::parse(vec![pattern.to_string()]).expect("a pattern").expect("one pattern");
        filters.take(&StreamRecord {
            data: Bytes::copy_from_slice(data.as_bytes()),
            partition_key: "pump-1".into(),
            sequence_number: 5,
            arrival: Time::from_unix_secs(1_800_000_000),
        })
    }

    #[test]
    fn rules_of_the_table() {
        let record = r#"{"t":"Pump","n":300,"e":"","z":null,"b":true,"l":["a","b"],"o":{"k":1},"p":[{"x":1,"y":2},{"x":3,"y":4}]}"#;
        for (data, expected) in [
            (json!({"t": ["Pump"]}), true),
            (json!({"t": ["pump"]}), false),
            (json!({"t": ["other", "Pump"]}), true),
            (json!({"t": [{"equals-ignore-case": "PUMP"}]}), true),
            (json!({"t": [{"prefix": "Pu"}]}), true),
            (json!({"t": [{"prefix": "um"}]}), false),
            (json!({"t": [{"suffix": "mp"}]}), true),
            (json!({"t": [{"anything-but": ["Valve"]}]}), true),
            (json!({"t": [{"anything-but": ["Valve", "Pump"]}]}), false),
            (json!({"missing": [{"anything-but": "x"}]}), false),
            (json!({"n": [300]}), true),
            (json!({"n": [300.0]}), false),
            (json!({"n": [{"numeric": ["=", 300.0]}]}), true),
            (json!({"n": [{"numeric": [">", 200, "<=", 300]}]}), true),
            (json!({"n": [{"numeric": [">", 300]}]}), false),
            (json!({"t": [{"numeric": [">", 0]}]}), false),
            (json!({"e": [""]}), true),
            (json!({"z": [null]}), true),
            (json!({"missing": [null]}), false),
            (json!({"b": [true]}), true),
            (json!({"t": [{"exists": true}]}), true),
            (json!({"o": [{"exists": true}]}), false),
            (json!({"missing": [{"exists": false}]}), true),
            (json!({"o": {"k": [1]}}), true),
            (json!({"l": ["b"]}), true),
            (json!({"p": {"x": [3], "y": [4]}}), true),
            (json!({"p": {"x": [1], "y": [4]}}), false),
            (json!({"t": ["Pump"], "n": [1]}), false),
            (json!({"$or": [{"t": ["Valve"]}, {"n": [300]}]}), true),
            (json!({"$or": [{"t": ["Valve"]}, {"n": [1]}]}), false),
            (json!({"$or": [{"t": ["Pump"]}, {"n": [1]}], "b": [false]}), false),
        ] {
            assert_eq!(takes(&json!({ "data": data }), record), expected, "{data}");
        }
    }

    #[test]
    fn metadata_needs_no_json_and_a_pattern_for_data_drops_what_is_none() {
        for (pattern, data, expected) in [
            (json!({"partitionKey": ["pump-1"]}), "no JSON", true),
            (json!({"partitionKey": [{"prefix": "valve"}]}), "{}", false),
            (json!({"approximateArrivalTimestamp": [{"numeric": [">=", 1_800_000_000]}]}), "{}", true),
            (json!({"data": {"t": [{"exists": false}]}}), "{}", true),
            (json!({"data": {"t": [{"exists": false}]}}), "no JSON", false),
            (json!({"data": {"t": [{"exists": false}]}}), "[1]", false),
            (json!({"partitionKey": ["pump-1"], "data": {"t": [1]}}), "{\"t\":2}", false),
            (json!({}), "no JSON", true),
        ] {
            assert_eq!(takes(&pattern, data), expected, "{pattern} {data}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_what_is_wrong() {
        for (pattern, why) in [
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            (r#"{"data":{"t":"x"}}"#, "an object or a list of rules"),
            (r#"{"data":{"t":[]}}"#, "has no rule"),
            (r#"{"data":["x"]}"#, "texts of it are not modelled"),
            (r#"{"eventName":["x"]}"#, "is not modelled"),
            (r#"{"data":{"t":[{"wildcard":"*"}]}}"#, "\"wildcard\" is not modelled"),
            (r#"{"data":{"t":[{"cidr":"10.0.0.0/8"}]}}"#, "is not modelled"),
            (r#"{"data":{"t":[{"numeric":["~",1]}]}}"#, "numeric does not take"),
            (r#"{"data":{"t":[{"anything-but":{"prefix":"x"}}]}}"#, "anything-but does not take"),
        ] {
            let error = Filters::parse(vec![pattern.to_owned()]).expect_err(pattern);
            assert!(error.contains(why), "{pattern}: {error}");
        }
        assert_eq!(Filters::parse(Vec::new()), Ok(None));
    }
}
