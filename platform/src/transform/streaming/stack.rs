//! What the stack Streaming owns: the raw and the enriched stream, and the topic rule.
//!
//! The deliveries from the streams to S3 are owned by the Store stage: Firehose checks the Glue table when a delivery
//! stream is created, so it must come after the table.

use crate::cross_cutting::logging;
use crate::declare::{bounded, data_key, encrypt, encrypt_logs};
use crate::ingest::iot_core::READINGS_TOPIC_FILTER;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, allow};
use crate::template::kinesis::Stream;
use crate::template::{Expr, Handle, Published, Template, iot};

/// Name of the stack inside an environment.
pub const STACK: &str = "streaming";

/// What the stack publishes for later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the raw stream.
    pub raw_stream_arn: Published,
    /// Name of the enriched stream.
    pub enriched_stream_name: Published,
    /// ARN of the enriched stream.
    pub enriched_stream_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            raw_stream_arn: naming.published(STACK, "raw-stream-arn"),
            enriched_stream_name: naming.published(STACK, "enriched-stream-name"),
            enriched_stream_arn: naming.published(STACK, "enriched-stream-arn"),
        }
    }
}

/// Name of the raw stream.
pub fn raw_stream_name(naming: Naming<'_>) -> String {
    naming.name("raw")
}

/// Name of the enriched stream.
pub fn enriched_stream_name(naming: Naming<'_>) -> String {
    naming.name("enriched")
}

/// Name of the rule that fills the raw stream.
pub fn readings_rule_name(naming: Naming<'_>) -> String {
    naming.identifier("readings")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::of_stack(settings, STACK, "Transform: the streams of readings and the rule that fills the first.");
    let stream = |name, capacity| Stream::encrypted(name, capacity, settings.stream_retention_hours, data_key(naming));
    let capacity = settings.raw_stream_mode.capacity(settings.raw_shards);
    let raw = template.add_data("RawStream", stream(raw_stream_name(naming), capacity));
    let capacity = settings.enriched_stream_mode.capacity(settings.enriched_shards);
    let enriched = stream(enriched_stream_name(naming), capacity);
    let enriched = template.add_data("EnrichedStream", enriched);
    add_rule(&mut template, naming, &raw);
    template.publish(&outputs.raw_stream_arn, "Stream of raw readings", raw.arn());
    template.publish(&outputs.enriched_stream_name, "Stream of enriched readings", enriched.name());
    template.publish(&outputs.enriched_stream_arn, "Stream of enriched readings", enriched.arn());
    template
}

fn add_rule(template: &mut Template, naming: Naming<'_>, raw: &Handle<Stream>) {
    let bucket = logging::Outputs::new(naming).rule_errors_bucket_name.read();
    let errors = Expr::s3_arn(bucket.clone()).then(format!("/{RULE_ERRORS}/*"));
    let deliver = vec![
        allow(["kinesis:PutRecord"], [raw.arn()]),
        allow(["s3:PutObject"], [errors]).in_this_account_only(),
        encrypt(naming, &["kinesis"]),
        encrypt_logs(naming, &["s3"]),
    ];
    let role = Role::for_service(naming.role("rule"), "iot.amazonaws.com", [("deliver-readings", deliver)]);
    let role = template.add("RuleRole", bounded(naming, role.for_this_account_only()));
    template.add(
        "ReadingsRule",
        iot::TopicRule {
            rule_name: readings_rule_name(naming),
            topic_rule_payload: iot::TopicRulePayload {
                description: "Readings of all devices to the raw stream, by device",
                aws_iot_sql_version: "2016-03-23",
                sql: format!(
                    "SELECT *, topic(2) AS tenant_id, topic(4) AS device_id, timestamp() AS received_at \
                     FROM '{READINGS_TOPIC_FILTER}'"
                ),
                rule_disabled: false,
                actions: vec![iot::Action::Kinesis(iot::KinesisAction {
                    role_arn: role.arn(),
                    stream_name: raw.name(),
                    partition_key: "${topic(4)}",
                })],
                error_action: iot::Action::S3(iot::S3Action {
                    role_arn: role.arn(),
                    bucket_name: bucket,
                    key: format!("{RULE_ERRORS}/${{topic(2)}}/${{topic(4)}}/${{timestamp()}}-${{newuuid()}}.json"),
                }),
            },
        },
    );
}

/// Prefix of the readings that the rule could not put into the stream.
const RULE_ERRORS: &str = "rule-errors/readings";
