//! How devices register themselves: fleet provisioning by claim.

use std::collections::BTreeMap;

use serde_json::json;

use super::claims;
use super::stack::thing_type_name;
use crate::declare::{FunctionSpec, add_function, bounded, decrypt};
use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE, directory_table_name};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, Statement, allow};
use crate::template::lambda::{Function, Permission};
use crate::template::{Expr, Handle, Template, iot};

/// Name of the template by which devices register themselves.
pub fn template_name(naming: Naming<'_>) -> String {
    naming.name("fleet")
}

/// Name of the policy of claim certificates.
pub fn claim_policy_name(naming: Naming<'_>) -> String {
    naming.name("claim")
}

/// Adds the policy of claims, the template, its role and its hook.
pub(super) fn add(template: &mut Template, settings: &Settings) -> Handle<iot::ProvisioningTemplate> {
    let naming = Naming::new(settings);
    let role = Role::for_service(naming.role("provisioning"), "iot.amazonaws.com", [("register", register(naming))]);
    let role = template.add("ProvisioningRole", bounded(naming, role.for_this_account_only()));
    let claims = iot::Policy {
        policy_name: claim_policy_name(naming),
        policy_document: claims::document(&template_name(naming)),
    };
    template.add("ClaimPolicy", claims);
    let hook = add_hook(template, settings);
    template.add(
        "ProvisioningTemplate",
        iot::ProvisioningTemplate {
            template_name: template_name(naming),
            description: "A device with a claim certificate gets a thing, a certificate and the device policy",
            enabled: settings.iot.fleet_provisioning,
            provisioning_role_arn: role.arn(),
            pre_provisioning_hook: iot::ProvisioningHook::asking(&hook),
            template_body: body(naming),
            template_type: "FLEET_PROVISIONING",
        },
    )
}

/// Adds the function that says whether a device may register itself, and for which tenant. It reads the device directory,
/// whose stack comes later: until it is there, nobody registers.
fn add_hook(template: &mut Template, settings: &Settings) -> Handle<Function> {
    let naming = Naming::new(settings);
    let table = directory_table_name(naming);
    let directory = Expr::arn("dynamodb", format!("table/{table}"));
    let spec = FunctionSpec {
        id: "ProvisioningHook",
        handler: claims::HANDLER,
        description: "Says of which tenant a device is that registers itself with a claim certificate",
        memory_mib: 256,
        // IoT Core waits for so long (IoT Core guide, "Pre-provisioning hooks").
        timeout_s: 5,
        reserved_concurrency: None,
        variables: BTreeMap::from([(claims::DIRECTORY_TABLE, table.into())]),
        policies: vec![("read-claims", vec![allow(["dynamodb:GetItem"], [directory]), decrypt(naming, &["dynamodb"])])],
        no_dead_letters: "IoT Core waits for its answer: a device that is refused asks again.",
    };
    let function = add_function(template, settings, spec);
    let source = Expr::arn("iot", format!("provisioningtemplate/{}", template_name(naming)));
    template.add("ProvisioningHookPermission", Permission::to_invoke(&function, "iot.amazonaws.com", source));
    function
}

/// What is registered (IoT Core guide, "Provisioning templates"). A thing that is there already must be of the same tenant:
/// otherwise a claim could move a device from one tenant to another. `Tenant` is what the hook says, not the device.
fn body(naming: Naming<'_>) -> String {
    let attributes = json!({ TENANT_ATTRIBUTE: { "Ref": "Tenant" }, DEVICE_TYPE_ATTRIBUTE: { "Ref": "DeviceType" } });
    json!({
        "Parameters": {
            "Tenant": { "Type": "String" },
            "Device": { "Type": "String" },
            "DeviceType": { "Type": "String" },
            "AWS::IoT::Certificate::Id": { "Type": "String" },
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": { "AttributePayload": "FAIL", "ThingTypeName": "FAIL", "ThingGroups": "DO_NOTHING" },
                "Properties": {
                    "ThingName": { "Ref": "Device" },
                    "ThingTypeName": thing_type_name(naming),
                    "AttributePayload": attributes,
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": { "PolicyName": naming.name("device") },
            },
        },
    })
    .to_string()
}

/// What IoT Core needs to register what the template names. Things and certificates have no names that are known before:
/// a thing is called as its device is, a certificate by its own fingerprint.
fn register(naming: Naming<'_>) -> Vec<Statement> {
    let things = Expr::arn("iot", "thing/*");
    let certificates = Expr::arn("iot", "cert/*");
    let policy = Expr::arn("iot", format!("policy/{}", naming.name("device")));
    let thing_type = Expr::arn("iot", format!("thingtype/{}", thing_type_name(naming)));
    vec![
        allow(["iot:DescribeThing"], [things.clone()]),
        // A thing is made, and changed, with its type: AWS asks for both.
        allow(["iot:CreateThing", "iot:UpdateThing"], [things.clone(), thing_type.clone()]),
        allow(["iot:DescribeThingType"], [thing_type]),
        allow(["iot:DescribeCertificate", "iot:UpdateCertificate"], [certificates.clone()]),
        allow(["iot:AttachThingPrincipal"], [certificates.clone(), things]),
        allow(["iot:AttachPolicy", "iot:GetPolicy"], [certificates, policy]),
    ]
}
