//! What a lane delivers by: an object is written in the sink's role, and counted.

use std::time::Duration;

use super::{Delivery, Object, Work};
use crate::core::{AwsError, Cx};
use crate::firehose::Ports;
use crate::firehose::config::{Config, Sink};
use crate::firehose::convert::Converter;
use crate::firehose::lane::LaneKey;
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

const CONTENT_TYPE: &str = "application/octet-stream";

/// The metrics of a kind of deliveries.
struct Metrics {
    records: &'static str,
    bytes: &'static str,
    success: &'static str,
    objects: &'static str,
    freshness: &'static str,
}

const TO_S3: Metrics = Metrics {
    records: "DeliveryToS3.Records",
    bytes: "DeliveryToS3.Bytes",
    success: "DeliveryToS3.Success",
    objects: "DeliveryToS3.ObjectCount",
    freshness: "DeliveryToS3.DataFreshness",
};

const BACKUP: Metrics = Metrics {
    records: "BackupToS3.Records",
    bytes: "BackupToS3.Bytes",
    success: "BackupToS3.Success",
    objects: "BackupToS3.ObjectCount",
    freshness: "BackupToS3.DataFreshness",
};

/// What a lane delivers by.
pub(in crate::firehose) struct Context<'a> {
    pub config: &'a Config,
    pub sink: &'a Sink,
    pub converter: Option<&'a mut Converter>,
    pub version: u64,
    pub lane: &'a LaneKey,
    /// For how long after its arrival a record is kept.
    pub kept: Option<Duration>,
    /// For how long a delivery is tried before its records go to the error output.
    pub retry: Option<Duration>,
}

impl Context<'_> {
    /// Writes the first object.
    pub(super) fn put(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        delivery: &mut Delivery,
    ) -> Result<(), AwsError> {
        let sink = self.sink;
        let Work::Objects(objects) = &mut delivery.work else { return Ok(()) };
        let Some(object) = objects.front_mut() else { return Ok(()) };
        let role = &mut cx.acting_as(&sink.role);
        if let Some(object_key) = &sink.object_key {
            role.use_key("kms:GenerateDataKey", object_key, "s3")?;
        }
        let put = role.called("s3", "PutObject", &sink.bucket, |cx| {
            ports.objects.put_object(cx, &sink.bucket, &object.key, object.body.clone(), CONTENT_TYPE)
        });
        if let Err(failed) = put {
            if failed.took_effect {
                object.repeat(cx);
            }
            return Err(failed.error);
        }
        if object.repeated {
            cx.trace.mark(cx.now, mark::DELIVERY_REPEATED, &self.config.name);
        }
        self.measure_age(cx, delivery.oldest);
        self.measure(cx, object, cx.now.since(delivery.since).as_secs());
        let fields = [
            ("stream", self.config.name.as_str().into()),
            ("records", object.records.into()),
            ("body", Field::Bytes(&object.body)),
        ];
        cx.trace.event(Level::Call, cx.now, "firehose", "deliver", &object.key, &fields);
        if object.lit {
            cx.trace.hop(cx.now, Stage::Object, &object.key, || {
                let what = if object.data { "is written with it" } else { "is written with it AS AN ERROR" };
                format!("{what} by {} into {}, {} records", self.config.name, sink.bucket, object.records)
            });
        }
        objects.pop_front();
        Ok(())
    }

    fn metrics(&self) -> &'static Metrics {
        if matches!(self.lane, LaneKey::Backup) { &BACKUP } else { &TO_S3 }
    }

    /// Measures the age of the oldest record that waits, whether it can be written or not: "Any record older than this age
    /// has been delivered" (guide: "Monitor with CloudWatch metrics").
    pub(super) fn measure_age(&self, cx: &mut Cx<'_>, oldest: Time) {
        cx.meter.highest("firehose", self.metrics().freshness, cx.now.since(oldest).as_secs());
    }

    /// Counts an object. Records and bytes are those of the source, whatever the object became; errors count as delivered
    /// (both as another emulator found that says it probed AWS).
    fn measure(&self, cx: &mut Cx<'_>, object: &Object, waited: u64) {
        let metrics = self.metrics();
        cx.meter.add("firehose", metrics.records, object.records);
        cx.meter.add("firehose", metrics.bytes, object.source_bytes);
        cx.meter.add("firehose", metrics.success, 1);
        cx.meter.add("firehose", metrics.objects, 1);
        if matches!(self.lane, LaneKey::Data(partition) if !partition.is_none()) {
            cx.meter.highest("firehose", "PerPartitionThroughput", object.source_bytes / waited.max(1));
        }
    }
}
