//! Customer-managed keys: what they are, who may use them, and when a use costs a call of KMS.
//!
//! Services keep the data key that KMS gave them and use it again: here for five minutes for each caller, key and action
//! (Kinesis and DynamoDB state such a time; that of S3's bucket keys is not published: unverified). A key that is disabled
//! serves no longer at once, where AWS's services go on with a data key that they keep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Access, Ask, ResourcePolicy, access_denied};
use crate::core::AwsError;
use crate::core::policy::{Document, Kind};
use world::time::Time;

/// How long a service uses a data key (unverified for S3).
const DATA_KEY_LIFETIME: Duration = Duration::from_secs(300);

/// Aliases of keys that AWS manages begin with this: they need no permission and cannot be disabled.
const AWS_MANAGED: &str = "alias/aws/";

/// State of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It can be used.
    Enabled,
    /// It cannot be used.
    Disabled,
    /// It will be gone at this instant, unless its deletion is cancelled.
    PendingDeletion(Time),
}

/// A customer-managed key: symmetric, for encryption, its material from KMS.
#[derive(Clone, Debug)]
pub struct Key {
    /// Id: a UUID.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Description.
    pub description: String,
    /// When it was created.
    pub created: Time,
    /// State.
    pub state: KeyState,
    /// Its policy, read.
    pub policy: Arc<Document>,
    /// Its policy, as it was given.
    pub policy_text: Value,
    /// Days between rotations; absent while rotation is off.
    pub rotation_days: Option<u64>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The keys and aliases of the account.
#[derive(Debug, Default)]
pub struct Keys {
    /// By id.
    pub by_id: BTreeMap<String, Key>,
    /// Id of a key by its alias.
    pub aliases: BTreeMap<String, String>,
}

/// One use of a key by a service on behalf of a caller.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse<'a> {
    /// Such as `kms:Decrypt`.
    pub action: &'a str,
    /// Id, ARN or alias.
    pub key: &'a str,
    /// The service that uses it, such as `kinesis`.
    pub via: &'a str,
    /// Encryption context, each key as `kms:EncryptionContext:{key}`.
    pub context: &'a [(&'a str, &'a str)],
    /// Whether the service keeps the data key: S3 without a bucket key does not.
    pub keeps_data_key: bool,
}

/// The error for a key that does not exist.
fn missing(key: &str) -> AwsError {
    let message = match key.strip_prefix("alias/") {
        Some(_) => format!("Alias {key} is not found."),
        None if key.starts_with("arn:") => format!("Key '{key}' does not exist"),
        None => format!("Invalid keyId '{key}'"),
    };
    AwsError::new("NotFoundException", message)
}

impl Keys {
    /// The id that an id, an ARN, an alias or the ARN of an alias stands for.
    fn id_of<'k>(&'k self, key: &'k str) -> &'k str {
        let name = match key.strip_prefix("arn:aws:kms:") {
            Some(rest) => rest.splitn(3, ':').nth(2).unwrap_or(rest),
            None => key,
        };
        match self.aliases.get(name) {
            Some(id) => id,
            None => name.strip_prefix("key/").unwrap_or(name),
        }
    }

    /// A key by id, ARN, alias or the ARN of an alias. A key whose waiting time is over is gone.
    pub fn find(&self, key: &str, now: Time) -> Result<&Key, AwsError> {
        let gone = |found: &&Key| matches!(found.state, KeyState::PendingDeletion(at) if at <= now);
        self.by_id.get(self.id_of(key)).filter(|found| !gone(found)).ok_or_else(|| missing(key))
    }

    /// The same, to change it.
    pub fn find_mut(&mut self, key: &str, now: Time) -> Result<&mut Key, AwsError> {
        let id = self.find(key, now)?.id.clone();
        self.by_id.get_mut(&id).ok_or_else(|| missing(key))
    }
}

impl Key {
    /// Whether the key can be used now, as KMS says it.
    pub fn check_usable(&self) -> Result<(), AwsError> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(AwsError::new("DisabledException", format!("{} is disabled.", self.arn))),
            KeyState::PendingDeletion(_) => {
                Err(AwsError::new("KMSInvalidStateException", format!("{} is pending deletion.", self.arn)))
            }
        }
    }
}

impl Access {
    /// Whether the caller may do something to a key: the key's policy must allow it, or leave it to the account.
    pub fn authorize_key(&self, ask: &Ask<'_>, key: &str) -> Result<(), AwsError> {
        self.decide_on_key(ask, key).map(drop)
    }

    /// The same; answers whether the permission lasts.
    fn decide_on_key(&self, ask: &Ask<'_>, key: &str) -> Result<bool, AwsError> {
        let key = self.keys.find(key, ask.now)?;
        if !self.enforced {
            return Ok(true);
        }
        let ask = Ask { resource: &key.arn, ..*ask };
        let policy = ResourcePolicy { document: &key.policy, kind: Kind::Resource, must_allow: true };
        let answer = self.evaluate(&ask, Some(policy));
        match answer.decision {
            Ok(()) => Ok(answer.is_lasting),
            Err(denied) => Err(access_denied(ask.action, denied.message(&ask.caller.arn, ask.action, ask.resource))),
        }
    }

    /// Uses a key on behalf of a caller. Answers whether this took a call of KMS. `ask` names the caller; its action and
    /// resource are not looked at. Errors are those of KMS itself.
    pub fn use_key(&mut self, ask: &Ask<'_>, used: &KeyUse<'_>) -> Result<bool, AwsError> {
        if used.key.starts_with(AWS_MANAGED) || used.key.contains(":alias/aws/") {
            return Ok(false);
        }
        let session = ask.caller.session.as_deref().map_or("", super::Session::id);
        let question = [ask.caller.arn.as_str(), session, used.action, used.key, used.via];
        if let Some(until) = self.memo.data_key(question) {
            let fresh = !used.keeps_data_key || *until <= ask.now;
            if fresh {
                *until = ask.now + DATA_KEY_LIFETIME;
            }
            return Ok(fresh);
        }
        if !self.enforced && self.keys.find(used.key, ask.now).is_err() {
            return Ok(false);
        }
        let service = format!("{}.{}.amazonaws.com", used.via, ask.account.region);
        let mut context = vec![("kms:ViaService", service.as_str()), ("kms:CallerAccount", ask.account.id.as_str())];
        context.extend(used.context);
        let ask = Ask { action: used.action, resource: used.key, context: &context, ..*ask };
        let is_lasting = self.decide_on_key(&ask, used.key)?;
        self.keys.find(used.key, ask.now)?.check_usable()?;
        if is_lasting {
            self.memo.remember_data_key(question, ask.now, ask.now + DATA_KEY_LIFETIME);
        }
        Ok(true)
    }
}
