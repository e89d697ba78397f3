//! The connection to AWS. Simulated builds have none: there, what needs it says so.

use std::process::ExitCode;

use aws_types::SdkConfig;

use super::Failed;

/// Longest time of one attempt of a call: an answer that is lost on the way would be waited for without end.
#[cfg(production)]
const ATTEMPT: std::time::Duration = std::time::Duration::from_secs(30);

/// Does work with the SDK configuration of the process's environment, for a Region.
#[cfg(production)]
pub(super) fn with<T>(region: &str, work: impl AsyncFnOnce(SdkConfig) -> T) -> Result<T, Failed> {
    use aws_config::timeout::TimeoutConfig;
    use aws_config::{BehaviorVersion, Region};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failed::work(format!("the connection cannot be set up: {error}\n  hint: see the limits of this process"))
    })?;
    Ok(runtime.block_on(async {
        let region = Region::new(region.to_owned());
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(region).timeout_config(timeouts);
        let config = loader.load().await;
        work(config).await
    }))
}

/// There is no connection.
#[cfg(not(production))]
pub(super) fn with<T>(_: &str, _: impl AsyncFnOnce(SdkConfig) -> T) -> Result<T, Failed> {
    Err(absent("do this"))
}

/// Serves as Lambda's runtime.
#[cfg(production)]
pub(super) fn lambda() -> Result<ExitCode, Failed> {
    crate::bootstrap::run().map(|()| ExitCode::SUCCESS).map_err(Failed::work)
}

/// There is no connection.
#[cfg(not(production))]
pub(super) fn lambda() -> Result<ExitCode, Failed> {
    Err(absent("serve Lambda"))
}

#[cfg(not(production))]
fn absent(what: &str) -> Failed {
    Failed::usage(format!(
        "this build has no connection to AWS, so it cannot {what}\n  \
         hint: make the production build with RUSTFLAGS=\"\" cargo build --release --package platform"
    ))
}
