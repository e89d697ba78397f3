//! How devices register themselves: fleet provisioning by claim.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::stack::thing_type_name;
use crate::declare::bounded;
use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{PolicyDocument, Role, Statement, allow};
use crate::template::{Expr, Template, iot};

/// Name of the template by which devices of a tenant register themselves: at most 36 characters.
pub fn claim_template_name(naming: Naming<'_>, tenant: &str) -> String {
    naming.name(&format!("claim-{tenant}"))
}

/// Name of the policy for claim certificates of a tenant.
pub fn claim_policy_name(naming: Naming<'_>, tenant: &str) -> String {
    naming.name(&format!("claim-{tenant}"))
}

/// Client id with which a device connects that shows a claim certificate. No device of the registry has it, so a claim
/// takes over the connection of none.
pub fn claim_client_id(tenant: &str, device: &str) -> String {
    format!("claim:{tenant}:{device}")
}

/// The template's parameters for a device and its type.
pub fn claim_parameters(device: &str, device_type: &str) -> [(&'static str, String); 2] {
    [("Device", device.to_owned()), ("DeviceType", device_type.to_owned())]
}

/// Adds the role, and for each tenant whose devices may register themselves its template and the policy of its claims.
pub(super) fn add(template: &mut Template, settings: &Settings) {
    let naming = Naming::new(settings);
    let role = Role::for_service(naming.role("provisioning"), "iot.amazonaws.com", [("register", register(naming))]);
    let role = template.add("ProvisioningRole", bounded(naming, role.for_this_account_only()));
    for tenant in &settings.iot.claims {
        let part = logical_part(tenant);
        template.add(
            &format!("ClaimTemplate{part}"),
            iot::ProvisioningTemplate {
                template_name: claim_template_name(naming, tenant),
                description: "A device with a claim of this tenant gets a thing, a certificate and the device policy",
                enabled: true,
                provisioning_role_arn: role.arn(),
                template_body: body(naming, tenant),
                template_type: "FLEET_PROVISIONING",
            },
        );
        let policy_document = PolicyDocument::new(claim_policy(naming, tenant));
        let policy_name = claim_policy_name(naming, tenant);
        template.add(&format!("ClaimPolicy{part}"), iot::Policy { policy_name, policy_document });
    }
}

/// The part of logical ids that names a tenant: its letters and digits, and a hash, because others may have the same.
fn logical_part(tenant: &str) -> String {
    let hash = Sha256::digest(tenant);
    let short: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    tenant.chars().filter(char::is_ascii_alphanumeric).chain(short.chars()).collect()
}

/// What a claim of a tenant is good for: a certificate, and its registration by the tenant's template. It connects with
/// client ids that no device has (IoT Core guide, "Provisioning by claim").
fn claim_policy(naming: Naming<'_>, tenant: &str) -> Vec<Statement> {
    let template = claim_template_name(naming, tenant);
    let provision = format!("$aws/provisioning-templates/{template}/provision/*");
    let of = |kind: &str| {
        ["$aws/certificates/create/*", &provision].map(|topic| Expr::arn("iot", format!("{kind}/{topic}")))
    };
    vec![
        allow(["iot:Connect"], [Expr::arn("iot", format!("client/{}", claim_client_id(tenant, "*")))]),
        allow(["iot:Publish", "iot:Receive"], of("topic")),
        allow(["iot:Subscribe"], of("topicfilter")),
    ]
}

/// What is registered (IoT Core guide, "Provisioning templates"). The tenant is the template's: a device cannot name one. A
/// thing that is there already must be of the same tenant: otherwise a claim could move a device from one to another.
fn body(naming: Naming<'_>, tenant: &str) -> String {
    let attributes = json!({ TENANT_ATTRIBUTE: tenant, DEVICE_TYPE_ATTRIBUTE: { "Ref": "DeviceType" } });
    json!({
        "Parameters": {
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
