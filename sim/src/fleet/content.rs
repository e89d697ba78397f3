//! What a reading says, in a few bytes, so that what comes back from the lake can be compared with what was sent.
//!
//! The lake holds values in canonical units. The conversions here are the fleet's own, from the definitions of the
//! units; the platform has another table. Values are compared within one part in a thousand million, because two
//! correct conversions may differ in their last bits.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Largest difference between two sums that say the same, as a part of their scale.
const TOLERANCE: f64 = 1e-9;

/// A reading's metrics and recorded timestamp, folded.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Hash of the recorded timestamp and of the metrics' names, whatever their order.
    texts: u32,
    /// Sum of the values in canonical units, each with a weight that its name gives. Not a number when a unit is
    /// unknown here: then values are not compared.
    values: f64,
    /// Sum of the weighted magnitudes.
    scale: f64,
}

impl Content {
    /// Folds values that are in canonical units.
    pub fn canonical<'m>(recorded_at: Option<&str>, metrics: impl IntoIterator<Item = (&'m str, f64)>) -> Self {
        let hash = |text: &str, seed: u64| xxh3_64_with_seed(text.as_bytes(), seed);
        let mut content =
            Content { texts: recorded_at.map_or(0, |text| hash(text, 1) as u32), values: 0.0, scale: 0.0 };
        for (name, value) in metrics {
            let name = hash(name, 2);
            // A weight of 1 to 2, so that values cannot be exchanged between metrics unnoticed.
            let weight = 1.0 + (name >> 40) as f64 / (1u64 << 24) as f64;
            content.texts = content.texts.wrapping_add(name as u32 | 1);
            content.values += weight * value;
            content.scale += weight * value.abs();
        }
        content
    }

    /// Folds values that are in the units of `unit` by metric; `None` means that a value is stored as it was sent.
    pub fn measured<'m, 'u>(
        recorded_at: Option<&str>,
        metrics: &[(&'m str, f64)],
        unit: impl Fn(&str) -> Option<&'u str>,
    ) -> Self {
        let convert = |(name, value): &(&'m str, f64)| (*name, unit(name).map_or(*value, |unit| convert(unit, *value)));
        Content::canonical(recorded_at, metrics.iter().map(convert))
    }

    /// What is stored of it: (texts, values).
    pub(super) fn stored(self) -> (u32, f64) {
        (self.texts, self.values)
    }

    /// What was stored. Its scale is unknown, so it is the expectation of a comparison, never the other side.
    pub(super) fn expected((texts, values): (u32, f64)) -> Self {
        Content { texts, values, scale: 0.0 }
    }

    /// Whether `found`, with values in canonical units, says the same.
    pub fn agrees_with(&self, found: &Content) -> bool {
        let compared = !self.values.is_nan();
        self.texts == found.texts && (!compared || (self.values - found.values).abs() <= TOLERANCE * found.scale)
    }
}

/// A value in its canonical unit: temperatures in degrees Celsius, pressures in kilopascal, speeds in metres a second. Not a
/// number for a unit that is unknown here.
fn convert(unit: &str, value: f64) -> f64 {
    match unit {
        "celsius" | "degC" | "kPa" | "kpa" => value,
        "fahrenheit" | "degF" => (value - 32.0) * 5.0 / 9.0,
        "kelvin" | "K" => value - 273.15,
        "bar" => value * 100.0,
        "mbar" | "hPa" => value / 10.0,
        "Pa" => value / 1_000.0,
        "MPa" => value * 1_000.0,
        "mm/s" => value / 1_000.0,
        "km/h" => value / 3.6,
        "m/s" | "l/min" | "kW" | "kWh" | "V" | "deg" | "percent" | "count" => value,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(recorded_at: Option<&str>, metrics: &[(&str, f64)]) -> Content {
        let unit = |name: &str| match name {
            "pressure" => Some("bar"),
            "outside" => Some("fahrenheit"),
            "mood" => Some("furlong"),
            _ => None,
        };
        Content::expected(Content::measured(recorded_at, metrics, unit).stored())
    }

    fn agrees(sent: Content, recorded_at: Option<&str>, found: &[(&str, f64)]) -> bool {
        sent.agrees_with(&Content::canonical(recorded_at, found.iter().copied()))
    }

    #[test]
    fn the_same_values_in_canonical_units_agree_in_any_order() {
        let reading = sent(None, &[("temp", 21.5), ("pressure", 3.07), ("outside", 50.0)]);
        assert!(agrees(reading, None, &[("outside", 10.0), ("pressure", 307.0), ("temp", 21.5)]));
        assert!(agrees(sent(Some("2014-02-14"), &[("value", 0.0)]), Some("2014-02-14"), &[("value", 0.0)]));
    }

    #[test]
    fn every_change_is_noticed() {
        let reading = sent(Some("2014-02-14"), &[("temp", 21.5), ("pressure", 3.0)]);
        for (recorded_at, found) in [
            (None, vec![("temp", 21.5), ("pressure", 300.0)]),
            (Some("2014-02-15"), vec![("temp", 21.5), ("pressure", 300.0)]),
            (Some("2014-02-14"), vec![("temp", 21.5)]),
            (Some("2014-02-14"), vec![("temp", 21.5), ("pressure", 300.0), ("extra", 0.0)]),
            (Some("2014-02-14"), vec![("tmp", 21.5), ("pressure", 300.0)]),
            (Some("2014-02-14"), vec![("temp", 21.500_01), ("pressure", 300.0)]),
            (Some("2014-02-14"), vec![("temp", 300.0), ("pressure", 21.5)]),
            (Some("2014-02-14"), vec![("temp", 21.5), ("pressure", 3.0)]),
            (Some("2014-02-14"), vec![("temp", 0.0), ("pressure", 0.0)]),
            (Some("2014-02-14"), vec![("temp", f64::NAN), ("pressure", 300.0)]),
        ] {
            assert!(!agrees(reading, recorded_at, &found), "{recorded_at:?} {found:?}");
        }
    }

    #[test]
    fn values_in_an_unknown_unit_are_not_compared_but_their_names_are() {
        let reading = sent(None, &[("mood", 7.0)]);
        assert!(agrees(reading, None, &[("mood", 1.0)]));
        assert!(!agrees(reading, None, &[("temper", 7.0)]));
    }
}
