//! A model of streams: whatever puts, throttles, reshards, time and reads do, every accepted record is read exactly once by
//! each consumer that reads parents before children, and in the order of its key, which is that of the sequence numbers; a
//! refused one is never read; and what the retention has forgotten is gone, and nothing else. Shards take few records a second
//! here and pack what they keep into small segments, so that all of it happens often.

use std::collections::BTreeSet;

use base64::Engine as _;
use proptest::prelude::*;

use super::consumers::decode;
use super::*;
use crate::core::ports::{SequenceNumber, parse_sequence_number};
use crate::core::{Effect, EventStream, Limits};
use std::time::Duration;

const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
const KEYS: usize = 12;
/// Records that a shard takes in a second, and at once.
const RECORDS_A_SECOND: u64 = 20;
/// How long a drain may take: what expires meanwhile may be read or not.
const HOUR_MS: u64 = 3_600_000;

/// What is put under a key: an odd key goes by an explicit hash key of its own.
#[derive(Clone, Debug)]
struct Put {
    key: usize,
}

impl Put {
    fn key(&self) -> String {
        format!("key-{}", self.key)
    }

    fn entry(&self, number: usize) -> Value {
        let mut entry = json!({"PartitionKey": self.key(), "Data": base64(number.to_string())});
        if self.key % 2 == 1 {
            entry["ExplicitHashKey"] = (u128::MAX / KEYS as u128 * self.key as u128).to_string().into();
        }
        entry
    }
}

#[derive(Clone, Debug)]
enum Act {
    One(Put),
    Many(Vec<Put>),
    /// One call with as many records under one key: more than a shard takes.
    Burst {
        put: Put,
        count: usize,
    },
    Split {
        place: usize,
        part: u8,
    },
    Merge {
        place: usize,
    },
    Count {
        target: u32,
    },
    Retention {
        hours: u64,
    },
    Wait {
        millis: u64,
    },
    /// One of the consumers that ask reads once.
    Read {
        consumer: usize,
        limit: usize,
    },
}

fn put() -> impl Strategy<Value = Put> {
    (0..KEYS).prop_map(|key| Put { key })
}

fn act(longest_ms: u64) -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => put().prop_map(Act::One),
        4 => prop::collection::vec(put(), 1..12).prop_map(Act::Many),
        1 => (put(), 20..60usize).prop_map(|(put, count)| Act::Burst { put, count }),
        1 => (0..8usize, 1..255u8).prop_map(|(place, part)| Act::Split { place, part }),
        1 => (0..8usize).prop_map(|place| Act::Merge { place }),
        1 => (1..9u32).prop_map(|target| Act::Count { target }),
        3 => (1..40_000u64).prop_map(|millis| Act::Wait { millis }),
        1 => (40_000..longest_ms).prop_map(|millis| Act::Wait { millis }),
        4 => (0..2usize, 1..8usize).prop_map(|(consumer, limit)| Act::Read { consumer, limit }),
    ]
}

fn act_with_retention() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => act(20 * HOUR_MS),
        1 => (24..72u64).prop_map(|hours| Act::Retention { hours }),
    ]
}

/// A record as it was accepted, or as a consumer read it.
#[derive(Clone, Debug)]
struct Known {
    key: String,
    payload: String,
    sequence: u128,
    /// When it was accepted, or read.
    at: Time,
}

/// Where a consumer stands in a shard, and how it asks for more.
trait Consumer {
    /// Reads each shard once whose parents are read. Answers whether there was anything to do.
    fn turn(&mut self, account: &mut Account, limit: usize) -> bool;
    /// What was read, in order.
    fn read(&self) -> &[Known];
}

/// The shards of a stream with their parents, as a consumer learns of them over the wire.
fn listed(account: &mut Account) -> Vec<(String, Vec<String>)> {
    let answer = account.call("ListShards", json!({"StreamName": "s"}));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let shard = |shard: &Value| {
        let parents = [&shard["ParentShardId"], &shard["AdjacentParentShardId"]];
        (text(&shard["ShardId"]).unwrap(), parents.into_iter().filter_map(text).collect())
    };
    answer["Shards"].as_array().unwrap().iter().map(shard).collect()
}

