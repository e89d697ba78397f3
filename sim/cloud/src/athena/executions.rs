//! Queries: submitting, describing, listing and stopping them.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::engine::{self, Answer, ColumnInfo};
use super::failure::Failure;
use super::run;
use super::wire::{BatchGetQueryExecution, ByQueryExecutionId, List, StartQueryExecution, page, parse};
use super::workgroups::ENGINE_VERSION;
use super::{Athena, invalid};
use crate::core::ports::Objects;
use crate::core::{AwsError, Cx, Principal};
use world::time::Time;
use world::trace::Level;

/// State of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// As AWS writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Queued => "QUEUED",
            State::Running => "RUNNING",
            State::Succeeded => "SUCCEEDED",
            State::Failed => "FAILED",
            State::Cancelled => "CANCELLED",
        }
    }

    /// Whether the query still holds a slot.
    pub(super) fn is_active(self) -> bool {
        matches!(self, State::Queued | State::Running)
    }
}

/// A query, from its submission on.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) sql: String,
    pub(super) database: String,
    catalog: Option<String>,
    has_database: bool,
    pub(super) workgroup: String,
    /// `s3://bucket/prefix/{id}.csv`.
    pub(super) output_location: String,
    /// The customer-managed key that encrypts what the query writes.
    pub(super) key: Option<String>,
    /// Who submitted it: files are read and results written in this name.
    pub(super) caller: Principal,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) failure: Option<Failure>,
    pub(super) submitted: Time,
    pub(super) started: Option<Time>,
    pub(super) completed: Option<Time>,
    pub(super) scanned_bytes: u64,
    /// Rows that an INSERT has added, once it has ended.
    pub(super) inserted: Option<u64>,
    /// Columns of the result, once there is one.
    pub(super) columns: Vec<ColumnInfo>,
    /// How the query will end, while it runs.
    pub(super) outcome: Option<Result<Option<Answer>, Failure>>,
}

impl Athena {
    /// Whether a workgroup has run queries.
    pub(super) fn has_history(&self, workgroup: &str) -> bool {
        self.queries.iter().any(|query| query.workgroup == workgroup)
    }

    pub(super) fn start_query_execution(
        &mut self,
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        let request: StartQueryExecution = parse(body)?;
        check_request(cx, &request)?;
        if let Some(known) = self.known_token(&request)? {
            return Ok(json!({ "QueryExecutionId": known }).to_string().into_bytes());
        }
        let workgroup = self.workgroup(request.work_group.as_deref())?;
        if !workgroup.enabled {
            return Err(invalid(format!("WorkGroup {} is disabled.", workgroup.name)));
        }
        let configured = workgroup.configuration.result_configuration.output_location.as_deref();
        let asked = request.result_configuration.output_location.as_deref();
        let location = if workgroup.configuration.enforced() { configured } else { asked.or(configured) };
        let configured = &workgroup.configuration.result_configuration;
        let enforced = workgroup.configuration.enforced();
        let key = if enforced { configured.key() } else { request.result_configuration.key().or(configured.key()) };
        let key = key.map(str::to_owned);
        let location = location.ok_or_else(|| {
            invalid(
                "No output location provided. An output location is required either through the Workgroup result \
                 configuration setting or as an API input.",
            )
        })?;
        let (location, workgroup) = (location.trim_end_matches('/').to_owned(), workgroup.name.clone());
        engine::parse(&request.query_string)
            .map_err(|text| invalid(text).with("AthenaErrorCode", "MALFORMED_QUERY"))?;
        if self.active >= cx.limits.get("athena", "active_dml_queries") {
            return Err(AwsError::new(
                "TooManyRequestsException",
                "You have exceeded the limit for the number of queries you can run concurrently. Please reduce the number \
                 of concurrent queries submitted by this account. Contact customer support to request a concurrent \
                 query limit increase.",
            )
            .with("Reason", "CONCURRENT_QUERY_LIMIT_EXCEEDED"));
        }
        let id = cx.uuid();
        let output_location = format!("{location}/{id}.csv");
        check_bucket(cx, objects, &output_location)?;
        let index = self.queries.len();
        if let Some(token) = &request.client_request_token {
            self.tokens.insert(token.clone(), (fingerprint(&request), index));
        }
        let context = request.query_execution_context;
        self.queries.push(Query {
            id: id.clone(),
            sql: request.query_string,
            has_database: context.database.is_some(),
            database: context.database.unwrap_or_else(|| "default".to_owned()),
            catalog: context.catalog,
            workgroup,
            output_location,
            key,
            caller: cx.caller.clone(),
            state: State::Queued,
            reason: None,
            failure: None,
            submitted: cx.now,
            started: None,
            completed: None,
            scanned_bytes: 0,
            inserted: None,
            columns: Vec::new(),
            outcome: None,
        });
        self.by_id.insert(id.clone(), index);
        self.active += 1;
        self.trace(cx, index);
        run::queue(cx, index);
        Ok(json!({ "QueryExecutionId": id }).to_string().into_bytes())
    }

