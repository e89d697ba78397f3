use rumqttc::{ConnAck, SubAck, SubscribeReasonCode};
use serde_json::json;

use super::*;
use crate::world::seed::Seed;

const START: Time = Time::from_unix_secs(1_000);
const PROVISION: &str = "$aws/provisioning-templates/t/provision/json";

/// A device that joins, with a broker that is played by the test.
struct Bench {
    join: Join,
    settings: Settings,
    rng: Rng,
    out: Outputs,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let claim = Claim {
            certificate_id: "c".repeat(64),
            client_id: "claim:acme:pump-1".to_owned(),
            template: "t".to_owned(),
            parameters: vec![("Device".to_owned(), "pump-1".to_owned())],
        };
        Bench {
            join: Join::new(claim, "pump-1", START),
            settings: Settings::default(),
            rng: Seed::root(1).rng(),
            out: Outputs::default(),
            now: START,
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.join.step(&self.settings, self.now, &mut self.rng, input, &mut self.out);
    }

    /// Waits for what the device waits for.
    fn wait(&mut self) {
        self.now = self.now.max(self.join.wake_at());
        self.step(Input::Tick);
    }

    fn receive(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        let (head, tail) = bytes.split_at(1);
        self.step(Input::Bytes(head));
        self.step(Input::Bytes(tail));
    }

    fn sent(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while !self.out.send.is_empty() {
            packets.push(Packet::read(&mut self.out.send, usize::MAX).unwrap());
        }
        packets
    }

    fn steps(&mut self) -> Vec<Step> {
        let steps = self.out.events.drain(..).filter_map(|event| match event {
            SessionEvent::Joining(step) => Some(step),
            _ => None,
        });
        steps.collect()
    }

    /// Connects when the device wants to; answers its client id and its certificate.
    fn connect(&mut self) -> (String, String) {
        self.wait();
        assert_eq!(self.out.command.take(), Some(Command::Connect));
        let certificate = self.join.certificate_id().to_owned();
        // What was written for the connection before went with it.
        self.out.send.clear();
        self.step(Input::Connected);
        let [Packet::Connect(connect)] = &self.sent()[..] else { panic!("no CONNECT") };
        (connect.client_id.clone(), certificate)
    }

    /// Brings the device to its first request.
    fn subscribed(&mut self) {
        assert_eq!(self.connect().0, "claim:acme:pump-1");
        self.receive(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
        let [Packet::Subscribe(subscribe)] = &self.sent()[..] else { panic!("no SUBSCRIBE") };
        let paths: Vec<&str> = subscribe.filters.iter().map(|filter| filter.path.as_str()).collect();
        let of = |topic: &str| ["accepted", "rejected"].map(|end| format!("{topic}/{end}"));
        assert_eq!(paths, [of(CREATE), of(PROVISION)].concat());
        let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); 4];
        self.receive(&Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
    }

    /// The request that was sent: topic and payload.
    fn request(&mut self) -> (String, Value) {
        let publishes = self.sent().into_iter().filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        });
        let [publish] = publishes.collect::<Vec<_>>().try_into().expect("one request");
        (publish.topic.clone(), serde_json::from_slice(&publish.payload).unwrap())
    }

    fn answer(&mut self, topic: &str, payload: &Value) {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload.to_string());
        publish.pkid = 9;
        self.receive(&Packet::Publish(publish));
    }

    fn certificate(&mut self, id: &str, token: &str) {
        let answer = json!({ "certificateId": id, "certificateOwnershipToken": token });
        self.answer(&format!("{CREATE}/accepted"), &answer);
    }

    fn refuse(&mut self, topic: &str, status: u16, code: &str) {
        self.answer(&format!("{topic}/rejected"), &json!({ "statusCode": status, "errorCode": code }));
    }
}

#[test]
fn a_device_joins_in_four_steps() {
    let mut bench = Bench::new();
    bench.subscribed();
    assert_eq!(bench.request(), (CREATE.to_owned(), json!({})));
    bench.certificate("own", "token");
    let asked = json!({ "certificateOwnershipToken": "token", "parameters": { "Device": "pump-1" } });
    assert_eq!(bench.request(), (PROVISION.to_owned(), asked));
    assert_eq!(bench.join.joined(), None);
    bench.answer(&format!("{PROVISION}/accepted"), &json!({ "thingName": "pump-1" }));
    assert_eq!((bench.join.joined(), bench.out.command.take()), (Some("own"), Some(Command::Close)));
    let joined = Step::Joined { certificate_id: "own".to_owned() };
    assert_eq!(bench.steps(), [Step::Claimed, Step::Got { certificate_id: "own".to_owned() }, joined]);
}

#[test]
fn refusals_are_followed_by_further_attempts_that_come_later_and_later() {
    let mut bench = Bench::new();
    bench.subscribed();
    let mut waits = Vec::new();
    for _ in 0..8 {
        bench.request();
        bench.refuse(CREATE, 429, "Throttling");
        waits.push(bench.join.wake_at().since(bench.now));
        bench.wait();
    }
    assert!(waits[0] >= REFUSED_BASE / 2 && waits[0] <= REFUSED_BASE, "{waits:?}");
    assert!(waits[4] > waits[0] * 4 && waits.iter().all(|wait| *wait <= REFUSED_MAX), "{waits:?}");
    bench.request();
    bench.certificate("own", "token");
    assert_eq!(bench.request().0, PROVISION, "the connection stayed");
    assert_eq!(bench.steps().iter().filter(|step| matches!(step, Step::Refused { throttled: true, .. })).count(), 8);
}

#[test]
fn what_a_device_got_survives_a_loss_of_power() {
    let mut bench = Bench::new();
    bench.subscribed();
    bench.request();
    bench.certificate("own", "token");
    bench.request();
    bench.join.restart(bench.now);
    bench.subscribed();
    assert_eq!(bench.request().1["certificateOwnershipToken"], "token", "it asks for no other certificate");
    // An answer that does not come ends the connection, and the device goes on.
    bench.wait();
    assert_eq!(bench.out.command.take(), Some(Command::Close));
    bench.subscribed();
    assert_eq!(bench.request().0, PROVISION);
}

#[test]
fn a_used_token_is_a_registration_whose_answer_got_lost() {
    let mut bench = Bench::new();
    bench.subscribed();
    bench.request();
    bench.certificate("own", "token");
    bench.request();
    bench.refuse(PROVISION, 400, BAD_TOKEN);
    assert_eq!(bench.out.command.take(), Some(Command::Close));
    assert_eq!(bench.connect(), ("pump-1".to_owned(), "own".to_owned()), "it tries its own certificate, as itself");
    bench.receive(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
    assert_eq!(bench.join.joined(), Some("own"));
}

#[test]
fn a_certificate_that_is_not_registered_is_forgotten() {
    type Refusal = fn(&mut Bench);
    let refusals: [Refusal; 2] = [
        |bench| {
            bench.connect();
            bench.receive(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::NotAuthorized, false)));
            bench.out.command.take();
        },
        |bench| {
            for _ in 0..TRIALS_MAX {
                bench.wait();
                assert_eq!(bench.out.command.take(), Some(Command::Connect));
                bench.step(Input::Disconnected);
            }
        },
    ];
    for refusal in refusals {
        let mut bench = Bench::new();
        bench.subscribed();
        bench.request();
        bench.certificate("own", "token");
        bench.request();
        bench.refuse(PROVISION, 400, BAD_TOKEN);
        bench.out.command.take();
        refusal(&mut bench);
        bench.subscribed();
        assert_eq!(bench.request().0, CREATE, "it asks for another certificate");
    }
}