/// Whether a consumer is done with a shard; one that has expired is as good as read.
fn is_done<T>(listed: &[(String, Vec<String>)], shards: &BTreeMap<String, Option<T>>, id: &str) -> bool {
    matches!(shards.get(id), Some(None)) || !listed.iter().any(|(other, _)| other == id)
}

fn number(of: &Value) -> u128 {
    parse_sequence_number(of["SequenceNumber"].as_str().unwrap()).unwrap()
}

fn decoded(record: &Value, now: Time) -> Known {
    let data = base64::engine::general_purpose::STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
    let key = record["PartitionKey"].as_str().unwrap().to_owned();
    Known { key, payload: String::from_utf8(data).unwrap(), sequence: number(record), at: now }
}

/// Asks over the wire, as the Kinesis Client Library does.
#[derive(Default)]
struct Polling {
    /// Iterator and last sequence number; nothing once the shard is read.
    shards: BTreeMap<String, Option<(String, Option<String>)>>,
    read: Vec<Known>,
}

impl Polling {
    fn iterator(account: &mut Account, shard: &str, after: Option<&str>) -> Option<String> {
        let mut body = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        if let Some(number) = after {
            body["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
            body["StartingSequenceNumber"] = number.into();
        }
        match account.raw("GetShardIterator", &body) {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                Some(answer["ShardIterator"].as_str().unwrap().to_owned())
            }
            Err(error) => {
                assert_eq!(error.code, "ResourceNotFoundException", "{error}");
                None
            }
        }
    }
}

impl Consumer for Polling {
    fn turn(&mut self, account: &mut Account, limit: usize) -> bool {
        account.wait_awake(500);
        let (listed, mut active) = (listed(account), false);
        for (id, parents) in &listed {
            if !self.shards.contains_key(id) && parents.iter().all(|parent| is_done(&listed, &self.shards, parent)) {
                let iterator = Polling::iterator(account, id, None);
                self.shards.insert(id.clone(), iterator.map(|iterator| (iterator, None)));
                active = true;
            }
            let Some(Some((iterator, last))) = self.shards.get_mut(id) else { continue };
            let body = json!({"ShardIterator": iterator, "Limit": limit});
            let answer = match account.raw("GetRecords", &body) {
                Ok(answer) => serde_json::from_slice::<Value>(&answer).unwrap(),
                Err(error) => {
                    assert_eq!(error.code, "ExpiredIteratorException", "{error}");
                    let renewed = Polling::iterator(account, id, last.as_deref());
                    let last = last.take();
                    self.shards.insert(id.clone(), renewed.map(|iterator| (iterator, last)));
                    active = true;
                    continue;
                }
            };
            let records = answer["Records"].as_array().unwrap();
            self.read.extend(records.iter().map(|record| decoded(record, account.now)));
            let number = records.last().map(|record| record["SequenceNumber"].as_str().unwrap().to_owned());
            let last = number.or(last.take());
            let next = answer["NextShardIterator"].as_str().map(|next| (next.to_owned(), last));
            active |= !records.is_empty() || next.is_none();
            assert_eq!(next.is_none(), answer.get("ChildShards").is_some());
            self.shards.insert(id.clone(), next);
        }
        active
    }

    fn read(&self) -> &[Known] {
        &self.read
    }
}

/// Asks through the port, as Lambda and Firehose do.
#[derive(Default)]
struct Inside {
    shards: BTreeMap<String, Option<ShardCursor>>,
    read: Vec<Known>,
}

