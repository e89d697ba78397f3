//! Where records wait inside the account: for people who ask why something has not arrived.

use super::account::Account;

/// Records that wait at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where, in words: what is to take them next.
    pub place: String,
    /// How many. A record may wait at several places: each reader of a stream takes it for itself.
    pub records: u64,
}

impl Account {
    /// Where records wait now, in the order of the data path; places where none does are left out.
    pub fn waiting(&self) -> Vec<Waiting> {
        let services = &self.services;
        let rules = std::iter::once(("actions of topic rules that are tried again".to_owned(), services.iot.waiting()));
        let unread = |stream: &str, shard: &str, from: Option<u64>| services.kinesis.unread(stream, shard, from);
        let shards = |stream: &str| services.kinesis.shard_ids(stream);
        let functions = services.lambda.waiting(&unread, &shards);
        let deliveries = services.firehose.waiting(&unread, &shards);
        let places = rules.chain(functions).chain(deliveries);
        places.filter(|(_, records)| *records > 0).map(|(place, records)| Waiting { place, records }).collect()
    }
}

/// How many records of a stream's shard come from an offset on; all that are kept without one.
pub(crate) type Unread<'a> = &'a dyn Fn(&str, &str, Option<u64>) -> u64;

/// Ids of the shards of a stream.
pub(crate) type ShardIds<'a> = &'a dyn Fn(&str) -> Vec<std::sync::Arc<str>>;
