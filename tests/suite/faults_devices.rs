//! Faults of the network between devices and the broker, and faults of devices: each kind alone strikes, shows its effect,
//! and breaks no promise.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use platform::function::{Function, FunctionError, InvocationContext};
use record::{Summary, Verdict};
use sim::fault::{KINDS, Kind};
use sim::run::Harness;
use sim::scenario::Scenario;

use crate::support::{summary, summary_with};

/// A kind of fault alone.
struct Case {
    kind: Kind,
    /// Interval of the devices' readings.
    publish_every: &'static str,
    /// Keys of the fault.
    keys: &'static str,
    /// What must be seen of it.
    effect: Effect,
}

enum Effect {
    /// A mark is reached.
    Mark(&'static str),
    /// A counter of the run is not 0.
    Counter(&'static str),
    /// There are at least so many more sessions than devices.
    Reconnects(u64),
    /// Half of the readings are in the lake at least so much later than without the fault, in ms.
    Later(f64),
    /// A counter of the run is larger than without the fault.
    More(&'static str),
}

use Effect::{Counter, Later, Mark, More, Reconnects};

const fn case(kind: Kind, publish_every: &'static str, keys: &'static str, effect: Effect) -> Case {
    Case { kind, publish_every, keys, effect }
}

const DEVICES: u64 = 8;

const CASES: &[Case] = &[
    case(Kind::Latency, "5s", "delay = \"12s\"\nfrom = \"30s\"", Later(6_000.0)),
    case(Kind::Loss, "2s", "probability = 0.6\ndelay = \"1s\"", Counter("fleet:connection_losses")),
    case(Kind::SlowLink, "2s", "amount = 30", Counter("fleet:connection_losses")),
    case(Kind::Partition, "5s", "from = \"30s\"\nuntil = \"140s\"", Mark("keep-alive-ended")),
    case(Kind::PartitionUp, "5s", "from = \"30s\"\nuntil = \"140s\"\nshare = 0.5", Mark("keep-alive-ended")),
    case(Kind::PartitionDown, "5s", "from = \"30s\"\nuntil = \"100s\"", Mark("duplicate-delivered")),
    case(Kind::RegionOutage, "5s", "from = \"30s\"\nuntil = \"75s\"", Counter("fleet:connection_losses")),
    case(Kind::HalfOpen, "5s", "from = \"20s\"\nevery = \"40s\"", Mark("session-taken-over")),
    case(Kind::DnsFailure, "5s", "until = \"60s\"\nshare = 0.7", Counter("fleet:connection_losses")),
    case(Kind::DeviceCrash, "50ms", "from = \"20s\"\nevery = \"50s\"", Mark("restarted-in-flight")),
    case(Kind::RebootLoop, "5s", "from = \"20s\"\nevery = \"15s\"\nlasting = \"70s\"", Reconnects(4)),
    case(Kind::PowerLoss, "5s", "from = \"20s\"\nlasting = \"110s\"", Mark("keep-alive-ended")),
    case(Kind::ClockSkew, "5s", "from = \"60s\"\ndelay = \"1h\"", Mark("timestamp-went-back")),
    case(Kind::ClockDrift, "200ms", "until = \"150s\"\namount = 5000", Mark("timestamp-went-back")),
    case(Kind::ClockJump, "5s", "from = \"20s\"\nevery = \"30s\"\ndelay = \"2h\"", Mark("timestamp-went-back")),
    case(Kind::FlashFull, "20ms", "amount = 1", Counter("fleet:given_up_readings")),
    case(Kind::DuplicateSend, "5s", "probability = 0.5", Mark("duplicate-delivered")),
    case(Kind::MalformedPayload, "2s", "probability = 0.5", Mark("message-quarantined")),
    case(Kind::OversizedPayload, "5s", "probability = 0.1", Mark("too-large-for-the-broker")),
    case(Kind::OldFirmware, "5s", "share = 0.5", More("kinesis:IncomingBytes")),
];

fn scenario(case: &Case, fault: bool) -> Scenario {
    let kind = case.kind.id();
    let mut text = format!(
        "title = \"{kind} alone\"\nwhy = \"each kind of fault is shown to strike and to be survived\"\n\
         [[fleet]]\nname = \"sensors\"\nkind = \"synthetic\"\ntenant = \"acme\"\ntenants = 2\ndevices = {DEVICES}\n\
         publish_every = \"{}\"\nnetwork = \"lte\"\n[phase]\nhardship = \"3min\"\npeace = \"4min\"\n",
        case.publish_every
    );
    if fault {
        text.push_str(&format!("[[fault]]\nkind = \"{kind}\"\n{}\n", case.keys));
    }
    let path = format!("{kind}.toml");
    Scenario::parse(&text, Path::new(&path)).unwrap_or_else(|error| panic!("{error}"))
}

fn shows_its_effect(case: &Case, seed: u64, found: &Summary) -> bool {
    let count = |summary: &Summary, name: &str| summary.counters.get(name).copied().unwrap_or(0);
    match case.effect {
        Mark(mark) => found.marks.contains_key(mark),
        Counter(name) => count(found, name) > 0,
        Reconnects(more) => count(found, "fleet:sessions") >= DEVICES * (1 + more),
        Later(ms) => {
            let plain = summary(&scenario(case, false), seed);
            found.latency_ms.p50.zip(plain.latency_ms.p50).is_some_and(|(found, plain)| found > plain + ms)
        }
        More(name) => count(found, name) > count(&summary(&scenario(case, false), seed), name),
    }
}

/// What is wrong with a run under one fault.
fn problem(case: &Case) -> Option<String> {
    let (id, scenario, seed) = (case.kind.id(), scenario(case, true), 7);
    let found = summary(&scenario, seed);
    let given_up = found.counters.get("fleet:given_up_readings").copied().unwrap_or(0);
    let what = if found.faults[id] == 0 {
        "never struck"
    } else if found.verdict != Verdict::Held {
        "did not hold"
    } else if found.acknowledged == 0 || found.published != found.acknowledged + given_up {
        "left readings that were neither acknowledged nor given up under a full flash"
    } else if !shows_its_effect(case, seed, &found) {
        "shows no effect"
    } else if summary(&scenario, seed) != found {
        "is not the same in two runs of one seed"
    } else {
        return None;
    };
    Some(format!("{id} {what}: {found:?}"))
}

#[test]
fn every_kind_strikes_shows_its_effect_and_breaks_no_promise() {
    let problems: Vec<String> = CASES.iter().filter_map(problem).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn every_kind_of_devices_and_of_their_network_has_a_case() {
    let events = [Kind::EventDuplicate, Kind::EventReorder];
    let mine = KINDS.iter().filter(|contract| {
        matches!(contract.family, sim::fault::Family::Network | sim::fault::Family::Device)
            && !events.contains(&contract.kind)
    });
    for contract in mine {
        assert!(CASES.iter().any(|case| case.kind == contract.kind), "{}", contract.id);
    }
}

/// A function that sees no record, or other bytes, where a message is no reading.
struct Blind {
    inner: Box<dyn Function>,
    changes: bool,
}

#[async_trait]
impl Function for Blind {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD;
        let mut event: serde_json::Value = serde_json::from_slice(event).expect("Lambda sends JSON");
        let records = event["Records"].as_array_mut().expect("a batch has records");
        records.retain_mut(|record| {
            let data = &mut record["kinesis"]["data"];
            let bytes = base64.decode(data.as_str().expect("data is text")).expect("data is base64");
            let message: serde_json::Value = serde_json::from_slice(&bytes).expect("a record is JSON");
            if message["message"].is_null() {
                return true;
            }
            *data = base64.encode([b" ", bytes.as_slice()].concat()).into();
            self.changes
        });
        self.inner.invoke(event.to_string().as_bytes(), context).await
    }
}

#[test]
fn a_platform_that_drops_or_changes_what_is_no_reading_breaks_quarantine() {
    let case = CASES.iter().find(|case| case.kind == Kind::MalformedPayload).expect("a case");
    for (changes, says) in [(false, "are not in the quarantine"), (true, "are nothing that a device sent")] {
        let wrap_function: sim::seam::FunctionFactory = Arc::new(move |_, inner| Box::new(Blind { inner, changes }));
        let harness = Harness { wrap_function: Some(wrap_function), ..Harness::default() };
        let found = summary_with(&scenario(case, true), 7, harness);
        assert_eq!(found.verdict, Verdict::Violated);
        let messages: Vec<&str> = found.violations.iter().map(|violation| violation.message.as_str()).collect();
        assert!(found.violations.iter().all(|violation| violation.invariant == "quarantine"), "{messages:?}");
        assert!(messages.iter().any(|message| message.contains(says)), "{messages:?}");
        assert_eq!((found.missing, found.delivered), (0, found.published), "readings are as they were");
    }
}
