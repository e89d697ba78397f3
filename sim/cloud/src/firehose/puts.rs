//! `PutRecord` and `PutRecordBatch`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::parse;
use super::lifecycle::Status;
use super::stream::DeliveryStream;
use super::{Firehose, Ports};
use crate::core::{AwsError, Cx};
use world::mark;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecord {
    delivery_stream_name: String,
    record: Record,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecordBatch {
    delivery_stream_name: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Record {
    data: String,
}

impl Firehose {
    /// `PutRecord`.
    pub(super) fn put_record(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let request: PutRecord = parse("PutRecord", body)?;
        let stream = self.direct(cx, &request.delivery_stream_name)?;
        let data = decode(&request.record, cx.limits.get("firehose", "record_size"))?;
        stream.encryption.check_usable(cx)?;
        if !stream.rates.requests.try_take(cx.now, 1) || !stream.take_rates(cx, data.len()) {
            cx.meter.add("firehose", "ThrottledRecords", 1);
            return Err(slow_down());
        }
        cx.meter.add("firehose", "IncomingPutRequests", 1);
        cx.meter.add("firehose", "PutRecord.Requests", 1);
        cx.meter.add("firehose", "PutRecord.Bytes", data.len() as u64);
        let id = stream.accept(cx, data);
        stream.settle(cx, ports);
        Ok(json!({"RecordId": id, "Encrypted": stream.encryption.is_on()}))
    }

    /// `PutRecordBatch`. Records beyond the rates are refused one by one.
    pub(super) fn put_record_batch(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let request: PutRecordBatch = parse("PutRecordBatch", body)?;
        let most = cx.limits.get("firehose", "batch_records");
        if request.records.is_empty() || request.records.len() as u64 > most {
            return Err(AwsError::new("ValidationException", format!("Records must have 1 to {most} members")));
        }
        let record_max = cx.limits.get("firehose", "record_size");
        let records = request.records.iter().map(|record| decode(record, record_max));
        let records: Vec<Bytes> = records.collect::<Result<_, AwsError>>()?;
        let most = cx.limits.get("firehose", "batch_bytes");
        let bytes = records.iter().map(|data| data.len() as u64).sum::<u64>();
        if bytes > most {
            let message = format!("Records size exceeds {} MB limit", most >> 20);
            return Err(AwsError::new("InvalidArgumentException", message));
        }
        let stream = self.direct(cx, &request.delivery_stream_name)?;
        stream.encryption.check_usable(cx)?;
        if !stream.rates.requests.try_take(cx.now, 1) {
            cx.meter.add("firehose", "ThrottledRecords", records.len() as u64);
            return Err(slow_down());
        }
        cx.meter.add("firehose", "IncomingPutRequests", 1);
        cx.meter.add("firehose", "PutRecordBatch.Requests", 1);
        cx.meter.add("firehose", "PutRecordBatch.Records", records.len() as u64);
        cx.meter.add("firehose", "PutRecordBatch.Bytes", bytes);
        let mut failed = 0;
        let mut answers = Vec::with_capacity(records.len());
        for data in records {
            if let Some(error) = cx.entry_disturbed("firehose", "PutRecordBatch", &request.delivery_stream_name) {
                failed += 1;
                answers.push(json!({"ErrorCode": error.code, "ErrorMessage": error.message}));
            } else if stream.take_rates(cx, data.len()) {
                answers.push(json!({"RecordId": stream.accept(cx, data)}));
            } else {
                failed += 1;
                cx.meter.add("firehose", "ThrottledRecords", 1);
                answers.push(json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}));
            }
        }
        stream.settle(cx, ports);
        if failed > 0 && failed < answers.len() {
            cx.trace.mark(cx.now, mark::PARTIAL_PUT, &request.delivery_stream_name);
        }
        Ok(json!({"FailedPutCount": failed, "Encrypted": stream.encryption.is_on(), "RequestResponses": answers}))
    }

    /// A delivery stream that takes direct puts. One that is not active is not there for them (so another emulator says
    /// that probed AWS).
    fn direct(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut DeliveryStream, AwsError> {
        let missing = || {
            let message = format!("Firehose {name} under account {} not found.", cx.account.id);
            AwsError::new("ResourceNotFoundException", message)
        };
        let stream = self.find(cx, name)?;
        if stream.status != Status::Active {
            return Err(missing());
        }
        if !stream.config.is_direct_put() {
            let message = "This operation is not permitted on KinesisStreamAsSource delivery stream type.";
            return Err(AwsError::new("InvalidSourceException", message));
        }
        Ok(stream)
    }
}

fn slow_down() -> AwsError {
    AwsError::new("ServiceUnavailableException", "Slow down.").status(503)
}

/// The payload of a record, which has at most `most` bytes.
fn decode(record: &Record, most: u64) -> Result<Bytes, AwsError> {
    let data = STANDARD.decode(&record.data).map_err(|error| AwsError::serialization(format!("Data: {error}")))?;
    if data.len() as u64 > most {
        let message = format!("1 validation error detected: Data must have length less than or equal to {most}");
        return Err(AwsError::new("ValidationException", message));
    }
    Ok(data.into())
}

impl DeliveryStream {
    /// Whether a record may be put now. While much waits for S3 none may: so a run keeps its memory (AWS publishes no such
    /// bound).
    fn take_rates(&mut self, cx: &Cx<'_>, bytes: usize) -> bool {
        if self.is_full() {
            return false;
        }
        let rates = &mut self.rates;
        rates.records.available(cx.now) >= 1
            && rates.bytes.try_take(cx.now, bytes as u64)
            && rates.records.try_take(cx.now, 1)
    }

    /// Takes a record that was put directly. Answers its id.
    fn accept(&mut self, cx: &mut Cx<'_>, data: Bytes) -> String {
        cx.meter.add("firehose", "IncomingRecords", 1);
        cx.meter.add("firehose", "IncomingBytes", data.len() as u64);
        self.take_put(cx, data);
        cx.uuid()
    }
}
