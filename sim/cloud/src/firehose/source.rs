//! Readers of a Kinesis stream: one a shard, parents before children.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::ports::{ReadBatch, ShardCursor, StartingPosition, Streams};
use crate::core::{AwsError, Cx, Principal};
use crate::waiting::{ShardIds, Unread};
use world::mark;
use world::time::Time;

/// A reader that gets an older record is marked.
const BEHIND: Duration = Duration::from_secs(60);

/// The readers of one stream.
pub(super) struct Source {
    stream: Arc<str>,
    role: Principal,
    /// Records a call of `GetRecords` asks for.
    limit: usize,
    readers: Vec<Reader>,
    /// Shards that have a reader or need none.
    known: BTreeSet<Arc<str>>,
    /// Shards that were read to their end.
    finished: BTreeSet<Arc<str>>,
}

enum Reader {
    /// Reads on here.
    At(ShardCursor),
    /// Has read the shard to its end; its children still have to be found.
    AtEnd,
    /// Has nothing more to do.
    Done,
}

/// What a turn of a reader gave.
pub(super) enum Turn {
    /// Records of a shard, or none.
    Read(Arc<str>, ReadBatch),
    /// Readers of child shards were added, from this index on.
    Added(usize),
    /// Nothing, and never again.
    Done,
}

impl Source {
    /// Records that are not read yet.
    pub fn unread(&self, unread: Unread<'_>, shards: ShardIds<'_>) -> u64 {
        let at = |shard: &str| {
            self.readers.iter().find_map(|reader| match reader {
                Reader::At(cursor) if &*cursor.shard_id == shard => Some(cursor.offset),
                _ => None,
            })
        };
        let of_shard = |shard: &std::sync::Arc<str>| match at(shard) {
            Some(offset) => unread(&self.stream, shard, Some(offset)),
            None if self.known.contains(shard) => 0,
            None => unread(&self.stream, shard, None),
        };
        shards(&self.stream).iter().map(of_shard).sum()
    }

    /// Readers that begin after the newest record of each open shard. What the role may not do is told as Firehose tells
    /// it, not as Kinesis does.
    pub fn at_latest(
        cx: &mut Cx<'_>,
        streams: &dyn Streams,
        stream: Arc<str>,
        role: Principal,
    ) -> Result<Self, AwsError> {
        let limit = usize::try_from(cx.limits.get("kinesis", "getrecords_max_records")).unwrap_or(usize::MAX);
        let mut source =
            Source { stream, role, limit, readers: Vec::new(), known: BTreeSet::new(), finished: BTreeSet::new() };
        for action in ["kinesis:DescribeStream", "kinesis:ListShards"] {
            source.permit(cx, action).map_err(|error| source.denied(cx, error, action))?;
        }
        for shard in streams.list_shards(&source.stream)? {
            source.known.insert(shard.id.clone());
            if shard.closed {
                source.finished.insert(shard.id);
            } else {
                let role = &mut cx.acting_as(&source.role);
                let cursor = streams.cursor(role, &source.stream, &shard.id, StartingPosition::Latest);
                let cursor = cursor.map_err(|error| source.denied(cx, error, "kinesis:GetShardIterator"))?;
                source.readers.push(Reader::At(cursor));
            }
        }
        Ok(source)
    }

    fn arn(&self, cx: &Cx<'_>) -> String {
        cx.account.arn("kinesis", &format!("stream/{}", self.stream))
    }

    /// Whether the role of the readers may do something to the stream.
    fn permit(&self, cx: &mut Cx<'_>, action: &str) -> Result<(), AwsError> {
        let stream = self.arn(cx);
        cx.acting_as(&self.role).authorize(action, &stream)
    }

    /// An error of Kinesis at creation, as the creation answers it. (For actions other than DescribeStream, unverified.)
    fn denied(&self, cx: &Cx<'_>, error: AwsError, action: &str) -> AwsError {
        if error.code != "AccessDeniedException" {
            return error;
        }
        let message =
            format!("Role {} is not authorized to perform: {action} on resource {}.", self.role.arn, self.arn(cx));
        AwsError::new("InvalidArgumentException", message)
    }

    /// Until when the readers are to stand still, if they are.
    pub fn standstill(&self, cx: &mut Cx<'_>) -> Option<Time> {
        cx.standstill("firehose", "GetRecords", &self.stream)
    }

    /// How many readers there are, those that are done included.
    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// Lets a reader call its shard once.
    pub fn turn(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) -> Result<Turn, AwsError> {
        match &mut self.readers[index] {
            Reader::Done => Ok(Turn::Done),
            Reader::AtEnd => {
                let first = self.readers.len();
                self.add_children(cx, streams)?;
                self.readers[index] = Reader::Done;
                Ok(Turn::Added(first))
            }
            Reader::At(cursor) => {
                let (cx, limit) = (&mut cx.acting_as(&self.role), self.limit);
                let read =
                    cx.called("kinesis", "GetRecords", &self.stream, |cx| streams.get_records(cx, cursor, limit));
                let mut batch = read?;
                if batch.records.first().is_some_and(|oldest| cx.now.since(oldest.arrival) > BEHIND) {
                    cx.trace.mark(cx.now, mark::READER_BEHIND, &cursor.shard_id);
                }
                let shard = cursor.shard_id.clone();
                match batch.next.take() {
                    Some(next) => *cursor = next,
                    None => {
                        self.finished.insert(cursor.shard_id.clone());
                        self.readers[index] = Reader::AtEnd;
                    }
                }
                Ok(Turn::Read(shard, batch))
            }
        }
    }

    /// Adds a reader for each new shard all of whose parents are read, or no longer kept: all of them, or none when
    /// one cannot be added.
    fn add_children(&mut self, cx: &mut Cx<'_>, streams: &dyn Streams) -> Result<(), AwsError> {
        self.permit(cx, "kinesis:ListShards")?;
        let shards = cx.called("kinesis", "ListShards", &self.stream, |_| streams.list_shards(&self.stream))?;
        let mut added = Vec::new();
        for shard in &shards {
            let unread =
                |parent: &Arc<str>| !self.finished.contains(parent) && shards.iter().any(|shard| shard.id == *parent);
            if self.known.contains(&shard.id) || shard.parents.iter().any(unread) {
                continue;
            }
            let cx = &mut cx.acting_as(&self.role);
            added.push(streams.cursor(cx, &self.stream, &shard.id, StartingPosition::TrimHorizon)?);
            if shard.parents.iter().any(|parent| self.finished.contains(parent)) {
                cx.trace.mark(cx.now, mark::PARENT_DRAINED_FIRST, &shard.id);
            }
        }
        self.known.extend(added.iter().map(|cursor| cursor.shard_id.clone()));
        self.readers.extend(added.into_iter().map(Reader::At));
        Ok(())
    }
}
