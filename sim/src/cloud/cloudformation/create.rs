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
    let template = Template::parse(body, &account.parts.limits)?;
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
        let value = evaluate(account, name, &stack_id, &created, &declared.value)
            .map_err(|e| invalid(format!("{name} output {output}: {}", e.message)))?;
        match value {
            serde_json::Value::String(text) => drop(outputs.insert(output.clone(), text)),
            other => {
                let why = "Template format error: The Value field of every Outputs member must evaluate to a String";
                return Err(invalid(format!("{name} output {output}: {why}, not {other}")));
            }
        }
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
        "SNS" => s.sns.provision(cx, resource),
        "Scheduler" => s.scheduler.provision(cx, resource),
        "Logs" => s.logs.provision(cx, resource),
        _ => Err(resource.refuse("this resource type is not modelled")),
    }
}

/// Members that hold the ARN of a role.
const ROLE_MEMBERS: [&str; 3] = ["Role", "RoleArn", "RoleARN"];

/// Every role that a resource names must exist and trust the service that acts in it.
fn check_roles(services: &Services, resource: &Resource) -> Result<(), AwsError> {
    let trusted = match resource.kind.as_str() {
        "AWS::IoT::TopicRule" => "iot.amazonaws.com",
        "AWS::Lambda::Function" => "lambda.amazonaws.com",
        "AWS::KinesisFirehose::DeliveryStream" => "firehose.amazonaws.com",
        "AWS::Scheduler::Schedule" => "scheduler.amazonaws.com",
        _ => return Ok(()),
    };
    let mut roles = Vec::new();
    collect_roles(&resource.properties, &mut roles);
    roles.iter().try_for_each(|arn| services.iam.check_assumable(arn, trusted))
}

fn collect_roles<'v>(value: &'v serde_json::Value, into: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_roles(item, into)),
        serde_json::Value::Object(map) => {
            for (name, item) in map {
                match item {
                    serde_json::Value::String(arn) if ROLE_MEMBERS.contains(&name.as_str()) => into.push(arn),
                    // Names of a function's environment are its author's.
                    _ if name == "Variables" => {}
                    _ => collect_roles(item, into),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::world::seed::Seed;
    use crate::world::trace::Trace;

    fn create(template: &serde_json::Value) -> Result<Stack, String> {
        let mut account = Account::new("eu-west-1", Seed::root(1), Trace::new());
        create_stack(&mut account, Time::EPOCH, "stack", &template.to_string()).map_err(|error| error.message)
    }

    fn parameter(value: &serde_json::Value) -> serde_json::Value {
        json!({"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": value}})
    }

    #[test]
    fn outputs_are_evaluated_and_are_texts() {
        let with_output = |value: serde_json::Value| {
            create(&json!({"Resources": {"A": parameter(&json!("v"))}, "Outputs": {"Out": {"Value": value}}}))
        };
        let stack = with_output(json!({"Fn::Sub": "${A}-${A.Value}"})).unwrap();
        assert_eq!(stack.outputs["Out"], "/a-v");
        for (value, expected) in [
            (json!(5), "stack output Out: Template format error: The Value field of every Outputs member"),
            (json!(null), "must evaluate to a String, not null"),
            (json!(["a"]), "must evaluate to a String, not [\"a\"]"),
            (json!({"Ref": "AWS::NoValue"}), "must evaluate to a String, not null"),
            (
                json!({"Ref": "Gone"}),
                "stack output Out: Template format error: Unresolved resource dependencies [Gone]",
            ),
        ] {
            let error = with_output(value).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn roles_are_what_stands_in_members_for_roles() {
        let properties = json!({
            "Role": "one",
            "Environment": {"Variables": {"Role": "arn:aws:iam::123456789012:role/of-another-account"}},
            "Description": "arn:aws:iam::123456789012:role/in-a-text",
            "Actions": [{"Kinesis": {"RoleArn": "two", "StreamName": "s"}}, {"S3": {"RoleARN": "three"}}],
        });
        let mut roles = Vec::new();
        collect_roles(&properties, &mut roles);
        roles.sort_unstable();
        assert_eq!(roles, ["one", "three", "two"]);
    }
}
