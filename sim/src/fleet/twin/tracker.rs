//! A vehicle on a closed course.
//!
//! The course is a polygon of a few kilometres around a depot. Speed wanders around the vehicle's usual one within its
//! bounds, and holds for a step; the position is its integral along the course exactly. Some stretches have no coverage:
//! nobody stops there.

use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

use rand::RngExt as _;
use rand_distr::StandardNormal;

use super::{Physics, Values, around};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Largest speed, in km/h.
pub(super) const KMH_MAX: f64 = 110.0;
/// Least speed, and least speed without coverage, in km/h.
const KMH_MIN: f64 = 5.0;
const KMH_MIN_UNCOVERED: f64 = 25.0;
/// Part of the way back to its usual speed that a vehicle takes in a step, and deviation of the speed drawn in it, in km/h.
const RETURNS: f64 = 0.08;
const KICK_KMH: f64 = 4.0;
/// Corners of a course, and their distance from the depot in metres.
const CORNERS: u32 = 9;
const CORNER_M: Range<f64> = 1_500.0..5_000.0;
/// Stretches without coverage on a course, and their length in metres.
const STRETCHES: u32 = 3;
const STRETCH_M: Range<f64> = 150.0..600.0;
/// Metres of a degree of latitude: the Earth's mean radius (6,371,008.8 m, IUGG) times pi over 180.
pub(super) const DEGREE_M: f64 = 111_195.08;

/// One leg of a course: where it begins in metres along the course and on the map, and its direction.
#[derive(Debug)]
struct Leg {
    begins_m: f64,
    east_m: f64,
    north_m: f64,
    east: f64,
    north: f64,
}

#[derive(Debug)]
struct Course {
    lat: f64,
    lon: f64,
    degree_east_m: f64,
    legs: Vec<Leg>,
    length_m: f64,
    uncovered: Vec<Range<f64>>,
}

impl Course {
    fn new(rng: &mut Rng) -> Self {
        let corner = |n: u32, rng: &mut Rng| {
            let angle = TAU * (f64::from(n) + rng.random_range(0.0..0.8)) / f64::from(CORNERS);
            let far: f64 = rng.random_range(CORNER_M);
            (far * angle.sin(), far * angle.cos())
        };
        let corners: Vec<(f64, f64)> = (0..CORNERS).map(|n| corner(n, rng)).collect();
        let mut begins_m = 0.0;
        let mut legs = Vec::new();
        for (n, &(east_m, north_m)) in corners.iter().enumerate() {
            let next = corners[(n + 1) % corners.len()];
            let (east, north) = (next.0 - east_m, next.1 - north_m);
            let long = (east * east + north * north).sqrt();
            legs.push(Leg { begins_m, east_m, north_m, east: east / long, north: north / long });
            begins_m += long;
        }
        let third = begins_m / f64::from(STRETCHES);
        let stretch = |n: u32| {
            let long: f64 = rng.random_range(STRETCH_M);
            let begins = third * f64::from(n) + rng.random_range(0.0..1.0) * (third - long).max(0.0);
            begins..begins + long
        };
        let uncovered = (0..STRETCHES).map(stretch).collect();
        let lat: f64 = rng.random_range(46.0..54.0);
        let lon = rng.random_range(2.0..20.0);
        Course { lat, lon, degree_east_m: DEGREE_M * lat.to_radians().cos(), legs, length_m: begins_m, uncovered }
    }

    fn covers(&self, along_m: f64) -> bool {
        let along_m = along_m % self.length_m;
        !self.uncovered.iter().any(|stretch| stretch.contains(&along_m))
    }

    /// (latitude, longitude, heading) in degrees.
    fn place(&self, along_m: f64) -> (f64, f64, f64) {
        let along_m = along_m % self.length_m;
        let n = self.legs.partition_point(|leg| leg.begins_m <= along_m).max(1) - 1;
        let leg = &self.legs[n];
        let since = along_m - leg.begins_m;
        let (east_m, north_m) = (leg.east_m + leg.east * since, leg.north_m + leg.north * since);
        let heading = leg.east.atan2(leg.north).to_degrees();
        let heading = if heading < 0.0 { heading + 360.0 } else { heading };
        (self.lat + north_m / DEGREE_M, self.lon + east_m / self.degree_east_m, heading)
    }
}

/// A vehicle in motion.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    course: Arc<Course>,
    usual_kmh: f64,
    along_m: f64,
    kmh: f64,
}

impl Motion {
    /// A vehicle that usually drives at about `kmh` km/h.
    pub(super) fn new(kmh: f64, rng: &mut Rng) -> Self {
        let course = Arc::new(Course::new(rng));
        let usual_kmh = around(rng, kmh, 0.2).min(KMH_MAX);
        let along_m = course.length_m * rng.random_range(0.0..1.0);
        Motion { course, usual_kmh, along_m, kmh: usual_kmh.max(KMH_MIN_UNCOVERED) }
    }

    /// Whether there was a network where the step under way began.
    pub(super) fn is_covered(&self) -> bool {
        self.course.covers(self.along_m)
    }
}

impl Physics for Motion {
    const STEP_S: u64 = 5;

    fn step(&mut self, _at: Time, rng: &mut Rng) {
        self.along_m = (self.along_m + self.kmh / 3.6 * Self::STEP_S as f64) % self.course.length_m;
        let normal: f64 = rng.sample(StandardNormal);
        let drawn = self.kmh + RETURNS * (self.usual_kmh - self.kmh) + KICK_KMH * normal;
        let least = if self.is_covered() { KMH_MIN } else { KMH_MIN_UNCOVERED };
        self.kmh = drawn.clamp(least, KMH_MAX);
    }

    fn values(&self, _at: Time, after_s: f64) -> Values {
        let (lat, lon, heading) = self.course.place(self.along_m + self.kmh / 3.6 * after_s);
        [lat, lon, self.kmh, heading, 0.0]
    }
}
