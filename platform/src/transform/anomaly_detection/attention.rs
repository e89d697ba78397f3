//! Attention: a device with an anomaly is asked, by the desired state of its shadow, to publish more often, and to go back
//! to its usual interval once it was quiet.
//!
//! The shadow says what there is to ask: `reported.usual_publish_interval_ms` is the device's own interval. A device
//! without a shadow, or without that key, is not asked. A deleted key of the desired state makes no delta, so the shorter
//! interval is withdrawn by desiring the usual one again.
//!
//! **Every step may be repeated.** What is desired is compared with what is wanted before it is written, and written
//! only upon the version of the shadow that was read. An interval that somebody else desires is never overwritten.
//!
//! **Detection does not depend on it.** The calls of a batch take at most [`TIME_MAX`], for at most [`DEVICES_MAX`] devices,
//! and end with the first failure; then the state is stored and its anomalies are told. What is left is done with a later
//! batch of the shard.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;

use super::asked::Work;
use super::shadows::Shadows;
use super::state::Shard;
use crate::calls::{CallError, Clock};

/// Most devices that one batch is concerned with.
const DEVICES_MAX: usize = 8;
/// Longest time for the devices of one batch.
const TIME_MAX: Duration = Duration::from_secs(4);
/// Kept free before the deadline of the invocation, to store the state.
const KEPT_FREE: Duration = Duration::from_secs(8);
/// The usual interval is divided by this.
const DIVISOR: u64 = 4;

/// When devices are asked, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether devices are asked at all. What was asked before is withdrawn either way.
    pub enabled: bool,
    /// No device is asked for a shorter interval than this.
    pub interval_min_ms: u64,
    /// Without an anomaly for so long a device is quiet.
    pub quiet_ms: i64,
}

/// Asks devices.
#[derive(Debug)]
pub(super) struct Attention {
    shadows: Shadows,
    rules: Rules,
    clock: Clock,
}

/// What a shadow says of the publish interval.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    /// The device's own.
    usual_ms: Option<u64>,
    /// What is desired now.
    desired: Desired,
    /// Version of the shadow.
    version: u64,
}

/// A desired interval.
#[derive(Debug, Default, PartialEq, Eq)]
enum Desired {
    /// None.
    #[default]
    Absent,
    Interval(u64),
    /// Something that is no interval.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    state: State,
    version: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    desired: Option<Section>,
    reported: Option<Section>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    publish_interval_ms: Option<serde_json::Value>,
    usual_publish_interval_ms: Option<serde_json::Value>,
}

impl Interval {
    /// Takes it from a shadow's document. A document of another form says nothing.
    pub fn of(document: &[u8]) -> Self {
        let document: Document = serde_json::from_slice(document).unwrap_or_default();
        let whole = |value: serde_json::Value| value.as_u64().filter(|value| *value > 0);
        let reported = document.state.reported.unwrap_or_default();
        let desired = match document.state.desired.unwrap_or_default().publish_interval_ms {
            None => Desired::Absent,
            Some(value) => whole(value).map_or(Desired::Other, Desired::Interval),
        };
        let usual_ms = reported.usual_publish_interval_ms.and_then(whole);
        Interval { usual_ms, desired, version: document.version }
    }
}

/// What becomes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is nothing to ask.
    Nothing,
    /// It is as it should be: the interval is desired, or nothing is.
    Done(u64),
    /// This interval is to be desired.
    Desire(u64),
}

impl Rules {
    /// What a device is asked whose shadow says `found`.
    fn ask(self, found: &Interval) -> Step {
        let Some(usual) = found.usual_ms else { return Step::Nothing };
        let wanted = self.wanted(usual);
        match found.desired {
            _ if wanted >= usual => Step::Nothing,
            Desired::Interval(desired) if desired == wanted => Step::Done(wanted),
            Desired::Absent => Step::Desire(wanted),
            Desired::Interval(desired) if desired == usual => Step::Desire(wanted),
            // Somebody else wants something.
            Desired::Interval(_) | Desired::Other => Step::Nothing,
        }
    }

    /// What a device is asked that was asked for `interval_ms` before, or may have been asked by a call that failed.
    fn withdraw(self, found: &Interval, interval_ms: u64) -> Step {
        let (Some(usual), Desired::Interval(desired)) = (found.usual_ms, &found.desired) else { return Step::Done(0) };
        let is_ours = *desired == interval_ms || *desired == self.wanted(usual);
        if is_ours && *desired < usual { Step::Desire(usual) } else { Step::Done(0) }
    }

    /// The shorter interval for a device with a usual one.
    fn wanted(self, usual_ms: u64) -> u64 {
        (usual_ms / DIVISOR).max(self.interval_min_ms)
    }
}

impl Attention {
    pub fn new(shadows: Shadows, rules: Rules, clock: Clock) -> Self {
        Attention { shadows, rules, clock }
    }

    /// Whether devices are asked at all.
    pub fn is_enabled(&self) -> bool {
        self.rules.enabled
    }

    /// Until when the devices of an invocation may take.
    pub fn deadline(&self, invocation: SystemTime) -> SystemTime {
        (self.clock.now() + TIME_MAX).min(invocation - KEPT_FREE)
    }

