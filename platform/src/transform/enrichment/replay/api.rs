//! The calls: repeated while their failure may pass.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_types::SdkConfig;

use super::error::{Problem, ReplayError};
use super::marker::{self, Marker};
use super::object::{self, Content, Kept};
use crate::calls::{CallError, Clock, client, client_config};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::transform::enrichment::{quarantine, waves};
use crate::transform::streaming;

/// Longest time for a call with all its repetitions.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest time for the body of an object at one attempt: the largest, a batch that Lambda gave up, has some 8 MiB.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// How often a marker is written anew because somebody else has written it meanwhile.
const MEETINGS_MAX: usize = 8;

/// An object of the quarantine, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub key: String,
    /// When it was written, in seconds since the Unix epoch.
    pub kept_at: i64,
}

/// Clients, names and the clock.
#[derive(Debug)]
pub(super) struct Api {
    pub bucket: String,
    pub raw_stream: String,
    clock: Clock,
    s3: aws_sdk_s3::Client,
    kinesis: aws_sdk_kinesis::Client,
}

impl Api {
    /// The environment of the settings, in the account of the credentials.
    pub async fn new(config: &SdkConfig, settings: &Settings) -> Result<Self, ReplayError> {
        let clock = Clock::new(config)?;
        let config = client_config(config);
        let sts = client!(aws_sdk_sts, &config);
        let caller = clock.call_again(clock.now() + PATIENCE, || sts.get_caller_identity().send()).await;
        let caller = caller.map_err(ReplayError::call("finding out whose the credentials are"))?;
        let found = caller.account().unwrap_or_default().to_owned();
        if let Some(expected) = settings.account.as_ref().filter(|expected| **expected != found) {
            return Err(ReplayError::WrongAccount { expected: expected.clone(), found });
        }
        let naming = Naming::new(settings);
        Ok(Api {
            bucket: format!("{}-{found}-{}", naming.name("processed"), settings.region),
            raw_stream: streaming::raw_stream_name(naming),
            s3: client!(aws_sdk_s3, &config),
            kinesis: client!(aws_sdk_kinesis, &config),
            clock,
        })
    }

    /// The current time as text, to the second.
    pub fn now(&self) -> String {
        let instant = aws_smithy_types::DateTime::from(self.clock.now());
        let whole = aws_smithy_types::DateTime::from_secs(instant.secs());
        whole.fmt(aws_smithy_types::date_time::Format::DateTime).unwrap_or_default()
    }

    /// Waits.
    pub async fn pause(&self, wait: Duration) {
        self.clock.pause(wait, self.clock.now() + wait + PATIENCE).await;
    }

    fn deadline(&self) -> SystemTime {
        self.clock.now() + PATIENCE
    }

    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// The objects with records that were set aside, in the order of their keys.
    pub async fn objects(&self) -> Result<Vec<Listed>, ReplayError> {
        let mut objects = self.below(&format!("{}/", quarantine::PREFIX)).await?;
        objects.extend(self.below(object::LAMBDA_PREFIX).await?);
        objects.retain(|listed| object::is_kept(&listed.key));
        Ok(objects)
    }

