//! Reconciling the groups and the directory with the registry: what the device tagger does upon an event, for all things
//! and without one. Events of the registry may be lost; what is true is in the registry itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_types::SdkConfig;

use super::api::Api;
use super::error::EnrolError;
use super::tenants::devices_of;
use super::{Progress, pool};
use crate::function::Environment;
use crate::ingest::device_registry::directory::{DEVICE_ID, EXPIRES_AT, TENANT_ID, THING_ID};
use crate::ingest::device_registry::tagger::{self, Tagger};
use crate::ingest::device_registry::{directory_table_name, group_prefix};
use crate::naming::Naming;
use crate::settings::Settings;

/// Devices that are worked on at once.
const CONCURRENCY: usize = 8;
/// Longest time for one device.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Devices whose groups and item are as their thing says.
    pub settled: usize,
    /// Items of devices whose things are gone: they expire now.
    pub gone: usize,
    /// (device, why) of those that it could not settle.
    pub failures: Vec<(String, String)>,
}

/// An item of the directory that does not expire.
struct Item {
    tenant: String,
    device: String,
    /// Items that the device tagger did not write have none.
    thing_id: Option<String>,
}

/// Work of one device.
enum Work {
    /// A thing that is there.
    Settle(String),
    /// An item whose thing was not listed.
    Forget(Item, String),
}

/// Brings every device into its tenant's groups and into the directory, and lets the items of things that are gone expire.
pub async fn reconcile(
    config: &SdkConfig,
    settings: &Settings,
    progress: &mut dyn Progress,
) -> Result<Reconciled, EnrolError> {
    let api = Api::new(config)?;
    api.environment(settings).await?;
    let naming = Naming::new(settings);
    let table = directory_table_name(naming);
    let variables = BTreeMap::from([
        (tagger::DIRECTORY_TABLE.to_owned(), table.clone()),
        (tagger::GROUP_PREFIX.to_owned(), group_prefix(naming)),
        (tagger::STREAM_RETENTION_HOURS.to_owned(), settings.stream_retention_hours.to_string()),
    ]);
    let tagger = Tagger::new(config, &Environment::new(variables))?;
    // The directory first: a thing that is made meanwhile is listed then, and not taken for gone.
    let items = items(&api, &table).await?;
    let things: BTreeSet<String> =
        devices_of(&api, None, usize::MAX).await?.into_iter().map(|device| device.name).collect();
    let mut work: Vec<Work> = things.iter().cloned().map(Work::Settle).collect();
    work.extend(items.into_iter().filter(|item| !things.contains(&item.device)).filter_map(|mut item| {
        let thing_id = item.thing_id.take()?;
        Some(Work::Forget(item, thing_id))
    }));
    progress.begin(work.len(), 0);
    let shared = Mutex::new((work.into_iter(), Reconciled::default(), progress));
    let worker = async || {
        loop {
            let next = shared.lock().unwrap_or_else(PoisonError::into_inner).0.next();
            let Some(work) = next else { return };
            api.turn("Settle").await;
            let deadline = api.clock.now() + PATIENCE;
            let (device, result) = match work {
                Work::Settle(device) => {
                    let result = tagger.settle(&device, deadline).await.map(|_| false);
                    (device, result)
                }
                Work::Forget(Item { tenant, device, .. }, thing_id) => {
                    let result = tagger.forget(&tenant, &device, &thing_id, deadline).await;
                    (device, result)
                }
            };
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (_, done, progress) = &mut *shared;
            match result {
                Ok(true) => done.gone += 1,
                Ok(false) => done.settled += 1,
                Err(error) => {
                    progress.step(&device, Some(&error.to_string()));
                    done.failures.push((device, error.to_string()));
                    continue;
                }
            }
            progress.step(&device, None);
        }
    };
    pool::all((0..CONCURRENCY).map(|_| worker())).await;
    let (_, mut done, progress) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.end();
    done.failures.sort();
    Ok(done)
}

/// The items of devices that do not expire.
async fn items(api: &Api, table: &str) -> Result<Vec<Item>, EnrolError> {
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let scan = || api.dynamodb.scan().table_name(table).set_exclusive_start_key(start.clone()).send();
        let page = api.call("Scan", scan).await.map_err(EnrolError::call("reading the device directory"))?;
        for item in page.items().iter().filter(|item| !item.contains_key(EXPIRES_AT)) {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            // Claims are items without a device.
            let (Some(tenant), Some(device)) = (text(TENANT_ID), text(DEVICE_ID)) else { continue };
            found.push(Item { tenant, device, thing_id: text(THING_ID) });
        }
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            return Ok(found);
        }
    }
}
