//! Amazon Athena: SQL over the tables of the Glue Data Catalog whose files lie in S3.
//!
//! Modelled: `StartQueryExecution`, `GetQueryExecution`, `BatchGetQueryExecution`, `GetQueryResults`,
//! `StopQueryExecution`, `ListQueryExecutions`, `GetWorkGroup`, `ListWorkGroups`, `GetNamedQuery`,
//! `ListNamedQueries`; `AWS::Athena::WorkGroup` and `AWS::Athena::NamedQuery`; states from QUEUED to their end in
//! simulated time; workgroup settings; the limit of active queries and the rates of calls; results as CSV in S3; scanned
//! bytes.
//!
//! Partly modelled: SQL is SELECT, and INSERT INTO of all columns of a Parquet table, in Trino's dialect, run by DataFusion
//! under an allow list of constructs and functions; the files of an INSERT appear when it ends, one for each partition;
//! tables are Parquet or OpenX JSON, unpartitioned or with partition projection (date, enum, integer); queue and run
//! time are assumptions; a query reads its data at the moment it begins to run.
//!
//! Refused: DDL, CTAS and UNLOAD; parameters of queries and prepared statements; result reuse; client-side encryption
//! of results; partitions in the catalog; projection of type injected; writing workgroups and named queries
//! through the API. `{id}.csv.metadata` is not written.

mod change;
mod engine;
mod executions;
mod failure;
mod functions;
mod lake;
mod named_queries;
mod permit;
mod results;
mod run;
mod wire;
mod workgroups;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::core::ports::{Catalog, Objects};
use super::core::{AwsError, Cx, Outcome, Provisioned, Resource, TokenBucket};
use executions::Query;
use lake::Footers;
use named_queries::NamedQuery;
use workgroups::WorkGroup;

/// The Athena service.
pub struct Athena {
    workgroups: BTreeMap<String, WorkGroup>,
    named_queries: Vec<NamedQuery>,
    /// In the order of submission; a wake-up's token names its index.
    queries: Vec<Query>,
    by_id: BTreeMap<String, usize>,
    /// Client request tokens: what was asked, and the query that was started for it.
    tokens: BTreeMap<String, (u64, usize)>,
    /// Queries that are queued or running.
    active: u64,
    rates: BTreeMap<&'static str, TokenBucket>,
    footers: Footers,
}

/// What a wake-up is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A queued query begins to run.
    Begin,
    /// A running query ends.
    End,
}

/// The operations that are modelled, each with the quota of its rate.
const OPERATIONS: &[(&str, Option<&str>)] = &[
    ("StartQueryExecution", Some("start_query_execution")),
    ("StopQueryExecution", Some("stop_query_execution")),
    ("GetQueryExecution", Some("get_query_execution")),
    ("BatchGetQueryExecution", Some("batch_get_query_execution")),
    ("GetQueryResults", Some("get_query_results")),
    ("ListQueryExecutions", Some("list_query_executions")),
    ("GetNamedQuery", Some("named_query_apis")),
    ("ListNamedQueries", Some("named_query_apis")),
    // No rate of these is published.
    ("GetWorkGroup", None),
    ("ListWorkGroups", None),
];

/// Operations that AWS has and this service refuses.
const NOT_MODELLED: &[&str] = &[
    "GetQueryRuntimeStatistics",
    "CreateWorkGroup",
    "UpdateWorkGroup",
    "DeleteWorkGroup",
    "CreateNamedQuery",
    "UpdateNamedQuery",
    "DeleteNamedQuery",
    "BatchGetNamedQuery",
    "CreatePreparedStatement",
    "GetPreparedStatement",
    "BatchGetPreparedStatement",
    "UpdatePreparedStatement",
    "DeletePreparedStatement",
    "ListPreparedStatements",
    "ListDatabases",
    "GetDatabase",
    "ListTableMetadata",
    "GetTableMetadata",
    "CreateDataCatalog",
    "GetDataCatalog",
    "UpdateDataCatalog",
    "DeleteDataCatalog",
    "ListDataCatalogs",
    "ListEngineVersions",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "CreateNotebook",
    "ListNotebookMetadata",
    "StartSession",
    "GetSession",
    "ListSessions",
    "TerminateSession",
    "StartCalculationExecution",
    "GetCalculationExecution",
    "CreateCapacityReservation",
    "GetCapacityReservation",
    "ListCapacityReservations",
];

