//! What an operator may desire of any device: how often it publishes, and which firmware it runs.
//!
//! **Publish interval.** Taken at once when it is within [`INTERVALS_MS`] or the device's usual one; another one is not
//! taken, and the device goes on reporting the one in force.
//!
//! **Firmware.** An update takes time: the image is downloaded, the device restarts, and then it reports the new version. A
//! share of the updates fails with the download: the device reports the version that it still has, and tries again at the
//! next delta. All figures are assumptions.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Map, Value};

use crate::world::seed::Seed;
use crate::world::time::Time;

/// Publish intervals that a device takes, in milliseconds: 200 ms to a day.
pub(crate) const INTERVALS_MS: RangeInclusive<u64> = 200..=86_400_000;
/// The firmware of every device at first.
pub(crate) const FIRMWARE: &str = "1.0.0";
/// Longest name of a version, in bytes.
const VERSION_BYTES_MAX: usize = 32;
/// How long the download of an image takes, in seconds.
const DOWNLOAD_S: RangeInclusive<f64> = 10.0..=40.0;
/// How long a device is gone while it restarts with another image, in seconds.
const RESTART_S: RangeInclusive<f64> = 3.0..=8.0;
/// Share of the updates whose image is damaged.
const FAILED: f64 = 0.1;

/// What an operator may desire of a device.
#[derive(Debug)]
pub(crate) struct Managed {
    /// The device's own interval; nothing when it publishes at no interval of its own.
    usual: Option<Duration>,
    every: Duration,
    firmware: Box<str>,
    update: Option<Update>,
    seed: Seed,
    updates: u64,
    revision: u64,
}

/// An update of the firmware that is under way.
#[derive(Debug)]
struct Update {
    version: Box<str>,
    downloaded_at: Time,
    failed: bool,
    restarts_for: Duration,
    restarting: bool,
}

impl Managed {
    /// A device that publishes at `usual` unless it is told otherwise. `seed` decides how its updates go.
    pub(crate) fn new(usual: Option<Duration>, seed: Seed) -> Self {
        let every = usual.unwrap_or_default();
        Managed { usual, every, firmware: FIRMWARE.into(), update: None, seed, updates: 0, revision: 0 }
    }

    /// The interval in force.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// The firmware that runs.
    pub(crate) fn firmware(&self) -> &str {
        &self.firmware
    }

    /// How often what is reported has changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Notes that something else that is reported has changed.
    pub(crate) fn changed(&mut self) {
        self.revision += 1;
    }

    /// Applies what is desired, as far as it is known and possible. Answers whether the interval has changed.
    pub(crate) fn desired(&mut self, now: Time, desired: &Map<String, Value>) -> bool {
        if let Some(version) = desired.get("firmware").and_then(Value::as_str) {
            self.desire_firmware(now, version);
        }
        let asked = desired.get("publish_interval_ms").and_then(Value::as_u64);
        let (Some(asked_ms), Some(usual)) = (asked, self.usual) else { return false };
        let asked = Duration::from_millis(asked_ms);
        let takes = INTERVALS_MS.contains(&asked_ms) || asked == usual;
        if !takes || asked == self.every {
            return false;
        }
        self.every = asked;
        self.changed();
        true
    }

    fn desire_firmware(&mut self, now: Time, version: &str) {
        let under_way = self.update.as_ref();
        let known = version.len() <= VERSION_BYTES_MAX
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+_".contains(&b))
            && !version.is_empty();
        // While it restarts it hears nothing; afterwards it asks for the delta again.
        if !known || under_way.is_some_and(|update| update.restarting || *update.version == *version) {
            return;
        }
        if *self.firmware == *version {
            self.update = None;
            return;
        }
        let mut rng = self.seed.nth("update", self.updates).rng();
        self.updates += 1;
        self.update = Some(Update {
            version: version.into(),
            downloaded_at: now + Duration::from_secs_f64(rng.random_range(DOWNLOAD_S)),
            failed: rng.random_range(0.0..1.0) < FAILED,
            restarts_for: Duration::from_secs_f64(rng.random_range(RESTART_S)),
            restarting: false,
        });
    }

    /// When something comes of itself: [`Managed::settle`] is to be called then.
    pub(crate) fn settles_at(&self) -> Option<Time> {
        let update = self.update.as_ref()?;
        Some(if update.restarting { update.downloaded_at + update.restarts_for } else { update.downloaded_at })
    }

    /// Until when the device is gone, because it restarts.
    pub(crate) fn gone_until(&self) -> Option<Time> {
        self.update.as_ref().filter(|update| update.restarting).map(|update| update.downloaded_at + update.restarts_for)
    }

    /// Takes the next step of an update when it is due. Answers until when the device is gone, when it restarts now.
    pub(crate) fn settle(&mut self, now: Time) -> Option<Time> {
        if self.settles_at().is_none_or(|at| at > now) {
            return None;
        }
        let mut update = self.update.take()?;
        if update.restarting {
            self.firmware = update.version;
            self.changed();
            return None;
        }
        if update.failed {
            self.changed();
            return None;
        }
        update.downloaded_at = now;
        update.restarting = true;
        self.update = Some(update);
        self.gone_until()
    }

