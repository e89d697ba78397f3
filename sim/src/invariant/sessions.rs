//! Comparing the commands that were accepted with those that devices with persistent sessions received.
//!
//! A command is owed when it was accepted while a persistent session of its device had its subscription, as the device knew
//! by a SUBACK. At-least-once: a command may come twice, and must come once, unless a documented limit dropped it (AWS
//! General Reference, "AWS IoT Core message broker and protocol limits and quotas"):
//! - the session expired: its device was away for longer than sessions live. Sessions may live longer (MQTT guide,
//!   "Persistent sessions": up to half an hour), never shorter;
//! - more messages were queued for sessions without a connection, in the account, than a second may see.

use std::time::Duration;

use super::{SESSION_SEMANTICS, Violation};
use crate::fleet::{Commands, End, Ordered, Truth};
use crate::world::time::Time;

/// How many commands a violation names before it says "and so on".
const NAMED_MAX: usize = 5;
/// How much earlier than its device the broker may have taken a connection for lost: a device notices a dead connection after
/// its ping and the wait for the answer, or after the wait for an acknowledgement.
const NOTICED_LATE: Duration = Duration::from_secs(120);
/// A session's rate is counted over so much time around a command: a bucket of one second, and clocks of two sides.
const AROUND: Duration = Duration::from_secs(2);
/// Messages that one desired state queues at most for a session without a connection: its delta and its answers.
const OF_A_DESIRED_STATE: usize = 2;

/// The limits that may drop a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How long a session without a connection lives at least.
    pub expiry: Duration,
    /// Messages a second that are queued in the account for sessions without a connection.
    pub queued_per_second: u64,
}

/// What became of the commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Commands that are owed and were received.
    pub received: u64,
    /// Commands that are owed and were not received, by their numbers from 1.
    pub missing: Vec<u64>,
    /// Commands that a documented limit may have dropped, and that were not received.
    pub excused: u64,
    /// Sessions that ended before they could expire: (device, how long it had been away).
    pub forgotten: Vec<(u32, Duration)>,
}

impl Sessions {
    /// Compares.
    pub fn of(commands: &Commands, limits: SessionLimits) -> Self {
        let mut found = Sessions::default();
        let queued = queued_at(commands);
        for (id, command) in (1_u64..).zip(commands.all()) {
            let Some(at) = command.accepted_at else { continue };
            let Some(ended) = spell_at(commands, command, at) else { continue };
            if command.received > 0 {
                found.received += 1;
            } else if ended.is_some_and(|end| expired(&end, limits) && end.offline_since < at + NOTICED_LATE)
                || around(&queued, at) as u64 > limits.queued_per_second
            {
                found.excused += 1;
            } else {
                found.missing.push(id);
            }
        }
        for (device, spells) in commands.all_spells() {
            let ends = spells.iter().filter_map(|spell| spell.ended);
            let early = ends.filter(|end| !expired(end, limits));
            found.forgotten.extend(early.map(|end| (device, end.at.since(end.offline_since))));
        }
        found
    }

    /// Broken promises.
    pub fn violations(&self, truth: &Truth) -> Vec<Violation> {
        let commands = truth.commands();
        let name = |device: u32| {
            let (tenant, id) = truth.device(device);
            format!("{tenant}/{id}")
        };
        let lost = self.missing.iter().map(|id| {
            let command = &commands.all()[*id as usize - 1];
            let at = command.accepted_at.map_or(String::new(), |at| at.rfc3339());
            format!("command {id} to device {}, accepted {at}", name(command.device))
        });
        let forgotten = self.forgotten.iter().map(|(device, away)| {
            format!("the session of device {} after {:.0} s without a connection", name(*device), away.as_secs_f64())
        });
        let foreign =
            commands.foreign().iter().map(|foreign| format!("device {}, on {}", name(foreign.device), foreign.topic));
        [
            ("accepted commands were not received by their devices, whose sessions lasted", said(lost)),
            ("persistent sessions were gone before they could expire", said(forgotten)),
            ("messages reached a device that are none of its own", said(foreign)),
        ]
        .into_iter()
        .filter(|(_, (count, _))| *count > 0)
        .map(|(what, (count, named))| {
            let message = format!("{count} {what}: {named}");
            Violation { invariant: SESSION_SEMANTICS, message, reading: None }
        })
        .collect()
    }
}

/// How many there are, and the first few of them.
fn said(all: impl Iterator<Item = String>) -> (u64, String) {
    let (mut count, mut named) = (0, Vec::new());
    for each in all {
        count += 1;
        if named.len() < NAMED_MAX {
            named.push(each);
        }
    }
    let more = if count > named.len() as u64 { ", …" } else { "" };
    (count, format!("{}{more}", named.join(", ")))
}

/// How the session ended that had the subscription when the command was sent, and still at this instant: nothing when there
/// was none. A command that was on its way while the device subscribed may have come before the subscription.
fn spell_at(commands: &Commands, command: &Ordered, at: Time) -> Option<Option<End>> {
    let spells = commands.spells(command.device).iter();
    let of_then = spells.rev().find(|spell| spell.since <= command.issued_at)?;
    of_then.ended.is_none_or(|end| at < end.at).then_some(of_then.ended)
}

