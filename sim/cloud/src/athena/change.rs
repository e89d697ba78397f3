//! Changes and deletions of workgroups and named queries.

use serde_json::Value;

use super::Athena;
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Athena {
    /// Changes a workgroup. A named query is only ever replaced.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        match resource.kind.as_str() {
            "AWS::Athena::WorkGroup" => self.update_workgroup(cx, resource, physical_id),
            _ => Err(resource.refuse("changing this resource type in place is not modelled")),
        }
    }

    /// Deletes a workgroup with its history, or a named query, whose `physical_id` here is its id (`NamedQueryId`).
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        match resource.kind.as_str() {
            "AWS::Athena::WorkGroup" => self.delete_workgroup(cx, resource, physical_id),
            "AWS::Athena::NamedQuery" => {
                self.delete_named_query(physical_id);
                cx.meter.call("athena", "DeleteNamedQuery", Outcome::Ok);
                Ok(())
            }
            _ => Err(resource.refuse("this resource type is not modelled")),
        }
    }
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

    fn workgroup(state: &str, recursive: bool) -> Resource {
        let properties = json!({"Name": "analytics", "State": state, "RecursiveDeleteOption": recursive});
        resource("AWS::Athena::WorkGroup", properties)
    }

    fn query(statement: &str) -> Resource {
        let properties = json!({
            "Name": "count", "Database": "lake", "WorkGroup": "analytics", "QueryString": statement,
        });
        resource("AWS::Athena::NamedQuery", properties)
    }

    #[test]
    fn a_workgroup_with_queries_is_deleted_only_recursively() {
        let mut athena = Athena::new();
        act(|cx| {
            athena.provision(cx, &workgroup("ENABLED", false)).unwrap();
            athena.provision(cx, &query("SELECT 1")).unwrap();
            athena.update(cx, &workgroup("DISABLED", false), "analytics", &Value::Null).unwrap();
            assert!(!athena.workgroup(Some("analytics")).unwrap().enabled);
            let error = athena.delete(cx, &workgroup("DISABLED", false), "analytics").unwrap_err();
            assert!(error.message.contains("not empty"), "{error}");
            athena.delete(cx, &workgroup("DISABLED", true), "analytics").unwrap();
            assert!(athena.workgroup(Some("analytics")).is_err() && athena.named_queries.is_empty());
        });
    }

    #[test]
    fn of_two_equal_queries_the_one_with_the_id_is_deleted() {
        let mut athena = Athena::new();
        act(|cx| {
            athena.provision(cx, &workgroup("ENABLED", false)).unwrap();
            let first = athena.provision(cx, &query("SELECT 1")).unwrap();
            let second = athena.provision(cx, &query("SELECT 1")).unwrap();
            let (first, second) = (&first.attributes["NamedQueryId"], &second.attributes["NamedQueryId"]);
            athena.delete(cx, &query("SELECT 1"), second).unwrap();
            athena.delete(cx, &query("SELECT 1"), second).unwrap();
            assert!(athena.workgroup_of_named(second).is_none());
            assert_eq!(athena.workgroup_of_named(first), Some("analytics"));
        });
    }
}
