//! The functions on AWS: Lambda's custom runtime, with the SDK configuration of the execution environment.
//!
//! A function that cannot be built from its configuration ends the process with a message in the function's log and
//! exit code 1. It is not posted to the Runtime API's `/runtime/init/error`, which `lambda_runtime` does not offer;
//! Lambda itself reports the invocation as `Runtime.ExitError`, and the log says why.

use std::env;
use std::io::Write as _;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use platform::function::{self, Environment, Function, InvocationContext, MetricSink};
use serde_json::value::RawValue;

/// Writes metrics to standard output, which Lambda sends to the function's log.
#[derive(Debug)]
struct StandardOutput;

impl MetricSink for StandardOutput {
    fn put(&self, line: &str) {
        if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
            tracing::warn!(%error, "a metric could not be written");
        }
    }
}

/// Serves invocations until Lambda ends the environment.
pub fn run() -> Result<(), Error> {
    for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"] {
        if env::var_os(name).is_none() {
            return Err(format!("{name} is not set\n  hint: this command is started by AWS Lambda").into());
        }
    }
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_ansi(false)
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
    let handler = env::var("_HANDLER").map_err(|_| "_HANDLER is not set\n  hint: the function's stack sets it")?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let environment = Environment::new(env::vars().collect());
    let function: Arc<dyn Function> = function::build(&handler, &config, &environment)?.into();
    let metrics: Arc<dyn MetricSink> = Arc::new(StandardOutput);
    let invoke = |event: LambdaEvent<Box<RawValue>>| {
        let (function, metrics) = (Arc::clone(&function), Arc::clone(&metrics));
        async move {
            let (event, context) = event.into_parts();
            let deadline = context.deadline();
            let context = InvocationContext { request_id: context.request_id, deadline, metrics };
            let answer = function.invoke(event.get().as_bytes(), &context).await.map_err(|error| Diagnostic {
                error_type: error.kind().to_owned(),
                error_message: error.to_string(),
            })?;
            serde_json::from_slice::<Box<RawValue>>(&answer).map_err(|error| Diagnostic {
                error_type: "Answer".to_owned(),
                error_message: format!("the function's answer is not JSON: {error}"),
            })
        }
    };
    lambda_runtime::run(service_fn(invoke)).await
}
