//! The seam: the only place that knows both the platform and the simulated account. It hands the platform an
//! `SdkConfig` whose HTTP client, sleep, clock and keys belong to the simulated world, runs its functions when Lambda
//! says so, carries MQTT between devices and IoT Core, and turns the account's timers.

mod boot;
mod broker;
mod calls;
mod claims;
mod event_streams;
mod function_faults;
mod functions;
mod handle;
mod http_client;
mod latency;
mod lit;
mod logs;
mod service_faults;
mod tamper;
mod watch;

pub use boot::{
    BootError, Deployed, boot, enable_registry_events, oracle, register_device, session_credential, upload_packages,
};
pub use broker::{BROKER, WireTamper, serve};
pub use claims::give_claims;
pub use functions::{FunctionFactory, Functions};
pub use handle::Cloud;
pub use http_client::sdk_config;
pub use latency::Latency;
pub use logs::Logs;
pub use tamper::{Call, Tamper, Told};
pub use watch::{REFUSED_MAX, WINDOW, Watch};
