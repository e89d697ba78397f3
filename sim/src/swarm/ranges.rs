//! From where the numbers of a drawn fault come: a row for each kind.
//!
//! A row is chosen so that a correct platform settles: whatever the numbers, what a fault stops begins again within
//! hardship or at its end, and what it adds is worked off within the peace that the drawn phases leave.

use crate::fault::{KINDS, Kind};

/// A service and the operations of it that a fault may aim at.
pub type Service = (&'static str, &'static [&'static str]);

/// Where the numbers of one kind come from. Bounds are inclusive; a key that the kind does not have is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Ranges {
    /// The kind.
    pub kind: Kind,
    /// Shortest and longest window, in seconds.
    pub window_s: (u64, u64),
    /// Of `probability`.
    pub probability: (f64, f64),
    /// Of `share`.
    pub share: (f64, f64),
    /// Of `every`, in seconds.
    pub every_s: (u64, u64),
    /// Of `lasting`, in seconds.
    pub lasting_s: (u64, u64),
    /// Of `delay`, in milliseconds.
    pub delay_ms: (u64, u64),
    /// Of `amount`.
    pub amount: (f64, f64),
    /// Services that may be aimed at.
    pub services: &'static [Service],
    /// Functions that may be aimed at.
    pub functions: &'static [&'static str],
}

/// Services that the platform's functions call, with the operations that carry its data. What is called with every batch
/// is there more often than what is called with a new device or an anomaly.
const CALLED: &[Service] = &[
    ("kinesis", &["PutRecords"]),
    ("kinesis", &["PutRecord"]),
    ("kinesis", &["GetRecords"]),
    ("s3", &["GetObject", "PutObject"]),
    ("s3", &["PutObject"]),
    ("dynamodb", &["BatchGetItem", "UpdateItem"]),
    ("sns", &["Publish"]),
    ("iot", &["AddThingToThingGroup", "AddThingToBillingGroup"]),
    ("firehose", &["PutRecordBatch"]),
];

/// Functions that a run invokes.
const INVOKED: &[&str] = &["enrichment", "anomaly_detection", "device_tagger"];

/// Functions that read a stream.
const READERS: &[&str] = &["enrichment", "anomaly_detection"];

/// What a row has unless it says otherwise.
const USUAL: Ranges = Ranges {
    kind: Kind::Latency,
    window_s: (15, 240),
    probability: (0.02, 0.4),
    share: (0.1, 1.0),
    every_s: (20, 120),
    lasting_s: (5, 60),
    delay_ms: (50, 5_000),
    amount: (0.1, 1.0),
    services: CALLED,
    functions: INVOKED,
};

