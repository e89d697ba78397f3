use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::fleet::Content;
use crate::world::time::Time;

const START: Time = Time::from_unix_secs(1_000);

/// Anomalies by the number of their object, which is written in the second of that number and has it as its sequence
/// number: (device, seq), each a spike of 21.5 that arrives in the second of its own number.
pub(in crate::invariant) fn lake(objects: &[(u64, &[(&str, u64)])]) -> Told {
    let mut told = Told::default();
    for (position, (number, rows)) in objects.iter().enumerate() {
        let key = format!("anomalies/{number}.parquet");
        let listed = Listed { key, last_modified: START + Duration::from_secs(*number) };
        let sequence_number = (0, u128::from(*number));
        told.objects.push(Object { listed, shard: "shard".to_owned(), sequence_number });
        for (n, (device, seq)) in rows.iter().enumerate() {
            let of_device = told.tenants.entry("acme".to_owned()).or_default().entry((*device).to_owned());
            let anomaly = Anomaly {
                metric: "temp".to_owned(),
                kind: "spike".to_owned(),
                score: 1.0,
                value: 21.5,
                ts: 5,
                received_ms: i64::try_from(1_000 * seq).expect("a small number"),
                place: (position, n),
            };
            of_device.or_default().entry(*seq).or_default().push(anomaly);
        }
    }
    told
}

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

/// A row of an object: reading, kind, value, score.
#[derive(Clone, Copy)]
struct Line {
    device: &'static str,
    seq: u64,
    kind: &'static str,
    value: f64,
    score: f64,
}

fn line(device: &'static str, seq: u64, kind: &'static str) -> Line {
    Line { device, seq, kind, value: 21.5, score: 1.0 }
}

/// An object of rows, as the platform writes it: more columns than are read.
fn object(lines: &[Line]) -> Bytes {
    let texts = |of: fn(&Line) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(lines.iter().map(of))) };
    let numbers = |of: fn(&Line) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(lines.iter().map(of))) };
    let doubles = |of: fn(&Line) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(lines.iter().map(of))) };
    let batch = RecordBatch::try_from_iter([
        ("tenant_id", texts(|_| "acme".to_owned())),
        ("device_id", texts(|line| line.device.to_owned())),
        ("metric", texts(|_| "temp".to_owned())),
        ("kind", texts(|line| line.kind.to_owned())),
        ("score", doubles(|line| line.score)),
        ("value", doubles(|line| line.value)),
        ("expected", doubles(|_| 20.0)),
        ("seq", numbers(|line| line.seq.cast_signed())),
        ("ts", numbers(|line| 1_000_000 + line.seq.cast_signed())),
        ("received_at", numbers(|line| 1_000_040 + line.seq.cast_signed())),
        ("shard_id", texts(|_| "shardId-000000000000".to_owned())),
        ("sequence_number", texts(|line| 4_959_033_827_u64.wrapping_add(line.seq).to_string())),
    ]);
    let batch = batch.expect("columns of one length");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a schema of plain types");
    writer.write(&batch).expect("it is written to memory");
    writer.into_inner().expect("it is written to memory").into()
}

fn listed(key: &str) -> Listed {
    Listed { key: key.to_owned(), last_modified: START }
}

fn told(objects: &[(&str, &[Line])]) -> Told {
    let mut told = Told::default();
    for (key, lines) in objects {
        told.add(listed(key), object(lines)).expect("rows of anomalies");
    }
    told
}

/// (invariant, message) of what is broken.
fn broken(told: &Told, truth: &Truth) -> Vec<(&'static str, String)> {
    let arrived = |device, seq| truth.reading(device, seq).is_some_and(|r| r.acknowledged_at.is_some());
    let (violations, _) = told.violations(truth, Some(&arrived));
    violations.into_iter().map(|violation| (violation.invariant.id, violation.message)).collect()
}

