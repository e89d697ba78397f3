//! The state of a shard as one object in S3, replaced by compare-and-swap.
//!
//! A second small object a shard says how far an outbox was told, by a hash of what it holds: another execution environment
//! that finds the state would otherwise write its object again, and send its messages. It may be lost or late, or be of
//! another outbox; then that is done again.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};

use super::STATE_PREFIX;
use super::outbox::Outbox;
use super::parents::{Shards, hash_key};
use super::state::{SERIES_MAX, Shard};
use crate::calls::{CallError, Clock};

/// States of so many shards are kept between invocations.
const KEPT_MAX: usize = 4;

/// The state of a shard, and the version of its object that it was read from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub shard_id: String,
    pub shard: Shard,
    /// Messages of the shard's outbox that are settled: sent, or given up.
    pub settled: usize,
    /// Whether the state was found: how far its outbox was told is not known then.
    pub is_found: bool,
    /// Outboxes of parents, of which that is not known either.
    pub of_parents: Vec<(String, Outbox)>,
    /// Series of parents that were left out, because there is no room for them.
    pub left_out: usize,
    /// Nothing when there is no object yet.
    etag: Option<String>,
}

/// Why a state was not loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// AWS did not give it.
    Call(CallError),
    /// The object is no state that this version reads.
    Unreadable(String),
}

/// What became of a new state.
#[derive(Debug)]
pub(super) enum Saved {
    /// It is there.
    Yes(Box<Loaded>),
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
    shards: Shards,
    clock: Clock,
    /// The latest first. Each is at most a cache: S3 is asked whether it is still so.
    kept: Mutex<Vec<Loaded>>,
}

/// What S3 has under a key.
enum Object {
    /// What is known already.
    Same,
    None,
    Found(Vec<u8>, Option<String>),
}

impl From<CallError> for LoadError {
    fn from(error: CallError) -> Self {
        LoadError::Call(error)
    }
}

fn key(shard_id: &str) -> String {
    format!("{STATE_PREFIX}/{shard_id}.bin")
}

/// Key of the object that says what was told.
fn told_key(shard_id: &str) -> String {
    format!("{STATE_PREFIX}/{shard_id}.told")
}

impl Store {
    pub fn new(client: Client, bucket: &str, shards: Shards, clock: Clock) -> Self {
        Store { client, bucket: bucket.to_owned(), shards, clock, kept: Mutex::default() }
    }

    /// The present state of a shard of a stream. When there is none, it begins with what its parents have left.
    pub async fn load(&self, stream: &str, shard_id: &str, deadline: SystemTime) -> Result<Loaded, LoadError> {
        let kept = self.take(shard_id);
        let etag = kept.as_ref().and_then(|kept| kept.etag.clone());
        match (self.get(&key(shard_id), etag, deadline).await?, kept) {
            (Object::Same, Some(kept)) => Ok(kept),
            (Object::Same, None) => Err(CallError::without_answer("S3 knows of a version that was not named").into()),
            (Object::None, _) => self.first(stream, shard_id, deadline).await,
            (Object::Found(body, etag), _) => {
                let (shard_id, shard) = (shard_id.to_owned(), self.parse(shard_id, &body)?);
                Ok(Loaded { shard_id, shard, settled: 0, is_found: true, of_parents: Vec::new(), left_out: 0, etag })
            }
        }
    }

