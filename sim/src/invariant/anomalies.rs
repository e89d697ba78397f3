//! A reader of the anomalies, Parquet in the lake, on the real SDK, and what they are compared with: the outliers that devices
//! published, and the rows of the table.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use aws_types::SdkConfig;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use record::ReadingId;

use super::athena::QueryError;
use super::lake::Metrics;
use super::named::Named;
use super::prefix::{Listed, Prefix};
use super::{ANOMALIES_ONCE, ANOMALIES_TOLD, Row, Violation};
use crate::fleet::{Spike, Truth};

/// Acknowledged readings of a device before an outlier of it has to be told. The platform's detectors take 32 to learn
/// what is usual.
pub(super) const LEARNT_AFTER: usize = 36;
/// Most anomalies that a violation names.
const NAMED_MAX: usize = 3;
/// Two values say the same when they differ by no more than this part of them: both have been through texts.
const TOLERANCE: f64 = 1e-9;

/// Reads the prefix of anomalies of one bucket.
pub struct AnomalyReader {
    prefix: Prefix,
}

/// The columns that are read.
const COLUMNS: [&str; 11] = [
    "tenant_id",
    "device_id",
    "metric",
    "kind",
    "score",
    "value",
    "seq",
    "ts",
    "received_at",
    "shard_id",
    "sequence_number",
];

/// What is needed of a row, beside its reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Anomaly {
    pub metric: String,
    pub kind: String,
    pub score: f64,
    pub value: f64,
    pub ts: i64,
    /// Arrival of its reading, ms since the Unix epoch.
    pub received_ms: i64,
    /// Position of its object among [`Told::objects`], and its own there.
    pub place: (usize, usize),
}

/// An object of anomalies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub listed: Listed,
    /// Shard of its readings.
    pub shard: String,
    /// Number of its first record in the shard.
    pub sequence_number: SequenceNumber,
}

/// A sequence number of Kinesis, which has 56 digits: the digits before the last 38, and those.
pub(super) type SequenceNumber = (u128, u128);

fn parse_sequence_number(text: &str) -> Option<SequenceNumber> {
    let (high, low) = text.split_at_checked(text.len().saturating_sub(38))?;
    let part = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    Some((part(high)?, part(low)?)).filter(|_| !text.is_empty())
}

/// By sequence number.
type OfDevice = BTreeMap<u64, Vec<Anomaly>>;

/// Whether the reading (device, seq) is in the table.
pub type Arrived<'a> = &'a dyn Fn(u32, u64) -> bool;

/// The anomalies of the lake.
#[derive(Debug, Default)]
pub struct Told {
    objects: Vec<Object>,
    /// By tenant and device.
    tenants: BTreeMap<String, BTreeMap<String, OfDevice>>,
    /// Anomalies whose values are not those of the table.
    changed: Vec<(ReadingId, String)>,
}

/// What is told of a reading.
#[derive(Clone, Copy, Debug)]
pub struct ToldOf<'a> {
    /// Tenant of the device.
    pub tenant: &'a str,
    /// Device.
    pub device: &'a str,
    /// Sequence number of the reading.
    pub seq: u64,
    /// What was measured.
    pub metric: &'a str,
    /// What is unusual.
    pub kind: &'a str,
}

impl AnomalyReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        AnomalyReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Reads all anomalies.
    pub async fn told(&self) -> Result<Told, QueryError> {
        let mut told = Told::default();
        for listed in self.prefix.objects().await? {
            let body = self.prefix.body(&listed.key).await?;
            let key = listed.key.clone();
            told.add(listed, body).map_err(|why| self.prefix.unreadable(&key, why))?;
        }
        Ok(told)
    }
}

impl Told {
    /// Takes the rows of one object.
    pub(super) fn add(&mut self, listed: Listed, body: Bytes) -> Result<(), String> {
        let object = self.objects.len();
        self.objects.push(Object { listed, shard: String::new(), sequence_number: (u128::MAX, u128::MAX) });
        let builder = ParquetRecordBatchReaderBuilder::try_new(body).map_err(|e| e.to_string())?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
        let mut place = 0;
        for batch in builder.with_projection(mask).build().map_err(|e| e.to_string())? {
            let batch = batch.map_err(|e| e.to_string())?;
            let columns = Columns::of(&batch)?;
            for row in 0..batch.num_rows() {
                self.take(&columns, row, (object, place))?;
                place += 1;
            }
        }
        Ok(())
    }

