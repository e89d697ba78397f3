//! The device directory: what is known of the devices of a batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::cache::{Cache, Entry};
use super::units::{self, Conversion};
use crate::calls::Clock;
use crate::function::FunctionError;
use crate::ingest::device_registry::directory::{DEVICE_KEY, DEVICE_TYPE, UNITS, device_key};

/// Most keys of a `BatchGetItem` call (API reference, `BatchGetItem`).
const CALL_KEYS_MAX: usize = 100;
/// Most devices that are remembered. Equal entries are one value, so a device costs its key and its place in a map:
/// about 150 bytes, 15 MB in all.
const REMEMBERED_MAX: usize = 100_000;
/// Most absences that are remembered: 1.5 MB.
const ABSENCES_MAX: usize = 10_000;
/// Type of a device whose item names none.
const UNSPECIFIED: &str = "unspecified";

/// What the directory says of the unit of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unit {
    /// It converts.
    Known(Conversion),
    /// Its name means nothing to this platform.
    Unknown(String),
}

/// What an item says: the type of a device and its units (metric, unit), sorted.
type Kind = (String, Vec<(String, String)>);

/// A device's entry. Devices of the same type and units share one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Device {
    /// What kind of device it is.
    pub device_type: String,
    /// Units by metric, sorted by the metric's name.
    units: Vec<(String, Unit)>,
}

impl Device {
    /// A device with the units (metric, unit).
    pub fn new(device_type: &str, units: Vec<(String, String)>) -> Self {
        let unit = |name: String| units::conversion(&name).map_or(Unit::Unknown(name), Unit::Known);
        let mut units: Vec<(String, Unit)> = units.into_iter().map(|(metric, name)| (metric, unit(name))).collect();
        units.sort_by(|a, b| a.0.cmp(&b.0));
        Device { device_type: device_type.to_owned(), units }
    }

    /// The unit of a metric, when the directory gives one.
    pub fn unit(&self, metric: &str) -> Option<&Unit> {
        let index = self.units.binary_search_by(|(name, _)| name.as_str().cmp(metric)).ok()?;
        Some(&self.units[index].1)
    }
}

fn kind_of_item<'i>(attribute: impl Fn(&str) -> Option<&'i AttributeValue>) -> Kind {
    let device_type = attribute(DEVICE_TYPE).and_then(|value| value.as_s().ok()).map_or(UNSPECIFIED, String::as_str);
    // A unit that is not a text is one that nobody knows.
    let text = |value: &AttributeValue| value.as_s().cloned().unwrap_or_else(|_| "not a text".to_owned());
    let units = attribute(UNITS).and_then(|value| value.as_m().ok());
    let units = units.into_iter().flatten().map(|(metric, unit)| (metric.clone(), text(unit)));
    let mut units: Vec<(String, String)> = units.collect();
    units.sort();
    (device_type.to_owned(), units)
}

/// The entries in use, one for each kind of device.
#[derive(Debug, Default)]
struct Kinds {
    entries: BTreeMap<Kind, Weak<Device>>,
    /// So many kinds were in use when the others were last forgotten.
    in_use: usize,
}

impl Kinds {
    /// The entry of a kind, the same value for as long as anybody holds it.
    fn entry(&mut self, kind: Kind) -> Arc<Device> {
        if let Some(device) = self.entries.get(&kind).and_then(Weak::upgrade) {
            return device;
        }
        if self.entries.len() >= 2 * self.in_use + 64 {
            self.entries.retain(|_, device| device.strong_count() > 0);
            self.in_use = self.entries.len();
        }
        let device = Arc::new(Device::new(&kind.0, kind.1.clone()));
        self.entries.insert(kind, Arc::downgrade(&device));
        device
    }
}

/// A device of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'r> {
    pub tenant: &'r str,
    pub device: &'r str,
    /// When the newest of its readings arrived.
    pub newest: SystemTime,
}

/// The directory, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Directory {
    client: Client,
    table: String,
    clock: Clock,
    cache: Mutex<Cache>,
    kinds: Mutex<Kinds>,
}

impl Directory {
    /// The directory in `table`.
    pub fn new(client: Client, table: &str, clock: Clock) -> Self {
        let cache = Mutex::new(Cache::new(REMEMBERED_MAX, ABSENCES_MAX));
        Directory { client, table: table.to_owned(), clock, cache, kinds: Mutex::default() }
    }

