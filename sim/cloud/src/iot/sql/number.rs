//! Numbers of the rules engine: exact decimals of at most 34 digits, as AWS documents them.

use std::cmp::Ordering;
use std::fmt;

/// Digits that a number can have.
const DIGITS_MAX: u32 = 34;
/// Ten to the power of [`DIGITS_MAX`].
const LIMIT: i128 = 10_i128.pow(DIGITS_MAX);
/// Digits behind the point that are kept; a number with more of them is not computed with.
const SCALE_MAX: u32 = 40;

/// A decimal number, `mantissa * 10^-scale`. Always in its shortest form, so that equal numbers are equal values and
/// whole numbers (10.0 too) have scale 0: those are what AWS calls Int.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    mantissa: i128,
    scale: u32,
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Number { mantissa: i128::from(value), scale: 0 }
    }
}

impl Number {
    /// Reads `-?digits[.digits][e[+-]digits]`. `None` when the text has another form or does not fit.
    pub fn parse(text: &str) -> Option<Number> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (decimal, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match decimal.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (decimal, ""),
        };
        let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        let scale = i64::try_from(fraction.len()).ok()? - exponent;
        Number::exact(mantissa, scale)
    }

    /// The number in its shortest form; `None` when it does not fit without rounding.
    fn exact(mut mantissa: i128, mut scale: i64) -> Option<Number> {
        if mantissa == 0 {
            return Some(Number { mantissa: 0, scale: 0 });
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        if scale < 0 {
            mantissa = mantissa.checked_mul(10_i128.checked_pow(u32::try_from(-scale).ok()?)?)?;
            scale = 0;
        }
        let scale = u32::try_from(scale).ok()?;
        (mantissa.abs() < LIMIT && scale <= SCALE_MAX).then_some(Number { mantissa, scale })
    }

    /// The result of an operation, rounded half away from zero to what can be kept; `None` when it is too large.
    fn rounded(mantissa: i128, scale: i64) -> Option<Number> {
        let digits = i64::from(mantissa.unsigned_abs().checked_ilog10().unwrap_or(0)) + 1;
        let surplus = (digits - i64::from(DIGITS_MAX)).max(scale - i64::from(SCALE_MAX)).min(scale).max(0);
        if surplus > 38 {
            return Some(Number { mantissa: 0, scale: 0 });
        }
        let divisor = 10_i128.pow(u32::try_from(surplus).ok()?);
        Number::exact(divide_half_up(mantissa, divisor), scale - surplus)
    }

    /// Whether the number is whole.
    pub fn is_int(self) -> bool {
        self.scale == 0
    }

    /// The sum.
    pub fn add(self, other: Number) -> Option<Number> {
        let (a, b, scale) = self.align(other)?;
        Number::rounded(a.checked_add(b)?, i64::from(scale))
    }

    /// The difference.
    pub fn subtract(self, other: Number) -> Option<Number> {
        self.add(other.negate())
    }

    /// The product.
    pub fn multiply(self, other: Number) -> Option<Number> {
        Number::rounded(self.mantissa.checked_mul(other.mantissa)?, i64::from(self.scale + other.scale))
    }

    /// The quotient: between whole numbers the integer division, else a decimal. `None` when `other` is zero.
    pub fn divide(self, other: Number) -> Option<Number> {
        if other.mantissa == 0 {
            return None;
        }
        if self.is_int() && other.is_int() {
            return Number::exact(self.mantissa / other.mantissa, 0);
        }
        let room = 37 - self.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0);
        let scaled = self.mantissa.checked_mul(10_i128.pow(room))?;
        let scale = i64::from(self.scale) + i64::from(room) - i64::from(other.scale);
        let quotient = divide_half_up(scaled, other.mantissa);
        if scale < 0 { Number::exact(quotient, scale) } else { Number::rounded(quotient, scale) }
    }

    /// The remainder, with the sign of the dividend. `None` when `other` is zero.
    pub fn remainder(self, other: Number) -> Option<Number> {
        let (a, b, scale) = self.align(other)?;
        Number::exact(a.checked_rem(b)?, i64::from(scale))
    }

    /// The number with the other sign.
    pub fn negate(self) -> Number {
        Number { mantissa: -self.mantissa, scale: self.scale }
    }

    /// Compares two numbers by value.
    pub fn compare(self, other: Number) -> Ordering {
        match self.align(other) {
            Some((a, b, _)) => a.cmp(&b),
            // Only one of the two can be that large: its sign and size decide.
            None => self.to_f64().total_cmp(&other.to_f64()),
        }
    }

    fn align(self, other: Number) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let a = self.mantissa.checked_mul(10_i128.checked_pow(scale - self.scale)?)?;
        let b = other.mantissa.checked_mul(10_i128.checked_pow(scale - other.scale)?)?;
        Some((a, b, scale))
    }

    fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10_f64.powi(self.scale as i32)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let (digits, scale) = (self.mantissa.unsigned_abs().to_string(), self.scale as usize);
        match digits.len().checked_sub(scale) {
            Some(whole @ 1..) => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "{sign}0.{digits:0>scale$}"),
        }
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok().map(|value| sign * value)
}

fn divide_half_up(dividend: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    let up = remainder.unsigned_abs() >= divisor.unsigned_abs() - remainder.unsigned_abs();
    if remainder == 0 || !up {
        quotient
    } else if (dividend < 0) == (divisor < 0) {
        quotient + 1
    } else {
        quotient - 1
    }
}
