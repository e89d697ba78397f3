//! What the stack Streaming owns: the raw and the enriched stream, and the topic rule.
//!
//! The deliveries from the streams to S3 are owned by the Store stage: Firehose checks the Glue table when a delivery
//! stream is created, so it must come after the table.

use crate::ingest::iot_core::READINGS_TOPIC_FILTER;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, allow};
use crate::template::{Expr, Handle, Published, Template, iot, kinesis};

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

/// Bucket of raw readings, by name: it is made by the Store stage, and used here only when an action of the rule fails.
pub fn raw_bucket(naming: Naming<'_>) -> Expr {
    naming.bucket("raw")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::new("Transform: the streams of readings and the rule that fills the first.", settings.retention());
    let stream = |name: &str, shard_count| kinesis::Stream {
        name: naming.name(name),
        shard_count,
        retention_period_hours: settings.stream_retention_hours,
    };
    let raw = template.add_data("RawStream", stream("raw", settings.raw_shards));
    let enriched = template.add_data("EnrichedStream", stream("enriched", settings.enriched_shards));
    add_rule(&mut template, naming, &raw);
    template.publish(&outputs.raw_stream_arn, "Stream of raw readings", raw.arn());
    template.publish(&outputs.enriched_stream_name, "Stream of enriched readings", enriched.name());
    template.publish(&outputs.enriched_stream_arn, "Stream of enriched readings", enriched.arn());
    template
}

fn add_rule(template: &mut Template, naming: Naming<'_>, raw: &Handle<kinesis::Stream>) {
    let bucket = raw_bucket(naming);
    let role = template.add(
        "RuleRole",
        Role::for_service(
            naming.role("rule"),
            "iot.amazonaws.com",
            [(
                "deliver-readings",
                vec![
                    allow(["kinesis:PutRecord"], [raw.arn()]),
                    allow(["s3:PutObject"], [Expr::s3_arn(bucket.clone()).then("/rule-errors/*")])
                        .in_this_account_only(),
                ],
            )],
        ),
    );
    template.add(
        "ReadingsRule",
        iot::TopicRule {
            rule_name: naming.identifier("readings"),
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
                    key: "rule-errors/${topic(2)}/${topic(4)}/${timestamp()}-${newuuid()}.json".to_owned(),
                }),
            },
        },
    );
}
