//! The calls of enrolment: repeated while their failure may pass, and at a pace below what AWS takes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;

use super::error::EnrolError;
use crate::calls::{CallError, Clock, client, client_config};
use crate::ingest::iot_core::claim_policy_name;
use crate::naming::Naming;
use crate::settings::Settings;

/// What AWS answers when something is not there.
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";
/// What AWS answers when something of that name is there, and is not the same.
pub(super) const EXISTS: &str = "ResourceAlreadyExistsException";

/// Longest time for a call with all its repetitions.
const PATIENCE: Duration = Duration::from_secs(120);

/// Calls a second that AWS takes of an account, where Regions differ the least of them (IoT endpoints and quotas). Other
/// operations are not called often.
const RATES: [(&str, u32); 9] = [
    ("CreateThing", 50),
    ("RegisterCertificateWithoutCA", 10),
    ("UpdateCertificate", 10),
    ("AttachPolicy", 15),
    ("AttachThingPrincipal", 50),
    ("DescribeThing", 100),
    ("ListThings", 10),
    ("ListThingGroups", 10),
    // A thing is looked at twice by the device tagger, and its groups once.
    ("Settle", 40),
];
/// Of operations that are not listed.
const OTHER_RATE: u32 = 10;
/// The share of AWS's rate that is used, in percent: others work in the account too.
const SHARE: u32 = 80;

/// Clients, clock and pace.
#[derive(Debug)]
pub(super) struct Api {
    pub iot: aws_sdk_iot::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub clock: Clock,
    sts: aws_sdk_sts::Client,
    /// When the next call of an operation may begin.
    next: Mutex<BTreeMap<&'static str, SystemTime>>,
}

impl Api {
    pub fn new(config: &SdkConfig) -> Result<Self, EnrolError> {
        let clock = Clock::new(config)?;
        let config = client_config(config);
        Ok(Api {
            iot: client!(aws_sdk_iot, &config),
            dynamodb: client!(aws_sdk_dynamodb, &config),
            sts: client!(aws_sdk_sts, &config),
            clock,
            next: Mutex::default(),
        })
    }

    /// Makes a call in its turn, again and again while its failure may pass.
    pub async fn call<T, E, C>(&self, operation: &'static str, call: impl FnMut() -> C) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        C: Future<Output = Result<T, SdkError<E>>>,
    {
        self.turn(operation).await;
        self.clock.call_again(self.clock.now() + PATIENCE, call).await
    }

    /// Waits for the turn of an operation.
    pub async fn turn(&self, operation: &'static str) {
        let rate = RATES.iter().find(|(name, _)| *name == operation).map_or(OTHER_RATE, |(_, rate)| *rate);
        let gap = Duration::from_secs(100) / (rate * SHARE);
        let now = self.clock.now();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let next = next.entry(operation).or_insert(now);
            let turn = now.max(*next);
            *next = turn + gap;
            turn
        };
        let wait = turn.duration_since(now).unwrap_or_default();
        if !wait.is_zero() {
            self.clock.pause(wait, turn + PATIENCE).await;
        }
    }

    /// Checks that the environment is there, and in the account of the settings. Answers the start of the ARNs of its
    /// registry: `arn:aws:iot:eu-west-1:123456789012:`.
    pub async fn environment(&self, settings: &Settings) -> Result<String, EnrolError> {
        if let Some(expected) = &settings.account {
            let call = || self.sts.get_caller_identity().send();
            let caller = self.call("GetCallerIdentity", call).await;
            let caller = caller.map_err(EnrolError::call("finding out whose the credentials are"))?;
            let found = caller.account().unwrap_or_default();
            if found != expected {
                return Err(EnrolError::WrongAccount { expected: expected.clone(), found: found.to_owned() });
            }
        }
        let policy = device_policy(settings);
        match self.call("GetPolicy", || self.iot.get_policy().policy_name(&policy).send()).await {
            Ok(found) => {
                let arn = found.policy_arn().unwrap_or_default();
                Ok(arn.split("policy/").next().unwrap_or_default().to_owned())
            }
            Err(error) if error.is(NOT_FOUND) => {
                Err(EnrolError::NotDeployed { policy, region: settings.region.clone() })
            }
            Err(error) => Err(EnrolError::call(format!("reading the policy {policy}"))(error)),
        }
    }
}

/// Name of the policy of devices.
pub(super) fn device_policy(settings: &Settings) -> String {
    Naming::new(settings).name("device")
}

/// Name of the policy of claims.
pub(super) fn claim_policy(settings: &Settings) -> String {
    claim_policy_name(Naming::new(settings))
}