fn expired(end: &End, limits: SessionLimits) -> bool {
    end.at.since(end.offline_since) + NOTICED_LATE >= limits.expiry
}

/// When messages may have been queued, in order.
fn queued_at(commands: &Commands) -> Vec<Time> {
    let desired = commands.desired_at().iter().flat_map(|at| [*at; OF_A_DESIRED_STATE]);
    let mut queued: Vec<Time> = commands.all().iter().filter_map(|c| c.accepted_at).chain(desired).collect();
    queued.sort_unstable();
    queued
}

/// The most messages of any second around an instant.
fn around(queued: &[Time], at: Time) -> usize {
    let from = queued.partition_point(|queued| *queued + AROUND < at);
    let until = queued.partition_point(|queued| *queued <= at + AROUND);
    let window = &queued[from..until];
    let within =
        |first: usize| window.partition_point(|queued| *queued < window[first] + Duration::from_secs(1)) - first;
    (0..window.len()).map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { expiry: Duration::from_secs(3_600), queued_per_second: 3 };

    fn at(secs: u64) -> Time {
        Time::from_unix_secs(secs)
    }

    /// A device whose session has its subscription from second 10 on.
    fn truth() -> Truth {
        let mut truth = Truth::new(Time::EPOCH);
        truth.add_device("acme", "pump-1");
        truth.add_device("acme", "pump-2");
        truth.commands_mut().listens(0, true, at(10));
        truth
    }

    fn command(truth: &mut Truth, accepted: u64, received: bool) -> u64 {
        let commands = truth.commands_mut();
        let id = commands.issue(0, at(accepted));
        commands.accepted(id, at(accepted));
        if received {
            commands.received(0, id, at(accepted + 1), "c");
            commands.received(0, id, at(accepted + 2), "c");
        }
        id
    }

    #[test]
    fn what_was_accepted_while_a_session_listened_is_owed_once() {
        let mut truth = truth();
        for (accepted, received) in [(5, false), (20, true), (30, false), (40, true)] {
            command(&mut truth, accepted, received);
        }
        let not_heard_of = truth.commands_mut().issue(0, at(20));
        assert_eq!(not_heard_of, 5);
        // On its way while the device subscribed: it may have come before.
        let early = truth.commands_mut().issue(0, at(9));
        truth.commands_mut().accepted(early, at(11));
        let found = Sessions::of(truth.commands(), LIMITS);
        assert_eq!((found.received, found.missing.as_slice(), found.excused), (2, &[3][..], 0));
        let messages: Vec<String> = found.violations(&truth).into_iter().map(|violation| violation.message).collect();
        let expected = "1 accepted commands were not received by their devices, whose sessions lasted: command 3 to \
                        device acme/pump-1, accepted 1970-01-01T00:00:30.000Z";
        assert_eq!(messages, [expected]);
    }

    #[test]
    fn an_expired_session_excuses_what_came_while_its_device_was_away_and_an_early_end_is_told() {
        // Away from second 2,000 on, and then without a session. The commands came before, and while it was away.
        for (away, missing, excused, forgotten) in [(4_000, &[1][..], 1, 0), (600, &[1, 2], 0, 1)] {
            let mut truth = truth();
            command(&mut truth, 20, false);
            command(&mut truth, 2_500, false);
            truth.commands_mut().has_no_session(0, at(2_000), at(2_000 + away));
            // Nothing is owed from then on, until the next subscription.
            command(&mut truth, 7_000, false);
            let found = Sessions::of(truth.commands(), LIMITS);
            let counts = (found.missing.as_slice(), found.excused, found.forgotten.len());
            assert_eq!(counts, (missing, excused, forgotten), "{away}");
        }
    }

    #[test]
    fn a_second_with_too_many_messages_excuses_those_around_it() {
        for (in_a_second, missing, excused) in [(3, 3, 0), (4, 0, 4)] {
            let mut truth = truth();
            for _ in 0..in_a_second {
                command(&mut truth, 50, false);
            }
            let found = Sessions::of(truth.commands(), LIMITS);
            assert_eq!((found.missing.len(), found.excused), (missing, excused), "{in_a_second}");
        }
        // A desired state queues messages as well.
        let mut truth = truth();
        command(&mut truth, 50, false);
        (0..2).for_each(|_| truth.commands_mut().desired(at(51)));
        assert_eq!(Sessions::of(truth.commands(), LIMITS).excused, 1);
    }

    #[test]
    fn a_command_of_another_device_is_told() {
        let mut truth = truth();
        let id = command(&mut truth, 20, true);
        truth.commands_mut().received(1, id, at(21), "tenant/acme/device/pump-1/command");
        let violations = Sessions::of(truth.commands(), LIMITS).violations(&truth);
        let [violation] = violations.as_slice() else { panic!("{violations:?}") };
        assert!(
            violation.message.contains("device acme/pump-2, on tenant/acme/device/pump-1/command"),
            "{violation:?}"
        );
    }
}
