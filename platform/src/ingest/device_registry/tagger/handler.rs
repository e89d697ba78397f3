//! What the function does with an event of the registry.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::event::Event;
use super::item::Items;
use super::registry::Registry;
use super::thing::Thing;
use crate::calls::{Clock, client, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::settings;

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "device_tagger";

/// Environment variable with the table of the device directory.
pub const DIRECTORY_TABLE: &str = "DIRECTORY_TABLE";
/// Environment variable with the first part of the name of each tenant's thing group and billing group. No other group
/// may begin with it.
pub const GROUP_PREFIX: &str = "GROUP_PREFIX";

/// Environment variable with the hours for which the streams keep readings, which wait there for their device's item.
pub const STREAM_RETENTION_HOURS: &str = "STREAM_RETENTION_HOURS";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 3] = [DIRECTORY_TABLE, GROUP_PREFIX, STREAM_RETENTION_HOURS];

/// How often a thing may change while it is worked on. After that the event is tried again later.
const ROUNDS_MAX: usize = 5;

/// The device tagger.
#[derive(Debug)]
pub struct Tagger {
    registry: Registry,
    items: Items,
    prefix: String,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Groups and directory are as the thing says.
    Tagged,
    /// The thing names no tenant that has groups. It is in none of them.
    LeftAlone,
    /// There is no such thing any more.
    Gone,
}

impl Tagger {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let table = environment.require(DIRECTORY_TABLE)?;
        let prefix = environment.require(GROUP_PREFIX)?.to_owned();
        let retention_h = environment.require_number(STREAM_RETENTION_HOURS, settings::STREAM_RETENTION_HOURS)?;
        let retention = Duration::from_secs(60 * 60 * u64::from(retention_h));
        let clock = Clock::new(config)?;
        let config = client_config(config);
        Ok(Tagger {
            registry: Registry::new(client!(aws_sdk_iot, &config), clock.clone()),
            items: Items::new(client!(aws_sdk_dynamodb, &config), table, retention, clock),
            prefix,
        })
    }

    /// Lets the item expire of a device whose thing with the id `thing_id` was not found among the others. Answers whether it
    /// is gone; when there is a thing of that name, it is worked on.
    pub(crate) async fn forget(
        &self,
        tenant: &str,
        name: &str,
        thing_id: &str,
        deadline: SystemTime,
    ) -> Result<bool, FunctionError> {
        let outcome = self.settle(name, deadline).await?;
        if outcome == Outcome::Gone {
            self.items.expire_gone(tenant, name, thing_id, deadline).await?;
        }
        Ok(outcome == Outcome::Gone)
    }

    /// Works on a thing until it does not change any more.
    pub(crate) async fn settle(&self, name: &str, deadline: SystemTime) -> Result<Outcome, FunctionError> {
        let mut latest = self.registry.describe(name, deadline).await?;
        for _ in 0..ROUNDS_MAX {
            let Some(thing) = latest else {
                return Ok(Outcome::Gone);
            };
            let outcome = match thing.tenant_and_group(&self.prefix) {
                Ok((tenant, group)) => {
                    // The directory first: without an item the device's readings are refused.
                    self.items.write(tenant, &thing, deadline).await?;
                    self.regroup(Some((tenant, &group)), &thing, deadline).await?;
                    Outcome::Tagged
                }
                Err(reason) => {
                    tracing::warn!(thing = name, %reason, "the thing belongs to no tenant");
                    self.regroup(None, &thing, deadline).await?;
                    Outcome::LeftAlone
                }
            };
            latest = self.registry.describe(name, deadline).await?;
            if latest.as_ref().is_some_and(|now| now.is_same_version(&thing)) {
                return Ok(outcome);
            }
            if let (None, Some(tenant)) = (&latest, &thing.tenant) {
                // The event of its deletion may have come before the item was written.
                self.items.expire_gone(tenant, name, &thing.id, deadline).await?;
            }
        }
        Err(FunctionError::Registry(format!("the thing {name:?} changed {ROUNDS_MAX} times meanwhile")))
    }

    /// Puts a thing into its tenant's groups and takes it out of those of other tenants. `own` is the tenant with the name
    /// of its groups, if it has one.
    async fn regroup(
        &self,
        own: Option<(&str, &str)>,
        thing: &Thing,
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        let groups = self.registry.groups(&thing.name, deadline).await?;
        let (tenant, group) = own.unzip();
        if let Some(group) = group.filter(|group| !groups.iter().any(|name| name == group)) {
            self.registry.join_group(&thing.name, group, deadline).await?;
        }
        self.change_billing_group(own, thing, deadline).await?;
        for other in groups.iter().filter(|name| Some(name.as_str()) != group) {
            if let Some(left) = other.strip_prefix(&self.prefix) {
                // The group goes last: it is how the tenant that was left is known when this is repeated.
                self.items.expire(left, thing, deadline).await?;
                self.registry.leave_group(&thing.name, other, deadline).await?;
                tracing::info!(thing = thing.name, tenant, left, "a thing left a tenant");
            }
        }
        Ok(())
    }

    /// Puts a thing into the billing group of its tenant. A thing is in one at most; that of somebody else stays.
    async fn change_billing_group(
        &self,
        own: Option<(&str, &str)>,
        thing: &Thing,
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        match thing.billing_group.as_deref() {
            present if present == own.map(|(_, group)| group) => return Ok(()),
            Some(other) if !other.starts_with(&self.prefix) => {
                if own.is_some() {
                    tracing::warn!(thing = thing.name, other, "the thing is billed to a group of somebody else");
                }
                return Ok(());
            }
            Some(other) => self.registry.leave_billing_group(&thing.name, other, deadline).await?,
            None => {}
        }
        let Some((tenant, group)) = own else { return Ok(()) };
        self.registry.join_billing_group(&thing.name, group, tenant, deadline).await
    }
}

#[async_trait]
impl Function for Tagger {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event = Event::parse(event)?;
        if let Some((tenant, thing_id)) = event.deleted() {
            self.items.expire_gone(tenant, &event.thing_name, thing_id, context.deadline).await?;
        }
        let outcome = self.settle(&event.thing_name, context.deadline).await?;
        tracing::debug!(
            request_id = %context.request_id,
            thing = %event.thing_name,
            operation = %event.operation,
            version = event.version_number,
            ?outcome,
            "event handled"
        );
        let name = match outcome {
            Outcome::Tagged => "tagged",
            Outcome::LeftAlone => "left-alone",
            Outcome::Gone => "gone",
        };
        Ok(serde_json::to_vec(&serde_json::json!({ "outcome": name })).expect("texts are valid JSON"))
    }
}
