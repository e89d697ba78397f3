//! `AWS::Lambda::EventSourceMapping` of a Kinesis stream: its settings, and their creation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::destination::Destination;
use super::event::EventTemplate;
use super::filter::Filters;
use super::function::FunctionInfo;
use super::versions::Target;
use crate::core::ports::StartingPosition;
use crate::core::{AwsError, Cx, Principal, Resource};
use world::time::Time;

/// How long a change of a mapping is in progress. AWS may take a minute: an assumption. What changes acts at once, but for
/// the first read, which comes at the end of this time.
const TRANSITION: Duration = Duration::from_secs(1);

/// What is known of a shard of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shard {
    /// A poller reads it.
    Reading,
    /// All its records are processed, or none of them is to be.
    Finished,
}

/// Whether a mapping reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Enabled,
    Disabled,
    /// A batch that was in flight when the mapping was deleted still ends.
    Deleted,
}

/// An event source mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    pub uuid: String,
    pub arn: String,
    /// Name of the function.
    pub function: String,
    /// The version or the alias of it that is invoked.
    pub qualifier: Option<String>,
    pub function_arn: String,
    pub source_arn: String,
    /// Name of the stream.
    pub stream: Arc<str>,
    pub start: StartingPosition,
    /// Most records of a batch.
    pub batch_size: usize,
    /// How long a batch may gather.
    pub window: Duration,
    /// Whether the function says from where a batch comes again.
    pub reports_item_failures: bool,
    /// Lanes of each shard.
    pub lanes: usize,
    /// Whether a batch whose function fails is split.
    pub bisects: bool,
    /// How often a batch is delivered again at most.
    pub retries_max: Option<u64>,
    /// Records that arrived longer ago are given up.
    pub age_max: Option<Duration>,
    /// Who is told of what is given up.
    pub on_failure: Option<Destination>,
    /// Which records reach the function.
    pub filters: Option<Filters>,
    pub state: State,
    /// The state that is shown until an instant, while a change is in progress.
    pub transition: (&'static str, Time),
    /// The members that decide all this, as they were given.
    pub settings: Value,
    pub last_modified: Time,
    pub last_result: &'static str,
    /// Most bytes of an event, and of an answer.
    pub payload_max: usize,
    /// Who reads the stream: the function's role.
    pub reader: Principal,
    pub template: EventTemplate,
    /// The shards that were ever found.
    pub shards: BTreeMap<Arc<str>, Shard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Properties {
    pub event_source_arn: String,
    pub function_name: String,
    starting_position: Option<String>,
    starting_position_timestamp: Option<f64>,
    batch_size: Option<u64>,
    #[serde(rename = "MaximumBatchingWindowInSeconds")]
    window_s: Option<u64>,
    #[serde(default)]
    function_response_types: Vec<String>,
    enabled: Option<bool>,
    parallelization_factor: Option<u64>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    tumbling_window_in_seconds: Option<u64>,
    destination_config: Option<DestinationConfig>,
    filter_criteria: Option<FilterCriteria>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DestinationConfig {
    on_failure: Option<OnFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FilterCriteria {
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    pattern: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OnFailure {
    destination: Option<String>,
}

impl Mapping {
    /// What it invokes.
    pub fn target(&self) -> Target {
        Target { function: self.function.clone(), qualifier: self.qualifier.clone() }
    }

    /// The state as the API shows it; nothing when the mapping is gone.
    pub fn shown_state(&self, now: Time) -> Option<&'static str> {
        match (self.transition, self.state) {
            ((transition, until), _) if now < until => Some(transition),
            (_, State::Enabled) => Some("Enabled"),
            (_, State::Disabled) => Some("Disabled"),
            (_, State::Deleted) => None,
        }
    }

    /// A change is in progress for a while.
    pub fn passes(&mut self, now: Time, transition: &'static str) {
        self.transition = (transition, now + TRANSITION);
        self.last_modified = now;
    }

    /// Follows the function to another role.
    pub fn set_role(&mut self, cx: &Cx<'_>, function: &FunctionInfo) {
        self.template = EventTemplate::new(&function.role_arn, &cx.account.region, &self.source_arn);
        self.reader = session(&function.role_arn, &function.name, &cx.account.id);
    }
}

impl Properties {
    /// The name of the stream that the source's ARN names.
    pub fn stream<'p>(&'p self, cx: &Cx<'_>, resource: &Resource) -> Result<&'p str, AwsError> {
        let own = cx.account.arn("kinesis", "stream/");
        let name = self.event_source_arn.strip_prefix(&own).filter(|name| !name.is_empty() && !name.contains('/'));
        name.ok_or_else(|| {
            let what = "only a Kinesis stream of this account and Region is modelled as a source";
            resource.refuse(format!("EventSourceArn is {:?}: {what}", self.event_source_arn))
        })
    }

    /// The function that `FunctionName` gives as a name or as an ARN, with a version or an alias or without.
    pub fn function(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Target, AwsError> {
        super::name_of(cx, &self.function_name).map_err(|why| resource.refuse(why))
    }

    /// The mapping of `stream` to `function`.
    pub fn create(
        self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        stream: Arc<str>,
        function: &FunctionInfo,
        qualifier: Option<String>,
    ) -> Result<Mapping, AwsError> {
        self.refuse_what_is_not_modelled(resource)?;
        let limit = |name| cx.limits.get("lambda", name);
        let batch_size = self.batch_size.unwrap_or_else(|| limit("esm_batch_size_default"));
        let window_s = self.window_s.unwrap_or(0);
        let start = self.start(resource)?;
        let lanes = self.parallelization_factor.unwrap_or(1);
        let ranges = [
            ("BatchSize", batch_size, 1, limit("esm_batch_size_max")),
            ("MaximumBatchingWindowInSeconds", window_s, 0, limit("esm_window_max")),
            ("ParallelizationFactor", lanes, 1, limit("esm_parallelization_max")),
        ];
        for (member, value, min, max) in ranges {
            if value < min || value > max {
                return Err(resource.refuse(format!("{member} is {value}; Lambda takes {min} to {max}")));
            }
        }
        let retries = ("MaximumRetryAttempts", 0, limit("esm_retry_max"));
        let age = ("MaximumRecordAgeInSeconds", limit("esm_record_age_min"), limit("esm_record_age_max"));
        let retries_max = or_for_ever(resource, self.maximum_retry_attempts, retries)?;
        let age_max = or_for_ever(resource, self.maximum_record_age_in_seconds, age)?.map(Duration::from_secs);
        let on_failure = self.on_failure(resource)?;
        let patterns: Vec<String> =
            self.filter_criteria.into_iter().flat_map(|c| c.filters).map(|f| f.pattern).collect();
        if patterns.len() as u64 > limit("esm_filters") {
            return Err(resource.refuse(format!("FilterCriteria holds at most {} filters", limit("esm_filters"))));
        }
        let filters = Filters::parse(patterns).map_err(|why| resource.refuse(why))?;
        let payload_max = usize::try_from(limit("payload_sync")).expect("a payload fits into memory");
        let uuid = cx.uuid();
        Ok(Mapping {
            arn: cx.account.arn("lambda", &format!("event-source-mapping:{uuid}")),
            uuid,
            function: function.name.clone(),
            function_arn: match &qualifier {
                Some(qualifier) => format!("{}:{qualifier}", function.arn),
                None => function.arn.clone(),
            },
            qualifier,
            template: EventTemplate::new(&function.role_arn, &cx.account.region, &self.event_source_arn),
            source_arn: self.event_source_arn,
            stream,
            start,
            batch_size: usize::try_from(batch_size).expect("at most 10,000"),
            window: Duration::from_secs(window_s),
            reports_item_failures: !self.function_response_types.is_empty(),
            lanes: usize::try_from(lanes).expect("at most 10"),
            bisects: self.bisect_batch_on_function_error == Some(true),
            retries_max,
            age_max,
            on_failure,
            filters,
            transition: ("Creating", cx.now + TRANSITION),
            settings: resource.properties.clone(),
            state: if self.enabled == Some(false) { State::Disabled } else { State::Enabled },
            last_modified: cx.now,
            last_result: "No records processed",
            payload_max,
            reader: session(&function.role_arn, &function.name, &cx.account.id),
            shards: BTreeMap::new(),
        })
    }

    fn start(&self, resource: &Resource) -> Result<StartingPosition, AwsError> {
        let timestamp = self.starting_position_timestamp;
        match (self.starting_position.as_deref(), timestamp) {
            (Some("TRIM_HORIZON"), None) => Ok(StartingPosition::TrimHorizon),
            (Some("LATEST"), None) => Ok(StartingPosition::Latest),
            (Some("AT_TIMESTAMP"), Some(seconds)) if (0.0..1e11).contains(&seconds) => {
                Ok(StartingPosition::AtTimestamp(Time::EPOCH + Duration::from_secs_f64(seconds)))
            }
            (Some("AT_TIMESTAMP"), _) => Err(resource.refuse("AT_TIMESTAMP needs a StartingPositionTimestamp")),
            (Some("TRIM_HORIZON" | "LATEST"), Some(_)) => {
                Err(resource.refuse("StartingPositionTimestamp belongs to AT_TIMESTAMP only"))
            }
            (Some(other), _) => {
                let expected = "TRIM_HORIZON, LATEST or AT_TIMESTAMP";
                Err(resource.refuse(format!("StartingPosition is {other:?}; a Kinesis stream takes {expected}")))
            }
            (None, _) => Err(resource.refuse("StartingPosition is required for a Kinesis stream")),
        }
    }

    fn on_failure(&self, resource: &Resource) -> Result<Option<Destination>, AwsError> {
        let Some(on_failure) = self.destination_config.as_ref().and_then(|config| config.on_failure.as_ref()) else {
            return Ok(None);
        };
        // An empty text takes a destination away; a member that is absent is refused as AWS refuses it.
        match on_failure.destination.as_deref() {
            Some("") => Ok(None),
            Some(arn) => Destination::parse(arn).map(Some).map_err(|why| resource.refuse(why)),
            None => Err(resource.refuse("The Destination field is required for an OnFailure configuration.")),
        }
    }

    fn refuse_what_is_not_modelled(&self, resource: &Resource) -> Result<(), AwsError> {
        if self.function_response_types.iter().any(|kind| kind != "ReportBatchItemFailures") {
            return Err(resource.refuse("FunctionResponseTypes takes ReportBatchItemFailures only"));
        }
        if self.function_response_types.len() > 1 {
            return Err(resource.refuse("FunctionResponseTypes holds at most one entry"));
        }
        let set = [("TumblingWindowInSeconds", self.tumbling_window_in_seconds.is_some_and(|n| n != 0))];
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(resource.refuse(format!("{name} is not modelled"))),
            None => Ok(()),
        }
    }
}

/// A number within its range, or -1 for ever, which is the default.
fn or_for_ever(
    resource: &Resource,
    given: Option<i64>,
    (member, min, max): (&str, u64, u64),
) -> Result<Option<u64>, AwsError> {
    match given {
        None | Some(-1) => Ok(None),
        Some(n) => match u64::try_from(n) {
            Ok(n) if (min..=max).contains(&n) => Ok(Some(n)),
            _ => Err(resource.refuse(format!("{member} is {n}; Lambda takes -1, or {min} to {max}"))),
        },
    }
}

/// The session in which a function acts in its role.
pub(super) fn session(role_arn: &str, function: &str, account: &str) -> Principal {
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    Principal::new(format!("arn:aws:sts::{account}:assumed-role/{role}/{function}"))
}
