//! Encryption of direct puts while they wait: `StartDeliveryStreamEncryption` and `StopDeliveryStreamEncryption`.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Firehose;
use super::api::parse;
use super::config::{StreamKey, stream_key};
use super::lifecycle::TAKES;
use super::properties::StreamEncryption;
use super::stream::{SLOT_LIFE, token};
use crate::core::access::key_refused;
use crate::core::{AwsError, Cx, Service};
use world::time::Time;

/// In so long a time the encryption may be started and stopped [`CHANGES_MAX`] times (API reference of both operations).
const CHANGES_WITHIN: Duration = Duration::from_secs(24 * 3600);
const CHANGES_MAX: usize = 25;

/// How what waits is encrypted.
pub(super) struct Encryption {
    /// The key in force.
    key: StreamKey,
    /// What it changes to, and when.
    next: Option<(StreamKey, Time)>,
    /// When it was changed.
    changes: VecDeque<Time>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Start {
    delivery_stream_name: String,
    delivery_stream_encryption_configuration_input: Option<StreamEncryption>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stop {
    delivery_stream_name: String,
}

impl Encryption {
    /// With this key from the beginning.
    pub fn new(key: StreamKey) -> Self {
        Encryption { key, next: None, changes: VecDeque::new() }
    }

    /// Whether what waits is encrypted.
    pub fn is_on(&self) -> bool {
        self.key != StreamKey::None
    }

    /// Sets the key at once.
    pub fn set(&mut self, key: StreamKey) {
        (self.key, self.next) = (key, None);
    }

    /// A change whose time has come is done.
    pub fn advance(&mut self, now: Time) {
        if let Some((key, _)) = self.next.take_if(|(_, at)| *at <= now) {
            self.key = key;
        }
    }

    /// As `DescribeDeliveryStream` shows it.
    pub fn described(&self) -> Value {
        let (key, status) = match (&self.next, &self.key) {
            (Some((StreamKey::None, _)), key) => (key, "DISABLING"),
            (Some((next, _)), _) => (next, "ENABLING"),
            (None, StreamKey::None) => (&StreamKey::None, "DISABLED"),
            (None, key) => (key, "ENABLED"),
        };
        match key {
            StreamKey::None => json!({"Status": status}),
            StreamKey::Owned => json!({"Status": status, "KeyType": "AWS_OWNED_CMK"}),
            StreamKey::Managed(arn) => json!({"Status": status, "KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": arn}),
        }
    }

    /// Refuses a put when the key cannot be used. Firehose uses a customer's key by a grant, so that no policy is asked.
    pub fn check_usable(&self, cx: &Cx<'_>) -> Result<(), AwsError> {
        let StreamKey::Managed(arn) = &self.key else { return Ok(()) };
        let key = cx.access.keys.find(arn, cx.now).and_then(|key| key.check_usable());
        key.map_err(|error| key_refused("firehose", &error))
    }

    fn begin(&mut self, cx: &mut Cx<'_>, index: usize, key: StreamKey) -> Result<(), AwsError> {
        if self.next.is_some() {
            // The text is unverified.
            return Err(AwsError::new("ResourceInUseException", "The encryption of this Firehose is being changed"));
        }
        self.changes.retain(|at| cx.now.since(*at) < CHANGES_WITHIN);
        if self.changes.len() >= CHANGES_MAX {
            // The text is unverified.
            let message = format!("The encryption of a Firehose is changed at most {CHANGES_MAX} times in 24 hours");
            return Err(AwsError::new("LimitExceededException", message));
        }
        self.changes.push_back(cx.now);
        let at = cx.now + TAKES;
        self.next = Some((key, at));
        cx.timers.at(at, Service::Firehose, token(index, SLOT_LIFE));
        Ok(())
    }
}

/// Whether the caller may let Firehose use a key: it makes a grant in the caller's name. Without enforcement a key that is
/// not there is let through, as everywhere.
pub(super) fn permit_key(cx: &mut Cx<'_>, key: &StreamKey) -> Result<(), AwsError> {
    let StreamKey::Managed(arn) = key else { return Ok(()) };
    cx.use_key("kms:CreateGrant", arn, "firehose").map_err(|error| key_refused("firehose", &error))
}

impl Firehose {
    /// `StartDeliveryStreamEncryption`.
    pub(super) fn start_encryption(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: Start = parse("StartDeliveryStreamEncryption", body)?;
        self.control(cx, "StartDeliveryStreamEncryption")?;
        let stream = self.find_active(cx, &request.delivery_stream_name)?;
        let given = request.delivery_stream_encryption_configuration_input;
        let given = given.unwrap_or(StreamEncryption { key_type: "AWS_OWNED_CMK".to_owned(), key_arn: None });
        let key = stream_key(stream.config.kind(), &given)?;
        permit_key(cx, &key)?;
        stream.encryption.begin(cx, stream.index, key)?;
        Ok(json!({}))
    }

    /// `StopDeliveryStreamEncryption`.
    pub(super) fn stop_encryption(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: Stop = parse("StopDeliveryStreamEncryption", body)?;
        self.control(cx, "StopDeliveryStreamEncryption")?;
        let stream = self.find_active(cx, &request.delivery_stream_name)?;
        if !stream.config.is_direct_put() {
            // The text is unverified.
            let message = "Encryption is not supported for a delivery stream of type KinesisStreamAsSource";
            return Err(AwsError::new("InvalidArgumentException", message));
        }
        stream.encryption.begin(cx, stream.index, StreamKey::None)?;
        Ok(json!({}))
    }
}
