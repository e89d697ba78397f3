//! Registry events: what is told of changes, once the account asks for it (AWS IoT Core developer guide, "Registry
//! events").
//!
//! AWS publishes no delay; here an event is published at the instant of the change, after the call that made it. Events go to
//! topics under `$aws/events/`, for rules and subscribers; a way to EventBridge leads over a rule. Unverified: that a group
//! with a parent is added to it when it is created and removed when it is deleted, and that the things of a group or the
//! groups of a thing that is deleted have no events of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::arns::{thing_arn, thing_group_arn};
use super::{Registry, Thing, invalid};
use crate::core::{AwsError, Cx};
use crate::iot::message::Posted;
use world::time::Time;

/// The types of events, and whether they are modelled: the payloads of the others are not documented.
const TYPES: [(&str, bool); 11] = [
    ("THING", true),
    ("THING_GROUP", true),
    ("THING_TYPE", true),
    ("THING_GROUP_MEMBERSHIP", true),
    ("THING_GROUP_HIERARCHY", true),
    ("THING_TYPE_ASSOCIATION", true),
    ("JOB", false),
    ("JOB_EXECUTION", false),
    ("POLICY", false),
    ("CERTIFICATE", false),
    ("CA_CERTIFICATE", false),
];

/// What happened to a thing, a type or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It changed.
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

    fn operation(self) -> &'static str {
        match self {
            Change::Created => "CREATED",
            Change::Updated => "UPDATED",
            Change::Deleted => "DELETED",
        }
    }
}

/// Which events the account asks for.
#[derive(Debug, Default)]
pub struct Events {
    enabled: BTreeSet<&'static str>,
    /// When the configuration was first and last changed.
    changed: Option<(Time, Time)>,
}

impl Events {
    /// `UpdateEventConfigurations`.
    pub fn configure(&mut self, cx: &Cx<'_>, wanted: &BTreeMap<String, bool>) -> Result<(), AwsError> {
        for (kind, enabled) in wanted {
            match TYPES.iter().find(|(known, _)| known == kind) {
                None => return Err(invalid(format!("there is no event type {kind}"))),
                Some((_, false)) if *enabled => {
                    return Err(AwsError::not_modelled(format!("iot registry events of type {kind}")));
                }
                Some(_) => {}
            }
        }
        for (kind, _) in TYPES {
            match wanted.get(kind) {
                Some(true) => drop(self.enabled.insert(kind)),
                Some(false) => drop(self.enabled.remove(kind)),
                None => {}
            }
        }
        self.changed = Some((self.changed.map_or(cx.now, |(first, _)| first), cx.now));
        Ok(())
    }

    /// `DescribeEventConfigurations`.
    pub fn described(&self) -> Value {
        let enabled = |kind: &str| json!({ "Enabled": self.enabled.contains(kind) });
        let all: BTreeMap<&str, Value> = TYPES.iter().map(|(kind, _)| (*kind, enabled(kind))).collect();
        let mut answer = json!({ "eventConfigurations": all });
        if let Some((created, modified)) = self.changed {
            answer["creationDate"] = created.epoch_seconds().into();
            answer["lastModifiedDate"] = modified.epoch_seconds().into();
        }
        answer
    }
}

impl Registry {
    /// Posts an event of a type, when the account asks for it. `payload` has the members that are the event's own.
    fn post(&mut self, cx: &mut Cx<'_>, kind: &str, topic: String, operation: &str, payload: Value) {
        let mut event = json!({
            "eventType": format!("{kind}_EVENT"),
            "eventId": cx.uuid().replace('-', ""),
            "timestamp": cx.now.unix_millis(),
            "operation": operation,
        });
        // The guide shows this event without the account.
        if kind != "THING_TYPE_ASSOCIATION" {
            event["accountId"] = cx.account.id.as_str().into();
        }
        if let (Value::Object(event), Value::Object(own)) = (&mut event, payload) {
            event.extend(own);
        }
        self.outbox.post(cx, Posted::by_service(format!("$aws/events/{topic}"), 1, event.to_string()));
    }

    /// Tells of a thing's change.
    pub(super) fn tell_thing(&mut self, cx: &mut Cx<'_>, change: Change, name: &str) {
        let Some(thing) = self.things.get(name).filter(|_| self.events.enabled.contains("THING")) else { return };
        let payload = json!({
            "thingId": thing.id,
            "thingName": name,
            "versionNumber": thing.version,
            "thingTypeName": thing.thing_type.as_deref(),
            "attributes": thing.attributes,
        });
        self.post(cx, "THING", format!("thing/{name}/{}", change.topic_level()), change.operation(), payload);
    }

