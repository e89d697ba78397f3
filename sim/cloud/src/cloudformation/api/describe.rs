//! Looking at stacks, their resources and events, and at exports.

use std::collections::BTreeSet;

use super::super::language::invalid;
use super::super::stack::{Output, Stack};
use super::render::{self, Shape};
use super::{Call, PAGE, page};
use crate::core::AwsError;
use crate::front::query::{Form, Xml};
use world::time::Time;

/// For how long a deleted stack is remembered.
fn remembered(call: &Call<'_, '_>, stack: &Stack) -> bool {
    let days = call.cx.limits.get("cloudformation", "deleted_stack_visibility");
    let gone: Option<Time> = stack.deleted.filter(|_| !stack.exists());
    gone.is_none_or(|at| call.cx.now.since(at).as_secs() < days * 86_400)
}

/// `DescribeStacks`: all that are there, or the one with this name or id.
pub(super) fn describe_stacks(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.text("StackName");
    let token = form.text("NextToken");
    form.finish()?;
    let shown: Vec<usize> = match name {
        Some(name) => {
            let index = call.stack("DescribeStacks", &name)?;
            if !remembered(call, call.at(index)) {
                return Err(invalid(format!("Stack with id {name} does not exist")));
            }
            vec![index]
        }
        None => {
            call.cx.authorize("cloudformation:DescribeStacks", "*")?;
            let all = call.stacks.stacks.iter().enumerate().rev();
            all.filter(|(_, stack)| stack.exists()).map(|(index, _)| index).collect()
        }
    };
    let (shown, next) = page(shown, token)?;
    let mut xml = Xml::new();
    xml.list("Stacks", shown, |xml, index| render::stack(xml, call.at(index)));
    xml.optional("NextToken", next);
    Ok(xml)
}

/// `ListStacks`: also those that were deleted, by status.
pub(super) fn list_stacks(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let filter: BTreeSet<String> = form.texts("StackStatusFilter")?.unwrap_or_default().into_iter().collect();
    let token = form.text("NextToken");
    form.finish()?;
    call.cx.authorize("cloudformation:ListStacks", "*")?;
    let stacks = call.stacks.stacks.iter().rev().filter(|stack| remembered(call, stack));
    let stacks = stacks.filter(|stack| filter.is_empty() || filter.contains(stack.status.name()));
    let (stacks, next) = page(stacks.collect(), token)?;
    let mut xml = Xml::new();
    xml.list("StackSummaries", stacks, render::summary);
    xml.optional("NextToken", next);
    Ok(xml)
}

/// `DescribeStackEvents`: newest first. A page's token counts from the oldest event, so that new ones do not move it.
pub(super) fn describe_stack_events(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let token = form.text("NextToken");
    form.finish()?;
    let index = call.stacks.find(&name);
    call.authorize("DescribeStackEvents", index, &name)?;
    let index = index.ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    let stack = call.at(index);
    let until = match token {
        None => stack.events.len(),
        Some(token) => {
            let until = token.parse::<usize>().ok().filter(|until| *until <= stack.events.len());
            until.ok_or_else(|| invalid("NextToken is not valid"))?
        }
    };
    let from = until.saturating_sub(PAGE);
    let mut xml = Xml::new();
    xml.list("StackEvents", stack.events[from..until].iter().rev(), |xml, event| render::event(xml, stack, event));
    xml.optional("NextToken", (from > 0).then(|| from.to_string()));
    Ok(xml)
}

/// `ListStackResources`.
pub(super) fn list_stack_resources(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let token = form.text("NextToken");
    form.finish()?;
    let index = call.stack("ListStackResources", &name)?;
    let stack = call.at(index);
    let (resources, next) = page(stack.resources.values().collect(), token)?;
    let mut xml = Xml::new();
    xml.list("StackResourceSummaries", resources, |xml, resource| {
        render::resource(xml, stack, resource, Shape::Summary);
    });
    xml.optional("NextToken", next);
    Ok(xml)
}

/// `DescribeStackResources`: of a stack, or of the stack that owns a physical id.
pub(super) fn describe_stack_resources(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.text("StackName");
    let physical = form.text("PhysicalResourceId");
    let logical = form.text("LogicalResourceId");
    form.finish()?;
    let index = match (name, physical) {
        (Some(name), None) => call.stack("DescribeStackResources", &name)?,
        (None, Some(id)) => {
            let owns = |stack: &Stack| stack.exists() && stack.resources.values().any(|r| r.physical_id() == id);
            let found = call.stacks.stacks.iter().position(owns);
            call.authorize("DescribeStackResources", found, "*")?;
            found.ok_or_else(|| invalid(format!("Stack for {id} does not exist")))?
        }
        _ => return Err(invalid("Specify exactly one of StackName and PhysicalResourceId")),
    };
    let stack = call.at(index);
    let resources = stack.resources.values().filter(|r| logical.as_ref().is_none_or(|id| *id == r.logical_id));
    let mut xml = Xml::new();
    xml.list("StackResources", resources, |xml, resource| render::resource(xml, stack, resource, Shape::Resource));
    Ok(xml)
}

/// `DescribeStackResource`.
pub(super) fn describe_stack_resource(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let logical = form.required("LogicalResourceId")?;
    form.finish()?;
    let index = call.stack("DescribeStackResource", &name)?;
    let stack = call.at(index);
    let resource = stack.resources.get(&logical);
    let resource =
        resource.ok_or_else(|| invalid(format!("Resource {logical} does not exist for stack {}", stack.name)))?;
    let mut xml = Xml::new();
    xml.element("StackResourceDetail", |xml| render::resource(xml, stack, resource, Shape::Detail));
    Ok(xml)
}

/// `ListExports`.
pub(super) fn list_exports(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let token = form.text("NextToken");
    form.finish()?;
    call.cx.authorize("cloudformation:ListExports", "*")?;
    let mut exports: Vec<(&str, &Output, &Stack)> = Vec::new();
    for stack in call.stacks.stacks.iter().filter(|stack| stack.exists()) {
        exports.extend(stack.outputs.iter().filter_map(|output| Some((output.export.as_deref()?, output, stack))));
    }
    exports.sort_by_key(|(name, _, _)| *name);
    let (exports, next) = page(exports, token)?;
    let mut xml = Xml::new();
    xml.list("Exports", exports, |xml, (name, output, stack)| {
        xml.text("ExportingStackId", &stack.id);
        xml.text("Name", name);
        xml.text("Value", &output.value);
    });
    xml.optional("NextToken", next);
    Ok(xml)
}

/// `ListImports`.
pub(super) fn list_imports(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("ExportName")?;
    let token = form.text("NextToken");
    form.finish()?;
    call.cx.authorize("cloudformation:ListImports", "*")?;
    let stacks: Vec<&str> = call.stacks.readers(&name).map(|stack| stack.name.as_str()).collect();
    if stacks.is_empty() {
        return Err(invalid(format!("Export '{name}' is not imported by any stack.")));
    }
    let (stacks, next) = page(stacks, token)?;
    let mut xml = Xml::new();
    xml.texts("Imports", stacks);
    xml.optional("NextToken", next);
    Ok(xml)
}
