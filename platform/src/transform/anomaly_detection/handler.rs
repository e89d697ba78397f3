//! What the function does with a batch: bring the detectors up to date, store them with what they found, tell that.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::alerts::{Alerts, Message};
use super::attention::{Attention, Rules};
use super::metrics::{self, Counts, UNREADABLE, WITHOUT_DETECTOR};
use super::outbox::Outbox;
use super::parents::Shards;
use super::reading::Reading;
use super::report::{Anomaly, Reporter};
use super::sequence::Sequence;
use super::shadows::Shadows;
use super::state::{Applied, SERIES_MAX, Shard};
use super::store::{LoadError, Loaded, Saved, Store};
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

/// Environment variable with the seconds in which a device and kind of anomaly is told by one alert.
pub const ALERT_EVERY_S: &str = "ALERT_EVERY_S";
/// Environment variable with the namespace of the metrics.
pub const METRIC_NAMESPACE: &str = "METRIC_NAMESPACE";

/// Environment variable: `off` when devices with anomalies are not asked to publish more often.
pub const ATTENTION: &str = "ATTENTION";
/// Environment variable with the shortest publish interval, in ms, that a device is asked for.
pub const ATTENTION_INTERVAL_MIN_MS: &str = "ATTENTION_INTERVAL_MIN_MS";
/// Environment variable with the seconds without an anomaly after which a device is quiet.
pub const ATTENTION_QUIET_S: &str = "ATTENTION_QUIET_S";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 8] = [
    STATE_BUCKET,
    ANOMALY_BUCKET,
    ALERT_TOPIC_ARN,
    ALERT_EVERY_S,
    METRIC_NAMESPACE,
    ATTENTION,
    ATTENTION_INTERVAL_MIN_MS,
    ATTENTION_QUIET_S,
];

/// Value of [`ATTENTION`] with which no device is asked.
pub(super) const ATTENTION_OFF: &str = "off";

/// Longest time for the messages of a batch. Where SNS fails or is slow, a batch waits so long for it and not longer.
const MESSAGES_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time for the note how far an outbox was told.
const NOTE_TIME_MAX: Duration = Duration::from_secs(5);
/// Kept free by messages before the deadline of the invocation, for that note.
const KEPT_FREE: Duration = Duration::from_secs(3);

/// The anomaly detection function.
#[derive(Debug)]
pub struct AnomalyDetection {
    store: Store,
    reporter: Reporter,
    attention: Attention,
    alert_every_ms: i64,
    namespace: String,
    clock: Clock,
}

/// A reading of a batch with its record's sequence number, as the event has it and as a number.
type Numbered<'a> = (&'a str, Sequence, Reading<'a>);