#[test]
fn an_anomaly_that_is_there_once_breaks_no_promise() {
    let told = told(&[
        ("a", &[line("pump-1", 40, "spike"), line("pump-1", 42, "flatline")]),
        ("b", &[line("pump-1", 41, "spike")]),
    ]);
    assert_eq!(broken(&told, &truth(&[40])), []);
    assert_eq!(told.count(), 3);
    assert_eq!(told.objects()[0].sequence_number, (0, 4_959_033_867));
    let long = "49672243400052786607910172740940939593307049311701303330";
    assert_eq!(parse_sequence_number(long).map(|(high, low)| format!("{high}{low:038}")), Some(long.to_owned()));
    assert!(parse_sequence_number(long) > parse_sequence_number(&long[1..]));
    assert_eq!([parse_sequence_number(""), parse_sequence_number("4x")], [None, None]);
}

#[test]
fn a_reading_that_is_told_twice_breaks_anomalies_once_whatever_it_is_told_as() {
    for kind in ["spike", "flatline"] {
        let twice = told(&[("a", &[line("pump-1", 40, "spike")]), ("b", &[line("pump-1", 40, kind)])]);
        let text = "1 metrics of readings are anomalies in the lake twice: \
                    temp of acme/pump-1 seq 40: spike in a and";
        let broken = broken(&twice, &truth(&[]));
        assert_eq!(broken, [("anomalies-once", format!("{text} {kind} in b"))]);
        assert_eq!(twice.count(), if kind == "spike" { 1 } else { 2 });
    }
}

#[test]
fn an_anomaly_of_nobody_or_with_an_impossible_score_breaks_anomalies_once() {
    let impossible = |score: f64| Line { score, ..line("pump-1", 40, "spike") };
    for (strange, part) in [
        (line("pump-2", 40, "spike"), "that no device published"),
        (line("pump-1", 51, "spike"), "that no device published"),
        (impossible(1.01), "a score that is none: spike of temp of acme/pump-1 seq 40 with 1.01"),
        (impossible(f64::NAN), "a score that is none"),
    ] {
        let broken = broken(&told(&[("a", &[strange])]), &truth(&[]));
        assert!(broken.len() == 1 && broken[0].1.contains(part), "{broken:?}");
    }
}

#[test]
fn an_anomaly_has_the_value_of_its_row() {
    let names = StringArray::from_iter_values(["rpm", "temp", "temp"]);
    for (value, metrics, text) in [
        (21.5, 0..2, None),
        (21.5 + 1e-12, 0..2, None),
        (21.6, 0..2, Some("temp is 21.5 and in the table 21.6")),
        (21.5, 0..1, Some("temp is 21.5 and in the table absent")),
        (f64::NAN, 0..2, Some("in the table NaN")),
    ] {
        let mut told = told(&[("a", &[line("pump-1", 40, "spike")])]);
        let values = Float64Array::from_iter_values([900.0, value, 7.0]);
        let metrics = Metrics::new(&names, &values, metrics);
        let row = |seq| Row { tenant: "acme", device: "pump-1", seq: Some(seq), ts_ms: None, rest: None };
        told.compare(&row(41), &metrics);
        assert_eq!(broken(&told, &truth(&[])), [], "it is of another reading");
        told.compare(&row(40), &metrics);
        let broken = broken(&told, &truth(&[]));
        let found = broken.first().map_or("", |(_, message)| message);
        assert!(broken.len() == usize::from(text.is_some()) && found.contains(text.unwrap_or("")), "{broken:?}");
    }
}

#[test]
fn only_what_is_owed_and_learnt_has_to_be_told() {
    // Too early; to be told; never acknowledged; to be told.
    let truth = truth(&[36, 40, 45, 48]);
    let told = told(&[("a", &[line("pump-1", 40, "spike")])]);
    let text = "1 plain outliers were not told: temp of acme/pump-1 seq 48";
    assert_eq!(broken(&told, &truth), [("anomalies-told", text.to_owned())]);
    assert_eq!(told.violations(&truth, None), (Vec::new(), 0), "not where nothing is owed");
}

#[test]
fn an_object_of_another_form_is_no_object_of_anomalies() {
    let mut told = Told::default();
    assert!(told.add(listed("a"), Bytes::from_static(b"{}")).is_err());
    let negative = told.add(listed("a"), object(&[line("pump-1", u64::MAX, "spike")])).unwrap_err();
    assert!(negative.contains("row 0 has the seq -1"), "{negative}");
}