    /// Writes what the device reports of this.
    pub(crate) fn report(&self, reported: &mut Map<String, Value>) {
        let millis = |duration: Duration| Value::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        if let Some(usual) = self.usual {
            reported.insert("publish_interval_ms".to_owned(), millis(self.every));
            reported.insert("usual_publish_interval_ms".to_owned(), millis(usual));
        }
        reported.insert("firmware".to_owned(), Value::from(&*self.firmware));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Time = Time::from_unix_secs(1_772_323_200);

    fn managed(seed: u64) -> Managed {
        Managed::new(Some(Duration::from_secs(10)), Seed::root(seed))
    }

    fn desire(managed: &mut Managed, now: Time, desired: &Value) -> bool {
        managed.desired(now, desired.as_object().expect("an object"))
    }

    fn reported(managed: &Managed) -> Value {
        let mut reported = Map::new();
        managed.report(&mut reported);
        Value::Object(reported)
    }

    #[test]
    fn an_interval_is_taken_within_its_bounds_and_another_is_reported_as_it_is() {
        for (asked, every_ms) in [
            (json!(200), 200),
            (json!(86_400_000), 86_400_000),
            (json!(199), 10_000),
            (json!(86_400_001), 10_000),
            (json!(0), 10_000),
            (json!(-5), 10_000),
            (json!(1_000.5), 10_000),
            (json!("1000"), 10_000),
            (json!(null), 10_000),
        ] {
            let mut managed = managed(1);
            let took = desire(&mut managed, NOW, &json!({ "publish_interval_ms": asked, "mood": 1 }));
            assert_eq!((took, managed.revision() > 0), (every_ms != 10_000, every_ms != 10_000), "{asked}");
            let expected =
                json!({"publish_interval_ms": every_ms, "usual_publish_interval_ms": 10_000, "firmware": "1.0.0"});
            assert_eq!(reported(&managed), expected, "{asked}");
        }
        // The usual interval can be had back, wherever it lies.
        let mut slow = Managed::new(Some(Duration::from_secs(200_000)), Seed::root(1));
        assert!(desire(&mut slow, NOW, &json!({ "publish_interval_ms": 1_000 })));
        assert!(desire(&mut slow, NOW, &json!({ "publish_interval_ms": 200_000_000 })));
        let mut none = Managed::new(None, Seed::root(1));
        assert!(!desire(&mut none, NOW, &json!({ "publish_interval_ms": 1_000 })));
        assert_eq!(reported(&none), json!({"firmware": "1.0.0"}));
    }

    #[test]
    fn an_update_downloads_restarts_and_is_reported() {
        let mut managed = managed(1);
        desire(&mut managed, NOW, &json!({"firmware": "2.1.0"}));
        desire(&mut managed, NOW, &json!({"firmware": "2.1.0"}));
        assert_eq!((managed.updates, managed.firmware(), managed.revision()), (1, FIRMWARE, 0));
        let downloaded = managed.settles_at().expect("a download");
        assert!((10.0..=40.0).contains(&downloaded.since(NOW).as_secs_f64()));
        assert_eq!(managed.settle(downloaded - Duration::from_micros(1)), None);
        let back = managed.settle(downloaded).expect("a restart");
        assert_eq!((managed.gone_until(), managed.settles_at()), (Some(back), Some(back)));
        // It hears nothing now.
        desire(&mut managed, downloaded, &json!({"firmware": "3.0.0"}));
        assert_eq!(managed.settle(back), None);
        assert_eq!((managed.firmware(), managed.revision(), managed.settles_at()), ("2.1.0", 1, None));
        assert_eq!(managed.gone_until(), None);
    }

    #[test]
    fn a_failed_update_is_reported_and_tried_again_at_the_next_delta() {
        let mut failures = 0;
        for seed in 0..400 {
            let mut managed = managed(seed);
            let mut now = NOW;
            while managed.firmware() != "2.0.0" {
                let revision = managed.revision();
                desire(&mut managed, now, &json!({"firmware": "2.0.0"}));
                while let Some(at) = managed.settles_at() {
                    now = at;
                    managed.settle(at);
                }
                assert_eq!(managed.revision(), revision + 1);
                failures += u32::from(managed.firmware() == FIRMWARE);
            }
        }
        assert!((20..=70).contains(&failures), "{failures} of about 44");
    }

    #[test]
    fn what_is_no_version_is_not_taken_and_the_version_that_runs_ends_a_download() {
        let mut managed = managed(1);
        for version in [json!(""), json!("2 0"), json!("x".repeat(33)), json!(2), json!(null), json!(FIRMWARE)] {
            desire(&mut managed, NOW, &json!({ "firmware": version }));
            assert_eq!(managed.settles_at(), None, "{version}");
        }
        desire(&mut managed, NOW, &json!({"firmware": "2.0.0"}));
        desire(&mut managed, NOW, &json!({"firmware": FIRMWARE}));
        assert_eq!(managed.settles_at(), None);
    }
}
