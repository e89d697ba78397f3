//! Comparing what is in the quarantine with the messages that devices sent and that are no readings.

use std::collections::BTreeMap;

use super::quarantine::Refused;
use super::rule_errors::RuleError;
use super::{QUARANTINE, Violation};
use crate::fleet::{Stray, Truth};

/// How many messages a violation names before it says "and so on".
const NAMED_MAX: usize = 5;

/// The messages that are no readings, and which of them were found.
pub struct Strays<'t> {
    truth: &'t Truth,
    /// Number of the message by (device, hash of its bytes).
    known: BTreeMap<(u32, u64), usize>,
    found: Vec<bool>,
    strangers: u64,
    named: Vec<String>,
}

impl<'t> Strays<'t> {
    /// Nothing is found yet.
    pub fn new(truth: &'t Truth) -> Self {
        let strays = truth.strays();
        let known = strays.iter().enumerate().map(|(number, stray)| ((stray.device, stray.hash), number)).collect();
        Strays { truth, known, found: vec![false; strays.len()], strangers: 0, named: Vec::new() }
    }

    /// Takes one refused record that is no reading.
    pub fn found(&mut self, refused: &Refused) {
        let number = refused.message().and_then(|(tenant, device, payload)| {
            let device = self.truth.find(&tenant, &device)?;
            self.known.get(&(device, Stray::hash(&payload))).copied()
        });
        match number.filter(|_| !refused.reason.is_empty()) {
            Some(number) => self.found[number] = true,
            None => {
                self.strangers += 1;
                if self.named.len() < NAMED_MAX {
                    self.named.push(format!("{} ({})", String::from_utf8_lossy(&refused.data), refused.reason));
                }
            }
        }
    }

    /// Takes one message that the rule gave up because of a fault: its error action keeps it.
    pub fn left_at_the_rule(&mut self, message: &RuleError) {
        let device = self.truth.find(&message.tenant, &message.device);
        let number = device.and_then(|device| self.known.get(&(device, Stray::hash(&message.payload))));
        if let Some(number) = number {
            self.found[*number] = true;
        }
    }

    /// How many messages were found.
    pub fn kept(&self) -> u64 {
        self.found.iter().filter(|found| **found).count() as u64
    }

    fn lost(&self) -> impl Iterator<Item = (usize, &Stray)> {
        let owed = |stray: &Stray| stray.passes && stray.acknowledged_at.is_some();
        self.truth.strays().iter().enumerate().filter(move |(number, stray)| owed(stray) && !self.found[*number])
    }

    /// How many messages are owed to the quarantine and are not there.
    pub fn missing(&self) -> u64 {
        self.lost().count() as u64
    }

    /// Broken promises.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut broken = |count: u64, what: &str, named: &[String]| {
            if count > 0 {
                let more = if count > named.len() as u64 { ", …" } else { "" };
                let message = format!("{count} {what}: {}{more}", named.join(", "));
                violations.push(Violation { invariant: QUARANTINE, message, reading: None });
            }
        };
        let name = |(number, stray): (usize, &Stray)| {
            let (tenant, device) = self.truth.device(stray.device);
            format!("message {number} of {tenant}/{device}")
        };
        let lost: Vec<String> = self.lost().take(NAMED_MAX).map(name).collect();
        broken(self.missing(), "acknowledged messages that are no readings are not in the quarantine", &lost);
        broken(self.strangers, "records in the quarantine are nothing that a device sent", &self.named);
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::time::Time;

    const PASSED_ON: &str = r#"{"message":0}"#;

    /// Three messages of one device: one acknowledged, one acknowledged that no rule passes on, one only sent.
    fn truth() -> Truth {
        let mut truth = Truth::new(Time::EPOCH);
        let device = truth.add_device("acme", "pump-1");
        truth.add_device("acme", "pump-2");
        for (payload, passes) in [(PASSED_ON, true), ("message=1", false), (r#"{"message":2}"#, true)] {
            truth.stray_published(device, payload.as_bytes(), passes);
        }
        for number in [0, 1] {
            truth.stray_acknowledged(number, Time::from_unix_secs(1));
        }
        truth
    }

    #[test]
    fn what_the_rule_gave_up_is_not_owed_to_the_quarantine() {
        let truth = truth();
        let mut strays = Strays::new(&truth);
        assert_eq!(strays.missing(), 1);
        let left = |device: &str| RuleError {
            tenant: "acme".to_owned(),
            device: device.to_owned(),
            seq: None,
            payload: PASSED_ON.as_bytes().to_vec(),
            reason: "KinesisAction".to_owned(),
            stored: Time::from_unix_secs(9),
        };
        strays.left_at_the_rule(&left("pump-2"));
        assert_eq!(strays.missing(), 1, "another device's");
        strays.left_at_the_rule(&left("pump-1"));
        assert_eq!((strays.missing(), strays.violations()), (0, Vec::new()));
    }

    fn refused(payload: &str, device: &str, reason: &str) -> Refused {
        let own = payload.strip_suffix('}').expect("an object");
        let data = format!(r#"{own},"tenant_id":"acme","device_id":"{device}","received_at":5}}"#).into_bytes();
        Refused { reason: reason.to_owned(), data }
    }

    #[test]
    fn what_is_owed_once_or_more_often_and_what_was_only_sent_break_no_promise() {
        let truth = truth();
        let mut strays = Strays::new(&truth);
        assert_eq!((strays.missing(), strays.kept()), (1, 0));
        for payload in [PASSED_ON, PASSED_ON, r#"{"message":2}"#] {
            strays.found(&refused(payload, "pump-1", "seq-missing"));
        }
        assert_eq!((strays.missing(), strays.kept()), (0, 2));
        assert_eq!(strays.violations(), []);
    }

    #[test]
    fn what_is_not_kept_and_what_nobody_sent_are_told_apart() {
        let truth = truth();
        let mut strays = Strays::new(&truth);
        for (payload, device, reason) in [
            (r#"{"message":9}"#, "pump-1", "seq-missing"),
            (PASSED_ON, "pump-2", "seq-missing"),
            (PASSED_ON, "pump-9", "seq-missing"),
            (PASSED_ON, "pump-1", ""),
        ] {
            strays.found(&refused(payload, device, reason));
        }
        let messages: Vec<String> = strays.violations().into_iter().map(|violation| violation.message).collect();
        let [lost, strangers] = messages.as_slice() else { panic!("{messages:?}") };
        let expected =
            "1 acknowledged messages that are no readings are not in the quarantine: message 0 of acme/pump-1";
        assert_eq!(lost, expected);
        assert!(strangers.starts_with("4 records in the quarantine are nothing that a device sent: "), "{strangers}");
    }
}
