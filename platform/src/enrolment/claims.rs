//! Claims of tenants: certificates with the policy of claims, and an item of the directory that says whose they are.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_iot::types::CertificateStatus;
use aws_types::SdkConfig;

use super::api::{Api, NOT_FOUND, claim_policy};
use super::error::EnrolError;
use super::tenants::Tenant;
use crate::ingest::device_registry::directory::{DEVICE_KEY, EXPIRES_AT, TENANT_ID};
use crate::ingest::device_registry::directory_table_name;
use crate::ingest::iot_core::claims::claim_key;
use crate::naming::Naming;
use crate::settings::Settings;

/// What DynamoDB answers when a condition does not hold.
const NOT_MET: &str = "ConditionalCheckFailedException";

/// A claim that was made.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Id of its certificate.
    pub certificate_id: String,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// Its private key, in PEM. AWS gives it once.
    pub private_key: String,
}

/// Makes a claim for a tenant, that ends after `lasts`. `keep` stores it before it can be used: AWS gives the private key
/// only once.
pub async fn claim(
    config: &SdkConfig,
    settings: &Settings,
    tenant: &str,
    lasts: Option<Duration>,
    keep: impl FnOnce(&Claim) -> Result<(), EnrolError>,
) -> Result<Claim, EnrolError> {
    let (api, arns) = ready(config, settings, tenant).await?;
    // Not repeated by us: each call makes another certificate.
    api.turn("CreateKeysAndCertificate").await;
    let create = api.iot.create_keys_and_certificate().set_as_active(true).send();
    let made = api.clock.call(api.clock.now() + Duration::from_secs(60), create).await;
    let made = made.map_err(EnrolError::call("making a certificate"))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let claim = Claim {
        certificate_id: text(made.certificate_id()),
        certificate_pem: text(made.certificate_pem()),
        private_key: text(made.key_pair().and_then(|pair| pair.private_key())),
    };
    keep(&claim)?;
    enrol(&api, settings, &arns, tenant, &claim.certificate_id, lasts).await?;
    Ok(claim)
}

/// Makes a certificate of the account, such as one of the maker's own CA, a claim of a tenant.
pub async fn grant(
    config: &SdkConfig,
    settings: &Settings,
    tenant: &str,
    certificate_id: &str,
    lasts: Option<Duration>,
) -> Result<(), EnrolError> {
    let (api, arns) = ready(config, settings, tenant).await?;
    enrol(&api, settings, &arns, tenant, certificate_id, lasts).await
}

async fn ready(config: &SdkConfig, settings: &Settings, tenant: &str) -> Result<(Api, String), EnrolError> {
    let tenant = Tenant::named(settings, tenant)?;
    let api = Api::new(config)?;
    let arns = api.environment(settings).await?;
    if !tenant.exists(&api).await? {
        return Err(EnrolError::NoTenant { tenants: tenant.name });
    }
    Ok((api, arns))
}

/// Says whose claim a certificate is, then lets it claim.
async fn enrol(
    api: &Api,
    settings: &Settings,
    arns: &str,
    tenant: &str,
    certificate_id: &str,
    lasts: Option<Duration>,
) -> Result<(), EnrolError> {
    let table = directory_table_name(Naming::new(settings));
    let until = lasts.map(|lasts| seconds(api.clock.now() + lasts));
    let end = match until {
        Some(_) => format!(", {EXPIRES_AT} = :until"),
        None => format!(" REMOVE {EXPIRES_AT}"),
    };
    let set = format!("SET {TENANT_ID} = :tenant{end}");
    let update = || {
        let update = api
            .dynamodb
            .update_item()
            .table_name(&table)
            .key(DEVICE_KEY, AttributeValue::S(claim_key(certificate_id)))
            .update_expression(&set)
            .condition_expression(format!("attribute_not_exists({TENANT_ID}) OR {TENANT_ID} = :tenant"))
            .expression_attribute_values(":tenant", AttributeValue::S(tenant.to_owned()));
        match &until {
            Some(until) => update.expression_attribute_values(":until", AttributeValue::N(until.clone())),
            None => update,
        }
        .send()
    };
    match api.call("UpdateItem", update).await {
        Err(error) if error.is(NOT_MET) => {
            return Err(EnrolError::OthersClaim { certificate_id: certificate_id.to_owned() });
        }
        Err(error) => return Err(EnrolError::call("writing the claim into the device directory")(error)),
        Ok(_) => {}
    }
    let (policy, target) = (claim_policy(settings), format!("{arns}cert/{certificate_id}"));
    let attach = || api.iot.attach_policy().policy_name(&policy).target(&target).send();
    let attached = api.call("AttachPolicy", attach).await;
    attached.map(drop).map_err(EnrolError::call(format!("attaching the policy {policy} to {target}")))
}

fn seconds(at: SystemTime) -> String {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string()
}

/// Ends all claims of a tenant: they are nobody's claims any more, and their certificates rest.
pub(super) async fn end_all(api: &Api, settings: &Settings, arns: &str, tenant: &str) -> Result<(), EnrolError> {
    let (policy, table) = (claim_policy(settings), directory_table_name(Naming::new(settings)));
    let (mut targets, mut marker) = (Vec::new(), None::<String>);
    loop {
        let list = || api.iot.list_targets_for_policy().policy_name(&policy).set_marker(marker.clone()).send();
        let page = api.call("ListTargetsForPolicy", list).await.map_err(EnrolError::call("listing the claims"))?;
        targets.extend(page.targets().iter().cloned());
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    let certificates = format!("{arns}cert/");
    for id in targets.iter().filter_map(|target| target.strip_prefix(&certificates)) {
        let key = AttributeValue::S(claim_key(id));
        let get =
            || api.dynamodb.get_item().table_name(&table).key(DEVICE_KEY, key.clone()).consistent_read(true).send();
        let found = api.call("GetItem", get).await.map_err(EnrolError::call("reading a claim of the directory"))?;
        if found.item().and_then(|item| item.get(TENANT_ID)?.as_s().ok()).is_none_or(|owner| owner != tenant) {
            continue;
        }
        let rest = || api.iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive).send();
        match api.call("UpdateCertificate", rest).await {
            Err(error) if !error.is(NOT_FOUND) => {
                return Err(EnrolError::call(format!("letting the claim {id} rest"))(error));
            }
            _ => {}
        }
        let delete = || api.dynamodb.delete_item().table_name(&table).key(DEVICE_KEY, key.clone()).send();
        api.call("DeleteItem", delete).await.map_err(EnrolError::call("deleting a claim of the directory"))?;
    }
    Ok(())
}
