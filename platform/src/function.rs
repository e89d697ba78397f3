//! Functions: what Lambda invokes, whatever drives them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_types::SdkConfig;

use crate::cross_cutting::cost_monitoring;
use crate::ingest::device_registry::tagger;
use crate::ingest::iot_core::claims;
use crate::store::data_lake::curation;
use crate::transform::{anomaly_detection, enrichment};

/// A function, ready to be invoked any number of times. One value serves one execution environment; what it keeps
/// between invocations is a cache and nothing else.
#[async_trait]
pub trait Function: Send + Sync {
    /// Handles one event, given as JSON, and answers JSON.
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError>;
}

/// What an invocation is told beside its event.
#[derive(Clone, Debug)]
pub struct InvocationContext {
    /// Id of the invocation.
    pub request_id: String,
    /// When the invocation will be ended by force.
    pub deadline: SystemTime,
    /// Takes the function's metrics.
    pub metrics: Arc<dyn MetricSink>,
}

/// Takes metrics. On AWS they are lines on standard output, which CloudWatch Logs turns into metrics.
pub trait MetricSink: fmt::Debug + Send + Sync {
    /// Takes one line in the Embedded Metric Format, without its line end.
    fn put(&self, line: &str);
}

/// An invocation that failed as a whole: its event is delivered again.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The event is not what the function's event source sends: a misconfigured trigger.
    #[error("the event is not what the function's event source sends: {0}")]
    Event(String),
    /// The device directory did not answer.
    #[error("the device directory did not answer: {0}")]
    Directory(String),
    /// The registry of AWS IoT did not answer, or refused.
    #[error("the registry of things did not do it: {0}")]
    Registry(String),
    /// The detectors' state cannot be read.
    #[error("the state of the detectors cannot be read: {0}")]
    State(String),
    /// A statement failed, or did not end in time.
    #[error("a statement did not succeed: {0}")]
    Query(String),
    /// Costs were not told.
    #[error("the costs are not known: {0}")]
    Costs(String),
}

impl FunctionError {
    /// Kind of the error, as Lambda reports it.
    pub fn kind(&self) -> &'static str {
        match self {
            FunctionError::Event(_) => "Event",
            FunctionError::Directory(_) => "Directory",
            FunctionError::Registry(_) => "Registry",
            FunctionError::State(_) => "State",
            FunctionError::Query(_) => "Query",
            FunctionError::Costs(_) => "Costs",
        }
    }
}

/// A function that cannot be built from its configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No function has this name.
    #[error("there is no function {name:?}; the functions are: {}", HANDLERS.join(", "))]
    UnknownHandler {
        /// The name.
        name: String,
    },
    /// An environment variable is absent or empty.
    #[error("the environment variable {name} is not set; the function's stack sets it")]
    MissingVariable {
        /// The variable.
        name: &'static str,
    },
    /// An environment variable is no number of its range.
    #[error("the environment variable {name} is {found:?}, expected {expected}; the function's stack sets it")]
    InvalidVariable {
        /// The variable.
        name: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// The SDK configuration lacks a part.
    #[error("the SDK configuration has no {part}; set it on the configuration that is handed in")]
    MissingPart {
        /// The part.
        part: &'static str,
    },
}

/// A function's environment variables.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// These variables.
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Environment(variables)
    }

    /// The value of a variable that must be there.
    pub fn require(&self, name: &'static str) -> Result<&str, ConfigError> {
        let value = self.0.get(name).map(String::as_str).filter(|value| !value.is_empty());
        value.ok_or(ConfigError::MissingVariable { name })
    }

    /// The value of a variable that must be a number of `range`.
    pub fn require_number(&self, name: &'static str, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
        let found = self.require(name)?;
        let number = found.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let expected = format!("{} to {}", range.start(), range.end());
            ConfigError::InvalidVariable { name, found: found.to_owned(), expected }
        })
    }
}

/// Names of all functions, as in the property `Handler` of their stacks.
pub const HANDLERS: [&str; 6] = [
    tagger::HANDLER,
    enrichment::HANDLER,
    anomaly_detection::HANDLER,
    curation::HANDLER,
    cost_monitoring::HANDLER,
    claims::HANDLER,
];

/// Builds the function with this name. Its clients, its clock and its sleeps come from `config`.
pub fn build(handler: &str, config: &SdkConfig, environment: &Environment) -> Result<Box<dyn Function>, ConfigError> {
    match handler {
        tagger::HANDLER => Ok(Box::new(tagger::Tagger::new(config, environment)?)),
        enrichment::HANDLER => Ok(Box::new(enrichment::Enrichment::new(config, environment)?)),
        anomaly_detection::HANDLER => Ok(Box::new(anomaly_detection::AnomalyDetection::new(config, environment)?)),
        curation::HANDLER => Ok(Box::new(curation::Curation::new(config, environment)?)),
        claims::HANDLER => Ok(Box::new(claims::ProvisioningHook::new(config, environment)?)),
        cost_monitoring::HANDLER => Ok(Box::new(cost_monitoring::CostExplorer::new(config, environment)?)),
        name => Err(ConfigError::UnknownHandler { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_function_is_refused_with_the_names_of_all() {
        let config = SdkConfig::builder().build();
        let error = build("enrich", &config, &Environment::default()).err().expect("there is no such function");
        let expected = "there is no function \"enrich\"; the functions are: device_tagger, enrichment, anomaly_detection, \
                        curation, cost_explorer, provisioning_hook";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_missing_variable_and_a_missing_part_are_named() {
        let config = SdkConfig::builder().build();
        let variables: [&[&str]; 6] = [
            &tagger::VARIABLES,
            &enrichment::VARIABLES,
            &anomaly_detection::VARIABLES,
            &curation::VARIABLES,
            &cost_monitoring::VARIABLES,
            &claims::VARIABLES,
        ];
        for (handler, variables) in HANDLERS.into_iter().zip(variables) {
            let values: BTreeMap<String, String> =
                variables.iter().map(|name| ((*name).to_owned(), "24".to_owned())).collect();
            for absent in variables {
                let mut values = values.clone();
                values.remove(*absent);
                let error = build(handler, &config, &Environment::new(values)).err().expect("one is not set");
                assert!(error.to_string().contains(absent), "{handler}: {error}");
            }
            let error = build(handler, &config, &Environment::new(values)).err().expect("no clock is set");
            assert!(matches!(error, ConfigError::MissingPart { .. }), "{handler}: {error}");
        }
    }

    #[test]
    fn a_retention_that_no_stream_has_is_refused() {
        let config = SdkConfig::builder().build();
        for (handler, variables, retention) in [
            (tagger::HANDLER, &tagger::VARIABLES[..], tagger::STREAM_RETENTION_HOURS),
            (curation::HANDLER, &curation::VARIABLES[..], curation::STREAM_RETENTION_HOURS),
        ] {
            for found in ["23", "8761", "-24", "1 day"] {
                let value = |name: &str| if name == retention { found } else { "x" };
                let values = variables.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect();
                let error = build(handler, &config, &Environment::new(values)).err().expect("it is refused");
                let expected = "24 to 8760".to_owned();
                let found = found.to_owned();
                assert_eq!(error, ConfigError::InvalidVariable { name: retention, found, expected }, "{handler}");
            }
        }
    }
}
