//! What would change: the difference of one resource, and the preview of a whole change.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::language::{Needs, Policy, Scope, TemplateResource, UNKNOWN, collect, creation_order, invalid};
use super::resources::name_property;
use super::stack::{Deployment, ResourceStatus, Stack, StackResource};
use super::types::{self, Change};
use crate::core::{AccountInfo, AwsError, Provisioned};
use crate::ssm::Ssm;
use world::time::Time;

/// What a change of a resource needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing: its properties are the same.
    None,
    /// The service changes it.
    InPlace,
    /// Another resource takes its place.
    Replace,
}

/// A resource that is yet to be created, and gets its serial then.
pub fn resource(
    target: &Deployment,
    id: &str,
    declared: &TemplateResource,
    properties: Value,
    now: Time,
) -> StackResource {
    let mut needs = Needs::default();
    collect(&declared.properties, Some(&target.conditions), &mut needs);
    needs.resources.extend(declared.depends_on().into_iter().map(str::to_owned));
    needs.resources.retain(|need| target.template.resources.contains_key(need));
    StackResource {
        logical_id: id.to_owned(),
        serial: 0,
        kind: declared.r#type.clone(),
        provisioned: None,
        properties: properties.into(),
        deletion_policy: declared.deletion_policy,
        update_replace_policy: declared.update_replace_policy,
        metadata: declared.metadata.clone(),
        needs: needs.resources,
        status: ResourceStatus::CreateInProgress,
        reason: None,
        changed: now,
    }
}

/// The properties in which two versions of a resource differ.
fn changed_properties<'v>(now: &'v Value, wanted: &'v Value) -> BTreeSet<&'v str> {
    let names = [now, wanted].into_iter().filter_map(Value::as_object).flat_map(|members| members.keys());
    names.map(String::as_str).filter(|name| now.get(name) != wanted.get(name)).collect()
}

/// What it takes to make a resource what is wanted. A resource with a name of its own cannot be replaced under it.
pub fn difference(now: &StackResource, wanted: &StackResource) -> Result<Difference, AwsError> {
    let changed = changed_properties(&now.properties, &wanted.properties);
    if changed.is_empty() {
        return Ok(Difference::None);
    }
    let mut difference = Difference::InPlace;
    for property in changed {
        match types::change_of(&now.kind, property) {
            Change::InPlace => {}
            Change::Replace => difference = Difference::Replace,
            Change::Unsupported => return Err(invalid(format!("Updates are not supported for property {property}."))),
        }
    }
    if difference == Difference::Replace
        && let Some(property) = name_property(&now.kind)
        && let Some(name) = wanted.properties.get(property).and_then(Value::as_str)
        && now.properties.get(property).and_then(Value::as_str) == Some(name)
    {
        return Err(invalid(format!(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {name} and \
             update the stack again."
        )));
    }
    Ok(difference)
}

/// What a change does with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It creates it.
    Add,
    /// It changes or replaces it.
    Modify,
    /// It deletes it, or lets it go.
    Remove,
}

/// Why a property changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The template says something else.
    Direct,
    /// A parameter has another value.
    Parameter(String),
    /// `Ref` of a resource gives something else.
    Resource(String),
    /// `Fn::GetAtt` of a resource (`Id.Attribute`) gives something else.
    Attribute(String),
}

/// A property that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyChange {
    /// Name.
    pub property: String,
    /// Whether the new value is known before the change is made.
    pub known: bool,
    /// What the change needs.
    pub needs: Change,
    /// Why.
    pub source: Source,
}

/// Whether a resource is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// That depends on a value which is not known yet.
    Maybe,
}

/// What a change does with one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// Logical id.
    pub logical_id: String,
    /// The value of `Ref` before.
    pub physical_id: Option<String>,
    /// Type.
    pub kind: String,
    /// What is done.
    pub action: Action,
    /// Whether it is replaced.
    pub replacement: Replacement,
    /// Whether its metadata changes.
    pub metadata: bool,
    /// The properties that change.
    pub properties: Vec<PropertyChange>,
    /// What becomes of the resource that was there, where one goes.
    pub policy: Option<Policy>,
}

/// What the preview of a change looks at.
pub struct Preview<'a> {
    /// The stack as it is.
    pub stack: &'a Stack,
    /// What it is to be made from.
    pub target: &'a Deployment,
    /// The account.
    pub account: &'a AccountInfo,
    /// Parameter Store.
    pub ssm: &'a Ssm,
    /// Exports of other stacks.
    pub exports: &'a BTreeMap<String, String>,
}

