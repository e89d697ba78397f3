//! Numbers of the rules engine: decimals of at most 34 digits, as AWS documents them.

use std::cmp::Ordering;
use std::fmt;

/// Digits that a number can have.
const DIGITS_MAX: i64 = 34;
/// Ten to the power of [`DIGITS_MAX`].
const LIMIT: i128 = 10_i128.pow(34);
/// Half of the digits, as a factor.
const HALF: i128 = 10_i128.pow(17);
/// The largest magnitude is 9.99...E999, the smallest 1E-999.
const EXPONENT_MAX: i64 = 999;
/// Digits in front of the point, and behind it, that are written without an exponent. It is more than what the fast form
/// of `SELECT *` copies, so that both forms write the same.
const PLAIN_MAX: i64 = 40;

/// A decimal number, `mantissa * 10^exponent`. Always in one form, so that equal numbers are equal values: whole numbers of
/// at most 34 digits (10.0 too) have exponent 0 and are what AWS calls Int; fractions have no zeros at the end; larger
/// numbers have all 34 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    mantissa: i128,
    exponent: i32,
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Number { mantissa: i128::from(value), exponent: 0 }
    }
}

impl Number {
    /// Nought.
    pub const ZERO: Number = Number { mantissa: 0, exponent: 0 };

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
        Number::exact(mantissa, exponent - i64::try_from(fraction.len()).ok()?)
    }

    /// A whole number; `None` when it has more than 34 digits.
    pub fn int(value: i128) -> Option<Number> {
        (value.unsigned_abs() < LIMIT.unsigned_abs()).then_some(Number { mantissa: value, exponent: 0 })
    }

    /// The shortest decimal that a double stands for; `None` when it is no number or does not fit.
    pub fn from_f64(value: f64) -> Option<Number> {
        if value.is_finite() { Number::parse(&format!("{value:e}")) } else { None }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent).parse().expect("this is how doubles are written")
    }

    /// The number in its one form; `None` when it does not fit without rounding.
    fn exact(mut mantissa: i128, mut exponent: i64) -> Option<Number> {
        if mantissa == 0 {
            return Some(Number::ZERO);
        }
        while mantissa % 10 == 0 && (exponent < 0 || mantissa.abs() >= LIMIT) {
            mantissa /= 10;
            exponent += 1;
        }
        if mantissa.abs() >= LIMIT {
            return None;
        }
        while exponent > 0 && mantissa.abs() < LIMIT / 10 {
            mantissa *= 10;
            exponent -= 1;
        }
        let magnitude = digits(mantissa) - 1 + exponent;
        let fits = (-EXPONENT_MAX..=EXPONENT_MAX).contains(&magnitude);
        if fits { Some(Number { mantissa, exponent: i32::try_from(exponent).ok()? }) } else { None }
    }

    /// The result of an operation, rounded half away from zero to 34 digits; `None` when it is out of range.
    fn rounded(mantissa: i128, exponent: i64) -> Option<Number> {
        let surplus = (digits(mantissa) - DIGITS_MAX).max(0);
        let divisor = 10_i128.pow(u32::try_from(surplus).ok()?);
        Number::exact(divide_half_up(mantissa, divisor), exponent + surplus)
    }

    /// Whether the number is whole and has at most 34 digits.
    pub fn is_int(self) -> bool {
        self.exponent == 0
    }

    /// Whether the number is nought.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> i128 {
        self.mantissa.signum()
    }

    /// The value of a whole number of at most 34 digits.
    pub fn to_i128(self) -> Option<i128> {
        self.is_int().then_some(self.mantissa)
    }

    /// The number rounded down, as an index: numbers beyond the range of `i64` are its ends.
    pub fn index(self) -> i64 {
        let floor = self.floor();
        let ends = if floor.sign() < 0 { i64::MIN } else { i64::MAX };
        floor.to_i128().and_then(|value| i64::try_from(value).ok()).unwrap_or(ends)
    }

    /// The sum.
    pub fn add(self, other: Number) -> Option<Number> {
        if self.is_int() && other.is_int() {
            return Number::int(self.mantissa + other.mantissa);
        }
        if let Some((a, b, exponent)) = self.align(other)
            && let Some(sum) = a.checked_add(b)
        {
            return Number::rounded(sum, exponent);
        }
        // Far apart: the smaller one counts with three digits beyond the 34 of the larger one.
        let (large, small) = if self.magnitude() >= other.magnitude() { (self, other) } else { (other, self) };
        if large.is_zero() || small.is_zero() {
            return Some(if large.is_zero() { small } else { large });
        }
        let room = 37 - digits(large.mantissa);
        let exponent = i64::from(large.exponent) - room;
        let shifted = large.mantissa * 10_i128.pow(u32::try_from(room).ok()?);
        let small = i64::from(small.exponent) - exponent;
        let other = if large == self { other } else { self };
        Number::rounded(shifted + shift(other.mantissa, small), exponent)
    }

    /// The difference.
    pub fn subtract(self, other: Number) -> Option<Number> {
        self.add(other.negate())
    }

    /// The product.
    pub fn multiply(self, other: Number) -> Option<Number> {
        let exponent = i64::from(self.exponent) + i64::from(other.exponent);
        if self.is_int() && other.is_int() {
            return Number::int(self.mantissa.checked_mul(other.mantissa)?);
        }
        if let Some(product) = self.mantissa.checked_mul(other.mantissa) {
            return Number::rounded(product, exponent);
        }
        // 68 digits as two times 34.
        let (a, b) = (self.mantissa.abs(), other.mantissa.abs());
        let (a1, a0, b1, b0) = (a / HALF, a % HALF, b / HALF, b % HALF);
        let middle = a1 * b0 + a0 * b1;
        let low = a0 * b0 + (middle % HALF) * HALF;
        let high = a1 * b1 + middle / HALF + low / LIMIT;
        let low = low % LIMIT;
        let kept = digits(high);
        let cut = 10_i128.pow(u32::try_from(kept).ok()?);
        let mut mantissa = high * (LIMIT / cut) + low / cut;
        mantissa += i128::from(low % cut * 2 >= cut);
        Number::exact(mantissa * self.sign() * other.sign(), exponent + kept)
    }

    /// The quotient: between whole numbers the integer division, else a decimal. `None` when `other` is zero.
    pub fn divide(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        if self.is_int() && other.is_int() {
            return Number::int(self.mantissa / other.mantissa);
        }
        self.divide_decimals(other)
    }

    /// The quotient as a decimal, of whole numbers too. `None` when `other` is zero.
    pub fn divide_decimals(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        let (a, b) = (self.mantissa.abs(), other.mantissa.abs());
        let (mut quotient, mut rest) = (a / b, a % b);
        let mut exponent = i64::from(self.exponent) - i64::from(other.exponent);
        while rest != 0 && quotient < LIMIT * 10 {
            rest *= 10;
            quotient = quotient * 10 + rest / b;
            rest %= b;
            exponent -= 1;
        }
        Number::rounded(quotient * self.sign() * other.sign(), exponent)
    }

    /// The remainder, with the sign of the dividend. `None` when `other` is zero.
    pub fn remainder(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        if let Some((a, b, exponent)) = self.align(other) {
            return Number::exact(a % b, exponent);
        }
        if self.exponent < other.exponent {
            // The divisor is larger than any number of the dividend's exponent.
            return Some(self);
        }
        let divisor = other.mantissa.abs();
        let mut rest = self.mantissa.abs() % divisor;
        for _ in 0..self.exponent - other.exponent {
            rest = rest * 10 % divisor;
        }
        Number::exact(rest * self.sign(), i64::from(other.exponent))
    }

    /// The number with the other sign.
    pub fn negate(self) -> Number {
        Number { mantissa: -self.mantissa, exponent: self.exponent }
    }

    /// The largest whole number that is not greater.
    pub fn floor(self) -> Number {
        self.to_whole(i128::div_euclid)
    }

    /// The smallest whole number that is not less.
    pub fn ceil(self) -> Number {
        self.negate().floor().negate()
    }

    /// The nearest whole number; halves are rounded away from zero.
    pub fn round(self) -> Number {
        self.to_whole(divide_half_up)
    }

    fn to_whole(self, divide: fn(i128, i128) -> i128) -> Number {
        if self.exponent >= 0 {
            return self;
        }
        // Beyond 38 places the quotient is the same as with 38: the mantissa has at most 34 digits.
        let places = self.exponent.unsigned_abs().min(38);
        Number { mantissa: divide(self.mantissa, 10_i128.pow(places)), exponent: 0 }
    }

    /// The number without the digits behind so many places.
    pub fn truncate(self, places: u32) -> Number {
        let surplus = -i64::from(self.exponent) - i64::from(places);
        if surplus <= 0 {
            return self;
        }
        let surplus = u32::try_from(surplus.min(38)).expect("at most 38");
        Number::exact(self.mantissa / 10_i128.pow(surplus), -i64::from(places)).unwrap_or(Number::ZERO)
    }

    /// Compares two numbers by value.
    pub fn compare(self, other: Number) -> Ordering {
        let size = || match self.magnitude().cmp(&other.magnitude()) {
            // Numbers of one size differ by less than 34 in their exponents.
            Ordering::Equal => self.align(other).map_or(Ordering::Equal, |(a, b, _)| a.abs().cmp(&b.abs())),
            unequal => unequal,
        };
        match (self.sign(), other.sign()) {
            (1, 1) => size(),
            (-1, -1) => size().reverse(),
            (a, b) => a.cmp(&b),
        }
    }

    /// The exponent of the first digit.
    fn magnitude(self) -> i64 {
        if self.is_zero() { i64::MIN } else { digits(self.mantissa) - 1 + i64::from(self.exponent) }
    }

    /// Both mantissas for one exponent.
    fn align(self, other: Number) -> Option<(i128, i128, i64)> {
        let exponent = self.exponent.min(other.exponent);
        let scaled = |number: Number| {
            let factor = 10_i128.checked_pow(u32::try_from(number.exponent - exponent).ok()?)?;
            number.mantissa.checked_mul(factor)
        };
        Some((scaled(self)?, scaled(other)?, i64::from(exponent)))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exponent == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let length = i64::try_from(digits.len()).expect("at most 34");
        if self.exponent > 0 && length + i64::from(self.exponent) <= PLAIN_MAX {
            return write!(f, "{sign}{digits}{}", "0".repeat(self.exponent.unsigned_abs() as usize));
        }
        if self.exponent < 0 && -i64::from(self.exponent) <= PLAIN_MAX {
            let scale = self.exponent.unsigned_abs() as usize;
            return match digits.len().checked_sub(scale) {
                Some(whole @ 1..) => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
                _ => write!(f, "{sign}0.{digits:0>scale$}"),
            };
        }
        let (first, rest) = digits.split_at(1);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{sign}{first}{point}{rest}E{:+}", length - 1 + i64::from(self.exponent))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 4 {
        return None;
    }
    Some(if digits.is_empty() { 0 } else { sign * digits.parse::<i64>().ok()? })
}

/// How many digits a mantissa has; nought has one.
fn digits(mantissa: i128) -> i64 {
    i64::from(mantissa.unsigned_abs().checked_ilog10().unwrap_or(0)) + 1
}

/// A mantissa times ten to the power of `by`. Digits that are lost leave a trace in the last one that is kept, so that a
/// half stays more than a half.
fn shift(mantissa: i128, by: i64) -> i128 {
    match u32::try_from(by) {
        Ok(by) => mantissa * 10_i128.pow(by),
        Err(_) if by < -38 => mantissa.signum(),
        Err(_) => {
            let divisor = 10_i128.pow(u32::try_from(-by).expect("at most 38"));
            let (kept, lost) = (mantissa / divisor, mantissa % divisor);
            if lost != 0 && kept % 5 == 0 { kept + mantissa.signum() } else { kept }
        }
    }
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