    /// The entries of the devices, in the same order.
    pub async fn resolve(&self, devices: &[Wanted<'_>], deadline: SystemTime) -> Result<Vec<Entry>, FunctionError> {
        let mut entries: Vec<Option<Entry>> = vec![None; devices.len()];
        let mut missing: Vec<(usize, String)> = Vec::new();
        self.with_cache(|cache| {
            let now = self.clock.now();
            for (index, Wanted { tenant, device, newest }) in devices.iter().enumerate() {
                let key = device_key(tenant, device);
                entries[index] = cache.get(&key, *newest, now);
                if entries[index].is_none() {
                    missing.push((index, key));
                }
            }
        });
        for call in missing.chunks(CALL_KEYS_MAX) {
            // What arrives while the call is under way arrives after the look.
            let asked = self.clock.now();
            let found = self.get(call.iter().map(|(_, key)| key.as_str()), deadline).await?;
            self.with_cache(|cache| {
                for (index, key) in call {
                    let known = found.iter().find(|(name, _)| name == key).map(|(_, device)| device.clone());
                    entries[*index] = Some(cache.insert(key.clone(), known, asked));
                }
            });
        }
        Ok(entries.into_iter().map(|entry| entry.expect("each is remembered or was looked up")).collect())
    }

    /// Remembers that a reading of this device has waited for it in vain: its others are not waited for.
    pub fn give_up(&self, tenant: &str, device: &str) {
        let now = self.clock.now();
        self.with_cache(|cache| cache.give_up(&device_key(tenant, device), now));
    }

    fn with_cache(&self, act: impl FnOnce(&mut Cache)) {
        // What is in the cache is whole at any time, even after a panic elsewhere.
        act(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Fetches the items of at most [`CALL_KEYS_MAX`] keys, asking again for those that were left unprocessed.
    async fn get(
        &self,
        keys: impl Iterator<Item = &str>,
        deadline: SystemTime,
    ) -> Result<Vec<(String, Arc<Device>)>, FunctionError> {
        // An eventually consistent read may miss a device that was just registered, and its readings would be refused.
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        for key in keys {
            wanted = wanted.keys([(DEVICE_KEY.to_owned(), AttributeValue::S(key.to_owned()))].into());
        }
        let mut wanted = Some(wanted.build().expect("keys are set"));
        let mut found = Vec::new();
        let mut attempt = 0;
        let mut failure = "no time is left".to_owned();
        while let Some(keys) = wanted.take() {
            if !self.clock.may_attempt(attempt, deadline).await {
                return Err(FunctionError::Directory(failure));
            }
            attempt += 1;
            let call = self.client.batch_get_item().request_items(&self.table, keys.clone()).send();
            let Some(answer) = self.clock.in_time(deadline, call).await else {
                return Err(FunctionError::Directory("the call was not answered in time".to_owned()));
            };
            match answer {
                Ok(mut answer) => {
                    let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
                    let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.table));
                    found.extend(items.unwrap_or_default().iter().filter_map(|item| {
                        let key = item.get(DEVICE_KEY)?.as_s().ok()?.clone();
                        Some((key, kinds.entry(kind_of_item(|name| item.get(name)))))
                    }));
                    wanted = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
                    "keys were left unprocessed".clone_into(&mut failure);
                }
                Err(error)
                    if error.raw_response().is_some_and(|r| r.status().is_client_error()) && !is_throttle(&error) =>
                {
                    return Err(FunctionError::Directory(DisplayErrorContext(error).to_string()));
                }
                Err(error) => {
                    failure = DisplayErrorContext(error).to_string();
                    wanted = Some(keys);
                }
            }
        }
        Ok(found)
    }
}

fn is_throttle(error: &impl aws_sdk_dynamodb::error::ProvideErrorMetadata) -> bool {
    matches!(
        error.code(),
        Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_metric_and_unknown_ones_keep_their_name() {
        let units = [("temp", "fahrenheit"), ("flow", "gpm"), ("mood", "furlong")];
        let device = Device::new("pump", units.map(|(m, u)| (m.to_owned(), u.to_owned())).into());
        assert!(matches!(device.unit("temp"), Some(Unit::Known(_))));
        assert_eq!(device.unit("mood"), Some(&Unit::Unknown("furlong".to_owned())));
        assert_eq!(device.unit("absent"), None);
    }

    fn kind(device_type: &str, unit: &str) -> Kind {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let units = AttributeValue::M([("temp".to_owned(), text(unit)), ("flow".to_owned(), text("gpm"))].into());
        let item = BTreeMap::from([(DEVICE_TYPE, text(device_type)), (UNITS, units)]);
        kind_of_item(|name| item.get(name))
    }

    #[test]
    fn equal_devices_share_one_value() {
        let mut kinds = Kinds::default();
        let first = kinds.entry(kind("pump", "fahrenheit"));
        assert!(Arc::ptr_eq(&first, &kinds.entry(kind("pump", "fahrenheit"))));
        for (device_type, unit) in [("fan", "fahrenheit"), ("pump", "kelvin")] {
            assert_ne!(kinds.entry(kind(device_type, unit)), first, "{device_type} {unit}");
        }
        let units = vec![("temp".to_owned(), "fahrenheit".to_owned()), ("flow".to_owned(), "gpm".to_owned())];
        assert_eq!(*first, Device::new("pump", units));
    }

    #[test]
    fn kinds_that_no_device_has_any_more_are_forgotten() {
        let mut kinds = Kinds::default();
        let held: Vec<Arc<Device>> = (0..100).map(|n| kinds.entry(kind("held", &n.to_string()))).collect();
        for n in 0..10_000 {
            kinds.entry(kind("passing", &n.to_string()));
        }
        assert!(kinds.entries.len() <= 2 * held.len() + 64, "{} kinds", kinds.entries.len());
        for (n, device) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(device, &kinds.entry(kind("held", &n.to_string()))), "{n}");
        }
    }
}
