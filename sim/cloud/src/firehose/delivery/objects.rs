//! Records become objects: plain, compressed, or converted, with an object of their own for those that do not convert.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::RngExt as _;

use super::{Context, Delivery, Object, Work};
use crate::core::{AwsError, Cx};
use crate::firehose::Ports;
use crate::firehose::config::Encoding;
use crate::firehose::convert::error_object;
use crate::firehose::encode;
use crate::firehose::lane::LaneKey;
use crate::firehose::prefix::{RANDOM_STRING_CHARACTERS, object_name};
use world::time::Time;

const CONVERSION_FAILED: &str = "format-conversion-failed";

/// What goes into one object.
struct Part {
    prefix: String,
    /// Arrival of the oldest record.
    oldest: Time,
    body: Bytes,
    records: u64,
    source_bytes: u64,
    /// Whether it holds records, not errors.
    data: bool,
    /// Whether it holds the reading under the spotlight.
    lit: bool,
}

impl Context<'_> {
    fn object(&self, cx: &mut Cx<'_>, of: Part) -> Object {
        let Part { prefix: mut key, oldest, body, records, source_bytes, data, lit } = of;
        let id = cx.uuid();
        let extension = if data { &self.sink.extension } else { "" };
        key.push_str(&object_name(&self.config.name, self.version, oldest, &id, extension));
        Object { key, body, records, source_bytes, data, id, repeated: false, lit }
    }

    /// The prefix of an object of this lane.
    fn prefix(&self, cx: &mut Cx<'_>, oldest: Time) -> String {
        let random = &mut || random_string(cx);
        match self.lane {
            LaneKey::Errors(kind) => self.config.error_prefix.evaluate(oldest, kind.name(), random),
            LaneKey::Data(partition) if !partition.is_none() => partition.fill(random),
            LaneKey::Data(_) | LaneKey::Backup => self.sink.prefix.evaluate(oldest, "", random),
        }
    }

    /// Turns records into objects, once. Fails when the table's schema cannot be read.
    pub(super) fn encode(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        delivery: &mut Delivery,
    ) -> Result<(), AwsError> {
        let Work::Records(batch) = &mut delivery.work else { return Ok(()) };
        let (oldest, count) = (batch.oldest, batch.entries.len() as u64);
        let bytes: u64 = batch.entries.iter().map(|entry| u64::from(entry.source_bytes)).sum();
        let mut objects = VecDeque::with_capacity(1);
        let mut lit = cx.trace.is_lit() && batch.entries.iter().any(|entry| cx.trace.carries(&entry.data));
        let is_data = matches!(self.lane, LaneKey::Data(_));
        let (encoding, delimiter) = match self.lane {
            LaneKey::Data(_) => (&self.sink.encoding, &self.config.delimiter[..]),
            LaneKey::Backup => (&self.sink.encoding, &[][..]),
            LaneKey::Errors(_) => (&Encoding::Plain, &[][..]),
        };
        let entries;
        let data = match (encoding, &mut self.converter) {
            (Encoding::Parquet(_), Some(converter)) => {
                converter.refresh(cx, ports.catalog)?;
                let converted = converter.convert(std::mem::take(&mut batch.entries));
                let failed = converted.failures.len() as u64;
                cx.meter.add("firehose", "SucceedConversion.Records", count - failed);
                cx.meter.add("firehose", "SucceedConversion.Bytes", converted.read_bytes);
                if failed > 0 {
                    cx.meter.add("firehose", "FailedConversion.Records", failed);
                    cx.meter.add("firehose", "FailedConversion.Bytes", converted.failed_bytes);
                    let body = error_object(&converted.failures, converter.conversion(), cx);
                    let prefix =
                        self.config.error_prefix.evaluate(oldest, CONVERSION_FAILED, &mut || random_string(cx));
                    let refused = lit && converted.failures.iter().any(|f| cx.trace.carries(&f.entry.data));
                    lit &= !refused;
                    let source_bytes = converted.failed_bytes;
                    let part = Part { prefix, oldest, body, records: failed, source_bytes, data: false, lit: refused };
                    objects.push_back(self.object(cx, part));
                }
                entries = converted.entries;
                converted.body.map(|body| (body, count - failed, bytes.saturating_sub(converted.failed_bytes)))
            }
            (encoding, _) => {
                let body = encode::body(encoding, batch, delimiter);
                entries = std::mem::take(&mut batch.entries);
                Some((body, count, bytes))
            }
        };
        if self.retry.is_some() {
            delivery.entries_bytes = entries.iter().map(|entry| entry.data.len()).sum();
            delivery.entries = entries;
        }
        if let Some((body, records, source_bytes)) = data {
            let prefix = self.prefix(cx, oldest);
            let data = is_data || matches!(self.lane, LaneKey::Backup);
            objects.push_back(self.object(cx, Part { prefix, oldest, body, records, source_bytes, data, lit }));
        }
        delivery.work = Work::Objects(objects);
        Ok(())
    }
}

fn random_string(cx: &mut Cx<'_>) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..RANDOM_STRING_CHARACTERS).map(|_| char::from(ALPHABET[cx.ids.random_range(0..ALPHABET.len())])).collect()
}
