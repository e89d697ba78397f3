//! Amazon SNS: topics, who may publish to them, who is told.

use serde::Serialize;

use super::iam::{PolicyDocument, Principal, Statement, deny};
use super::{Expr, Handle, Resource, Tagging};

/// `AWS::SNS::Topic`, encrypted by a customer-managed key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Topic {
    topic_name: String,
    kms_master_key_id: Expr,
}

impl Topic {
    /// A topic whose messages are encrypted by the key with the ARN `key`.
    pub fn encrypted(topic_name: String, key: Expr) -> Self {
        Topic { topic_name, kms_master_key_id: key }
    }
}

impl Resource for Topic {
    const TYPE: &'static str = "AWS::SNS::Topic";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Topic> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::SNS::TopicPolicy`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicPolicy {
    topics: [Expr; 1],
    policy_document: PolicyDocument,
}

impl TopicPolicy {
    /// Denies what is published without encryption in transit, and says what the further statements say. It takes the
    /// place of the topic's first policy; principals of the account need a policy of their own to use the topic.
    pub fn tls_only(topic: &Handle<Topic>, further: impl IntoIterator<Item = Statement>) -> Self {
        let tls = deny(["sns:Publish"], [topic.arn()]).named("DenyUnencryptedTransport").to(Principal::Anyone).when(
            "Bool",
            "aws:SecureTransport",
            "false",
        );
        let statements = std::iter::once(tls).chain(further).collect();
        TopicPolicy { topics: [topic.arn()], policy_document: PolicyDocument::new(statements) }
    }
}

impl Resource for TopicPolicy {
    const TYPE: &'static str = "AWS::SNS::TopicPolicy";
}

/// `AWS::SNS::Subscription` of an address of e-mail. Nothing is sent until its owner confirms.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subscription {
    topic_arn: Expr,
    protocol: &'static str,
    endpoint: String,
}

impl Subscription {
    /// Tells `address` of every message.
    pub fn email(topic: &Handle<Topic>, address: String) -> Self {
        Subscription { topic_arn: topic.arn(), protocol: "email", endpoint: address }
    }
}

impl Resource for Subscription {
    const TYPE: &'static str = "AWS::SNS::Subscription";
}
