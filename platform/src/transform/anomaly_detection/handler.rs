//! What the function does with a batch: bring the detectors up to date, tell what they find, store them.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::attention::{Attention, Rules};
use super::reading::Reading;
use super::report::{Anomaly, Reporter, object_key};
use super::shadows::Shadows;
use super::state::{Applied, SERIES_MAX, Shard};
use super::store::{LoadError, Saved, Store};
use crate::calls::{CallError, Clock, client, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::settings;
use crate::transform::batch::{Answer, Event, Payloads};

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "anomaly_detection";

/// Environment variable with the bucket of the detectors' states.
pub const STATE_BUCKET: &str = "STATE_BUCKET";
/// Environment variable with the bucket of anomalies.
pub const ANOMALY_BUCKET: &str = "ANOMALY_BUCKET";
/// Environment variable with the ARN of the topic that is told of anomalies.
pub const ALERT_TOPIC_ARN: &str = "ALERT_TOPIC_ARN";

/// Environment variable: `off` when devices with anomalies are not asked to publish more often.
pub const ATTENTION: &str = "ATTENTION";
/// Environment variable with the shortest publish interval, in ms, that a device is asked for.
pub const ATTENTION_INTERVAL_MIN_MS: &str = "ATTENTION_INTERVAL_MIN_MS";
/// Environment variable with the seconds without an anomaly after which a device is quiet.
pub const ATTENTION_QUIET_S: &str = "ATTENTION_QUIET_S";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 6] =
    [STATE_BUCKET, ANOMALY_BUCKET, ALERT_TOPIC_ARN, ATTENTION, ATTENTION_INTERVAL_MIN_MS, ATTENTION_QUIET_S];

/// Value of [`ATTENTION`] with which no device is asked.
pub(super) const ATTENTION_OFF: &str = "off";

/// The anomaly detection function.
#[derive(Debug)]
pub struct AnomalyDetection {
    store: Store,
    reporter: Reporter,
    attention: Attention,
    clock: Clock,
}

/// What a batch did to a state.
#[derive(Debug, Default)]
struct Effect {
    /// Key of the object for what was found; nothing when every reading had been applied before.
    object: Option<String>,
    anomalies: Vec<Anomaly>,
    /// Metrics that have no detector, because there is no room.
    without_detector: usize,
}

/// What this invocation has told so far, in attempts whose state was not stored.
#[derive(Debug, Default)]
struct Told {
    object: Option<String>,
    alert: Option<String>,
}

