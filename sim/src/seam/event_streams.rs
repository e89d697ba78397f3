//! Bodies of responses that go on: what the account sends later, in order, until it ends them or nobody reads any more. What
//! is sent and not read is told to the account, which then sends no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use http_body_util::{BodyExt as _, Full, StreamBody};

use crate::cloud::core::{EventStream, Unread};

/// The bodies that go on.
#[derive(Debug, Default)]
pub(super) struct EventStreams(BTreeMap<EventStream, (UnboundedSender<Bytes>, Unread)>);

/// The rest of a body, in the extensions of its response. When the response is dropped, nobody reads it.
#[derive(Clone, Debug)]
pub(super) struct Rest(Arc<Mutex<Option<UnboundedReceiver<Bytes>>>>, Unread);

impl EventStreams {
    /// A body goes on.
    pub fn open(&mut self, stream: EventStream, unread: Unread) -> Rest {
        let (sender, rest) = unbounded();
        self.0.insert(stream, (sender, unread.clone()));
        Rest(Arc::new(Mutex::new(Some(rest))), unread)
    }

    /// Sends more. Answers whether anybody may read it.
    pub fn send(&mut self, stream: EventStream, bytes: Bytes) -> bool {
        let is_read = self.0.get(&stream).is_some_and(|(sender, unread)| {
            unread.sent(bytes.len());
            sender.unbounded_send(bytes).is_ok()
        });
        if !is_read {
            self.0.remove(&stream);
        }
        is_read
    }

    /// Ends a body.
    pub fn end(&mut self, stream: EventStream) {
        self.0.remove(&stream);
    }
}

impl Rest {
    /// The whole body, which begins so.
    pub fn after(&self, beginning: Bytes) -> SdkBody {
        let rest = self.0.lock().expect("one thread runs the simulation, and a panic in it ends the run").take();
        let unread = self.1.clone();
        let rest = futures::stream::iter(rest).flatten().inspect(move |bytes: &Bytes| unread.read(bytes.len()));
        let frame = |bytes: Bytes| async move { Full::new(bytes).frame().await };
        SdkBody::from_body_1_x(StreamBody::new(futures::stream::iter([beginning]).chain(rest).filter_map(frame)))
    }
}
