//! The pre-provisioning hook: whether a device may register itself, and for which tenant.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use super::{CLAIM_CLIENT_PREFIX, claim_key};
use crate::calls::{Clock, client, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::ingest::device_registry::directory::{DEVICE_KEY, EXPIRES_AT, TENANT_ID};
use crate::ingest::device_registry::names;

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "provisioning_hook";

/// Environment variable with the table of the device directory.
pub const DIRECTORY_TABLE: &str = "DIRECTORY_TABLE";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 1] = [DIRECTORY_TABLE];

/// The template's parameters.
pub(in crate::ingest::iot_core) const TENANT: &str = "Tenant";
pub(in crate::ingest::iot_core) const DEVICE: &str = "Device";
pub(in crate::ingest::iot_core) const DEVICE_TYPE: &str = "DeviceType";

/// The pre-provisioning hook.
#[derive(Debug)]
pub struct ProvisioningHook {
    client: Client,
    table: String,
    clock: Clock,
}

/// What IoT Core asks (IoT Core guide, "Pre-provisioning hooks"), only what is needed of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    #[serde(borrow)]
    claim_certificate_id: Cow<'a, str>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict<'a> {
    allow_provisioning: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameter_overrides: BTreeMap<&'static str, &'a str>,
}

impl Question<'_> {
    /// Why a claim of `tenant` may not register what is asked for.
    fn refusal(&self, tenant: &str) -> Option<&'static str> {
        let parameter = |name: &str| self.parameters.get(name).map(String::as_str);
        if !names::is_tenant(tenant) {
            return Some("the claim's item names no tenant");
        }
        if parameter(TENANT).is_some_and(|asked| asked != tenant) {
            return Some("the claim is another tenant's");
        }
        if !parameter(DEVICE).is_some_and(|name| names::is_device(name) && !name.starts_with(CLAIM_CLIENT_PREFIX)) {
            return Some("no device can be called so");
        }
        if !parameter(DEVICE_TYPE).is_some_and(names::is_device_type) {
            return Some("no type of device can be called so");
        }
        None
    }
}

impl ProvisioningHook {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let table = environment.require(DIRECTORY_TABLE)?.to_owned();
        let clock = Clock::new(config)?;
        let client = client!(aws_sdk_dynamodb, &client_config(config));
        Ok(ProvisioningHook { client, table, clock })
    }

    /// Whose claim a certificate is; nobody's when it is unknown or over.
    async fn tenant(&self, certificate_id: &str, deadline: SystemTime) -> Result<Option<String>, FunctionError> {
        let call = || {
            let key = AttributeValue::S(claim_key(certificate_id));
            self.client.get_item().table_name(&self.table).key(DEVICE_KEY, key).consistent_read(true).send()
        };
        let answer = self.clock.call_again(deadline, call).await;
        let answer = answer.map_err(|error| FunctionError::Directory(error.to_string()))?;
        let Some(mut item) = answer.item else { return Ok(None) };
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let ends = |value: &AttributeValue| value.as_n().ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        // DynamoDB removes what has expired some time later.
        if item.get(EXPIRES_AT).map(ends).is_some_and(|end| end <= now) {
            return Ok(None);
        }
        Ok(item.remove(TENANT_ID).and_then(|value| match value {
            AttributeValue::S(tenant) => Some(tenant),
            _ => None,
        }))
    }
}

#[async_trait]
impl Function for ProvisioningHook {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let question: Question<'_> =
            serde_json::from_slice(event).map_err(|error| FunctionError::Event(error.to_string()))?;
        let claim = question.claim_certificate_id.as_ref();
        let tenant = self.tenant(claim, context.deadline).await?;
        let refusal = tenant.as_deref().map_or(Some("the claim is not known, or over"), |t| question.refusal(t));
        match refusal {
            Some(reason) => {
                tracing::warn!(claim, reason, parameters = ?question.parameters, "a registration is refused")
            }
            None => tracing::info!(claim, tenant, parameters = ?question.parameters, "a device registers itself"),
        }
        let tenant = tenant.as_deref().filter(|_| refusal.is_none());
        let parameter_overrides = tenant.map(|tenant| (TENANT, tenant)).into_iter().collect();
        let verdict = Verdict { allow_provisioning: tenant.is_some(), parameter_overrides };
        Ok(serde_json::to_vec(&verdict).expect("texts are valid JSON"))
    }
}
