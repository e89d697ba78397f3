//! The operations of the JSON API.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::stream::DeliveryStream;
use super::{Firehose, Ports};
use crate::core::{AwsError, Cx, Outcome};

/// Names a list of delivery streams gives when no limit is asked for.
const DEFAULT_LIST_LIMIT: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    limit: Option<usize>,
    delivery_stream_type: Option<String>,
    exclusive_start_delivery_stream_name: Option<String>,
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

/// What carries out an operation.
type Act = fn(&mut Firehose, &mut Cx<'_>, &mut Ports<'_>, &[u8]) -> Result<Value, AwsError>;

/// All operations.
const OPERATIONS: [(&str, Act); 12] = [
    ("CreateDeliveryStream", Firehose::create_delivery_stream),
    ("DeleteDeliveryStream", |it, cx, _, body| it.delete_delivery_stream(cx, body)),
    ("DescribeDeliveryStream", |it, cx, _, body| it.describe(cx, body)),
    ("ListDeliveryStreams", |it, cx, _, body| it.list(cx, body)),
    ("ListTagsForDeliveryStream", |it, cx, _, body| it.list_tags(cx, body)),
    ("PutRecord", Firehose::put_record),
    ("PutRecordBatch", Firehose::put_record_batch),
    ("StartDeliveryStreamEncryption", |it, cx, _, body| it.start_encryption(cx, body)),
    ("StopDeliveryStreamEncryption", |it, cx, _, body| it.stop_encryption(cx, body)),
    ("TagDeliveryStream", |it, cx, _, body| it.tag(cx, body)),
    ("UntagDeliveryStream", |it, cx, _, body| it.untag(cx, body)),
    ("UpdateDestination", Firehose::update_destination),
];

fn find_operation(name: &str) -> Option<&'static (&'static str, Act)> {
    OPERATIONS.iter().find(|(known, _)| *known == name)
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
        let (name, act) = find_operation(operation).ok_or_else(|| AwsError::unknown_operation(operation))?;
        let result = allowed.and_then(|()| act(self, cx, ports, body));
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
}
