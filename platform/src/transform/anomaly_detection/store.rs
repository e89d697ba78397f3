//! The state of a shard as one object in S3, replaced by compare-and-swap.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};

use super::STATE_PREFIX;
use super::state::Shard;
use crate::calls::{CallError, Clock};

/// States of so many shards are kept between invocations.
const KEPT_MAX: usize = 4;
/// The first state of a shard looks at so many states of other shards at most, those that were changed last.
const INHERITED_MAX: usize = 16;
/// It looks at none that was not changed for so long: longer than streams keep records by default.
const INHERITED_FROM: Duration = Duration::from_secs(48 * 60 * 60);

/// The state of a shard, and the version of its object that it was read from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub shard_id: String,
    pub shard: Shard,
    /// Nothing when there is no object yet.
    etag: Option<String>,
}

/// Why a state was not loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// S3 did not give it.
    Call(CallError),
    /// The object is no state that this version reads.
    Unreadable(String),
}

/// What became of a new state.
#[derive(Debug)]
pub(super) enum Saved {
    Yes,
    /// Somebody else has replaced the object: what was worked out is void.
    Conflict,
    /// It may have been written or not.
    Unknown(CallError),
}

/// The bucket of states.
#[derive(Debug)]
pub(super) struct Store {
    client: Client,
    bucket: String,
    clock: Clock,
    /// The latest first. Each is at most a cache: S3 is asked whether it is still so.
    kept: Mutex<Vec<Loaded>>,
}

fn key(shard_id: &str) -> String {
    format!("{STATE_PREFIX}/{shard_id}.bin")
}

impl Store {
    pub fn new(client: Client, bucket: &str, clock: Clock) -> Self {
        Store { client, bucket: bucket.to_owned(), clock, kept: Mutex::default() }
    }

    /// The present state of a shard; an empty one when there is none.
    pub async fn load(&self, shard_id: &str, deadline: SystemTime) -> Result<Loaded, LoadError> {
        let kept = self.take(shard_id);
        let etag = kept.as_ref().and_then(|kept| kept.etag.clone());
        let call = || {
            let get = self.client.get_object().bucket(&self.bucket).key(key(shard_id));
            get.set_if_none_match(etag.clone()).send()
        };
        let empty = || Loaded { shard_id: shard_id.to_owned(), shard: Shard::default(), etag: None };
        let object = match (self.clock.call_again(deadline, call).await, kept) {
            (Ok(object), _) => object,
            (Err(error), Some(kept)) if error.status == Some(304) => return Ok(kept),
            (Err(error), _) if error.is("NoSuchKey") => {
                let mut first = empty();
                self.inherit(&mut first, deadline).await.map_err(LoadError::Call)?;
                return Ok(first);
            }
            (Err(error), _) => return Err(LoadError::Call(error)),
        };
        let etag = object.e_tag().map(str::to_owned);
        let body = match self.clock.in_time(deadline, object.body.collect()).await {
            Some(Ok(body)) => body.to_vec(),
            Some(Err(error)) => return Err(LoadError::Call(CallError::without_answer(error.to_string()))),
            None => return Err(LoadError::Call(CallError::not_in_time())),
        };
        let shard = Shard::from_bytes(&body).map_err(|reason| {
            LoadError::Unreadable(format!(
                "s3://{}/{}: {reason}; delete the object to begin anew",
                self.bucket,
                key(shard_id)
            ))
        })?;
        Ok(Loaded { shard_id: shard_id.to_owned(), shard, etag })
    }

    /// Gives the first state of a shard what other shards have asked of devices: the shard may be a child of any of them,
    /// and the event does not say of which. A parent is read to its end before its child, so its state is its last.
    async fn inherit(&self, first: &mut Loaded, deadline: SystemTime) -> Result<(), CallError> {
        let mut latest = self.recent(deadline).await?;
        latest.sort_by_key(|(_, changed_s)| std::cmp::Reverse(*changed_s));
        for (other, _) in latest.iter().take(INHERITED_MAX) {
            let get = || self.client.get_object().bucket(&self.bucket).key(other).send();
            let object = match self.clock.call_again(deadline, get).await {
                Ok(object) => object,
                Err(error) if error.is("NoSuchKey") => continue,
                Err(error) => return Err(error),
            };
            let body = match self.clock.in_time(deadline, object.body.collect()).await {
                Some(Ok(body)) => body.to_vec(),
                Some(Err(error)) => return Err(CallError::without_answer(error.to_string())),
                None => return Err(CallError::not_in_time()),
            };
            // A state that cannot be read is told by whoever reads it as his own.
            if let Ok(left) = Shard::from_bytes(&body) {
                first.shard.asked.inherit(&left.asked);
            }
        }
        Ok(())
    }

    /// The states that were changed lately, with the second of their last change.
    async fn recent(&self, deadline: SystemTime) -> Result<Vec<(String, i64)>, CallError> {
        let since = (self.clock.now() - INHERITED_FROM).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let list = || {
                let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{STATE_PREFIX}/"));
                list.set_continuation_token(token.clone()).send()
            };
            let page = self.clock.call_again(deadline, list).await?;
            let changed =
                page.contents().iter().filter_map(|object| Some((object.key()?, object.last_modified()?.secs())));
            found.extend(changed.filter(|(_, at)| *at >= since).map(|(key, at)| (key.to_owned(), at)));
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Replaces the state that `loaded` was read from.
    pub async fn save(&self, mut loaded: Loaded, deadline: SystemTime) -> Saved {
        let body = SdkBody::from(loaded.shard.to_bytes());
        let body = ByteStream::new(body);
        let put = self.client.put_object().bucket(&self.bucket).key(key(&loaded.shard_id)).body(body);
        let put = match &loaded.etag {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        // The SDK repeats the call by itself. When the first answer was lost, the repetition is a conflict with what this
        // very call wrote: the state is loaded again, and then holds the batch.
        match self.clock.call(deadline, put.send()).await {
            Ok(answer) => {
                loaded.etag = answer.e_tag().map(str::to_owned);
                self.keep(loaded);
                Saved::Yes
            }
            Err(error) if matches!(error.status, Some(404 | 409 | 412)) => Saved::Conflict,
            Err(error) => Saved::Unknown(error),
        }
    }

    /// Keeps a state that is as S3 has it.
    pub fn keep(&self, loaded: Loaded) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.etag.is_some() {
            kept.insert(0, loaded);
            kept.truncate(KEPT_MAX);
        }
    }

    fn take(&self, shard_id: &str) -> Option<Loaded> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.iter().position(|kept| kept.shard_id == shard_id)?;
        Some(kept.remove(index))
    }
}
