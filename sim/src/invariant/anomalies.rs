//! A reader of the anomalies, Parquet in the lake, on the real SDK, and what they are compared with: the outliers that devices published.

use std::collections::BTreeMap;

use arrow::array::{AsArray as _, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use aws_types::SdkConfig;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use record::ReadingId;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};
use super::{ANOMALIES_ONCE, ANOMALIES_TOLD, Violation};
use crate::fleet::{Spike, Truth};

/// Acknowledged readings of a device before an outlier of it has to be told. The platform's detectors take 32 to learn
/// what is usual.
pub(super) const LEARNT_AFTER: usize = 36;
/// Most anomalies that a violation names.
const NAMED_MAX: usize = 3;

/// Reads the prefix of anomalies of one bucket.
pub struct AnomalyReader {
    prefix: Prefix,
}

/// The columns that are read.
const COLUMNS: [&str; 6] = ["tenant_id", "device_id", "metric", "kind", "seq", "ts"];

/// What is needed of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Anomaly {
    tenant_id: String,
    device_id: String,
    seq: u64,
    metric: String,
    kind: String,
    ts: i64,
}

/// Whether the reading (device, seq) is in the table.
pub type Arrived<'a> = &'a dyn Fn(u32, u64) -> bool;

/// The anomalies of the lake, each with the keys of the objects that it is in.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Anomaly, Vec<String>>);

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
        for Listed { key, .. } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            told.add(&key, body).map_err(|why| self.prefix.unreadable(&key, why))?;
        }
        Ok(told)
    }
}

impl Told {
    /// Takes the rows of one object.
    fn add(&mut self, key: &str, body: Bytes) -> Result<(), String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(body).map_err(|e| e.to_string())?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
        for batch in builder.with_projection(mask).build().map_err(|e| e.to_string())? {
            for anomaly in rows(&batch.map_err(|e| e.to_string())?)? {
                self.0.entry(anomaly).or_default().push(key.to_owned());
            }
        }
        Ok(())
    }

    /// Whose they are: (tenant, device, seq).
    pub fn whose(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.keys().map(|anomaly| (anomaly.tenant_id.as_str(), anomaly.device_id.as_str(), anomaly.seq))
    }

    /// All anomalies, each once.
    pub fn each(&self) -> impl Iterator<Item = ToldOf<'_>> {
        self.0.keys().map(|anomaly| ToldOf {
            tenant: &anomaly.tenant_id,
            device: &anomaly.device_id,
            seq: anomaly.seq,
            metric: &anomaly.metric,
            kind: &anomaly.kind,
        })
    }

    /// How many anomalies there are, each counted once.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Outliers that should have been told, and were not. `arrived` says which readings (device, seq) are in the table: what
    /// the rule set aside came to no detector.
    pub fn untold<'t>(&self, truth: &'t Truth, arrived: Arrived<'_>) -> Vec<&'t Spike> {
        let known: std::collections::BTreeSet<(&str, &str, u64, &str)> =
            self.0.keys().map(|a| (a.tenant_id.as_str(), a.device_id.as_str(), a.seq, a.metric.as_str())).collect();
        let owed = |spike: &&Spike| {
            let reading = truth.reading(spike.device, spike.seq);
            let learnt_from = || (1..spike.seq).filter(|seq| arrived(spike.device, *seq)).count();
            reading.is_some_and(|reading| reading.acknowledged_at.is_some())
                && arrived(spike.device, spike.seq)
                && learnt_from() >= LEARNT_AFTER
        };
        let is_told = |spike: &Spike| {
            let (tenant, device) = truth.device(spike.device);
            known.contains(&(tenant, device, spike.seq, &spike.metric))
        };
        truth.spikes().iter().filter(owed).filter(|spike| !is_told(spike)).collect()
    }

    /// Broken promises of `anomalies-once`, and of `anomalies-told` when every outlier that arrived must be told.
    pub fn violations(&self, truth: &Truth, complete: Option<Arrived<'_>>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let twice: Vec<_> = self.0.iter().filter(|(_, keys)| keys.len() > 1).collect();
        let named = |(anomaly, keys): &(&Anomaly, &Vec<String>)| format!("{anomaly} in {}", keys.join(" and "));
        violations.extend(violation(ANOMALIES_ONCE, "anomalies are in the lake twice", &twice, named, |(a, _)| a.id()));
        let strange: Vec<&Anomaly> = self.0.keys().filter(|anomaly| !anomaly.is_of(truth)).collect();
        let what = "anomalies are of readings that no device published";
        violations.extend(violation(ANOMALIES_ONCE, what, &strange, ToString::to_string, |anomaly| anomaly.id()));
        if let Some(arrived) = complete {
            let untold = self.untold(truth, arrived);
            let id = |spike: &&Spike| {
                let (tenant, device) = truth.device(spike.device);
                ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq: spike.seq }
            };
            let named = |spike: &&Spike| format!("{} of {}", spike.metric, id(spike));
            violations.extend(violation(ANOMALIES_TOLD, "plain outliers were not told", &untold, named, id));
        }
        violations
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<Anomaly>, String> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"));
    let other = |name: &str| format!("the column {name} has another type than its table says");
    let text =
        |name: &str| -> Result<&StringArray, String> { column(name)?.as_string_opt().ok_or_else(|| other(name)) };
    let number = |name: &str| -> Result<&Int64Array, String> {
        column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| other(name))
    };
    let (tenants, devices, metrics) = (text("tenant_id")?, text("device_id")?, text("metric")?);
    let (kinds, seqs, times) = (text("kind")?, number("seq")?, number("ts")?);
    let row = |row: usize| {
        let columns: [&dyn arrow::array::Array; 6] = [tenants, devices, metrics, kinds, seqs, times];
        if columns.iter().any(|column| column.is_null(row)) {
            return Err(format!("row {row} lacks a value"));
        }
        Ok(Anomaly {
            tenant_id: tenants.value(row).to_owned(),
            device_id: devices.value(row).to_owned(),
            seq: u64::try_from(seqs.value(row)).map_err(|_| format!("row {row} has the seq {}", seqs.value(row)))?,
            metric: metrics.value(row).to_owned(),
            kind: kinds.value(row).to_owned(),
            ts: times.value(row),
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

impl std::fmt::Display for Anomaly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} of {}", self.kind, self.metric, self.id())
    }
}

