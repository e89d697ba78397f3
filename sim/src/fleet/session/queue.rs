//! Messages that wait for their PUBACK: first those in flight, then those that wait to be sent.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::messages::{Message, Outputs, Payload, SessionEvent};
use crate::world::time::Time;

/// A message that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Queued {
    pub message: Message,
    /// Its topic, unless it is that of readings.
    pub topic: Option<Arc<str>>,
    pub payload: Payload,
    /// The device's clock that the packet with this id says.
    pub stamp_ms: u64,
    /// 0 when this session has not sent it.
    pub packet_id: u16,
    pub sent_at: Time,
}

/// Unacknowledged messages, readings by seq; the first `in_flight` of them are in flight.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Queued>,
    in_flight: usize,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The message that has waited longest for its PUBACK.
    pub fn oldest_in_flight(&self) -> Option<&Queued> {
        self.entries.front().filter(|_| self.in_flight > 0)
    }

    /// Puts a message behind all others, where there is room for `room` of them. When there is none, a reading makes the
    /// oldest message give way that was not sent. Answers whether it is queued.
    pub fn push(&mut self, room: usize, message: Message, payload: Payload, out: &mut Outputs) -> bool {
        let is_reading = matches!(message, Message::Reading(_));
        while self.entries.len() >= room {
            if !is_reading || !self.make_room(out) {
                if is_reading {
                    out.events.push(SessionEvent::Dropped { message });
                }
                return false;
            }
        }
        self.entries.push_back(Queued {
            message,
            topic: None,
            payload,
            stamp_ms: 0,
            packet_id: 0,
            sent_at: Time::EPOCH,
        });
        true
    }

    /// Puts a note before the readings that were not sent, and behind earlier notes.
    pub fn push_note(&mut self, number: u64, topic: Arc<str>, payload: Bytes) {
        let waits = |queued: &Queued| queued.packet_id == 0 && !is_note(queued);
        let behind = self.entries.iter().skip(self.in_flight).position(waits);
        let at = behind.map_or(self.entries.len(), |behind| self.in_flight + behind);
        let (message, topic) = (Message::Note(number), Some(topic));
        let payload = Payload::from(payload);
        self.entries.insert(at, Queued { message, topic, payload, stamp_ms: 0, packet_id: 0, sent_at: Time::EPOCH });
    }

    /// Takes out the notes that were not sent: who wrote them writes them anew.
    pub fn drop_notes(&mut self, out: &mut Outputs) {
        let mut position = 0;
        let in_flight = self.in_flight;
        self.entries.retain(|queued| {
            position += 1;
            let goes = position > in_flight && queued.packet_id == 0 && is_note(queued);
            if goes {
                out.events.push(SessionEvent::Dropped { message: queued.message });
            }
            !goes
        });
    }

    /// Gives up the oldest message that was not sent, and with a reading its copy.
    fn make_room(&mut self, out: &mut Outputs) -> bool {
        let may_go = |queued: &Queued| queued.packet_id == 0 && !is_note(queued);
        let Some(behind) = self.entries.iter().skip(self.in_flight).position(may_go) else { return false };
        let at = self.in_flight + behind;
        let Some(oldest) = self.entries.remove(at) else { return false };
        out.events.push(SessionEvent::Dropped { message: oldest.message });
        if let (Message::Reading(seq), Some(next)) = (oldest.message, self.entries.get(at))
            && next.message == Message::Copy(seq)
        {
            out.events.push(SessionEvent::Dropped { message: next.message });
            self.entries.remove(at);
        }
        true
    }

    /// The next message to send.
    pub fn next(&self) -> Option<&Queued> {
        self.entries.get(self.in_flight)
    }

    /// The next message is in flight from now on.
    pub fn launch(&mut self, packet_id: u16, stamp_ms: u64, now: Time) {
        if let Some(queued) = self.entries.get_mut(self.in_flight) {
            queued.packet_id = packet_id;
            queued.stamp_ms = stamp_ms;
            queued.sent_at = now;
            self.in_flight += 1;
        }
    }

    /// A packet goes out: the message that it carries, and the device's clock that it says. That is the youngest one with its id, because an older one with the
    /// same id has just been acknowledged.
    pub fn sent(&mut self, packet_id: u16, now: Time) -> Option<(Message, Option<u64>)> {
        let in_flight = self.entries.range_mut(..self.in_flight);
        let queued = in_flight.rev().find(|queued| queued.packet_id == packet_id)?;
        queued.sent_at = now;
        Some((queued.message, queued.payload.is_open().then_some(queued.stamp_ms)))
    }

    /// A PUBACK has come: forgets the message in flight with its id.
    pub fn acknowledged(&mut self, packet_id: u16) -> Option<Message> {
        let position = self.entries.range(..self.in_flight).position(|queued| queued.packet_id == packet_id)?;
        let queued = self.entries.remove(position)?;
        self.in_flight -= 1;
        Some(queued.message)
    }

    /// The connection is gone. What is in flight is to be sent again: in a session that lasts with its packet id, save the
    /// one that has not been sent because its id, `parked`, was still in use; otherwise as if it never was sent. What is
    /// not to be sent twice is given up.
    pub fn land(&mut self, lasts: bool, parked: Option<u16>, out: &mut Outputs) {
        let sent = std::mem::take(&mut self.in_flight);
        if let Some(parked) = parked {
            let mut in_flight = self.entries.range_mut(..sent).rev();
            if let Some(queued) = in_flight.find(|queued| queued.packet_id == parked) {
                queued.packet_id = 0;
            }
        }
        if self.entries.range(..sent).any(|queued| queued.message == Message::Oversized) {
            let mut position = 0;
            self.entries.retain(|queued| {
                position += 1;
                let goes = position <= sent && queued.message == Message::Oversized;
                if goes {
                    out.events.push(SessionEvent::Dropped { message: queued.message });
                }
                !goes
            });
        }
        if !lasts {
            self.forget_ids();
        }
    }

    /// The broker has no session: what it was sent in an earlier one is sent as if it never was.
    pub fn forget_ids(&mut self) {
        for queued in self.entries.iter_mut().take_while(|queued| queued.packet_id != 0) {
            queued.packet_id = 0;
        }
    }
}

fn is_note(queued: &Queued) -> bool {
    matches!(queued.message, Message::Note(_))
}
