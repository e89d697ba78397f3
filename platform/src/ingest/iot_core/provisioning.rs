//! How devices register themselves: fleet provisioning by claim.

use serde_json::json;

use super::stack::thing_type_name;
use crate::declare::bounded;
use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, Statement, allow};
use crate::template::{Expr, Handle, Template, iot};

/// Adds the template and its role.
pub(super) fn add(template: &mut Template, settings: &Settings) -> Handle<iot::ProvisioningTemplate> {
    let naming = Naming::new(settings);
    let role = Role::for_service(naming.role("provisioning"), "iot.amazonaws.com", [("register", register(naming))]);
    let role = template.add("ProvisioningRole", bounded(naming, role.for_this_account_only()));
    template.add(
        "ProvisioningTemplate",
        iot::ProvisioningTemplate {
            template_name: naming.name("fleet"),
            description: "A device with a claim certificate gets a thing, a certificate and the device policy",
            enabled: settings.iot.fleet_provisioning,
            provisioning_role_arn: role.arn(),
            template_body: body(naming),
            template_type: "FLEET_PROVISIONING",
        },
    )
}

/// What is registered (IoT Core guide, "Provisioning templates"). A thing that is there already must be of the same tenant:
/// otherwise a claim could move a device from one tenant to another.
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
