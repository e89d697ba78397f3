//! Tenants: a thing group and a billing group each, as the device tagger makes them too.

use aws_sdk_iot::types::Tag;
use aws_types::SdkConfig;

use super::api::{Api, EXISTS, NOT_FOUND};
use super::claims;
use super::error::EnrolError;
use crate::calls::CallError;
use crate::ingest::device_registry::tagger::TENANT_TAG;
use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE, group_prefix, names};
use crate::naming::Naming;
use crate::settings::Settings;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Name of its thing group and of its billing group.
    pub group: String,
}

/// A device, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name.
    pub name: String,
    /// Tenant.
    pub tenant: String,
    /// What kind of device it is.
    pub device_type: Option<String>,
    /// Version of the thing.
    pub version: i64,
}

impl Tenant {
    /// The tenant with this name, whether it is there or not.
    pub(super) fn named(settings: &Settings, name: &str) -> Result<Self, EnrolError> {
        let group = format!("{}{name}", group_prefix(Naming::new(settings)));
        if names::is_tenant(name) {
            Ok(Tenant { name: name.to_owned(), group })
        } else {
            Err(EnrolError::TenantName { found: name.to_owned() })
        }
    }

    /// Whether it is there.
    pub(super) async fn exists(&self, api: &Api) -> Result<bool, EnrolError> {
        let describe = || api.iot.describe_thing_group().thing_group_name(&self.group).send();
        match api.call("DescribeThingGroup", describe).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(NOT_FOUND) => Ok(false),
            Err(error) => Err(EnrolError::call(format!("looking for the thing group {}", self.group))(error)),
        }
    }
}

/// Adds a tenant: its groups, unless they are there. Answers whether it is new.
pub async fn add(config: &SdkConfig, settings: &Settings, name: &str) -> Result<bool, EnrolError> {
    let tenant = Tenant::named(settings, name)?;
    let api = Api::new(config)?;
    api.environment(settings).await?;
    let is_there = tenant.exists(&api).await?;
    // The billing group first: the thing group is what says that a tenant is there.
    let tag = Tag::builder().key(TENANT_TAG).value(name).build().expect("a key is set");
    let create = || api.iot.create_billing_group().billing_group_name(&tenant.group).tags(tag.clone()).send();
    made(api.call("CreateBillingGroup", create).await, "billing group", &tenant)?;
    let create = || api.iot.create_thing_group().thing_group_name(&tenant.group).send();
    made(api.call("CreateThingGroup", create).await, "thing group", &tenant)?;
    Ok(!is_there)
}

/// A group that is there already is as good as one that was made.
fn made<T>(answer: Result<T, CallError>, what: &str, tenant: &Tenant) -> Result<(), EnrolError> {
    match answer {
        Err(error) if !error.is(EXISTS) => Err(EnrolError::call(format!("making the {what} {}", tenant.group))(error)),
        _ => Ok(()),
    }
}

/// All tenants, by name.
pub async fn list(config: &SdkConfig, settings: &Settings) -> Result<Vec<Tenant>, EnrolError> {
    let api = Api::new(config)?;
    api.environment(settings).await?;
    let prefix = group_prefix(Naming::new(settings));
    let (mut found, mut token) = (Vec::new(), None::<String>);
    loop {
        let list = || api.iot.list_thing_groups().name_prefix_filter(&prefix).set_next_token(token.clone()).send();
        let page = api.call("ListThingGroups", list).await;
        let page = page.map_err(EnrolError::call("listing the thing groups"))?;
        let groups = page.thing_groups().iter().filter_map(|group| group.group_name());
        found.extend(groups.filter_map(|group| {
            let name = group.strip_prefix(&prefix)?.to_owned();
            Some(Tenant { name, group: group.to_owned() })
        }));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes a tenant that has no devices: its claims end, its groups go. One that is not there is removed already.
pub async fn remove(config: &SdkConfig, settings: &Settings, name: &str) -> Result<(), EnrolError> {
    let tenant = Tenant::named(settings, name)?;
    let api = Api::new(config)?;
    let arns = api.environment(settings).await?;
    if let Some(device) = devices_of(&api, Some(name), 1).await?.pop() {
        return Err(EnrolError::HasDevices { tenant: tenant.name, device: device.name });
    }
    // With a claim a device could still register itself.
    claims::end_all(&api, settings, &arns, name).await?;
    let delete = || api.iot.delete_thing_group().thing_group_name(&tenant.group).send();
    gone(api.call("DeleteThingGroup", delete).await.map(drop), &tenant)?;
    let delete = || api.iot.delete_billing_group().billing_group_name(&tenant.group).send();
    gone(api.call("DeleteBillingGroup", delete).await.map(drop), &tenant)
}

fn gone(answer: Result<(), CallError>, tenant: &Tenant) -> Result<(), EnrolError> {
    match answer {
        Err(error) if !error.is(NOT_FOUND) => {
            Err(EnrolError::call(format!("deleting the group {}", tenant.group))(error))
        }
        _ => Ok(()),
    }
}

/// The devices of a tenant, or of all.
pub async fn devices(config: &SdkConfig, settings: &Settings, tenant: Option<&str>) -> Result<Vec<Device>, EnrolError> {
    if let Some(name) = tenant {
        Tenant::named(settings, name)?;
    }
    let api = Api::new(config)?;
    api.environment(settings).await?;
    devices_of(&api, tenant, usize::MAX).await
}

/// At most `most` devices of a tenant, or of all.
pub(super) async fn devices_of(api: &Api, tenant: Option<&str>, most: usize) -> Result<Vec<Device>, EnrolError> {
    let (mut found, mut token) = (Vec::new(), None::<String>);
    while found.len() < most {
        let list = || {
            let list = api.iot.list_things().attribute_name(TENANT_ATTRIBUTE);
            list.set_attribute_value(tenant.map(str::to_owned)).set_next_token(token.clone()).send()
        };
        let page = api.call("ListThings", list).await.map_err(EnrolError::call("listing the things"))?;
        found.extend(page.things().iter().filter_map(|thing| {
            let attribute = |name: &str| thing.attributes().and_then(|all| all.get(name)).cloned();
            let (name, version) = (thing.thing_name()?.to_owned(), thing.version());
            Some(Device {
                name,
                tenant: attribute(TENANT_ATTRIBUTE)?,
                device_type: attribute(DEVICE_TYPE_ATTRIBUTE),
                version,
            })
        }));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    found.truncate(most);
    Ok(found)
}
