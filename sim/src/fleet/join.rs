//! How a device joins by itself: it holds a claim certificate of its tenant and asks AWS IoT for a certificate of its own, as
//! a pure step like `session`.
//!
//! It connects with the claim, subscribes to the answers, asks for keys and a certificate, and has them registered by its
//! tenant's template. What it got it keeps in flash: after a loss of power, a lost connection or an answer that did not come
//! it goes on from there, with the same certificate. A token that is not valid any more was used, when the answer to its
//! registration got lost, or has ended: so the device tries its certificate, and only when that is refused it asks for
//! another one. A refusal is followed by another attempt on the same connection, after a back-off with full jitter; its
//! range doubles with each.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rand::RngExt as _;
use rumqttc::{Connect, ConnectReturnCode, Packet, PubAck, Publish, QoS, Subscribe, SubscribeFilter};
use serde_json::Value;

use super::session::{Command, Input, Outputs, SessionEvent, Settings};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Keep-alive on a connection with the claim: the longest that AWS IoT Core takes, because no ping is sent on it.
const KEEP_ALIVE_S: u16 = 1_200;
/// How long a device waits for an answer. AWS states no time; a pre-provisioning hook alone may take five seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Range of the wait after a first refusal, and the largest: an account registers ten devices a second, so thousands that
/// come together must spread over minutes.
const REFUSED_BASE: Duration = Duration::from_secs(4);
/// See [`REFUSED_BASE`].
const REFUSED_MAX: Duration = Duration::from_secs(240);
/// Handshakes with the own certificate in a row that may fail before the device takes it for refused.
const TRIALS_MAX: u32 = 3;
/// How long after its registration a device connects as itself, at least: a client may connect once a second.
pub(super) const REST: Duration = Duration::from_secs(1);
/// Where certificates are asked for.
const CREATE: &str = "$aws/certificates/create/json";
/// Largest packet: an answer holds a certificate and a key.
const PACKET_BYTES_MAX: usize = 129 * 1024;
/// `errorCode` of a token that was used or has ended.
const BAD_TOKEN: &str = "InvalidCertificateOwnershipToken";

/// What an installer gives a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Id of the claim certificate: 64 hexadecimal digits.
    pub certificate_id: String,
    /// Client id with which the claim may connect.
    pub client_id: String,
    /// Provisioning template of the device's tenant.
    pub template: String,
    /// The template's parameters (name, value).
    pub parameters: Vec<(String, String)>,
}

/// A certificate of its own, and the token that has it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    certificate_id: String,
    token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Without a connection until an instant.
    Waiting { until: Time },
    /// A connection is being opened.
    Connecting { deadline: Time },
    /// CONNECT is sent.
    Greeting { deadline: Time },
    /// SUBSCRIBE is sent.
    Subscribing { deadline: Time },
    /// A request is sent, and its answer is not here.
    Asking { deadline: Time },
    /// The next request waits after a refusal.
    Refused { until: Time },
    /// The device is registered.
    Done,
}

/// A step of joining, for the trace and the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The claim was accepted by the broker.
    Claimed,
    /// A certificate came.
    Got {
        /// Its id.
        certificate_id: String,
    },
    /// A request was refused.
    Refused {
        /// Code of the refusal.
        code: String,
        /// Whether it is a rate of the account.
        throttled: bool,
    },
    /// The device is registered, with this certificate.
    Joined {
        /// Id of the certificate.
        certificate_id: String,
    },
}

/// A device that has not joined yet.
#[derive(Debug)]
pub struct Join {
    claim: Claim,
    device: Arc<str>,
    provision: String,
    request: String,
    phase: Phase,
    /// Kept in flash.
    own: Option<Own>,
    /// Whether the connection is made with the own certificate, to see whether it is registered already.
    trial: bool,
    trials: u32,
    failures: u32,
    refusals: u32,
    packet_id: u16,
    inbound: BytesMut,
}

impl Join {
    /// A device called `device` that gets power at `power_at`.
    pub fn new(claim: Claim, device: &str, power_at: Time) -> Self {
        let parameters = claim.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let request = Value::Object(parameters.collect()).to_string();
        Join {
            provision: format!("$aws/provisioning-templates/{}/provision/json", claim.template),
            device: device.into(),
            request,
            claim,
            phase: Phase::Waiting { until: power_at },
            own: None,
            trial: false,
            trials: 0,
            failures: 0,
            refusals: 0,
            packet_id: 0,
            inbound: BytesMut::new(),
        }
    }

    /// Id of the certificate to connect with.
    pub fn certificate_id(&self) -> &str {
        match &self.own {
            Some(own) if self.trial => &own.certificate_id,
            _ => &self.claim.certificate_id,
        }
    }

