//! Numbers as DynamoDB keeps them: exact decimals of up to 38 significant digits.

/// Most significant digits of a number (DynamoDB facts, "Limits").
const DIGITS_MAX: usize = 38;

/// Exponents of ten of the first digit: 1E-130 to 9.99E+125 (developer guide, "Naming rules and data types").
const MAGNITUDE: std::ops::RangeInclusive<i64> = -130..=125;

/// A number in its one form: no leading and trailing zeros, no exponent, no `-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    text: String,
    /// Significant digits.
    digits: usize,
}

impl Number {
    /// The order of the numbers' values. (The derived order is that of their texts: a set needs only some order.)
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        fn parts(text: &str) -> (bool, &str, &str) {
            let unsigned = text.trim_start_matches('-');
            let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
            (unsigned.len() == text.len(), whole, fraction)
        }
        let ((positive, whole, fraction), (other_positive, other_whole, other_fraction)) =
            (parts(&self.text), parts(&other.text));
        if positive != other_positive {
            return positive.cmp(&other_positive);
        }
        // Neither has leading or trailing zeros, so that a longer whole part is larger, and texts compare as fractions.
        let magnitude = (whole.len(), whole, fraction).cmp(&(other_whole.len(), other_whole, other_fraction));
        if positive { magnitude } else { magnitude.reverse() }
    }

    /// Parses a number as clients write it. Answers the message of the refusal otherwise (texts unverified).
    pub fn parse(text: &str) -> Result<Self, String> {
        let unreadable = || match text {
            "" => "The parameter cannot be converted to a numeric value".to_owned(),
            _ => format!("The parameter cannot be converted to a numeric value: {text}"),
        };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(unreadable)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !all_digits || whole.len() + fraction.len() == 0 {
            return Err(unreadable());
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let leading_zeros = digits.len() - significant.len();
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Number { text: "0".to_owned(), digits: 1 });
        }
        if significant.len() > DIGITS_MAX {
            return Err("Attempting to store more than 38 significant digits in a Number".to_owned());
        }
        // Exponent of ten of the first significant digit.
        let magnitude = exponent + whole.len() as i64 - leading_zeros as i64 - 1;
        if magnitude > *MAGNITUDE.end() {
            return Err(
                "Number overflow. Attempting to store a number with magnitude larger than supported range".to_owned()
            );
        }
        if magnitude < *MAGNITUDE.start() {
            return Err(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range".to_owned()
            );
        }
        Ok(Number { text: plain(negative, significant, magnitude), digits: significant.len() })
    }

    /// The number without an exponent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes that count for an item's size: one for each two significant digits, one more, and one for a minus sign
    /// (the last is unverified).
    pub fn size_bytes(&self) -> usize {
        self.digits.div_ceil(2) + 1 + usize::from(self.text.starts_with('-'))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if well_formed { text.parse().ok() } else { None }
}

fn plain(negative: bool, significant: &str, magnitude: i64) -> String {
    let mut text = String::with_capacity(significant.len() + 4);
    if negative {
        text.push('-');
    }
    let whole = usize::try_from(magnitude + 1).unwrap_or(0);
    if whole == 0 {
        text.push_str("0.");
        let zeros = usize::try_from(-magnitude - 1).expect("the first digit lies behind the point");
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(significant);
    } else if whole >= significant.len() {
        text.push_str(significant);
        text.extend(std::iter::repeat_n('0', whole - significant.len()));
    } else {
        text.push_str(&significant[..whole]);
        text.push('.');
        text.push_str(&significant[whole..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_ordered_by_value() {
        let ascending = [
            "-1e20", "-10.5", "-10", "-9", "-0.5", "-0.05", "0", "1e-130", "0.05", "0.5", "9", "10", "10.05", "10.5",
            "1e20",
        ];
        let numbers: Vec<Number> = ascending.iter().map(|text| Number::parse(text).unwrap()).collect();
        for (i, left) in numbers.iter().enumerate() {
            for (j, right) in numbers.iter().enumerate() {
                assert_eq!(left.compare(right), i.cmp(&j), "{} {}", ascending[i], ascending[j]);
            }
        }
    }

    #[test]
    fn numbers_have_one_form() {
        let nines = "9".repeat(38);
        for (text, expected) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1.50", "1.5"),
            ("-1.50e2", "-150"),
            ("12300", "12300"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("0.001200", "0.0012"),
            ("1e-3", "0.001"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+4", "4"),
            ("0e999999999", "0"),
            (&nines, &nines),
        ] {
            assert_eq!(Number::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let too_long = "1".repeat(39);
        for (text, expected) in [
            ("", "cannot be converted"),
            ("abc", "numeric value: abc"),
            ("1 ", "cannot be converted"),
            ("-", "cannot be converted"),
            (".", "cannot be converted"),
            ("1e", "cannot be converted"),
            ("1e+", "cannot be converted"),
            ("1.2.3", "cannot be converted"),
            ("NaN", "cannot be converted"),
            ("0x10", "cannot be converted"),
            (&too_long, "38 significant digits"),
            ("1e126", "overflow"),
            ("-1e126", "overflow"),
            ("1e-131", "underflow"),
        ] {
            let error = Number::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(Number::parse("9.99e125").is_ok() && Number::parse("1e-130").is_ok());
    }

    #[test]
    fn sizes_count_two_digits_a_byte() {
        for (text, expected) in [("0", 2), ("7", 2), ("12", 2), ("123", 3), ("1000000", 2), ("-12", 3), ("0.001", 2)] {
            assert_eq!(Number::parse(text).unwrap().size_bytes(), expected, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_form_is_a_fixed_point_and_keeps_the_value(mantissa in -1_000_000_000_i64..1_000_000_000, exponent in -20_i32..20) {
            let text = format!("{mantissa}e{exponent}");
            let number = Number::parse(&text).unwrap();
            prop_assert_eq!(&Number::parse(number.as_str()).unwrap(), &number);
            let (kept, given): (f64, f64) = (number.as_str().parse().unwrap(), text.parse().unwrap());
            prop_assert_eq!(kept, given);
        }
    }
}