impl AnomalyDetection {
    /// The function with clients of `config`.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let states = environment.require(STATE_BUCKET)?;
        let anomalies = environment.require(ANOMALY_BUCKET)?;
        let topic_arn = environment.require(ALERT_TOPIC_ARN)?;
        let rules = Rules {
            enabled: environment.require(ATTENTION)? != ATTENTION_OFF,
            interval_min_ms: environment.require_number(ATTENTION_INTERVAL_MIN_MS, settings::ATTENTION_MS)?.into(),
            quiet_ms: i64::from(environment.require_number(ATTENTION_QUIET_S, settings::ATTENTION_QUIET_S)?) * 1000,
        };
        let clock = Clock::new(config)?;
        let config = client_config(config);
        let s3 = client!(aws_sdk_s3, &config);
        let sns = client!(aws_sdk_sns, &config);
        Ok(AnomalyDetection {
            store: Store::new(s3.clone(), states, clock.clone()),
            reporter: Reporter::new(s3, sns, anomalies, topic_arn, clock.clone()),
            attention: Attention::new(Shadows::new(config, clock.clone()), rules, clock.clone()),
            clock,
        })
    }

    /// Applies a batch. Answers whether it is safe.
    async fn apply(
        &self,
        event: &Event<'_>,
        readings: &[(&str, Reading<'_>)],
        deadline: SystemTime,
    ) -> Result<bool, FunctionError> {
        let shard_id = event.shard_id();
        let (mut attempt, mut told) = (0, Told::default());
        let attention_until = self.attention.deadline(deadline);
        while self.clock.may_attempt(attempt, deadline).await {
            attempt += 1;
            let mut loaded = match self.store.load(shard_id, deadline).await {
                Ok(loaded) => loaded,
                Err(LoadError::Unreadable(reason)) => return Err(FunctionError::State(reason)),
                Err(LoadError::Call(error)) => return Ok(gave_up(shard_id, "read the state", &error)),
            };
            let effect = detect(&mut loaded.shard, shard_id, readings, self.attention.is_enabled());
            let Some(object) = &effect.object else {
                self.store.keep(loaded);
                return Ok(true);
            };
            if effect.without_detector > 0 {
                let metrics = effect.without_detector;
                tracing::warn!(shard_id, metrics, "there is no room for the detectors of new series");
            }
            if let Err(error) = self.tell(object, &effect.anomalies, &mut told, deadline).await {
                return Ok(gave_up(shard_id, "tell the anomalies", &error));
            }
            self.attention.attend(&mut loaded.shard, attention_until).await;
            match self.store.save(loaded, deadline).await {
                Saved::Yes => return Ok(true),
                Saved::Conflict => tracing::info!(shard_id, attempt, "another invocation has stored a state"),
                Saved::Unknown(error) => return Ok(gave_up(shard_id, "store the state", &error)),
            }
        }
        tracing::warn!(shard_id, attempt, "the batch must come again");
        Ok(false)
    }

    /// Writes the object and sends the alert of a batch with anomalies. What an earlier attempt wrote is put right.
    async fn tell(
        &self,
        object: &str,
        anomalies: &[Anomaly],
        told: &mut Told,
        deadline: SystemTime,
    ) -> Result<(), CallError> {
        if !anomalies.is_empty() || told.object.as_deref() == Some(object) {
            self.reporter.write(object, anomalies, deadline).await?;
            told.object = Some(object.to_owned());
        }
        if !anomalies.is_empty() && told.alert.as_deref() != Some(object) {
            self.reporter.alert(object, anomalies, deadline).await?;
            told.alert = Some(object.to_owned());
        }
        Ok(())
    }
}

fn gave_up(shard_id: &str, what: &str, error: &CallError) -> bool {
    tracing::warn!(shard_id, %error, "the batch must come again: the function could not {what}");
    false
}

/// Brings the detectors of a shard up to date. With `attention` devices with anomalies are to be asked.
fn detect(shard: &mut Shard, shard_id: &str, readings: &[(&str, Reading<'_>)], attention: bool) -> Effect {
    let mut effect = Effect::default();
    let mut key = String::new();
    for (sequence_number, reading) in readings {
        key.clear();
        key.extend([&reading.tenant_id, "#", reading.device_id.as_ref()]);
        let before = effect.anomalies.len();
        let anomalies = &mut effect.anomalies;
        let applied = shard.apply(&key, sequence_number, reading, SERIES_MAX, |metric, value, detector| {
            let assessment = detector.next(reading.at_ms(), value);
            if let Some(kind) = assessment.kind {
                let found = (kind, &assessment);
                anomalies.push(Anomaly::new(reading, metric, value, found, (shard_id, sequence_number)));
            }
        });
        if let Applied::Now { without_detector } = applied {
            shard.asked.seen(&key);
            if attention && effect.anomalies.len() > before {
                shard.asked.unusual(&key, reading.received_at);
            }
            effect.without_detector += without_detector;
            effect.object.get_or_insert_with(|| object_key(shard_id, sequence_number, reading.received_at));
        }
    }
    effect
}

/// The readings of a batch with their sequence numbers. What is no reading is told and passed over: it would be none
/// the next time either.
fn parse<'a>(event: &'a Event<'_>, payloads: &'a Payloads) -> Vec<(&'a str, Reading<'a>)> {
    let mut readings = Vec::with_capacity(event.records.len());
    for (record, payload) in event.records.iter().zip(payloads.iter()) {
        let sequence_number = record.kinesis.sequence_number.as_ref();
        match Reading::parse(payload) {
            Ok(reading) => readings.push((sequence_number, reading)),
            Err(reason) => {
                tracing::warn!(shard_id = event.shard_id(), sequence_number, reason, "a record is no reading");
            }
        }
    }
    readings
}

#[async_trait]
impl Function for AnomalyDetection {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event = Event::parse(event)?;
        let payloads = event.payloads()?;
        let readings = parse(&event, &payloads);
        let safe = readings.is_empty() || self.apply(&event, &readings, context.deadline).await?;
        tracing::debug!(
            request_id = %context.request_id,
            shard = event.shard_id(),
            records = event.records.len(),
            readings = readings.len(),
            safe,
            "batch handled"
        );
        Ok(match event.records.first() {
            Some(first) if !safe => Answer::again_from(&first.kinesis.sequence_number).to_json(),
            _ => Answer::done().to_json(),
        })
    }
}
