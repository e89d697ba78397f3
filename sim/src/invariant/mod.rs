//! Invariants: what must hold at the ends of a run. Oracles compare what devices were told with what a reader of the
//! lake and of Athena sees, through the wire. They share no code with the platform, and none with the services.

/// A client whose quota of retries is its own: that of the SDK's default is one for all runs of a process, and what one run
/// has used up another would miss.
macro_rules! client {
    ($sdk:ident, $config:expr) => {{
        let quota = $sdk::config::retry::RetryPartition::custom(stringify!($sdk)).build();
        $sdk::Client::from_conf($sdk::config::Builder::from($config).retry_partition(quota).build())
    }};
}
use client;

mod alerts;
mod anomalies;
mod athena;
mod delivery_errors;
mod event_time;
mod flags;
mod given_up;
mod gold;
mod holds;
mod isolation;
mod judgement;
mod lake;
mod ledger;
mod named;
mod prefix;
mod quarantine;
mod raw;
mod rule_errors;
mod sessions;
mod shadows;
mod strays;

pub use alerts::{Heard, Message};
pub use anomalies::{AnomalyReader, Arrived, Told};
pub use athena::{AthenaReader, QueryError};
pub use delivery_errors::{DeliveryErrorReader, Undelivered};
pub use flags::Flags;
pub use given_up::{GivenUp, GivenUpReader};
pub use gold::{Curated, Gold};
pub use holds::{Alerted, Promised, compare};
pub use isolation::{Hop, Isolation};
pub use judgement::judge;
pub use lake::{LakeFile, LakeReader, Metrics};
pub use ledger::{Ledger, Tally};
pub use quarantine::{QuarantineReader, Refused};
pub use raw::{RawReader, Whose};
pub use rule_errors::{RuleError, RuleErrorReader};
pub use sessions::{SessionLimits, Sessions};
pub use shadows::{Convergence, ShadowReader, Shadowed};
pub use strays::Strays;

use record::ReadingId;

use crate::fleet::Content;

/// An invariant: its name in scenario files, failures and reports, and what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Name.
    pub id: &'static str,
    /// The promise, in one sentence.
    pub promise: &'static str,
}

/// Every reading that a device saw acknowledged is in the processed table.
pub const CONSERVATION: Invariant = Invariant {
    id: "conservation",
    promise: "every reading whose PUBACK a device received is returned by Athena from the processed table",
};

/// Readings of one device reach the lake in the order in which it took them.
pub const ORDER: Invariant = Invariant {
    id: "order",
    promise: "per device, first deliveries ascend by seq, through the lake's files in order of writing and within each file; but a reading whose first copy the rule gave up, because of a fault, may come later",
};

/// The lake holds nothing that no device sent, and nothing changed.
pub const INTEGRITY: Invariant = Invariant {
    id: "integrity",
    promise: "every row of the processed table is a reading that its device published, with the device's own timestamp and values, with a corrected time that is wrong by no more than the way to AWS took, corrected only where the clock is certainly wrong, and with the flags that follow from its times",
};

/// What is no reading is set aside, and nothing else is.
pub const QUARANTINE: Invariant = Invariant {
    id: "quarantine",
    promise: "every message that is no reading, whose PUBACK its device received and which the topic rule passes on (a JSON object), is in the quarantine with a reason and with the bytes that the rule passed on; and nothing is there that no device sent",
};

/// The curated table holds each reading once.
pub const EXACTLY_ONCE_IN_GOLD: Invariant = Invariant {
    id: "exactly-once-in-gold",
    promise: "every acknowledged reading of the processed table is in the curated table exactly once, unchanged, and nothing else \
              is there, once the hours are curated in which readings came (asked of runs whose platform curates)",
};

/// Deployments in mid-traffic end as they should.
pub const DEPLOYMENT: Invariant = Invariant {
    id: "deployment",
    promise: "every deployment ends as its scenario says: deployed, or rolled back to what was there before",
};

