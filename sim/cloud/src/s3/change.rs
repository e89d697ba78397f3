//! Changes and deletions of CloudFormation resources.

use serde_json::Value;

use super::{S3, provision};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl S3 {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let _ = previous;
        let store = &mut self.shared.lock().store;
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::S3::Bucket" => ("PutBucketEncryption", provision::update_bucket(store, cx, resource, physical_id)?),
            "AWS::S3::BucketPolicy" => ("PutBucketPolicy", provision::bucket_policy(store, cx, resource, false)?),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("s3", operation, Outcome::Ok);
        Ok(provisioned)
    }

    /// Deletes a resource. A bucket must be empty.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let store = &mut self.shared.lock().store;
        let operation = match resource.kind.as_str() {
            "AWS::S3::Bucket" => {
                store.delete_bucket(physical_id)?;
                cx.access.changed();
                "DeleteBucket"
            }
            "AWS::S3::BucketPolicy" => {
                provision::delete_policy(store, cx, resource)?;
                "DeleteBucketPolicy"
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("s3", operation, Outcome::Ok);
        Ok(())
    }
}
