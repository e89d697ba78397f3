//! Conditions of statements: operators, sets of values, absent keys.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::pattern::{Pattern, Reading, matches, matches_arn};

/// How several values of a key in the request are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// The key has one value.
    One,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The values of a condition, as its operator reads them.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    Text {
        patterns: Vec<Pattern>,
        fold: bool,
    },
    Arn(Vec<Pattern>),
    Number(Vec<f64>, Order),
    /// Seconds since the Unix epoch.
    Date(Vec<f64>, Order),
    Bool(Vec<bool>),
    Binary(Vec<String>),
    Ip(Vec<(IpAddr, u32)>),
    /// Whether the key must be absent.
    Null(Vec<bool>),
}

/// One operator with one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    key: Box<str>,
    set: Set,
    if_exists: bool,
    negated: bool,
    values: Values,
}

/// What a request says of a key.
pub trait Lookup {
    /// The values of a key; `None` when the request has no such key.
    fn values(&self, key: &str) -> Option<Vec<String>>;

    /// The value of a variable: that of a key with one value.
    fn variable(&self, key: &str) -> Option<String> {
        let mut values = self.values(key)?;
        (values.len() == 1).then(|| values.remove(0))
    }
}

impl Condition {
    /// Reads a condition. `known` refuses keys that have no value here; `variables` says whether values have variables.
    pub fn parse(
        operator: &str,
        key: &str,
        values: &[String],
        variables: bool,
        known: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Condition, String> {
        known(key)?;
        let (set, name) = match operator.split_once(':') {
            None => (Set::One, operator),
            Some(("ForAllValues", name)) => (Set::All, name),
            Some(("ForAnyValue", name)) => (Set::Any, name),
            Some(_) => return Err(unknown(operator)),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (base, negated) = match name {
            "StringNotEquals" => ("StringEquals", true),
            "StringNotEqualsIgnoreCase" => ("StringEqualsIgnoreCase", true),
            "StringNotLike" => ("StringLike", true),
            "NumericNotEquals" => ("NumericEquals", true),
            "DateNotEquals" => ("DateEquals", true),
            "ArnNotEquals" | "ArnNotLike" => ("ArnLike", true),
            "NotIpAddress" => ("IpAddress", true),
            "ArnEquals" => ("ArnLike", false),
            other => (other, false),
        };
        if base == "Null" && (if_exists || set != Set::One) {
            return Err(unknown(operator));
        }
        let values = parse_values(base, values, variables, &known)?.ok_or_else(|| unknown(operator))?;
        Ok(Condition { key: key.into(), set, if_exists, negated, values })
    }

    /// Whether the condition is met; `None` when a variable has no value.
    pub fn is_met(&self, request: &dyn Lookup) -> Option<bool> {
        let given = request.values(&self.key);
        if let Values::Null(absent) = &self.values {
            return Some(absent.contains(&given.is_none()));
        }
        let Some(given) = given else {
            return Some(self.if_exists || self.set == Set::All || self.negated && self.set == Set::One);
        };
        // A negated operator with several values: the request's value must match none of them.
        let judge = |value: &String| self.any_matches(value, request).map(|found| found != self.negated);
        let judged: Vec<bool> = given.iter().map(judge).collect::<Option<_>>()?;
        Some(match self.set {
            Set::All => judged.iter().all(|met| *met),
            Set::One if self.negated => judged.iter().all(|met| *met),
            Set::One | Set::Any => judged.iter().any(|met| *met),
        })
    }

    /// Whether the condition is about this key.
    pub fn is_about(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    /// Whether the condition is about a key that `is_one` knows.
    pub fn is_about_any(&self, is_one: impl Fn(&str) -> bool) -> bool {
        is_one(&self.key)
    }

    fn any_matches(&self, given: &str, request: &dyn Lookup) -> Option<bool> {
        let variable = |key: &str| request.variable(key);
        match &self.values {
            Values::Text { patterns, fold } => {
                for pattern in patterns {
                    if matches(&pattern.symbols(&variable)?, given, *fold) {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Values::Arn(patterns) => {
                for pattern in patterns {
                    if matches_arn(&pattern.symbols(&variable)?, given) {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Values::Number(wanted, order) => Some(compare(given.parse().ok(), wanted, *order)),
            Values::Date(wanted, order) => Some(compare(date(given), wanted, *order)),
            Values::Bool(wanted) => Some(boolean(given).is_some_and(|given| wanted.contains(&given))),
            Values::Binary(wanted) => Some(wanted.iter().any(|wanted| wanted == given)),
            Values::Ip(ranges) => {
                let given: Option<IpAddr> = given.parse().ok();
                Some(given.is_some_and(|ip| ranges.iter().any(|range| contains(*range, ip))))
            }
            Values::Null(_) => Some(false),
        }
    }
}

fn unknown(operator: &str) -> String {
    format!("the condition operator {operator} does not exist")
}

fn parse_values(
    base: &str,
    values: &[String],
    variables: bool,
    known: &impl Fn(&str) -> Result<(), String>,
) -> Result<Option<Values>, String> {
    let patterns = |wildcards| -> Result<Vec<Pattern>, String> {
        values.iter().map(|text| Pattern::parse(text, Reading { variables, wildcards }, known)).collect()
    };
    let each = |parse: fn(&str) -> Option<f64>| -> Result<Vec<f64>, String> {
        let one = |text: &String| parse(text).ok_or_else(|| format!("{text:?} is no value of {base}"));
        values.iter().map(one).collect()
    };
    let truths = || -> Result<Vec<bool>, String> {
        values.iter().map(|text| boolean(text).ok_or_else(|| format!("{text:?} is neither true nor false"))).collect()
    };
    if let Some(order) = base.strip_prefix("Numeric").and_then(order) {
        return Ok(Some(Values::Number(each(|text| text.parse().ok())?, order)));
    }
    if let Some(order) = base.strip_prefix("Date").and_then(order) {
        return Ok(Some(Values::Date(each(date)?, order)));
    }
    Ok(Some(match base {
        "StringEquals" => Values::Text { patterns: patterns(false)?, fold: false },
        "StringEqualsIgnoreCase" => Values::Text { patterns: patterns(false)?, fold: true },
        "StringLike" => Values::Text { patterns: patterns(true)?, fold: false },
        "ArnLike" => Values::Arn(patterns(true)?),
        "Bool" => Values::Bool(truths()?),
        "BinaryEquals" => Values::Binary(values.to_vec()),
        "IpAddress" => Values::Ip(values.iter().map(|text| range(text)).collect::<Result<_, _>>()?),
        "Null" => Values::Null(truths()?),
        _ => return Ok(None),
    }))
}

fn order(name: &str) -> Option<Order> {
    Some(match name {
        "Equals" => Order::Equal,
        "LessThan" => Order::Less,
        "LessThanEquals" => Order::LessOrEqual,
        "GreaterThan" => Order::Greater,
        "GreaterThanEquals" => Order::GreaterOrEqual,
        _ => return None,
    })
}

fn compare(given: Option<f64>, wanted: &[f64], order: Order) -> bool {
    let Some(given) = given else { return false };
    wanted.iter().any(|wanted| match order {
        Order::Equal => given == *wanted,
        Order::Less => given < *wanted,
        Order::LessOrEqual => given <= *wanted,
        Order::Greater => given > *wanted,
        Order::GreaterOrEqual => given >= *wanted,
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// ISO 8601 with a time zone, a day alone, or seconds since the epoch.
fn date(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds);
    }
    let whole = if text.len() == "2026-03-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let date: DateTime<Utc> = whole.parse().ok()?;
    Some(date.timestamp_millis() as f64 / 1_000.0)
}

fn range(text: &str) -> Result<(IpAddr, u32), String> {
    let wrong = || format!("{text:?} is no range of addresses");
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
    if bits > most { Err(wrong()) } else { Ok((address, bits)) }
}

fn contains((network, bits): (IpAddr, u32), address: IpAddr) -> bool {
    let (network, address, most) = match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => (u128::from(n.to_bits()), u128::from(a.to_bits()), 32),
        (IpAddr::V6(n), IpAddr::V6(a)) => (n.to_bits(), a.to_bits(), 128),
        _ => return false,
    };
    let shift = most - bits;
    shift >= 128 || network >> shift == address >> shift
}
