//! Registry events: what is told of changes of things, once the account asks for it.
//!
//! AWS publishes no delay; here an event is published at the instant of the change, after the call that made it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Registry, Thing, invalid};
use crate::core::{AwsError, Cx};
use crate::iot::message::Posted;
use world::time::Time;

/// The types of events. Those of things are modelled.
const TYPES: [&str; 11] = [
    "THING",
    "THING_GROUP",
    "THING_TYPE",
    "THING_GROUP_MEMBERSHIP",
    "THING_GROUP_HIERARCHY",
    "THING_TYPE_ASSOCIATION",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "CERTIFICATE",
    "CA_CERTIFICATE",
];

/// What happened to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// Its attributes or its type changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl Change {
    fn topic_level(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Deleted => "deleted",
        }
    }
}

/// Which events the account asks for.
#[derive(Debug, Default)]
pub struct Events {
    things: bool,
    /// When the configuration was first and last changed.
    changed: Option<(Time, Time)>,
}

impl Events {
    /// `UpdateEventConfigurations`.
    pub fn configure(&mut self, cx: &Cx<'_>, wanted: &BTreeMap<String, bool>) -> Result<(), AwsError> {
        for (kind, enabled) in wanted {
            if !TYPES.contains(&kind.as_str()) {
                return Err(invalid(format!("there is no event type {kind}")));
            }
            if *enabled && kind != "THING" {
                return Err(AwsError::not_modelled(format!("iot registry events of type {kind}")));
            }
        }
        self.things = wanted.get("THING").copied().unwrap_or(self.things);
        self.changed = Some((self.changed.map_or(cx.now, |(first, _)| first), cx.now));
        Ok(())
    }

    /// `DescribeEventConfigurations`.
    pub fn described(&self) -> Value {
        let enabled = |kind: &str| json!({ "Enabled": kind == "THING" && self.things });
        let all: BTreeMap<&str, Value> = TYPES.iter().map(|kind| (*kind, enabled(kind))).collect();
        let mut answer = json!({ "eventConfigurations": all });
        if let Some((created, modified)) = self.changed {
            answer["creationDate"] = created.epoch_seconds().into();
            answer["lastModifiedDate"] = modified.epoch_seconds().into();
        }
        answer
    }
}

impl Registry {
    /// Tells of a thing's change, when the account asks for such events.
    pub fn tell(&mut self, cx: &mut Cx<'_>, change: Change, name: &str) {
        if !self.events.things {
            return;
        }
        let Some(thing) = self.things.get(name) else { return };
        let topic = format!("$aws/events/thing/{name}/{}", change.topic_level());
        let event = Posted::by_service(topic, 1, payload(cx, change, thing).to_string());
        self.outbox.post(cx, event);
    }
}

fn payload(cx: &mut Cx<'_>, change: Change, thing: &Thing) -> Value {
    json!({
        "eventType": "THING_EVENT",
        "eventId": cx.uuid().replace('-', ""),
        "timestamp": cx.now.unix_millis(),
        "operation": change.topic_level().to_ascii_uppercase(),
        "accountId": cx.account.id,
        "thingId": thing.id,
        "thingName": &*thing.name,
        "versionNumber": thing.version,
        "thingTypeName": thing.thing_type.as_deref(),
        "attributes": thing.attributes,
    })
}
