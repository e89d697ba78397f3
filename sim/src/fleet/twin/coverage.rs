//! Where a tracker has no network: on stretches of its course, and while a failure says so.
//!
//! The device's end of a connection asks when it has something to send or to receive. Motion follows from the device's seed
//! alone, so a copy of it scouts ahead: how long the network is away is known when it goes.

use std::sync::{Mutex, MutexGuard};

use super::grid::Grid;
use super::tracker::Motion;
use crate::world::seed::Rng;
use crate::world::time::Time;

/// A copy of the vehicle, ahead of it.
type Vehicle = (Motion, Grid, Rng);

#[derive(Debug)]
struct Scout {
    vehicle: Vehicle,
    /// The stretch without coverage that the scout has seen last.
    gap: Option<(Time, Time)>,
}

/// Where and when a device has no network.
#[derive(Debug)]
pub(crate) struct Coverage {
    scout: Mutex<Scout>,
    failures: Vec<(Time, Time)>,
}

impl Coverage {
    pub(super) fn new(vehicle: Vehicle, failures: Vec<(Time, Time)>) -> Self {
        Coverage { scout: Mutex::new(Scout { vehicle, gap: None }), failures }
    }

    fn scout(&self) -> MutexGuard<'_, Scout> {
        self.scout.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// The stretch of the course without coverage that the device is on: since when, and until when. Instants never go back.
    pub(super) fn stretch(&self, now: Time) -> Option<(Time, Time)> {
        self.scout().stretch(now)
    }

    /// Until when there is no network; nothing when there is. Instants never go back.
    pub(crate) fn away_until(&self, now: Time) -> Option<Time> {
        let failed = self.failures.iter().filter(|(from, until)| (*from..*until).contains(&now));
        failed.map(|(_, until)| *until).chain(self.stretch(now).map(|(_, until)| until)).max()
    }
}

impl Scout {
    fn stretch(&mut self, now: Time) -> Option<(Time, Time)> {
        let Scout { vehicle: (motion, grid, rng), gap } = self;
        // One that ends before now is behind.
        while gap.is_none_or(|(_, until)| until <= now) && grid.at() <= now {
            if motion.is_covered() {
                grid.advance(motion, rng);
                continue;
            }
            let from = grid.at();
            while !motion.is_covered() {
                grid.advance(motion, rng);
            }
            *gap = Some((from, grid.at()));
        }
        gap.filter(|(from, until)| (*from..*until).contains(&now))
    }
}
