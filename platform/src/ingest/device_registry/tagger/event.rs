//! The registry's event on a thing, as a rule's Lambda action delivers it (IoT developer guide, "Registry events"): the
//! message on `$aws/events/thing/{name}/created`, `/updated` or `/deleted`, only what is needed of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::function::FunctionError;
use crate::ingest::device_registry::TENANT_ATTRIBUTE;

/// The only type of event that is about a thing itself.
const THING_EVENT: &str = "THING_EVENT";
/// The operation of a thing that is gone.
const DELETED: &str = "DELETED";

/// Something happened to a thing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub event_type: Cow<'a, str>,
    #[serde(borrow)]
    pub operation: Cow<'a, str>,
    #[serde(borrow)]
    pub thing_name: Cow<'a, str>,
    pub version_number: i64,
    #[serde(borrow, default)]
    pub thing_id: Option<Cow<'a, str>>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, Option<String>>>,
}

impl<'a> Event<'a> {
    /// Parses an event.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FunctionError> {
        let event: Event<'a> =
            serde_json::from_slice(bytes).map_err(|error| FunctionError::Event(error.to_string()))?;
        if event.event_type != THING_EVENT {
            return Err(FunctionError::Event(format!("eventType is {:?}, not {THING_EVENT:?}", event.event_type)));
        }
        if event.thing_name.is_empty() {
            return Err(FunctionError::Event("thingName is empty".to_owned()));
        }
        Ok(event)
    }

    /// The tenant and the id of the thing that was deleted, when the event tells of a deletion. Of everything else the
    /// registry itself is asked; of a thing that is gone nothing else knows.
    pub fn deleted(&self) -> Option<(&str, &str)> {
        let tenant = self.attributes.as_ref()?.get(TENANT_ATTRIBUTE)?.as_deref()?;
        (self.operation == DELETED).then_some((tenant, self.thing_id.as_deref()?))
    }
}
