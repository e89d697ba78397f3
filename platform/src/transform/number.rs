//! Numbers of JSON.

/// The double nearest to a number of JSON. `serde_json` by itself may be off by one in the last place, and then a value would
/// not be the same after every step of its way.
pub(super) fn double(json: &str) -> Result<f64, &'static str> {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => json.parse().ok().filter(|n: &f64| n.is_finite()).ok_or("number out of range"),
        _ => Err("a metric is not a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finite_number_is_one() {
        for (json, expected) in [
            ("21.5", Ok(21.5)),
            ("-0", Ok(-0.0)),
            ("1e3", Ok(1000.0)),
            ("1e999", Err("number out of range")),
            ("null", Err("a metric is not a number")),
            ("\"21.5\"", Err("a metric is not a number")),
            ("", Err("a metric is not a number")),
        ] {
            assert_eq!(double(json), expected, "{json}");
        }
    }
}
