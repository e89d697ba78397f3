//! The registry of AWS IoT: things and their groups. Every call may be repeated.

use std::time::SystemTime;

use aws_sdk_iot::Client;
use aws_sdk_iot::types::Tag;

use super::thing::Thing;
use crate::calls::{CallError, Clock};
use crate::function::FunctionError;

/// Cost-allocation tag of a billing group: the tenant.
pub const TENANT_TAG: &str = "tenant";

const NOT_FOUND: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceAlreadyExistsException";

/// The registry.
#[derive(Debug)]
pub(super) struct Registry {
    client: Client,
    clock: Clock,
}

fn failed(what: &'static str) -> impl Fn(CallError) -> FunctionError {
    move |error| FunctionError::Registry(format!("{what}: {error}"))
}

impl Registry {
    pub fn new(client: Client, clock: Clock) -> Self {
        Registry { client, clock }
    }

    /// The thing as it is now; nothing when there is none.
    pub async fn describe(&self, name: &str, deadline: SystemTime) -> Result<Option<Thing>, FunctionError> {
        let call = || self.client.describe_thing().thing_name(name).send();
        match self.clock.call_again(deadline, call).await {
            Ok(answer) => {
                let thing = Thing {
                    name: name.to_owned(),
                    id: answer.thing_id().unwrap_or_default().to_owned(),
                    version: answer.version(),
                    tenant: None,
                    device_type: None,
                    billing_group: answer.billing_group_name().map(str::to_owned),
                };
                Ok(Some(thing.with_attributes(|name| answer.attributes().and_then(|all| all.get(name)))))
            }
            Err(error) if error.is(NOT_FOUND) => Ok(None),
            Err(error) => Err(failed("DescribeThing")(error)),
        }
    }

    /// The names of the thing groups that the thing is in; nothing when there is no such thing.
    pub async fn groups(&self, thing: &str, deadline: SystemTime) -> Result<Vec<String>, FunctionError> {
        let (mut names, mut token) = (Vec::new(), None::<String>);
        loop {
            let call =
                || self.client.list_thing_groups_for_thing().thing_name(thing).set_next_token(token.clone()).send();
            let page = match self.clock.call_again(deadline, call).await {
                Ok(page) => page,
                Err(error) if error.is(NOT_FOUND) => return Ok(names),
                Err(error) => return Err(failed("ListThingGroupsForThing")(error)),
            };
            names.extend(page.thing_groups().iter().filter_map(|group| group.group_name()).map(str::to_owned));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Puts the thing into a thing group, which is made when it is absent.
    pub async fn join_group(&self, thing: &str, group: &str, deadline: SystemTime) -> Result<(), FunctionError> {
        let join = || self.client.add_thing_to_thing_group().thing_name(thing).thing_group_name(group).send();
        match self.clock.call_again(deadline, join).await {
            Err(error) if error.is(NOT_FOUND) => {}
            answer => return answer.map(drop).map_err(failed("AddThingToThingGroup")),
        }
        let create = || self.client.create_thing_group().thing_group_name(group).send();
        match self.clock.call_again(deadline, create).await {
            Err(error) if !error.is(EXISTS) => return Err(failed("CreateThingGroup")(error)),
            _ => tracing::info!(group, "a thing group was made"),
        }
        self.gone_or_failed("AddThingToThingGroup", self.clock.call_again(deadline, join).await)
    }

    /// Takes the thing out of a thing group.
    pub async fn leave_group(&self, thing: &str, group: &str, deadline: SystemTime) -> Result<(), FunctionError> {
        let leave = || self.client.remove_thing_from_thing_group().thing_name(thing).thing_group_name(group).send();
        self.gone_or_failed("RemoveThingFromThingGroup", self.clock.call_again(deadline, leave).await)
    }

    /// Puts the thing into a billing group, which is made when it is absent. The thing is in no other one.
    pub async fn join_billing_group(
        &self,
        thing: &str,
        group: &str,
        tenant: &str,
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        let join = || self.client.add_thing_to_billing_group().thing_name(thing).billing_group_name(group).send();
        match self.clock.call_again(deadline, join).await {
            Err(error) if error.is(NOT_FOUND) => {}
            answer => return answer.map(drop).map_err(failed("AddThingToBillingGroup")),
        }
        let tag = Tag::builder().key(TENANT_TAG).value(tenant).build().expect("a key is set");
        let create = || self.client.create_billing_group().billing_group_name(group).tags(tag.clone()).send();
        match self.clock.call_again(deadline, create).await {
            Err(error) if !error.is(EXISTS) => return Err(failed("CreateBillingGroup")(error)),
            _ => tracing::info!(group, "a billing group was made"),
        }
        self.gone_or_failed("AddThingToBillingGroup", self.clock.call_again(deadline, join).await)
    }

    /// Takes the thing out of a billing group.
    pub async fn leave_billing_group(
        &self,
        thing: &str,
        group: &str,
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        let leave = || self.client.remove_thing_from_billing_group().thing_name(thing).billing_group_name(group).send();
        self.gone_or_failed("RemoveThingFromBillingGroup", self.clock.call_again(deadline, leave).await)
    }

    /// A thing or a group that is gone by now is no failure: the thing is looked at again after all changes.
    fn gone_or_failed<T>(&self, what: &'static str, answer: Result<T, CallError>) -> Result<(), FunctionError> {
        match answer {
            Err(error) if !error.is(NOT_FOUND) => Err(failed(what)(error)),
            _ => Ok(()),
        }
    }
}
