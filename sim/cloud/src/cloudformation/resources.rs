//! Which service owns a type: the one place to add a service to. And how long a change of a resource takes.

use std::time::Duration;

use serde_json::Value;

use super::stack::StackResource;
use crate::account::Services;
use crate::core::{AccountInfo, AwsError, Cx, Provisioned, Resource};
use crate::kept;

/// What to do with a resource.
pub enum Act<'a> {
    /// Create it.
    Create,
    /// Change it in place.
    Update {
        /// The value of its `Ref`.
        physical_id: &'a str,
        /// The properties that it has.
        previous: &'a Value,
    },
    /// Delete it.
    Delete {
        /// See [`identifier`].
        physical_id: &'a str,
    },
}

/// What a service deletes a resource by: the value of its `Ref`, except where that is a name which several may have.
pub fn identifier(resource: &StackResource) -> &str {
    let attributes = resource.provisioned.as_ref().map(|provisioned| &provisioned.attributes);
    let attribute = match resource.kind.as_str() {
        "AWS::Athena::NamedQuery" => attributes.and_then(|attributes| attributes.get("NamedQueryId")),
        _ => None,
    };
    attribute.map_or_else(|| resource.physical_id(), String::as_str)
}

/// Calls `provision`, `update` or `delete` of a service, with the ports that it takes.
macro_rules! with {
    ($act:expr, $service:expr, $cx:expr, $resource:expr $(, $port:expr)*) => {
        match $act {
            Act::Create => $service.provision($cx, $($port,)* $resource),
            Act::Update { physical_id, previous } => {
                $service.update($cx, $($port,)* $resource, physical_id, previous)
            }
            Act::Delete { physical_id } => {
                $service.delete($cx, $($port,)* $resource, physical_id).map(|()| Provisioned::new(*physical_id))
            }
        }
    };
}

/// Lets the service that owns the type act. The first line that fits decides.
pub fn act(s: &mut Services, cx: &mut Cx<'_>, resource: &Resource, act: &Act<'_>) -> Result<Provisioned, AwsError> {
    if !matches!(act, Act::Delete { .. }) {
        check_roles(s, cx, resource)?;
    }
    let service = resource.kind.split("::").nth(1).unwrap_or("");
    match service {
        _ if kept::keeps(&resource.kind) => with!(act, s.kept, cx, resource),
        "Athena" => with!(act, s.athena, cx, resource),
        "DynamoDB" => with!(act, s.dynamodb, cx, resource),
        "Glue" => with!(act, s.glue, cx, resource),
        "IAM" => with!(act, s.iam, cx, resource),
        "IoT" => with!(act, s.iot, cx, resource),
        "KMS" => with!(act, s.kms, cx, resource),
        "Kinesis" => with!(act, s.kinesis, cx, resource),
        "KinesisFirehose" => with!(act, s.firehose, cx, resource, &mut s.kinesis, &mut s.glue),
        "Lambda" => with!(act, s.lambda, cx, resource, &mut s.kinesis),
        "S3" => with!(act, s.s3, cx, resource),
        "SNS" => with!(act, s.sns, cx, resource),
        "SSM" => with!(act, s.ssm, cx, resource),
        "Scheduler" => with!(act, s.scheduler, cx, resource),
        _ => Err(resource.refuse("this resource type is not modelled")),
    }
}

/// How long after its first event AWS has called the service, and for how long the service then works. AWS publishes no
/// figures: these are assumptions, a few seconds each. What a service says itself ([`Provisioned::ready_at`]) is added.
pub fn time_of(kind: &str) -> (Duration, Duration) {
    let works_ms = match kind {
        "AWS::SSM::Parameter" | "AWS::Logs::LogGroup" | "AWS::Lambda::Permission" => 1_000,
        "AWS::IAM::Role" | "AWS::IAM::ManagedPolicy" => 5_000,
        "AWS::Kinesis::Stream" | "AWS::DynamoDB::Table" | "AWS::KinesisFirehose::DeliveryStream" => 8_000,
        "AWS::S3::Bucket" => 4_000,
        _ => 2_000,
    };
    (Duration::from_millis(500), Duration::from_millis(works_ms))
}

/// Members that hold the ARN of a role.
const ROLE_MEMBERS: [&str; 6] =
    ["Role", "RoleArn", "RoleARN", "CloudWatchLogsRoleArn", "ServiceRole", "ProvisioningRoleArn"];

/// The service that acts in the roles that a resource of this type names.
fn trusted_by(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AWS::CloudTrail::Trail" => "cloudtrail.amazonaws.com",
        "AWS::CodeBuild::Project" => "codebuild.amazonaws.com",
        "AWS::CodePipeline::Pipeline" => "codepipeline.amazonaws.com",
        "AWS::IoT::Logging" | "AWS::IoT::ProvisioningTemplate" | "AWS::IoT::TopicRule" => "iot.amazonaws.com",
        "AWS::IoT::RoleAlias" => "credentials.iot.amazonaws.com",
        "AWS::KinesisFirehose::DeliveryStream" => "firehose.amazonaws.com",
        "AWS::Lambda::Function" => "lambda.amazonaws.com",
        "AWS::Logs::SubscriptionFilter" => "logs.amazonaws.com",
        "AWS::Scheduler::Schedule" => "scheduler.amazonaws.com",
        _ => return None,
    })
}

