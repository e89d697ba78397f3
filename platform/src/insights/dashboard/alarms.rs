//! The alarms.

use super::metrics::{FUNCTIONS, STREAM_READERS, deliveries, function, rule, streams};
use crate::naming::{Naming, function_suffix};
use crate::settings::Settings;
use crate::template::cloudwatch::{Above, Alarm, Metric};
use crate::template::{Expr, Handle, Template};
use crate::transform::anomaly_detection;

/// Three bad minutes of five: one throttled minute is nothing that a person must know.
const LASTING: Above = Above { threshold: 0, period_s: 60, periods: 3, of: 5 };
/// One bad period of five minutes.
const ONCE: Above = Above { threshold: 0, period_s: 300, periods: 1, of: 1 };

/// Adds alarms one after the other.
struct Alarms<'a> {
    template: &'a mut Template,
    naming: Naming<'a>,
    topic: Expr,
    added: Vec<Handle<Alarm>>,
}

impl Alarms<'_> {
    /// Adds the alarm `iot-platform-{env}-{name}`.
    fn add(&mut self, name: &str, description: &str, metric: Metric, when: Above) {
        let alarm = Alarm::new(self.naming.name(name), description.to_owned(), metric, when, &self.topic);
        self.insert(name, alarm);
    }

    /// Adds the alarm of that name for a metric of the platform's own, which has no dimensions.
    fn add_own(&mut self, name: &str, description: &str, metric: &'static str, when: Above) {
        // The namespace follows: that of the environment.
        let metric = Metric { namespace: "", name: metric, dimensions: Vec::new(), statistic: "Maximum" };
        let alarm = Alarm::new(self.naming.name(name), description.to_owned(), metric, when, &self.topic);
        self.insert(name, alarm.in_namespace(self.naming.metric_namespace()));
    }

    fn insert(&mut self, name: &str, alarm: Alarm) {
        let id: String = name
            .split('-')
            .flat_map(|word| word.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }))
            .chain("Alarm".chars())
            .collect();
        self.added.push(self.template.add(&id, alarm));
    }
}

/// Adds all alarms, which tell the topic with the ARN `topic`.
pub(super) fn add(template: &mut Template, settings: &Settings, topic: Expr) -> Vec<Handle<Alarm>> {
    let naming = Naming::new(settings);
    let mut alarms = Alarms { template, naming, topic, added: Vec::new() };
    of_ingest(&mut alarms, naming);
    of_streams(&mut alarms, naming);
    of_functions(&mut alarms, settings);
    of_detection(&mut alarms);
    of_deliveries(&mut alarms, settings);
    alarms.added
}

fn of_ingest(alarms: &mut Alarms<'_>, naming: Naming<'_>) {
    alarms.add(
        "readings-rule-failure",
        "Readings could not be put into the raw stream. They lie below rule-errors/readings/ of the bucket of rule errors.",
        rule(naming, Some("Kinesis"), "Failure"),
        ONCE,
    );
    alarms.add(
        "readings-rule-error-action-failure",
        "Readings could neither be put into the raw stream nor kept: they are lost.",
        rule(naming, Some("S3"), "ErrorActionFailure"),
        ONCE,
    );
    alarms.add(
        "readings-rule-throttled",
        "The rule was throttled, and readings were not put into the raw stream: ask for a higher quota.",
        rule(naming, None, "RuleExecutionThrottled"),
        ONCE,
    );
}

fn of_streams(alarms: &mut Alarms<'_>, naming: Naming<'_>) {
    for (what, metric) in streams(naming, "WriteProvisionedThroughputExceeded", "Sum") {
        let description = format!("The {what} stream takes less than is written to it: give it more shards.");
        alarms.add(&format!("{what}-stream-write-throttled"), &description, metric, LASTING);
    }
}

fn of_functions(alarms: &mut Alarms<'_>, settings: &Settings) {
    let naming = Naming::new(settings);
    for handler in FUNCTIONS {
        let name = function_suffix(handler);
        let description = format!("The function {name} fails: its log group says why.");
        alarms.add(&format!("{name}-errors"), &description, function(naming, handler, "Errors", "Sum"), ONCE);
        let description = format!("The function {name} gets less concurrency than it needs.");
        alarms.add(&format!("{name}-throttles"), &description, function(naming, handler, "Throttles", "Sum"), LASTING);
    }
    for handler in STREAM_READERS {
        let name = function_suffix(handler);
        let age_s = settings.alarms.iterator_age_s;
        let description = format!(
            "The function {name} is more than {age_s} s behind its stream, which forgets after {} h.",
            settings.stream_retention_hours
        );
        let metric = function(naming, handler, "IteratorAge", "Maximum");
        alarms.add(&format!("{name}-behind"), &description, metric, Above { threshold: age_s * 1_000, ..LASTING });
    }
}

fn of_detection(alarms: &mut Alarms<'_>) {
    alarms.add_own(
        "anomaly-detection-full",
        "Values are judged by no detector: a shard or a device has more series than there is room for. Give the enriched \
         stream more shards.",
        anomaly_detection::WITHOUT_DETECTOR,
        ONCE,
    );
    alarms.add_own(
        "anomaly-alerts-dropped",
        "Alerts were given up: the topic of alerts failed for long, or refused their messages. The anomalies are in the lake.",
        anomaly_detection::ALERTS_DROPPED,
        ONCE,
    );
}

fn of_deliveries(alarms: &mut Alarms<'_>, settings: &Settings) {
    let threshold = settings.alarms.delivery_age_s;
    for (what, metric) in deliveries(Naming::new(settings), "DeliveryToS3.DataFreshness", "Maximum") {
        let description = format!("The oldest {what} reading that is not in the lake yet is older than {threshold} s.");
        alarms.add(&format!("{what}-delivery-behind"), &description, metric, Above { threshold, ..LASTING });
    }
}
