//! What a session subscribes to: one SUBSCRIBE with all filters, repeated until the broker grants each of them.

use std::time::Duration;

use rumqttc::{QoS, SubAck, Subscribe, SubscribeFilter, SubscribeReasonCode};

use super::settings::Settings;
use crate::world::time::Time;

/// Wait before a refused SUBSCRIBE is repeated; it doubles with each refusal.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Longest such wait.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The session does not have them, as far as is known.
    Wanted { from: Time },
    /// SUBSCRIBE is sent.
    Asked { packet_id: u16, at: Time },
    /// The session has them all.
    Granted,
}

/// The topic filters of a session.
#[derive(Debug)]
pub(super) struct Subscriptions {
    filters: Vec<String>,
    state: State,
    asked: u16,
    refusals: u32,
}

impl Subscriptions {
    pub fn new(filters: Vec<String>) -> Self {
        Subscriptions { filters, state: State::Wanted { from: Time::EPOCH }, asked: 0, refusals: 0 }
    }

    /// The broker accepted the session; `resumed` when it goes on with an earlier one. Answers whether that has all
    /// subscriptions.
    pub fn begin(&mut self, resumed: bool, now: Time) -> bool {
        if !resumed || self.state != State::Granted {
            self.state = State::Wanted { from: now };
            self.refusals = 0;
        }
        self.state == State::Granted
    }

    /// The SUBSCRIBE to send now, if there is one. Its packet ids are above those of publishes, which count from 1 to the
    /// size of the window.
    pub fn ask(&mut self, settings: &Settings, now: Time) -> Option<Subscribe> {
        let State::Wanted { from } = self.state else { return None };
        if from > now {
            return None;
        }
        self.asked = self.asked % 2 + 1;
        let packet_id = settings.in_flight_max + self.asked;
        self.state = State::Asked { packet_id, at: now };
        let filters = self.filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = packet_id;
        Some(subscribe)
    }

    /// A SUBACK has come. Answers the first filter that is not granted with QoS 1, nothing when all are.
    pub fn answered(&mut self, ack: &SubAck, now: Time) -> Result<Option<Box<str>>, &'static str> {
        if !matches!(self.state, State::Asked { packet_id, .. } if packet_id == ack.pkid) {
            return Err("unexpected SUBACK");
        }
        if ack.return_codes.len() != self.filters.len() {
            return Err("malformed SUBACK");
        }
        let granted = |code: &SubscribeReasonCode| *code == SubscribeReasonCode::Success(QoS::AtLeastOnce);
        let refused = self.filters.iter().zip(&ack.return_codes).find(|(_, code)| !granted(code));
        match refused {
            None => {
                self.state = State::Granted;
                self.refusals = 0;
                Ok(None)
            }
            Some((filter, _)) => {
                let wait = AGAIN_AFTER.saturating_mul(1 << self.refusals.min(16)).min(AGAIN_AFTER_MAX);
                self.state = State::Wanted { from: now + wait };
                self.refusals += 1;
                Ok(Some(filter.as_str().into()))
            }
        }
    }

    /// When there is something to do next.
    pub fn wake_at(&self, settings: &Settings) -> Time {
        match self.state {
            State::Wanted { from } => from,
            State::Asked { at, .. } => at + settings.ack_timeout,
            State::Granted => Time::MAX,
        }
    }

    /// Whether the wait for a SUBACK is over.
    pub fn is_overdue(&self, settings: &Settings, now: Time) -> bool {
        matches!(self.state, State::Asked { at, .. } if now >= at + settings.ack_timeout)
    }
}
