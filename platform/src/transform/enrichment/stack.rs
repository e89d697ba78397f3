//! What the stack Enrichment owns: the function, its role, and the mapping from the raw stream.

use std::collections::BTreeMap;

use super::handler::{DIRECTORY_TABLE, ENRICHED_STREAM, HANDLER, QUARANTINE_BUCKET};
use super::quarantine;
use crate::declare::{FunctionSpec, READ_STREAM, add_function, decrypt, encrypt, keep_failed_batches};
use crate::ingest::device_registry;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::allow;
use crate::template::lambda::{DestinationConfig, EventSourceMapping};
use crate::template::{Expr, Template};
use crate::transform::streaming;

/// Name of the stack inside an environment.
pub const STACK: &str = "enrichment";

/// Bucket of the quarantine, by name: it is the bucket of processed readings, which the Store stage makes. Until it is
/// there, a batch with a refused reading comes again for as long as its attempts last, some quarter of an
/// hour with 20 (`retry_attempts`). Then Lambda gives it up, and cannot keep it in this bucket either: deploy the Store stage
/// by then, or have no devices before it.
pub fn quarantine_bucket(naming: Naming<'_>) -> Expr {
    naming.bucket("processed")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let streams = streaming::Outputs::new(naming);
    let directory = device_registry::Outputs::new(naming);
    let mut template =
        Template::of_stack(settings, STACK, "Transform: valid readings of known devices, in canonical units.");
    let spec = FunctionSpec {
        id: "",
        handler: HANDLER,
        description: "Checks readings, joins the device directory, converts units, keeps what it refuses",
        memory_mib: settings.enrichment.memory_mib,
        timeout_s: settings.enrichment.timeout_s,
        reserved_concurrency: settings.enrichment.reserved_concurrency,
        variables: BTreeMap::from([
            (DIRECTORY_TABLE, directory.directory_table_name.read()),
            (ENRICHED_STREAM, streams.enriched_stream_name.read()),
            (QUARANTINE_BUCKET, quarantine_bucket(naming)),
        ]),
        policies: vec![
            ("read-raw-stream", vec![allow(READ_STREAM, [streams.raw_stream_arn.read()])]),
            ("read-directory", vec![allow(["dynamodb:BatchGetItem"], [directory.directory_table_arn.read()])]),
            ("write-enriched-stream", vec![allow(["kinesis:PutRecords"], [streams.enriched_stream_arn.read()])]),
            ("write-quarantine", vec![allow(["s3:PutObject"], [quarantine_objects(naming)]).in_this_account_only()]),
            ("keep-failed-batches", keep_failed_batches(&quarantine_bucket(naming))),
            ("use-key", vec![decrypt(naming, &["kinesis", "dynamodb"]), encrypt(naming, &["kinesis", "s3"])]),
        ],
        no_dead_letters: "It reads a stream: what it refuses it keeps in quarantine, and a batch that fails is delivered \
                          again and then kept there, too.",
    };
    let function = add_function(&mut template, settings, spec);
    template.add(
        "RawStreamMapping",
        EventSourceMapping {
            event_source_arn: streams.raw_stream_arn.read(),
            function_name: function.name(),
            // From the beginning, so that nothing is missed that arrived before the mapping was made.
            starting_position: "TRIM_HORIZON",
            batch_size: settings.enrichment.batch_size,
            batching_window_s: settings.enrichment.batch_window_s,
            function_response_types: vec!["ReportBatchItemFailures"],
            bisect_on_error: true,
            retry_attempts: settings.enrichment.retry_attempts,
            destination_config: DestinationConfig::on_failure(Expr::s3_arn(quarantine_bucket(naming))),
        },
    );
    template
}

fn quarantine_objects(naming: Naming<'_>) -> Expr {
    Expr::s3_arn(quarantine_bucket(naming)).then(format!("/{}/*", quarantine::PREFIX))
}
