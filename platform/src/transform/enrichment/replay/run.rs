//! Sending records through the platform again.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_types::SdkConfig;

use super::Progress;
use super::api::Api;
use super::error::{Problem, ReplayError};
use super::filter::{DETECTION_FAILED, Filter};
use super::list::covered;
use super::marker::Marker;
use super::object::Kept;
use crate::settings::Settings;

/// Records a second that are written to the raw stream unless something else is said: half of what one shard takes, because
/// devices write to it too.
pub const RATE: u32 = 500;
/// Most records that are written before the next wait, and before what was written is marked: those of one `PutRecords` call.
const BURST_MAX: u32 = 500;

/// What is to be replayed.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which records.
    pub filter: Filter,
    /// All records, when the filter says nothing.
    pub all: bool,
    /// Also those that were replayed before.
    pub again: bool,
    /// Only count.
    pub dry_run: bool,
    /// Records a second, at most; [`RATE`] when it is 0.
    pub rate: u32,
}

/// What became of the records that are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Objects that were looked at.
    pub objects: u64,
    /// Records that were written to the raw stream; in a dry run, those that would be.
    pub replayed: u64,
    /// Records that were passed over, because they were replayed before or have a copy that was.
    pub before: u64,
    /// Records without a key and without a device: nobody knows where in the stream they belong.
    pub keyless: u64,
    /// Records of batches that the anomaly detection could not work on: they are in the lake, and are never replayed.
    pub undetected: u64,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

impl Replayed {
    /// Whether everything was replayed that `filter` asks for. Records that are in the lake are nothing that anybody asks for,
    /// unless by their reason.
    pub fn is_complete(&self, filter: &Filter) -> bool {
        let undetected = self.undetected > 0 && filter.names(DETECTION_FAILED);
        self.keyless == 0 && !undetected && self.problems.is_empty()
    }
}

/// Replays the records that are meant, object by object in the order of their keys: those below `quarantine/` first, so that the
/// records of a shard keep their order among those that were kept in the same way. Ends with the first object whose records the stream does not take, after what it took is marked: later ones of the
/// same device must not come before them.
pub async fn replay(
    config: &SdkConfig,
    settings: &Settings,
    request: &Request,
    progress: &mut dyn Progress,
) -> Result<Replayed, ReplayError> {
    if request.filter.is_empty() && !request.all {
        return Err(ReplayError::NoFilter);
    }
    let api = Api::new(config, settings).await?;
    let mut done: BTreeSet<String> =
        if request.again { BTreeSet::new() } else { api.replayed().await?.into_keys().collect() };
    let objects = covered(&api, &request.filter).await?;
    progress.begin(objects.len());
    let mut outcome = Replayed::default();
    for object in objects {
        let step = replay_object(&api, &object.key, request, &mut done, &mut outcome).await;
        match step {
            Ok(replayed) => progress.step(replayed),
            Err(error) => {
                progress.end();
                return Err(error);
            }
        }
    }
    progress.end();
    Ok(outcome)
}

/// Replays the records of one object, in pieces that are as long as the rate allows in a second. Answers how many.
async fn replay_object(
    api: &Api,
    object: &str,
    request: &Request,
    done: &mut BTreeSet<String>,
    outcome: &mut Replayed,
) -> Result<usize, ReplayError> {
    let (records, problems) = api.read(object).await?;
    outcome.objects += 1;
    outcome.problems.extend(problems);
    let mut pending: Vec<(&str, &Kept)> = Vec::new();
    for kept in records.iter().filter(|kept| request.filter.matches(kept)) {
        match kept.key() {
            _ if !kept.is_replayable() => outcome.undetected += 1,
            None => outcome.keyless += 1,
            Some(_) if !done.insert(Marker::name(kept)) => outcome.before += 1,
            Some(key) => pending.push((key, kept)),
        }
    }
    if pending.is_empty() || request.dry_run {
        outcome.replayed += pending.len() as u64;
        return Ok(pending.len());
    }
    let rate = if request.rate == 0 { RATE } else { request.rate };
    let burst = usize::try_from(rate.min(BURST_MAX)).unwrap_or(usize::MAX);
    let mut replayed = 0;
    for burst in pending.chunks(burst) {
        let (written, failure) = api.put(burst).await;
        let marks: Vec<String> = burst
            .iter()
            .zip(&written)
            .filter(|(_, written)| **written)
            .map(|((_, kept), _)| Marker::name(kept))
            .collect();
        if !marks.is_empty() {
            api.mark(object, &marks, &api.now()).await?;
            replayed += marks.len();
            outcome.replayed += marks.len() as u64;
        }
        if let Some(failure) = failure {
            let first =
                burst.iter().zip(&written).find(|(_, written)| !**written).map_or(0, |((_, kept), _)| kept.line);
            let what = format!(
                "writing s3://{}/{object}:{first} and what is behind it to the stream {} ({replayed} records of this object \
                 were written)",
                api.bucket, api.raw_stream
            );
            return Err(ReplayError::call(what)(failure));
        }
        api.pause(Duration::from_secs(1) * u32::try_from(marks.len()).unwrap_or(u32::MAX) / rate).await;
    }
    Ok(replayed)
}
