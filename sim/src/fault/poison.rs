//! Readings that are poison: whatever function has one in its batch ends, before it has done anything, whoever tries it
//! again. Such a reading belongs into the failure destination, with its bytes, and nothing else does.

use std::collections::BTreeMap;

use rand::RngExt as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::world::seed::Seed;
use crate::world::time::Time;

/// A record of a stream that is a reading, as a function is given it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// Tenant.
    pub tenant: &'r str,
    /// Device.
    pub device: &'r str,
    /// Sequence number.
    pub seq: u64,
    /// When the rule took it.
    pub received: Time,
    /// Its bytes.
    pub data: &'r [u8],
}

/// Hashes of the records' bytes by tenant, device and sequence number: a reading that came twice has two.
type Hashes = BTreeMap<String, BTreeMap<String, BTreeMap<u64, Vec<u64>>>>;

/// The readings that were poison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poison {
    /// By handler of a function. It is asked of every reading, so nothing is allocated for a question.
    records: BTreeMap<String, Hashes>,
}

/// A number in 0..1 that belongs to a reading, whatever else there is.
pub(super) fn lot(seed: Seed, record: &Record<'_>) -> f64 {
    let name = format!("{}/{}", record.tenant, record.device);
    seed.child("poison").child(&name).nth("seq", record.seq).rng().random_range(0.0..1.0)
}

impl Poison {
    /// Keeps that a record was poison. Answers whether its reading is the first time.
    pub(super) fn add(&mut self, handler: &str, record: &Record<'_>) -> bool {
        let of_handler = self.records.entry(handler.to_owned()).or_default();
        let of_device = of_handler.entry(record.tenant.to_owned()).or_default().entry(record.device.to_owned());
        let (hashes, hash) = (of_device.or_default().entry(record.seq).or_default(), xxh3_64(record.data));
        let is_first = hashes.is_empty();
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
        is_first
    }

    fn hashes(&self, handler: &str, (tenant, device, seq): (&str, &str, u64)) -> Option<&Vec<u64>> {
        self.records.get(handler)?.get(tenant)?.get(device)?.get(&seq)
    }

    /// Whether such a reading was poison to the function with this handler.
    pub fn has(&self, handler: &str, id: (&str, &str, u64)) -> bool {
        self.hashes(handler, id).is_some()
    }

    /// Whether these are the bytes of a record that was poison to the function with this handler.
    pub fn is(&self, handler: &str, id: (&str, &str, u64), data: &[u8]) -> bool {
        self.hashes(handler, id).is_some_and(|hashes| hashes.contains(&xxh3_64(data)))
    }

    /// How many readings were poison to the function with this handler.
    pub fn count(&self, handler: &str) -> u64 {
        let tenants = self.records.get(handler).into_iter().flat_map(BTreeMap::values);
        tenants.flat_map(BTreeMap::values).map(|readings| readings.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault::{FaultSpec, Faults, Kind, Probability, Target};
    use crate::world::trace::Trace;

    const START: Time = Time::from_unix_secs(1_000);

    fn record(seq: u64, second: u64) -> Record<'static> {
        Record { tenant: "acme", device: "pump-1", seq, received: START + Duration::from_secs(second), data: b"{}" }
    }

    #[test]
    fn a_reading_is_poison_by_its_identity_for_ever_and_counted_once() {
        let spec = FaultSpec {
            target: Target { function: Some("enrichment".to_owned()), ..Target::default() },
            probability: Probability::new(0.2).expect("a probability"),
            ..FaultSpec::new(Kind::PoisonMessage, Duration::from_secs(100))
        };
        let faults = Faults::new(&[spec], Seed::root(1), START, Trace::new());
        let poisoned = |second: u64| -> Vec<u64> {
            (1..500).filter(|seq| faults.poisons(START, "enrichment", &record(*seq, second))).collect()
        };
        let first = poisoned(5);
        assert!((60..140).contains(&first.len()), "{}", first.len());
        assert_eq!(poisoned(100), Vec::<u64>::new(), "it came when the window was over");
        faults.heal();
        assert_eq!(poisoned(6), first, "what is poison stays poison");
        assert!(!faults.poisons(START, "anomaly_detection", &record(first[0], 5)), "to another function it is none");
        let poison = faults.poison();
        assert_eq!(
            (faults.strokes()["poison-message"], poison.count("enrichment")),
            (first.len() as u64, first.len() as u64)
        );
        let id = ("acme", "pump-1", first[0]);
        assert!(poison.has("enrichment", id) && !poison.has("anomaly_detection", id));
        assert!(poison.is("enrichment", id, b"{}") && !poison.is("enrichment", id, b"{ }"));
    }
}
