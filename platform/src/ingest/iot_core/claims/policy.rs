//! What a claim may do: ask for a certificate, and register with one template.

use super::CLAIM_CLIENT_PREFIX;
use crate::template::Expr;
use crate::template::iam::{PolicyDocument, allow};

/// Topics of the MQTT API of fleet provisioning (IoT Core guide, "Device provisioning MQTT API").
const CREATE: &str = "$aws/certificates/create/json";
const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/json";

/// The policy of claims that register with the template `template`.
pub(in crate::ingest::iot_core) fn document(template: &str) -> PolicyDocument {
    let provision = format!("$aws/provisioning-templates/{template}/provision/json");
    let topics = [CREATE, CREATE_FROM_CSR, &provision];
    let topic = |rest: &str, name: &str| Expr::arn("iot", format!("topic/{name}{rest}"));
    let filter = |name: &str| Expr::arn("iot", format!("topicfilter/{name}/*"));
    PolicyDocument::new(vec![
        allow(["iot:Connect"], [Expr::arn("iot", format!("client/{CLAIM_CLIENT_PREFIX}*"))]),
        allow(["iot:Publish"], topics.map(|name| topic("", name))),
        allow(["iot:Subscribe"], topics.map(filter)),
        // Answers: `/accepted` and `/rejected`.
        allow(["iot:Receive"], topics.map(|name| topic("/*", name))),
    ])
}