impl Consumer for Inside {
    fn turn(&mut self, account: &mut Account, limit: usize) -> bool {
        account.wait_awake(500);
        let (listed, mut active) = (listed(account), false);
        for (id, parents) in &listed {
            if !self.shards.contains_key(id) && parents.iter().all(|parent| is_done(&listed, &self.shards, parent)) {
                let start = StartingPosition::TrimHorizon;
                let cursor = account.act(|kinesis, cx| kinesis.cursor(cx, "s", id, start)).unwrap();
                self.shards.insert(id.clone(), Some(cursor));
                active = true;
            }
            let Some(Some(cursor)) = self.shards.get_mut(id) else { continue };
            let batch = account.act(|kinesis, cx| kinesis.get_records(cx, cursor, limit)).unwrap();
            active |= !batch.records.is_empty() || batch.next.is_none();
            let offsets: Vec<u64> =
                batch.records.iter().map(|it| SequenceNumber::unpack(it.sequence_number).ordinal - 1).collect();
            let end = batch.first + offsets.len() as u64;
            assert_eq!(offsets, (batch.first..end).collect::<Vec<_>>(), "the batch tells where it begins");
            assert!(batch.first >= cursor.offset && batch.next.as_ref().is_none_or(|next| next.offset == end));
            let at = account.now;
            self.read.extend(batch.records.iter().map(|it| {
                let payload = String::from_utf8(it.data.to_vec()).unwrap();
                Known { key: it.partition_key.to_string(), payload, sequence: it.sequence_number, at }
            }));
            self.shards.insert(id.clone(), batch.next);
        }
        active
    }

    fn read(&self) -> &[Known] {
        &self.read
    }
}

/// Is pushed what arrives, and subscribes again when a subscription is over.
struct Subscriber {
    arn: String,
    /// After which sequence number to go on; nothing once the shard is read.
    shards: BTreeMap<String, Option<Value>>,
    open: BTreeMap<EventStream, String>,
    read: Vec<Known>,
}

impl Subscriber {
    fn new(account: &mut Account) -> Self {
        let body = json!({"StreamARN": ARN, "ConsumerName": "subscriber"});
        let answer = account.call("RegisterStreamConsumer", body);
        account.wait_awake(10_000);
        let arn = answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned();
        Subscriber { arn, shards: BTreeMap::new(), open: BTreeMap::new(), read: Vec::new() }
    }

    /// Takes in what was sent since the last look.
    fn take_in(&mut self, account: &mut Account) -> bool {
        let mut active = false;
        for effect in std::mem::take(&mut account.parts.effects) {
            match effect {
                Effect::StreamEvent { stream, bytes } => {
                    let (headers, event) = decode(&bytes);
                    assert_eq!(headers[1], "SubscribeToShardEvent");
                    let shard = &self.open[&stream];
                    let records = event["Records"].as_array().unwrap();
                    active |= !records.is_empty();
                    self.read.extend(records.iter().map(|record| decoded(record, account.now)));
                    let number = event.get("ContinuationSequenceNumber");
                    let after = number.map(|number| json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}));
                    assert_eq!(after.is_none(), event.get("ChildShards").is_some());
                    self.shards.insert(shard.clone(), after);
                }
                Effect::StreamEnd { stream } => {
                    self.open.remove(&stream);
                    active = true;
                }
                other => panic!("{other:?}"),
            }
        }
        active
    }
}

impl Consumer for Subscriber {
    fn turn(&mut self, account: &mut Account, _: usize) -> bool {
        let mut active = self.take_in(account);
        let listed = listed(account);
        for (id, parents) in &listed {
            if !self.shards.contains_key(id) && parents.iter().all(|parent| is_done(&listed, &self.shards, parent)) {
                self.shards.insert(id.clone(), Some(json!({"Type": "TRIM_HORIZON"})));
            }
            let Some(Some(position)) = self.shards.get(id) else { continue };
            if !self.open.values().any(|open| open == id) {
                let body = json!({"ConsumerARN": self.arn, "ShardId": id, "StartingPosition": position});
                account.raw("SubscribeToShard", &body).unwrap_or_else(|error| panic!("{body}: {error}"));
                self.open.insert(account.kinesis.take_opened().unwrap().0, id.clone());
                active = true;
            }
        }
        account.wait_awake(2_000);
        self.take_in(account) | active
    }

    fn read(&self) -> &[Known] {
        &self.read
    }
}

/// What the stream owes.
#[derive(Default)]
struct Owed {
    accepted: Vec<Known>,
    /// How many were refused for the rate of a shard.
    refused: usize,
    /// What arrived before is gone, whatever the retention is now.
    gone_before: Time,
    retention_hours: u64,
}

