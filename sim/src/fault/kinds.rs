//! Every kind of fault, with its contract.

use Family::{Device, Function, Hostile, Network, Operator, Service, Stream};
use Key::{
    Amount, Delay, Every, Fleet, Function as OfFunction, Lasting, Operation, Probability, Service as OfService, Share,
    Stream as OfStream,
};
use Strikes::{AtTimes, Continuously, Opportunities};

/// Who or what is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The network between devices and AWS, and the ways of events inside it.
    Network,
    /// A service of AWS.
    Service,
    /// An execution environment of Lambda.
    Function,
    /// A stream of Kinesis, or one of its readers.
    Stream,
    /// A device.
    Device,
    /// Somebody who operates the platform.
    Operator,
    /// Somebody who means harm.
    Hostile,
}

impl Family {
    /// All families, with their names.
    pub const ALL: [(&'static str, Family); 7] = [
        ("network", Network),
        ("service", Service),
        ("function", Function),
        ("stream", Stream),
        ("device", Device),
        ("operator", Operator),
        ("hostile", Hostile),
    ];
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strikes {
    /// Each opportunity in the window, with the fault's probability.
    Opportunities,
    /// All the time in the window, whoever is among its share.
    Continuously,
    /// By itself: at the beginning of the window, and again after each `every`.
    AtTimes,
}

/// A key of `[[fault]]` that not all kinds have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `service`.
    Service,
    /// `operation`.
    Operation,
    /// `function`.
    Function,
    /// `fleet`.
    Fleet,
    /// `stream`.
    Stream,
    /// `probability`.
    Probability,
    /// `share`.
    Share,
    /// `every`.
    Every,
    /// `lasting`.
    Lasting,
    /// `delay`.
    Delay,
    /// `amount`.
    Amount,
}

impl Key {
    /// The key as scenario files write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OfService => "service",
            Operation => "operation",
            OfFunction => "function",
            Fleet => "fleet",
            OfStream => "stream",
            Probability => "probability",
            Share => "share",
            Every => "every",
            Lasting => "lasting",
            Delay => "delay",
            Amount => "amount",
        }
    }
}

/// What a kind of fault may do, and why the platform must survive it.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The kind.
    pub kind: Kind,
    /// Its name in scenario files.
    pub id: &'static str,
    /// Who or what is at fault.
    pub family: Family,
    /// When it strikes.
    pub strikes: Strikes,
    /// Keys of `[[fault]]` that have a meaning for it.
    pub keys: &'static [Key],
    /// What may break.
    pub breaks: &'static str,
    /// Why the system must survive.
    pub survives: &'static str,
}

macro_rules! kinds {
    ($($kind:ident = $id:literal, $family:ident, $strikes:ident, [$($key:ident),*], $breaks:literal, $survives:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $breaks] $kind,)*
        }

        /// All kinds, by family. The position of a kind is its value.
        pub const KINDS: &[Contract] = &[
            $(Contract {
                kind: Kind::$kind,
                id: $id,
                family: $family,
                strikes: $strikes,
                keys: &[$($key),*],
                breaks: $breaks,
                survives: $survives,
            },)*
        ];
    };
}

