//! What the stack AnomalyDetection owns: the function, its role, the mapping from the enriched stream, the bucket of the
//! detectors' states, and the topic that is told of anomalies.

use std::collections::BTreeMap;

use super::handler::{
    ALERT_EVERY_S, ALERT_TOPIC_ARN, ANOMALY_BUCKET, ATTENTION, ATTENTION_INTERVAL_MIN_MS, ATTENTION_OFF,
    ATTENTION_QUIET_S, HANDLER, METRIC_NAMESPACE, STATE_BUCKET,
};
use super::{ANOMALY_PREFIX, STATE_PREFIX};
use crate::declare::{
    DataBucket, FunctionSpec, READ_STREAM, add_bucket, add_function, data_key, decrypt, encrypt_and_decrypt,
    keep_failed_batches,
};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Statement, allow};
use crate::template::lambda::{DestinationConfig, EventSourceMapping};
use crate::template::s3::{Bucket, LifecycleRule};
use crate::template::sns::{Subscription, Topic, TopicPolicy};
use crate::template::{Expr, Handle, Published, Template};
use crate::transform::enrichment::quarantine_bucket;
use crate::transform::streaming;

/// Name of the stack inside an environment.
pub const STACK: &str = "anomaly-detection";

/// What the stack publishes for later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the topic that is told of anomalies.
    pub alert_topic_arn: Published,
    /// Name of the bucket of the detectors' states.
    pub state_bucket_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            alert_topic_arn: naming.published(STACK, "alert-topic-arn"),
            state_bucket_name: naming.published(STACK, "state-bucket-name"),
        }
    }
}

/// Bucket of anomalies, by name: it is the bucket of processed readings, which the Store stage makes. Until it is there, a
/// batch with an anomaly comes again for as long as its attempts last, some quarter of an
/// hour with 20 (`retry_attempts`). Then Lambda gives it up, and cannot keep it in this bucket either: deploy the Store stage
/// by then, or have no devices before it.
pub fn anomaly_bucket(naming: Naming<'_>) -> Expr {
    naming.bucket("processed")
}

/// Days after which a state ends that no batch has replaced: those of a closed shard, which its children have taken over.
/// A batch may come again, and a child may begin, for as long as the stream keeps records.
fn state_days(settings: &Settings) -> u32 {
    settings.stream_retention_hours.div_ceil(24) + 30
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let stream = streaming::Outputs::new(naming).enriched_stream_arn;
    let numbers = &settings.anomaly_detection;
    let mut template = Template::of_stack(settings, STACK, "Transform: a detector for each device and metric.");
    let state = DataBucket {
        id: "StateBucket",
        name: naming.bucket("state"),
        what: "state",
        lifecycle: vec![LifecycleRule::expire("end-of-closed-shards", state_days(settings))],
        unversioned: Some(
            "Every batch replaces the states: thousands of versions a day, to keep what detectors learn again from a few \
             readings.",
        ),
    };
    let state = add_bucket(&mut template, settings, state);
    let topic = template.add("AlertTopic", Topic::encrypted(naming.name("alerts"), data_key(naming)));
    template.add("AlertTopicPolicy", TopicPolicy::tls_only(&topic, []));
    if let Some(address) = &numbers.alert_email {
        template.add("AlertEmail", Subscription::email(&topic, address.clone()));
    }
    let spec = FunctionSpec {
        id: "",
        handler: HANDLER,
        description: "Finds anomalies in enriched readings, keeps them, tells the alert topic",
        memory_mib: numbers.memory_mib,
        timeout_s: numbers.timeout_s,
        reserved_concurrency: numbers.reserved_concurrency,
        variables: BTreeMap::from([
            (STATE_BUCKET, state.name()),
            (ANOMALY_BUCKET, anomaly_bucket(naming)),
            (ALERT_TOPIC_ARN, topic.arn()),
            (ALERT_EVERY_S, numbers.alert_every_s.to_string().into()),
            (METRIC_NAMESPACE, naming.metric_namespace().into()),
            (ATTENTION, if numbers.attention.enabled { "on" } else { ATTENTION_OFF }.into()),
            (ATTENTION_INTERVAL_MIN_MS, numbers.attention.interval_min_ms.to_string().into()),
            (ATTENTION_QUIET_S, numbers.attention.quiet_s.to_string().into()),
        ]),
        policies: policies(naming, &stream, &state, &topic),
        no_dead_letters: "It reads a stream: a batch that fails is delivered again and then kept in the quarantine.",
    };
    let function = add_function(&mut template, settings, spec);
    template.add(
        "EnrichedStreamMapping",
        EventSourceMapping {
            event_source_arn: stream.read(),
            function_name: function.name(),
            // From the beginning, so that nothing is missed that arrived before the mapping was made.
            starting_position: "TRIM_HORIZON",
            batch_size: numbers.batch_size,
            batching_window_s: numbers.batch_window_s,
            function_response_types: vec!["ReportBatchItemFailures"],
            bisect_on_error: true,
            retry_attempts: numbers.retry_attempts,
            destination_config: DestinationConfig::on_failure(Expr::s3_arn(quarantine_bucket(naming))),
        },
    );
    template.publish(&outputs.alert_topic_arn, "Topic that is told of anomalies", topic.arn());
    template.publish(&outputs.state_bucket_name, "Bucket of the detectors' states", state.name());
    template
}

fn policies(
    naming: Naming<'_>,
    stream: &Published,
    state: &Handle<Bucket>,
    topic: &Handle<Topic>,
) -> Vec<(&'static str, Vec<Statement>)> {
    let states = state.arn().then(format!("/{STATE_PREFIX}/*"));
    let anomalies = Expr::s3_arn(anomaly_bucket(naming)).then(format!("/{ANOMALY_PREFIX}/*"));
    vec![
        ("read-enriched-stream", vec![allow(READ_STREAM, [stream.read()])]),
        (
            "keep-state",
            vec![
                // Without it S3 answers for a state that is not there yet that access is denied.
                allow(["s3:ListBucket"], [state.arn()]),
                allow(["s3:GetObject", "s3:PutObject"], [states]),
            ],
        ),
        ("write-anomalies", vec![allow(["s3:PutObject"], [anomalies]).in_this_account_only()]),
        ("keep-failed-batches", keep_failed_batches(&quarantine_bucket(naming))),
        ("tell-of-anomalies", vec![allow(["sns:Publish"], [topic.arn()])]),
        (
            "ask-devices",
            vec![
                // Things are called as devices are.
                allow(["iot:GetThingShadow", "iot:UpdateThingShadow"], [Expr::arn("iot", "thing/*")]),
                // AWS gives it no resource.
                allow(["iot:DescribeEndpoint"], ["*".into()]),
            ],
        ),
        ("use-key", vec![decrypt(naming, &["kinesis"]), encrypt_and_decrypt(naming, &["s3", "sns"])]),
    ]
}
