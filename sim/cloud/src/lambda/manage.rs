//! Creation, change and deletion of event source mappings, by CloudFormation and over the API.

use std::sync::Arc;

use serde_json::Value;

use super::Lambda;
use super::describe::description;
use super::mapping::{Mapping, Properties, State};
use super::operate::parse;
use super::permit::permit_reader;
use super::rest::{Request, mapping_not_found};
use crate::core::ports::{StartingPosition, Streams};
use crate::core::{AwsError, Cx, Provisioned, Resource};

/// Members of a mapping that no change can name.
const FIXED: [&str; 3] = ["EventSourceArn", "StartingPosition", "StartingPositionTimestamp"];

impl Lambda {
    /// Creates `AWS::Lambda::EventSourceMapping`.
    pub(super) fn provision_mapping(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let index = self.create_mapping(cx, streams, resource)?;
        Ok(provisioned(&self.mappings[index]))
    }

    /// Changes `AWS::Lambda::EventSourceMapping`.
    pub(super) fn reprovision_mapping(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
        uuid: &str,
    ) -> Result<Provisioned, AwsError> {
        let index = self.live_mapping(uuid)?;
        self.change_mapping(cx, streams, resource, index)?;
        Ok(provisioned(&self.mappings[index]))
    }

    /// Creates a mapping, and answers its position in the list of all mappings.
    fn create_mapping(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
    ) -> Result<usize, AwsError> {
        let properties: Properties = resource.parse()?;
        let stream: Arc<str> = properties.stream(cx, resource)?.into();
        let target = properties.function(cx, resource)?;
        let function = self.configured(cx, &target)?;
        let shards = streams.list_shards(&stream).map_err(|_| {
            let message = format!("Stream not found: {}", properties.event_source_arn);
            AwsError::new("InvalidParameterValueException", message).with("Type", "User")
        })?;
        // One that is being deleted is still there.
        let shown = self.mappings.iter().filter(|mapping| mapping.shown_state(cx.now).is_some());
        let same = shown.into_iter().find(|m| m.stream == stream && m.target() == target);
        if let Some(same) = same {
            let message = format!(
                "The event source arn (\" {} \") and function (\" {target} \") provided mapping already exists. \
                 Please update or delete the existing mapping with UUID {}",
                same.source_arn, same.uuid
            );
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        let mapping = properties.create(cx, resource, stream, &function, target.qualifier)?;
        if matches!(mapping.start, StartingPosition::AtTimestamp(time) if time > cx.now) {
            // API reference, `CreateEventSourceMapping`; the text is unverified.
            let message = "StartingPositionTimestamp cannot be in the future.".to_owned();
            return Err(AwsError::new("InvalidParameterValueException", message).with("Type", "User"));
        }
        permit(cx, &mapping)?;
        let (enabled, index) = (mapping.state == State::Enabled, self.mappings.len());
        self.mappings.push(mapping);
        if enabled {
            self.begin_reading(cx, index, &shards);
        }
        Ok(index)
    }

    /// Changes a mapping to what `resource` declares.
    fn change_mapping(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
        index: usize,
    ) -> Result<(), AwsError> {
        let properties: Properties = resource.parse()?;
        let stream: Arc<str> = properties.stream(cx, resource)?.into();
        let target = properties.function(cx, resource)?;
        let function = self.configured(cx, &target)?;
        let new = properties.create(cx, resource, stream, &function, target.qualifier)?;
        permit(cx, &new)?;
        // A mapping that was never enabled before begins now.
        let begins = new.state == State::Enabled && self.mappings[index].shards.is_empty();
        let shards = if begins { Some(streams.list_shards(&self.mappings[index].stream)?) } else { None };
        let old = &mut self.mappings[index];
        let transition = match (old.state, new.state) {
            (State::Disabled, State::Enabled) => "Enabling",
            (State::Enabled, State::Disabled) => "Disabling",
            _ => "Updating",
        };
        *old = Mapping {
            uuid: std::mem::take(&mut old.uuid),
            arn: std::mem::take(&mut old.arn),
            source_arn: std::mem::take(&mut old.source_arn),
            stream: old.stream.clone(),
            start: old.start,
            last_result: old.last_result,
            shards: std::mem::take(&mut old.shards),
            ..new
        };
        old.passes(cx.now, transition);
        for poller in self.pollers.iter_mut().filter(|poller| poller.mapping == index) {
            poller.measure(old);
        }
        if let Some(shards) = shards {
            self.begin_reading(cx, index, &shards);
        }
        self.wake_pollers(cx, index);
        Ok(())
    }

    /// Deletes a mapping. A batch that is in flight still ends.
    pub(super) fn delete_mapping(&mut self, cx: &Cx<'_>, uuid: &str) {
        let Ok(index) = self.live_mapping(uuid) else { return };
        self.mappings[index].state = State::Deleted;
        self.mappings[index].passes(cx.now, "Deleting");
        for poller in self.pollers.iter_mut().filter(|poller| poller.mapping == index) {
            poller.forget();
        }
    }

    fn live_mapping(&self, uuid: &str) -> Result<usize, AwsError> {
        let live = |mapping: &Mapping| mapping.uuid == uuid && mapping.state != State::Deleted;
        self.mappings.iter().position(live).ok_or_else(mapping_not_found)
    }

    /// The mapping that a request names, when no change of it is in progress.
    fn settled_mapping(&self, cx: &Cx<'_>, request: &Request) -> Result<usize, AwsError> {
        let uuid = request.parts[0].as_str();
        let shown = |mapping: &Mapping| mapping.uuid == uuid && mapping.shown_state(cx.now).is_some();
        let index = self.mappings.iter().position(shown).ok_or_else(mapping_not_found)?;
        let state = self.mappings[index].shown_state(cx.now);
        if matches!(state, Some("Enabled" | "Disabled")) {
            return Ok(index);
        }
        let state = state.unwrap_or_default();
        let message = format!("Cannot change the event source mapping because it is in the state {state}.");
        Err(AwsError::new("ResourceInUseException", message).with("Type", "User"))
    }

    /// `CreateEventSourceMapping`.
    pub(super) fn create_mapping_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let resource = resource(parse(body)?);
        let index = self.create_mapping(cx, streams, &resource).map_err(invalid)?;
        Ok(description(&self.mappings[index], cx.now))
    }

