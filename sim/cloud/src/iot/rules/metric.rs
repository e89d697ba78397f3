//! The action `cloudwatchMetric`. There is no CloudWatch in the account: what AWS would refuse is refused, the call is
//! counted, and the value is an event of the trace and nothing else. Source: `PutMetricData` of the CloudWatch facts.

use std::time::Duration;

use crate::core::{AwsError, Cx, Outcome};
use world::trace::Level;

/// Units that CloudWatch has.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// How old a value may be, and how far ahead of its receipt.
const AGE_MAX: Duration = Duration::from_secs(14 * 86_400);
/// See [`AGE_MAX`].
const AHEAD_MAX: Duration = Duration::from_secs(2 * 3_600);

/// One value of a metric, as its templates give it.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) unit: String,
    /// In seconds since the Unix epoch.
    pub(super) timestamp: Option<String>,
}

/// Tells the value, in the role of the action.
pub(super) fn put(cx: &mut Cx<'_>, metric: &Metric) -> Result<(), AwsError> {
    let context = [("cloudwatch:namespace", metric.namespace.as_str())];
    let allowed = cx.authorize_in("cloudwatch:PutMetricData", "*", &context);
    let result = allowed.and_then(|()| check(cx, metric));
    cx.meter.call("cloudwatch", "PutMetricData", result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
    let seconds = result?;
    let fields = [
        ("namespace", metric.namespace.as_str().into()),
        ("value", metric.value.as_str().into()),
        ("unit", metric.unit.as_str().into()),
        ("timestamp_s", seconds.into()),
    ];
    cx.trace.event(Level::Call, cx.now, "cloudwatch", "metric", &metric.name, &fields);
    Ok(())
}

fn check(cx: &Cx<'_>, metric: &Metric) -> Result<u64, AwsError> {
    let refuse = |why: String| Err(AwsError::new("InvalidParameterValue", why));
    if metric.namespace.is_empty() || metric.namespace.starts_with(':') || metric.namespace.starts_with("AWS/") {
        return refuse(format!("{:?} is no namespace for metrics of your own", metric.namespace));
    }
    if metric.name.is_empty() {
        return refuse("a metric needs a name".to_owned());
    }
    let most = 2_f64.powi(360);
    if !metric.value.parse::<f64>().is_ok_and(|value| value.abs() <= most) {
        return refuse(format!("{:?} is no value of a metric", metric.value));
    }
    if !UNITS.contains(&metric.unit.as_str()) {
        return refuse(format!("{:?} is no unit of CloudWatch", metric.unit));
    }
    let now = cx.now.unix_secs();
    let Some(text) = &metric.timestamp else { return Ok(now) };
    let Ok(seconds) = text.parse::<u64>() else {
        return refuse(format!("{text:?} is no timestamp in seconds"));
    };
    if seconds.saturating_add(AGE_MAX.as_secs()) < now || seconds > now + AHEAD_MAX.as_secs() {
        return refuse(format!("the timestamp {seconds} is more than two weeks old, or more than two hours ahead"));
    }
    Ok(seconds)
}