/// Every role that a resource names must exist and trust the service that acts in it, on behalf of the resource.
fn check_roles(services: &Services, cx: &Cx<'_>, resource: &Resource) -> Result<(), AwsError> {
    let Some(trusted) = trusted_by(&resource.kind) else { return Ok(()) };
    let mut roles = Vec::new();
    match resource.kind.as_str() {
        // The roles of its actions trust the pipeline's role, or other services.
        "AWS::CodePipeline::Pipeline" => roles.extend(resource.properties["RoleArn"].as_str()),
        _ => collect_roles(&resource.properties, &mut roles),
    }
    let source = source_arn(cx.account, resource);
    roles.iter().try_for_each(|arn| services.iam.check_assumable_for(arn, trusted, source.as_deref()))
}

/// The ARN that a service names as its source when it assumes the role of one of its resources. Lambda names none when it
/// assumes a function's role.
fn source_arn(account: &AccountInfo, resource: &Resource) -> Option<String> {
    let named = |member: &str| resource.properties[member].as_str();
    let of = |service: &str, kind: &str, member: &str| {
        named(member).map(|name| account.arn(service, &format!("{kind}/{name}")))
    };
    match resource.kind.as_str() {
        "AWS::IoT::TopicRule" => of("iot", "rule", "RuleName"),
        "AWS::IoT::ProvisioningTemplate" => of("iot", "provisioningtemplate", "TemplateName"),
        "AWS::KinesisFirehose::DeliveryStream" => of("firehose", "deliverystream", "DeliveryStreamName"),
        "AWS::CloudTrail::Trail" => of("cloudtrail", "trail", "TrailName"),
        "AWS::Scheduler::Schedule" => {
            let group = named("GroupName").unwrap_or("default");
            Some(account.arn("scheduler", &format!("schedule-group/{group}")))
        }
        _ => None,
    }
}

fn collect_roles<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_roles(item, into)),
        Value::Object(map) => {
            for (name, item) in map {
                match item {
                    Value::String(arn) if ROLE_MEMBERS.contains(&name.as_str()) => into.push(arn),
                    // Names of a function's environment are its author's.
                    _ if name == "Variables" => {}
                    _ => collect_roles(item, into),
                }
            }
        }
        _ => {}
    }
}

/// The property that holds the name of resources of a type, where a template may give one.
pub fn name_property(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AWS::CloudTrail::Trail" => "TrailName",
        "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm" => "AlarmName",
        "AWS::CloudWatch::Dashboard" => "DashboardName",
        "AWS::Config::ConfigRule" => "ConfigRuleName",
        "AWS::DynamoDB::Table" => "TableName",
        "AWS::IAM::Group" => "GroupName",
        "AWS::IAM::ManagedPolicy" => "ManagedPolicyName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::IAM::User" => "UserName",
        "AWS::IoT::Policy" => "PolicyName",
        "AWS::IoT::ProvisioningTemplate" => "TemplateName",
        "AWS::IoT::RoleAlias" => "RoleAlias",
        "AWS::IoT::Thing" => "ThingName",
        "AWS::IoT::ThingGroup" => "ThingGroupName",
        "AWS::IoT::ThingType" => "ThingTypeName",
        "AWS::IoT::BillingGroup" => "BillingGroupName",
        "AWS::IoT::TopicRule" => "RuleName",
        "AWS::IoT::DomainConfiguration" => "DomainConfigurationName",
        "AWS::KinesisFirehose::DeliveryStream" => "DeliveryStreamName",
        "AWS::KMS::Alias" => "AliasName",
        "AWS::Lambda::Function" => "FunctionName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::S3::Bucket" => "BucketName",
        "AWS::SNS::Topic" => "TopicName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::Athena::WorkGroup"
        | "AWS::CodeBuild::Project"
        | "AWS::CodePipeline::Pipeline"
        | "AWS::Events::Rule"
        | "AWS::Kinesis::Stream"
        | "AWS::SSM::Parameter"
        | "AWS::Scheduler::Schedule"
        | "AWS::Scheduler::ScheduleGroup" => "Name",
        _ => return None,
    })
}

/// What the caller must acknowledge before a resource is created: `CAPABILITY_IAM`, or `CAPABILITY_NAMED_IAM` when the
/// template names it.
pub fn capability(kind: &str, properties: &Value) -> Option<&'static str> {
    let name = match kind {
        "AWS::IAM::Policy" | "AWS::IAM::RolePolicy" => return Some("CAPABILITY_IAM"),
        "AWS::IAM::InstanceProfile" => "InstanceProfileName",
        "AWS::IAM::Group" | "AWS::IAM::ManagedPolicy" | "AWS::IAM::Role" | "AWS::IAM::User" => name_property(kind)?,
        _ => return None,
    };
    Some(if properties.get(name).is_some() { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identities_and_permissions_need_a_capability() {
        for (kind, properties, expected) in [
            ("AWS::IAM::Role", json!({}), Some("CAPABILITY_IAM")),
            ("AWS::IAM::Role", json!({"RoleName": "r"}), Some("CAPABILITY_NAMED_IAM")),
            ("AWS::IAM::Policy", json!({"PolicyName": "p"}), Some("CAPABILITY_IAM")),
            ("AWS::IAM::OIDCProvider", json!({}), None),
            ("AWS::S3::Bucket", json!({"BucketName": "b"}), None),
        ] {
            assert_eq!(capability(kind, &properties), expected, "{kind} {properties}");
        }
    }

    #[test]
    fn every_type_with_a_name_is_replaced_when_its_name_changes() {
        use super::super::types::{Change, change_of};
        for kind in ["AWS::S3::Bucket", "AWS::IoT::TopicRule", "AWS::Kinesis::Stream", "AWS::CodePipeline::Pipeline"] {
            let name = name_property(kind).unwrap_or_else(|| panic!("{kind} has a name"));
            assert_eq!(change_of(kind, name), Change::Replace, "{kind} {name}");
        }
    }
}
