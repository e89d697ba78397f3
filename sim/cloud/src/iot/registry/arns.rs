//! ARNs of what is registered.

use crate::core::Cx;

/// ARN of a thing.
pub fn thing_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("thing/{name}"))
}

/// ARN of a thing type.
pub fn thing_type_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("thingtype/{name}"))
}

/// ARN of a certificate.
pub fn certificate_arn(cx: &Cx<'_>, id: &str) -> String {
    cx.account.arn("iot", &format!("cert/{id}"))
}

/// ARN of a policy.
pub fn policy_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("policy/{name}"))
}

/// ARN of a thing group.
pub fn thing_group_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("thinggroup/{name}"))
}

/// ARN of a billing group.
pub fn billing_group_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("billinggroup/{name}"))
}
