//! Changes and deletions of tables.

use serde_json::Value;

use super::DynamoDb;
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl DynamoDb {
    /// Changes a table: its encryption, deletion protection, recovery and tags. Keys and billing cannot change.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        for fixed in ["KeySchema", "AttributeDefinitions", "BillingMode", "TableClass"] {
            if resource.properties.get(fixed) != previous.get(fixed) {
                return Err(resource.refuse(format!("a change of {fixed} is not modelled")));
            }
        }
        let table = self.tables.get_mut(physical_id).ok_or_else(not_found)?;
        table.configure(resource)?;
        cx.meter.call("dynamodb", "UpdateTable", Outcome::Ok);
        Ok(Provisioned::new(physical_id).attribute("Arn", table.arn.clone()))
    }

    /// Deletes a table and its items, unless it is protected.
    pub fn delete(&mut self, cx: &mut Cx<'_>, _resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        if self.tables.get(physical_id).is_some_and(|table| table.deletion_protection) {
            let message = format!(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection \
                 first: Table {physical_id}"
            );
            // The text is unverified.
            return Err(AwsError::new("ValidationException", message));
        }
        self.tables.remove(physical_id);
        cx.meter.call("dynamodb", "DeleteTable", Outcome::Ok);
        Ok(())
    }
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "Requested resource not found")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::Principal;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::time::Time;
    use world::trace::Trace;

    fn resource(kind: &str, properties: Value) -> Resource {
        Resource { stack: "stack".to_owned(), logical_id: "It".to_owned(), kind: kind.to_owned(), properties }
    }

    fn act<T>(act: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        act(&mut parts.cx(Time::EPOCH, &caller))
    }

    fn table(protected: bool, more: Value) -> Resource {
        let mut properties = json!({
            "TableName": "devices", "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": protected,
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        });
        for (name, value) in more.as_object().expect("further properties") {
            properties[name] = value.clone();
        }
        resource("AWS::DynamoDB::Table", properties)
    }

    #[test]
    fn a_protected_table_is_deleted_only_once_protection_is_off() {
        let mut dynamodb = DynamoDb::new();
        act(|cx| {
            let protected = table(true, json!({}));
            dynamodb.provision(cx, &protected).unwrap();
            let error = dynamodb.delete(cx, &protected, "devices").unwrap_err();
            assert!(error.message.contains("protected"), "{error}");
            let open = table(false, json!({}));
            dynamodb.update(cx, &open, "devices", &protected.properties).unwrap();
            dynamodb.delete(cx, &open, "devices").unwrap();
            assert!(dynamodb.tables.is_empty());
        });
    }

    #[test]
    fn keys_are_fixed_and_encryption_is_not() {
        let mut dynamodb = DynamoDb::new();
        act(|cx| {
            let plain = table(false, json!({}));
            dynamodb.provision(cx, &plain).unwrap();
            let sse = json!({"SSESpecification": {"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": "a-key"}});
            dynamodb.update(cx, &table(false, sse), "devices", &plain.properties).unwrap();
            assert_eq!(dynamodb.tables["devices"].key.as_deref(), Some("a-key"));
            let other = table(false, json!({"KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}]}));
            let error = dynamodb.update(cx, &other, "devices", &plain.properties).unwrap_err();
            assert!(error.message.contains("KeySchema"), "{error}");
        });
    }
}
