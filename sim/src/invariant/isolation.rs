//! Tenants are kept apart at every hop: whatever names a tenant and a device must name the device's own tenant, and what
//! intruders tried must have come to nothing.

use std::collections::BTreeMap;

use record::ReadingId;

use super::{TENANT_ISOLATION, Violation};
use crate::fleet::Truth;

/// A place on the way where a tenant's data is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// A topic of the broker: what somebody who is not its owner published there, or heard.
    Topic,
    /// A record of the raw stream, as it was delivered to the lake.
    Record,
    /// A row of a file of the lake.
    Row,
    /// An object that names whose it is: the quarantine, anomalies, what rules could not store.
    Object,
    /// An answer of Athena.
    QueryResult,
    /// A line that a function logged.
    LogLine,
}

impl Hop {
    fn what(self) -> &'static str {
        match self {
            Hop::Topic => "went through at the broker",
            Hop::Record => "records of the raw stream bear another tenant than their device's",
            Hop::Row => "rows of the lake bear another tenant than their device's",
            Hop::Object => "entries of objects bear another tenant than their device's",
            Hop::QueryResult => "rows that Athena answers with bear another tenant than their device's",
            Hop::LogLine => "log lines name a device together with another tenant",
        }
    }
}

/// How many examples a violation names before it says "and so on".
const NAMED_MAX: usize = 4;

/// What was seen at the hops of a run.
pub struct Isolation<'t> {
    truth: &'t Truth,
    tenant_of: BTreeMap<&'t str, &'t str>,
    crossed: BTreeMap<Hop, Crossed>,
}

#[derive(Default)]
struct Crossed {
    count: u64,
    named: Vec<String>,
    first: Option<ReadingId>,
}

impl<'t> Isolation<'t> {
    /// Nothing is seen yet but what intruders came to.
    pub fn new(truth: &'t Truth) -> Self {
        let devices = 0..u32::try_from(truth.device_count()).expect("fewer devices than 2^32");
        let tenant_of = devices.map(|index| truth.device(index)).map(|(tenant, device)| (device, tenant)).collect();
        let mut isolation = Isolation { truth, tenant_of, crossed: BTreeMap::new() };
        for intrusion in &truth.intrusions().through {
            isolation.note(Hop::Topic, intrusion.clone(), None);
        }
        isolation
    }

    /// Something at `hop` names this tenant and this device. What names a device that is nobody's is another promise.
    pub fn seen(&mut self, hop: Hop, tenant: &str, device: &str, seq: Option<u64>) {
        if self.truth.find(tenant, device).is_some() {
            return;
        }
        let Some(own) = self.tenant_of.get(device).filter(|own| **own != tenant) else { return };
        let what = match seq {
            Some(seq) => format!("{tenant}/{device} seq {seq}, a device of {own}"),
            None => format!("{tenant}/{device}, a device of {own}"),
        };
        let reading = seq.map(|seq| ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq });
        self.note(hop, what, reading);
    }

    /// A log line that names a device and another tenant.
    pub fn logged(&mut self, line: &str) {
        self.note(Hop::LogLine, line.to_owned(), None);
    }

    fn note(&mut self, hop: Hop, what: String, reading: Option<ReadingId>) {
        let crossed = self.crossed.entry(hop).or_default();
        crossed.count += 1;
        if crossed.named.len() < NAMED_MAX {
            crossed.named.push(what);
        }
        if crossed.first.is_none() {
            crossed.first = reading;
        }
    }

    /// Broken promises.
    pub fn violations(&self) -> Vec<Violation> {
        let violation = |(hop, crossed): (&Hop, &Crossed)| {
            let more = if crossed.count > crossed.named.len() as u64 { ", …" } else { "" };
            let message = format!("{} {}: {}{more}", crossed.count, hop.what(), crossed.named.join(", "));
            Violation { invariant: TENANT_ISOLATION, message, reading: crossed.first.clone() }
        };
        self.crossed.iter().map(violation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::time::Time;

    #[test]
    fn a_device_under_another_tenant_is_told_at_its_hop_and_strangers_are_not() {
        let mut truth = Truth::new(Time::EPOCH);
        truth.add_device("acme", "pump-1");
        truth.add_device("globex", "pump-2");
        let mut isolation = Isolation::new(&truth);
        for (tenant, device) in [("acme", "pump-1"), ("globex", "pump-2"), ("acme", "pump-9"), ("nobody", "pump-9")] {
            isolation.seen(Hop::Row, tenant, device, Some(1));
        }
        assert_eq!(isolation.violations(), []);
        isolation.seen(Hop::Row, "globex", "pump-1", Some(7));
        isolation.seen(Hop::Object, "nobody", "pump-2", None);
        let violations = isolation.violations();
        let messages: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
        let expected = [
            "1 rows of the lake bear another tenant than their device's: globex/pump-1 seq 7, a device of acme",
            "1 entries of objects bear another tenant than their device's: nobody/pump-2, a device of globex",
        ];
        assert_eq!(messages, expected);
        assert_eq!(violations[0].reading.as_ref().map(|id| id.seq), Some(7));
    }
}
