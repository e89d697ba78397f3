//! What the function does with a batch: check, join, convert, keep what is refused, write the rest.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::cache::Known;
use super::directory::{Directory, Unit};
use super::quarantine::Quarantine;
use super::reading::Reading;
use super::rejection::{Reason, Rejection};
use super::schema::{AHEAD, AHEAD_AFTER_MS, Enriched, LATE, LATE_AFTER_MS, Metrics, UNIT_UNDECLARED};
use super::writer::{Outgoing, Writer};
use crate::calls::{Clock, client, client_config};
use crate::function::{ConfigError, Environment, Function, FunctionError, InvocationContext};
use crate::transform::batch::{Answer, Event};

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "enrichment";

/// Environment variable with the table of the device directory.
pub(super) const DIRECTORY_TABLE: &str = "DIRECTORY_TABLE";
/// Environment variable with the stream that is written to.
pub(super) const ENRICHED_STREAM: &str = "ENRICHED_STREAM";
/// Environment variable with the bucket of the quarantine.
pub(super) const QUARANTINE_BUCKET: &str = "QUARANTINE_BUCKET";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 3] = [DIRECTORY_TABLE, ENRICHED_STREAM, QUARANTINE_BUCKET];

/// Kept free before the deadline for the quarantine when something is left for it after the readings are written.
const QUARANTINE_TIME: Duration = Duration::from_secs(3);

/// So long a reading of a device that the directory does not know waits in its stream, with all that is behind it in its
/// shard. A device may only publish when the registry names its tenant, so the device tagger is about to write its item: at
/// once, or at its second or third attempt, which Lambda makes after one and two minutes more.
pub(super) const UNKNOWN_WAITS: Duration = Duration::from_secs(4 * 60);

/// The enrichment function.
#[derive(Debug)]
pub struct Enrichment {
    clock: Clock,
    directory: Directory,
    quarantine: Quarantine,
    writer: Writer,
}

/// The readings of a batch, sorted into valid and refused ones.
struct Sorted<'a> {
    /// (position in the batch, reading), by position.
    valid: Vec<(usize, Reading<'a>)>,
    /// (position in the batch, why), by position.
    refused: Vec<(usize, Rejection)>,
}

impl Enrichment {
    /// The function with clients of `config`. Each client retries as the SDK's standard mode does.
    pub fn new(config: &SdkConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let table = environment.require(DIRECTORY_TABLE)?;
        let stream = environment.require(ENRICHED_STREAM)?;
        let bucket = environment.require(QUARANTINE_BUCKET)?;
        let clock = Clock::new(config)?;
        let config = client_config(config);
        Ok(Enrichment {
            directory: Directory::new(client!(aws_sdk_dynamodb, &config), table, clock.clone()),
            quarantine: Quarantine::new(client!(aws_sdk_s3, &config), bucket, clock.clone()),
            writer: Writer::new(client!(aws_sdk_kinesis, &config), stream, clock.clone()),
            clock,
        })
    }

