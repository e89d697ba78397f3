//! What the function does when it is called by the schedule.

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::query::{Failure, Queries};
use super::schedule;
use super::statement;
use crate::calendar::datehour;
use crate::calls::{Clock, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::{scheduled, settings};

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "curation";

/// Environment variable with the database of the lake.
pub const DATABASE: &str = "DATABASE";
/// Environment variable with the workgroup of the statements. It has a location for results.
pub const WORKGROUP: &str = "WORKGROUP";

/// Environment variable with the hours for which the streams keep readings, and may deliver them again.
pub const STREAM_RETENTION_HOURS: &str = "STREAM_RETENTION_HOURS";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 3] = [DATABASE, WORKGROUP, STREAM_RETENTION_HOURS];

/// The curation function.
#[derive(Debug)]
pub struct Curation {
    queries: Queries,
    database: String,
    retention_h: u32,
}

impl Curation {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let database = environment.require(DATABASE)?;
        let workgroup = environment.require(WORKGROUP)?;
        let retention_h = environment.require_number(STREAM_RETENTION_HOURS, settings::STREAM_RETENTION_HOURS)?;
        let clock = Clock::new(config)?;
        let config = client_config(config);
        let queries = Queries::new(crate::client::of!(aws_sdk_athena, &config), database, workgroup, clock);
        Ok(Curation { queries, database: database.to_owned(), retention_h })
    }
}

#[async_trait]
impl Function for Curation {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let scheduled = scheduled::time(event)?;
        let (mut curated, mut failure) = (Vec::new(), None);
        for hour in schedule::hours(scheduled) {
            let name = format!("{} {} {scheduled}", self.database, datehour(hour));
            let statement = statement::curate(hour, self.retention_h);
            // One at a time: each sees what those before it have written. An hour whose statement has failed does not hold
            // up the others; one whose statement may go on does, because two at a time would not see each other's rows.
            match self.queries.run(&name, &statement, context.deadline).await {
                Ok(()) => curated.push(datehour(hour)),
                Err(Failure { error, may_go_on }) => {
                    tracing::warn!(hour = datehour(hour), %error, may_go_on, "the hour is not curated");
                    failure.get_or_insert(error);
                    if may_go_on {
                        break;
                    }
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(serde_json::to_vec(&serde_json::json!({ "curated": curated })).expect("texts are valid JSON")),
        }
    }
}
