//! Two templates, compared by resource and property.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// What differs between two templates of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackDiff {
    /// Name of the stack.
    pub stack: String,
    /// Whether it is new, gone or changed.
    pub kind: Kind,
    /// Resources that differ, in the order of the templates.
    pub resources: Vec<ResourceDiff>,
    /// Parts of the template beside its resources that differ, such as `Description`.
    pub others: Vec<PropertyDiff>,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is only in the second.
    Added,
    /// It is only in the first.
    Removed,
    /// It is in both, and differs.
    Modified,
}

/// What differs in a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceDiff {
    /// Logical id.
    pub logical_id: String,
    /// Type, that of the second template when it differs.
    pub resource_type: String,
    /// Whether it is new, gone or changed.
    pub kind: Kind,
    /// What differs, by path.
    pub properties: Vec<PropertyDiff>,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyDiff {
    /// Where it is, such as `Properties.Tags[0].Value`.
    pub path: String,
    /// The value in the first template.
    pub before: Option<Value>,
    /// The value in the second.
    pub after: Option<Value>,
}

/// Compares two templates of a stack, either of which may be absent. Answers nothing when they are the same.
pub fn compare(stack: &str, before: Option<&Value>, after: Option<&Value>) -> Option<StackDiff> {
    let kind = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Kind::Added,
        (Some(_), None) => Kind::Removed,
        (Some(before), Some(after)) if before == after => return None,
        (Some(_), Some(_)) => Kind::Modified,
    };
    let empty = Value::Null;
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let resources = resources(&before["Resources"], &after["Resources"]);
    let mut others = Vec::new();
    for name in keys(before, after).into_iter().filter(|name| *name != "Resources") {
        differences(name, before.get(name), after.get(name), &mut others);
    }
    if kind == Kind::Modified && resources.is_empty() && others.is_empty() {
        return None;
    }
    Some(StackDiff { stack: stack.to_owned(), kind, resources, others })
}

fn resources(before: &Value, after: &Value) -> Vec<ResourceDiff> {
    let mut found = Vec::new();
    for id in keys(before, after) {
        let (old, new) = (before.get(id), after.get(id));
        let kind = match (old, new) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ => Kind::Modified,
        };
        let mut properties = Vec::new();
        if kind == Kind::Modified {
            let (Some(old), Some(new)) = (old, new) else { continue };
            for name in keys(old, new) {
                differences(name, old.get(name), new.get(name), &mut properties);
            }
            if properties.is_empty() {
                continue;
            }
        }
        let kind_of = new.or(old).and_then(|resource| resource["Type"].as_str()).unwrap_or_default();
        found.push(ResourceDiff { logical_id: id.to_owned(), resource_type: kind_of.to_owned(), kind, properties });
    }
    found
}

/// The keys of the first in its order, then those that only the second has.
fn keys<'v>(before: &'v Value, after: &'v Value) -> Vec<&'v str> {
    let of = |value: &'v Value| value.as_object().into_iter().flat_map(|members| members.keys().map(String::as_str));
    let mut seen = BTreeSet::new();
    of(before).chain(of(after)).filter(|key| seen.insert(*key)).collect()
}

fn differences(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<PropertyDiff>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(before @ Value::Object(old)), Some(after @ Value::Object(new))) if !old.is_empty() && !new.is_empty() => {
            for key in keys(before, after) {
                differences(&format!("{path}.{key}"), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if !old.is_empty() && !new.is_empty() => {
            for index in 0..old.len().max(new.len()) {
                differences(&format!("{path}[{index}]"), old.get(index), new.get(index), found);
            }
        }
        (before, after) => {
            let (before, after) = (before.cloned(), after.cloned());
            found.push(PropertyDiff { path: path.to_owned(), before, after });
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Added => "+",
            Kind::Removed => "-",
            Kind::Modified => "~",
        })
    }
}

impl fmt::Display for StackDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} stack {}", self.kind, self.stack)?;
        for property in &self.others {
            if self.kind == Kind::Modified {
                write!(f, "{property}")?;
            }
        }
        for resource in &self.resources {
            writeln!(f, "  {} {} ({})", resource.kind, resource.logical_id, resource.resource_type)?;
            for property in &resource.properties {
                write!(f, "{property}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for PropertyDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      {}", self.path)?;
        for (sign, value) in [("-", &self.before), ("+", &self.after)] {
            if let Some(value) = value {
                writeln!(f, "      {sign} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_told_by_resource_and_property() {
        let before = json!({"Description": "a", "Resources": {
            "Kept": {"Type": "AWS::A::B", "Properties": {"X": 1}},
            "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 2, "Tags": [{"Key": "k", "Value": "v"}]}},
            "Gone": {"Type": "AWS::SNS::Topic", "Properties": {}},
        }});
        let after = json!({"Description": "a", "Resources": {
            "Stream": {"Type": "AWS::Kinesis::Stream", "DeletionPolicy": "Retain",
                       "Properties": {"Tags": [{"Key": "k", "Value": "w"}, 1], "ShardCount": 4}},
            "Kept": {"Properties": {"X": 1}, "Type": "AWS::A::B"},
            "New": {"Type": "AWS::S3::Bucket", "Properties": {}},
        }});
        let text = compare("s", Some(&before), Some(&after)).unwrap().to_string();
        let expected = "\
~ stack s
  ~ Stream (AWS::Kinesis::Stream)
      Properties.ShardCount
      - 2
      + 4
      Properties.Tags[0].Value
      - \"v\"
      + \"w\"
      Properties.Tags[1]
      + 1
      DeletionPolicy
      + \"Retain\"
  - Gone (AWS::SNS::Topic)
  + New (AWS::S3::Bucket)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn order_alone_is_no_difference_and_absent_stacks_are_told() {
        let one = json!({"Resources": {"A": {"Type": "T", "Properties": {"x": 1, "y": 2}}, "B": {"Type": "T"}}});
        let other = json!({"Resources": {"B": {"Type": "T"}, "A": {"Properties": {"y": 2, "x": 1}, "Type": "T"}}});
        assert_eq!(compare("s", Some(&one), Some(&other)), None);
        assert_eq!(compare("s", None, None), None);
        assert_eq!(compare("s", None, Some(&one)).unwrap().to_string(), "+ stack s\n  + A (T)\n  + B (T)\n");
        assert_eq!(compare("s", Some(&one), None).unwrap().to_string(), "- stack s\n  - A (T)\n  - B (T)\n");
        let described = json!({"Description": "d", "Resources": one["Resources"]});
        let text = compare("s", Some(&one), Some(&described)).unwrap().to_string();
        assert_eq!(text, "~ stack s\n      Description\n      + \"d\"\n");
    }
}
