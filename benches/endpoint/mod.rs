//! What the benches of functions share: AWS in this process, as far as the stream functions call it, answering at once; and
//! batches of their streams. So what is measured is the function itself with its SDK: parsing, signing, encoding, decoding.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::function::{Environment, Function, InvocationContext, MetricSink, build};
use platform::transform::{anomaly_detection, enrichment};
use serde_json::{Value, json};

/// 2026-03-01T00:00:00Z, ms since the Unix epoch: the time of all benches, which stands still.
const START_MS: u64 = 1_772_323_200_000;

/// Services of one account.
#[derive(Clone, Debug, Default)]
pub struct Endpoint(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Answers of `PutRecords`, by the number of records in a call: rendered once.
    put_records: BTreeMap<usize, SdkBody>,
    /// Records in each call of `PutRecords`: the bench knows it, so nothing is counted.
    records_per_call: usize,
    /// Objects of S3 by path, with the number of the write that made each.
    objects: BTreeMap<String, (u64, Vec<u8>)>,
    writes: u64,
}

/// A status, headers and a body.
type Reply = (u16, Option<(&'static str, String)>, SdkBody);

impl Endpoint {
    /// An endpoint that is sent so many records in each call of `PutRecords`.
    pub fn taking(records_per_call: usize) -> Self {
        let endpoint = Endpoint::default();
        let result = r#"{"SequenceNumber":"49590338271490256608559692538361571095921575989136588898","ShardId":"shardId-000000000000"}"#;
        let results = vec![result; records_per_call].join(",");
        let body = SdkBody::from(format!(r#"{{"FailedRecordCount":0,"Records":[{results}]}}"#));
        endpoint.state().put_records.insert(records_per_call, body);
        endpoint.state().records_per_call = records_per_call;
        endpoint
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The function with this handler, and the SDK as it is on Lambda but for its HTTP client.
    pub fn function(&self, handler: &str) -> Box<dyn Function> {
        let config = SdkConfig::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("AKIABENCH", "secret", None)))
            .http_client(self.clone())
            .sleep_impl(SharedAsyncSleep::new(self.clone()))
            .time_source(SharedTimeSource::new(self.clone()))
            .build();
        let variables: &[&str] = match handler {
            enrichment::HANDLER => &enrichment::VARIABLES,
            anomaly_detection::HANDLER => &anomaly_detection::VARIABLES,
            other => panic!("{other} has no bench"),
        };
        let value = |name: &str| match name {
            anomaly_detection::ATTENTION => "off".to_owned(),
            anomaly_detection::ALERT_TOPIC_ARN => "arn:aws:sns:eu-west-1:111122223333:alerts".to_owned(),
            _ => "24".to_owned(),
        };
        let environment = variables.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        build(handler, &config, &Environment::new(environment)).expect("the configuration is complete")
    }

    fn answer(&self, request: &HttpRequest) -> Reply {
        if let Some(target) = request.headers().get("x-amz-target") {
            return match target.rsplit('.').next() {
                Some("PutRecords") => {
                    let state = self.state();
                    let body = &state.put_records[&state.records_per_call];
                    (200, None, body.try_clone().expect("it is in memory"))
                }
                // No shard has a parent.
                Some("ListShards") => (200, None, SdkBody::from(r#"{"Shards":[]}"#)),
                Some("BatchGetItem") => (200, None, directory(bytes(request))),
                _ => panic!("a function calls {target}"),
            };
        }
        if request.uri().contains("sns.") {
            let answer = "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";
            return (200, None, SdkBody::from(answer));
        }
        self.s3(request)
    }

    /// S3: objects, and reads on condition.
    fn s3(&self, request: &HttpRequest) -> Reply {
        let mut state = self.state();
        let path = request.uri().split('?').next().unwrap_or("").to_owned();
        let tag = |write: u64| Some(("etag", format!("\"{write}\"")));
        match request.method() {
            "PUT" => {
                state.writes += 1;
                let write = state.writes;
                state.objects.insert(path, (write, bytes(request).to_vec()));
                (200, tag(write), SdkBody::empty())
            }
            "GET" => match state.objects.get(&path) {
                Some((write, _)) if request.headers().get("if-none-match") == Some(&format!("\"{write}\"")) => {
                    (304, tag(*write), SdkBody::empty())
                }
                Some((write, body)) => (200, tag(*write), SdkBody::from(body.clone())),
                None => (404, None, SdkBody::from("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>")),
            },
            other => panic!("a function calls {other} {path}"),
        }
    }
}

fn bytes(request: &HttpRequest) -> &[u8] {
    request.body().bytes().expect("bodies of functions are in memory")
}

/// `BatchGetItem` of the device directory: every device is a pump whose temperatures are in degrees Fahrenheit.
fn directory(request: &[u8]) -> SdkBody {
    let request: Value = serde_json::from_slice(request).expect("a request is JSON");
    let tables = request["RequestItems"].as_object().expect("a request names tables").iter();
    let item = |key: &Value| {
        let mut item = key.clone();
        item["device_type"] = json!({"S": "pump"});
        item["units"] = json!({"M": {"temp": {"S": "fahrenheit"}, "pressure": {"S": "bar"}}});
        item
    };
    let items = |table: &Value| table["Keys"].as_array().into_iter().flatten().map(item).collect::<Vec<_>>();
    let responses: serde_json::Map<String, Value> =
        tables.map(|(name, table)| (name.clone(), items(table).into())).collect();
    SdkBody::from(json!({"Responses": responses, "UnprocessedKeys": {}}).to_string())
}

impl HttpClient for Endpoint {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Endpoint {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (status, header, body) = self.answer(&request);
        let mut response = HttpResponse::new(StatusCode::try_from(status).expect("a valid status"), body);
        header.into_iter().for_each(|(name, value)| drop(response.headers_mut().insert(name, value)));
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl TimeSource for Endpoint {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(START_MS)
    }
}

impl AsyncSleep for Endpoint {
    fn sleep(&self, _: Duration) -> Sleep {
        // Time stands still, and everything is answered at once: nobody waits to the end.
        Sleep::new(std::future::pending())
    }
}

impl MetricSink for Endpoint {
    fn put(&self, _: &str) {}
}

/// Invokes a stream function with a batch that it must take as a whole.
pub fn invoke(function: &dyn Function, endpoint: &Endpoint, event: &[u8]) {
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(START_MS) + Duration::from_secs(60);
    let context = InvocationContext { request_id: "bench".to_owned(), deadline, metrics: Arc::new(endpoint.clone()) };
    let mut work = pin!(function.invoke(event, &context));
    let Poll::Ready(answer) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the function waits for something");
    };
    assert_eq!(answer.expect("the function answers"), br#"{"batchItemFailures":[]}"#, "the whole batch is done");
}

/// Records of a batch by which detectors learn.
const LEARNT_AT_ONCE: usize = 250;

/// Invokes anomaly detection until its shard has so many series, and each device of `batch` so many readings, a minute apart.
/// Answers the number of the batch that comes next.
pub fn learn(function: &dyn Function, endpoint: &Endpoint, batch: Batch, series: usize, readings: usize) -> usize {
    let each = Batch { records: LEARNT_AT_ONCE, devices: series / batch.metrics, ..batch };
    // The others come first: a device that a shard does not know has to have a higher sequence number than all before it. And
    // each comes once: the batch's own readings begin with low sequence numbers again.
    assert_eq!(each.devices % LEARNT_AT_ONCE, 0, "{} devices are no whole batches", each.devices);
    for number in 0..each.devices / LEARNT_AT_ONCE {
        invoke(function, endpoint, &each.enriched(number));
    }
    let own = Batch { records: LEARNT_AT_ONCE, ..batch };
    let batches = (readings * batch.devices).div_ceil(LEARNT_AT_ONCE);
    for number in 0..batches {
        invoke(function, endpoint, &own.enriched(number));
    }
    (batches * LEARNT_AT_ONCE).div_ceil(batch.records)
}

/// A batch of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Records.
    pub records: usize,
    /// Devices that they come from, in turn.
    pub devices: usize,
    /// Metrics of each reading.
    pub metrics: usize,
}

impl Batch {
    /// The event of the `number`-th batch of the raw stream.
    pub fn raw(self, number: usize) -> Vec<u8> {
        self.event(number, |device, seq, ts, metrics| {
            format!(
                r#"{{"seq":{seq},"ts":{ts},"metrics":{metrics},"tenant_id":"acme","device_id":"pump-{device}","received_at":{ts}}}"#
            )
        })
    }

    /// The event of the `number`-th batch of the enriched stream.
    pub fn enriched(self, number: usize) -> Vec<u8> {
        self.event(number, |device, seq, ts, metrics| {
            format!(
                r#"{{"tenant_id":"acme","device_id":"pump-{device}","device_type":"pump","seq":{seq},"ts":{ts},"received_at":{ts},"event_at":{ts},"metrics":{metrics},"flags":[]}}"#
            )
        })
    }

    fn event(self, number: usize, reading: impl Fn(usize, usize, usize, &str) -> String) -> Vec<u8> {
        let record = |position: usize| {
            let at = number * self.records + position;
            let (device, seq) = (at % self.devices, at / self.devices + 1);
            let ts = usize::try_from(START_MS).expect("64 bits") - 30 * 86_400_000 + seq * 60_000;
            let data = STANDARD.encode(reading(device, seq, ts, &self.metrics(device, seq)));
            let sequence_number = format!("{:056}", 49_590_338 + at);
            format!(
                r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"pump-{device}","sequenceNumber":"{sequence_number}","data":"{data}","approximateArrivalTimestamp":1772323200.1}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000006:{sequence_number}","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::111122223333:role/iot-platform-transform","awsRegion":"eu-west-1","eventSourceARN":"arn:aws:kinesis:eu-west-1:111122223333:stream/iot-platform-raw"}}"#
            )
        };
        let records: Vec<String> = (0..self.records).map(record).collect();
        format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
    }

    /// Values that move a little around a level, as a steady machine's do.
    fn metrics(self, device: usize, seq: usize) -> String {
        let metric = |n: usize| {
            let name = ["temp", "pressure"].get(n).map_or_else(|| format!("metric_{n}"), |name| (*name).to_owned());
            let moves = ((seq * 7_919 + device * 104_729 + n * 31) % 1_009) as f64 / 1_009.0;
            format!(r#""{name}":{:.3}"#, 20.0 + moves)
        };
        format!("{{{}}}", (0..self.metrics).map(metric).collect::<Vec<_>>().join(","))
    }
}
