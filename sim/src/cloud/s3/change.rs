//! Changes and deletions of CloudFormation resources.

use serde_json::Value;

use super::S3;
use crate::cloud::core::{AwsError, Cx, Provisioned, Resource};

impl S3 {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let _ = (cx, physical_id, previous);
        Err(AwsError::not_modelled(format!("changing a resource of type {}", resource.kind)))
    }

    /// Deletes a resource.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let _ = (cx, physical_id);
        Err(AwsError::not_modelled(format!("deleting a resource of type {}", resource.kind)))
    }
}
