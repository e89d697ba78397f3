//! The context of one call: the instant, the caller, and what a service may touch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::access::{Access, Session};
use super::disturb::Disturb;
use super::limits::Limits;
use super::meter::Meter;
use super::timers::Timers;
use world::seed::Rng;
use world::time::Time;
use world::trace::Trace;

/// The simulated account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Twelve digits.
    pub id: String,
    /// Region, such as `eu-west-1`.
    pub region: String,
}

impl AccountInfo {
    /// `arn:aws:{service}:{region}:{account}:{resource}`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.id)
    }
}

/// Who makes a call. The ARN tells the kind: the root of an account, a user, a session of a role, a role in which a service
/// acts. A service in its own name has no ARN but its name (`firehose.amazonaws.com`), and so has an identity provider that
/// vouches for somebody (`cognito-identity.amazonaws.com`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// The ARN of the role session, user or service.
    pub arn: String,
    /// What was agreed when the session began; absent for those whose session has no tags and no policies.
    pub session: Option<Arc<Session>>,
}

impl Principal {
    /// A principal by its ARN.
    pub fn new(arn: impl Into<String>) -> Self {
        Principal { arn: arn.into(), session: None }
    }

    /// The same principal within a session.
    #[must_use]
    pub fn within(mut self, session: Session) -> Self {
        self.session = Some(Arc::new(session));
        self
    }
}

/// A function as an execution environment sees it. Each deployment and each change of its configuration makes a new
/// one; environments of an older one serve no further invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRevision {
    /// Name of the function.
    pub function: String,
    /// `$LATEST`, or the number of a published version.
    pub version: String,
    /// Grows with every revision of any function of the account.
    pub number: u64,
    /// What of the deployment package runs.
    pub handler: String,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Execution role.
    pub role_arn: String,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// How an invocation begins in its execution environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The environment is initialised.
    Warm,
    /// It is new: it is initialised before the function's time begins. When that takes longer than `most` it is stopped, and
    /// repeated within the function's time.
    New {
        /// The longest initialisation.
        most: Duration,
    },
    /// It broke: it is initialised again within the function's time.
    Again,
}

/// Stands in the extensions of an HTTP response for an answer that comes later, as [`Effect::Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deferred(pub u64);

/// Stands in the extensions of an HTTP response whose body goes on: what follows comes as [`Effect::StreamEvent`]. An
/// [`Unread`] stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventStream(pub u64);

/// How much of a body that goes on was sent and is not read yet, in bytes: its window. Whoever carries the body says so, and
/// a service that sends it looks. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<AtomicUsize>);