    /// Does what is due in a shard.
    pub async fn attend(&self, shard: &mut Shard, deadline: SystemTime) {
        let (now_ms, quiet_ms) = (shard.newest_ms(), self.rules.quiet_ms);
        shard.asked.forget(now_ms);
        let due = shard.asked.due(now_ms, quiet_ms);
        for (key, work) in due.iter().filter(|(_, work)| self.rules.enabled || *work != Work::Ask).take(DEVICES_MAX) {
            // The names of tenants have no `#`.
            let Some((tenant, device)) = key.split_once('#') else { continue };
            if !self.clock.has_time(deadline) {
                tracing::warn!(due = due.len(), "there is no time left to ask devices; a later batch goes on");
                return;
            }
            let failure = match (work, self.step(device, *work, deadline).await) {
                (Work::Ask, Ok(Step::Nothing)) => {
                    shard.asked.nothing(key, now_ms);
                    continue;
                }
                (Work::Ask, Ok(Step::Done(interval_ms) | Step::Desire(interval_ms))) => {
                    tracing::info!(tenant, device, interval_ms, "a device is asked to publish more often");
                    shard.asked.asked(key, interval_ms);
                    continue;
                }
                (Work::Withdraw { .. }, Ok(_)) => {
                    tracing::info!(tenant, device, "a device is asked no longer");
                    shard.asked.withdrawn(key);
                    continue;
                }
                (_, Err(failure)) => failure,
            };
            tracing::warn!(tenant, device, ?work, %failure, "the shadow was not changed; a later batch tries again");
            shard.asked.failed(key, now_ms);
            if !failure.is_lasting() {
                return;
            }
        }
    }

    /// Reads a device's shadow and desires what follows from it.
    async fn step(&self, device: &str, work: Work, deadline: SystemTime) -> Result<Step, CallError> {
        let found = self.shadows.get(device, deadline).await?;
        let found = found.as_deref().map(Interval::of).unwrap_or_default();
        let step = match work {
            Work::Ask => self.rules.ask(&found),
            Work::Withdraw { interval_ms } => self.rules.withdraw(&found, interval_ms),
        };
        if let Step::Desire(interval_ms) = step {
            let desired = json!({ "publish_interval_ms": interval_ms });
            let update = json!({ "state": { "desired": desired }, "version": found.version });
            self.shadows.update(device, &update, deadline).await?;
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { enabled: true, interval_min_ms: 1_000, quiet_ms: 600_000 };

    fn interval(desired: &str, usual: &str) -> Interval {
        let text = format!(
            r#"{{"state":{{"desired":{{{desired}}},"reported":{{"publish_interval_ms":7,{usual}"firmware":"1"}}}},
               "metadata":{{}},"version":12,"timestamp":1}}"#
        );
        Interval::of(text.as_bytes())
    }

    #[test]
    fn a_quarter_of_the_usual_interval_is_asked_for_unless_somebody_else_desires_one() {
        for (desired, usual, expected) in [
            ("", r#""usual_publish_interval_ms":60000,"#, Step::Desire(15_000)),
            (r#""publish_interval_ms":60000"#, r#""usual_publish_interval_ms":60000,"#, Step::Desire(15_000)),
            (r#""publish_interval_ms":15000"#, r#""usual_publish_interval_ms":60000,"#, Step::Done(15_000)),
            ("", r#""usual_publish_interval_ms":2000,"#, Step::Desire(1_000)),
            ("", r#""usual_publish_interval_ms":1000,"#, Step::Nothing),
            (r#""firmware":"2""#, r#""usual_publish_interval_ms":60000,"#, Step::Desire(15_000)),
            (r#""publish_interval_ms":30000"#, r#""usual_publish_interval_ms":60000,"#, Step::Nothing),
            (r#""publish_interval_ms":"fast""#, r#""usual_publish_interval_ms":60000,"#, Step::Nothing),
            ("", "", Step::Nothing),
            ("", r#""usual_publish_interval_ms":"60 s","#, Step::Nothing),
            ("", r#""usual_publish_interval_ms":-5,"#, Step::Nothing),
        ] {
            assert_eq!(RULES.ask(&interval(desired, usual)), expected, "{desired} {usual}");
        }
        for document in ["", "[]", "{}", r#"{"state":{"desired":null}}"#, r#"{"state":{"reported":7}}"#] {
            assert_eq!(RULES.ask(&Interval::of(document.as_bytes())), Step::Nothing, "{document}");
        }
    }

    #[test]
    fn only_what_was_asked_is_withdrawn() {
        let usual = r#""usual_publish_interval_ms":60000,"#;
        let cases = [
            (r#""publish_interval_ms":15000"#, usual, 15_000, Step::Desire(60_000)),
            (r#""publish_interval_ms":20000"#, usual, 20_000, Step::Desire(60_000)),
            (r#""publish_interval_ms":15000"#, usual, 0, Step::Desire(60_000)),
            (r#""publish_interval_ms":60000"#, usual, 15_000, Step::Done(0)),
            (r#""publish_interval_ms":30000"#, usual, 15_000, Step::Done(0)),
            ("", usual, 15_000, Step::Done(0)),
            (r#""publish_interval_ms":15000"#, "", 15_000, Step::Done(0)),
        ];
        for (desired, usual, asked, expected) in cases {
            assert_eq!(RULES.withdraw(&interval(desired, usual), asked), expected, "{desired} {usual}");
        }
    }
}
