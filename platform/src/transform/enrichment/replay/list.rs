//! What lies in quarantine.

use std::collections::{BTreeMap, BTreeSet};

use aws_types::SdkConfig;

use super::api::{Api, Listed};
use super::error::{Problem, ReplayError};
use super::filter::Filter;
use super::marker::Marker;
use super::object::Kept;
use crate::calendar::datehour;
use crate::settings::Settings;

/// Records that have hour, reason and tenant in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Hour in which they were set aside, `yyyy/MM/dd/HH` in UTC.
    pub hour: String,
    /// Code of the reason.
    pub reason: String,
    /// Tenant; nothing when their bytes do not tell.
    pub tenant: Option<String>,
    /// Number of records. One that lies in several objects, because its batch came again and was cut in another way, counts
    /// once, where it lies first.
    pub records: u64,
    /// How many of them were replayed.
    pub replayed: u64,
}

/// Everything that lies in quarantine, by groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The groups, by hour, reason and tenant.
    pub groups: Vec<Group>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A record as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Key of its object.
    pub key: String,
    /// When it was set aside, in seconds since the Unix epoch.
    pub kept_at: i64,
    /// When it was replayed last.
    pub replayed_at: Option<String>,
    /// The record.
    pub kept: Kept,
}

/// Lists the records that are meant, by groups.
pub async fn list(config: &SdkConfig, settings: &Settings, filter: &Filter) -> Result<Listing, ReplayError> {
    let api = Api::new(config, settings).await?;
    let replayed = api.replayed().await?;
    let mut groups: BTreeMap<(String, String, Option<String>), (u64, u64)> = BTreeMap::new();
    let mut listing = Listing::default();
    let mut seen = BTreeSet::new();
    for Listed { key, kept_at } in covered(&api, filter).await? {
        let (records, problems) = api.read(&key).await?;
        listing.problems.extend(problems);
        for kept in records.into_iter().filter(|kept| filter.matches(kept)) {
            // A record of another stream may have the same name.
            let (is_replayable, name) = (kept.is_replayable(), Marker::name(&kept));
            let done = u64::from(is_replayable && replayed.contains_key(&name));
            if !seen.insert((is_replayable, name)) {
                continue;
            }
            let counts = groups.entry((datehour(kept_at), kept.reason, kept.tenant)).or_default();
            *counts = (counts.0 + 1, counts.1 + done);
        }
    }
    let group = |((hour, reason, tenant), (records, replayed))| Group { hour, reason, tenant, records, replayed };
    listing.groups = groups.into_iter().map(group).collect();
    Ok(listing)
}

/// Hands over at most `limit` of the records that are meant. Answers what could not be read.
pub async fn show(
    config: &SdkConfig,
    settings: &Settings,
    filter: &Filter,
    limit: usize,
    mut each: impl FnMut(Shown),
) -> Result<Vec<Problem>, ReplayError> {
    let api = Api::new(config, settings).await?;
    let replayed = api.replayed().await?;
    let (mut shown, mut problems) = (0, Vec::new());
    for Listed { key, kept_at } in covered(&api, filter).await? {
        if shown >= limit {
            break;
        }
        let (records, unreadable) = api.read(&key).await?;
        problems.extend(unreadable);
        for kept in records.into_iter().filter(|kept| filter.matches(kept)).take(limit - shown) {
            shown += 1;
            let replayed_at = replayed.get(&Marker::name(&kept)).filter(|_| kept.is_replayable()).cloned();
            each(Shown { key: key.clone(), kept_at, replayed_at, kept });
        }
    }
    Ok(problems)
}

/// The objects whose records may be meant.
pub(super) async fn covered(api: &Api, filter: &Filter) -> Result<Vec<Listed>, ReplayError> {
    let mut objects = api.objects().await?;
    objects.retain(|object| filter.covers(object.kept_at));
    Ok(objects)
}
