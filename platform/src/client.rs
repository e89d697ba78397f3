//! Clients of AWS services.

/// A client of a service, such as `of!(aws_sdk_s3, &config)`, with a quota of retries that it shares with no other client.
///
/// Without a partition of its own a client shares its quota with all clients of that service in the process: a function
/// that is refused again and again would leave another one without retries.
macro_rules! of {
    ($sdk:ident, $config:expr) => {{
        let quota = $sdk::config::retry::RetryPartition::custom(stringify!($sdk)).build();
        $sdk::Client::from_conf($sdk::config::Builder::from($config).retry_partition(quota).build())
    }};
}
pub(crate) use of;