impl Owed {
    fn cutoff(&self, now: Time) -> Time {
        (now - Duration::from_secs(self.retention_hours * 3_600)).max(self.gone_before)
    }

    fn put(&mut self, account: &mut Account, puts: &[Put], number: usize) {
        let payload = |place: usize| number * 100 + place;
        let entries: Vec<Value> = (0..).zip(puts).map(|(place, put)| put.entry(payload(place))).collect();
        let results = if let [entry] = &*entries {
            let mut body = entry.clone();
            body["StreamName"] = "s".into();
            let answer = account.raw("PutRecord", &body);
            vec![answer.map_or_else(
                |error| json!({"ErrorCode": error.code}),
                |answer| serde_json::from_slice(&answer).unwrap(),
            )]
        } else {
            let answer = account.call("PutRecords", json!({"StreamName": "s", "Records": entries}));
            let results = answer["Records"].as_array().unwrap().clone();
            let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
            assert_eq!(answer["FailedRecordCount"], failed);
            results
        };
        for ((place, put), result) in (0..).zip(puts).zip(results) {
            if let Some(code) = result.get("ErrorCode") {
                assert_eq!(code, "ProvisionedThroughputExceededException");
                self.refused += 1;
                continue;
            }
            let (payload, sequence) = (payload(place).to_string(), self::number(&result));
            self.accepted.push(Known { key: put.key(), payload, sequence, at: account.now });
        }
    }

    fn retain(&mut self, account: &mut Account, hours: u64) {
        if account.kinesis.streams["s"].status != stream::Status::Active || hours == self.retention_hours {
            return;
        }
        let longer = hours > self.retention_hours;
        let operation = if longer { "IncreaseStreamRetentionPeriod" } else { "DecreaseStreamRetentionPeriod" };
        account.call(operation, json!({"StreamName": "s", "RetentionPeriodHours": hours}));
        let before = self.cutoff(account.now);
        self.retention_hours = hours;
        self.gone_before = before.max(self.cutoff(account.now));
    }

    /// Whether what a consumer read is what it should have read by `now`.
    fn check(&self, who: usize, read: &[Known], now: Time) -> Result<(), TestCaseError> {
        let cutoff = self.cutoff(now);
        for key in 0..KEYS {
            let key = Put { key }.key();
            let of_key = |records: &[Known]| -> Vec<Known> {
                records.iter().filter(|record| record.key == key).cloned().collect()
            };
            let (got, all) = (of_key(read), of_key(&self.accepted));
            // What was read is a part of what was accepted, in its order, each once, and under its number.
            let mut rest = all.iter();
            let is_next =
                |record: &Known| rest.any(|other| other.payload == record.payload && other.sequence == record.sequence);
            prop_assert!(got.iter().all(is_next), "{}: {:?} of {:?}", who, got, all);
            prop_assert!(got.is_sorted_by(|a, b| a.sequence < b.sequence), "{}: {:?} do not ascend", who, got);
            let had: BTreeSet<u128> = got.iter().map(|record| record.sequence).collect();
            let missing: Vec<_> =
                all.iter().filter(|record| record.at >= cutoff && !had.contains(&record.sequence)).collect();
            prop_assert!(missing.is_empty(), "{}: {} lacks {:?} of {:?}", who, key, missing, all);
        }
        Ok(())
    }
}

