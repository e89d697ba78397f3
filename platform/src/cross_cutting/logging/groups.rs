//! Log groups. They are made before what writes to them: a group that a function or a service makes itself has neither
//! key nor retention, and a later stack could not make it any more.

use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::logs::{LogGroup, LogStream};
use crate::template::{Expr, Handle, Template};

/// Functions (logical id, name inside an environment).
const FUNCTIONS: [(&str, &str); 6] = [
    ("EnrichmentLogs", "enrichment"),
    ("DeviceTaggerLogs", "device-tagger"),
    ("AnomalyDetectionLogs", "anomaly-detection"),
    ("CurationLogs", "curation"),
    ("CostExplorerLogs", "cost-explorer"),
    ("ProvisioningHookLogs", "provisioning-hook"),
];

/// Deliveries of Firehose (logical id, name inside an environment).
const DELIVERIES: [(&str, &str); 2] = [("RawDeliveryLogs", "raw"), ("ProcessedDeliveryLogs", "processed")];

/// Log group of IoT Core, of which an account has one in a Region: its name is AWS's.
pub const IOT_LOG_GROUP: &str = "AWSIotLogsV2";

/// Log stream to which a delivery writes what it could not deliver to its destination.
pub const DELIVERY_LOG_STREAM: &str = "DestinationDelivery";

/// Name of the log group of the function that is called `iot-platform-{env}-{function}`.
pub fn function_log_group(naming: Naming<'_>, function: &str) -> String {
    format!("/aws/lambda/{}", naming.name(function))
}

/// Name of the log group of the delivery that is called `iot-platform-{env}-{delivery}`.
pub fn delivery_log_group(naming: Naming<'_>, delivery: &str) -> String {
    format!("/aws/kinesisfirehose/{}", naming.name(delivery))
}

/// Name of a log group of the platform's own choice: `/iot-platform/{env}/{what}`.
pub fn platform_log_group(naming: Naming<'_>, what: &str) -> String {
    naming.path(what)
}

/// Every log group of the platform: of functions, of deliveries, of its own choice, of IoT Core.
pub fn log_group_patterns(naming: Naming<'_>) -> [String; 4] {
    [
        function_log_group(naming, "*"),
        delivery_log_group(naming, "*"),
        platform_log_group(naming, "*"),
        IOT_LOG_GROUP.to_owned(),
    ]
}

/// Adds a log group.
pub(super) fn add_group(template: &mut Template, id: &str, name: String, days: u32, key: &Expr) -> Handle<LogGroup> {
    let group = LogGroup { log_group_name: name, retention_in_days: days, kms_key_id: key.clone() };
    template.add_data(id, group)
}

/// Adds the log groups of functions, deliveries and, where this environment owns it, IoT Core.
pub(super) fn add_all(template: &mut Template, settings: &Settings, key: &Expr) {
    let naming = Naming::new(settings);
    let days = settings.retention.log_days;
    for (id, function) in FUNCTIONS {
        add_group(template, id, function_log_group(naming, function), days, key);
    }
    for (id, delivery) in DELIVERIES {
        let group = add_group(template, id, delivery_log_group(naming, delivery), days, key);
        // Firehose makes no stream in a group that it did not make itself.
        let stream = LogStream { log_group_name: group.name(), log_stream_name: DELIVERY_LOG_STREAM };
        template.add(&format!("{id}Stream"), stream);
    }
    if settings.iot_logging() {
        add_group(template, "IotLogs", IOT_LOG_GROUP.to_owned(), days, key);
    }
}
