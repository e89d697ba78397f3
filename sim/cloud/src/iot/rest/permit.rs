//! Who may run which operation of the control plane on what.

use super::RestRequest;
use crate::core::{AwsError, Cx};

/// Operations whose bodies name what they act on. They ask themselves, once they have read it.
const NAMED_IN_BODIES: [&str; 5] = [
    "AddThingToThingGroup",
    "RemoveThingFromThingGroup",
    "AddThingToBillingGroup",
    "RemoveThingFromBillingGroup",
    "UpdateThingGroupsForThing",
];

/// Whether the caller may run an operation. `parameters` are those of the path. Which operations are granted on which kind
/// of resource is in the Service Authorization Reference of AWS IoT (unverified: those without a resource here).
pub(super) fn permit(
    cx: &mut Cx<'_>,
    operation: &str,
    parameters: &[String],
    request: &RestRequest<'_>,
) -> Result<(), AwsError> {
    if NAMED_IN_BODIES.contains(&operation) {
        return Ok(());
    }
    let name = parameters.first().map_or("", String::as_str);
    let of_kind = |kind: &str| cx.account.arn("iot", &format!("{kind}/{name}"));
    let resource = match operation {
        _ if name.starts_with("arn:") => name.to_owned(),
        "AttachPolicy" | "DetachPolicy" => target(request.body).unwrap_or_else(|| "*".to_owned()),
        _ if name.is_empty() => "*".to_owned(),
        _ if request.path.starts_with("/things/") => of_kind("thing"),
        _ if request.path.starts_with("/thing-types/") => of_kind("thingtype"),
        _ if request.path.starts_with("/thing-groups/") => of_kind("thinggroup"),
        _ if request.path.starts_with("/billing-groups/") => of_kind("billinggroup"),
        _ if request.path.starts_with("/policies/") || request.path.starts_with("/policy-targets/") => {
            of_kind("policy")
        }
        _ if request.path.starts_with("/certificates/") => of_kind("cert"),
        _ if request.path.starts_with("/rules/") => of_kind("rule"),
        _ if request.path.starts_with("/provisioning-templates/") => of_kind("provisioningtemplate"),
        _ => "*".to_owned(),
    };
    cx.authorize(&format!("iot:{operation}"), &resource)
}

/// The target of a policy: a certificate or a group of things.
fn target(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body["target"].as_str().filter(|target| target.starts_with("arn:")).map(str::to_owned)
}
