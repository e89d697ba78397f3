//! What the stack Enrichment owns: the function, its role, and the mapping from the raw stream.

use std::collections::BTreeMap;

use super::handler::{DIRECTORY_TABLE, ENRICHED_STREAM, HANDLER, QUARANTINE_BUCKET};
use super::quarantine;
use crate::ingest::device_registry;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::iam::{Role, Statement, allow};
use crate::template::lambda::{Code, Environment, EventSourceMapping, Function};
use crate::template::{Expr, Template};
use crate::transform::streaming;

/// Name of the stack inside an environment.
pub const STACK: &str = "enrichment";

/// Bucket of the quarantine, by name: it is the bucket of processed readings, which the Store stage makes. Until it is
/// there, a batch with a refused reading waits in the stream.
pub fn quarantine_bucket(naming: Naming<'_>) -> Expr {
    naming.bucket("processed")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let streams = streaming::Outputs::new(naming);
    let directory = device_registry::Outputs::new(naming);
    let function_name = naming.name("enrichment");
    let mut template =
        Template::new("Transform: valid readings of known devices, in canonical units.", settings.retention());
    let role = template.add(
        "FunctionRole",
        Role::for_service(
            naming.role("enrichment"),
            "lambda.amazonaws.com",
            [
                ("read-raw-stream", vec![allow(READ_STREAM, [streams.raw_stream_arn.read()])]),
                ("read-directory", vec![allow(["dynamodb:BatchGetItem"], [directory.directory_table_arn.read()])]),
                ("write-enriched-stream", vec![allow(["kinesis:PutRecords"], [streams.enriched_stream_arn.read()])]),
                (
                    "write-quarantine",
                    vec![allow(["s3:PutObject"], [quarantine_objects(naming)]).in_this_account_only()],
                ),
                ("write-logs", write_logs(&function_name)),
            ],
        ),
    );
    let function = template.add(
        "Function",
        Function {
            function_name,
            handler: HANDLER,
            runtime: "provided.al2023",
            role: role.arn(),
            code: code(settings),
            memory_mib: settings.enrichment.memory_mib,
            timeout_s: settings.enrichment.timeout_s,
            environment: Environment {
                variables: BTreeMap::from([
                    (DIRECTORY_TABLE, directory.directory_table_name.read()),
                    (ENRICHED_STREAM, streams.enriched_stream_name.read()),
                    (QUARANTINE_BUCKET, quarantine_bucket(naming)),
                ]),
            },
        },
    );
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
        },
    );
    template
}

/// What Lambda needs to read a stream in the function's role (Lambda guide, "Using Lambda with Kinesis").
const READ_STREAM: [&str; 5] = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
];

fn quarantine_objects(naming: Naming<'_>) -> Expr {
    Expr::s3_arn(quarantine_bucket(naming)).then(format!("/{}/*", quarantine::PREFIX))
}

/// What a function needs to write its own log, and no other.
fn write_logs(function_name: &str) -> Vec<Statement> {
    let group = Expr::arn("logs", format!("log-group:/aws/lambda/{function_name}"));
    // The ARN of a log group ends with `:*` for every action, that of making it included.
    vec![allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], [group.then(":*")])]
}

/// The deployment package: the platform's binary, named `bootstrap`, in a zip.
fn code(settings: &Settings) -> Code {
    let key = || format!("platform/{}/bootstrap.zip", env!("CARGO_PKG_VERSION"));
    Code {
        bucket: settings
            .artifact_bucket
            .as_deref()
            .map_or_else(|| Naming::new(settings).bucket("artifacts"), Expr::from),
        key: settings.artifact_key.clone().unwrap_or_else(key),
    }
}
