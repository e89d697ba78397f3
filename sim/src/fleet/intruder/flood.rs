//! More messages than a connection may send, and more connects than a client may make, as a device.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::{Packet, Publish};

use super::line::{Heard, encoded};
use super::{Intruder, PATIENCE};
use crate::world::clock;
use crate::world::time::Time;

/// Messages a second unless the fault says how many: five times what AWS takes from a connection.
const MESSAGES_PER_S: f64 = 500.0;
/// Length of a flood unless the fault says it.
const LASTING: Duration = Duration::from_secs(5);
/// Messages are sent so often.
const BEAT: Duration = Duration::from_millis(100);

impl Intruder {
    /// Publishes far above the rate of a connection on the device's own topic, where its policy allows it. What is published
    /// is no JSON object: no rule passes it on, and it is owed to nobody.
    pub(super) async fn flood(&mut self, position: usize, until: Time) {
        let end = until.min(clock::now() + self.spec.lasting.unwrap_or(LASTING));
        let (tenant, id) = self.victims[position].aim.own.clone();
        let topic = format!("tenant/{tenant}/device/{id}/data");
        let per_beat = (self.spec.amount.unwrap_or(MESSAGES_PER_S) * BEAT.as_secs_f64()).max(1.0) as u16;
        let (mut sent, mut acknowledged) = (0_u64, 0_u64);
        while !self.is_over(end) {
            let Some(mut line) = self.line(position).await else { break };
            if !line.connect(&id, None, PATIENCE).await {
                // Without a pause: the rate of connects of a client is to be met too.
                clock::sleep(BEAT).await;
                continue;
            }
            let mut packet_id = 0_u16;
            while !self.is_over(end) {
                let mut bytes = BytesMut::new();
                for _ in 0..per_beat {
                    packet_id = packet_id.checked_add(1).unwrap_or(1);
                    let mut publish = Publish::new(topic.clone(), QoS::AtLeastOnce, "flood");
                    publish.pkid = packet_id;
                    bytes.extend_from_slice(&encoded(&Packet::Publish(publish)));
                    sent += 1;
                }
                line.send(bytes.freeze()).await;
                let beat = clock::now() + BEAT;
                let mut open = true;
                while clock::now() < beat {
                    match line.next(beat.since(clock::now())).await {
                        Heard::Packet(Packet::PubAck(_)) => acknowledged += 1,
                        Heard::Packet(_) => {}
                        Heard::Closed => {
                            open = false;
                            break;
                        }
                        Heard::Nothing => break,
                    }
                }
                if !open {
                    break;
                }
            }
        }
        let rest = sent.saturating_sub(acknowledged);
        let fields = [("sent", sent.into()), ("not_acknowledged", rest.into())];
        let trace = &self.shared.trace;
        trace.event(crate::world::trace::Level::Call, clock::now(), "intruder", "flooded", &id, &fields);
    }
}
