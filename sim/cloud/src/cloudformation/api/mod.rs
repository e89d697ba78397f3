//! The interface: a file a group of operations. Every operation reads all of its request before it does anything, so
//! that a member which is not modelled is refused without a trace.

mod change_sets;
mod describe;
mod render;
mod stacks;
mod templates;
mod wish;

use super::CloudFormation;
use super::language::invalid;
use super::stack::Stack;
use crate::account::Services;
use crate::core::{AwsError, Cx, Outcome};
use crate::front::query::{Form, Xml, unknown_action};

pub use wish::{Wish, deployment};

/// Most items of an answer (unverified).
const PAGE: usize = 100;

/// What a handler works with.
struct Call<'a, 'b> {
    stacks: &'a mut CloudFormation,
    services: &'a mut Services,
    cx: &'a mut Cx<'b>,
}

/// Operations that AWS has and this simulator does not.
const NOT_MODELLED: &[&str] = &[
    "ActivateOrganizationsAccess",
    "ActivateType",
    "BatchDescribeTypeConfigurations",
    "CreateGeneratedTemplate",
    "CreateStackInstances",
    "CreateStackRefactor",
    "CreateStackSet",
    "DeactivateOrganizationsAccess",
    "DeactivateType",
    "DeleteGeneratedTemplate",
    "DeleteStackInstances",
    "DeleteStackSet",
    "DeregisterType",
    "DescribeAccountLimits",
    "DescribeChangeSetHooks",
    "DescribeEvents",
    "DescribeStackDriftDetectionStatus",
    "DescribeStackInstance",
    "DescribeStackResourceDrifts",
    "DescribeStackSet",
    "DescribeStackSetOperation",
    "DescribeType",
    "DetectStackDrift",
    "DetectStackResourceDrift",
    "DetectStackSetDrift",
    "EstimateTemplateCost",
    "GetStackPolicy",
    "ListStackInstances",
    "ListStackSets",
    "ListTypes",
    "RecordHandlerProgress",
    "RegisterType",
    "RollbackStack",
    "SetStackPolicy",
    "SignalResource",
    "UpdateStackInstances",
    "UpdateStackSet",
];

type Handler = for<'a, 'b, 'f> fn(&mut Call<'a, 'b>, &'f mut Form) -> Result<Xml, AwsError>;

/// The operations by name.
const OPERATIONS: &[(&str, Handler)] = &[
    ("CancelUpdateStack", stacks::cancel_update_stack),
    ("ContinueUpdateRollback", stacks::continue_update_rollback),
    ("CreateChangeSet", change_sets::create_change_set),
    ("CreateStack", stacks::create_stack),
    ("DeleteChangeSet", change_sets::delete_change_set),
    ("DeleteStack", stacks::delete_stack),
    ("DescribeChangeSet", change_sets::describe_change_set),
    ("DescribeStackEvents", describe::describe_stack_events),
    ("DescribeStackResource", describe::describe_stack_resource),
    ("DescribeStackResources", describe::describe_stack_resources),
    ("DescribeStacks", describe::describe_stacks),
    ("ExecuteChangeSet", change_sets::execute_change_set),
    ("GetTemplate", templates::get_template),
    ("GetTemplateSummary", templates::get_template_summary),
    ("ListChangeSets", change_sets::list_change_sets),
    ("ListExports", describe::list_exports),
    ("ListImports", describe::list_imports),
    ("ListStackResources", describe::list_stack_resources),
    ("ListStacks", describe::list_stacks),
    ("UpdateStack", stacks::update_stack),
    ("UpdateTerminationProtection", stacks::update_termination_protection),
    ("ValidateTemplate", templates::validate_template),
];

/// Answers a request.
pub fn call(
    stacks: &mut CloudFormation,
    services: &mut Services,
    cx: &mut Cx<'_>,
    form: &mut Form,
) -> Result<Xml, AwsError> {
    let Some((name, handler)) = OPERATIONS.iter().find(|(name, _)| *name == form.action()) else {
        let known = NOT_MODELLED.contains(&form.action());
        return Err(if known { AwsError::not_modelled(form.action()) } else { unknown_action(form) });
    };
    let answer = handler(&mut Call { stacks, services, cx }, form);
    cx.meter.call("cloudformation", name, answer.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
    answer
}

impl Call<'_, '_> {
    /// Whether the caller may do `operation` on a stack that is there, or would have this name.
    fn authorize(&mut self, operation: &str, stack: Option<usize>, name: &str) -> Result<(), AwsError> {
        let arn = match stack {
            Some(index) => self.stacks.stacks[index].id.clone(),
            None if name.starts_with("arn:") => name.to_owned(),
            None => self.cx.account.arn("cloudformation", &format!("stack/{name}/*")),
        };
        self.cx.authorize(&format!("cloudformation:{operation}"), &arn)
    }

    /// The stack that a request names, if the caller may do `operation` on it.
    fn stack(&mut self, operation: &str, name: &str) -> Result<usize, AwsError> {
        let found = self.stacks.find(name);
        self.authorize(operation, found, name)?;
        found.ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))
    }

    fn at(&self, index: usize) -> &Stack {
        &self.stacks.stacks[index]
    }

    fn at_mut(&mut self, index: usize) -> &mut Stack {
        &mut self.stacks.stacks[index]
    }
}

/// The page of `items` that begins at the position that a request's `NextToken` names, and the token of the next page.
fn page<T>(items: Vec<T>, token: Option<String>) -> Result<(Vec<T>, Option<String>), AwsError> {
    let from = match token {
        None => 0,
        Some(token) => {
            let from = token.parse::<usize>().ok().filter(|from| *from <= items.len());
            from.ok_or_else(|| invalid("NextToken is not valid"))?
        }
    };
    let next = (from + PAGE < items.len()).then(|| (from + PAGE).to_string());
    Ok((items.into_iter().skip(from).take(PAGE).collect(), next))
}
