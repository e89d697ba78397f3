//! What the function does when it is called by the schedule.

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::query::Queries;
use super::schedule::{self, Event};
use super::statement;
use crate::calendar::datehour;
use crate::calls::{Clock, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "curation";

/// Environment variable with the database of the lake.
pub const DATABASE: &str = "DATABASE";
/// Environment variable with the workgroup of the statements. It has a location for results.
pub const WORKGROUP: &str = "WORKGROUP";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 2] = [DATABASE, WORKGROUP];

/// The curation function.
#[derive(Debug)]
pub struct Curation {
    queries: Queries,
    database: String,
}

impl Curation {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let database = environment.require(DATABASE)?;
        let workgroup = environment.require(WORKGROUP)?;
        let clock = Clock::new(config)?;
        let config = client_config(config);
        let queries = Queries::new(aws_sdk_athena::Client::new(&config), database, workgroup, clock);
        Ok(Curation { queries, database: database.to_owned() })
    }
}

#[async_trait]
impl Function for Curation {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let scheduled = Event::parse(event)?;
        let (mut curated, mut failure) = (Vec::new(), None);
        for hour in schedule::hours(scheduled) {
            let name = format!("{} {} {scheduled}", self.database, datehour(hour));
            // One at a time: each sees what those before it have written. An hour that fails does not hold up the others.
            match self.queries.run(&name, &statement::curate(hour), context.deadline).await {
                Ok(()) => curated.push(datehour(hour)),
                Err(error) => {
                    tracing::warn!(hour = datehour(hour), %error, "the hour is not curated");
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(serde_json::to_vec(&serde_json::json!({ "curated": curated })).expect("texts are valid JSON")),
        }
    }
}
