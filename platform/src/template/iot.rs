//! AWS IoT Core: policies, thing types, topic rules, logging, provisioning, domains.

use serde::Serialize;

use super::iam::PolicyDocument;
use super::{Expr, Handle, Resource, Tagging, lambda};

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
    const TAGS: Tagging = Tagging::List;
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
    const TAGS: Tagging = Tagging::List;
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
    /// Invokes a function, without waiting for what it answers. The function's own policy lets the rule do so.
    Lambda(LambdaAction),
}

/// A function to invoke.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LambdaAction {
    function_arn: Expr,
}

impl LambdaAction {
    /// Invokes `function` with the result of the statement as its event.
    pub fn invoking(function: &Handle<lambda::Function>) -> Self {
        LambdaAction { function_arn: function.arn() }
    }
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
    const TAGS: Tagging = Tagging::List;
}

impl Handle<TopicRule> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}

/// `AWS::IoT::Logging`: an account has one in a Region.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Logging {
    /// Account.
    pub account_id: Expr,
    /// Least level that is logged: `ERROR`, `WARN`, `INFO`, `DEBUG` or `DISABLED`.
    pub default_log_level: &'static str,
    /// Role that may write the log.
    pub role_arn: Expr,
}

impl Resource for Logging {
    const TYPE: &'static str = "AWS::IoT::Logging";
}

/// `AWS::IoT::ProvisioningTemplate`: how a device that holds a claim certificate gets a certificate of its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProvisioningTemplate {
    /// Name: 1 to 36 characters.
    pub template_name: String,
    /// For people.
    pub description: &'static str,
    /// Whether devices may use it.
    pub enabled: bool,
    /// Role that may register a device.
    pub provisioning_role_arn: Expr,
    /// Function that is asked before a device is registered.
    pub pre_provisioning_hook: ProvisioningHook,
    /// What is registered, as JSON.
    pub template_body: String,
    /// `FLEET_PROVISIONING`.
    pub template_type: &'static str,
}

/// A function that IoT Core asks before it registers a device.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProvisioningHook {
    payload_version: &'static str,
    target_arn: Expr,
}

impl ProvisioningHook {
    /// Asks `function`.
    pub fn asking(function: &Handle<lambda::Function>) -> Self {
        // The only version (API reference, `ProvisioningHook`).
        ProvisioningHook { payload_version: "2020-04-01", target_arn: function.arn() }
    }
}

impl Resource for ProvisioningTemplate {
    const TYPE: &'static str = "AWS::IoT::ProvisioningTemplate";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<ProvisioningTemplate> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::IoT::DomainConfiguration`: an own name for the devices' endpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DomainConfiguration {
    /// Name of the configuration.
    pub domain_configuration_name: String,
    /// Name of the host.
    pub domain_name: String,
    /// ARN of the certificate for that name.
    pub server_certificate_arns: [String; 1],
    /// `DATA`.
    pub service_type: &'static str,
    /// What the endpoint accepts.
    pub tls_config: TlsConfig,
}

/// What an endpoint accepts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TlsConfig {
    /// Security policy: versions of TLS and their ciphers.
    pub security_policy: &'static str,
}

impl Resource for DomainConfiguration {
    const TYPE: &'static str = "AWS::IoT::DomainConfiguration";
    const TAGS: Tagging = Tagging::List;
}