impl Unread {
    /// More was sent.
    pub fn sent(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Some of it was read.
    pub fn read(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is not read.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a service asks of the world outside the account.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Run a function's handler; the driver answers with the invocation's id.
    Invoke {
        /// Names the invocation when its result comes back.
        invocation: u64,
        /// The function as it is for this invocation.
        function: Arc<FunctionRevision>,
        /// The event, as JSON.
        payload: Bytes,
        /// AWS request id.
        request_id: String,
        /// The function's time: when it is over, Lambda ends the invocation.
        timeout: Duration,
        /// The execution environment that it gets.
        start: Start,
    },
    /// An answer to an HTTP request that had to wait: see [`Deferred`].
    Answer {
        /// Which request.
        ticket: Deferred,
        /// HTTP status.
        status: u16,
        /// Headers beside the content type.
        headers: Vec<(&'static str, String)>,
        /// Body, as JSON.
        body: Bytes,
    },
    /// More of the body of an HTTP response.
    StreamEvent {
        /// Which response.
        stream: EventStream,
        /// What follows.
        bytes: Bytes,
    },
    /// The body of an HTTP response ends.
    StreamEnd {
        /// Which response.
        stream: EventStream,
    },
    /// Send bytes to an MQTT connection.
    MqttSend {
        /// The connection.
        connection: u64,
        /// Encoded packets.
        bytes: Bytes,
    },
    /// Close an MQTT connection, after what was sent to it before.
    MqttClose {
        /// The connection.
        connection: u64,
    },
}

/// What a service may touch while it handles one call or wake-up.
pub struct Cx<'a> {
    /// The instant of the call.
    pub now: Time,
    /// Who calls.
    pub caller: &'a Principal,
    /// The account that is called.
    pub account: &'a AccountInfo,
    /// Quotas.
    pub limits: &'a Limits,
    /// Where events go.
    pub trace: &'a Trace,
    /// Where calls are counted.
    pub meter: &'a mut Meter,
    /// Who may do what.
    pub access: &'a mut Access,
    /// Where wake-ups are asked for.
    pub timers: &'a mut Timers,
    /// Where delays and choices come from. Derived from the run's seed.
    pub rng: &'a mut Rng,
    /// Where ids come from: a stream of its own, so that one more call moves no later delay.
    pub ids: &'a mut Rng,
    /// What the outside has to do.
    pub effects: &'a mut Vec<Effect>,
    /// What goes wrong, if anything may.
    pub disturb: &'a mut Option<Box<dyn Disturb>>,
}

impl Cx<'_> {
    /// The same context on behalf of another principal: a service acting in a role.
    pub fn acting_as<'b>(&'b mut self, caller: &'b Principal) -> Cx<'b> {
        Cx {
            now: self.now,
            caller,
            account: self.account,
            limits: self.limits,
            trace: self.trace,
            meter: self.meter,
            access: self.access,
            timers: self.timers,
            rng: self.rng,
            ids: self.ids,
            effects: self.effects,
            disturb: self.disturb,
        }
    }

    /// A random (version 4) UUID from the run's seed.
    pub fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.ids.random()).into_uuid().to_string()
    }
}

/// Everything a [`Cx`] borrows, owned: one for the account, and one for each unit test.
pub struct CxParts {
    /// See [`Cx::account`].
    pub account: AccountInfo,
    /// See [`Cx::limits`].
    pub limits: Limits,
    /// See [`Cx::trace`].
    pub trace: Trace,
    /// See [`Cx::meter`].
    pub meter: Meter,
    /// See [`Cx::access`]. Nothing is enforced until an account says so.
    pub access: Access,
    /// See [`Cx::timers`].
    pub timers: Timers,
    /// See [`Cx::rng`].
    pub rng: Rng,
    /// See [`Cx::ids`].
    pub ids: Rng,
    /// See [`Cx::effects`].
    pub effects: Vec<Effect>,
    /// See [`Cx::disturb`].
    pub disturb: Option<Box<dyn Disturb>>,
}

impl CxParts {
    /// Parts for account `123456789012` in `region`. Ids come from another stream of the same seed as `rng`.
    pub fn new(region: &str, trace: Trace, rng: Rng) -> Self {
        let mut ids = rng.clone();
        ids.set_stream(rng.get_stream().wrapping_add(1));
        CxParts {
            account: AccountInfo { id: "123456789012".to_owned(), region: region.to_owned() },
            limits: Limits::for_region(region),
            trace,
            meter: Meter::default(),
            access: Access::unenforced(),
            timers: Timers::default(),
            rng,
            ids,
            effects: Vec::new(),
            disturb: None,
        }
    }

    /// A context for one call by `caller` at `now`.
    pub fn cx<'a>(&'a mut self, now: Time, caller: &'a Principal) -> Cx<'a> {
        Cx {
            now,
            caller,
            account: &self.account,
            limits: &self.limits,
            trace: &self.trace,
            meter: &mut self.meter,
            access: &mut self.access,
            timers: &mut self.timers,
            rng: &mut self.rng,
            ids: &mut self.ids,
            effects: &mut self.effects,
            disturb: &mut self.disturb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::seed::Seed;

    #[test]
    fn ids_move_no_later_delay() {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let delay_after = |ids: usize| {
            let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
            let mut cx = parts.cx(Time::EPOCH, &caller);
            let ids: Vec<String> = (0..ids).map(|_| cx.uuid()).collect();
            (cx.rng.random::<u64>(), ids)
        };
        let (delay, ids) = delay_after(3);
        assert_eq!(delay, delay_after(0).0);
        assert_eq!(ids, delay_after(3).1);
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }
}
