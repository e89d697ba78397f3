//! The faults that may strike one device: those of its fleet whose share takes it in. Who they are is worked out once, so
//! that a device without any costs nothing, and one with some asks for no more than the time.

use std::sync::Arc;

use crate::fault::{FaultSpec, Faults, Kind, Opportunity, Stroke};
use crate::world::time::Time;

/// A fault with its window.
pub(super) struct Fate {
    pub(super) spec: Arc<FaultSpec>,
    /// First instant.
    pub(super) from: Time,
    /// It ends here.
    pub(super) until: Time,
    /// Its position among the device's.
    pub(super) position: usize,
}

/// The faults that may strike one device.
pub(super) struct Fates {
    faults: Faults,
    fleet: Box<str>,
    id: Box<str>,
    index: u64,
    list: Vec<Fate>,
}

impl Fates {
    /// The faults of these kinds that may strike the device at `index`; nothing when there are none.
    pub(super) fn of(faults: &Faults, kinds: &[Kind], fleet: &str, index: u32, id: &str) -> Option<Arc<Fates>> {
        let mut list: Vec<Fate> = Vec::new();
        let index = u64::from(index);
        for spec in kinds.iter().flat_map(|kind| faults.of(*kind)) {
            if spec.target.fleet.as_ref().is_none_or(|wanted| wanted == fleet) && faults.takes_in(&spec, index) {
                let (from, until) = (faults.begins_at(&spec), faults.ends_at(&spec));
                list.push(Fate { spec, from, until, position: list.len() });
            }
        }
        if list.is_empty() {
            return None;
        }
        Some(Arc::new(Fates { faults: faults.clone(), fleet: fleet.into(), id: id.into(), index, list }))
    }

    fn opportunity(&self) -> Opportunity<'_> {
        Opportunity { fleet: &self.fleet, index: self.index, subject: &self.id, ..Opportunity::default() }
    }

    fn have(&self, kind: Kind) -> bool {
        self.list.iter().any(|fate| fate.spec.kind == kind)
    }

    /// The faults of a kind that the device is under now.
    pub(super) fn all_holding(&self, now: Time, kind: Kind) -> impl Iterator<Item = &Fate> {
        let now = if self.have(kind) && self.faults.healed() { Time::MAX } else { now };
        let holds = move |fate: &&Fate| fate.spec.kind == kind && (fate.from..fate.until).contains(&now);
        self.list.iter().filter(holds)
    }

    /// The first fault of a kind that the device is under now.
    pub(super) fn holding(&self, now: Time, kind: Kind) -> Option<&Fate> {
        self.all_holding(now, kind).next()
    }

    /// The fault of a kind that strikes the device at this opportunity.
    pub(super) fn strike(&self, now: Time, kind: Kind) -> Option<Stroke> {
        if self.have(kind) { self.faults.strike(now, kind, &self.opportunity()) } else { None }
    }

    /// Counts one stroke of a fault that holds.
    pub(super) fn struck(&self, now: Time, fate: &Fate) {
        self.faults.struck(now, &fate.spec, &self.opportunity());
    }

    /// A number in -1..1 that belongs to the device and to the `n`-th stroke of a fault.
    pub(super) fn lot(&self, fate: &Fate, n: u64) -> f64 {
        2.0 * self.faults.lot(&fate.spec, self.index << 24 | (n & 0xff_ffff)) - 1.0
    }

    /// Whether hardship is over.
    pub(super) fn healed(&self) -> bool {
        self.faults.healed()
    }
}

/// Which of a device's faults have been counted already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted(u64);

impl Counted {
    /// Counts a stroke of a fault, the first time that it is handed in.
    pub(super) fn once(&mut self, fates: &Fates, now: Time, fate: &Fate) {
        let bit = 1 << (fate.position % 64);
        if self.0 & bit == 0 {
            self.0 |= bit;
            fates.struck(now, fate);
        }
    }
}