    /// The first state of a shard.
    async fn first(&self, stream: &str, shard_id: &str, deadline: SystemTime) -> Result<Loaded, LoadError> {
        let tree = self.shards.of(stream, deadline).await?;
        let (mut shard, mut of_parents, mut left_out) = (Shard::default(), Vec::new(), 0);
        let mut walk = tree.walk(shard_id);
        while let Some((parent, hashes)) = walk.next() {
            let Object::Found(body, _) = self.get(&key(&parent), None, deadline).await? else {
                walk.parents_of(&parent, &hashes);
                continue;
            };
            let mut left = self.parse(&parent, &body)?;
            // A parent whose last batch was given up, or could not send all alerts, has something to tell.
            of_parents.push((parent.clone(), std::mem::take(&mut left.outbox)));
            let devices = left.devices.len();
            // The names of tenants have no `#`.
            let is_own = |key: &str| key.split_once('#').is_some_and(|(_, device)| hashes.contains(&hash_key(device)));
            let series = shard.take_over(left, SERIES_MAX, is_own);
            left_out += series;
            tracing::info!(
                shard_id,
                parent,
                devices,
                left_out = series,
                "a new shard goes on with what its parent knows"
            );
        }
        let shard_id = shard_id.to_owned();
        Ok(Loaded { shard_id, shard, settled: 0, is_found: false, of_parents, left_out, etag: None })
    }

    /// Reads an object, unless it is of the version `known`.
    async fn get(&self, key: &str, known: Option<String>, deadline: SystemTime) -> Result<Object, CallError> {
        let call = || {
            let get = self.client.get_object().bucket(&self.bucket).key(key);
            get.set_if_none_match(known.clone()).send()
        };
        let object = match self.clock.call_again(deadline, call).await {
            Ok(object) => object,
            Err(error) if error.status == Some(304) => return Ok(Object::Same),
            Err(error) if error.is("NoSuchKey") => return Ok(Object::None),
            Err(error) => return Err(error),
        };
        let etag = object.e_tag().map(str::to_owned);
        match self.clock.in_time(deadline, object.body.collect()).await {
            Some(Ok(body)) => Ok(Object::Found(body.to_vec(), etag)),
            Some(Err(error)) => Err(CallError::without_answer(error.to_string())),
            None => Err(CallError::not_in_time()),
        }
    }

    /// An empty object is what an operator puts in place of a state that cannot be read: the shard begins anew, and takes
    /// nothing over from its parents, whose states are as old as the reshard.
    fn parse(&self, shard_id: &str, body: &[u8]) -> Result<Shard, LoadError> {
        if body.is_empty() {
            tracing::info!(shard_id, "the object is empty: the shard begins anew");
            return Ok(Shard::default());
        }
        Shard::from_bytes(body).map_err(|reason| {
            let (bucket, key) = (&self.bucket, key(shard_id));
            let hint = "replace it by an empty object to begin anew; without an object, the shard would go back to what its \
                        parents left";
            LoadError::Unreadable(format!("s3://{bucket}/{key}: {reason}; hint: {hint}"))
        })
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
                Saved::Yes(Box::new(loaded))
            }
            Err(error) if matches!(error.status, Some(404 | 409 | 412)) => Saved::Conflict,
            Err(error) => Saved::Unknown(error),
        }
    }

    /// How many messages of this outbox of a shard are known to be settled; its object is written then. Nothing when
    /// nothing is known.
    pub async fn told(&self, of: (&str, &Outbox), deadline: SystemTime) -> Result<Option<usize>, CallError> {
        let (shard_id, outbox) = of;
        let Object::Found(text, _) = self.get(&told_key(shard_id), None, deadline).await? else { return Ok(None) };
        let found = std::str::from_utf8(&text).ok().and_then(|text| text.split_once(' '));
        let settled = found.filter(|(hash, _)| *hash == outbox.hash()).and_then(|(_, settled)| settled.parse().ok());
        Ok(settled.filter(|settled| *settled <= outbox.messages.len()))
    }

    /// The object of this outbox of a shard was written, and so many of its messages are settled.
    pub async fn tell(&self, of: (&str, &Outbox), settled: usize, deadline: SystemTime) -> Result<(), CallError> {
        let (shard_id, outbox) = of;
        let text = format!("{} {settled}", outbox.hash());
        let call = || {
            let body = ByteStream::new(SdkBody::from(text.as_str()));
            self.client.put_object().bucket(&self.bucket).key(told_key(shard_id)).body(body).send()
        };
        self.clock.call_again(deadline, call).await.map(drop)
    }

    /// Keeps a state that is as S3 has it, and of whose outbox it is known how far it was told.
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
