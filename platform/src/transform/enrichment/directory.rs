//! The device directory: what is known of the devices of a batch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::backoff::Clock;
use super::cache::{Cache, Known};
use super::units::{self, Conversion};
use crate::function::FunctionError;
use crate::ingest::device_registry::directory::{DEVICE_KEY, DEVICE_TYPE, UNITS, device_key};

/// Most keys of a `BatchGetItem` call (API reference, `BatchGetItem`).
const CALL_KEYS_MAX: usize = 100;
/// Most devices that are remembered: about 20 MB.
const REMEMBERED_MAX: usize = 100_000;
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

/// A device's entry.
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

    fn from_item<'i>(attribute: impl Fn(&str) -> Option<&'i AttributeValue>) -> Self {
        let device_type =
            attribute(DEVICE_TYPE).and_then(|value| value.as_s().ok()).map_or(UNSPECIFIED, String::as_str);
        // A unit that is not a text is one that nobody knows.
        let text = |value: &AttributeValue| value.as_s().cloned().unwrap_or_else(|_| "not a text".to_owned());
        let units = attribute(UNITS).and_then(|value| value.as_m().ok());
        let units = units.into_iter().flatten().map(|(metric, unit)| (metric.clone(), text(unit)));
        Device::new(device_type, units.collect())
    }
}

/// The directory, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Directory {
    client: Client,
    table: String,
    clock: Clock,
    cache: Mutex<Cache>,
}

impl Directory {
    /// The directory in `table`.
    pub fn new(client: Client, table: &str, clock: Clock) -> Self {
        Directory { client, table: table.to_owned(), clock, cache: Mutex::new(Cache::new(REMEMBERED_MAX)) }
    }

    /// The entries of the devices (tenant, device), in the same order; nothing for a device that has none.
    pub async fn resolve(&self, devices: &[(&str, &str)], deadline: SystemTime) -> Result<Vec<Known>, FunctionError> {
        let mut entries: Vec<Known> = vec![None; devices.len()];
        let mut missing: Vec<(usize, String)> = Vec::new();
        self.with_cache(|cache| {
            let now = self.clock.now();
            for (index, (tenant, device)) in devices.iter().enumerate() {
                let key = device_key(tenant, device);
                match cache.get(&key, now) {
                    Some(known) => entries[index] = known,
                    None => missing.push((index, key)),
                }
            }
        });
        for call in missing.chunks(CALL_KEYS_MAX) {
            let found = self.get(call.iter().map(|(_, key)| key.as_str()), deadline).await?;
            self.with_cache(|cache| {
                let now = self.clock.now();
                for (index, key) in call {
                    let known = found.iter().find(|(name, _)| name == key).map(|(_, device)| device.clone());
                    cache.insert(key.clone(), known.clone(), now);
                    entries[*index] = known;
                }
            });
        }
        Ok(entries)
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
        let mut wanted = KeysAndAttributes::builder();
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
            match self.client.batch_get_item().request_items(&self.table, keys.clone()).send().await {
                Ok(mut answer) => {
                    let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.table));
                    found.extend(items.unwrap_or_default().iter().filter_map(|item| {
                        let key = item.get(DEVICE_KEY)?.as_s().ok()?.clone();
                        Some((key, Arc::new(Device::from_item(|name| item.get(name)))))
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
}