    fn take(&mut self, columns: &Columns<'_>, row: usize, place: (usize, usize)) -> Result<(), String> {
        columns.complete(row)?;
        let number = |array: &Int64Array| array.value(row);
        let seq = number(columns.seq);
        let seq = u64::try_from(seq).map_err(|_| format!("row {row} has the seq {seq}"))?;
        let sequence_number = columns.sequence_number.value(row);
        let sequence_number = parse_sequence_number(sequence_number)
            .ok_or_else(|| format!("row {row} has the sequence number {sequence_number:?}"))?;
        let object = &mut self.objects[place.0];
        columns.shard.value(row).clone_into(&mut object.shard);
        object.sequence_number = object.sequence_number.min(sequence_number);
        let anomaly = Anomaly {
            metric: columns.metric.value(row).to_owned(),
            kind: columns.kind.value(row).to_owned(),
            score: columns.score.value(row),
            value: columns.value.value(row),
            ts: number(columns.ts),
            received_ms: number(columns.received_at),
            place,
        };
        let of_tenant = self.tenants.entry(columns.tenant.value(row).to_owned()).or_default();
        let of_device = of_tenant.entry(columns.device.value(row).to_owned()).or_default();
        of_device.entry(seq).or_default().push(anomaly);
        Ok(())
    }

    /// The objects, by their positions.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The anomalies of each device: (tenant, device, by seq).
    pub(super) fn devices(&self) -> impl Iterator<Item = (&str, &str, &OfDevice)> {
        let of_tenant = self.tenants.iter();
        of_tenant.flat_map(|(tenant, devices)| devices.iter().map(move |(device, of)| (&**tenant, &**device, of)))
    }

    /// The anomalies of a reading.
    pub(super) fn of(&self, tenant: &str, device: &str, seq: u64) -> &[Anomaly] {
        let of_device = self.tenants.get(tenant).and_then(|devices| devices.get(device));
        of_device.and_then(|of_device| of_device.get(&seq)).map_or(&[], Vec::as_slice)
    }

    fn readings(&self) -> impl Iterator<Item = (&str, &str, u64, &[Anomaly])> {
        self.devices()
            .flat_map(|(tenant, device, of)| of.iter().map(move |(seq, rows)| (tenant, device, *seq, &**rows)))
    }

    /// Whose they are: (tenant, device, seq).
    pub fn whose(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.readings().map(|(tenant, device, seq, _)| (tenant, device, seq))
    }