    /// Tells of a type's change.
    pub(super) fn tell_type(&mut self, cx: &mut Cx<'_>, change: Change, name: &str) {
        let wanted = self.events.enabled.contains("THING_TYPE");
        let Some(thing_type) = self.thing_types.get(name).filter(|_| wanted) else { return };
        let payload = json!({
            "thingTypeId": thing_type.id,
            "thingTypeName": name,
            "isDeprecated": thing_type.deprecated.is_some(),
            "deprecationDate": thing_type.deprecated.map(Time::unix_millis),
            "searchableAttributes": thing_type.searchable_attributes,
            "description": thing_type.description,
        });
        self.post(cx, "THING_TYPE", format!("thingType/{name}/{}", change.topic_level()), change.operation(), payload);
    }

    /// Tells that a thing got a type or lost it.
    pub(super) fn tell_type_of(&mut self, cx: &mut Cx<'_>, added: bool, name: &str, thing_type: &str) {
        let wanted = self.events.enabled.contains("THING_TYPE_ASSOCIATION");
        let Some(thing) = self.things.get(name).filter(|_| wanted) else { return };
        let payload = json!({ "thingId": thing.id, "thingName": name, "thingTypeName": thing_type });
        let (level, operation) = relation(added);
        let topic = format!("thingTypeAssociation/thing/{name}/thingType/{thing_type}/{level}");
        self.post(cx, "THING_TYPE_ASSOCIATION", topic, operation, payload);
    }

    /// Tells of a group's change.
    pub(super) fn tell_group(&mut self, cx: &mut Cx<'_>, change: Change, name: &str) {
        let wanted = self.events.enabled.contains("THING_GROUP");
        let Some(group) = self.thing_groups.get(name).filter(|_| wanted) else { return };
        let mut above = self.path(&name.into());
        above.remove(0);
        above.reverse();
        let id_of = |name: &Arc<str>| self.thing_groups.get(name).map(|group| group.id.as_str());
        let parents: Vec<Value> =
            above.iter().map(|name| json!({ "groupArn": thing_group_arn(cx, name), "groupId": id_of(name) })).collect();
        let payload = json!({
            "thingGroupId": group.id,
            "thingGroupName": name,
            "versionNumber": group.version,
            "parentGroupName": group.parent.as_deref(),
            "parentGroupId": group.parent.as_ref().and_then(id_of),
            "description": group.properties.description,
            "rootToParentThingGroups": parents,
            "attributes": group.properties.attributes,
            "dynamicGroupMappingId": null,
        });
        let topic = format!("thingGroup/{name}/{}", change.topic_level());
        self.post(cx, "THING_GROUP", topic, change.operation(), payload);
    }

    /// Tells that a thing entered or left a group.
    pub(super) fn tell_membership(&mut self, cx: &mut Cx<'_>, added: bool, group: &str, thing: &str) {
        if !self.events.enabled.contains("THING_GROUP_MEMBERSHIP") {
            return;
        }
        let (Some(found), Some(member)) = (self.thing_groups.get(group), self.things.get(thing)) else { return };
        let payload = json!({
            "groupArn": thing_group_arn(cx, group),
            "groupId": found.id,
            "thingArn": thing_arn(cx, thing),
            "thingId": member.id,
            "membershipId": membership_id(&found.id, member),
        });
        let (level, operation) = relation(added);
        let topic = format!("thingGroupMembership/thingGroup/{group}/thing/{thing}/{level}");
        self.post(cx, "THING_GROUP_MEMBERSHIP", topic, operation, payload);
    }

    /// Tells that a group became a child of another or is none any more.
    pub(super) fn tell_hierarchy(&mut self, cx: &mut Cx<'_>, added: bool, parent: &str, child: &str) {
        if !self.events.enabled.contains("THING_GROUP_HIERARCHY") {
            return;
        }
        let (Some(above), Some(below)) = (self.thing_groups.get(parent), self.thing_groups.get(child)) else { return };
        let payload = json!({
            "thingGroupId": above.id,
            "thingGroupName": parent,
            "childGroupId": below.id,
            "childGroupName": child,
        });
        let (level, operation) = relation(added);
        let topic = format!("thingGroupHierarchy/thingGroup/{parent}/childThingGroup/{child}/{level}");
        self.post(cx, "THING_GROUP_HIERARCHY", topic, operation, payload);
    }
}

/// Level of the topic and operation of an event on a relation.
fn relation(added: bool) -> (&'static str, &'static str) {
    if added { ("added", "ADDED") } else { ("removed", "REMOVED") }
}

/// The id of a thing's being in a group: the same when it leaves as when it entered.
fn membership_id(group_id: &str, thing: &Thing) -> String {
    let hash = Sha256::new().chain_update(group_id).chain_update(&thing.id).finalize();
    let bytes = hash[..16].try_into().expect("a hash has 32 bytes");
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