/// The rows, by family.
const ROWS: &[Ranges] = &[
    Ranges { kind: Kind::Latency, delay_ms: (20, 3_000), ..USUAL },
    Ranges { kind: Kind::Loss, probability: (0.005, 0.2), delay_ms: (200, 3_000), ..USUAL },
    // Bytes a second: a reading with its envelope is about 150.
    Ranges { kind: Kind::SlowLink, amount: (400.0, 20_000.0), ..USUAL },
    Ranges { kind: Kind::Partition, window_s: (5, 150), ..USUAL },
    Ranges { kind: Kind::PartitionUp, window_s: (5, 150), ..USUAL },
    Ranges { kind: Kind::PartitionDown, window_s: (5, 150), ..USUAL },
    Ranges { kind: Kind::HalfOpen, every_s: (15, 90), ..USUAL },
    Ranges { kind: Kind::DnsFailure, window_s: (5, 120), ..USUAL },
    Ranges { kind: Kind::EventDuplicate, probability: (0.1, 1.0), functions: &["device_tagger"], ..USUAL },
    Ranges {
        kind: Kind::EventReorder,
        probability: (0.1, 1.0),
        delay_ms: (100, 20_000),
        functions: &["device_tagger"],
        ..USUAL
    },
    Ranges { kind: Kind::Throttle, probability: (0.02, 0.6), ..USUAL },
    Ranges { kind: Kind::ServerError, probability: (0.02, 0.5), ..USUAL },
    Ranges { kind: Kind::SlowService, probability: (0.05, 0.8), delay_ms: (100, 8_000), ..USUAL },
    Ranges { kind: Kind::Timeout, probability: (0.02, 0.3), delay_ms: (1_000, 30_000), ..USUAL },
    Ranges { kind: Kind::LostRequest, probability: (0.02, 0.4), ..USUAL },
    Ranges { kind: Kind::LostResponse, probability: (0.02, 0.4), ..USUAL },
    Ranges {
        kind: Kind::PartialFailure,
        probability: (0.05, 0.8),
        services: &[
            ("kinesis", &["PutRecords"]),
            ("kinesis", &["PutRecords"]),
            ("firehose", &["PutRecordBatch"]),
            ("dynamodb", &["BatchGetItem"]),
        ],
        ..USUAL
    },
    Ranges {
        kind: Kind::StaleRead,
        probability: (0.1, 1.0),
        delay_ms: (100, 20_000),
        services: &[("dynamodb", &["BatchGetItem"])],
        ..USUAL
    },
    Ranges { kind: Kind::BrownOut, probability: (0.05, 0.5), delay_ms: (100, 4_000), ..USUAL },
    Ranges { kind: Kind::RegionOutage, window_s: (5, 90), ..USUAL },
    Ranges {
        kind: Kind::QuotaLowered,
        amount: (0.05, 0.9),
        services: &[("kinesis", &[]), ("iot", &[]), ("dynamodb", &[])],
        ..USUAL
    },
    Ranges { kind: Kind::BitRot, every_s: (10, 60), ..USUAL },
    Ranges { kind: Kind::CrashBefore, probability: (0.02, 0.5), ..USUAL },
    Ranges { kind: Kind::CrashMidway, probability: (0.02, 0.5), delay_ms: (5, 2_000), ..USUAL },
    Ranges { kind: Kind::CrashAfter, probability: (0.02, 0.5), ..USUAL },
    Ranges { kind: Kind::FunctionTimeout, probability: (0.02, 0.2), ..USUAL },
    Ranges { kind: Kind::OutOfMemory, probability: (0.02, 0.3), ..USUAL },
    Ranges { kind: Kind::ColdStarts, every_s: (10, 90), delay_ms: (500, 10_000), ..USUAL },
    Ranges { kind: Kind::DuplicateInvocation, probability: (0.05, 0.6), ..USUAL },
    Ranges { kind: Kind::Zombie, probability: (0.02, 0.3), delay_ms: (500, 30_000), ..USUAL },
    // A stream takes ten changes of its shards in a day (UpdateShardCount): six minutes see six at most.
    Ranges { kind: Kind::Reshard, every_s: (60, 180), ..USUAL },
    // Far shorter than the retention of a stream, a day.
    Ranges {
        kind: Kind::ReaderStall,
        every_s: (40, 180),
        lasting_s: (5, 90),
        services: &[("lambda", &[]), ("firehose", &[])],
        ..USUAL
    },
    Ranges { kind: Kind::DeviceCrash, every_s: (5, 90), ..USUAL },
    Ranges { kind: Kind::RebootLoop, every_s: (2, 20), lasting_s: (10, 90), ..USUAL },
    Ranges { kind: Kind::PowerLoss, every_s: (40, 180), ..USUAL },
    Ranges { kind: Kind::ClockSkew, delay_ms: (100, 1_200_000), ..USUAL },
    // Parts per million.
    Ranges { kind: Kind::ClockDrift, amount: (10.0, 5_000.0), ..USUAL },
    Ranges { kind: Kind::ClockJump, delay_ms: (100, 1_200_000), every_s: (15, 120), ..USUAL },
    // Readings that a device has room for: what it gives up is owed to nobody.
    Ranges { kind: Kind::FlashFull, amount: (2.0, 200.0), ..USUAL },
    Ranges { kind: Kind::DuplicateSend, probability: (0.05, 0.6), ..USUAL },
    Ranges { kind: Kind::MalformedPayload, probability: (0.05, 0.6), ..USUAL },
    Ranges { kind: Kind::OversizedPayload, probability: (0.01, 0.1), ..USUAL },
    Ranges { kind: Kind::OldFirmware, ..USUAL },
    Ranges { kind: Kind::BadDeploy, every_s: (60, 180), ..USUAL },
    Ranges { kind: Kind::Rollback, every_s: (60, 180), ..USUAL },
    Ranges {
        kind: Kind::PermissionRemoved,
        every_s: (60, 180),
        services: &[("kinesis", &[]), ("dynamodb", &[]), ("s3", &[])],
        ..USUAL
    },
    Ranges { kind: Kind::KeyDisabled, every_s: (60, 180), ..USUAL },
    Ranges { kind: Kind::CertificateExpiry, every_s: (60, 180), ..USUAL },
    Ranges { kind: Kind::WrongConfiguration, every_s: (60, 180), functions: READERS, ..USUAL },
    Ranges { kind: Kind::StolenCertificate, every_s: (40, 180), lasting_s: (5, 40), share: (0.05, 0.3), ..USUAL },
    Ranges { kind: Kind::CrossTenant, every_s: (40, 180), share: (0.05, 0.3), ..USUAL },
    Ranges { kind: Kind::MalformedPackets, every_s: (40, 180), share: (0.05, 0.3), ..USUAL },
    // Messages a second.
    Ranges {
        kind: Kind::Flood,
        every_s: (60, 180),
        lasting_s: (2, 10),
        share: (0.05, 0.2),
        amount: (50.0, 600.0),
        ..USUAL
    },
];

