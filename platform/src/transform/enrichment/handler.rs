//! What the function does with a batch: check, join, convert, keep what is refused, write the rest.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_types::SdkConfig;

use super::cache::{Absence, Entry};
use super::directory::{Device, Directory, Unit, Wanted};
use super::quarantine::Quarantine;
use super::reading::{Metric, Reading};
use super::rejection::{Reason, Rejection};
use super::schema::{AHEAD, AHEAD_AFTER_MS, Canonical, Enriched, Flags, LATE, LATE_AFTER_MS, SKEWED, UNIT_UNDECLARED};
use super::skew::skew_ms;
use super::units;
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
/// shard, unless a reading of the same device has waited in vain before. A device may only publish when the registry names its tenant, so the device tagger is about to write its item: at
/// once, or at its second or third attempt, which Lambda makes after one and two minutes more.
pub(super) const UNKNOWN_WAITS: Duration = Duration::from_secs(4 * 60);

/// The enrichment function.
#[derive(Debug)]
pub struct Enrichment {
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
            writer: Writer::new(client!(aws_sdk_kinesis, &config), stream, clock),
        })
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
        let entries = self.directory.resolve(&devices, context.deadline).await?;
        let mut outgoing = Vec::with_capacity(valid.len());
        let mut values = Vec::new();
        let mut held = None;
        for ((position, reading), device) in valid.iter().zip(&numbered) {
            let entry = match &entries[*device] {
                Entry::Known(entry) => entry,
                Entry::Absent(absence) if waits(reading, *absence) => {
                    held = Some(*position);
                    break;
                }
                Entry::Absent(_) => {
                    self.directory.give_up(&reading.tenant_id, &reading.device_id);
                    refused.push((*position, unknown_device(reading)));
                    continue;
                }
            };
            match enrich(reading, entry, &mut values) {
                Ok(data) => {
                    let device = *device;
                    outgoing.push(Outgoing { position: *position, device, key: reading.device_id.as_ref(), data });
                }
                Err(rejection) => refused.push((*position, rejection)),
            }
        }
        refused.sort_by_key(|(position, _)| *position);
        // What is behind a reading that waits comes again with it.
        refused.retain(|(position, _)| held.is_none_or(|held| *position < held));
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

/// The devices of the readings in the order of their first reading, and each reading's device by its index there.
fn number_devices<'r>(valid: &'r [(usize, Reading<'_>)]) -> (Vec<Wanted<'r>>, Vec<usize>) {
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut devices: Vec<Wanted<'r>> = Vec::new();
    let number = |(_, reading): &'r (usize, Reading<'_>)| {
        let (tenant, device) = (reading.tenant_id.as_ref(), reading.device_id.as_ref());
        let number = *numbers.entry((tenant, device)).or_insert(devices.len());
        let newest = arrival(reading);
        match devices.get_mut(number) {
            Some(wanted) => wanted.newest = wanted.newest.max(newest),
            None => devices.push(Wanted { tenant, device, newest }),
        }
        number
    };
    let numbered = valid.iter().map(number).collect();
    (devices, numbered)
}

/// When a reading arrived at the rule.
fn arrival(reading: &Reading<'_>) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(reading.received_at).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whether the item of a reading's device may still come: until a look after the whole wait has found none. What says that it
/// arrives long after it was looked for did not come through the rule, and nobody can say how long it would wait.
fn waits(reading: &Reading<'_>, absence: Absence) -> bool {
    let arrival = arrival(reading);
    !absence.given_up && absence.asked < arrival + UNKNOWN_WAITS && arrival < absence.asked + UNKNOWN_WAITS
}

fn unknown_device(reading: &Reading<'_>) -> Rejection {
    let detail = format!("the directory has no device {:?} of tenant {:?}", reading.device_id, reading.tenant_id);
    Rejection::new(Reason::UnknownDevice, detail)
}

/// The value of a metric in its canonical unit, and whether somebody declares its unit. The payload's unit wins.
fn canonical(metric: &Metric<'_>, device: &Device) -> Result<(f64, bool), Rejection> {
    let unknown = |unit: &str, says: &str| {
        let detail = format!("metric {:?} is in {unit:?}, as {says} says", metric.name);
        Rejection::new(Reason::UnknownUnit, detail)
    };
    let conversion = match (metric.unit(), device.unit(&metric.name)) {
        (Some(unit), _) => Some(units::conversion(unit).ok_or_else(|| unknown(unit, "the payload"))?),
        (None, Some(Unit::Known(conversion))) => Some(*conversion),
        (None, Some(Unit::Unknown(unit))) => return Err(unknown(unit, "the directory")),
        (None, None) => None,
    };
    let value = conversion.map_or(metric.value, |conversion| conversion.apply(metric.value));
    if !value.is_finite() {
        let detail = format!("metric {:?} is {}, which is too large in canonical units", metric.name, metric.value);
        return Err(Rejection::new(Reason::MetricNotFinite, detail));
    }
    Ok((value, conversion.is_some()))
}

/// The enriched reading as JSON: it depends on the reading and on its device's entry alone. `values` is room for numbers.
fn enrich(reading: &Reading<'_>, device: &Device, values: &mut Vec<f64>) -> Result<Vec<u8>, Rejection> {
    values.clear();
    let mut undeclared = false;
    for metric in &reading.metrics.0 {
        let (value, declared) = canonical(metric, device)?;
        values.push(value);
        undeclared |= !declared;
    }
    let Reading { ts, received_at, .. } = *reading;
    let clock_skew_ms = skew_ms(ts, reading.sent_at(), received_at);
    let event_at = ts.saturating_add(clock_skew_ms.unwrap_or(0));
    let enriched = Enriched {
        tenant_id: &reading.tenant_id,
        device_id: &reading.device_id,
        device_type: &device.device_type,
        seq: reading.seq,
        ts,
        received_at,
        event_at,
        clock_skew_ms,
        recorded_at: reading.recorded_at.as_ref().map(|text| text.0.as_ref()),
        metrics: Canonical { metrics: &reading.metrics.0, values },
        flags: Flags::of([
            (received_at.saturating_sub(event_at) > LATE_AFTER_MS, LATE),
            (ts.saturating_sub(received_at) > AHEAD_AFTER_MS, AHEAD),
            (clock_skew_ms.is_some(), SKEWED),
            (undeclared, UNIT_UNDECLARED),
        ]),
    };
    let mut data = Vec::with_capacity(320 + 32 * values.len());
    serde_json::to_writer(&mut data, &enriched).expect("texts and finite numbers are written to memory");
    Ok(data)
}
