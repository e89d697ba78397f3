//! What the stack DeviceRegistry owns: the type of things, the device directory, and the device tagger with the rules that
//! tell it of new, changed and deleted things.
//!
//! IoT Core publishes events of its registry only when the account has asked for them: `UpdateEventConfigurations` with
//! `THING`, once in an account and Region. CloudFormation has no resource for it.

use std::collections::BTreeMap;

use super::{directory, tagger};
use crate::cross_cutting::logging;
use crate::declare::{FunctionSpec, add_function, bounded, data_key, decrypt, encrypt_logs};
use crate::ingest::iot_core::thing_type_name;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, Statement, allow};
use crate::template::lambda::{Function, Permission};
use crate::template::{Expr, Handle, Judge, Published, Retention, Template, dynamodb, iot};

/// Name of the stack inside an environment.
pub const STACK: &str = "device-registry";

/// Attribute of a thing that names its tenant. The device policy reads it.
pub const TENANT_ATTRIBUTE: &str = "tenant";

/// Attribute of a thing that names what kind of device it is. Optional.
pub const DEVICE_TYPE_ATTRIBUTE: &str = "device_type";

/// What the stack publishes for later stacks and for the provisioning of devices.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the thing type.
    pub thing_type_name: Published,
    /// Name of the directory's table.
    pub directory_table_name: Published,
    /// ARN of the directory's table.
    pub directory_table_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            thing_type_name: naming.published(STACK, "thing-type-name"),
            directory_table_name: naming.published(STACK, "directory-table-name"),
            directory_table_arn: naming.published(STACK, "directory-table-arn"),
        }
    }
}

/// First part of the name of each tenant's thing group and billing group. No other group begins with it.
pub fn group_prefix(naming: Naming<'_>) -> String {
    naming.name("")
}

/// Name of the directory's table.
pub fn directory_table_name(naming: Naming<'_>) -> String {
    naming.name("devices")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::of_stack(settings, STACK, "Ingest: the registry of devices, their directory and their groups.");
    let thing_type = template.add(
        "DeviceType",
        iot::ThingType {
            thing_type_name: thing_type_name(naming),
            thing_type_properties: iot::ThingTypeProperties {
                thing_type_description: "A device that publishes readings. Its attribute tenant decides its topics.",
                searchable_attributes: vec![TENANT_ATTRIBUTE],
            },
        },
    );
    let kept = settings.retention() == Retention::Retain;
    let table = dynamodb::Table::keyed_by(directory_table_name(naming), directory::DEVICE_KEY, data_key(naming));
    let table = template.add_data("DeviceDirectory", table.expiring_by(directory::EXPIRES_AT).protected(kept));
    if !kept {
        let reason = "The directory is made again from the registry; this environment ends with its data.";
        template.explain(&table, Judge::Checkov, "CKV_AWS_28", reason);
    }
    let function = add_tagger(&mut template, settings, &table);
    add_rules(&mut template, naming, &function);
    template.publish(&outputs.thing_type_name, "Type of each device's thing", thing_type.name());
    template.publish(&outputs.directory_table_name, "Table of the device directory", table.name());
    template.publish(&outputs.directory_table_arn, "Table of the device directory", table.arn());
    template
}

fn add_tagger(template: &mut Template, settings: &Settings, table: &Handle<dynamodb::Table>) -> Handle<Function> {
    let naming = Naming::new(settings);
    let spec = FunctionSpec {
        id: "Tagger",
        handler: tagger::HANDLER,
        description: "Puts new and changed devices into their tenant's groups and into the directory",
        memory_mib: 256,
        timeout_s: 60,
        reserved_concurrency: None,
        variables: BTreeMap::from([
            (tagger::DIRECTORY_TABLE, table.name()),
            (tagger::GROUP_PREFIX, group_prefix(naming).into()),
            (tagger::STREAM_RETENTION_HOURS, settings.stream_retention_hours.to_string().into()),
        ]),
        policies: vec![
            ("group-things", group_things(naming)),
            ("write-directory", vec![allow(["dynamodb:UpdateItem"], [table.arn()]), decrypt(naming, &["dynamodb"])]),
        ],
        no_dead_letters: "It reads what is true from the registry, so the next event of the thing makes up for one \
                          that failed three times; an alarm tells of the failure.",
    };
    add_function(template, settings, spec)
}

/// Things are called as devices are; the groups are the platform's own.
fn group_things(naming: Naming<'_>) -> Vec<Statement> {
    let things = || Expr::arn("iot", "thing/*");
    let thing_groups = || Expr::arn("iot", format!("thinggroup/{}*", group_prefix(naming)));
    let billing_groups = || Expr::arn("iot", format!("billinggroup/{}*", group_prefix(naming)));
    vec![
        allow(["iot:DescribeThing", "iot:ListThingGroupsForThing"], [things()]),
        allow(["iot:AddThingToThingGroup", "iot:RemoveThingFromThingGroup"], [things(), thing_groups()]),
        allow(["iot:AddThingToBillingGroup", "iot:RemoveThingFromBillingGroup"], [things(), billing_groups()]),
        allow(["iot:CreateThingGroup"], [thing_groups()]),
        // A billing group is made with the tag of its tenant.
        allow(["iot:CreateBillingGroup", "iot:TagResource"], [billing_groups()]),
    ]
}

/// The rules that tell the tagger of things. What a rule could not hand over is kept beside the errors of other rules.
fn add_rules(template: &mut Template, naming: Naming<'_>, function: &Handle<Function>) {
    let bucket = logging::Outputs::new(naming).rule_errors_bucket_name.read();
    let errors = Expr::s3_arn(bucket.clone()).then(format!("/{RULE_ERRORS}/*"));
    let write = vec![allow(["s3:PutObject"], [errors]).in_this_account_only(), encrypt_logs(naming, &["s3"])];
    let role = Role::for_service(naming.role("registry-rule"), "iot.amazonaws.com", [("keep-errors", write)]);
    let role = template.add("RegistryRuleRole", bounded(naming, role.for_this_account_only()));
    for (id, event, description) in [
        ("ThingCreated", "created", "New things to the device tagger"),
        ("ThingUpdated", "updated", "Changed things to the device tagger"),
        ("ThingDeleted", "deleted", "Deleted things to the device tagger"),
    ] {
        let rule = template.add(
            &format!("{id}Rule"),
            iot::TopicRule {
                rule_name: naming.identifier(&format!("thing_{event}")),
                topic_rule_payload: iot::TopicRulePayload {
                    description,
                    aws_iot_sql_version: "2016-03-23",
                    sql: format!("SELECT * FROM '$aws/events/thing/+/{event}'"),
                    rule_disabled: false,
                    actions: vec![iot::Action::Lambda(iot::LambdaAction::invoking(function))],
                    error_action: iot::Action::S3(iot::S3Action {
                        role_arn: role.arn(),
                        bucket_name: bucket.clone(),
                        key: format!("{RULE_ERRORS}/{event}/${{topic(4)}}/${{timestamp()}}-${{newuuid()}}.json"),
                    }),
                },
            },
        );
        template.add(&format!("{id}Permission"), Permission::to_invoke(function, "iot.amazonaws.com", rule.arn()));
    }
}

/// Prefix of what the rules could not hand over.
const RULE_ERRORS: &str = "rule-errors/registry";
