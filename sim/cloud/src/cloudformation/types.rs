//! The table of resource types: what each has for properties, and what a change of each needs.
//!
//! Checked: unknown types and properties (nested ones too), required properties, types of values (texts that are numbers
//! or booleans are taken as such, as AWS does), allowed values, lengths and ranges.
//! Not checked: patterns, because the table's source has lost their backslashes; the length of a list of texts where the
//! source gives one figure that may be a text's or the list's; properties that are required on a condition; the inside of
//! types whose members the source does not list. Texts of errors: "is required" is recorded, the others are unverified.
//! Source: `data/cloudformation-resources.json`, where `Roles` of AWS::Cognito::IdentityPoolRoleAttachment was a text and
//! is a map, as in the type's published schema.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a change of a property needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The resource is changed in place.
    InPlace,
    /// The resource is replaced.
    Replace,
    /// AWS does not change it.
    Unsupported,
}

#[derive(Deserialize)]
struct Table {
    resources: BTreeMap<String, Type>,
    property_types: BTreeMap<String, BTreeMap<String, Property>>,
}

#[derive(Deserialize)]
struct Type {
    getatt: Vec<String>,
    props: BTreeMap<String, Property>,
}

#[derive(Deserialize)]
struct Property {
    t: String,
    req: Option<Value>,
    u: Option<String>,
    min: Option<String>,
    max: Option<String>,
    r#enum: Option<Vec<Value>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../data/cloudformation-resources.json");
    serde_json::from_str(text).expect("the table of types is part of the build")
});

/// Whether the table has the type.
pub fn exists(kind: &str) -> bool {
    TABLE.resources.contains_key(kind)
}

/// Whether `Fn::GetAtt` may ask a resource of this type for the attribute.
pub fn has_attribute(kind: &str, attribute: &str) -> bool {
    TABLE.resources.get(kind).is_some_and(|row| row.getatt.iter().any(|name| name == attribute))
}

/// What a change of a resource's property needs.
pub fn change_of(kind: &str, property: &str) -> Change {
    let found = TABLE.resources.get(kind).and_then(|row| row.props.get(property)).and_then(|row| row.u.as_deref());
    match found {
        Some("replace") => Change::Replace,
        Some("unsupported") => Change::Unsupported,
        _ => Change::InPlace,
    }
}

/// The properties with values of the types that the table gives, or what is wrong with them.
pub fn check(kind: &str, properties: &Value) -> Result<Value, String> {
    let Some(row) = TABLE.resources.get(kind) else { return Err(format!("Unrecognized resource types: [{kind}]")) };
    let mut problems = Vec::new();
    let empty = Map::new();
    let members = match properties {
        Value::Object(map) => map,
        Value::Null => &empty,
        _ => return Err(failure(&["Value of property {/} does not match type {Object}".to_owned()])),
    };
    let checked = Check { kind, problems: &mut problems }.structure("", &row.props, members);
    if problems.is_empty() { Ok(checked) } else { Err(failure(&problems)) }
}

fn failure(problems: &[String]) -> String {
    format!("Property validation failure: [{}]", problems.join(", "))
}

struct Check<'a> {
    kind: &'a str,
    problems: &'a mut Vec<String>,
}