    /// The certificate with which the device is registered, once it is.
    pub fn joined(&self) -> Option<&str> {
        self.own.as_ref().filter(|_| self.phase == Phase::Done).map(|own| own.certificate_id.as_str())
    }

    /// The device starts again after a loss of power: it has what is in its flash.
    pub fn restart(&mut self, now: Time) {
        (self.failures, self.refusals) = (0, 0);
        self.inbound = BytesMut::new();
        match self.phase {
            Phase::Done => {}
            Phase::Waiting { until } => self.phase = Phase::Waiting { until: now.max(until) },
            _ => self.phase = Phase::Waiting { until: now },
        }
    }

    /// When a tick is wanted next.
    pub fn wake_at(&self) -> Time {
        match self.phase {
            Phase::Waiting { until } | Phase::Refused { until } => until,
            Phase::Connecting { deadline }
            | Phase::Greeting { deadline }
            | Phase::Subscribing { deadline }
            | Phase::Asking { deadline } => deadline,
            Phase::Done => Time::MAX,
        }
    }

    /// Takes one step.
    pub fn step(&mut self, settings: &Settings, now: Time, rng: &mut Rng, input: Input<'_>, out: &mut Outputs) {
        let result = match (input, self.phase) {
            (_, Phase::Done) | (Input::Disconnected, Phase::Waiting { .. }) => Ok(()),
            (Input::Connected, Phase::Connecting { deadline }) => {
                self.greet(now, deadline, out);
                Ok(())
            }
            (Input::Disconnected, Phase::Connecting { .. }) => {
                self.count_trial();
                Err("no connection")
            }
            (Input::Disconnected, _) => Err("closed by the broker"),
            (Input::Bytes(bytes), _) => {
                self.inbound.extend_from_slice(bytes);
                self.read_packets(now, rng, out)
            }
            (Input::Tick, Phase::Waiting { until }) if now >= until => {
                self.phase = Phase::Connecting { deadline: now + settings.connect_timeout };
                out.command = Some(Command::Connect);
                Ok(())
            }
            (Input::Tick, Phase::Refused { until }) if now >= until => {
                self.ask(now, out);
                Ok(())
            }
            (Input::Tick, Phase::Asking { deadline }) if now >= deadline => Err("no answer"),
            (Input::Tick, Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Subscribing { .. })
                if now >= self.wake_at() =>
            {
                Err("connect timed out")
            }
            (Input::Connected | Input::Tick, _) => Ok(()),
        };
        if let Err(reason) = result {
            if input != Input::Disconnected {
                out.command = Some(Command::Close);
            }
            self.lose(settings, now, rng, reason, out);
        }
    }

    fn greet(&mut self, now: Time, deadline: Time, out: &mut Outputs) {
        let client = if self.trial { &*self.device } else { self.claim.client_id.as_str() };
        let mut connect = Connect::new(client);
        connect.keep_alive = KEEP_ALIVE_S;
        connect.clean_session = true;
        self.packet_id = 0;
        write(&Packet::Connect(connect), out);
        self.phase = Phase::Greeting { deadline: deadline.max(now) };
    }