kinds! {
    // Network: between devices and the broker.
    Latency = "latency", Network, Continuously, [Fleet, Share, Delay],
        "Every message takes `delay` (500 ms) longer, each way; so does the handshake of a connection.",
        "Readings wait in the device's queue until their PUBACK; keep-alive and acknowledgement time-outs are far longer.";
    Loss = "loss", Network, Opportunities, [Fleet, Share, Probability, Delay],
        "A packet is lost and comes `delay` (200 ms) later, by TCP's retransmission, and what follows it waits behind it. Each further loss of the same packet doubles the wait, six times at most.",
        "TCP delivers every byte in order or ends the connection.";
    SlowLink = "slow-link", Network, Continuously, [Fleet, Share, Amount],
        "The access network carries `amount` (1,000) bytes a second each way.",
        "What does not fit waits in order; a device that waits too long for a PUBACK reconnects and sends again.";
    Partition = "partition", Network, Continuously, [Fleet, Share],
        "Nothing passes in either direction, not even the end of a connection; connections stay open until the time-outs of the device or the broker end them.",
        "Unacknowledged readings stay in the device's queue.";
    PartitionUp = "partition-up", Network, Continuously, [Fleet, Share],
        "Nothing passes from the devices to the broker; the other direction works.",
        "As with a partition of both directions.";
    PartitionDown = "partition-down", Network, Continuously, [Fleet, Share],
        "Nothing passes from the broker to the devices: readings arrive, and their PUBACKs do not.",
        "A reading that is sent again is a duplicate with the same identity.";
    HalfOpen = "half-open", Network, AtTimes, [Fleet, Share, Every],
        "Open connections die without a word: the device knows, the broker does not until its keep-alive is over.",
        "A device that connects again takes its client id over from its dead session.";
    DnsFailure = "dns-failure", Network, Continuously, [Fleet, Share],
        "The broker's name is not found: new connections fail, open ones stay.",
        "Devices try again with back-off.";
    EventDuplicate = "event-duplicate", Network, Opportunities, [OfFunction, Probability],
        "An asynchronous event reaches its function twice.",
        "Lambda delivers asynchronous events at least once.";
    EventReorder = "event-reorder", Network, Opportunities, [OfFunction, Probability, Delay],
        "An asynchronous event is held back for up to `delay` (10 s when absent), so that later ones overtake it.",
        "Registry events come in no promised order.";

    // Service: calls of the platform's functions, and calls between services.
    Throttle = "throttle", Service, Opportunities, [OfService, Operation, OfFunction, Probability],
        "A call is refused with the service's throttling error, without effect.",
        "Throttled calls are repeated with back-off.";
    ServerError = "server-error", Service, Opportunities, [OfService, Operation, OfFunction, Probability],
        "A call is answered with the service's internal error (5xx), without effect.",
        "Server errors are repeated with back-off.";
    SlowService = "slow-service", Service, Opportunities, [OfService, Operation, OfFunction, Probability, Delay],
        "A call of a function takes `delay` (1 s when absent) longer, half of it before its effect, which comes even when the caller has given up by then.",
        "Callers have time-outs, and what they do survives being done twice, and late.";
    Timeout = "timeout", Service, Opportunities, [OfService, Operation, OfFunction, Probability, Delay],
        "A call is never answered; the connection ends after `delay` (60 s when absent). It had no effect.",
        "Callers have time-outs of their own and call again.";
    LostRequest = "lost-request", Service, Opportunities, [OfService, Operation, OfFunction, Probability],
        "The connection is reset before the service acts.",
        "A call without an answer is repeated.";
    LostResponse = "lost-response", Service, Opportunities, [OfService, Operation, OfFunction, Probability],
        "The service acts, and the connection is reset before its answer.",
        "A call without an answer is repeated, and must survive having its effect twice.";
    PartialFailure = "partial-failure", Service, Opportunities, [OfService, Operation, Probability],
        "Entries of a batch (PutRecords, PutRecordBatch, BatchGetItem) fail while others succeed, each with `probability`.",
        "What failed is sent again, in the device's order.";
    StaleRead = "stale-read", Service, Opportunities, [OfService, Operation, Probability, Delay],
        "An eventually consistent read of DynamoDB answers with what was there `delay` (1 s when absent) ago.",
        "AWS promises no more for such reads.";
    BrownOut = "brown-out", Service, Opportunities, [OfService, Operation, OfFunction, Probability, Delay],
        "A service is unwell: each call takes up to `delay` (1 s when absent) longer, and with `probability` it is throttled or fails.",
        "Back-off keeps the load from growing, and batches wait in their streams.";
    RegionOutage = "region-outage", Service, Continuously, [],
        "No service of the Region answers, and no connection to the broker passes anything.",
        "Devices keep what they have, streams keep what they were given, and everything goes on afterwards.";
    QuotaLowered = "quota-lowered", Service, Continuously, [OfService, Amount],
        "Quotas in units a second of a service, or of all, are `amount` of what they were (0 to 1, 0.5 by default; one unit is left): services throttle earlier.",
        "Quotas are shared with whoever else uses the account.";
    BitRot = "bit-rot", Service, AtTimes, [Share, Every],
        "Bits of stored objects flip on one of S3's disks.",
        "S3 checks what it reads against its checksum, serves a good copy and never a bad one.";

    // Function: execution environments.
    CrashBefore = "crash-before", Function, Opportunities, [OfFunction, Probability],
        "The environment dies before the handler begins.",
        "Lambda delivers the batch, or the event, again.";
    CrashMidway = "crash-midway", Function, Opportunities, [OfFunction, Probability, Delay],
        "The environment dies after one of the first calls of its handler had its effect, at the latest `delay` (2 s when absent) after the handler began.",
        "The batch comes again: its effects must survive being had in part, and twice.";
    CrashAfter = "crash-after", Function, Opportunities, [OfFunction, Probability],
        "The environment dies after the last effect and before its answer.",
        "The batch comes again whole: its effects must survive being had twice.";
    FunctionTimeout = "function-timeout", Function, Opportunities, [OfFunction, Probability],
        "The handler stands still until Lambda ends it by force.",
        "As a crash in the middle.";
    OutOfMemory = "out-of-memory", Function, Opportunities, [OfFunction, Probability],
        "The environment is killed for its memory while the handler works, and all idle ones of the function with it.",
        "As a crash in the middle; nothing that matters is only in memory.";
    ColdStarts = "cold-starts", Function, AtTimes, [OfFunction, Every, Delay],
        "All idle environments are gone, and in the window those that start take `delay` (3 s when absent) longer. That is before the function's time, up to 10 s; beyond, and where one starts again after a crash or a time-out, within it.",
        "Batches wait in their streams.";
    DuplicateInvocation = "duplicate-invocation", Function, Opportunities, [OfFunction, Probability],
        "An event is processed twice, at the same time, by two environments.",
        "Event source mappings and asynchronous invocations deliver at least once.";
    Zombie = "zombie", Function, Opportunities, [OfFunction, Probability, Delay],
        "Lambda loses touch with an environment in the middle of its work and delivers the event again; the environment is frozen for up to `delay` (5 s when absent) and goes on then.",
        "A late effect of an old invocation must not undo a newer one.";
    PoisonMessage = "poison-message", Function, Opportunities, [OfFunction, Probability],
        "A reading that came in the window is poison to a function that reads a stream, with `probability`, which its identity decides: the environment dies before its handler begins whenever the reading is in its batch, for ever.",
        "Lambda splits a batch that fails; what fails alone goes to the failure destination with its bytes, and the shard goes on.";

    // Stream.
    Reshard = "reshard", Stream, AtTimes, [OfStream, Every],
        "The owner splits or merges the stream: UpdateShardCount to twice or half of its open shards in turn. The last number stays.",
        "Records of a key stay in order across a reshard when parents are read before children.";
    ReaderStall = "reader-stall", Stream, AtTimes, [OfStream, OfService, Every, Lasting],
        "A reader of the stream (`lambda` or `firehose`) stands still for `lasting` (1min when absent). Longer than the stream's retention, it loses records.",
        "Streams keep records for their retention.";

    // Device.
    DeviceCrash = "device-crash", Device, AtTimes, [Fleet, Share, Every],
        "Devices restart at once. What they had not yet had acknowledged is in flash and goes on.",
        "Readings that are sent again are duplicates with the same identity.";
    RebootLoop = "reboot-loop", Device, AtTimes, [Fleet, Share, Every, Lasting],
        "Devices restart every `every` (20 s) for `lasting`.",
        "Sessions are taken over, and the queue is in flash.";
    PowerLoss = "power-loss", Device, AtTimes, [Fleet, Share, Every, Lasting],
        "Devices are without power for `lasting`, all at once, and come back all at once.",
        "The broker's connect rate holds, and back-off spreads the reconnects.";
    ClockSkew = "clock-skew", Device, Continuously, [Fleet, Share, Delay],
        "The clocks of devices are off by up to `delay` (10 min), either way.",
        "Order comes from sequence numbers, arrival from AWS's clock.";
    ClockDrift = "clock-drift", Device, Continuously, [Fleet, Share, Amount],
        "The clocks of devices gain or lose `amount` (200) parts per million since the fault began; at 1,000,000 those that lose stand still.",
        "As clock skew.";
    ClockJump = "clock-jump", Device, AtTimes, [Fleet, Share, Every, Delay],
        "The clocks of devices jump to be off by up to `delay` (2 h), either way, and stay there until the next jump or the end of the window.",
        "As clock skew: two readings may bear one timestamp, or go back in time.";
    FlashFull = "flash-full", Device, Continuously, [Fleet, Share, Amount],
        "Devices have room for `amount` (10) unacknowledged messages; the oldest that is not in flight makes room for a new reading. What is given up is counted apart and leaves the run settled.",
        "What a device gives up was never acknowledged, so nobody is owed it.";
    DuplicateSend = "duplicate-send", Device, Opportunities, [Fleet, Share, Probability],
        "A device publishes a reading twice, as two messages.",
        "A reading's identity is (tenant, device, seq): duplicates are recognised.";
    MalformedPayload = "malformed-payload", Device, Opportunities, [Fleet, Share, Probability],
        "Beside a reading, a device publishes a message that is no reading: cut off, of the wrong types, without its members, or no JSON at all.",
        "What is no reading is set aside with a reason, and disturbs no other; what is not even a JSON object is dropped by the topic rule.";
    OversizedPayload = "oversized-payload", Device, Opportunities, [Fleet, Share, Probability],
        "Beside a reading, a device publishes a message above the broker's limit of 128 KiB, once; the broker ends the connection.",
        "The device connects again, and its queue goes on.";
    OldFirmware = "old-firmware", Device, Continuously, [Fleet, Share],
        "Devices run another firmware: payloads with further members, and numbers written in another way.",
        "Readings keep their contract: unknown members are ignored.";

    // Operator.
    BadDeploy = "bad-deploy", Operator, AtTimes, [OfFunction, Every, Lasting],
        "A version of a function is deployed that fails at its start, and taken back after `lasting`.",
        "Batches that fail stay in their streams.";
    Rollback = "rollback", Operator, AtTimes, [OfFunction, Every],
        "A stack's update is refused by AWS half-way and rolled back.",
        "CloudFormation leaves what was there before.";
    PermissionRemoved = "permission-removed", Operator, AtTimes, [OfFunction, OfService, Every, Lasting],
        "The policies of a function's role lose what they allow of `service`, and have it back after `lasting`.",
        "A denied call has no effect, and its batch waits.";
    KeyDisabled = "key-disabled", Operator, AtTimes, [Every, Lasting],
        "The key of the data is disabled for `lasting`, at most four minutes, beginning when Kinesis has just got a data key for the rule.",
        "What needs the key waits where it is, and Kinesis goes on for five minutes with the data key that it has.";
    CertificateExpiry = "certificate-expiry", Operator, AtTimes, [Fleet, Share, Every, Lasting],
        "Certificates of devices are inactive at once, and renewed after `lasting`.",
        "Devices keep their readings and connect again.";
    WrongConfiguration = "wrong-configuration", Operator, AtTimes, [OfFunction, Every, Lasting],
        "A function's environment variable names something that is not there, and is put right after `lasting`.",
        "A batch that cannot be processed waits in its stream.";

    // Somebody who means harm.
    StolenCertificate = "stolen-certificate", Hostile, AtTimes, [Fleet, Share, Every, Lasting],
        "Somebody connects with a device's certificate as the device itself, which is pushed out, and comes back again and again for `lasting`.",
        "A device keeps its readings and connects again; the broker has one session a client.";
    CrossTenant = "cross-tenant", Hostile, AtTimes, [Fleet, Share, Every],
        "Somebody with a device's certificate connects as other devices, publishes and subscribes to topics of other tenants and devices, to shadows of others and to reserved topics, and leaves wills there; and tries certificates that nobody registered.",
        "The broker enforces the device's policy: nothing of it goes through.";
    MalformedPackets = "malformed-packets", Hostile, AtTimes, [Fleet, Share, Every],
        "Somebody with a device's certificate sends bytes that are no MQTT: noise, endless lengths, half packets, packets before CONNECT.",
        "The broker ends the connection, and nobody else notices.";
    Flood = "flood", Hostile, AtTimes, [Fleet, Share, Every, Lasting, Amount],
        "Somebody with a device's certificate publishes `amount` messages a second as the device (500), and connects again without pause.",
        "The broker discards what exceeds a connection's rate; a device keeps its readings and connects again.";
}

