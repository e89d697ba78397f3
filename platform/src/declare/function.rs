//! Functions and their roles.

use std::collections::BTreeMap;

use super::{data_key, decrypt};
use crate::cross_cutting::{logging, security};
use crate::naming::{Naming, function_suffix};
use crate::settings::Settings;
use crate::template::iam::{Role, Statement, allow};
use crate::template::lambda::{Code, Environment, Function, LoggingConfig};
use crate::template::{Expr, Handle, Judge, Template};

/// What Lambda needs to read a stream in the function's role (Lambda guide, "Using Lambda with Kinesis").
pub(crate) const READ_STREAM: [&str; 5] = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
];

/// Where Lambda puts batches that it gives up, below their bucket (Lambda guide, "Retain discarded batch records").
const FAILED_BATCHES: &str = "aws/lambda/*";

/// What a function's role needs so that Lambda keeps the batches that it gives up in a bucket, given by name (the same
/// page: s3:PutObject and s3:ListBucket).
pub(crate) fn keep_failed_batches(bucket: &Expr) -> Vec<Statement> {
    let arn = Expr::s3_arn(bucket.clone());
    let objects = arn.clone().then(format!("/{FAILED_BATCHES}"));
    [allow(["s3:ListBucket"], [arn]), allow(["s3:PutObject"], [objects])].map(Statement::in_this_account_only).into()
}

/// A function to declare.
#[derive(Debug)]
pub(crate) struct FunctionSpec {
    /// Begins the logical ids `{id}Function` and `{id}FunctionRole`; may be empty.
    pub id: &'static str,
    /// Which of the binary's functions runs. It names the function, its role and its log group.
    pub handler: &'static str,
    /// For people.
    pub description: &'static str,
    /// Memory.
    pub memory_mib: u32,
    /// Longest run.
    pub timeout_s: u32,
    /// Concurrency that is set aside.
    pub reserved_concurrency: Option<u32>,
    /// Environment variables.
    pub variables: BTreeMap<&'static str, Expr>,
    /// What it may do beside writing its log and reading its environment: (name, statements).
    pub policies: Vec<(&'static str, Vec<Statement>)>,
    /// Why it has no dead letters.
    pub no_dead_letters: &'static str,
}

/// Adds a function and its role.
pub(crate) fn add_function(template: &mut Template, settings: &Settings, spec: FunctionSpec) -> Handle<Function> {
    let naming = Naming::new(settings);
    let suffix = function_suffix(spec.handler);
    let log_group = logging::function_log_group(naming, &suffix);
    let mut policies = spec.policies;
    policies.push(("read-environment", vec![decrypt(naming, &["lambda"])]));
    policies.push(("write-logs", vec![write_logs(&log_group)]));
    let role = Role::for_service(naming.role(&suffix), "lambda.amazonaws.com", policies);
    let role = template.add(&format!("{}FunctionRole", spec.id), bounded(naming, role));
    let function = template.add(
        &format!("{}Function", spec.id),
        Function {
            function_name: naming.function(spec.handler),
            description: spec.description,
            handler: spec.handler,
            runtime: "provided.al2023",
            role: role.arn(),
            code: code(settings),
            memory_mib: spec.memory_mib,
            timeout_s: spec.timeout_s,
            reserved_concurrency: spec.reserved_concurrency,
            environment: Environment { variables: spec.variables },
            environment_key: data_key(naming),
            logging_config: LoggingConfig { log_group },
        },
    );
    let mut explain = |check, reason| template.explain(&function, Judge::Checkov, check, reason);
    explain("CKV_AWS_116", spec.no_dead_letters);
    explain("CKV_AWS_117", "It calls APIs of AWS only, over TLS; there is nothing in a VPC that it could reach.");
    if spec.reserved_concurrency.is_none() {
        let reason = "It shares the concurrency of the account until the settings set some aside.";
        explain("CKV_AWS_115", reason);
    }
    function
}

/// A role within the platform's permissions boundary.
pub(crate) fn bounded(naming: Naming<'_>, role: Role) -> Role {
    role.bounded_by(security::Outputs::new(naming).boundary_arn.read())
}

/// What a function needs to write its own log, and no other. The group is there before the function is.
fn write_logs(log_group: &str) -> Statement {
    let streams = Expr::arn("logs", format!("log-group:{log_group}:*"));
    allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams])
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