    /// `UpdateEventSourceMapping`: members that are left out stay.
    pub(super) fn update_mapping_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        request: &Request,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let members: serde_json::Map<String, Value> = parse(body)?;
        if let Some(fixed) = FIXED.iter().find(|fixed| members.contains_key(**fixed)) {
            return Err(AwsError::not_modelled(format!("lambda UpdateEventSourceMapping with {fixed}")));
        }
        let index = self.settled_mapping(cx, request)?;
        let mut settings = self.mappings[index].settings.clone();
        if let Value::Object(known) = &mut settings {
            known.extend(members);
        }
        self.change_mapping(cx, streams, &resource(settings), index).map_err(invalid)?;
        Ok(description(&self.mappings[index], cx.now))
    }

    /// `DeleteEventSourceMapping`.
    pub(super) fn delete_mapping_over_rest(&mut self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        let index = self.settled_mapping(cx, request)?;
        let uuid = self.mappings[index].uuid.clone();
        self.delete_mapping(cx, &uuid);
        Ok(description(&self.mappings[index], cx.now))
    }
}

/// What the function's role must be allowed before Lambda takes a mapping.
fn permit(cx: &mut Cx<'_>, mapping: &Mapping) -> Result<(), AwsError> {
    permit_reader(cx, &mapping.reader, &mapping.source_arn)?;
    match &mapping.on_failure {
        Some(destination) => destination.permit(cx, &mapping.reader),
        None => Ok(()),
    }
}

fn provisioned(mapping: &Mapping) -> Provisioned {
    Provisioned::new(mapping.uuid.clone())
        .attribute("Id", mapping.uuid.clone())
        .attribute("EventSourceMappingArn", mapping.arn.clone())
}

/// A request of the API in the form of a declaration: both have the same members.
fn resource(properties: Value) -> Resource {
    Resource {
        stack: "lambda".to_owned(),
        logical_id: "EventSourceMapping".to_owned(),
        kind: "AWS::Lambda::EventSourceMapping".to_owned(),
        properties,
    }
}

/// The refusal of a declaration as the API's (the text is unverified).
fn invalid(error: AwsError) -> AwsError {
    if error.code != "ValidationError" {
        return error;
    }
    AwsError::new("InvalidParameterValueException", error.message).with("Type", "User")
}
