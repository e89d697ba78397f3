//! A reader of what functions that read a stream gave up, on the real SDK: the objects of their failure destination, as
//! Lambda writes them.
//!
//! Source: Lambda guide, "Retain discarded batch records for a Kinesis Data Streams event source": the object's body is the
//! invocation record, and its member `payload` the whole event as a text.

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};
use super::quarantine::Identity;

/// Reads the failure destinations in one bucket.
pub struct GivenUpReader {
    prefix: Prefix,
}

/// A record that a function gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Name of the function.
    pub function: String,
    /// Why: Lambda's condition, such as `RetryAttemptsExhausted`.
    pub condition: String,
    /// Whose reading it is; nothing when its bytes do not tell.
    pub identity: Option<Identity>,
    /// Its bytes.
    pub data: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    request_context: Context,
    #[serde(rename = "KinesisBatchInfo")]
    batch: Batch,
    payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    function_arn: String,
    condition: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    batch_size: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    kinesis: Kinesis,
}

#[derive(Deserialize)]
struct Kinesis {
    data: String,
}

impl GivenUpReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        GivenUpReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Every record that was given up.
    pub async fn read(&self) -> Result<Vec<GivenUp>, QueryError> {
        let mut all = Vec::new();
        for Listed { key, .. } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            all.extend(given_up(&body).map_err(|why| self.prefix.unreadable(&key, why))?);
        }
        Ok(all)
    }
}

impl GivenUp {
    /// Whether the function with this handler gave it up: functions are called after their handlers.
    pub fn is_of(&self, handler: &str) -> bool {
        self.function.replace('-', "_").ends_with(&format!("_{handler}"))
    }
}

/// The records of one object.
fn given_up(body: &[u8]) -> Result<Vec<GivenUp>, String> {
    let document: Document = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let event: Event = serde_json::from_str(&document.payload).map_err(|e| format!("payload: {e}"))?;
    let (told, held) = (document.batch.batch_size, event.records.len());
    if told != held {
        return Err(format!("it tells of {told} records and holds {held}"));
    }
    let function = document.request_context.function_arn.split(':').nth(6).unwrap_or_default();
    let record = |record: &Record| {
        let data = STANDARD.decode(&record.kinesis.data).map_err(|e| e.to_string())?;
        Ok(GivenUp {
            function: function.to_owned(),
            condition: document.request_context.condition.clone(),
            identity: serde_json::from_slice(&data).ok(),
            data,
        })
    };
    event.records.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(batch_size: usize, records: &[&[u8]]) -> Vec<u8> {
        let records: Vec<_> = records.iter().map(|data| json!({"kinesis": {"data": STANDARD.encode(data)}})).collect();
        let event = json!({ "Records": records }).to_string();
        json!({
            "requestContext": {
                "requestId": "r",
                "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:iot-platform-sim-enrichment:live",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 21,
            },
            "version": "1.0",
            "timestamp": "2026-03-01T00:00:00.000Z",
            "KinesisBatchInfo": { "shardId": "shardId-000000000000", "batchSize": batch_size },
            "payload": event,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn an_object_tells_whose_records_it_holds_with_their_bytes() {
        let reading: &[u8] = br#"{"seq":4,"ts":1,"tenant_id":"acme","device_id":"pump-1"}"#;
        let found = given_up(&object(2, &[reading, b"no reading"])).unwrap();
        let identity = Identity { tenant_id: "acme".to_owned(), device_id: "pump-1".to_owned(), seq: 4 };
        assert_eq!(found.len(), 2);
        assert!(found[0].is_of("enrichment") && !found[0].is_of("anomaly_detection") && !found[0].is_of("richment"));
        assert_eq!((&found[0].identity, found[0].data.as_slice()), (&Some(identity), reading));
        assert_eq!(
            (found[0].function.as_str(), found[0].condition.as_str()),
            ("iot-platform-sim-enrichment", "RetryAttemptsExhausted")
        );
        assert_eq!((&found[1].identity, found[1].data.as_slice()), (&None, &b"no reading"[..]));
    }

    #[test]
    fn an_object_that_does_not_hold_what_it_tells_of_is_unreadable() {
        for body in [object(2, &[b"{}"]), b"{}".to_vec(), b"payload".to_vec()] {
            assert!(given_up(&body).is_err(), "{}", String::from_utf8_lossy(&body));
        }
    }
}
