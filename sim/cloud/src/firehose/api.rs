//! The operations of the JSON API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::buffer::Entry;
use super::config::SourceConfig;
use super::stream::DeliveryStream;
use super::{Firehose, Ports};
use crate::core::{AwsError, Cx, Outcome};
use world::mark;

/// Operations that AWS has and that are not modelled.
const NOT_MODELLED: [&str; 3] =
    ["CreateDeliveryStream", "StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption"];

/// The id of the one destination of a delivery stream.
pub(super) const DESTINATION_ID: &str = "destinationId-000000000001";

/// Names a list of delivery streams gives when no limit is asked for.
const DEFAULT_LIST_LIMIT: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    delivery_stream_name: String,
    #[serde(default, rename = "Limit")]
    _limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    limit: Option<usize>,
    delivery_stream_type: Option<String>,
    exclusive_start_delivery_stream_name: Option<String>,
}

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

/// Parses a request. A member that is not modelled is refused as such.
pub(super) fn parse<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        if message.starts_with("unknown field") {
            AwsError::not_modelled(format!("firehose {operation}: {message}"))
        } else if message.starts_with("missing field") {
            AwsError::new("ValidationException", format!("1 validation error detected: {message}"))
        } else {
            AwsError::serialization(message)
        }
    })
}

/// Whether the caller may run an operation on the delivery stream that its request names.
fn permit(cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<(), AwsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named<'a> {
        #[serde(borrow)]
        delivery_stream_name: Option<std::borrow::Cow<'a, str>>,
    }
    // What is no JSON is refused by the operation.
    let Ok(named) = serde_json::from_slice::<Named<'_>>(body) else { return Ok(()) };
    let arn = |name: &str| cx.account.arn("firehose", &format!("deliverystream/{name}"));
    let resource = named.delivery_stream_name.as_deref().map_or_else(|| "*".to_owned(), arn);
    cx.authorize(&format!("firehose:{operation}"), &resource)
}

