//! The truth about commands: which were accepted for a device, which it received, and while its session was known to listen.

use std::collections::BTreeMap;

use crate::world::time::Time;

/// A command, as the operator and the device know it. Its number is its position, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Index of the device.
    pub device: u32,
    /// When the operator sent it.
    pub issued_at: Time,
    /// When AWS IoT Core accepted it; nothing when it did not, or when nobody heard of it.
    pub accepted_at: Option<Time>,
    /// When the device received it first.
    pub received_at: Option<Time>,
    /// How often the device received it.
    pub received: u32,
}

/// A persistent session of a device, from the device's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// From here on all its subscriptions were in force.
    pub since: Time,
    /// How it ended, if it did.
    pub ended: Option<End>,
}

/// How a device learnt that its session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last sign of life of the connection before.
    pub offline_since: Time,
    /// When the broker accepted a connection, and said that there is no session.
    pub at: Time,
}

/// A message that a device received and that is none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Index of the device.
    pub device: u32,
    /// Topic.
    pub topic: Box<str>,
}

/// All commands of a run, and the sessions of the devices that take some.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    commands: Vec<Command>,
    spells: BTreeMap<u32, Vec<Spell>>,
    foreign: Vec<Foreign>,
    /// When desired states were accepted, each of which makes a delta.
    desired_at: Vec<Time>,
}

impl Commands {
    /// The operator is about to send a command to a device. Answers its number.
    pub fn issue(&mut self, device: u32, at: Time) -> u64 {
        self.commands.push(Command { device, issued_at: at, accepted_at: None, received_at: None, received: 0 });
        self.commands.len() as u64
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Command> {
        self.commands.get_mut(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// AWS IoT Core accepted a command.
    ///
    /// # Panics
    /// When there is no such command: a bug of the operator.
    pub fn accepted(&mut self, id: u64, at: Time) {
        self.get_mut(id).expect("only issued commands are accepted").accepted_at = Some(at);
    }

    /// A device received a command. One that was issued for another device, or by nobody, is none of its own.
    pub fn received(&mut self, device: u32, id: u64, at: Time, topic: &str) {
        match self.get_mut(id).filter(|command| command.device == device) {
            Some(command) => {
                command.received_at.get_or_insert(at);
                command.received += 1;
            }
            None => self.received_foreign(device, topic),
        }
    }

    /// A device received what is none of its own.
    pub fn received_foreign(&mut self, device: u32, topic: &str) {
        self.foreign.push(Foreign { device, topic: topic.into() });
    }

    /// The broker accepted a desired state.
    pub fn desired(&mut self, at: Time) {
        self.desired_at.push(at);
    }

    /// All subscriptions of a device's persistent session are in force; `anew` when they were not before.
    pub fn listens(&mut self, device: u32, anew: bool, at: Time) {
        if anew {
            self.spells.entry(device).or_default().push(Spell { since: at, ended: None });
        }
    }

    /// The broker accepted a connection of a device and has no session.
    pub fn has_no_session(&mut self, device: u32, offline_since: Time, at: Time) {
        let last = self.spells.get_mut(&device).and_then(|spells| spells.last_mut());
        if let Some(spell) = last.filter(|spell| spell.ended.is_none()) {
            spell.ended = Some(End { offline_since, at });
        }
    }

    /// All commands, by their numbers from 1.
    pub fn all(&self) -> &[Command] {
        &self.commands
    }

    /// The sessions of a device, in the order of time.
    pub fn spells(&self, device: u32) -> &[Spell] {
        self.spells.get(&device).map_or(&[], Vec::as_slice)
    }

    /// Every device with its sessions.
    pub fn all_spells(&self) -> impl Iterator<Item = (u32, &[Spell])> {
        self.spells.iter().map(|(device, spells)| (*device, spells.as_slice()))
    }

    /// What devices received that is none of their own.
    pub fn foreign(&self) -> &[Foreign] {
        &self.foreign
    }

    /// When desired states were accepted.
    pub fn desired_at(&self) -> &[Time] {
        &self.desired_at
    }

    /// How many commands (were accepted, were received, were received more than once).
    pub fn counts(&self) -> (u64, u64, u64) {
        let count = |is: fn(&Command) -> bool| self.commands.iter().filter(|command| is(command)).count() as u64;
        (count(|c| c.accepted_at.is_some()), count(|c| c.received > 0), count(|c| c.received > 1))
    }
}
