//! The metrics of AWS that say how the platform is.
//!
//! Resources are named by the functions of the stacks that own them, and not by their outputs: this stack looks at all
//! stages, and is there to say so when one of them is not.

use crate::ingest::device_registry::tagger;
use crate::naming::Naming;
use crate::store::data_lake::{curation, processed_delivery_name, raw_delivery_name};
use crate::template::cloudwatch::Metric;
use crate::transform::{anomaly_detection, enrichment, streaming};

/// Handlers of the functions that read a stream.
pub(super) const STREAM_READERS: [&str; 2] = [enrichment::HANDLER, anomaly_detection::HANDLER];
/// Handlers of all functions on the way of a reading.
pub(super) const FUNCTIONS: [&str; 4] =
    [tagger::HANDLER, enrichment::HANDLER, anomaly_detection::HANDLER, curation::HANDLER];

/// A metric of a function.
pub(super) fn function(naming: Naming<'_>, handler: &str, name: &'static str, statistic: &'static str) -> Metric {
    let dimensions = vec![("FunctionName", naming.function(handler))];
    Metric { namespace: "AWS/Lambda", name, dimensions, statistic }
}

/// (what it is called in names, metric) of both streams.
pub(super) fn streams(naming: Naming<'_>, name: &'static str, statistic: &'static str) -> [(&'static str, Metric); 2] {
    [("raw", streaming::raw_stream_name(naming)), ("enriched", streaming::enriched_stream_name(naming))].map(
        |(what, stream)| {
            (what, Metric { namespace: "AWS/Kinesis", name, dimensions: vec![("StreamName", stream)], statistic })
        },
    )
}

/// (what it is called in names, metric) of both deliveries.
pub(super) fn deliveries(
    naming: Naming<'_>,
    name: &'static str,
    statistic: &'static str,
) -> [(&'static str, Metric); 2] {
    [("raw", raw_delivery_name(naming)), ("processed", processed_delivery_name(naming))].map(|(what, delivery)| {
        let dimensions = vec![("DeliveryStreamName", delivery)];
        (what, Metric { namespace: "AWS/Firehose", name, dimensions, statistic })
    })
}

/// A metric of the rule that fills the raw stream: of the rule as a whole, or of its action.
pub(super) fn rule(naming: Naming<'_>, action: Option<&str>, name: &'static str) -> Metric {
    let mut dimensions = vec![("RuleName", streaming::readings_rule_name(naming))];
    dimensions.extend(action.map(|action| ("ActionType", action.to_owned())));
    Metric { namespace: "AWS/IoT", name, dimensions, statistic: "Sum" }
}

/// The broker's own view of what devices publish over MQTT.
pub(super) fn broker(name: &'static str) -> Metric {
    Metric { namespace: "AWS/IoT", name, dimensions: vec![("Protocol", "MQTT".to_owned())], statistic: "Sum" }
}