impl Check<'_> {
    fn structure(&mut self, path: &str, table: &BTreeMap<String, Property>, members: &Map<String, Value>) -> Value {
        let unknown: Vec<&str> = members.keys().map(String::as_str).filter(|name| !table.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let at = if path.is_empty() { "/" } else { path };
            self.problems.push(format!("Encountered unsupported properties in {{{at}}}: [{}]", unknown.join(", ")));
        }
        for (name, property) in table {
            let given = members.get(name).is_some_and(|value| !value.is_null());
            if property.req == Some(Value::Bool(true)) && !given {
                self.problems.push(format!("The property {{{path}/{name}}} is required"));
            }
        }
        let known = members.iter().filter(|(_, value)| !value.is_null());
        let checked = known.filter_map(|(name, value)| {
            let property = table.get(name)?;
            Some((name.clone(), self.value(&format!("{path}/{name}"), &property.t, property, value)))
        });
        Value::Object(checked.collect())
    }

    fn value(&mut self, path: &str, r#type: &str, property: &Property, value: &Value) -> Value {
        if let Some(item) = r#type.strip_prefix("Array of ") {
            return self.list(path, item, property, value);
        }
        if let Some(item) = r#type.strip_prefix("Object of ") {
            return match value {
                Value::Object(members) => {
                    let checked =
                        members.iter().map(|(name, value)| (name.clone(), self.item(path, name, item, value)));
                    Value::Object(checked.collect())
                }
                other => self.mismatch(path, "Map", other),
            };
        }
        match r#type {
            "String" => self.text(path, property, value),
            "Boolean" => match value {
                Value::Bool(_) => value.clone(),
                Value::String(text) if text == "true" || text == "false" => Value::Bool(text == "true"),
                other => self.mismatch(path, "Boolean", other),
            },
            "Integer" | "Long" | "Number" | "Double" => self.number(path, r#type, property, value),
            "Json" | "Object" | "Array" => value.clone(),
            name => self.nested(path, name, value),
        }
    }

    /// A value below a list or a map, of which the table says only the type.
    fn item(&mut self, path: &str, name: &str, r#type: &str, value: &Value) -> Value {
        let plain = Property { t: r#type.to_owned(), req: None, u: None, min: None, max: None, r#enum: None };
        self.value(&format!("{path}/{name}"), r#type, &plain, value)
    }

    fn list(&mut self, path: &str, item: &str, property: &Property, value: &Value) -> Value {
        let Value::Array(items) = value else { return self.mismatch(path, "List", value) };
        let texts = item == "String";
        let (of_item, of_list) = (bounds(property, 0), bounds(property, 1));
        let bounds = if texts { of_list } else { of_list.or(of_item) };
        if let Some(bounds) = bounds {
            self.range(path, "Number of items of", "", &bounds, items.len() as f64);
        }
        let of_item = Property {
            t: item.to_owned(),
            req: None,
            u: None,
            min: property.min.clone().filter(|text| texts && text.contains('|')),
            max: property.max.clone().filter(|text| texts && text.contains('|')),
            r#enum: property.r#enum.clone(),
        };
        let checked = items
            .iter()
            .enumerate()
            .map(|(index, value)| self.value(&format!("{path}/{index}"), item, &of_item, value));
        Value::Array(checked.collect())
    }

    fn text(&mut self, path: &str, property: &Property, value: &Value) -> Value {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return self.mismatch(path, "String", other),
        };
        if let Some(bounds) = bounds(property, 0) {
            self.range(path, "Length of value for property", " length", &bounds, text.chars().count() as f64);
        }
        self.allowed(path, property, &text);
        Value::String(text)
    }

    fn number(&mut self, path: &str, r#type: &str, property: &Property, value: &Value) -> Value {
        let parsed = match value {
            Value::Number(_) => Some(value.clone()),
            Value::String(text) => {
                let whole = text.parse::<i64>().ok().map(Value::from);
                whole.or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from))
            }
            _ => None,
        };
        let whole = matches!(r#type, "Integer" | "Long");
        let Some(number) = parsed.filter(|number| !whole || number.as_f64().is_some_and(|n| n.fract() == 0.0)) else {
            return self.mismatch(path, r#type, value);
        };
        if let Some(bounds) = bounds(property, 0) {
            self.range(path, "Value of property", " value", &bounds, number.as_f64().unwrap_or_default());
        }
        self.allowed(path, property, &number.to_string());
        match number.as_f64() {
            // `2.0` is a whole number too.
            Some(float) if whole && !number.is_i64() && !number.is_u64() => Value::from(float as i64),
            _ => number,
        }
    }

    fn nested(&mut self, path: &str, name: &str, value: &Value) -> Value {
        let found = TABLE.property_types.get(&format!("{}.{name}", self.kind));
        let members = match (found, value) {
            // The source does not list the members of this type.
            (None, _) if name != "Tag" => return value.clone(),
            (_, Value::Object(members)) => members,
            (_, other) => return self.mismatch(path, name, other),
        };
        match found {
            Some(table) => self.structure(path, table, members),
            None => self.structure(path, &TAG, members),
        }
    }

    fn allowed(&mut self, path: &str, property: &Property, text: &str) {
        let Some(allowed) = &property.r#enum else { return };
        let names: Vec<String> =
            allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
        if !names.iter().any(|name| name == text) {
            let names = names.join(", ");
            self.problems.push(format!("Value of property {{{path}}} is {text}, which is none of [{names}]"));
        }
    }

    fn range(&mut self, path: &str, what: &str, of: &str, (min, max): &(Option<f64>, Option<f64>), found: f64) {
        if let Some(min) = min.filter(|min| found < *min) {
            self.problems.push(format!("{what} {{{path}}} is less than minimum allowed{of} {{{min}}}"));
        }
        if let Some(max) = max.filter(|max| found > *max) {
            self.problems.push(format!("{what} {{{path}}} is greater than maximum allowed{of} {{{max}}}"));
        }
    }

    fn mismatch(&mut self, path: &str, r#type: &str, value: &Value) -> Value {
        self.problems.push(format!("Value of property {{{path}}} does not match type {{{type}}}"));
        value.clone()
    }
}

