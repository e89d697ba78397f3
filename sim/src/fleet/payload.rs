//! A reading and its payload on the wire.

use std::fmt::Write as _;

/// Magnitudes that are written without an exponent.
const PLAIN_NUMBERS: std::ops::Range<f64> = 1e-6..1e16;

/// A reading as a device publishes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<'m> {
    /// Sequence number of the device, from 1.
    pub seq: u64,
    /// The device's clock, ms since the Unix epoch.
    pub ts_ms: u64,
    /// Values by metric.
    pub metrics: Vec<(&'m str, f64)>,
    /// The recorded timestamp of a replayed row.
    pub recorded_at: Option<&'m str>,
}

impl Reading<'_> {
    /// Appends the payload:
    /// `{"seq":1,"ts":1772323200000,"metrics":{"temp":21.5},"recorded_at":"2014-02-14 14:30:00"}`.
    ///
    /// Numbers are the shortest digits that read back as the same double; very large and very small ones have an
    /// exponent.
    pub fn write_json(&self, out: &mut String) {
        put(out, format_args!("{{\"seq\":{},\"ts\":{},", self.seq, self.ts_ms));
        self.write_measured(out, write_number);
        out.push('}');
    }

    /// Appends the payload as an old firmware writes it: other members before, between and behind, and values as
    /// `2.150E+1`. It says the same.
    pub fn write_old_json(&self, out: &mut String) {
        put(out, format_args!("{{\"fw\":\"0.9.3\",\"ts\":{},\"site\":{{\"floor\":[1,2],\"ts\":0}},", self.ts_ms));
        self.write_measured(out, write_old_number);
        put(out, format_args!(",\"battery\":null,\"seq\":{}}}", self.seq));
    }

    fn write_measured(&self, out: &mut String, write_value: impl Fn(&mut String, f64)) {
        out.push_str("\"metrics\":{");
        for (n, (name, value)) in self.metrics.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write_text(out, name);
            out.push(':');
            write_value(out, *value);
        }
        out.push('}');
        if let Some(recorded_at) = self.recorded_at {
            out.push_str(",\"recorded_at\":");
            write_text(out, recorded_at);
        }
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a String takes every text");
}

/// Writes a finite number: JSON has no others.
fn write_number(out: &mut String, value: f64) {
    assert!(value.is_finite(), "a reading carries finite numbers: the scenario bounds them, and found {value}");
    if value == 0.0 || PLAIN_NUMBERS.contains(&value.abs()) {
        put(out, format_args!("{value}"));
    } else {
        put(out, format_args!("{value:e}"));
    }
}

/// Writes a finite number with an exponent and a zero too many.
fn write_old_number(out: &mut String, value: f64) {
    let digits = format!("{value:e}");
    let (mantissa, exponent) = digits.split_once('e').expect("this form has an exponent");
    let point = if mantissa.contains('.') { "" } else { "." };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    put(out, format_args!("{mantissa}{point}0E{sign}{exponent}"));
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_shape_of_the_contract() {
        let plain = Reading { seq: 1, ts_ms: 1_772_323_200_000, metrics: vec![("temp", 21.5)], recorded_at: None };
        let replayed = Reading {
            seq: 2,
            ts_ms: 3,
            metrics: vec![("value", -0.1), ("n", 90.0)],
            recorded_at: Some("2014-02-14 14:30:00"),
        };
        let cases = [
            (plain, r#"{"seq":1,"ts":1772323200000,"metrics":{"temp":21.5}}"#),
            (replayed, r#"{"seq":2,"ts":3,"metrics":{"value":-0.1,"n":90},"recorded_at":"2014-02-14 14:30:00"}"#),
        ];
        for (reading, expected) in cases {
            let mut out = String::new();
            reading.write_json(&mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn names_and_values_survive_an_independent_parser() {
        let values = [1e-300, 1.0 / 3.0, 1e300, -0.0, 0.1 + 0.2, f64::MAX, 5e-324];
        for value in values {
            let reading =
                Reading { seq: 1, ts_ms: 1, metrics: vec![("a\"\\\n\u{7f}é", value)], recorded_at: Some("\t") };
            let mut out = String::new();
            reading.write_json(&mut out);
            let parsed: serde_json::Value = serde_json::from_str(&out).expect("valid JSON");
            let (name, number) = parsed["metrics"].as_object().expect("an object").iter().next().expect("a metric");
            assert_eq!(name, "a\"\\\n\u{7f}é");
            let text = out.split_once("é\":").expect("the name").1.split_once('}').expect("the end").0;
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
            assert!(number.is_number());
            assert_eq!(parsed["recorded_at"], "\t");
        }
    }

    #[test]
    fn an_old_firmware_says_the_same_in_another_way() {
        for value in [15.0, 0.0, -0.25, 1.0 / 3.0, 900.0, 1e300, 5e-324, 21.504] {
            let reading = Reading { seq: 7, ts_ms: 5, metrics: vec![("temp", value)], recorded_at: Some("2014") };
            let (mut new, mut old) = (String::new(), String::new());
            reading.write_json(&mut new);
            reading.write_old_json(&mut old);
            let [new, old]: [serde_json::Value; 2] =
                [&new, &old].map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")));
            for member in ["seq", "ts", "recorded_at"] {
                assert_eq!(new[member], old[member], "{member}");
            }
            let mut written = String::new();
            write_old_number(&mut written, value);
            assert_eq!(written.parse::<f64>(), Ok(value), "{written}");
            assert!(old["battery"].is_null() && old["site"]["floor"][1] == 2);
        }
        let mut written = String::new();
        write_old_number(&mut written, 15.0);
        assert_eq!(written, "1.50E+1");
    }

    #[test]
    #[should_panic(expected = "finite numbers")]
    fn a_number_that_json_does_not_have_is_never_written() {
        write_number(&mut String::new(), f64::INFINITY);
    }
}
