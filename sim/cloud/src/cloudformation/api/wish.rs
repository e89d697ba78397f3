//! What a request wants a stack to be made from.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::super::language::{Given, Scope, Template, creation_order, invalid, resolve};
use super::super::resources::capability;
use super::super::stack::{Deployment, Stack};
use super::Call;
use crate::account::Services;
use crate::core::ports::Objects as _;
use crate::core::{AwsError, Cx, Principal};
use crate::front::query::Form;

/// What a request wants a stack to be made from.
pub struct Wish {
    /// The template.
    pub body: String,
    /// The most bytes that it may have, by the way in which it came.
    pub body_bytes_max: u64,
    /// Values of parameters.
    pub parameters: IndexMap<String, Given>,
    /// What the caller acknowledges.
    pub capabilities: Vec<String>,
    /// Tags of the stack.
    pub tags: Vec<(String, String)>,
}

impl Wish {
    /// Reads it from a request. `stack` is there when the request may ask for its template and values.
    pub(super) fn read(call: &mut Call<'_, '_>, form: &mut Form, stack: Option<usize>) -> Result<Self, AwsError> {
        let current = stack.and_then(|index| call.at(index).current.clone());
        let previous = form.boolean("UsePreviousTemplate")?.unwrap_or(false);
        let template = if previous {
            let had = current.as_ref().map(|current| (current.body.clone(), u64::MAX));
            had.ok_or_else(|| invalid("Either Template URL or Template Body must be specified."))?
        } else {
            template(call, form)?
        };
        let mut parameters = IndexMap::new();
        for mut parameter in form.forms("Parameters")?.unwrap_or_default() {
            let key = parameter.required("ParameterKey")?;
            let value = parameter.text("ParameterValue");
            let given = match (parameter.boolean("UsePreviousValue")?.unwrap_or(false), value) {
                (true, None) => Given::Previous,
                (false, Some(value)) => Given::Value(value),
                _ => {
                    return Err(invalid(format!(
                        "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
                    )));
                }
            };
            parameter.finish()?;
            if parameters.insert(key.clone(), given).is_some() {
                return Err(invalid(format!("Parameters: [{key}] is given twice")));
            }
        }
        let mut tags = Vec::new();
        let given = form.forms("Tags")?;
        if let (None, Some(current)) = (&given, &current) {
            tags.clone_from(&current.tags);
        }
        for mut tag in given.unwrap_or_default() {
            tags.push((tag.required("Key")?, tag.text("Value").unwrap_or_default()));
            tag.finish()?;
        }
        let capabilities = form.texts("Capabilities")?.unwrap_or_default();
        Ok(Wish { body: template.0, body_bytes_max: template.1, parameters, capabilities, tags })
    }
}

/// The template of a request, given directly or by the address of an object in S3, and the most bytes that it may have.
pub fn template(call: &mut Call<'_, '_>, form: &mut Form) -> Result<(String, u64), AwsError> {
    let limit = |call: &Call<'_, '_>, name| call.cx.limits.get("cloudformation", name);
    match (form.text("TemplateBody"), form.text("TemplateURL")) {
        (Some(body), None) if !body.is_empty() => Ok((body, limit(call, "template_body"))),
        (None, Some(address)) => Ok((fetch(call, &address)?, limit(call, "template_s3"))),
        (Some(_), Some(_)) => Err(invalid("Specify only one of TemplateBody and TemplateURL")),
        _ => Err(invalid("Either Template URL or Template Body must be specified.")),
    }
}

/// The object at `https://{bucket}.s3.{region}.amazonaws.com/{key}` or `https://s3.{region}.amazonaws.com/{bucket}/{key}`.
fn fetch(call: &mut Call<'_, '_>, address: &str) -> Result<String, AwsError> {
    let wrong = || invalid("TemplateURL must reference a valid S3 object to which you have access.");
    let url = url::Url::parse(address).map_err(|_| wrong())?;
    let host = url.host_str().filter(|host| host.ends_with(".amazonaws.com")).ok_or_else(wrong)?;
    let path = url.path().strip_prefix('/').unwrap_or_default();
    let (bucket, key) = match host.split_once(".s3.").or_else(|| host.split_once(".s3-")) {
        Some((bucket, _)) => (bucket, path),
        None if host.starts_with("s3.") || host.starts_with("s3-") => path.split_once('/').ok_or_else(wrong)?,
        None => return Err(wrong()),
    };
    let body = call.services.s3.get_object(call.cx, bucket, key).map_err(|_| wrong())?;
    String::from_utf8(body.to_vec()).map_err(|_| invalid("Template format error: the template is not UTF-8"))
}

