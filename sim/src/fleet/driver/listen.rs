//! What a device makes of its session: when it is heard, what it hears, and what it says beside its readings.

use super::super::duties::Heard;
use super::super::runner::{Shared, lock};
use super::super::session::{Outputs, SessionEvent};
use super::Device;
use crate::world::time::Time;
use crate::world::trace::Level;

impl Device {
    /// Does what the session's reports ask for, and writes them down.
    pub(super) fn report_all(&mut self, now: Time, shared: &Shared, out: &mut Outputs) {
        while !out.events.is_empty() {
            let mut events = std::mem::take(&mut out.events);
            for event in events.drain(..) {
                self.heed(now, shared, &event, out);
                self.report(now, shared, &event);
            }
            if out.events.is_empty() {
                out.events = events;
            }
        }
    }

    fn heed(&mut self, now: Time, shared: &Shared, event: &SessionEvent, out: &mut Outputs) {
        match event {
            SessionEvent::Accepted { resumed } => {
                self.is_online = true;
                shared.outage.came_online(now);
                if self.session.is_persistent() && !resumed {
                    let mut truth = lock(&shared.truth);
                    truth.commands_mut().has_no_session(self.index, self.offline_since, now);
                }
            }
            SessionEvent::Lost { .. } => self.goes_offline(now, now, shared, out),
            SessionEvent::Listening { anew } => {
                if self.session.is_persistent() {
                    lock(&shared.truth).commands_mut().listens(self.index, *anew, now);
                }
                if let Some(duties) = &mut self.duties {
                    duties.listens();
                }
            }
            SessionEvent::Received { topic, payload } => self.hear(now, shared, topic, payload),
            _ => {}
        }
    }

    /// The device has restarted: whatever connection it had ended with its last step.
    pub(super) fn restarts(&mut self, now: Time, shared: &Shared, out: &mut Outputs) {
        self.goes_offline(now, self.turned_at, shared, out);
    }

    fn goes_offline(&mut self, now: Time, since: Time, shared: &Shared, out: &mut Outputs) {
        if std::mem::take(&mut self.is_online) {
            self.offline_since = since;
            shared.outage.went_offline(now);
        }
        if let Some(duties) = &mut self.duties {
            duties.lost(&mut self.session, out);
        }
    }

    fn hear(&mut self, now: Time, shared: &Shared, topic: &str, payload: &[u8]) {
        let heard = self.duties.as_mut().map_or(Heard::Foreign, |duties| duties.hear(now, &self.model, topic, payload));
        match heard {
            Heard::Command(id) => lock(&shared.truth).commands_mut().received(self.index, id, now, topic),
            Heard::Desired(desired) => {
                let text = serde_json::Value::Object(desired.clone()).to_string();
                shared.trace.event(Level::Call, now, &self.id, "desired", topic, &[("state", text.as_str().into())]);
                self.model.desired(now, &desired);
            }
            Heard::Nothing => {}
            Heard::Foreign => lock(&shared.truth).commands_mut().received_foreign(self.index, topic),
        }
    }

    /// Queues what the device has to say beside its readings.
    pub(super) fn say(&mut self, now: Time, shared: &Shared) {
        if let Some(duties) = &mut self.duties {
            let said = duties.say(now, &self.model, &mut self.session);
            if said > 0 {
                shared.queued.add(said);
            }
        }
    }

    /// When the device has something to say beside its readings.
    pub(super) fn says_at(&self) -> Time {
        self.duties.as_ref().map_or(Time::MAX, |duties| duties.wake_at(&self.model))
    }

    /// Whether the device's shadow has what the device is, as far as the device knows, and nothing changes of itself.
    pub(in super::super) fn is_settled(&self) -> bool {
        self.model.settles_at().is_none() && self.duties.as_ref().is_none_or(|duties| duties.is_settled(&self.model))
    }

    /// The settings of the device, by the keys of its shadow; nothing when it has no shadow.
    pub(in super::super) fn shadow_state(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        self.duties.as_ref().and_then(|duties| duties.state(&self.model))
    }
}