/// The platform's roles allow what the platform does.
pub const AUTHORIZATION: Invariant = Invariant {
    id: "authorization",
    promise: "no call and no use of a key is denied but by a fault that takes the permission away: the roles of the \
              templates allow all that the platform does",
};

/// A service that is unwell is not asked without pause.
pub const BACK_OFF: Invariant = Invariant {
    id: "back-off",
    promise: "no execution environment has 20 calls to one host refused or lost within a second: what fails is repeated after a wait",
};

/// Detection is exactly-once in effect.
pub const ANOMALIES_ONCE: Invariant = Invariant {
    id: "anomalies-once",
    promise: "no metric of a reading (tenant, device, seq, metric) is in the lake as an anomaly twice, of whatever kind, and each anomaly is of a reading that its device published, with the value that the table has and a score of 0 to 1",
};

/// Detection finds what is plain.
pub const ANOMALIES_TOLD: Invariant = Invariant {
    id: "anomalies-told",
    promise: "every plain outlier of an acknowledged reading in the table, after 36 others of its device there, is told as an anomaly",
};

/// Somebody is told of what detection finds.
pub const ALERTS_TOLD: Invariant = Invariant {
    id: "alerts-told",
    promise: "every alert is an anomaly that the lake holds for its tenant, and says what it says; messages with one id are the \
              same; of a device and kind one alert is sent in a hold time, and none is lost: the first anomaly of each is told, \
              unless its message is counted as dropped, or nothing came after a failure with which it could be sent",
};

/// Devices become what is desired of them.
pub const SHADOW_CONVERGENCE: Invariant = Invariant {
    id: "shadow-convergence",
    promise: "after peace the shadow of every device that has one reports what is desired, for all desired keys, and what \
              the device is; and what an operator desired, and AWS accepted, is desired",
};

/// What a persistent session is for.
pub const SESSION_SEMANTICS: Invariant = Invariant {
    id: "session-semantics",
    promise: "every command that AWS accepted while a persistent session had subscribed to it is received by its device, \
              at least once, unless a documented limit drops it; no session ends before it can expire; and no device \
              receives what is for another",
};

/// No tenant gets at another one's data, wherever it is.
pub const TENANT_ISOLATION: Invariant = Invariant {
    id: "tenant-isolation",
    promise: "nobody publishes into, subscribes to or hears from the space of another tenant or device, and no record, object, row, \
              answer of Athena or log line names a device together with another tenant",
};

/// All invariants.
pub const ALL: &[Invariant] = &[
    CONSERVATION,
    ORDER,
    INTEGRITY,
    QUARANTINE,
    EXACTLY_ONCE_IN_GOLD,
    ANOMALIES_ONCE,
    ANOMALIES_TOLD,
    ALERTS_TOLD,
    SHADOW_CONVERGENCE,
    SESSION_SEMANTICS,
    TENANT_ISOLATION,
    DEPLOYMENT,
    AUTHORIZATION,
    BACK_OFF,
];

/// A row of the processed table. What it lacks is empty or `None`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Tenant.
    pub tenant: &'a str,
    /// Device.
    pub device: &'a str,
    /// Sequence number.
    pub seq: Option<u64>,
    /// The device's timestamp, ms since the Unix epoch.
    pub ts_ms: Option<u64>,
    /// What else the reader tells of it; nothing when it was not asked.
    pub rest: Option<Rest>,
}

/// What a row says beside its identity and its timestamp.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Arrival at the rule, ms since the Unix epoch.
    pub received_ms: Option<u64>,
    /// The time of the reading as the platform tells it, ms since the Unix epoch.
    pub event_ms: Option<i64>,
    /// By how much the platform has corrected the device's clock, in ms.
    pub skew_ms: Option<i64>,
    /// What the platform raises of it.
    pub flags: Flags,
    /// Metrics in canonical units, and the recorded timestamp.
    pub content: Content,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What was seen, with the first few readings concerned.
    pub message: String,
    /// The first of them.
    pub reading: Option<ReadingId>,
}
