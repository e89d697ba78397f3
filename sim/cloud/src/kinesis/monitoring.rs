//! `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`: metrics of single shards.
//!
//! Each shard counts the metrics that its stream asks for from when they are enabled on. CloudWatch is not there to be asked
//! for them: [`Kinesis::shard_metric`] tells.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::stream::Stream;
use super::wire::{Checks, Text, authorized, parse, stream_name, text};
use crate::core::{AwsError, Cx};

/// A metric of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Bytes put, keys included.
    IncomingBytes,
    /// Records put.
    IncomingRecords,
    /// Bytes read, keys included.
    OutgoingBytes,
    /// Records read.
    OutgoingRecords,
    /// Records that the shard's rate refused.
    WriteProvisionedThroughputExceeded,
    /// Calls of GetRecords that the shard's rate refused.
    ReadProvisionedThroughputExceeded,
    /// Age of the last record of each call of GetRecords, summed.
    IteratorAgeMilliseconds,
}

/// The metrics with AWS's names.
const METRICS: [(&str, Metric); 7] = [
    ("IncomingBytes", Metric::IncomingBytes),
    ("IncomingRecords", Metric::IncomingRecords),
    ("OutgoingBytes", Metric::OutgoingBytes),
    ("OutgoingRecords", Metric::OutgoingRecords),
    ("WriteProvisionedThroughputExceeded", Metric::WriteProvisionedThroughputExceeded),
    ("ReadProvisionedThroughputExceeded", Metric::ReadProvisionedThroughputExceeded),
    ("IteratorAgeMilliseconds", Metric::IteratorAgeMilliseconds),
];

/// Which metrics of its shards a stream counts: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Monitored(u8);

impl Monitored {
    /// The metrics with these names, `ALL` among them; the first name that is none.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, &'n str> {
        let bit = |name: &'n str| match METRICS.iter().find(|(known, _)| *known == name) {
            Some((_, metric)) => Ok(1 << *metric as u8),
            None if name == "ALL" => Ok((1 << METRICS.len()) - 1),
            None => Err(name),
        };
        names.into_iter().try_fold(0, |bits, name| Ok(bits | bit(name)?)).map(Monitored)
    }

    /// Names of the metrics.
    pub fn names(self) -> Vec<&'static str> {
        METRICS.iter().filter(|(_, metric)| self.has(*metric)).map(|(name, _)| *name).collect()
    }

    fn has(self, metric: Metric) -> bool {
        self.0 & 1 << metric as u8 != 0
    }
}

/// What a shard has counted.
#[derive(Clone, Debug, Default)]
pub(super) struct ShardMetrics {
    monitored: Monitored,
    counts: [u64; METRICS.len()],
}

impl ShardMetrics {
    /// Counts, where it is asked for.
    pub fn add(&mut self, metric: Metric, value: u64) {
        if self.monitored.has(metric) {
            self.counts[metric as usize] += value;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MonitoringInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_level_metrics: Option<Vec<Text<'a>>>,
}

impl Stream {
    /// Counts these metrics of the shards, and no others. What was counted of a metric stays while it is asked for.
    pub(super) fn monitor(&mut self, monitored: Monitored) {
        self.monitored = monitored;
        for shard in &mut self.shards {
            match &mut shard.metrics {
                _ if monitored == Monitored::default() => shard.metrics = None,
                Some(metrics) => {
                    metrics.monitored = monitored;
                    for (_, metric) in METRICS.iter().filter(|(_, metric)| !monitored.has(*metric)) {
                        metrics.counts[*metric as usize] = 0;
                    }
                }
                None => shard.metrics = new_metrics(monitored),
            }
        }
    }
}

/// What a new shard counts into; nothing when nothing is asked for.
pub(super) fn new_metrics(monitored: Monitored) -> Option<Box<ShardMetrics>> {
    (monitored != Monitored::default()).then(|| Box::new(ShardMetrics { monitored, ..ShardMetrics::default() }))
}

impl Kinesis {
    /// `EnableEnhancedMonitoring`.
    pub(super) fn enable_monitoring_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.monitoring_call(cx, "EnableEnhancedMonitoring", body, |now, named| Monitored(now.0 | named.0))
    }

    /// `DisableEnhancedMonitoring`.
    pub(super) fn disable_monitoring_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.monitoring_call(cx, "DisableEnhancedMonitoring", body, |now, named| Monitored(now.0 & !named.0))
    }

    /// Metrics change at once, and the stream stays ACTIVE; AWS says neither.
    fn monitoring_call(
        &mut self,
        cx: &mut Cx<'_>,
        operation: &str,
        body: &[u8],
        change: fn(Monitored, Monitored) -> Monitored,
    ) -> Result<Vec<u8>, AwsError> {
        let input: MonitoringInput<'_> = parse(operation, body)?;
        let mut checks = Checks::default();
        let names = checks.required(input.shard_level_metrics.as_deref(), "shardLevelMetrics").unwrap_or_default();
        let named = Monitored::named(names.iter().map(|Text(name)| &**name));
        if input.shard_level_metrics.is_some() {
            check_names(&mut checks, names);
        }
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, &format!("kinesis:{operation}"), name)?;
        let stream = self.existing(cx, name)?;
        let (before, named) = (stream.monitored, named.unwrap_or_default());
        let after = change(before, named);
        stream.monitor(after);
        let answer = json!({
            "StreamName": name, "StreamARN": stream.arn,
            "CurrentShardLevelMetrics": before.names(), "DesiredShardLevelMetrics": after.names(),
        });
        Ok(answer.to_string().into_bytes())
    }

    /// What a shard has counted of a metric since it was enabled; nothing while it is not.
    pub fn shard_metric(&self, stream: &str, shard_id: &str, metric: &str) -> Option<u64> {
        let stream = self.find(stream)?;
        let metrics = stream.shards[stream.known_index(shard_id)?].metrics.as_ref()?;
        let (_, metric) = METRICS.iter().find(|(name, _)| *name == metric)?;
        metrics.monitored.has(*metric).then(|| metrics.counts[*metric as usize])
    }
}

/// AWS prints the whole list when one of its names is none.
fn check_names(checks: &mut Checks, names: &[Text<'_>]) {
    let length = |bound: &str| format!("Member must have length {bound}");
    checks.unprinted(!names.is_empty(), "shardLevelMetrics", length("greater than or equal to 1"));
    checks.unprinted(names.len() <= METRICS.len(), "shardLevelMetrics", length("less than or equal to 7"));
    let wrong = Monitored::named(names.iter().map(|Text(name)| &**name)).is_err();
    let shown: Vec<&str> = names.iter().map(|Text(name)| &**name).collect();
    let known: Vec<&str> = METRICS.iter().map(|(name, _)| *name).chain(["ALL"]).collect();
    let constraint =
        format!("Member must satisfy constraint: [Member must satisfy enum value set: [{}]]", known.join(", "));
    checks.value(!wrong, format!("[{}]", shown.join(", ")), "shardLevelMetrics", constraint);
}

/// EnhancedMonitoring of a description.
pub(super) fn shown(stream: &Stream) -> Value {
    json!([{ "ShardLevelMetrics": stream.monitored.names() }])
}