    /// The query that an earlier request with the same token started.
    fn known_token(&self, request: &StartQueryExecution) -> Result<Option<&str>, AwsError> {
        let Some(token) = &request.client_request_token else { return Ok(None) };
        match self.tokens.get(token) {
            None => Ok(None),
            Some((known, index)) if *known == fingerprint(request) => Ok(Some(&self.queries[*index].id)),
            Some(_) => Err(invalid("Idempotent parameters do not match").with("AthenaErrorCode", "INVALID_INPUT")),
        }
    }

    fn index_of(&self, id: &str) -> Result<usize, AwsError> {
        let missing = || invalid(format!("QueryExecution {id} was not found")).with("AthenaErrorCode", "INVALID_INPUT");
        self.by_id.get(id).copied().ok_or_else(missing)
    }

    /// A query by its id.
    pub(super) fn query(&self, id: &str) -> Result<&Query, AwsError> {
        self.index_of(id).map(|index| &self.queries[index])
    }

    pub(super) fn stop_query_execution(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: ByQueryExecutionId = parse(body)?;
        let index = self.index_of(&request.query_execution_id)?;
        if self.queries[index].state.is_active() {
            self.end(cx, index, State::Cancelled, Some("Query cancelled by user".to_owned()));
        }
        Ok(b"{}".to_vec())
    }

    pub(super) fn get_query_execution(&self, cx: &Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: ByQueryExecutionId = parse(body)?;
        let query = self.query(&request.query_execution_id)?;
        Ok(json!({ "QueryExecution": describe(query, cx.now) }).to_string().into_bytes())
    }

