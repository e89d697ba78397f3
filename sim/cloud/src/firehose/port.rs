//! Firehose for the other services of the account: the same calls as over the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Firehose, Ports};
use crate::core::ports::{Deliveries, Stores};
use crate::core::{AwsError, Cx};

fn record(data: &[u8]) -> Value {
    json!({ "Data": STANDARD.encode(data) })
}

impl Firehose {
    fn call_for_service(
        &mut self,
        cx: &mut Cx<'_>,
        stores: Stores<'_>,
        operation: &str,
        body: &Value,
    ) -> Result<Value, AwsError> {
        let Stores { streams, objects, catalog } = stores;
        let answer = self.answer(
            cx,
            &mut Ports { streams, objects, catalog, functions: None },
            operation,
            body.to_string().as_bytes(),
        )?;
        Ok(serde_json::from_slice(&answer).expect("Firehose answers in JSON"))
    }
}

impl Deliveries for Firehose {
    fn put_record(&mut self, cx: &mut Cx<'_>, stores: Stores<'_>, stream: &str, data: &[u8]) -> Result<(), AwsError> {
        let body = json!({ "DeliveryStreamName": stream, "Record": record(data) });
        self.call_for_service(cx, stores, "PutRecord", &body).map(drop)
    }

    fn put_records(
        &mut self,
        cx: &mut Cx<'_>,
        stores: Stores<'_>,
        stream: &str,
        records: &[Bytes],
    ) -> Result<Vec<usize>, AwsError> {
        let records: Vec<Value> = records.iter().map(|data| record(data)).collect();
        let body = json!({ "DeliveryStreamName": stream, "Records": records });
        let answer = self.call_for_service(cx, stores, "PutRecordBatch", &body)?;
        let answers = answer["RequestResponses"].as_array().map_or(&[][..], Vec::as_slice);
        let failed = answers.iter().enumerate().filter(|(_, answer)| !answer["ErrorCode"].is_null());
        Ok(failed.map(|(place, _)| place).collect())
    }
}
