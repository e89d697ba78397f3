//! Boots the simulated account from the templates that production deploys, in the order of the stages, and registers
//! the fleet's devices as their owner would.

use std::fmt;

use platform::Settings;
use platform::cross_cutting::{logging, security};
use platform::deploy::{Artifact, Plan, artifacts};
use platform::ingest::device_registry::{self, TENANT_ATTRIBUTE, directory};
use platform::ingest::iot_core;
use platform::insights::analytics;
use platform::naming::Naming;
use platform::store::data_lake;
use platform::template::Published;
use platform::transform::anomaly_detection;
use serde_json::json;

use crate::cloud::account::Account;
use crate::cloud::cloudformation::create_stack;
use crate::cloud::core::ports::Objects as _;
use crate::cloud::core::{AwsError, Principal, Resource};
use crate::cloud::front::Credential;
use crate::cloud::iot::DeviceRegistration;
use crate::fleet::DevicePlan;
use crate::world::time::Time;

/// A template that the account refused, or a device that it did not take.
#[derive(Debug)]
pub struct BootError {
    /// What was being done: a stack's name, a device's registration.
    pub what: String,
    /// The account's answer; it names the resource.
    pub error: AwsError,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl std::error::Error for BootError {}

/// What the platform published for those who use it, read from the account's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Workgroup for queries.
    pub workgroup: String,
    /// Glue database of the lake.
    pub database: String,
    /// Bucket of processed readings.
    pub processed_bucket: String,
    /// Bucket of curated readings.
    pub curated_bucket: String,
    /// Bucket of raw readings.
    pub raw_bucket: String,
    /// Bucket of what rules could not hand over.
    pub rule_errors_bucket: String,
    /// ARN of the topic that is told of anomalies.
    pub alert_topic: String,
    /// Policy of devices' certificates.
    device_policy: String,
    /// Type of devices' things.
    thing_type: String,
    /// Table of the device directory.
    directory_table: String,
}

/// Creates every stack of the plan that follows from `settings`. `after_synth` may change a template before it is
/// deployed: tests plant their bugs there.
pub fn boot(
    account: &mut Account,
    now: Time,
    (settings, plan): (&Settings, &Plan),
    after_synth: impl Fn(&str, String) -> String,
) -> Result<Deployed, BootError> {
    for stack in &plan.stacks {
        let body = after_synth(&stack.name, stack.body.clone());
        create_stack(account, now, &stack.name, &body)
            .map_err(|error| BootError { what: format!("stage {}, stack {}", stack.stage, stack.name), error })?;
    }
    let naming = Naming::new(settings);
    let analytics = analytics::Outputs::new(naming);
    let lake = data_lake::Outputs::new(naming);
    let registry = device_registry::Outputs::new(naming);
    Ok(Deployed {
        workgroup: read(account, &analytics.workgroup_name)?,
        database: read(account, &lake.database_name)?,
        processed_bucket: read(account, &lake.processed_bucket_name)?,
        curated_bucket: read(account, &lake.curated_bucket_name)?,
        raw_bucket: read(account, &lake.raw_bucket_name)?,
        rule_errors_bucket: read(account, &logging::Outputs::new(naming).rule_errors_bucket_name)?,
        alert_topic: read(account, &anomaly_detection::Outputs::new(naming).alert_topic_arn)?,
        device_policy: read(account, &iot_core::Outputs::new(naming).device_policy_name)?,
        thing_type: read(account, &registry.thing_type_name)?,
        directory_table: read(account, &registry.directory_table_name)?,
    })
}

fn read(account: &Account, published: &Published) -> Result<String, BootError> {
    account.services.ssm.get(published.path()).map(str::to_owned).ok_or_else(|| BootError {
        what: format!("the parameter {}", published.path()),
        error: AwsError::new("ParameterNotFound", "no stack published it"),
    })
}

/// Puts the functions' packages where the plan expects them, as `platform package --upload` does. A package is a name here:
/// what runs is the code of this build.
pub fn upload_packages(account: &mut Account, now: Time, plan: &Plan) -> Result<(), BootError> {
    let failed =
        |what: &str, error: String| BootError { what: what.to_owned(), error: AwsError::new("ValidationError", error) };
    let wanted = artifacts(plan, account.id()).map_err(|error| failed("the functions' package", error.to_string()))?;
    for Artifact { bucket, key } in wanted {
        let resource = Resource {
            stack: "artifacts".to_owned(),
            logical_id: "Artifacts".to_owned(),
            kind: "AWS::S3::Bucket".to_owned(),
            properties: json!({ "BucketName": bucket }),
        };
        account
            .as_owner(now, |services, cx| {
                match services.s3.provision(cx, &resource) {
                    Err(error) if !error.code.starts_with("BucketAlready") => return Err(error),
                    _ => {}
                }
                services.s3.put_object(cx, &bucket, &key, key.clone().into_bytes().into(), "application/zip")
            })
            .map_err(|error| BootError { what: format!("the functions' package s3://{bucket}/{key}"), error })?;
    }
    Ok(())
}

/// Name of the user in whose name the oracles read.
const ORACLE: &str = "oracle";

