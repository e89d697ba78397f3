//! Canonical units: each quantity has one, so that values of different devices can be compared.

use std::sync::LazyLock;

/// How a value becomes canonical: `value * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conversion {
    factor: f64,
    offset: f64,
}

impl Conversion {
    /// The value in the canonical unit of its quantity.
    pub fn apply(self, value: f64) -> f64 {
        value * self.factor + self.offset
    }
}

/// (name of a unit, factor, offset) to the canonical unit of its kind.
type Conversions = &'static [(&'static str, f64, f64)];

/// Units by canonical unit: (name, factor, offset). Names are exact: case matters, as in mW and MW.
///
/// Factors are exact by definition (SI, international yard and pound of 1959, US gallon of 231 cubic inches) unless
/// they are quotients.
const UNITS: [(&str, Conversions); 20] = [
    (
        "celsius",
        &[
            ("celsius", 1.0, 0.0),
            ("degC", 1.0, 0.0),
            ("fahrenheit", 5.0 / 9.0, -160.0 / 9.0),
            ("degF", 5.0 / 9.0, -160.0 / 9.0),
            ("kelvin", 1.0, -273.15),
            ("K", 1.0, -273.15),
        ],
    ),
    (
        "kPa",
        &[
            ("kPa", 1.0, 0.0),
            ("kpa", 1.0, 0.0),
            ("Pa", 0.001, 0.0),
            ("hPa", 0.1, 0.0),
            ("mbar", 0.1, 0.0),
            ("bar", 100.0, 0.0),
            ("MPa", 1000.0, 0.0),
            ("psi", PSI_KPA, 0.0),
            ("atm", 101.325, 0.0),
        ],
    ),
    (
        "m/s",
        &[
            ("m/s", 1.0, 0.0),
            ("mm/s", 0.001, 0.0),
            ("km/h", 1.0 / 3.6, 0.0),
            ("mph", 0.447_04, 0.0),
            ("ft/s", 0.304_8, 0.0),
            ("knot", 1852.0 / 3600.0, 0.0),
        ],
    ),
    (
        "m",
        &[
            ("m", 1.0, 0.0),
            ("mm", 0.001, 0.0),
            ("cm", 0.01, 0.0),
            ("km", 1000.0, 0.0),
            ("in", 0.025_4, 0.0),
            ("ft", 0.304_8, 0.0),
            ("mi", 1609.344, 0.0),
        ],
    ),
    (
        "kg",
        &[
            ("kg", 1.0, 0.0),
            ("g", 0.001, 0.0),
            ("t", 1000.0, 0.0),
            ("lb", 0.453_592_37, 0.0),
            ("oz", 0.028_349_523_125, 0.0),
        ],
    ),
    ("l", &[("l", 1.0, 0.0), ("L", 1.0, 0.0), ("ml", 0.001, 0.0), ("m3", 1000.0, 0.0), ("gal", GALLON_L, 0.0)]),
    ("l/min", &[("l/min", 1.0, 0.0), ("l/s", 60.0, 0.0), ("m3/h", 1000.0 / 60.0, 0.0), ("gpm", GALLON_L, 0.0)]),
    ("kW", &[("kW", 1.0, 0.0), ("mW", 1e-6, 0.0), ("W", 0.001, 0.0), ("MW", 1000.0, 0.0), ("hp", HORSEPOWER_KW, 0.0)]),
    (
        "kWh",
        &[
            ("kWh", 1.0, 0.0),
            ("Wh", 0.001, 0.0),
            ("MWh", 1000.0, 0.0),
            ("kJ", 1.0 / 3600.0, 0.0),
            ("MJ", 1.0 / 3.6, 0.0),
        ],
    ),
    ("V", &[("V", 1.0, 0.0), ("mV", 0.001, 0.0), ("kV", 1000.0, 0.0)]),
    ("A", &[("A", 1.0, 0.0), ("mA", 0.001, 0.0)]),
    ("Hz", &[("Hz", 1.0, 0.0), ("kHz", 1000.0, 0.0), ("rpm", 1.0 / 60.0, 0.0)]),
    ("percent", &[("percent", 1.0, 0.0), ("%", 1.0, 0.0), ("ratio", 100.0, 0.0)]),
    ("s", &[("s", 1.0, 0.0), ("ms", 0.001, 0.0), ("min", 60.0, 0.0), ("h", 3600.0, 0.0)]),
    ("m/s2", &[("m/s2", 1.0, 0.0), ("gn", 9.806_65, 0.0)]),
    ("deg", &[("deg", 1.0, 0.0), ("rad", 180.0 / std::f64::consts::PI, 0.0)]),
    ("ppm", &[("ppm", 1.0, 0.0), ("ppb", 0.001, 0.0)]),
    ("lx", &[("lx", 1.0, 0.0)]),
    ("dB", &[("dB", 1.0, 0.0)]),
    ("1", &[("1", 1.0, 0.0), ("count", 1.0, 0.0)]),
];