fn run(shards: u32, acts: &[Act]) -> Result<(), TestCaseError> {
    let defaults = Quotas::new(&Limits::for_region("eu-west-1"));
    let quotas = Quotas { shard_write_records: RECORDS_A_SECOND, tail_bytes: 60, segment_bytes: 40, ..defaults };
    let mut account = Account::with_stream_under(Some(quotas), shards);
    let mut owed = Owed { retention_hours: 24, ..Owed::default() };
    let mut consumers: [Box<dyn Consumer>; 3] =
        [Box::<Polling>::default(), Box::<Inside>::default(), Box::new(Subscriber::new(&mut account))];
    for (number, act) in acts.iter().enumerate() {
        match act {
            Act::One(put) => owed.put(&mut account, std::slice::from_ref(put), number),
            Act::Many(puts) => owed.put(&mut account, puts, number),
            Act::Burst { put, count } => {
                let (accepted, refused) = (owed.accepted.len(), owed.refused);
                owed.put(&mut account, &vec![put.clone(); *count], number);
                prop_assert!((owed.accepted.len() - accepted) as u64 <= RECORDS_A_SECOND);
                prop_assert!(*count as u64 == RECORDS_A_SECOND || owed.refused > refused);
            }
            Act::Retention { hours } => owed.retain(&mut account, *hours),
            Act::Wait { millis } => account.wait_awake(*millis),
            Act::Read { consumer, limit } => {
                let consumer = &mut consumers[*consumer];
                let (before, began) = (consumer.read().len(), owed.cutoff(account.now));
                consumer.turn(&mut account, *limit);
                let numbers: BTreeSet<u128> = consumer.read()[before..].iter().map(|record| record.sequence).collect();
                let gone =
                    owed.accepted.iter().filter(|record| record.at < began && numbers.contains(&record.sequence));
                prop_assert_eq!(gone.count(), 0, "what the retention has forgotten is read");
            }
            Act::Split { place, part } => account.split_somewhere(*place, *part),
            Act::Merge { place } => account.merge_somewhere(*place),
            Act::Count { target } => account.count_anew(*target),
        }
        consumers[2].turn(&mut account, 0);
    }
    account.wait_awake(1_000_000);
    for (who, consumer) in consumers.iter_mut().enumerate() {
        let mut turns = 0;
        while consumer.turn(&mut account, 100) && turns < 500 {
            turns += 1;
        }
        prop_assert!(turns < 500, "{} does not come to an end", who);
    }
    let now = account.now;
    for (who, consumer) in consumers.iter().enumerate() {
        owed.check(who, consumer.read(), now)?;
    }
    Ok(())
}

impl Account {
    fn try_reshard(&mut self, operation: &str, body: &Value) {
        let busy = self.kinesis.streams["s"].status != stream::Status::Active;
        match self.raw(operation, body) {
            Ok(_) => assert!(!busy, "{operation} {body}"),
            Err(error) if error.code == "ResourceInUseException" => assert!(busy, "{operation} {body}: {error}"),
            Err(error) => assert_eq!(error.code, "LimitExceededException", "{operation} {body}: {error}"),
        }
    }

    fn open_ranges(&self) -> Vec<(String, routing::HashRange)> {
        let stream = &self.kinesis.streams["s"];
        let shard = |index: u32| &stream.shards[index as usize];
        stream.open.iter().map(|(_, index)| (shard(*index).id.to_string(), shard(*index).range)).collect()
    }

    fn split_somewhere(&mut self, place: usize, part: u8) {
        let open = self.open_ranges();
        let (id, range) = &open[place % open.len()];
        if range.end - range.start > 512 {
            let at = range.start + (range.end - range.start) / 256 * u128::from(part);
            let body = json!({"StreamName": "s", "ShardToSplit": id, "NewStartingHashKey": at.to_string()});
            self.try_reshard("SplitShard", &body);
        }
    }

    fn merge_somewhere(&mut self, place: usize) {
        let open = self.open_ranges();
        if open.len() > 1 {
            let place = place % (open.len() - 1);
            let body =
                json!({"StreamName": "s", "ShardToMerge": open[place].0, "AdjacentShardToMerge": open[place + 1].0});
            self.try_reshard("MergeShards", &body);
        }
    }

    fn count_anew(&mut self, target: u32) {
        let body = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        self.try_reshard("UpdateShardCount", &body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_consumer_reads_every_record_once_and_in_order_of_its_key(
        shards in 1..5u32,
        acts in prop::collection::vec(act(120_000), 1..100),
    ) {
        run(shards, &acts)?;
    }

    #[test]
    fn what_the_retention_has_forgotten_is_gone_and_nothing_else(
        shards in 1..5u32,
        acts in prop::collection::vec(act_with_retention(), 1..100),
    ) {
        run(shards, &acts)?;
    }
}
