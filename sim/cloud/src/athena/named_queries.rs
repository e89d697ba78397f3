//! Named queries: statements that are kept for people.

use serde::Deserialize;
use serde_json::json;

use super::wire::{GetNamedQuery, List, page, parse};
use super::{Athena, engine, invalid};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::trace::Level;

/// A named query.
#[derive(Clone, Debug)]
pub(super) struct NamedQuery {
    id: String,
    workgroup: String,
    properties: Properties,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    name: Option<String>,
    description: Option<String>,
    database: String,
    query_string: String,
    work_group: Option<String>,
}

impl NamedQuery {
    /// Whether the query is kept in a workgroup.
    pub(super) fn belongs_to(&self, workgroup: &str) -> bool {
        self.workgroup == workgroup
    }
}

impl Athena {
    /// Deletes a named query: by its id, because several may have one name, such as while one is replaced.
    pub(super) fn delete_named_query(&mut self, id: &str) {
        self.named_queries.retain(|query| query.id != id);
    }

    /// Creates `AWS::Athena::NamedQuery`. `Ref` is the name. A statement that does not parse is refused, which AWS does
    /// not do: it could never run.
    pub(super) fn provision_named_query(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        let workgroup = self.workgroup(properties.work_group.as_deref())?.name.clone();
        let limit = cx.limits.get("athena", "query_string");
        if properties.query_string.is_empty() || properties.query_string.len() as u64 > limit {
            return Err(resource.refuse(format!("QueryString holds 1 to {limit} bytes")));
        }
        if properties.database.is_empty() || properties.database.len() > 255 {
            return Err(resource.refuse("Database holds 1 to 255 characters"));
        }
        engine::parse(&properties.query_string).map_err(|text| resource.refuse(text))?;
        let id = cx.uuid();
        cx.meter.call("athena", "CreateNamedQuery", Outcome::Ok);
        let name = properties.name.clone().unwrap_or_else(|| resource.logical_id.clone());
        cx.trace.event(Level::Call, cx.now, "athena", "CreateNamedQuery", &name, &[("id", id.as_str().into())]);
        let properties = Properties { name: Some(name.clone()), ..properties };
        self.named_queries.push(NamedQuery { id: id.clone(), workgroup, properties });
        Ok(Provisioned::new(name).attribute("NamedQueryId", id))
    }

    /// The workgroup of a named query.
    pub(super) fn workgroup_of_named(&self, id: &str) -> Option<&str> {
        self.named_queries.iter().find(|query| query.id == id).map(|query| query.workgroup.as_str())
    }

    pub(super) fn get_named_query(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: GetNamedQuery = parse(body)?;
        let id = request.named_query_id;
        let query = self.named_queries.iter().find(|query| query.id == id);
        let query = query.ok_or_else(|| invalid(format!("NamedQuery {id} was not found")))?;
        let mut out = json!({
            "NamedQueryId": query.id,
            "Name": query.properties.name,
            "Database": query.properties.database,
            "QueryString": query.properties.query_string,
            "WorkGroup": query.workgroup,
        });
        if let Some(description) = &query.properties.description {
            out["Description"] = description.as_str().into();
        }
        Ok(json!({ "NamedQuery": out }).to_string().into_bytes())
    }

    pub(super) fn list_named_queries(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: List = parse(body)?;
        let workgroup = &self.workgroup(request.work_group.as_deref())?.name;
        let all: Vec<&str> = self
            .named_queries
            .iter()
            .filter(|query| query.workgroup == *workgroup)
            .map(|query| query.id.as_str())
            .collect();
        let (some, next) = page(&all, request.next_token.as_deref(), request.max_results, 50)?;
        let mut out = json!({ "NamedQueryIds": some });
        if let Some(next) = next {
            out["NextToken"] = next.into();
        }
        Ok(out.to_string().into_bytes())
    }
}