/// What a batch did to a state.
#[derive(Debug, Default)]
struct Effect<'a> {
    /// The first reading that was not applied before: sequence number and arrival. Nothing when there is none.
    first: Option<(&'a str, i64)>,
    anomalies: Vec<Anomaly>,
    alerts: Alerts,
    /// By the key of a device, how many series of it have no detector: the most of one reading.
    without_detector: BTreeMap<String, usize>,
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
        let alert_every_ms = i64::from(environment.require_number(ALERT_EVERY_S, settings::ALERT_EVERY_S)?) * 1000;
        let namespace = environment.require(METRIC_NAMESPACE)?.to_owned();
        let clock = Clock::new(config)?;
        let config = client_config(config);
        let s3 = client!(aws_sdk_s3, &config);
        let sns = client!(aws_sdk_sns, &config);
        let shards = Shards::new(client!(aws_sdk_kinesis, &config), clock.clone());
        Ok(AnomalyDetection {
            store: Store::new(s3.clone(), states, shards, clock.clone()),
            reporter: Reporter::new(s3, sns, anomalies, topic_arn, clock.clone()),
            attention: Attention::new(Shadows::new(config, clock.clone()), rules, clock.clone()),
            alert_every_ms,
            namespace,
            clock,
        })
    }

    /// Applies a batch. Answers whether it is safe.
    async fn apply(
        &self,
        event: &Event<'_>,
        readings: &[Numbered<'_>],
        context: &InvocationContext,
    ) -> Result<bool, FunctionError> {
        let (shard_id, stream, deadline) = (event.shard_id(), event.stream()?, context.deadline);
        let (mut attempt, mut attention_until) = (0, None);
        while self.clock.may_attempt(attempt, deadline).await {
            attempt += 1;
            let mut loaded = match self.store.load(stream, shard_id, deadline).await {
                Ok(loaded) => loaded,
                Err(LoadError::Unreadable(reason)) => return Err(FunctionError::State(reason)),
                Err(LoadError::Call(error)) => return Ok(gave_up(shard_id, "read the state", &error)),
            };
            let left = match self.left(&mut loaded, context).await {
                Ok(left) => left,
                Err(error) => return Ok(gave_up(shard_id, "tell what the last state has to tell", &error)),
            };
            let effect = self.detect(&mut loaded.shard, shard_id, readings);
            let Some((sequence_number, received_at)) = effect.first else {
                self.send_again(&mut loaded, context).await;
                self.store.keep(loaded);
                return Ok(true);
            };
            let first = (shard_id, sequence_number, received_at);
            loaded.shard.outbox = self.reporter.outbox(first, &effect.anomalies, &effect.alerts);
            loaded.shard.outbox.go_on_with(left);
            loaded.settled = 0;
            // The same for all attempts.
            let until = *attention_until.get_or_insert_with(|| self.attention.deadline(deadline));
            self.attention.attend(&mut loaded.shard, until).await;
            let mut loaded = match self.store.save(loaded, deadline).await {
                Saved::Yes(loaded) => *loaded,
                Saved::Conflict => {
                    tracing::info!(shard_id, attempt, "another invocation has stored a state");
                    continue;
                }
                Saved::Unknown(error) => return Ok(gave_up(shard_id, "store the state", &error)),
            };
            let series = std::mem::take(&mut loaded.left_out) + effect.without_detector.values().sum::<usize>();
            if series > 0 {
                tracing::warn!(shard_id, series, "there is no room for the detectors of new series");
                self.count(&[(WITHOUT_DETECTOR, series)], context);
            }
            if let Err(error) = self.write(&loaded.shard.outbox, context).await {
                return Ok(gave_up(shard_id, "write the anomalies", &error));
            }
            self.send(&mut loaded, context).await;
            self.note((shard_id, &loaded.shard.outbox), loaded.settled, deadline).await;
            self.store.keep(loaded);
            return Ok(true);
        }
        tracing::warn!(shard_id, attempt, "the batch must come again");
        Ok(false)
    }

    /// The messages that are left of a state's outbox and of those of parents. Nothing replaces a state before the object
    /// of its outbox was written.
    async fn left(&self, loaded: &mut Loaded, context: &InvocationContext) -> Result<Vec<Message>, CallError> {
        let mut left = Vec::new();
        for (parent, mut outbox) in std::mem::take(&mut loaded.of_parents) {
            let settled = self.resume((&parent, &outbox), context).await?;
            left.append(&mut outbox.messages.split_off(settled));
        }
        if loaded.is_found {
            loaded.settled = self.resume((&loaded.shard_id, &loaded.shard.outbox), context).await?;
            loaded.is_found = false;
        }
        left.extend_from_slice(&loaded.shard.outbox.messages[loaded.settled..]);
        Ok(left)
    }

    /// Writes the object of an outbox that was found, unless that is known to be done. Answers how many of its messages
    /// are settled.
    async fn resume(&self, of: (&str, &Outbox), context: &InvocationContext) -> Result<usize, CallError> {
        if of.1.is_empty() {
            return Ok(0);
        }
        if let Some(settled) = self.store.told(of, context.deadline).await? {
            return Ok(settled);
        }
        self.write(of.1, context).await?;
        self.note(of, 0, context.deadline).await;
        Ok(0)
    }

    /// Writes the object of an outbox, and counts what is in it.
    async fn write(&self, outbox: &Outbox, context: &InvocationContext) -> Result<(), CallError> {
        self.reporter.write(outbox, context.deadline).await?;
        self.count(&outbox.counts.named(), context);
        Ok(())
    }

    /// Sends messages of a state's outbox in their order, for [`MESSAGES_TIME_MAX`], up to the first that cannot be sent now.
    /// One that SNS refuses for good is given up.
    async fn send(&self, loaded: &mut Loaded, context: &InvocationContext) {
        let until = (context.deadline - KEPT_FREE).min(self.clock.now() + MESSAGES_TIME_MAX);
        let mut refused = Counts::default();
        while let Some(message) = loaded.shard.outbox.messages.get(loaded.settled) {
            let left = loaded.shard.outbox.messages.len() - loaded.settled;
            match self.reporter.send(message, until).await {
                Ok(()) => {}
                Err(error) if is_refused(&error) => {
                    tracing::warn!(shard_id = loaded.shard_id, %error, "SNS refuses a message for good: it is given up");
                    refused.dropped += message.alerts;
                }
                Err(error) => {
                    tracing::warn!(shard_id = loaded.shard_id, left, %error, "messages are sent with a later batch");
                    break;
                }
            }
            loaded.settled += 1;
        }
        self.count(&refused.named(), context);
    }

    /// Sends what is left of the outbox of a state that stays as it is.
    async fn send_again(&self, loaded: &mut Loaded, context: &InvocationContext) {
        let before = loaded.settled;
        self.send(loaded, context).await;
        if loaded.settled > before {
            self.note((&loaded.shard_id, &loaded.shard.outbox), loaded.settled, context.deadline).await;
        }
    }

    /// Notes how far an outbox was told. It does no harm when that fails: what is not noted is told again.
    async fn note(&self, of: (&str, &Outbox), settled: usize, deadline: SystemTime) {
        if of.1.is_empty() {
            return;
        }
        let until = deadline.min(self.clock.now() + NOTE_TIME_MAX);
        if let Err(error) = self.store.tell(of, settled, until).await {
            tracing::warn!(shard_id = of.0, %error, "the function could not note how far it told its anomalies");
        }
    }

    /// Brings the detectors of a shard up to date.
    fn detect<'a>(&self, shard: &mut Shard, shard_id: &str, readings: &[Numbered<'a>]) -> Effect<'a> {
        let mut effect = Effect::default();
        let mut key = String::new();
        for (sequence_number, sequence, reading) in readings {
            key.clear();
            key.extend([&reading.tenant_id, "#", reading.device_id.as_ref()]);
            let before = effect.anomalies.len();
            let anomalies = &mut effect.anomalies;
            let at_ms = reading.at_ms();
            let applied = shard.apply(&key, *sequence, reading, SERIES_MAX, |metric, value, detector| {
                let assessment = detector.next(at_ms, value);
                if let Some(kind) = assessment.kind {
                    let found = (kind, &assessment);
                    anomalies.push(Anomaly::new(reading, metric, value, found, (shard_id, sequence_number)));
                }
            });
            let Applied::Now { without_detector } = applied else { continue };
            if without_detector > 0 {
                let most = effect.without_detector.entry(key.clone()).or_default();
                *most = without_detector.max(*most);
            }
            effect.first.get_or_insert((sequence_number, reading.received_at));
            if self.attention.is_enabled() && effect.anomalies.len() > before {
                shard.asked.unusual(&key, reading.received_at);
            }
            for index in before..effect.anomalies.len() {
                let kind = effect.anomalies[index].kind;
                let hold = || shard.may_alert(&key, kind, reading.received_at, self.alert_every_ms);
                effect.alerts.take(&key, index, &effect.anomalies, hold);
            }
        }
        effect
    }

    /// Counts what there is to count.
    fn count(&self, counts: &[(&'static str, usize)], context: &InvocationContext) {
        if counts.iter().any(|(_, count)| *count > 0) {
            context.metrics.put(&metrics::line(counts, &self.namespace, self.clock.now()));
        }
    }
}

/// Whether SNS will never take a message: the request is wrong. That the topic, a key or a permission is missing, or that
/// the clock is wrong, is no fault of the message: it waits until that is mended.
fn is_refused(error: &CallError) -> bool {
    let elsewhere = error
        .code
        .as_deref()
        .is_some_and(|code| ["KMS", "Expired", "Signature", "Token"].iter().any(|word| code.contains(word)));
    error.is_lasting() && matches!(error.status, Some(400 | 413)) && !elsewhere
}

fn gave_up(shard_id: &str, what: &str, error: &CallError) -> bool {
    tracing::warn!(shard_id, %error, "the batch must come again: the function could not {what}");
    false
}

/// The readings of a batch with their sequence numbers. What is no reading is told and passed over: it would be none
/// the next time either.
fn parse<'a>(event: &'a Event<'_>, payloads: &'a Payloads) -> Result<Vec<Numbered<'a>>, FunctionError> {
    let mut readings = Vec::with_capacity(event.records.len());
    for (record, payload) in event.records.iter().zip(payloads.iter()) {
        let sequence_number = record.kinesis.sequence_number.as_ref();
        let Some(sequence) = Sequence::parse(sequence_number) else {
            return Err(FunctionError::Event(format!("{sequence_number:?} is no sequence number of Kinesis")));
        };
        match Reading::parse(payload) {
            Ok(reading) => readings.push((sequence_number, sequence, reading)),
            Err(reason) => {
                tracing::warn!(shard_id = event.shard_id(), sequence_number, reason, "a record is no reading");
            }
        }
    }
    Ok(readings)
}

#[async_trait]
impl Function for AnomalyDetection {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event = Event::parse(event)?;
        let payloads = event.payloads()?;
        let readings = parse(&event, &payloads)?;
        let safe = readings.is_empty() || self.apply(&event, &readings, context).await?;
        if safe {
            self.count(&[(UNREADABLE, event.records.len() - readings.len())], context);
        }
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