impl Kind {
    /// What it may do.
    pub fn contract(self) -> &'static Contract {
        &KINDS[self as usize]
    }

    /// Its name in scenario files.
    pub fn id(self) -> &'static str {
        self.contract().id
    }

    /// Whether a key of `[[fault]]` has a meaning for it.
    pub fn has(self, key: Key) -> bool {
        self.contract().keys.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_stands_at_its_place_with_a_name_of_its_own_and_a_contract() {
        let ids: BTreeSet<&str> = KINDS.iter().map(|contract| contract.id).collect();
        assert_eq!(ids.len(), KINDS.len());
        for (position, contract) in KINDS.iter().enumerate() {
            assert_eq!(contract.kind as usize, position, "{}", contract.id);
            assert!(contract.breaks.ends_with('.') && contract.survives.ends_with('.'), "{}", contract.id);
        }
    }

    #[test]
    fn what_strikes_opportunities_has_a_probability_and_only_that() {
        for contract in KINDS {
            let id = contract.id;
            assert_eq!(contract.kind.has(Key::Probability), contract.strikes == Opportunities, "{id}");
            assert!(!contract.kind.has(Key::Every) || contract.strikes == AtTimes, "{id}");
        }
    }

    #[test]
    fn every_family_has_kinds_in_one_row() {
        let families: Vec<Family> = KINDS.iter().map(|contract| contract.family).collect();
        assert!(families.is_sorted());
        assert!(Family::ALL.iter().all(|(_, family)| families.contains(family)));
    }
}
