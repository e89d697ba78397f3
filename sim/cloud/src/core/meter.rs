//! Counts of what the account was asked to do: calls, refusals, throttles, bytes.

use std::collections::BTreeMap;

use super::error::AwsError;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused because of a rate or a quota.
    Throttled,
    /// Refused or failed for any other reason.
    Error,
}

impl From<&AwsError> for Outcome {
    fn from(error: &AwsError) -> Self {
        match error.status {
            // That nothing has changed is an answer.
            304 => Outcome::Ok,
            _ if error.is_throttle() => Outcome::Throttled,
            _ => Outcome::Error,
        }
    }
}

/// Counts of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that were done.
    pub ok: u64,
    /// Calls refused by a rate or quota.
    pub throttled: u64,
    /// Calls that ended in any other error.
    pub error: u64,
}

/// Counters of the account. Names are AWS's: (`kinesis`, `PutRecords`).
#[derive(Clone, Debug, Default)]
pub struct Meter {
    calls: BTreeMap<(&'static str, &'static str), Calls>,
    /// Places of the counters among the values.
    places: BTreeMap<(&'static str, &'static str), usize>,
    values: Vec<u64>,
    /// Places of names that were added to before, by where the name lies in memory: a stream of records adds to few names,
    /// again and again.
    known: [Option<Known>; KNOWN],
}

/// How many places are known at a glance.
const KNOWN: usize = 32;

/// A counter's name, as text lies in memory, and its place.
#[derive(Clone, Copy, Debug)]
struct Known {
    service: &'static str,
    name: &'static str,
    place: usize,
}

impl Known {
    fn is_of(&self, service: &'static str, name: &'static str) -> bool {
        std::ptr::eq(self.service, service) && std::ptr::eq(self.name, name)
    }
}

impl Meter {
    /// Counts one call.
    pub fn call(&mut self, service: &'static str, operation: &'static str, outcome: Outcome) {
        let calls = self.calls.entry((service, operation)).or_default();
        match outcome {
            Outcome::Ok => calls.ok += 1,
            Outcome::Throttled => calls.throttled += 1,
            Outcome::Error => calls.error += 1,
        }
    }

    /// Counts one call whose names come from a request. A name that was never counted before is kept for the life of the
    /// process: there are as many as there are operations.
    pub fn call_named(&mut self, service: &str, operation: &str, outcome: Outcome) {
        let known = self.calls.keys().find(|known| **known == (service, operation)).copied();
        let kept = |name: &str| -> &'static str { name.to_owned().leak() };
        let (service, operation) = known.unwrap_or_else(|| (kept(service), kept(operation)));
        self.call(service, operation, outcome);
    }

    /// Adds to a counter that is not a call: bytes, records, objects. `name` ends with its unit where it has one.
    pub fn add(&mut self, service: &'static str, name: &'static str, value: u64) {
        *self.counter(service, name) += value;
    }

    /// Keeps the greatest value of a measure. `name` ends with its unit where it has one.
    pub fn highest(&mut self, service: &'static str, name: &'static str, value: u64) {
        let kept = self.counter(service, name);
        *kept = (*kept).max(value);
    }

    fn counter(&mut self, service: &'static str, name: &'static str) -> &mut u64 {
        let known = &mut self.known[name.as_ptr() as usize / 8 % KNOWN];
        let place = match known {
            Some(known) if known.is_of(service, name) => known.place,
            _ => {
                let place = *self.places.entry((service, name)).or_insert(self.values.len());
                if place == self.values.len() {
                    self.values.push(0);
                }
                *known = Some(Known { service, name, place });
                place
            }
        };
        &mut self.values[place]
    }

    /// All calls so far, ordered by (service, operation).
    pub fn calls(&self) -> &BTreeMap<(&'static str, &'static str), Calls> {
        &self.calls
    }

    /// All other counters so far, ordered by (service, name).
    pub fn counters(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.places.iter().map(|(names, place)| (*names, self.values[*place])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_equal_names_are_one_wherever_the_names_lie() {
        let mut meter = Meter::default();
        let names: Vec<&'static str> =
            (0..200).map(|n| -> &'static str { format!("name-{}", n % 50).leak() }).collect();
        for (value, name) in (1..).zip(&names) {
            meter.add("s", name, value);
            meter.add("t", name, 1);
        }
        let counters = meter.counters();
        assert_eq!(counters.len(), 100);
        for n in 0..50 {
            // n + 1 + (n + 51) + (n + 101) + (n + 151)
            assert_eq!(counters[&("s", names[n])], 4 * n as u64 + 304);
            assert_eq!(counters[&("t", names[n])], 4);
        }
    }
}
