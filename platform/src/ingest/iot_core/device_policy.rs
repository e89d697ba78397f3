//! What a device may do: connect under its own name, publish its readings, hear its commands, and use its own shadow.
//!
//! Every resource holds the name of the device's thing or its tenant as a policy variable, which IoT Core fills in from the
//! registry for the connection's certificate: one policy serves all devices, and none reaches another's topics. A value
//! with a wildcard in it is not filled in (IoT guide, "Thing policy variables"), and then the statement matches nothing.
//! The wildcards below stand behind the device's own name, so they cross neither devices nor tenants.
//!
//! A device cannot delete its shadow: desired state is the operators', and would be gone with it.

use crate::template::Expr;
use crate::template::iam::{PolicyDocument, allow};

/// The topics of a device, by its tenant and its name.
const OWN: &str = "tenant/${iot:Connection.Thing.Attributes[tenant]}/device/${iot:Connection.Thing.ThingName}";
/// The topics of its classic shadow.
const SHADOW: &str = "$aws/things/${iot:Connection.Thing.ThingName}/shadow";

/// The policy. With the longest names of Regions and partitions it stays within 2,048 characters, the limit of a policy.
pub(super) fn document() -> PolicyDocument {
    let topic = |rest: String| Expr::arn("iot", format!("topic/{rest}"));
    let filter = |rest: String| Expr::arn("iot", format!("topicfilter/{rest}"));
    let heard = [format!("{OWN}/command"), format!("{SHADOW}/get/*"), format!("{SHADOW}/update/*")];
    PolicyDocument::new(vec![
        // With a clean session or a persistent one: without a condition on `iot:ConnectAttributes` both are allowed.
        allow(["iot:Connect"], [Expr::arn("iot", "client/${iot:Connection.Thing.ThingName}")]),
        allow(
            ["iot:Publish"],
            [topic(format!("{OWN}/data")), topic(format!("{SHADOW}/get")), topic(format!("{SHADOW}/update"))],
        ),
        allow(["iot:Subscribe"], heard.clone().map(filter)),
        allow(["iot:Receive"], heard.map(topic)),
    ])
}