/// What every `Tag` holds.
static TAG: LazyLock<BTreeMap<String, Property>> = LazyLock::new(|| {
    let text = || Property {
        t: "String".to_owned(),
        req: Some(Value::Bool(true)),
        u: None,
        min: None,
        max: None,
        r#enum: None,
    };
    BTreeMap::from([("Key".to_owned(), text()), ("Value".to_owned(), text())])
});

/// The bounds at `position` of figures such as `1 | 10`: of an item, then of the list.
fn bounds(property: &Property, position: usize) -> Option<(Option<f64>, Option<f64>)> {
    let figure = |text: &Option<String>| {
        let text = text.as_deref()?;
        text.split('|').nth(position)?.trim().replace(',', "").parse::<f64>().ok()
    };
    let bounds = (figure(&property.min), figure(&property.max));
    (bounds != (None, None)).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (kind, properties, expected) in [
            (
                "AWS::SSM::Parameter",
                json!({"Value": "v"}),
                "Property validation failure: [The property {/Type} is required]",
            ),
            ("AWS::Kinesis::Stream", json!({"Nmae": "x"}), "Encountered unsupported properties in {/}: [Nmae]"),
            (
                "AWS::S3::Bucket",
                json!({"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "Expiry": 1}]}}),
                "in {/LifecycleConfiguration/Rules/0}: [Expiry]",
            ),
            ("AWS::Kinesis::Stream", json!({"ShardCount": "two"}), "{/ShardCount} does not match type {Integer}"),
            ("AWS::Kinesis::Stream", json!({"ShardCount": 0}), "{/ShardCount} is less than minimum allowed value {1}"),
            ("AWS::Kinesis::Stream", json!({"Name": ""}), "property {/Name} is less than minimum allowed length {1}"),
            ("AWS::Kinesis::Stream", json!({"Name": ["x"]}), "{/Name} does not match type {String}"),
            ("AWS::Kinesis::Stream", json!({"Tags": [{"Key": "k"}]}), "The property {/Tags/0/Value} is required"),
            ("AWS::CloudTrail::Trail", json!({"S3BucketName": "b", "IsLogging": "yes"}), "{/IsLogging} does not match"),
            ("AWS::Logs::LogGroup", json!({"RetentionInDays": 2}), "{/RetentionInDays} is 2, which is none of [1, 3"),
            ("AWS::No::Such", json!({}), "Unrecognized resource types: [AWS::No::Such]"),
        ] {
            let error = check(kind, &properties).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn texts_become_the_numbers_and_booleans_that_they_say() {
        let given = json!({"ShardCount": "2", "Name": 7, "Tags": [{"Key": "k", "Value": true}], "DesiredShardLevelMetrics": null});
        let checked = check("AWS::Kinesis::Stream", &given).unwrap();
        assert_eq!(checked, json!({"ShardCount": 2, "Name": "7", "Tags": [{"Key": "k", "Value": "true"}]}));
        let trail = check("AWS::CloudTrail::Trail", &json!({"S3BucketName": "b", "IsLogging": "true"})).unwrap();
        assert_eq!(trail["IsLogging"], json!(true));
    }

    #[test]
    fn the_table_says_what_a_change_needs() {
        for (kind, property, change) in [
            ("AWS::Kinesis::Stream", "Name", Change::Replace),
            ("AWS::Kinesis::Stream", "ShardCount", Change::InPlace),
            ("AWS::Logs::LogGroup", "LogGroupClass", Change::Unsupported),
        ] {
            assert_eq!(change_of(kind, property), change, "{kind} {property}");
        }
        assert!(exists("AWS::KMS::Key") && !exists("AWS::KMS::Kee"));
        assert!(has_attribute("AWS::KMS::Key", "Arn") && !has_attribute("AWS::KMS::Key", "Name"));
    }
}
