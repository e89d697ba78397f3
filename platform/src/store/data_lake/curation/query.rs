//! Statements in Athena: started once, waited for.

use std::time::{Duration, SystemTime};

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionContext, QueryExecutionState};

use crate::calls::Clock;
use crate::digest::sha256_hex;
use crate::function::FunctionError;

/// Wait before the second look at a statement; it doubles with each one after it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between two looks.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Most attempts of one statement, in all invocations for one time of the schedule.
const ATTEMPTS_MAX: u32 = 6;

/// Runs statements in a workgroup.
#[derive(Debug)]
pub(super) struct Queries {
    client: Client,
    database: String,
    workgroup: String,
    clock: Clock,
}

/// A statement that was not seen to succeed.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: FunctionError,
    /// It was not seen to end either: it may be going on, or begin later.
    pub may_go_on: bool,
}

impl Failure {
    fn ended(text: String) -> Self {
        Failure { error: FunctionError::Query(text), may_go_on: false }
    }

    fn unknown(text: impl Into<String>) -> Self {
        Failure { error: FunctionError::Query(text.into()), may_go_on: true }
    }
}

/// How a statement ended.
enum End {
    Succeeded,
    /// It failed, for this reason; before or after the invocation began.
    Failed {
        reason: String,
        before: bool,
    },
}

impl Queries {
    pub fn new(client: Client, database: &str, workgroup: &str, clock: Clock) -> Self {
        Queries { client, database: database.to_owned(), workgroup: workgroup.to_owned(), clock }
    }

    /// Runs a statement to its end. `name` is what makes two statements the same one: invocations that run a statement of
    /// the same name share it. When it failed in an earlier invocation, it is run once more.
    pub async fn run(&self, name: &str, statement: &str, deadline: SystemTime) -> Result<(), Failure> {
        let began = self.clock.now();
        for attempt in 0..ATTEMPTS_MAX {
            let id = self.start(&token(name, attempt), statement, deadline).await?;
            match self.wait(&id, began, deadline).await? {
                End::Succeeded => return Ok(()),
                End::Failed { reason, before: true } => {
                    tracing::info!(name, id, reason, attempt, "a statement that failed before is run again");
                }
                End::Failed { reason, before: false } => {
                    return Err(Failure::ended(format!("{name}: execution {id} {reason}")));
                }
            }
        }
        Err(Failure::ended(format!("{name}: it failed {ATTEMPTS_MAX} times; the next schedule tries again")))
    }

    /// Starts a statement, or finds the one that was started with this token.
    async fn start(&self, token: &str, statement: &str, deadline: SystemTime) -> Result<String, Failure> {
        let context = QueryExecutionContext::builder().database(&self.database).build();
        let call = || {
            let start = self.client.start_query_execution().client_request_token(token).query_string(statement);
            start.query_execution_context(context.clone()).work_group(&self.workgroup).send()
        };
        let answer = self.clock.call_again(deadline, call).await;
        let answer = answer.map_err(|error| Failure::unknown(format!("StartQueryExecution: {error}")))?;
        let id = answer.query_execution_id().map(str::to_owned);
        id.ok_or_else(|| Failure::unknown("StartQueryExecution answered no id"))
    }

    /// Waits for the end of a statement.
    async fn wait(&self, id: &str, began: SystemTime, deadline: SystemTime) -> Result<End, Failure> {
        let mut wait = FIRST_WAIT;
        loop {
            let call = || self.client.get_query_execution().query_execution_id(id).send();
            let answer = self.clock.call_again(deadline, call).await;
            let answer = answer.map_err(|error| Failure::unknown(format!("GetQueryExecution: {error}")))?;
            if let Some(end) = answer.query_execution().and_then(|execution| end(execution, began)) {
                return Ok(end);
            }
            if !self.clock.pause(wait, deadline).await {
                let text = format!("execution {id} goes on; the invocation that is tried again will find it");
                return Err(Failure::unknown(text));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// How an execution ended, if it has.
fn end(execution: &QueryExecution, began: SystemTime) -> Option<End> {
    let status = execution.status()?;
    let state = status.state()?;
    match state {
        QueryExecutionState::Succeeded => Some(End::Succeeded),
        QueryExecutionState::Failed | QueryExecutionState::Cancelled => {
            let why = status.state_change_reason().unwrap_or("without a reason");
            let submitted = status.submission_date_time().and_then(|time| SystemTime::try_from(*time).ok());
            let before = submitted.is_some_and(|submitted| submitted < began);
            Some(End::Failed { reason: format!("is {}: {why}", state.as_str()), before })
        }
        _ => None,
    }
}

/// The token of an attempt: 64 characters, as Athena takes 32 to 128.
fn token(name: &str, attempt: u32) -> String {
    sha256_hex(format!("{name} {attempt}"))
}