impl Default for Athena {
    fn default() -> Self {
        Athena::new()
    }
}

impl Athena {
    /// An account's Athena, with the workgroup `primary`.
    pub fn new() -> Self {
        Athena {
            workgroups: BTreeMap::from([("primary".to_owned(), WorkGroup::primary())]),
            named_queries: Vec::new(),
            queries: Vec::new(),
            by_id: BTreeMap::new(),
            tokens: BTreeMap::new(),
            active: 0,
            rates: BTreeMap::new(),
            footers: Footers::default(),
        }
    }

    /// Answers one call of the JSON API. The catalog is read when a query runs, not when it is submitted.
    pub fn call(
        &mut self,
        cx: &mut Cx<'_>,
        _catalog: &mut dyn Catalog,
        objects: &mut dyn Objects,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        let Some((name, rate)) = OPERATIONS.iter().find(|(name, _)| *name == operation) else {
            return Err(if NOT_MODELLED.contains(&operation) {
                AwsError::not_modelled(format!("athena {operation}"))
            } else {
                AwsError::unknown_operation(operation)
            });
        };
        let allowed = self.take_rate(cx, *rate).and_then(|()| self.permit(cx, name, body));
        let result = allowed.and_then(|()| self.dispatch(cx, objects, name, body));
        cx.meter.call("athena", name, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn dispatch(
        &mut self,
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        match operation {
            "StartQueryExecution" => self.start_query_execution(cx, objects, body),
            "StopQueryExecution" => self.stop_query_execution(cx, body),
            "GetQueryExecution" => self.get_query_execution(cx, body),
            "BatchGetQueryExecution" => self.batch_get_query_execution(cx, body),
            "GetQueryResults" => self.get_query_results(cx, objects, body),
            "ListQueryExecutions" => self.list_query_executions(body),
            "GetNamedQuery" => self.get_named_query(body),
            "ListNamedQueries" => self.list_named_queries(body),
            "GetWorkGroup" => self.get_work_group(body),
            _ => self.list_work_groups(body),
        }
    }

    /// Takes one token of a rate. The code of the refusal is that of AWS's request throttling; the burst of
    /// `StartQueryExecution` is a multiple of its rate, other bursts are taken for one second's worth (unverified).
    fn take_rate(&mut self, cx: &Cx<'_>, rate: Option<&'static str>) -> Result<(), AwsError> {
        let Some(rate) = rate else { return Ok(()) };
        let bucket = self.rates.entry(rate).or_insert_with(|| {
            let per_second = cx.limits.get("athena", rate);
            let burst = if rate == "start_query_execution" { cx.limits.get("athena", "start_query_burst") } else { 1 };
            TokenBucket::new(per_second * burst, per_second, cx.now).scaled(cx.limits.scale("athena"))
        });
        if bucket.try_take(cx.now, 1) {
            return Ok(());
        }
        Err(AwsError::new("ThrottlingException", "Rate exceeded"))
    }

    /// Creates `AWS::Athena::WorkGroup` or `AWS::Athena::NamedQuery`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        match resource.kind.as_str() {
            "AWS::Athena::WorkGroup" => self.provision_workgroup(cx, resource),
            "AWS::Athena::NamedQuery" => self.provision_named_query(cx, resource),
            _ => Err(resource.refuse("this resource type is not modelled")),
        }
    }
}

/// A refusal of a request.
fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}
