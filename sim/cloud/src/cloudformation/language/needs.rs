//! What a value refers to, and the order that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::template::{Template, unresolved};
use super::{invalid, single};
use crate::core::AwsError;

/// What a value refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Logical ids (resources and parameters alike) without pseudo parameters.
    pub resources: BTreeSet<String>,
    /// The same, with the attribute where `Fn::GetAtt` asks for one: `Id` or `Id.Attribute`.
    pub causes: BTreeSet<String>,
}

/// Collects what a value refers to. With conditions given, only the branches that they take count.
pub fn collect(value: &Value, conditions: Option<&BTreeMap<String, bool>>, into: &mut Needs) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, conditions, into)),
        Value::Object(map) => match single(map) {
            Some(("Ref", Value::String(id))) => into.insert(id, None),
            Some(("Fn::GetAtt", Value::Array(parts))) => {
                if let Some(Value::String(id)) = parts.first() {
                    into.insert(id, parts.get(1).and_then(Value::as_str));
                }
            }
            Some(("Fn::GetAtt", Value::String(dotted))) => into.insert_dotted(dotted),
            Some(("Fn::Sub", Value::String(text))) => sub_names(text, &Map::new(), into),
            Some(("Fn::Sub", Value::Array(parts))) => {
                let empty = Map::new();
                let locals = parts.get(1).and_then(Value::as_object).unwrap_or(&empty);
                locals.values().for_each(|local| collect(local, conditions, into));
                if let Some(Value::String(text)) = parts.first() {
                    sub_names(text, locals, into);
                }
            }
            Some(("Fn::If", Value::Array(parts))) => {
                let holds = parts.first().and_then(Value::as_str).and_then(|name| conditions?.get(name));
                let taken = match holds {
                    Some(true) => 1..2,
                    Some(false) => 2..3,
                    None => 1..3,
                };
                parts.get(taken).unwrap_or_default().iter().for_each(|part| collect(part, conditions, into));
            }
            _ => map.values().for_each(|item| collect(item, conditions, into)),
        },
        _ => {}
    }
}

impl Needs {
    fn insert(&mut self, id: &str, attribute: Option<&str>) {
        if !id.starts_with("AWS::") {
            self.resources.insert(id.to_owned());
            self.causes.insert(attribute.map_or_else(|| id.to_owned(), |attribute| format!("{id}.{attribute}")));
        }
    }

    fn insert_dotted(&mut self, dotted: &str) {
        match dotted.split_once('.') {
            Some((id, attribute)) => self.insert(id, Some(attribute)),
            None => self.insert(dotted, None),
        }
    }
}

fn sub_names(text: &str, locals: &Map<String, Value>, into: &mut Needs) {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    for name in names.filter(|name| !name.starts_with('!') && !locals.contains_key(*name)) {
        into.insert_dotted(name);
    }
}

/// The resources whose conditions hold, in an order in which every resource comes after those it needs, each with what
/// it needs. Among those that may come next, the template's order decides.
pub fn creation_order(
    template: &Template,
    conditions: &BTreeMap<String, bool>,
) -> Result<Vec<(String, BTreeSet<String>)>, AwsError> {
    let exists = |id: &str| {
        let resource = template.resources.get(id)?;
        Some(resource.condition.as_ref().is_none_or(|name| conditions.get(name) == Some(&true)))
    };
    let mut open: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for (id, resource) in template.resources.iter().filter(|(id, _)| exists(id) == Some(true)) {
        let mut needs = Needs::default();
        collect(&resource.properties, Some(conditions), &mut needs);
        // Parameters are no resources.
        needs.resources.retain(|need| exists(need).is_some());
        if let Some(absent) = needs.resources.iter().find(|need| exists(need) == Some(false)) {
            return Err(unresolved(absent, "Resources"));
        }
        let depends = resource.depends_on().into_iter().filter(|need| exists(need) == Some(true));
        needs.resources.extend(depends.map(str::to_owned));
        open.push((id, needs.resources));
    }
    let mut order: Vec<(String, BTreeSet<String>)> = Vec::with_capacity(open.len());
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while order.len() < open.len() {
        let before = order.len();
        for (id, needs) in &open {
            if !done.contains(id) && needs.iter().all(|need| done.contains(need.as_str())) {
                done.insert(id);
                order.push(((*id).to_owned(), needs.clone()));
            }
        }
        if order.len() == before {
            let stuck: Vec<&str> = open.iter().map(|(id, _)| *id).filter(|id| !done.contains(id)).collect();
            return Err(invalid(format!("Circular dependency between resources: [{}]", stuck.join(", "))));
        }
    }
    Ok(order)
}
