//! Permission to act: who may do what on which resource, and who may use which key.

use super::access::{Ask, KeyUse, ResourcePolicy, is_denial};
use super::cx::Cx;
use super::error::AwsError;
use super::meter::Outcome;
use super::policy::Document;
use world::mark;
use world::trace::Level;

/// Operations of KMS that services call on behalf of their callers.
const KEY_OPERATIONS: [&str; 6] =
    ["Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncrypt"];

/// Counter of `iam`: calls and uses of keys that were denied.
pub const DENIED: &str = "AccessDenied";

impl Cx<'_> {
    /// Whether the caller may do `action` (such as `kinesis:PutRecord`) on `resource` (an ARN, or `*` for actions that
    /// AWS grants on no resource). A refusal is AWS's AccessDenied with its text.
    pub fn authorize(&mut self, action: &str, resource: &str) -> Result<(), AwsError> {
        self.authorize_in(action, resource, &[])
    }

    /// The same, with the condition keys of the request, such as `s3:prefix`. A key with several values is given several
    /// times.
    pub fn authorize_in(&mut self, action: &str, resource: &str, context: &[(&str, &str)]) -> Result<(), AwsError> {
        self.permit(action, resource, context, None)
    }

    /// The same for a resource that has a policy of its own, such as a bucket, a topic or a function: the policy can allow
    /// what the caller's policies do not. Call `cx.access.changed()` when such a policy changes.
    pub fn authorize_on(
        &mut self,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
        policy: Option<&Document>,
    ) -> Result<(), AwsError> {
        self.permit(action, resource, context, policy.map(ResourcePolicy::beside))
    }

    fn permit(
        &mut self,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
        policy: Option<ResourcePolicy<'_>>,
    ) -> Result<(), AwsError> {
        let ask = Ask { now: self.now, account: self.account, caller: self.caller, action, resource, context };
        let result = self.access.authorize(&ask, policy);
        match &result {
            Err(error) => self.denied(action, resource, error),
            Ok(()) if self.access.is_allowed_again(&self.caller.arn, action, resource) => {
                self.trace.mark(self.now, mark::DENIED_THEN_ALLOWED, action);
            }
            Ok(()) => {}
        }
        result
    }

    /// Counts a refusal and leaves an event of it.
    pub fn denied(&mut self, action: &str, resource: &str, error: &AwsError) {
        self.meter.add("iam", DENIED, 1);
        self.access.refused(self.now, &self.caller.arn, action, resource, error);
        let fields = [
            ("principal", self.caller.arn.as_str().into()),
            ("resource", resource.into()),
            ("reason", error.message.as_str().into()),
        ];
        self.trace.event(Level::Call, self.now, "iam", "access-denied", action, &fields);
    }

    /// Whether the caller may use a customer-managed key: `action` is `kms:Decrypt`, `kms:GenerateDataKey` and so on, `key`
    /// an id, ARN or alias, and `via` the service that uses it on the caller's behalf, such as `kinesis`. The service keeps
    /// the data key for some minutes, so that not every use is a call of KMS. Errors are those of KMS: a service that has
    /// codes of its own translates them, by [`super::access::key_refused`] or by itself.
    pub fn use_key(&mut self, action: &str, key: &str, via: &str) -> Result<(), AwsError> {
        self.use_key_for(&KeyUse { action, key, via, context: &[], keeps_data_key: true })
    }

    /// The same, with an encryption context, and for services that keep no data key.
    pub fn use_key_for(&mut self, used: &KeyUse<'_>) -> Result<(), AwsError> {
        let ask = Ask {
            now: self.now,
            account: self.account,
            caller: self.caller,
            action: used.action,
            resource: used.key,
            context: used.context,
        };
        let operation = used.action.strip_prefix("kms:").unwrap_or(used.action);
        let operation = KEY_OPERATIONS.iter().find(|known| **known == operation).copied();
        match (self.access.use_key(&ask, used), operation) {
            (Ok(true), Some(operation)) => self.meter.call("kms", operation, Outcome::Ok),
            (Ok(_), _) => {}
            (Err(error), operation) => {
                if let Some(operation) = operation {
                    self.meter.call("kms", operation, Outcome::Error);
                }
                if is_denial(&error) {
                    self.denied(used.action, used.key, &error);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}