/// Kinds that a swarm does not draw unless its file names them, each with the reason: after them a correct platform need
/// not settle within a swarm's peace.
pub const LEFT_OUT: &[(Kind, &str)] = &[(
    Kind::PoisonMessage,
    "a poisoned reading holds its shard up until it is alone and has had all of its attempts, which takes longer than the \
     peace of a swarm; scenarios/poison-message.toml has it",
)];

/// The row of a kind; the usual ranges for a kind that has none of its own.
pub fn of(kind: Kind) -> Ranges {
    ROWS.iter().find(|row| row.kind == kind).copied().unwrap_or(Ranges { kind, ..USUAL })
}

/// Kinds that a swarm draws from when its file names none.
pub fn drawn() -> impl Iterator<Item = Kind> {
    KINDS.iter().map(|contract| contract.kind).filter(|kind| LEFT_OUT.iter().all(|(left_out, _)| left_out != kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row_or_a_reason_to_be_left_out() {
        for contract in KINDS {
            let rows = ROWS.iter().filter(|row| row.kind == contract.kind).count();
            let left_out = LEFT_OUT.iter().filter(|(kind, _)| *kind == contract.kind).count();
            assert_eq!(rows + left_out, 1, "{} has {rows} rows and {left_out} reasons", contract.id);
        }
        assert!(LEFT_OUT.iter().all(|(_, reason)| reason.len() > 40));
    }

    #[test]
    fn bounds_are_in_order() {
        for row in ROWS {
            let id = row.kind.id();
            for (low, high) in [row.window_s, row.every_s, row.lasting_s, row.delay_ms] {
                assert!(0 < low && low <= high, "{id}: {low} to {high}");
            }
            for (low, high) in [row.probability, row.share] {
                assert!(0.0 < low && low <= high && high <= 1.0, "{id}: {low} to {high}");
            }
            assert!(row.amount.0 <= row.amount.1, "{id}: {:?}", row.amount);
        }
    }
}
