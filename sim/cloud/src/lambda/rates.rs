//! The rates and quotas of the account.

use crate::core::{Cx, TokenBucket};

/// The rates of the account.
#[derive(Debug)]
pub(super) struct Rates {
    /// Most invocations at a time.
    pub concurrency: u64,
    /// Synchronous invocations.
    pub invoke: TokenBucket,
    /// Calls of the control plane.
    pub control_plane: TokenBucket,
    /// Calls of GetFunction, which have a rate of their own.
    pub get_function: TokenBucket,
    /// Calls of GetPolicy, likewise.
    pub get_policy: TokenBucket,
}

impl Rates {
    /// The account's quotas, with full buckets.
    pub fn new(cx: &Cx<'_>) -> Self {
        let limit = |name| cx.limits.get("lambda", name);
        let rate = |name| cx.limits.bucket("lambda", name, cx.now);
        let concurrency = limit("concurrency");
        Rates {
            concurrency,
            invoke: TokenBucket::per_second(concurrency * limit("invoke_rate_factor"), cx.now)
                .scaled(cx.limits.scale("lambda")),
            control_plane: rate("control_plane"),
            get_function: rate("get_function"),
            get_policy: rate("get_policy"),
        }
    }
}
