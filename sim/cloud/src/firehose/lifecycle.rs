//! `CreateDeliveryStream` and `DeleteDeliveryStream`, and the states between.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::parse;
use super::config::Config;
use super::encryption::permit_key;
use super::properties::Properties;
use super::stream::{DeliveryStream, SLOT_LIFE, token};
use super::{Firehose, Ports, manage};
use crate::core::{AwsError, Cx, Service};
use world::time::Time;
use world::trace::Level;

/// How long a creation, a deletion and a change of the encryption take. Not published by AWS.
pub(super) const TAKES: Duration = Duration::from_secs(10);

/// `DeliveryStreamStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Until this instant.
    Creating(Time),
    /// It takes records.
    Active,
    /// Until this instant; then it is gone.
    Deleting(Time),
}

impl Status {
    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating(_) => "CREATING",
            Status::Active => "ACTIVE",
            Status::Deleting(_) => "DELETING",
        }
    }

    /// Whether it is on its way out.
    pub fn is_deleting(self) -> bool {
        matches!(self, Status::Deleting(_))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteDeliveryStream {
    delivery_stream_name: String,
    // No grant has to be retired.
    #[serde(default, rename = "AllowForceDelete")]
    _allow_force_delete: Option<bool>,
}

impl Firehose {
    /// `CreateDeliveryStream`. Delivery begins with the records that arrive from now on; direct puts are taken when it is
    /// active.
    pub(super) fn create_delivery_stream(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let properties: Properties = parse("CreateDeliveryStream", body)?;
        self.control(cx, "CreateDeliveryStream")?;
        let tags = manage::tags(&properties.tags)?;
        let config = Config::new(cx, properties)?;
        permit_key(cx, &config.key)?;
        for role in config.roles().cloned().collect::<Vec<_>>() {
            cx.authorize("iam:PassRole", &role.arn)?;
        }
        let index = self.add(cx, ports.streams, ports.catalog, config, tags)?;
        let until = cx.now + TAKES;
        cx.timers.at(until, Service::Firehose, token(index, SLOT_LIFE));
        let Some(stream) = &mut self.streams[index] else { unreachable!("it was just added") };
        stream.status = Status::Creating(until);
        Ok(json!({"DeliveryStreamARN": stream.config.arn}))
    }

    /// `DeleteDeliveryStream`: the delivery stream stops at once, and what waits in it is lost.
    pub(super) fn delete_delivery_stream(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: DeleteDeliveryStream = parse("DeleteDeliveryStream", body)?;
        self.control(cx, "DeleteDeliveryStream")?;
        let stream = self.find(cx, &request.delivery_stream_name)?;
        match stream.status {
            Status::Creating(_) => return Err(in_use(stream)),
            // A repeated deletion succeeds.
            Status::Deleting(_) => {}
            Status::Active => {
                let until = cx.now + TAKES;
                stream.status = Status::Deleting(until);
                cx.timers.at(until, Service::Firehose, token(stream.index, SLOT_LIFE));
            }
        }
        Ok(json!({}))
    }

    /// Deletes a delivery stream at once, with what it has not delivered. Answers whether it was there.
    pub(super) fn remove(&mut self, cx: &Cx<'_>, name: &str) -> bool {
        let Some(stream) = self.by_name.remove(name).and_then(|index| self.streams[index].take()) else { return false };
        let (records, bytes) = stream.undelivered();
        let fields = [("lost_records", records.into()), ("lost_bytes", bytes.into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "deleted", name, &fields);
        true
    }

    /// Moves a delivery stream on to its next state.
    pub(super) fn advance(&mut self, cx: &Cx<'_>, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else { return };
        stream.encryption.advance(cx.now);
        match stream.status {
            Status::Creating(until) if until <= cx.now => stream.status = Status::Active,
            Status::Deleting(until) if until <= cx.now => {
                let name = stream.config.name.clone();
                self.remove(cx, &name);
            }
            _ => {}
        }
    }

    /// A delivery stream that can be changed.
    pub(super) fn find_active(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut DeliveryStream, AwsError> {
        let stream = self.find(cx, name)?;
        if stream.status == Status::Active { Ok(stream) } else { Err(in_use(stream)) }
    }
}

/// The text is unverified.
fn in_use(stream: &DeliveryStream) -> AwsError {
    let message = format!("Firehose {} is {}, not ACTIVE", stream.config.name, stream.status.name());
    AwsError::new("ResourceInUseException", message)
}
