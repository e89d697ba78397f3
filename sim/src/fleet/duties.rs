//! What a device does beside its readings: it follows its shadow, and takes commands.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::model::Model;
use super::plan::DevicePlan;
use super::session::{Outputs, Session};
use super::shadow::{Own, Shadow, settings};
use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;

/// A command, as far as every device reads it.
#[derive(Deserialize)]
struct Command {
    id: u64,
}

/// What a message was.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A command, by its number.
    Command(u64),
    /// A desired state that is to be applied.
    Desired(Map<String, Value>),
    /// One of the shadow's messages that asks for nothing.
    Nothing,
    /// It is none of the device's.
    Foreign,
}

/// A device's further duties.
pub(super) struct Duties {
    shadow: Option<Shadow>,
    /// Prefix of the topics of its shadow.
    prefix: Box<str>,
    command_topic: Box<str>,
    rng: Rng,
    notes: u64,
}

impl Duties {
    /// The duties of a device; nothing when it has none. `seed` is the device's.
    pub fn of(plan: &DevicePlan, seed: Seed) -> Option<Box<Duties>> {
        plan.hears_commands().then(|| {
            Box::new(Duties {
                shadow: plan.shadow.then(Shadow::new),
                prefix: Shadow::prefix(&plan.id).into(),
                command_topic: plan.command_topic().into(),
                rng: seed.child("shadow").rng(),
                notes: 0,
            })
        })
    }

    /// The topic filters that the device subscribes to.
    pub fn filters(&self) -> Vec<String> {
        let of_shadow =
            self.shadow.iter().flat_map(|_| Shadow::FILTERS.map(|suffix| format!("{}{suffix}", self.prefix)));
        of_shadow.chain([self.command_topic.to_string()]).collect()
    }

    /// The subscriptions are in force.
    pub fn listens(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.listens();
        }
    }

    /// The connection is gone, or the device has restarted. What it has not said yet about its shadow it says anew.
    pub fn lost(&mut self, session: &mut Session, out: &mut Outputs) {
        if let Some(shadow) = &mut self.shadow {
            shadow.lost();
            session.drop_notes(out);
        }
    }

    /// Takes a message.
    pub fn hear(&mut self, now: Time, model: &Model, topic: &str, payload: &[u8]) -> Heard {
        if *topic == *self.command_topic {
            return serde_json::from_slice(payload).map_or(Heard::Foreign, |Command { id }| Heard::Command(id));
        }
        let of_shadow = topic.strip_prefix(&*self.prefix).zip(self.shadow.as_mut());
        let Some((suffix, shadow)) = of_shadow else { return Heard::Foreign };
        let own = Own { revision: model.revision(), reported: &|| model.reported() };
        let desired = shadow.received(now, &mut self.rng, suffix, payload, &own);
        desired.map_or(Heard::Nothing, Heard::Desired)
    }

    /// Queues what is to be said now. Answers how many messages that were.
    pub fn say(&mut self, now: Time, model: &Model, session: &mut Session) -> u64 {
        let Some(shadow) = &mut self.shadow else { return 0 };
        let own = Own { revision: model.revision(), reported: &|| model.reported() };
        let mut said = 0;
        while let Some((suffix, payload)) = shadow.next(now, &mut self.rng, &own) {
            self.notes += 1;
            let topic: Arc<str> = format!("{}{suffix}", self.prefix).into();
            session.enqueue_note(self.notes, topic, Bytes::from(payload.to_string()));
            said += 1;
        }
        said
    }

    /// When there is something to say next.
    pub fn wake_at(&self, model: &Model) -> Time {
        self.shadow.as_ref().map_or(Time::MAX, |shadow| shadow.wake_at(model.revision()))
    }

    /// Whether the shadow has what the device is; a device without one has nothing to tell.
    pub fn is_settled(&self, model: &Model) -> bool {
        self.shadow.as_ref().is_none_or(|shadow| shadow.is_settled(model.revision()))
    }

    /// What the device itself is, by the keys that its shadow should have; nothing when it has no shadow.
    pub fn state(&self, model: &Model) -> Option<Map<String, Value>> {
        self.shadow.as_ref().map(|_| settings(&model.reported()))
    }
}
