//! What the stack IoTCore owns: the policy that is attached to each device's certificate.

use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{PolicyDocument, allow};
use crate::template::{Expr, Published, Template, iot};

/// Name of the stack inside an environment.
pub const STACK: &str = "iot-core";

/// Topics of all readings: `tenant/{tenant}/device/{device}/data`. A device's id is its thing name, unique in the
/// account; its tenant is an attribute of its thing.
pub const READINGS_TOPIC_FILTER: &str = "tenant/+/device/+/data";

/// What the stack publishes for later stacks and for the provisioning of devices.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the policy to attach to a device's certificate.
    pub device_policy_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs { device_policy_name: naming.published(STACK, "device-policy-name") }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::new("Ingest: what devices may do, scoped to their tenant and their name.", settings.retention());
    let policy = template.add(
        "DevicePolicy",
        iot::Policy {
            policy_name: naming.name("device"),
            policy_document: PolicyDocument::new(vec![
                allow(["iot:Connect"], [Expr::arn("iot", "client/${iot:Connection.Thing.ThingName}")]),
                allow(["iot:Publish"], [Expr::arn("iot", own_topic())]),
            ]),
        },
    );
    template.publish(&outputs.device_policy_name, "Policy of each device's certificate", policy.name());
    template
}

/// The topic of the connected device's readings, by variables that IoT Core fills in from the registry.
fn own_topic() -> &'static str {
    "topic/tenant/${iot:Connection.Thing.Attributes[tenant]}/device/${iot:Connection.Thing.ThingName}/data"
}
