//! AWS IoT Core: policies, thing types, topic rules.

use serde::Serialize;

use super::iam::PolicyDocument;
use super::{Expr, Handle, Resource};

/// `AWS::IoT::Policy`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Name.
    pub policy_name: String,
    /// What a certificate with this policy may do.
    pub policy_document: PolicyDocument,
}

impl Resource for Policy {
    const TYPE: &'static str = "AWS::IoT::Policy";
}

impl Handle<Policy> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::IoT::ThingType`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ThingType {
    /// Name.
    pub thing_type_name: String,
    /// Properties.
    pub thing_type_properties: ThingTypeProperties,
}

/// Properties of a thing type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ThingTypeProperties {
    /// For people.
    pub thing_type_description: &'static str,
    /// Attributes by which the registry can be searched; at most three.
    pub searchable_attributes: Vec<&'static str>,
}

impl Resource for ThingType {
    const TYPE: &'static str = "AWS::IoT::ThingType";
}

impl Handle<ThingType> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::IoT::TopicRule`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicRule {
    /// Name: letters, digits, underscore.
    pub rule_name: String,
    /// The rule.
    pub topic_rule_payload: TopicRulePayload,
}

/// A rule: a statement and what is done with its result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicRulePayload {
    /// For people.
    pub description: &'static str,
    /// Version of the SQL dialect.
    pub aws_iot_sql_version: &'static str,
    /// The statement.
    pub sql: String,
    /// Whether the rule rests.
    pub rule_disabled: bool,
    /// What is done with the result.
    pub actions: Vec<Action>,
    /// What is done when an action fails for good.
    pub error_action: Action,
}

/// What a rule does.
#[derive(Debug, Serialize)]
pub enum Action {
    /// Puts a record into a Kinesis stream.
    Kinesis(KinesisAction),
    /// Puts an object into a bucket.
    S3(S3Action),
}

/// A record for a Kinesis stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KinesisAction {
    /// Role that may put records.
    pub role_arn: Expr,
    /// Stream.
    pub stream_name: Expr,
    /// Partition key; a substitution template.
    pub partition_key: &'static str,
}

/// An object for a bucket.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3Action {
    /// Role that may put objects.
    pub role_arn: Expr,
    /// Bucket.
    pub bucket_name: Expr,
    /// Key; a substitution template.
    pub key: String,
}

impl Resource for TopicRule {
    const TYPE: &'static str = "AWS::IoT::TopicRule";
}
