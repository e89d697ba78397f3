//! What `s3s`'s handlers and this service's facade share, and how one call ends up in the counters and in the trace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use serde_json::Value;

use super::permit::{Gate, Need};
use super::rot::Found;
use super::store::{Object, Store};
use crate::core::{AccountInfo, AwsError, Cx, Outcome};
use crate::front::Credential;
use world::mark;
use world::time::Time;
use world::trace::{Field, Level};

/// Everything that S3 holds.
pub(super) struct State {
    pub store: Store,
    pub credentials: BTreeMap<String, Credential>,
    pub call: Call,
}

/// The call that is being answered. `s3s` cannot carry a [`Cx`], so what a handler needs of it stands here while its
/// future is polled.
pub(super) struct Call {
    pub now: Time,
    pub account: AccountInfo,
    /// The body as it was sent.
    pub body: Bytes,
    /// The operation, once `s3s` has found it and its caller is known.
    pub operation: Option<&'static str>,
    /// How the operation ended, once it was run.
    pub done: Option<Done>,
    /// Who calls, and what is known of permissions.
    pub gate: Gate,
}

/// How one operation ended.
#[derive(Default)]
pub(super) struct Done {
    pub operation: &'static str,
    /// `bucket/key`.
    pub subject: String,
    /// Calls that this operation stands for: pages of a listing through the port.
    pub calls: u64,
    pub etag: Option<Arc<str>>,
    pub size_bytes: Option<u64>,
    /// Objects of a listing or of `DeleteObjects`.
    pub objects: Option<u64>,
    pub uploaded_bytes: u64,
    pub downloaded_bytes: u64,
    pub failure: Option<Failure>,
    /// A bad copy that was found and repaired.
    pub found: Option<Found>,
}

/// Why an operation failed.
pub(super) struct Failure {
    pub code: String,
    pub outcome: Outcome,
    /// Further members of the error body.
    pub members: Vec<(&'static str, Value)>,
}

impl From<&AwsError> for Failure {
    fn from(error: &AwsError) -> Self {
        Failure { code: error.code.to_owned(), outcome: error.into(), members: error.extra.clone() }
    }
}

impl Done {
    pub(super) fn new(operation: &'static str, bucket: &str, key: &str) -> Self {
        let subject = if key.is_empty() { bucket.to_owned() } else { format!("{bucket}/{key}") };
        Done { operation, subject, calls: 1, ..Done::default() }
    }

    /// Remembers which object the operation was about.
    pub(super) fn object(&mut self, object: &Object) {
        self.etag = Some(object.etag.clone());
        self.size_bytes = Some(object.body.len() as u64);
    }

    /// Remembers what a read found, and answers what it serves.
    pub(super) fn found(&mut self, (object, found): (Object, Option<Found>)) -> Object {
        self.found = found;
        object
    }

    /// Counts the operation and puts it into the trace.
    pub(super) fn record(&self, cx: &mut Cx<'_>) {
        let outcome = self.failure.as_ref().map_or(Outcome::Ok, |failure| failure.outcome);
        for _ in 0..self.calls {
            cx.meter.call("s3", self.operation, outcome);
        }
        if self.uploaded_bytes > 0 {
            cx.meter.add("s3", "BytesUploaded", self.uploaded_bytes);
        }
        if self.downloaded_bytes > 0 {
            cx.meter.add("s3", "BytesDownloaded", self.downloaded_bytes);
        }
        if let Some(found) = self.found {
            found.record(cx, &self.subject);
        }
        let mut fields: Vec<(&'static str, Field<'_>)> = Vec::with_capacity(4);
        if let Some(failure) = &self.failure {
            fields.push(("error", failure.code.as_str().into()));
        }
        for (name, value) in [("size_bytes", self.size_bytes), ("objects", self.objects)] {
            fields.extend(value.map(|value| (name, Field::U64(value))));
        }
        if let Some(etag) = &self.etag {
            fields.push(("etag", (&**etag).into()));
        }
        cx.trace.event(Level::Call, cx.now, "s3", self.operation, &self.subject, &fields);
        let refused = self.failure.as_ref().is_some_and(|failure| failure.code == "PreconditionFailed");
        if refused && self.operation == "PutObject" {
            cx.trace.mark(cx.now, mark::CAS_CONFLICT, &self.subject);
        }
    }
}

impl State {
    /// Runs one operation, when the caller may do what it needs, and remembers how it ended.
    pub(super) fn perform<T>(
        &mut self,
        mut done: Done,
        needs: &[Need<'_>],
        act: impl FnOnce(&mut Store, &Call, &mut Done) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let result = self.permit(needs).and_then(|()| act(&mut self.store, &self.call, &mut done));
        let result = result.map_err(|error| self.hide(needs, error));
        done.failure = result.as_ref().err().map(Failure::from);
        self.call.done = Some(done);
        result
    }
}

/// A handle to the state. One thread uses it, and no lock is held across a call of `s3s`.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new() -> Self {
        let call = Call {
            now: Time::EPOCH,
            account: AccountInfo { id: String::new(), region: String::new() },
            body: Bytes::new(),
            operation: None,
            done: None,
            gate: Gate::default(),
        };
        Shared(Arc::new(Mutex::new(State { store: Store::default(), credentials: BTreeMap::new(), call })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the store is used by one thread and never left half-written")
    }
}