    async fn below(&self, prefix: &str) -> Result<Vec<Listed>, ReplayError> {
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let list = || {
                let call = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
                call.set_continuation_token(token.clone()).send()
            };
            let page = self.clock.call_again(self.deadline(), list).await;
            let page = page.map_err(ReplayError::call(format!("listing {}", self.place(prefix))))?;
            objects.extend(page.contents().iter().map(|object| Listed {
                key: object.key().unwrap_or_default().to_owned(),
                kept_at: object.last_modified().map_or(0, aws_smithy_types::DateTime::secs),
            }));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// The body of an object with its ETag; nothing when there is none.
    async fn body(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, ReplayError> {
        let failed = |error: CallError| ReplayError::call(format!("reading {}", self.place(key)))(error);
        let deadline = self.deadline();
        // The client's time-outs end with the headers: the body has its own, and both are repeated.
        let get = || async {
            let got = self.clock.call(deadline, self.s3.get_object().bucket(&self.bucket).key(key).send()).await?;
            let etag = got.e_tag().unwrap_or_default().to_owned();
            let until = deadline.min(self.clock.now() + BODY_PATIENCE);
            let body = self.clock.in_time(until, got.body.collect()).await.ok_or_else(CallError::not_in_time)?;
            let body = body.map_err(|error| CallError::without_answer(DisplayErrorContext(error).to_string()))?;
            Ok((body.to_vec(), etag))
        };
        match self.clock.attempts(deadline, get).await {
            Ok(got) => Ok(Some(got)),
            Err(error) if error.is("NoSuchKey") || error.status == Some(404) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// What is in an object. One that went away since it was listed is empty.
    pub async fn read(&self, key: &str) -> Result<(Vec<Kept>, Vec<Problem>), ReplayError> {
        let Some((body, _)) = self.body(key).await? else { return Ok((Vec::new(), Vec::new())) };
        let Content { records, unreadable } = object::read(key, &body, &self.raw_stream);
        let problem = |(line, problem)| Problem { bucket: self.bucket.clone(), key: key.to_owned(), line, problem };
        Ok((records, unreadable.into_iter().map(problem).collect()))
    }

    /// All that has been replayed: when, by shard and sequence number.
    pub async fn replayed(&self) -> Result<BTreeMap<String, String>, ReplayError> {
        let mut replayed = BTreeMap::new();
        for Listed { key, .. } in self.below(marker::PREFIX).await? {
            if let Some((marker, _)) = self.marker(&key).await? {
                replayed.extend(marker.replayed);
            }
        }
        Ok(replayed)
    }

    async fn marker(&self, key: &str) -> Result<Option<(Marker, String)>, ReplayError> {
        let Some((body, etag)) = self.body(key).await? else { return Ok(None) };
        let unusable = |error: serde_json::Error| ReplayError::Call {
            what: format!("reading {}", self.place(key)),
            error: format!("it does not say what was replayed: {error}"),
            rights: "; what this object marked is replayed again once it is deleted",
        };
        Ok(Some((serde_json::from_slice(&body).map_err(unusable)?, etag)))
    }

    /// Marks records of an object as replayed at a time, beside those that are.
    pub async fn mark(&self, object: &str, records: &[String], at: &str) -> Result<(), ReplayError> {
        let key = Marker::key(object);
        let mut failure = CallError::without_answer("others mark the same records all the time");
        for _ in 0..MEETINGS_MAX {
            let (mut marker, etag) =
                self.marker(&key).await?.map_or_else(Default::default, |(m, etag)| (m, Some(etag)));
            marker.replayed.extend(records.iter().map(|record| (record.clone(), at.to_owned())));
            let body = marker.to_body();
            let put = || {
                let put = self.s3.put_object().bucket(&self.bucket).key(&key).content_type("application/json");
                let put = match &etag {
                    Some(etag) => put.if_match(etag),
                    None => put.if_none_match("*"),
                };
                put.body(body.clone().into()).send()
            };
            match self.clock.call_again(self.deadline(), put).await {
                Ok(_) => return Ok(()),
                // Somebody else has written it, or our own call had its effect without an answer.
                Err(error) if matches!(error.status, Some(404 | 409 | 412)) => failure = error,
                Err(error) => return Err(ReplayError::call(format!("writing {}", self.place(&key)))(error)),
            }
        }
        Err(ReplayError::call(format!("writing {}", self.place(&key)))(failure))
    }

    /// Writes records to the raw stream, those of one key in their order. Answers for each whether it is written, and why not
    /// all are.
    pub async fn put(&self, records: &[(&str, &Kept)]) -> (Vec<bool>, Option<CallError>) {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let numbered = records.iter().map(|(key, _)| {
            let next = numbers.len();
            *numbers.entry(*key).or_insert(next)
        });
        let numbered: Vec<usize> = numbered.collect();
        let mut written = vec![false; records.len()];
        for wave in waves::plan(&numbered, numbers.len()) {
            let sizes = wave.iter().map(|&index| records[index].0.len() + records[index].1.data.len());
            for call in waves::calls(sizes) {
                if let Err(error) = self.put_call(records, &wave[call], &mut written).await {
                    return (written, Some(error));
                }
            }
        }
        (written, None)
    }

    /// Writes records that fit one call, and those that fail again.
    async fn put_call(&self, records: &[(&str, &Kept)], call: &[usize], written: &mut [bool]) -> Result<(), CallError> {
        let (mut pending, deadline, mut attempt) = (call.to_vec(), self.deadline(), 0);
        let mut failure = CallError::not_in_time();
        while !pending.is_empty() {
            if !self.clock.may_attempt(attempt, deadline).await {
                return Err(failure);
            }
            attempt += 1;
            let entry = |&index: &usize| {
                let (key, kept) = records[index];
                let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(kept.data.as_slice()));
                entry.build().expect("key and data are set")
            };
            let entries = pending.iter().map(entry).collect();
            let put = self.kinesis.put_records().stream_name(&self.raw_stream).set_records(Some(entries)).send();
            match self.clock.call(deadline, put).await {
                Ok(answer) if answer.records().len() == pending.len() => {
                    let results = pending.iter().zip(answer.records());
                    let (failed, done): (Vec<_>, Vec<_>) =
                        results.partition(|(_, result)| result.error_code().is_some());
                    done.iter().for_each(|(index, _)| written[**index] = true);
                    if let Some((_, result)) = failed.first() {
                        let (code, text) = (result.error_code().unwrap_or(""), result.error_message().unwrap_or(""));
                        failure = CallError::without_answer(format!("{code}: {text}"));
                    }
                    pending = failed.into_iter().map(|(index, _)| *index).collect();
                }
                Ok(_) => failure = CallError::without_answer("the answer is for another number of records"),
                Err(error) if error.is_lasting() => return Err(error),
                Err(error) => failure = error,
            }
        }
        Ok(())
    }
}
