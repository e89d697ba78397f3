//! Operations on which things are in which groups.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, flag, parse, query};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::{billing_group_arn, thing_arn, thing_group_arn};
use crate::iot::registry::{Thing, invalid};

/// Which thing enters or leaves which group; each is named by its name or its ARN.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Membership {
    thing_name: Option<String>,
    thing_arn: Option<String>,
    thing_group_name: Option<String>,
    thing_group_arn: Option<String>,
    billing_group_name: Option<String>,
    billing_group_arn: Option<String>,
    /// There are no dynamic groups.
    #[serde(rename = "overrideDynamicGroups")]
    _override_dynamic_groups: Option<bool>,
}

/// Which groups a thing enters and leaves.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateThingGroupsForThing {
    thing_name: Option<String>,
    #[serde(default)]
    thing_groups_to_add: Vec<String>,
    #[serde(default)]
    thing_groups_to_remove: Vec<String>,
    #[serde(rename = "overrideDynamicGroups")]
    _override_dynamic_groups: Option<bool>,
}

impl Membership {
    /// Names of the thing and of the group of the kind that the operation is about.
    fn names(self, cx: &Cx<'_>, of_thing_group: bool) -> Result<(String, String), AwsError> {
        let thing = named(self.thing_name, self.thing_arn, &thing_arn(cx, ""), "thing")?;
        let thing_group = (self.thing_group_name, self.thing_group_arn);
        let billing_group = (self.billing_group_name, self.billing_group_arn);
        let (kind, arns, (name, arn), other) = if of_thing_group {
            ("thing group", thing_group_arn(cx, ""), thing_group, billing_group)
        } else {
            ("billing group", billing_group_arn(cx, ""), billing_group, thing_group)
        };
        if other != (None, None) {
            return Err(invalid(format!("this operation takes a {kind}")));
        }
        Ok((thing, named(name, arn, &arns, kind)?))
    }
}

/// The name that is given as itself or behind the start of an ARN. Both must agree.
fn named(name: Option<String>, arn: Option<String>, arns: &str, kind: &str) -> Result<String, AwsError> {
    let of_arn = match arn {
        None => None,
        Some(arn) => {
            let rest = arn.strip_prefix(arns).map(str::to_owned);
            Some(rest.ok_or_else(|| invalid(format!("{arn:?} is no ARN of a {kind} of this account")))?)
        }
    };
    match (name, of_arn) {
        (Some(name), Some(other)) if name != other => {
            Err(invalid(format!("name and ARN of the {kind} do not agree: {name}, {other}")))
        }
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(invalid(format!("the {kind} is not named"))),
    }
}

impl Iot {
    /// The four operations by which a thing enters (`ADD`) or leaves a thing group or a billing group. They ask for
    /// permission on both, once the body is read.
    pub(super) fn rest_change_membership<const OF_THING_GROUP: bool, const ADD: bool>(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: Membership = parse(request.body)?;
        let (thing, group) = body.names(cx, OF_THING_GROUP)?;
        let (action, group_arn) = match (OF_THING_GROUP, ADD) {
            (true, true) => ("iot:AddThingToThingGroup", thing_group_arn(cx, &group)),
            (true, false) => ("iot:RemoveThingFromThingGroup", thing_group_arn(cx, &group)),
            (false, true) => ("iot:AddThingToBillingGroup", billing_group_arn(cx, &group)),
            (false, false) => ("iot:RemoveThingFromBillingGroup", billing_group_arn(cx, &group)),
        };
        cx.authorize(action, &group_arn)?;
        cx.authorize(action, &thing_arn(cx, &thing))?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        match (OF_THING_GROUP, ADD) {
            (true, true) => registry.add_to_thing_group(cx, quotas, &thing, &group)?,
            (true, false) => registry.remove_from_thing_group(cx, &thing, &group)?,
            (false, true) => registry.add_to_billing_group(&thing, &group)?,
            (false, false) => registry.remove_from_billing_group(&thing, &group)?,
        }
        Ok(json!({}))
    }

    /// Groups are left first, so that a thing can change its place in a hierarchy (unverified).
    pub(super) fn rest_update_groups_of_thing(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: UpdateThingGroupsForThing = parse(request.body)?;
        let thing = body.thing_name.ok_or_else(|| invalid("the thing is not named"))?;
        let action = "iot:UpdateThingGroupsForThing";
        cx.authorize(action, &thing_arn(cx, &thing))?;
        for group in body.thing_groups_to_remove.iter().chain(&body.thing_groups_to_add) {
            cx.authorize(action, &thing_group_arn(cx, group))?;
            self.registry.thing_group(group)?;
        }
        let (registry, quotas) = self.registry_and_quotas(cx);
        for group in &body.thing_groups_to_remove {
            registry.remove_from_thing_group(cx, &thing, group)?;
        }
        for group in &body.thing_groups_to_add {
            registry.add_to_thing_group(cx, quotas, &thing, group)?;
        }
        Ok(json!({}))
    }

    pub(super) fn rest_list_things_in_group(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        self.registry.thing_group(name)?;
        let recursive = flag(&query, "recursive")?;
        let is_under = |group: &Arc<str>| {
            **group == *name || recursive && self.registry.path(group).iter().any(|above| **above == *name)
        };
        let things = self.registry.things.values().filter(|thing| thing.groups.iter().any(is_under));
        Ok(Page::by_token(&query)?.answer("things", things.map(listed)))
    }

    pub(super) fn rest_list_things_in_billing_group(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.billing_group(name)?;
        let things = self.registry.things.values().filter(|thing| thing.billing_group.as_deref() == Some(name));
        Ok(Page::by_token(&query(request.query)?)?.answer("things", things.map(listed)))
    }
}

fn listed(thing: &Thing) -> (String, Value) {
    (thing.name.to_string(), (&*thing.name).into())
}