    fn read_packets(&mut self, now: Time, rng: &mut Rng, out: &mut Outputs) -> Result<(), &'static str> {
        loop {
            match Packet::read(&mut self.inbound, PACKET_BYTES_MAX) {
                Ok(packet) => self.receive(now, rng, packet, out)?,
                Err(rumqttc::Error::InsufficientBytes(_)) => return Ok(()),
                Err(_) => return Err("malformed packet"),
            }
        }
    }

    fn receive(&mut self, now: Time, rng: &mut Rng, packet: Packet, out: &mut Outputs) -> Result<(), &'static str> {
        match (packet, self.phase) {
            (Packet::ConnAck(ack), Phase::Greeting { deadline }) => self.greeted(ack.code, deadline, out),
            (Packet::SubAck(ack), Phase::Subscribing { .. }) => {
                if ack.return_codes.iter().any(|code| matches!(code, rumqttc::SubscribeReasonCode::Failure)) {
                    return Err("a subscription was refused");
                }
                self.failures = 0;
                self.ask(now, out);
                Ok(())
            }
            (Packet::Publish(publish), _) => {
                if publish.qos == QoS::AtLeastOnce {
                    write(&Packet::PubAck(PubAck::new(publish.pkid)), out);
                }
                if let Phase::Asking { .. } = self.phase {
                    self.answered(now, rng, &publish, out);
                }
                Ok(())
            }
            (Packet::PubAck(_), _) => Ok(()),
            _ => Err("unexpected packet"),
        }
    }

    fn greeted(&mut self, code: ConnectReturnCode, deadline: Time, out: &mut Outputs) -> Result<(), &'static str> {
        match code {
            ConnectReturnCode::Success if self.trial => {
                self.finish(out);
                Ok(())
            }
            ConnectReturnCode::Success => {
                out.events.push(SessionEvent::Joining(Step::Claimed));
                self.packet_id += 1;
                let topics = [CREATE, self.provision.as_str()];
                let answers =
                    topics.iter().flat_map(|topic| ["accepted", "rejected"].map(|end| format!("{topic}/{end}")));
                let filters = answers.map(|path| SubscribeFilter { path, qos: QoS::AtLeastOnce });
                let subscribe = Subscribe { pkid: self.packet_id, filters: filters.collect() };
                write(&Packet::Subscribe(subscribe), out);
                self.phase = Phase::Subscribing { deadline };
                Ok(())
            }
            ConnectReturnCode::NotAuthorized => {
                self.give_up_trial();
                Err("refused by the broker")
            }
            _ => Err("refused by the broker"),
        }
    }

    /// Asks for what is missing: a certificate, or its registration.
    fn ask(&mut self, now: Time, out: &mut Outputs) {
        self.packet_id += 1;
        let (topic, payload) = match &self.own {
            None => (CREATE, "{}".to_owned()),
            Some(own) => {
                let token = Value::from(own.token.as_str());
                let request = &self.request;
                (&*self.provision, format!(r#"{{"certificateOwnershipToken":{token},"parameters":{request}}}"#))
            }
        };
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = self.packet_id;
        write(&Packet::Publish(publish), out);
        self.phase = Phase::Asking { deadline: now + ANSWER_TIMEOUT };
    }

    fn answered(&mut self, now: Time, rng: &mut Rng, publish: &Publish, out: &mut Outputs) {
        let asked = if self.own.is_none() { CREATE } else { self.provision.as_str() };
        let Some(end) = publish.topic.strip_prefix(asked).and_then(|rest| rest.strip_prefix('/')) else { return };
        let answer: Value = serde_json::from_slice(&publish.payload).unwrap_or(Value::Null);
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        match (end, self.own.is_some()) {
            ("accepted", true) => self.finish(out),
            ("accepted", false) => {
                let Some((id, token)) = text("certificateId").zip(text("certificateOwnershipToken")) else { return };
                out.events.push(SessionEvent::Joining(Step::Got { certificate_id: id.clone() }));
                self.own = Some(Own { certificate_id: id, token });
                self.refusals = 0;
                self.ask(now, out);
            }
            _ => {
                let code = text("errorCode").unwrap_or_default();
                let throttled = answer["statusCode"] == 429;
                out.events.push(SessionEvent::Joining(Step::Refused { code: code.clone(), throttled }));
                if code == BAD_TOKEN {
                    // Was it used, and the answer got lost?
                    (self.trial, self.trials) = (true, 0);
                    out.command = Some(Command::Close);
                    self.inbound = BytesMut::new();
                    self.phase = Phase::Waiting { until: now };
                    return;
                }
                let range = REFUSED_BASE.saturating_mul(1 << self.refusals.min(16)).min(REFUSED_MAX);
                self.refusals += 1;
                // Never at once: half of the range is drawn.
                self.phase = Phase::Refused { until: now + range.mul_f64(rng.random_range(0.5..1.0)) };
            }
        }
    }

    fn finish(&mut self, out: &mut Outputs) {
        let certificate_id = self.own.as_ref().map(|own| own.certificate_id.clone()).unwrap_or_default();
        out.events.push(SessionEvent::Joining(Step::Joined { certificate_id }));
        out.command = Some(Command::Close);
        self.inbound = BytesMut::new();
        self.phase = Phase::Done;
    }

    /// A connection with the own certificate was not made: for lack of a network, or because it is not registered.
    fn count_trial(&mut self) {
        if self.trial {
            self.trials += 1;
            if self.trials >= TRIALS_MAX {
                self.give_up_trial();
            }
        }
    }

    /// The own certificate is not registered: another one is needed.
    fn give_up_trial(&mut self) {
        if std::mem::take(&mut self.trial) {
            (self.own, self.trials) = (None, 0);
        }
    }

    fn lose(&mut self, settings: &Settings, now: Time, rng: &mut Rng, reason: &'static str, out: &mut Outputs) {
        self.inbound = BytesMut::new();
        let range = settings.backoff_base.saturating_mul(1 << self.failures.min(16)).min(settings.backoff_max);
        self.failures += 1;
        self.phase = Phase::Waiting { until: now + range.mul_f64(rng.random_range(0.0..1.0)) };
        out.events.push(SessionEvent::Lost { reason });
    }
}

fn write(packet: &Packet, out: &mut Outputs) {
    packet.write(&mut out.send, usize::MAX).expect("packets of a device are far smaller than MQTT allows");
}

#[cfg(test)]
mod tests;