    /// The position of the first reading whose device is not in the directory yet, and may still come: it waits in the stream
    /// with all that is behind it.
    fn held(&self, valid: &[(usize, Reading<'_>)], numbered: &[usize], known: &[Known]) -> Option<usize> {
        let now_ms = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let waits = |reading: &Reading<'_>| {
            let received_ms = u128::try_from(reading.received_at).unwrap_or(0);
            now_ms.saturating_sub(received_ms) < UNKNOWN_WAITS.as_millis()
        };
        let mut unknown = valid.iter().zip(numbered).filter(|(_, device)| known[**device].is_none());
        unknown.find(|((_, reading), _)| waits(reading)).map(|((position, _), _)| *position)
    }

    /// Writes the readings of `device_count` devices and keeps what is refused, both by their positions. Answers from
    /// where the batch must come again: everything before it is safe.
    ///
    /// Readings go first, then what is refused before the first reading that could not be written: what comes again
    /// anyway is not kept now, so a stream that fails, which happens whenever a shard is throttled, doubles nothing in
    /// the quarantine. What is refused at the very beginning goes before the readings. That is how a batch begins that
    /// comes again because the quarantine failed, so its readings, written the last time, are doubled once and not at
    /// every attempt while the quarantine is out of reach.
    async fn store(
        &self,
        event: &Event<'_>,
        outgoing: &[Outgoing<'_>],
        device_count: usize,
        refused: &[(usize, Rejection)],
        deadline: SystemTime,
    ) -> Option<usize> {
        let first_reading = outgoing.first().map_or(event.records.len(), |reading| reading.position);
        let (leading, rest) = refused.split_at(refused.partition_point(|(position, _)| *position < first_reading));
        if !self.quarantine.keep(event, leading, deadline).await {
            return Some(leading[0].0);
        }
        let write_until = if rest.is_empty() { deadline } else { deadline - QUARANTINE_TIME };
        let unwritten = self.writer.write(outgoing, device_count, write_until).await;
        let safe = unwritten.unwrap_or(event.records.len());
        let rest = &rest[..rest.partition_point(|(position, _)| *position < safe)];
        if self.quarantine.keep(event, rest, deadline).await { unwritten } else { Some(rest[0].0) }
    }
}

#[async_trait]
impl Function for Enrichment {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event = Event::parse(event)?;
        let payloads = event.payloads()?;
        let Sorted { valid, mut refused } = sort(payloads.iter());
        let (devices, numbered) = number_devices(&valid);
        let known = self.directory.resolve(&devices, context.deadline).await?;
        let mut outgoing = Vec::with_capacity(valid.len());
        for ((position, reading), device) in valid.iter().zip(&numbered) {
            match enrich(reading, &known[*device]) {
                Ok(data) => {
                    let device = *device;
                    outgoing.push(Outgoing { position: *position, device, key: reading.device_id.as_ref(), data });
                }
                Err(rejection) => refused.push((*position, rejection)),
            }
        }
        refused.sort_by_key(|(position, _)| *position);
        let held = self.held(&valid, &numbered, &known);
        if let Some(held) = held {
            outgoing.retain(|reading| reading.position < held);
            refused.retain(|(position, _)| *position < held);
        }
        let again_from = self.store(&event, &outgoing, devices.len(), &refused, context.deadline).await.or(held);
        tracing::debug!(
            request_id = %context.request_id,
            shard = event.shard_id(),
            records = event.records.len(),
            refused = refused.len(),
            ?again_from,
            "batch handled"
        );
        Ok(match again_from {
            None => Answer::done().to_json(),
            Some(position) => Answer::again_from(&event.records[position].kinesis.sequence_number).to_json(),
        })
    }
}

/// Parses and checks every record.
fn sort<'p>(payloads: impl Iterator<Item = &'p [u8]>) -> Sorted<'p> {
    let mut sorted = Sorted { valid: Vec::with_capacity(payloads.size_hint().0), refused: Vec::new() };
    for (position, payload) in payloads.enumerate() {
        match Reading::parse(payload) {
            Ok(reading) => sorted.valid.push((position, reading)),
            Err(rejection) => sorted.refused.push((position, rejection)),
        }
    }
    sorted
}

/// The devices (tenant, device) of the readings in the order of their first reading, and each reading's device by its
/// index there.
fn number_devices<'r>(valid: &'r [(usize, Reading<'_>)]) -> (Vec<(&'r str, &'r str)>, Vec<usize>) {
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut devices = Vec::new();
    let number = |(_, reading): &'r (usize, Reading<'_>)| {
        let device = (reading.tenant_id.as_ref(), reading.device_id.as_ref());
        *numbers.entry(device).or_insert_with(|| {
            devices.push(device);
            devices.len() - 1
        })
    };
    let numbered = valid.iter().map(number).collect();
    (devices, numbered)
}

/// The enriched reading as JSON.
fn enrich(reading: &Reading<'_>, known: &Known) -> Result<Vec<u8>, Rejection> {
    let Some(device) = known else {
        let detail = format!("the directory has no device {:?} of tenant {:?}", reading.device_id, reading.tenant_id);
        return Err(Rejection::new(Reason::UnknownDevice, detail));
    };
    let mut flags = Vec::new();
    let mut metrics = Vec::with_capacity(reading.metrics.0.len());
    let mut undeclared = false;
    for (name, value) in &reading.metrics.0 {
        let canonical = match device.unit(name) {
            Some(Unit::Known(conversion)) => conversion.apply(*value),
            Some(Unit::Unknown(unit)) => {
                return Err(Rejection::new(Reason::UnknownUnit, format!("metric {name:?} is in {unit:?}")));
            }
            None => {
                undeclared = true;
                *value
            }
        };
        if !canonical.is_finite() {
            let detail = format!("metric {name:?} is {value}, which is too large in canonical units");
            return Err(Rejection::new(Reason::MetricNotFinite, detail));
        }
        metrics.push((name.as_ref(), canonical));
    }
    let behind_ms = reading.received_at.saturating_sub(reading.ts);
    if behind_ms > LATE_AFTER_MS {
        flags.push(LATE);
    }
    if behind_ms < -AHEAD_AFTER_MS {
        flags.push(AHEAD);
    }
    if undeclared {
        flags.push(UNIT_UNDECLARED);
    }
    let enriched = Enriched {
        tenant_id: &reading.tenant_id,
        device_id: &reading.device_id,
        device_type: &device.device_type,
        seq: reading.seq,
        ts: reading.ts,
        received_at: reading.received_at,
        recorded_at: reading.recorded_at.as_ref().map(|text| text.0.as_ref()),
        metrics: Metrics(&metrics),
        flags: &flags,
    };
    let mut data = Vec::with_capacity(256 + 32 * metrics.len());
    serde_json::to_writer(&mut data, &enriched).expect("texts and finite numbers are written to memory");
    Ok(data)
}