impl Preview<'_> {
    /// What would change, in the order in which it would.
    pub fn changes(&self) -> Result<Vec<ResourceChange>, AwsError> {
        let order = creation_order(&self.target.template, &self.target.conditions)?;
        let mut created = self.stack.live();
        let mut unknown: BTreeSet<String> = BTreeSet::new();
        let mut changes = Vec::new();
        for (id, _) in &order {
            let declared = &self.target.template.resources[id];
            let evaluated = self.scope(&created).evaluate(&declared.properties)?;
            let wanted = types::check(&declared.r#type, &evaluated).unwrap_or(evaluated);
            let Some(now) = created.get(id).and_then(|_| self.stack.resources.get(id)) else {
                changes.push(added(id, &declared.r#type));
                created.insert(id.clone(), Provisioned::new(UNKNOWN));
                unknown.insert(id.clone());
                continue;
            };
            let change = self.modified(now, declared, &wanted, &unknown);
            if change.properties.is_empty() && !change.metadata {
                continue;
            }
            if change.replacement != Replacement::No {
                created.insert(id.clone(), Provisioned::new(UNKNOWN));
                unknown.insert(id.clone());
            }
            changes.push(change);
        }
        let stays: BTreeSet<&str> = order.iter().map(|(id, _)| id.as_str()).collect();
        let live = self.stack.live();
        let gone = self.stack.resources.values().filter(|resource| live.contains_key(&resource.logical_id));
        changes.extend(gone.filter(|resource| !stays.contains(resource.logical_id.as_str())).map(removed));
        Ok(changes)
    }

    /// Whether the outputs would change. Values that are not known yet count as changes.
    pub fn outputs_change(&self) -> bool {
        let created = self.stack.live();
        let scope = self.scope(&created);
        let outputs = self.target.template.outputs.iter().filter(|(_, output)| {
            output.condition.as_ref().is_none_or(|name| self.target.conditions.get(name) == Some(&true))
        });
        let text = |value: &Value| scope.evaluate(value).ok().and_then(|value| value.as_str().map(str::to_owned));
        let wanted = outputs.map(|(key, output)| {
            let export = output.export.as_ref().map(|export| text(&export.name));
            (key.as_str(), text(&output.value), export.flatten())
        });
        let now = self.stack.outputs.iter().map(|o| (o.key.as_str(), Some(o.value.clone()), o.export.clone()));
        !wanted.eq(now)
    }

    fn scope<'s>(&'s self, created: &'s BTreeMap<String, Provisioned>) -> Scope<'s> {
        Scope {
            account: self.account,
            stack_name: &self.stack.name,
            stack_id: &self.stack.id,
            template: &self.target.template,
            parameters: &self.target.parameters,
            conditions: &self.target.conditions,
            created,
            ssm: self.ssm,
            exports: self.exports,
            imports: RefCell::new(BTreeSet::new()),
        }
    }

    fn modified(
        &self,
        now: &StackResource,
        declared: &TemplateResource,
        wanted: &Value,
        unknown: &BTreeSet<String>,
    ) -> ResourceChange {
        let mut replacement = Replacement::No;
        let mut properties = Vec::new();
        for name in changed_properties(&now.properties, wanted) {
            let known = !wanted.get(name).is_some_and(|value| value.to_string().contains(UNKNOWN));
            let needs = types::change_of(&now.kind, name);
            if needs == Change::Replace && replacement != Replacement::Yes {
                replacement = if known { Replacement::Yes } else { Replacement::Maybe };
            }
            let sources = self.sources(&now.logical_id, declared.properties.get(name), name, unknown);
            let one = |source| PropertyChange { property: name.to_owned(), known, needs, source };
            properties.extend(sources.into_iter().map(one));
        }
        ResourceChange {
            logical_id: now.logical_id.clone(),
            physical_id: Some(now.physical_id().to_owned()),
            kind: now.kind.clone(),
            action: Action::Modify,
            replacement,
            metadata: now.metadata != declared.metadata,
            properties,
            policy: (replacement != Replacement::No).then_some(now.update_replace_policy),
        }
    }

    /// Why a property changes: each reference whose value changes, and the template when it says something else.
    fn sources(&self, id: &str, said: Option<&Value>, name: &str, unknown: &BTreeSet<String>) -> Vec<Source> {
        let mut needs = Needs::default();
        said.iter().for_each(|value| collect(value, Some(&self.target.conditions), &mut needs));
        let before = self.stack.current.as_deref();
        let mut sources: Vec<Source> = Vec::new();
        for cause in &needs.causes {
            let (owner, attribute) = cause.split_once('.').map_or((cause.as_str(), false), |(owner, _)| (owner, true));
            if unknown.contains(owner) {
                let source = if attribute { Source::Attribute } else { Source::Resource };
                sources.push(source(cause.clone()));
            } else if let Some(parameter) = self.target.parameters.get(owner)
                && before.is_some_and(|before| before.parameters.get(owner) != Some(parameter))
            {
                sources.push(Source::Parameter(cause.clone()));
            }
        }
        let said_before = before.and_then(|before| before.template.resources.get(id)?.properties.get(name));
        if sources.is_empty() || said_before != said {
            sources.push(Source::Direct);
        }
        sources
    }
}

fn added(id: &str, kind: &str) -> ResourceChange {
    ResourceChange {
        logical_id: id.to_owned(),
        physical_id: None,
        kind: kind.to_owned(),
        action: Action::Add,
        replacement: Replacement::No,
        metadata: false,
        properties: Vec::new(),
        policy: None,
    }
}

fn removed(resource: &StackResource) -> ResourceChange {
    ResourceChange {
        logical_id: resource.logical_id.clone(),
        physical_id: Some(resource.physical_id().to_owned()),
        kind: resource.kind.clone(),
        action: Action::Remove,
        replacement: Replacement::No,
        metadata: false,
        properties: Vec::new(),
        policy: Some(resource.deletion_policy),
    }
}