/// Creates the user in whose name the oracles read, with a policy of what they need and no more, and answers its keys,
/// which are made known to the account.
pub fn oracle(
    account: &mut Account,
    now: Time,
    settings: &Settings,
    deployed: &Deployed,
) -> Result<Credential, BootError> {
    let naming = Naming::new(settings);
    let results = read(account, &analytics::Outputs::new(naming).results_bucket_name)?;
    let outputs = security::Outputs::new(naming);
    let keys = [&outputs.data_key_arn, &outputs.logs_key_arn].map(|key| account.services.ssm.get(key.path()));
    let keys: Vec<String> = keys.into_iter().flatten().map(str::to_owned).collect();
    let user = Resource {
        stack: "oracles".to_owned(),
        logical_id: "Oracle".to_owned(),
        kind: "AWS::IAM::User".to_owned(),
        properties: json!({ "UserName": ORACLE, "Policies": [{
            "PolicyName": "read",
            "PolicyDocument": oracle_policy(account, deployed, &results, &keys),
        }] }),
    };
    account
        .as_owner(now, |services, cx| services.iam.provision(cx, &user))
        .map_err(|error| BootError { what: "the user of the oracles".to_owned(), error })?;
    let credential = session_credential(ORACLE, &format!("arn:aws:iam::{}:user/{ORACLE}", account.id()));
    account.add_credential(credential.clone());
    Ok(credential)
}

fn oracle_policy(account: &Account, deployed: &Deployed, results: &str, keys: &[String]) -> serde_json::Value {
    let (region, id, database) = (account.region(), account.id(), &deployed.database);
    let (processed, raw, curated) = (&deployed.processed_bucket, &deployed.raw_bucket, &deployed.curated_bucket);
    let rule_errors = &deployed.rule_errors_bucket;
    let arn = |service: &str, resource: &str| format!("arn:aws:{service}:{region}:{id}:{resource}");
    let allow =
        |actions: &[&str], resources: &[String]| json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
    let bucket = |name: &str| format!("arn:aws:s3:::{name}");
    let mut statements = vec![
        allow(
            &["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"],
            &[arn("athena", &format!("workgroup/{}", deployed.workgroup))],
        ),
        allow(
            &["glue:GetTable"],
            &[
                arn("glue", "catalog"),
                arn("glue", &format!("database/{database}")),
                arn("glue", &format!("table/{database}/*")),
            ],
        ),
        allow(&["iot:GetThingShadow"], &[arn("iot", "thing/*")]),
        allow(&["s3:ListBucket"], &[&**processed, raw, rule_errors, curated, results].map(bucket)),
        allow(
            &["s3:GetObject"],
            &[
                bucket(&format!("{processed}/*")),
                bucket(&format!("{curated}/curated/*")),
                bucket(&format!("{rule_errors}/rule-errors/*")),
                bucket(&format!("{raw}/raw/*")),
                bucket(&format!("{results}/athena/*")),
            ],
        ),
        // A result is deleted once it has been read.
        allow(&["s3:PutObject", "s3:DeleteObject"], &[bucket(&format!("{results}/athena/*"))]),
    ];
    if !keys.is_empty() {
        let mut of_key = allow(&["kms:Decrypt", "kms:GenerateDataKey"], keys);
        of_key["Condition"] = json!({ "StringEquals": { "kms:ViaService": format!("s3.{region}.amazonaws.com") } });
        statements.push(of_key);
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Keys of a role's session. They are names, not secrets: nothing outside of a run can use them.
pub fn session_credential(name: &str, principal: &str) -> Credential {
    let id: String = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase() as char).collect();
    Credential {
        access_key_id: format!("ASIA{id}"),
        secret_access_key: format!("secret of {principal}"),
        session_token: Some(format!("session of {principal}")),
        expires: None,
        principal: Principal::new(principal),
    }
}

/// Registers a device: its thing and certificate in the registry, its item in the device directory.
pub fn register_device(
    account: &mut Account,
    now: Time,
    deployed: &Deployed,
    device: &DevicePlan,
) -> Result<(), BootError> {
    let registration = DeviceRegistration {
        thing_name: device.id.clone(),
        thing_type: Some(deployed.thing_type.clone()),
        attributes: [(TENANT_ATTRIBUTE.to_owned(), device.tenant.clone())].into(),
        certificate_id: device.certificate_id.clone(),
        policy_name: deployed.device_policy.clone(),
    };
    let units: serde_json::Map<String, serde_json::Value> =
        device.units.iter().map(|(metric, unit)| (metric.clone(), json!({ "S": unit }))).collect();
    let item = json!({
        "TableName": deployed.directory_table,
        "Item": {
            directory::DEVICE_KEY: { "S": directory::device_key(&device.tenant, &device.id) },
            directory::TENANT_ID: { "S": device.tenant },
            directory::DEVICE_ID: { "S": device.id },
            directory::DEVICE_TYPE: { "S": device.kind },
            directory::UNITS: { "M": units },
        },
    });
    let registered = account.as_owner(now, |services, cx| {
        services.iot.register_device(cx, &registration)?;
        services.dynamodb.call(cx, "PutItem", item.to_string().as_bytes())
    });
    registered.map(drop).map_err(|error| BootError { what: format!("registration of device {}", device.id), error })
}

/// Asks for registry events, as the account's owner does once: no template can. Done after the fleet is registered,
/// because its registration was followed by its owner; a device that joins later is followed by the platform.
pub fn enable_registry_events(account: &mut Account, now: Time) -> Result<(), BootError> {
    let enabled = account.as_owner(now, |services, cx| services.iot.enable_thing_events(cx));
    enabled.map_err(|error| BootError { what: "the registry's events".to_owned(), error })
}
