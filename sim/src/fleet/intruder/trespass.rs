//! Attempts on the spaces of other devices and tenants, and what is heard there.

use std::time::Duration;

use rand::RngExt as _;
use rumqttc::{Packet, PubAck, SubscribeReasonCode};

use super::attempts::{Attempt, attempts, subscribe};
use super::garbage::{SHAPES, garbage};
use super::line::{Heard, Line};
use super::{Intruder, PATIENCE, PAUSE};
use crate::world::clock;
use crate::world::time::Time;

/// How long an intruder listens after it has asked for what is not its own.
const LISTENS: Duration = Duration::from_secs(2);

impl Intruder {
    /// Makes the attempts of one stroke, each on a connection of its own.
    pub(super) async fn trespass(&mut self, position: usize, until: Time) {
        self.use_a_certificate_that_is_none(position).await;
        let list = attempts(&self.victims[position].aim, self.strokes, clock::now().unix_millis());
        for attempt in list {
            if self.is_over(until) {
                return;
            }
            if let Some(line) = self.line(position).await {
                self.attempt(position, line, attempt).await;
            }
            clock::sleep(PAUSE).await;
        }
    }

    /// A certificate that nobody registered must not even complete the handshake.
    async fn use_a_certificate_that_is_none(&mut self, position: usize) {
        let rng = self.seed.nth("connection", self.connections).rng();
        self.connections += 1;
        let mut of_nobody = self.seed.nth("certificate", self.connections).rng();
        let id: String = (0..64).map(|_| char::from_digit(of_nobody.random_range(0..16), 16).unwrap_or('0')).collect();
        let line = Line::open(self.shared.broker, &id, rng).await;
        self.came_to(position, "a handshake with a certificate that is not registered", line.is_some());
    }

    async fn attempt(&mut self, position: usize, mut line: Line, attempt: Attempt) {
        let name = self.victims[position].aim.own.1.clone();
        match attempt {
            Attempt::ConnectAs(other) => {
                let taken = line.connect(&other, None, PATIENCE).await;
                self.came_to(position, &format!("CONNECT as {other}"), taken);
            }
            Attempt::Will(will) => {
                let what = format!("CONNECT with a will on {}", will.topic);
                let taken = line.connect(&name, Some(will), PATIENCE).await;
                self.came_to(position, &what, taken);
            }
            Attempt::Publish(publish) => {
                if !line.connect(&name, None, PATIENCE).await {
                    return;
                }
                line.say(&Packet::Publish(publish.clone())).await;
                let heard = line.next(PATIENCE).await;
                let taken = matches!(&heard, Heard::Packet(Packet::PubAck(ack)) if ack.pkid == publish.pkid);
                self.came_to(position, &format!("PUBLISH to {}", publish.topic), taken);
            }
            Attempt::Subscribe(filters) => {
                if !line.connect(&name, None, PATIENCE).await {
                    return;
                }
                line.say(&subscribe(&filters)).await;
                if let Heard::Packet(Packet::SubAck(ack)) = line.next(PATIENCE).await {
                    for (filter, code) in filters.iter().zip(&ack.return_codes) {
                        let taken = !matches!(code, SubscribeReasonCode::Failure);
                        self.came_to(position, &format!("SUBSCRIBE to {filter}"), taken);
                    }
                }
                self.listen(position, &mut line, LISTENS).await;
            }
        }
    }

    /// Listens for a while. Whatever is heard and is not of the device's own is told.
    pub(super) async fn listen(&self, position: usize, line: &mut Line, lasting: Duration) {
        let end = clock::now() + lasting;
        while clock::now() < end {
            match line.next(end.since(clock::now())).await {
                Heard::Packet(Packet::Publish(publish)) => {
                    let (tenant, id) = &self.victims[position].aim.own;
                    let own = [format!("tenant/{tenant}/device/{id}/"), format!("$aws/things/{id}/")];
                    if !own.iter().any(|space| publish.topic.starts_with(space.as_str())) {
                        self.came_to(position, &format!("heard a message on {}", publish.topic), true);
                    }
                    if publish.pkid > 0 {
                        line.say(&Packet::PubAck(PubAck::new(publish.pkid))).await;
                    }
                }
                Heard::Packet(_) => {}
                Heard::Closed | Heard::Nothing => return,
            }
        }
    }

    /// Sends bytes that are no MQTT, or not at this place, with a certificate that is good. The broker must not take them
    /// for a session.
    pub(super) async fn send_garbage(&mut self, position: usize) {
        for shape in 0..SHAPES {
            let Some(mut line) = self.line(position).await else { return };
            let mut rng = self.seed.nth("garbage", self.connections).rng();
            let name = self.victims[position].aim.own.1.clone();
            for piece in garbage(shape, &name, &mut rng) {
                line.send(piece).await;
            }
            let heard = line.next(PATIENCE).await;
            let taken = match &heard {
                Heard::Packet(Packet::ConnAck(ack)) => ack.code == rumqttc::ConnectReturnCode::Success,
                Heard::Packet(_) => true,
                Heard::Closed | Heard::Nothing => false,
            };
            self.came_to(position, &format!("bytes that are no session (shape {shape})"), taken);
        }
    }
}
