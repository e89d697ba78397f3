//! The way of a record: told apart, through the function, and into the lane of its partition or of its error.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::DeliveryStream;
use crate::core::Cx;
use crate::firehose::buffer::Entry;
use crate::firehose::delivery::GivenUp;
use crate::firehose::errors::{self, ErrorType, Why};
use crate::firehose::lane::LaneKey;
use crate::firehose::prefix::{EVALUATED_MAX, Keys, Unpartitioned};
use crate::firehose::subrecords;
use crate::firehose::transform::Pending;
use world::trace::Level;

/// How long a query takes for a record. Assumed: no clock runs here.
const QUERY_MICROS: u64 = 10;

/// A record with what is known of its source.
struct Incoming {
    entry: Entry,
    /// The shard and the partition key of a record of Kinesis.
    source: Option<(Arc<str>, Arc<str>)>,
}

impl DeliveryStream {
    /// Takes a record of Kinesis, or those that the Kinesis Producer Library has put into it.
    pub(super) fn take_read(&mut self, cx: &mut Cx<'_>, entry: Entry, shard: &Arc<str>, partition_key: Arc<str>) {
        match subrecords::aggregated(&entry.data) {
            None => self.take(cx, Incoming { entry, source: Some((shard.clone(), partition_key)) }),
            Some(parts) => {
                for (number, part) in parts.into_iter().enumerate() {
                    let source = Some((shard.clone(), part.partition_key));
                    self.take(cx, Incoming { entry: entry.part(part.data, number), source });
                }
            }
        }
    }

    /// Takes a record that was put directly. Call [`DeliveryStream::settle`] after the last one.
    pub(in crate::firehose) fn take_put(&mut self, cx: &mut Cx<'_>, data: Bytes) {
        self.puts += 1;
        let entry = Entry::new(data, cx.now, self.puts);
        self.take(cx, Incoming { entry, source: None });
    }

    /// Puts a source record on its way.
    fn take(&mut self, cx: &mut Cx<'_>, incoming: Incoming) {
        if self.config.backup.is_some() {
            self.push(cx, &LaneKey::Backup, incoming.entry.clone());
        }
        let Some(how) = &self.config.sub_records else { return self.process(cx, incoming) };
        let parts = subrecords::split(&incoming.entry.data, how);
        if parts.len() == 1 {
            let entry = Entry { data: parts.into_iter().next().unwrap_or_default(), ..incoming.entry };
            return self.process(cx, Incoming { entry, ..incoming });
        }
        for (number, part) in parts.into_iter().enumerate() {
            let entry = incoming.entry.part(part, number);
            self.process(cx, Incoming { entry, source: incoming.source.clone() });
        }
    }

    fn process(&mut self, cx: &mut Cx<'_>, Incoming { entry, source }: Incoming) {
        match &self.config.transform {
            Some(transform) => {
                let payload_max = cx.limits.get("firehose", "lambda_transform_payload");
                self.transformer.push(Pending { entry, source }, transform, payload_max, cx.now);
            }
            None => self.route(cx, entry, BTreeMap::new()),
        }
    }

    /// Puts a record into the lane of its partition.
    pub(super) fn route(&mut self, cx: &mut Cx<'_>, entry: Entry, lambda: BTreeMap<String, String>) {
        let Some(partitioning) = &self.config.partitioning else {
            return self.lanes.push(&self.plain, entry, &self.config, cx.now);
        };
        let query = partitioning.query.as_ref().map(|query| query.keys(&entry.data)).transpose();
        self.query_micros += QUERY_MICROS;
        let partition = query.and_then(|query| {
            let keys = Keys { query: query.unwrap_or_default(), lambda };
            self.config.main.prefix.partition(entry.arrival, &keys).map_err(|why| match why {
                Unpartitioned::KeyMissing => "partitionKeys values must not be null or empty".to_owned(),
                // The text is unverified.
                Unpartitioned::TooLong => format!("the evaluated prefix exceeds {EVALUATED_MAX} characters"),
            })
        });
        match partition {
            Ok(partition) => self.push(cx, &LaneKey::Data(partition), entry),
            Err(message) => {
                let code = "DynamicPartitioning.MetadataExtractionFailed".to_owned();
                let kind = ErrorType::MetadataExtraction;
                self.fail(cx, &entry, &Why { kind, code, message, attempts: 1, function: None });
            }
        }
    }

    /// Buffers a record in a lane, unless that would make one partition too many active.
    fn push(&mut self, cx: &mut Cx<'_>, key: &LaneKey, entry: Entry) {
        if self.lanes.would_activate(key) {
            let partitions = self.lanes.partitions();
            if partitions >= cx.limits.get("firehose", "active_partitions") {
                cx.meter.highest("firehose", "PartitionCountExceeded", 1);
                return self.fail(cx, &entry, &too_many_partitions());
            }
            cx.meter.highest("firehose", "PartitionCount", partitions + 1);
        }
        self.lanes.push(key, entry, &self.config, cx.now);
    }

    /// Sends a record to the error output.
    fn fail(&mut self, cx: &mut Cx<'_>, entry: &Entry, why: &Why) {
        let fields = [("code", why.code.as_str().into()), ("message", why.message.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "record-failed", &self.config.name, &fields);
        self.push(cx, &LaneKey::Errors(why.kind), errors::line(cx, entry, why));
    }

    pub(super) fn fail_all(&mut self, cx: &mut Cx<'_>, failed: GivenUp) {
        for (entry, why) in failed {
            self.fail(cx, &entry, &why);
        }
    }
}

/// The text comes from reports of users; the code is unverified.
fn too_many_partitions() -> Why {
    Why {
        kind: ErrorType::ActivePartitions,
        code: "DynamicPartitioning.ActivePartitionsLimitExceeded".to_owned(),
        message: "The number of active partitions has exceeded the configured limit".to_owned(),
        attempts: 1,
        function: None,
    }
}
