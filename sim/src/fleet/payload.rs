//! A reading and its payload on the wire, in the version that the device's firmware writes.

use std::fmt::Write as _;

/// Magnitudes that are written without an exponent.
const PLAIN_NUMBERS: std::ops::Range<f64> = 1e-6..1e16;

/// Versions of the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Values alone.
    #[default]
    One,
    /// Values with their units, and the device's clock at the hand-over to the network.
    Two,
}

impl Version {
    /// The version that a firmware writes: from the major version 2 on the second, whatever the fleet began with.
    pub fn of_firmware(self, firmware: &str) -> Self {
        let major = firmware.split('.').next().and_then(|major| major.parse::<u64>().ok());
        if major.is_some_and(|major| major >= 2) { Version::Two } else { self }
    }
}

/// A value in the unit in which firmware of the second version sends it: not always that of the device directory, which it
/// overrides. What is too large for another unit stays as it is.
pub fn in_second_unit(unit: &str, value: f64) -> (&str, f64) {
    let (other, converted) = match unit {
        "celsius" => ("kelvin", value + 273.15),
        "bar" => ("kPa", value * 100.0),
        _ => return (unit, value),
    };
    if converted.is_finite() { (other, converted) } else { (unit, value) }
}

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

    /// Appends the payload of version 2 up to its last member, `sent_at`, with which each hand-over to the network ends it
    /// (`write_stamp`): `{"v":2,"seq":1,"ts":1772323200000,"metrics":{"temp":{"value":294.65,"unit":"kelvin"},"n":90}`.
    /// `unit` is the unit of each metric.
    pub fn write_open_json<'u>(&self, out: &mut String, unit: impl Fn(&str) -> Option<&'u str>) {
        put(out, format_args!("{{\"v\":2,\"seq\":{},\"ts\":{},", self.seq, self.ts_ms));
        self.write_metrics(out, |out, name, value| match unit(name) {
            Some(unit) => {
                out.push_str("{\"value\":");
                write_number(out, value);
                out.push_str(",\"unit\":");
                write_text(out, unit);
                out.push('}');
            }
            None => write_number(out, value),
        });
    }

    fn write_measured(&self, out: &mut String, write_value: impl Fn(&mut String, f64)) {
        self.write_metrics(out, |out, _, value| write_value(out, value));
    }

    fn write_metrics(&self, out: &mut String, write_value: impl Fn(&mut String, &str, f64)) {
        out.push_str("\"metrics\":{");
        for (n, (name, value)) in self.metrics.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write_text(out, name);
            out.push(':');
            write_value(out, name, *value);
        }
        out.push('}');
        if let Some(recorded_at) = self.recorded_at {
            out.push_str(",\"recorded_at\":");
            write_text(out, recorded_at);
        }
    }
}

/// What ends a payload of version 2: the device's clock, in ms since the Unix epoch.
pub fn write_stamp(out: &mut Vec<u8>, sent_at_ms: u64) {
    out.extend_from_slice(b",\"sent_at\":");
    out.extend_from_slice(sent_at_ms.to_string().as_bytes());
    out.push(b'}');
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
    fn the_second_version_has_units_and_is_ended_by_a_stamp() {
        let (kelvin, value) = in_second_unit("celsius", 21.5);
        let reading =
            Reading { seq: 1, ts_ms: 5, metrics: vec![("temp", value), ("n", 90.0)], recorded_at: Some("2014") };
        let mut out = String::new();
        reading.write_open_json(&mut out, |name| (name == "temp").then_some(kelvin));
        let mut payload = out.into_bytes();
        write_stamp(&mut payload, 1_772_323_200_000);
        let expected = r#"{"v":2,"seq":1,"ts":5,"metrics":{"temp":{"value":294.65,"unit":"kelvin"},"n":90},"recorded_at":"2014","sent_at":1772323200000}"#;
        assert_eq!(String::from_utf8(payload).as_deref(), Ok(expected));
        assert_eq!((in_second_unit("bar", 2.0), in_second_unit("bar", 1e308)), (("kPa", 200.0), ("bar", 1e308)));
        assert_eq!(in_second_unit("deg", 2.0), ("deg", 2.0));
    }

    #[test]
    fn firmware_from_2_on_writes_the_second_version() {
        for (firmware, one, two) in [
            ("1.9.3", Version::One, Version::Two),
            ("2.0.0", Version::Two, Version::Two),
            ("12", Version::Two, Version::Two),
            ("beta", Version::One, Version::Two),
        ] {
            assert_eq!(Version::One.of_firmware(firmware), one, "{firmware}");
            assert_eq!(Version::Two.of_firmware(firmware), two, "{firmware}: a fleet that began with it keeps it");
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
