//! Who may do what: the policies of the caller, the policy of the bucket, and the key of the data.
//!
//! A caller who may not list a bucket does not learn that an object is absent: it is refused instead.

use std::sync::Arc;

use super::state::State;
use crate::core::access::{Access, Ask, KeyUse, ResourcePolicy, is_denial, key_refused};
use crate::core::policy::Document;
use crate::core::{AwsError, Cx, Outcome, Principal};

/// What an operation must be allowed.
#[derive(Clone, Debug)]
pub(super) struct Need<'a> {
    pub action: &'static str,
    /// Empty for actions on no bucket.
    pub bucket: &'a str,
    /// Empty for actions on the bucket.
    pub key: &'a str,
    /// Condition keys.
    pub context: Vec<(&'static str, &'a str)>,
    /// The operation of KMS by which the data is written or read.
    pub of_kms: Option<&'static str>,
}

impl<'a> Need<'a> {
    pub(super) fn account(action: &'static str) -> Self {
        Need::bucket(action, "")
    }

    pub(super) fn bucket(action: &'static str, bucket: &'a str) -> Self {
        Need::object(action, bucket, "")
    }

    pub(super) fn object(action: &'static str, bucket: &'a str, key: &'a str) -> Self {
        Need { action, bucket, key, context: Vec::new(), of_kms: None }
    }

    /// Reads an object, its data included.
    pub(super) fn read(bucket: &'a str, key: &'a str) -> Self {
        Need { of_kms: Some("Decrypt"), ..Need::object("s3:GetObject", bucket, key) }
    }

    /// Writes an object.
    pub(super) fn write(bucket: &'a str, key: &'a str) -> Self {
        Need { of_kms: Some("GenerateDataKey"), ..Need::object("s3:PutObject", bucket, key) }
    }

    /// Lists the keys below a prefix.
    pub(super) fn list(bucket: &'a str, prefix: &'a str) -> Self {
        Need::bucket("s3:ListBucket", bucket).with("s3:prefix", prefix)
    }

    #[must_use]
    pub(super) fn with(mut self, key: &'static str, value: &'a str) -> Self {
        self.context.push((key, value));
        self
    }

    fn resource(&self) -> String {
        match (self.bucket, self.key) {
            ("", _) => "*".to_owned(),
            (bucket, "") => format!("arn:aws:s3:::{bucket}"),
            (bucket, key) => format!("arn:aws:s3:::{bucket}/{key}"),
        }
    }
}

/// Who calls, and what is known of permissions. It stands in the state while a call is answered, because `s3s` cannot carry
/// a [`Cx`].
pub(super) struct Gate {
    pub caller: Principal,
    access: Access,
    /// Calls of KMS that were made.
    of_kms: Vec<(&'static str, Outcome)>,
    /// Refusals: action, resource, error.
    refused: Vec<(&'static str, String, AwsError)>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { caller: Principal::new(""), access: Access::unenforced(), of_kms: Vec::new(), refused: Vec::new() }
    }
}

impl Gate {
    /// Takes what the call's context knows.
    pub(super) fn enter(&mut self, cx: &mut Cx<'_>) {
        self.caller = cx.caller.clone();
        self.access = std::mem::take(cx.access);
    }

    /// Gives it back, and reports what was found.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>) {
        *cx.access = std::mem::take(&mut self.access);
        for (operation, outcome) in self.of_kms.drain(..) {
            cx.meter.call("kms", operation, outcome);
        }
        for (action, resource, error) in self.refused.drain(..) {
            cx.denied(action, &resource, &error);
        }
    }
}

impl State {
    /// Whether the caller may do everything that is needed. What is about a bucket that does not exist is not refused: the
    /// operation itself says so.
    pub(super) fn permit(&mut self, needs: &[Need<'_>]) -> Result<(), AwsError> {
        needs.iter().try_for_each(|need| {
            self.permit_action(need)?;
            match need.of_kms {
                Some(operation) => self.use_key(need, operation),
                None => Ok(()),
            }
        })
    }

    fn permit_action(&mut self, need: &Need<'_>) -> Result<(), AwsError> {
        let policy: Option<Arc<Document>> = match (need.bucket, self.store.buckets().get(need.bucket)) {
            ("", _) => None,
            (_, None) => return Ok(()),
            (_, Some(bucket)) => bucket.policy.clone(),
        };
        let resource = need.resource();
        let Gate { caller, access, refused, .. } = &mut self.call.gate;
        let ask = Ask {
            now: self.call.now,
            account: &self.call.account,
            caller,
            action: need.action,
            resource: &resource,
            context: &need.context,
        };
        let result = access.authorize(&ask, policy.as_deref().map(ResourcePolicy::beside));
        if let Err(error) = &result {
            refused.push((need.action, resource, error.clone()));
        }
        result
    }

    /// Uses the key by which data is written to the bucket, or by which the object was written.
    fn use_key(&mut self, need: &Need<'_>, operation: &'static str) -> Result<(), AwsError> {
        let encryption = match (operation, self.store.buckets().get(need.bucket)) {
            (_, None) => None,
            ("Decrypt", Some(bucket)) => {
                bucket.object(need.key).and_then(|object| object.attributes.encryption.clone())
            }
            (_, Some(bucket)) => bucket.encryption.clone(),
        };
        let Some(encryption) = encryption else { return Ok(()) };
        let resource = match encryption.bucket_key {
            true => format!("arn:aws:s3:::{}", need.bucket),
            false => need.resource(),
        };
        let action = if operation == "Decrypt" { "kms:Decrypt" } else { "kms:GenerateDataKey" };
        let Gate { caller, access, of_kms, refused } = &mut self.call.gate;
        let ask = Ask {
            now: self.call.now,
            account: &self.call.account,
            caller,
            action,
            resource: &encryption.key,
            context: &[],
        };
        let used = KeyUse {
            action,
            key: &encryption.key,
            via: "s3",
            context: &[("kms:EncryptionContext:aws:s3:arn", &resource)],
            keeps_data_key: encryption.bucket_key,
        };
        match access.use_key(&ask, &used) {
            Ok(true) => of_kms.push((operation, Outcome::Ok)),
            Ok(false) => {}
            Err(error) => {
                of_kms.push((operation, Outcome::Error));
                let told = key_refused("s3", &error);
                if is_denial(&error) {
                    refused.push((action, encryption.key.to_string(), told.clone()));
                }
                return Err(told);
            }
        }
        Ok(())
    }

    /// The answer to a read of an absent object: only who may list the bucket learns that it is absent.
    pub(super) fn hide(&mut self, needs: &[Need<'_>], error: AwsError) -> AwsError {
        let read = needs.iter().find(|need| need.action == "s3:GetObject");
        match read {
            Some(need) if error.code == "NoSuchKey" => {
                let list = Need::bucket("s3:ListBucket", need.bucket);
                self.permit_action(&list).err().unwrap_or(error)
            }
            _ => error,
        }
    }
}
