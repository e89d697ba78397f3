//! A reader of Athena, on the real SDK: starts queries, waits for them, and fetches what they answer.

use std::fmt;
use std::time::Duration;

use aws_sdk_athena::error::DisplayErrorContext;
use aws_sdk_athena::types::{QueryExecutionContext, QueryExecutionState};
use aws_types::SdkConfig;
use bytes::Bytes;

use super::Row;
use crate::world::clock;

/// How often a running query is asked for its state.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// A query that did not answer.
#[derive(Debug)]
pub struct QueryError(String);

impl QueryError {
    pub(super) fn new(message: String) -> Self {
        QueryError(message)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QueryError {}

/// The error of a call that failed, with all its causes.
pub(super) fn sdk(error: impl std::error::Error) -> QueryError {
    QueryError(DisplayErrorContext(error).to_string())
}

/// Reads the platform's database through one workgroup.
pub struct AthenaReader {
    athena: aws_sdk_athena::Client,
    s3: aws_sdk_s3::Client,
    workgroup: String,
    database: String,
}

impl AthenaReader {
    /// A reader of `database` through `workgroup`.
    pub fn new(config: &SdkConfig, workgroup: &str, database: &str) -> Self {
        AthenaReader {
            athena: super::client!(aws_sdk_athena, config),
            s3: super::client!(aws_sdk_s3, config),
            workgroup: workgroup.to_owned(),
            database: database.to_owned(),
        }
    }

    /// Runs a query to its end. Answers (execution id, location of the result).
    async fn execute(&self, sql: &str) -> Result<(String, String), QueryError> {
        let context = QueryExecutionContext::builder().database(&self.database).build();
        let started = self.athena.start_query_execution().query_string(sql).work_group(&self.workgroup);
        let started = started.query_execution_context(context).send().await.map_err(sdk)?;
        let id = started.query_execution_id().ok_or_else(|| QueryError("no query execution id".to_owned()))?;
        loop {
            let answer = self.athena.get_query_execution().query_execution_id(id).send().await.map_err(sdk)?;
            let execution = answer.query_execution().ok_or_else(|| QueryError(format!("query {id} is unknown")))?;
            let status = execution.status();
            match status.and_then(|status| status.state()) {
                Some(QueryExecutionState::Queued | QueryExecutionState::Running) => clock::sleep(POLL_EVERY).await,
                Some(QueryExecutionState::Succeeded) => {
                    let location = execution.result_configuration().and_then(|c| c.output_location()).unwrap_or("");
                    return Ok((id.to_owned(), location.to_owned()));
                }
                state => {
                    let reason = status.and_then(|s| s.state_change_reason()).unwrap_or("no reason given");
                    return Err(QueryError(format!("query {id} ended as {state:?}: {reason}: {sql}")));
                }
            }
        }
    }

    /// One number, through `GetQueryResults`.
    pub async fn number(&self, sql: &str) -> Result<u64, QueryError> {
        let (id, _) = self.execute(sql).await?;
        let answer = self.athena.get_query_results().query_execution_id(&id).send().await.map_err(sdk)?;
        let rows = answer.result_set().map(|set| set.rows()).unwrap_or_default();
        // The first row holds the names of the columns.
        let value = rows.get(1).and_then(|row| row.data().first()).and_then(|datum| datum.var_char_value());
        value.and_then(|v| v.parse().ok()).ok_or_else(|| QueryError(format!("no number came back from {sql}")))
    }

    /// Every row for which `condition` holds, in no order, from the result that the query leaves in S3. The result is
    /// deleted once it is read.
    pub async fn rows(&self, table: &str, condition: &str, mut each: impl FnMut(Row<'_>)) -> Result<(), QueryError> {
        let sql = format!("SELECT tenant_id, device_id, seq, ts FROM {table} WHERE {condition}");
        let (_, location) = self.execute(&sql).await?;
        let path = location.strip_prefix("s3://").and_then(|path| path.split_once('/'));
        let (bucket, key) = path.ok_or_else(|| QueryError(format!("not a location in S3: {location}")))?;
        let object = self.s3.get_object().bucket(bucket).key(key).send().await.map_err(sdk)?;
        let body = object.body.collect().await.map_err(sdk)?.into_bytes();
        parse(&body, &mut each).map_err(|why| QueryError(format!("{location}: {why}")))?;
        self.s3.delete_object().bucket(bucket).key(key).send().await.map_err(sdk)?;
        Ok(())
    }
}

fn parse(body: &Bytes, each: &mut impl FnMut(Row<'_>)) -> Result<(), String> {
    let mut reader = csv::Reader::from_reader(body.as_ref());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        let field = |index: usize| record.get(index).unwrap_or("");
        let number = |index: usize| field(index).parse().ok();
        each(Row { tenant: field(0), device: field(1), seq: number(2), ts_ms: number(3), rest: None });
    }
    Ok(())
}