    pub(super) fn batch_get_query_execution(&self, cx: &Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: BatchGetQueryExecution = parse(body)?;
        let ids = request.query_execution_ids;
        if ids.is_empty() || ids.len() > 50 {
            return Err(invalid("QueryExecutionIds holds 1 to 50 ids"));
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in &ids {
            match self.query(id) {
                Ok(query) => found.push(describe(query, cx.now)),
                Err(error) => missing.push(json!({
                    "QueryExecutionId": id, "ErrorCode": "INVALID_INPUT", "ErrorMessage": error.message,
                })),
            }
        }
        let out = json!({ "QueryExecutions": found, "UnprocessedQueryExecutionIds": missing });
        Ok(out.to_string().into_bytes())
    }

    /// The newest first.
    pub(super) fn list_query_executions(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: List = parse(body)?;
        let workgroup = &self.workgroup(request.work_group.as_deref())?.name;
        let newest = self.queries.iter().rev().filter(|query| query.workgroup == *workgroup);
        let all: Vec<&str> = newest.map(|query| query.id.as_str()).collect();
        let (some, next) = page(&all, request.next_token.as_deref(), request.max_results, 50)?;
        let mut out = json!({ "QueryExecutionIds": some });
        if let Some(next) = next {
            out["NextToken"] = next.into();
        }
        Ok(out.to_string().into_bytes())
    }

    /// Records the state of a query.
    pub(super) fn trace(&self, cx: &Cx<'_>, index: usize) {
        let query = &self.queries[index];
        let fields = [
            ("state", query.state.name().into()),
            ("sql", xxh3_64(query.sql.as_bytes()).into()),
            ("reason", query.reason.as_deref().unwrap_or("").into()),
            ("scanned_bytes", query.scanned_bytes.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "athena", "query", &query.id, &fields);
    }
}

fn check_request(cx: &Cx<'_>, request: &StartQueryExecution) -> Result<(), AwsError> {
    let limit = cx.limits.get("athena", "query_string");
    if request.query_string.is_empty() || request.query_string.len() as u64 > limit {
        return Err(invalid(format!(
            "Your query has exceeded the maximum query length of {limit} bytes, or is empty."
        )));
    }
    if request.client_request_token.as_ref().is_some_and(|token| !(32..=128).contains(&token.len())) {
        return Err(invalid("ClientRequestToken holds 32 to 128 characters"));
    }
    request.result_configuration.check()?;
    if request.result_reuse_configuration.result_reuse_by_age_configuration.as_ref().is_some_and(|reuse| reuse.enabled)
    {
        return Err(AwsError::not_modelled("athena result reuse"));
    }
    match request.query_execution_context.catalog.as_deref() {
        Some(catalog) if !catalog.eq_ignore_ascii_case("AwsDataCatalog") => {
            Err(AwsError::not_modelled(format!("athena catalog {catalog:?}")))
        }
        _ => Ok(()),
    }
}

/// What a client request token stands for.
fn fingerprint(request: &StartQueryExecution) -> u64 {
    let (context, result) = (&request.query_execution_context, &request.result_configuration.output_location);
    let text =
        format!("{:?}", (&request.query_string, &context.database, &context.catalog, result, &request.work_group));
    xxh3_64(text.as_bytes())
}

fn check_bucket(cx: &mut Cx<'_>, objects: &mut dyn Objects, location: &str) -> Result<(), AwsError> {
    let (bucket, key) = split_location(location);
    let listed = objects.list_objects(cx, bucket, key);
    listed.map(|_| ()).map_err(|_| invalid(format!("Unable to verify/create output bucket {bucket}")))
}

fn is_insert(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("INSERT"))
}

/// Bucket and key of a location in S3.
pub(super) fn split_location(location: &str) -> (&str, &str) {
    location.trim_start_matches("s3://").split_once('/').unwrap_or((location, ""))
}

fn describe(query: &Query, now: Time) -> Value {
    let mut status = json!({
        "State": query.state.name(),
        "SubmissionDateTime": query.submitted.epoch_seconds(),
    });
    if let Some(completed) = query.completed {
        status["CompletionDateTime"] = completed.epoch_seconds().into();
    }
    if let Some(reason) = &query.reason {
        status["StateChangeReason"] = reason.as_str().into();
    }
    if let Some(failure) = &query.failure {
        status["AthenaError"] = json!({
            "ErrorCategory": failure.category,
            "ErrorType": failure.error_type,
            "Retryable": false,
            "ErrorMessage": failure.reason,
        });
    }
    let mut context = json!({ "Catalog": query.catalog.as_deref().unwrap_or("awsdatacatalog") });
    if query.has_database {
        context["Database"] = query.database.as_str().into();
    }
    json!({
        "QueryExecutionId": query.id,
        "Query": query.sql,
        "StatementType": "DML",
        "SubstatementType": if is_insert(&query.sql) { "INSERT" } else { "SELECT" },
        "ResultConfiguration": { "OutputLocation": query.output_location },
        "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": false } },
        "QueryExecutionContext": context,
        "Status": status,
        "Statistics": run::statistics(query, now),
        "WorkGroup": query.workgroup,
        "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": ENGINE_VERSION },
    })
}