impl Anomaly {
    fn id(&self) -> ReadingId {
        ReadingId { tenant: self.tenant_id.clone(), device: self.device_id.clone(), seq: self.seq }
    }

    fn is_of(&self, truth: &Truth) -> bool {
        let index = truth.find(&self.tenant_id, &self.device_id);
        let reading = index.and_then(|index| truth.reading(index, self.seq));
        reading.is_some_and(|reading| i64::try_from(reading.ts_ms) == Ok(self.ts))
    }
}

fn violation<T>(
    invariant: super::Invariant,
    what: &str,
    found: &[T],
    name: impl Fn(&T) -> String,
    id: impl Fn(&T) -> ReadingId,
) -> Option<Violation> {
    let first = found.first()?;
    let named: Vec<String> = found.iter().take(NAMED_MAX).map(name).collect();
    let more = if found.len() > NAMED_MAX { ", …" } else { "" };
    let message = format!("{} {what}: {}{more}", found.len(), named.join(", "));
    Some(Violation { invariant, message, reading: Some(id(first)) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::fleet::Content;
    use crate::world::time::Time;

    const START: Time = Time::from_unix_secs(1_000);

    /// A device with 50 readings, all but the 45th acknowledged, and outliers at `spikes`.
    fn truth(spikes: &[u64]) -> Truth {
        let mut truth = Truth::new(START);
        let device = truth.add_device("acme", "pump-1");
        for seq in 1..=50 {
            truth.published(device, seq, START, 1_000_000 + seq, Content::canonical(None, []));
            if seq != 45 {
                truth.acknowledged(device, seq, START);
            }
        }
        spikes.iter().for_each(|seq| truth.spiked(device, *seq, "temp"));
        truth
    }

    /// A row: (device, seq, kind).
    type Line = (&'static str, u64, &'static str);

    fn line(device: &'static str, seq: u64, kind: &'static str) -> Line {
        (device, seq, kind)
    }

    /// An object of rows, as the platform writes it: more columns than are read.
    fn object(lines: &[Line]) -> Bytes {
        let texts =
            |of: fn(&Line) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(lines.iter().map(of))) };
        let numbers =
            |of: fn(&Line) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(lines.iter().map(of))) };
        let batch = RecordBatch::try_from_iter([
            ("tenant_id", texts(|_| "acme".to_owned())),
            ("device_id", texts(|line| line.0.to_owned())),
            ("metric", texts(|_| "temp".to_owned())),
            ("kind", texts(|line| line.2.to_owned())),
            ("score", Arc::new(Float64Array::from(vec![1.0; lines.len()])) as ArrayRef),
            ("seq", numbers(|line| line.1.cast_signed())),
            ("ts", numbers(|line| 1_000_000 + line.1.cast_signed())),
        ]);
        let batch = batch.expect("columns of one length");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a schema of plain types");
        writer.write(&batch).expect("it is written to memory");
        writer.into_inner().expect("it is written to memory").into()
    }

    fn told(objects: &[(&str, &[Line])]) -> Told {
        let mut told = Told::default();
        for (key, lines) in objects {
            told.add(key, object(lines)).expect("rows of anomalies");
        }
        told
    }

    /// (invariant, message) of what is broken.
    fn broken(told: &Told, truth: &Truth) -> Vec<(&'static str, String)> {
        told.violations(
            truth,
            Some(&|device, seq| truth.reading(device, seq).is_some_and(|r| r.acknowledged_at.is_some())),
        )
        .into_iter()
        .map(|violation| (violation.invariant.id, violation.message))
        .collect()
    }

    #[test]
    fn an_anomaly_that_is_there_once_breaks_no_promise() {
        let told = told(&[
            ("a", &[line("pump-1", 40, "spike"), line("pump-1", 40, "flatline")]),
            ("b", &[line("pump-1", 41, "spike")]),
        ]);
        assert_eq!(broken(&told, &truth(&[40])), []);
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn an_anomaly_in_two_objects_or_of_nobody_breaks_anomalies_once() {
        let twice = told(&[("a", &[line("pump-1", 40, "spike")]), ("b", &[line("pump-1", 40, "spike")])]);
        let text = "1 anomalies are in the lake twice: spike of temp of acme/pump-1 seq 40 in a and b";
        assert_eq!(broken(&twice, &truth(&[])), [("anomalies-once", text.to_owned())]);
        for (device, seq) in [("pump-2", 40), ("pump-1", 51)] {
            let strange = told(&[("a", &[line(device, seq, "spike")])]);
            let broken = broken(&strange, &truth(&[]));
            assert!(broken[0].1.contains("that no device published"), "{broken:?}");
        }
    }

    #[test]
    fn only_what_is_owed_and_learnt_has_to_be_told() {
        // Too early; to be told; never acknowledged; to be told.
        let truth = truth(&[36, 40, 45, 48]);
        let told = told(&[("a", &[line("pump-1", 40, "spike")])]);
        let text = "1 plain outliers were not told: temp of acme/pump-1 seq 48";
        assert_eq!(broken(&told, &truth), [("anomalies-told", text.to_owned())]);
        assert!(told.violations(&truth, None).is_empty(), "not where nothing is owed");
    }

    #[test]
    fn an_object_of_another_form_is_no_object_of_anomalies() {
        let mut told = Told::default();
        assert!(told.add("a", Bytes::from_static(b"{}")).is_err());
        let negative = told.add("a", object(&[("pump-1", u64::MAX, "spike")])).unwrap_err();
        assert!(negative.contains("row 0 has the seq -1"), "{negative}");
    }
}