/// What a stack would be made from, with everything checked that can be before anything is done.
pub fn deployment(
    wish: &Wish,
    stack: &Stack,
    exports: &BTreeMap<String, String>,
    services: &Services,
    cx: &Cx<'_>,
) -> Result<Deployment, AwsError> {
    let template = Template::parse(&wish.body, cx.limits, wish.body_bytes_max)?;
    let references = wish.body.matches("{{resolve:").count() as u64;
    let most = cx.limits.get("cloudformation", "dynamic_references");
    if references > most {
        return Err(invalid(format!(
            "Template format error: Number of dynamic references, {references}, is greater than maximum allowed, {most}"
        )));
    }
    check_capabilities(&template, &wish.capabilities)?;
    let before = stack.current.as_ref().map(|current| &current.parameters);
    let parameters = resolve(&template.parameters, &wish.parameters, before, &services.ssm, cx.limits)?;
    let scope = Scope {
        account: cx.account,
        stack_name: &stack.name,
        stack_id: &stack.id,
        template: &template,
        parameters: &parameters,
        conditions: &BTreeMap::new(),
        created: &BTreeMap::new(),
        ssm: &services.ssm,
        exports,
        imports: RefCell::new(BTreeSet::new()),
    };
    let conditions = scope.all_conditions()?;
    creation_order(&template, &conditions)?;
    if let Some(current) = &stack.current {
        check_types(&current.template, &template, stack)?;
    }
    let (tags, capabilities) = (wish.tags.clone(), wish.capabilities.clone());
    Ok(Deployment { body: wish.body.clone(), template, parameters, conditions, tags, capabilities })
}

/// The capabilities that a template needs, and the types that need them.
pub fn capabilities(template: &Template) -> (BTreeSet<&'static str>, BTreeSet<&str>) {
    let resources = template.resources.values();
    let needed = resources.filter_map(|r| Some((capability(&r.r#type, &r.properties)?, r.r#type.as_str())));
    let (capabilities, types): (BTreeSet<_>, BTreeSet<_>) = needed.unzip();
    // Acknowledging names acknowledges the rest.
    match capabilities.contains("CAPABILITY_NAMED_IAM") {
        true => (BTreeSet::from(["CAPABILITY_NAMED_IAM"]), types),
        false => (capabilities, types),
    }
}

fn check_capabilities(template: &Template, given: &[String]) -> Result<(), AwsError> {
    let acknowledged = |needed: &&str| {
        given.iter().any(|given| given == needed || given == "CAPABILITY_NAMED_IAM" && *needed == "CAPABILITY_IAM")
    };
    let missing: Vec<&str> = capabilities(template).0.into_iter().filter(|needed| !acknowledged(needed)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Requires capabilities : [{}]", missing.join(", "));
    Err(AwsError::new("InsufficientCapabilitiesException", message))
}

/// A logical id keeps its type for as long as the stack has the resource.
fn check_types(before: &Template, after: &Template, stack: &Stack) -> Result<(), AwsError> {
    let changed = after.resources.iter().filter(|(id, resource)| {
        let there = stack.resources.get(*id).is_some_and(|resource| resource.provisioned.is_some());
        there && before.resources.get(*id).is_some_and(|before| before.r#type != resource.r#type)
    });
    let changed: Vec<&str> = changed.map(|(id, _)| id.as_str()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
        changed.join(", ")
    )))
}

/// On whose behalf a stack is worked on: the role that is given, or the caller. CloudFormation assumes the role for the
/// stack, which is the source that the role's trust may ask for.
pub fn principal(call: &mut Call<'_, '_>, role: Option<&str>, stack: &str) -> Result<Principal, AwsError> {
    let Some(arn) = role else { return Ok(call.cx.caller.clone()) };
    call.cx.authorize_in("iam:PassRole", arn, &[("iam:PassedToService", "cloudformation.amazonaws.com")])?;
    call.services
        .iam
        .check_assumable_for(arn, "cloudformation.amazonaws.com", Some(stack))
        .map_err(|_| invalid(format!("Role {arn} is invalid or cannot be assumed")))?;
    let (account, name) = (&call.cx.account.id, arn.rsplit('/').next().unwrap_or(arn));
    Ok(Principal::new(format!("arn:aws:sts::{account}:assumed-role/{name}/AWSCloudFormation")))
}
