//! Who may do what in a workgroup. Catalog and objects are asked for in the caller's name when a query runs.

use serde_json::Value;

use super::Athena;
use crate::core::{AwsError, Cx};

impl Athena {
    /// Whether the caller may run an operation in the workgroups that its request is about. Ids that do not exist are
    /// refused by the operation.
    pub(super) fn permit(&self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<(), AwsError> {
        let action = format!("athena:{operation}");
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        let text = |member: &str| request[member].as_str();
        let of_query = |id: &str| self.query(id).ok().map(|query| query.workgroup.as_str());
        let workgroups: Vec<&str> = match operation {
            "ListWorkGroups" => return cx.authorize(&action, "*"),
            "BatchGetQueryExecution" => {
                let ids = request["QueryExecutionIds"].as_array().into_iter().flatten();
                ids.filter_map(|id| of_query(id.as_str()?)).collect()
            }
            "GetQueryExecution" | "GetQueryResults" | "StopQueryExecution" => {
                text("QueryExecutionId").and_then(of_query).into_iter().collect()
            }
            "GetNamedQuery" => text("NamedQueryId").and_then(|id| self.workgroup_of_named(id)).into_iter().collect(),
            _ => vec![text("WorkGroup").unwrap_or("primary")],
        };
        workgroups.iter().try_for_each(|workgroup| {
            cx.authorize(&action, &cx.account.arn("athena", &format!("workgroup/{workgroup}")))
        })
    }
}