    /// All anomalies, each once.
    pub fn each(&self) -> impl Iterator<Item = ToldOf<'_>> {
        self.readings().flat_map(|(tenant, device, seq, rows)| {
            let is_first = |n: &usize| {
                let same = |row: &Anomaly| (&row.metric, &row.kind) == (&rows[*n].metric, &rows[*n].kind);
                !rows[..*n].iter().any(same)
            };
            (0..rows.len()).filter(is_first).map(move |n| {
                let (metric, kind) = (&*rows[n].metric, &*rows[n].kind);
                ToldOf { tenant, device, seq, metric, kind }
            })
        })
    }

    /// How many anomalies there are, each counted once.
    pub fn count(&self) -> usize {
        self.each().count()
    }

    /// Compares the anomalies of a reading with its row of the table.
    pub fn compare(&mut self, row: &Row<'_>, metrics: &Metrics<'_>) {
        let Some(seq) = row.seq else { return };
        let mut changed = Vec::new();
        for anomaly in self.of(row.tenant, row.device, seq) {
            let value = metrics.get(&anomaly.metric);
            if !value.is_some_and(|value| is_same(value, anomaly.value)) {
                let found = value.map_or("absent".to_owned(), |value| value.to_string());
                changed.push(format!("{} is {} and in the table {found}", anomaly.metric, anomaly.value));
            }
        }
        let id = || ReadingId { tenant: row.tenant.to_owned(), device: row.device.to_owned(), seq };
        self.changed.extend(changed.into_iter().map(|what| (id(), what)));
    }

    /// Outliers that should have been told, and were not. `arrived` says which readings (device, seq) are in the table: what
    /// the rule set aside came to no detector.
    fn untold<'t>(&self, truth: &'t Truth, arrived: Arrived<'_>) -> Vec<&'t Spike> {
        let owed = |spike: &&Spike| {
            let reading = truth.reading(spike.device, spike.seq);
            let learnt_from = || (1..spike.seq).filter(|seq| arrived(spike.device, *seq)).take(LEARNT_AFTER).count();
            reading.is_some_and(|reading| reading.acknowledged_at.is_some())
                && arrived(spike.device, spike.seq)
                && learnt_from() == LEARNT_AFTER
        };
        let is_told = |spike: &Spike| {
            let (tenant, device) = truth.device(spike.device);
            self.of(tenant, device, spike.seq).iter().any(|anomaly| *anomaly.metric == *spike.metric)
        };
        truth.spikes().iter().filter(|spike| !is_told(spike)).filter(owed).collect()
    }

    /// Broken promises of `anomalies-once`, and of `anomalies-told` when every outlier that arrived must be told; then also
    /// how many are owed and not there.
    pub fn violations(&self, truth: &Truth, complete: Option<Arrived<'_>>) -> (Vec<Violation>, u64) {
        let (mut twice, mut strange, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, device, seq, rows) in self.readings() {
            let id = || ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq };
            let reading = truth.find(tenant, device).and_then(|index| truth.reading(index, seq));
            for (n, row) in rows.iter().enumerate() {
                let named = || format!("{} of {} of {}", row.kind, row.metric, id());
                if !reading.is_some_and(|reading| i64::try_from(reading.ts_ms) == Ok(row.ts)) {
                    strange.push((id(), named()));
                }
                if !(0.0..=1.0).contains(&row.score) {
                    scores.push((id(), format!("{} with {}", named(), row.score)));
                }
                let same = |other: &&Anomaly| other.metric == row.metric;
                if rows[..n].iter().filter(same).count() == 1 {
                    let places = rows.iter().filter(same).map(|row| format!("{} in {}", row.kind, self.key(row)));
                    let places: Vec<String> = places.collect();
                    twice.push((id(), format!("{} of {}: {}", row.metric, id(), places.join(" and "))));
                }
            }
        }
        let mut violations: Vec<Violation> = [
            violation("metrics of readings are anomalies in the lake twice", &twice),
            violation("anomalies are of readings that no device published", &strange),
            violation("anomalies have a score that is none", &scores),
            violation("anomalies have another value than their reading", &self.changed),
        ]
        .into_iter()
        .flatten()
        .collect();
        let untold = complete.map_or(Vec::new(), |arrived| self.untold(truth, arrived));
        let named = untold.iter().map(|spike| {
            let (tenant, device) = truth.device(spike.device);
            let id = ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq: spike.seq };
            let text = format!("{} of {id}", spike.metric);
            (id, text)
        });
        let broken = violation("plain outliers were not told", &named.collect::<Vec<_>>());
        violations.extend(broken.map(|broken| Violation { invariant: ANOMALIES_TOLD, ..broken }));
        (violations, untold.len() as u64)
    }

    fn key(&self, anomaly: &Anomaly) -> &str {
        &self.objects[anomaly.place.0].listed.key
    }
}

/// Whether two values say the same.
pub(super) fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// The columns of one batch.
struct Columns<'b> {
    tenant: &'b StringArray,
    device: &'b StringArray,
    metric: &'b StringArray,
    kind: &'b StringArray,
    score: &'b Float64Array,
    value: &'b Float64Array,
    seq: &'b Int64Array,
    ts: &'b Int64Array,
    received_at: &'b Int64Array,
    shard: &'b StringArray,
    sequence_number: &'b StringArray,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, String> {
        let named = Named(batch);
        Ok(Columns {
            tenant: named.text("tenant_id")?,
            device: named.text("device_id")?,
            metric: named.text("metric")?,
            kind: named.text("kind")?,
            score: named.double("score")?,
            value: named.double("value")?,
            seq: named.number("seq")?,
            ts: named.number("ts")?,
            received_at: named.number("received_at")?,
            shard: named.text("shard_id")?,
            sequence_number: named.text("sequence_number")?,
        })
    }

    fn complete(&self, row: usize) -> Result<(), String> {
        let Columns { tenant, device, metric, kind, score, value, seq, ts, received_at, shard, sequence_number } = self;
        let columns: [&dyn Array; 11] =
            [tenant, device, metric, kind, score, value, seq, ts, received_at, shard, sequence_number];
        let lacks = columns.iter().any(|column| column.is_null(row));
        if lacks { Err(format!("row {row} lacks a value")) } else { Ok(()) }
    }
}

/// The violation of `anomalies-once` by so many readings, the first of which are named.
fn violation(what: &str, found: &[(ReadingId, String)]) -> Option<Violation> {
    let (first, _) = found.first()?;
    let named: Vec<&str> = found.iter().take(NAMED_MAX).map(|(_, text)| &**text).collect();
    let more = if found.len() > NAMED_MAX { ", …" } else { "" };
    let message = format!("{} {what}: {}{more}", found.len(), named.join(", "));
    Some(Violation { invariant: ANOMALIES_ONCE, message, reading: Some(first.clone()) })
}

#[cfg(test)]
pub(super) mod tests;