impl Firehose {
    /// Answers one operation and counts it.
    pub(super) fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        let allowed = permit(cx, operation, body);
        let (name, result) = match operation {
            "DescribeDeliveryStream" => ("DescribeDeliveryStream", allowed.and_then(|()| self.describe(cx, body))),
            "ListDeliveryStreams" => ("ListDeliveryStreams", allowed.and_then(|()| self.list(cx, body))),
            "DeleteDeliveryStream" => {
                ("DeleteDeliveryStream", allowed.and_then(|()| self.delete_delivery_stream(cx, body)))
            }
            "ListTagsForDeliveryStream" => {
                ("ListTagsForDeliveryStream", allowed.and_then(|()| self.list_tags(cx, body)))
            }
            "TagDeliveryStream" => ("TagDeliveryStream", allowed.and_then(|()| self.tag(cx, body))),
            "UntagDeliveryStream" => ("UntagDeliveryStream", allowed.and_then(|()| self.untag(cx, body))),
            "UpdateDestination" => {
                ("UpdateDestination", allowed.and_then(|()| self.update_destination(cx, ports, body)))
            }
            "PutRecord" => ("PutRecord", allowed.and_then(|()| self.put_record(cx, ports, body))),
            "PutRecordBatch" => ("PutRecordBatch", allowed.and_then(|()| self.put_record_batch(cx, ports, body))),
            _ => match NOT_MODELLED.iter().find(|known| **known == operation) {
                Some(known) => (*known, Err(AwsError::not_modelled(format!("firehose {known}")))),
                None => return Err(AwsError::unknown_operation(operation)),
            },
        };
        let outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(error) if error.code == "ServiceUnavailableException" => Outcome::Throttled,
            Err(error) => error.into(),
        };
        cx.meter.call("firehose", name, outcome);
        result.map(|answer| answer.to_string().into_bytes())
    }

    /// Control operations have a rate of their own. The error code is unverified.
    pub(super) fn control(&mut self, cx: &Cx<'_>, operation: &'static str) -> Result<(), AwsError> {
        let bucket =
            self.control.entry(operation).or_insert_with(|| cx.limits.bucket("firehose", "control_api", cx.now));
        if bucket.try_take(cx.now, 1) { Ok(()) } else { Err(AwsError::new("ThrottlingException", "Rate exceeded")) }
    }

    /// A delivery stream by name.
    pub(super) fn find(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut DeliveryStream, AwsError> {
        let found = self.by_name.get(name).and_then(|index| self.streams[*index].as_mut());
        found.ok_or_else(|| {
            let message = format!("Firehose {name} under account {} not found.", cx.account.id);
            AwsError::new("ResourceNotFoundException", message)
        })
    }

    fn describe(&mut self, cx: &Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: Describe = parse("DescribeDeliveryStream", body)?;
        self.control(cx, "DescribeDeliveryStream")?;
        let stream = self.find(cx, &request.delivery_stream_name)?;
        let config = &stream.config;
        let mut extended = json!(config.described);
        if config.object_key.is_none() {
            extended["EncryptionConfiguration"] = json!({"NoEncryptionConfig": "NoEncryption"});
        }
        extended["S3BackupMode"] = json!("Disabled");
        let mut plain = extended.clone();
        if let Value::Object(members) = &mut plain {
            for member in ["ProcessingConfiguration", "DataFormatConversionConfiguration", "S3BackupMode"] {
                members.remove(member);
            }
        }
        let mut description = json!({
            "DeliveryStreamName": config.name,
            "DeliveryStreamARN": config.arn,
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": config.kind(),
            "DeliveryStreamEncryptionConfiguration": if config.encrypted {
                json!({"Status": "ENABLED", "KeyType": "AWS_OWNED_CMK"})
            } else {
                json!({"Status": "DISABLED"})
            },
            "VersionId": stream.version.to_string(),
            "CreateTimestamp": stream.created.epoch_seconds(),
            "Destinations": [{
                "DestinationId": DESTINATION_ID,
                "S3DestinationDescription": plain,
                "ExtendedS3DestinationDescription": extended,
            }],
            "HasMoreDestinations": false,
        });
        if let Some(updated) = stream.updated {
            description["LastUpdateTimestamp"] = json!(updated.epoch_seconds());
        }
        if let SourceConfig::Kinesis { described, .. } = &config.source {
            let mut source = json!(described);
            source["DeliveryStartTimestamp"] = json!(stream.created.epoch_seconds());
            description["Source"] = json!({"KinesisStreamSourceDescription": source});
        }
        Ok(json!({"DeliveryStreamDescription": description}))
    }

    fn list(&mut self, cx: &Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: List = parse("ListDeliveryStreams", body)?;
        self.control(cx, "ListDeliveryStreams")?;
        let limit = request.limit.unwrap_or(DEFAULT_LIST_LIMIT);
        if !(1..=10_000).contains(&limit) {
            return Err(AwsError::new("ValidationException", "Limit must be 1 to 10,000"));
        }
        let start = request.exclusive_start_delivery_stream_name.unwrap_or_default();
        let wanted = request.delivery_stream_type;
        let matching = |(name, index): (&String, &usize)| {
            let kind = self.streams[*index].as_ref()?.config.kind();
            (*name > start && wanted.as_ref().is_none_or(|wanted| wanted == kind)).then(|| name.clone())
        };
        let mut names: Vec<String> = self.by_name.iter().filter_map(matching).take(limit + 1).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        Ok(json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}))
    }

    fn put_record(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: PutRecord = parse("PutRecord", body)?;
        let stream = self.direct(cx, &request.delivery_stream_name)?;
        let data = decode(&request.record, cx.limits.get("firehose", "record_size"))?;
        if !stream.rates.requests.try_take(cx.now, 1) || !stream.take_rates(cx, data.len()) {
            return Err(slow_down());
        }
        let id = stream.accept(cx, ports, data);
        stream.settle(cx, ports);
        Ok(json!({"RecordId": id, "Encrypted": stream.config.encrypted}))
    }

    fn put_record_batch(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: PutRecordBatch = parse("PutRecordBatch", body)?;
        let most = cx.limits.get("firehose", "batch_records");
        if request.records.is_empty() || request.records.len() as u64 > most {
            return Err(AwsError::new("ValidationException", format!("Records must have 1 to {most} members")));
        }
        let record_max = cx.limits.get("firehose", "record_size");
        let records = request.records.iter().map(|record| decode(record, record_max));
        let records: Vec<Bytes> = records.collect::<Result<_, AwsError>>()?;
        let most = cx.limits.get("firehose", "batch_bytes");
        if records.iter().map(|data| data.len() as u64).sum::<u64>() > most {
            return Err(AwsError::new("InvalidArgumentException", format!("Records size exceeds {most} bytes limit")));
        }
        let stream = self.direct(cx, &request.delivery_stream_name)?;
        if !stream.rates.requests.try_take(cx.now, 1) {
            return Err(slow_down());
        }
        let mut failed = 0;
        let mut answers = Vec::with_capacity(records.len());
        for data in records {
            if let Some(error) = cx.entry_disturbed("firehose", "PutRecordBatch", &request.delivery_stream_name) {
                failed += 1;
                answers.push(json!({"ErrorCode": error.code, "ErrorMessage": error.message}));
            } else if stream.take_rates(cx, data.len()) {
                answers.push(json!({"RecordId": stream.accept(cx, ports, data)}));
            } else {
                failed += 1;
                answers.push(json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}));
            }
        }
        stream.settle(cx, ports);
        if failed > 0 && failed < answers.len() {
            cx.trace.mark(cx.now, mark::PARTIAL_PUT, &request.delivery_stream_name);
        }
        Ok(json!({"FailedPutCount": failed, "Encrypted": stream.config.encrypted, "RequestResponses": answers}))
    }

    fn direct(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut DeliveryStream, AwsError> {
        let stream = self.find(cx, name)?;
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
    fn take_rates(&mut self, cx: &Cx<'_>, bytes: usize) -> bool {
        let rates = &mut self.rates;
        rates.records.available(cx.now) >= 1
            && rates.bytes.try_take(cx.now, bytes as u64)
            && rates.records.try_take(cx.now, 1)
    }

    /// Buffers a record that was put directly. Answers its id.
    fn accept(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, data: Bytes) -> String {
        self.puts += 1;
        cx.meter.add("firehose", "IncomingRecords", 1);
        cx.meter.add("firehose", "IncomingBytes", data.len() as u64);
        self.push(cx, ports, Entry { data, arrival: cx.now, sequence_number: self.puts });
        cx.uuid()
    }
}
