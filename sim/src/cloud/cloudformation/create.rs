//! Creating a stack in the account.

use std::collections::BTreeMap;

use super::Scope;
use super::template::{Template, invalid};
use crate::cloud::account::{Account, Services};
use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use crate::world::time::Time;
use crate::world::trace::Level;

/// A stack whose creation succeeded.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Name.
    pub name: String,
    /// Resources by logical id.
    pub resources: BTreeMap<String, Provisioned>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
}

/// Creates every resource of the template, in dependency order. The first failure ends the creation and names the
/// stack, the logical id and the type; rollback comes with updates and is not modelled: a run ends there.
pub fn create_stack(account: &mut Account, now: Time, name: &str, body: &str) -> Result<Stack, AwsError> {
    let template = Template::parse(body)?;
    let order = template.creation_order()?;
    let stack_id = account.as_owner(now, |_, cx| {
        let uuid = cx.uuid();
        cx.account.arn("cloudformation", &format!("stack/{name}/{uuid}"))
    });
    let mut created: BTreeMap<String, Provisioned> = BTreeMap::new();
    for logical_id in order {
        let declared = &template.resources[logical_id];
        let properties = evaluate(account, name, &stack_id, &created, &declared.properties)
            .map_err(|e| invalid(format!("{name} {logical_id} ({}): {}", declared.r#type, e.message)))?;
        let resource = Resource {
            stack: name.to_owned(),
            logical_id: logical_id.to_owned(),
            kind: declared.r#type.clone(),
            properties,
        };
        let provisioned = account.as_owner(now, |services, cx| {
            let provisioned = provision(services, cx, &resource)?;
            cx.meter.call("cloudformation", "CreateResource", Outcome::Ok);
            let fields = [("type", resource.kind.as_str().into()), ("stack", name.into())];
            cx.trace.event(Level::Run, now, "cloudformation", "CREATE_COMPLETE", &provisioned.physical_id, &fields);
            Ok(provisioned)
        });
        created.insert(logical_id.to_owned(), provisioned.map_err(|e| named(&resource, e))?);
    }
    let mut outputs = BTreeMap::new();
    for (output, declared) in &template.outputs {
        let value = evaluate(account, name, &stack_id, &created, &declared["Value"])?;
        outputs.insert(output.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    Ok(Stack { name: name.to_owned(), resources: created, outputs })
}

fn evaluate(
    account: &Account,
    stack_name: &str,
    stack_id: &str,
    created: &BTreeMap<String, Provisioned>,
    value: &serde_json::Value,
) -> Result<serde_json::Value, AwsError> {
    let scope = Scope { account: &account.parts.account, stack_name, stack_id, created, ssm: &account.services.ssm };
    scope.evaluate(value)
}

fn named(resource: &Resource, error: AwsError) -> AwsError {
    if error.message.contains(&resource.logical_id) {
        return error;
    }
    let message = format!("{} {} ({}): {}", resource.stack, resource.logical_id, resource.kind, error.message);
    AwsError { message, ..error }
}

fn provision(s: &mut Services, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
    check_roles(s, resource)?;
    let service = resource.kind.split("::").nth(1).unwrap_or("");
    match service {
        "IAM" => s.iam.provision(cx, resource),
        "SSM" => s.ssm.provision(cx, resource),
        "IoT" => s.iot.provision(cx, resource),
        "Kinesis" => s.kinesis.provision(cx, resource),
        "Lambda" => s.lambda.provision(cx, &mut s.kinesis, resource),
        "KinesisFirehose" => s.firehose.provision(cx, &mut s.kinesis, &mut s.glue, resource),
        "S3" => s.s3.provision(cx, resource),
        "DynamoDB" => s.dynamodb.provision(cx, resource),
        "Glue" => s.glue.provision(cx, resource),
        "Athena" => s.athena.provision(cx, resource),
        _ => Err(resource.refuse("this resource type is not modelled")),
    }
}

/// Every role that a resource names must exist and trust the service that acts in it.
fn check_roles(services: &Services, resource: &Resource) -> Result<(), AwsError> {
    let trusted = match resource.kind.as_str() {
        "AWS::IoT::TopicRule" => "iot.amazonaws.com",
        "AWS::Lambda::Function" => "lambda.amazonaws.com",
        "AWS::KinesisFirehose::DeliveryStream" => "firehose.amazonaws.com",
        _ => return Ok(()),
    };
    let mut roles = Vec::new();
    collect_roles(&resource.properties, &mut roles);
    roles.iter().try_for_each(|arn| services.iam.check_assumable(arn, trusted))
}

fn collect_roles(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.starts_with("arn:aws:iam::") && text.contains(":role/") => {
            into.push(text.clone());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_roles(item, into)),
        serde_json::Value::Object(map) => map.values().for_each(|item| collect_roles(item, into)),
        _ => {}
    }
}