/// Pound-force per square inch: 0.45359237 kg x 9.80665 m/s2 / (0.0254 m)^2, in kPa.
const PSI_KPA: f64 = 0.453_592_37 * 9.806_65 / (0.025_4 * 0.025_4) / 1000.0;
/// US gallon: 231 cubic inches, in litres.
const GALLON_L: f64 = 3.785_411_784;
/// Mechanical horsepower: 550 foot-pounds a second, in kW.
const HORSEPOWER_KW: f64 = 550.0 * 0.304_8 * 0.453_592_37 * 9.806_65 / 1000.0;

/// All units by name: payloads of version 2 name one at every value.
static BY_NAME: LazyLock<Vec<(&'static str, Conversion)>> = LazyLock::new(|| {
    let all = UNITS.iter().flat_map(|(_, units)| units.iter());
    let mut all: Vec<_> = all.map(|&(name, factor, offset)| (name, Conversion { factor, offset })).collect();
    all.sort_by_key(|(name, _)| *name);
    all
});

/// The conversion of a unit, or nothing when the unit is not known.
pub(super) fn conversion(unit: &str) -> Option<Conversion> {
    let index = BY_NAME.binary_search_by(|(name, _)| (*name).cmp(unit)).ok()?;
    Some(BY_NAME[index].1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_points_convert() {
        for (value, unit, expected) in [
            (32.0, "fahrenheit", 0.0),
            (212.0, "fahrenheit", 100.0),
            (-40.0, "degF", -40.0),
            (273.15, "kelvin", 0.0),
            (14.695_948_775_513, "psi", 101.325),
            (1.0, "bar", 100.0),
            (60.0, "mph", 26.822_4),
            (36.0, "km/h", 10.0),
            (1.0, "mi", 1609.344),
            (1.0, "lb", 0.453_592_37),
            (1.0, "hp", 0.745_699_871_582_270_2),
            (3600.0, "kJ", 1.0),
            (900.0, "rpm", 15.0),
            (0.5, "ratio", 50.0),
            (21.5, "celsius", 21.5),
            (5.0, "mW", 0.000_005),
            (5.0, "MW", 5000.0),
        ] {
            let got = conversion(unit).unwrap_or_else(|| panic!("{unit} is known")).apply(value);
            assert!(
                (got - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                "{value} {unit} is {got}, not {expected}"
            );
        }
    }

    #[test]
    fn unknown_units_and_other_spellings_are_not_guessed() {
        for unit in ["", "furlong", "Celsius", "FAHRENHEIT", "PSI", "kw", " celsius"] {
            assert_eq!(conversion(unit), None, "{unit:?}");
        }
    }

    #[test]
    fn a_name_means_one_unit_and_a_canonical_unit_is_itself() {
        let mut names = BTreeSet::new();
        for (canonical, units) in UNITS {
            assert_eq!(conversion(canonical), Some(Conversion { factor: 1.0, offset: 0.0 }), "{canonical}");
            for (name, factor, offset) in units {
                assert!(names.insert(name), "{name} has two meanings");
                assert!(*factor > 0.0 && factor.is_finite() && offset.is_finite(), "{name}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn conversions_keep_order_and_can_be_undone(a in -1e6..1e6f64, b in -1e6..1e6f64) {
            for (_, units) in UNITS {
                for (name, factor, offset) in units {
                    let unit = conversion(name).expect("it is in the table");
                    if a < b {
                        prop_assert!(unit.apply(a) <= unit.apply(b), "{}", name);
                    }
                    let back = (unit.apply(a) - offset) / factor;
                    prop_assert!((back - a).abs() <= 1e-6 * a.abs().max(1000.0), "{}: {} came back as {}", name, a, back);
                }
            }
        }
    }
}
