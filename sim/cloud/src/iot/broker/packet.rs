//! Packets of MQTT 3.1.1 and MQTT 5 in one form: what a connection's protocol level changes is known to `decode` and
//! `encode` alone.

use std::sync::Arc;

use bytes::Bytes;

use crate::iot::message::Properties;

/// Protocol level of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iot) enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

/// Reason codes of MQTT 5, as far as AWS IoT Core uses them. Source: "MQTT reason codes" of the IoT Core guide.
pub(super) mod reason {
    pub(in crate::iot::broker) const SUCCESS: u8 = 0x00;
    /// A client's goodbye that asks for its will. AWS does not list it; the standard has it (unverified).
    pub(in crate::iot::broker) const WITH_WILL: u8 = 0x04;
    pub(in crate::iot::broker) const UNSPECIFIED: u8 = 0x80;
    pub(in crate::iot::broker) const MALFORMED: u8 = 0x81;
    pub(in crate::iot::broker) const PROTOCOL_ERROR: u8 = 0x82;
    pub(in crate::iot::broker) const UNSUPPORTED_VERSION: u8 = 0x84;
    pub(in crate::iot::broker) const CLIENT_ID_INVALID: u8 = 0x85;
    pub(in crate::iot::broker) const NOT_AUTHORIZED: u8 = 0x87;
    pub(in crate::iot::broker) const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;
    pub(in crate::iot::broker) const SESSION_TAKEN_OVER: u8 = 0x8E;
    pub(in crate::iot::broker) const TOPIC_FILTER_INVALID: u8 = 0x8F;
    pub(in crate::iot::broker) const TOPIC_NAME_INVALID: u8 = 0x90;
    pub(in crate::iot::broker) const TOPIC_ALIAS_INVALID: u8 = 0x94;
    pub(in crate::iot::broker) const QUOTA_EXCEEDED: u8 = 0x97;
    pub(in crate::iot::broker) const ADMINISTRATIVE: u8 = 0x98;
    pub(in crate::iot::broker) const QOS_NOT_SUPPORTED: u8 = 0x9B;
    pub(in crate::iot::broker) const NO_SUBSCRIPTION_IDENTIFIERS: u8 = 0xA1;
}

/// Bytes that are no packet: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Reason code of MQTT 5.
    pub(super) code: u8,
    pub(super) what: &'static str,
}

/// A packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    Connect(Box<Connect>),
    Publish(Publish),
    PubAck {
        id: u16,
    },
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    PingReq,
    Disconnect {
        code: u8,
        /// Session Expiry Interval, if the client changes it.
        expiry_s: Option<u32>,
    },
    /// A packet that AWS does not support: those of QoS 2, and AUTH.
    Unsupported(&'static str),
}

/// CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// Clean Session or Clean Start.
    pub(super) clean: bool,
    pub(super) keep_alive_s: u16,
    pub(super) client_id: Box<str>,
    pub(super) will: Option<Will>,
    /// Session Expiry Interval of MQTT 5; 0 when it is absent.
    pub(super) expiry_s: u32,
    pub(super) receive_max: Option<u16>,
    pub(super) packet_max: Option<u32>,
    /// Whether an Authentication Method is named.
    pub(super) extended_authentication: bool,
}

/// The will of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) delay_s: u32,
    pub(super) properties: Option<Arc<Properties>>,
}

/// PUBLISH of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    /// Empty when an alias stands for it.
    pub(super) topic: Arc<str>,
    pub(super) alias: Option<u16>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// 0 with QoS 0.
    pub(super) id: u16,
    pub(super) payload: Bytes,
    pub(super) properties: Option<Arc<Properties>>,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscribe {
    pub(super) id: u16,
    pub(super) filters: Vec<Requested>,
    pub(super) has_identifier: bool,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requested {
    pub(super) filter: Box<str>,
    pub(super) qos: u8,
    /// No Local: the client's own messages do not come back.
    pub(super) no_local: bool,
    /// Retain As Published.
    pub(super) as_published: bool,
    /// Retain Handling: 0 sends retained messages, 1 only for a new subscription, 2 never.
    pub(super) retain_handling: u8,
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsubscribe {
    pub(super) id: u16,
    pub(super) filters: Vec<Box<str>>,
}

/// A packet of the broker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outbound<'p> {
    ConnAck {
        session_present: bool,
        /// Return code of the connection's protocol level.
        code: u8,
        /// Properties of MQTT 5; none in a refusal.
        accepted: Option<&'p Accepted>,
    },
    Publish(Delivery<'p>),
    PubAck {
        id: u16,
        code: u8,
    },
    SubAck {
        id: u16,
        codes: &'p [u8],
    },
    UnsubAck {
        id: u16,
        codes: &'p [u8],
    },
    PingResp,
    /// MQTT 5 alone: MQTT 3.1.1 has no goodbye of the broker.
    Disconnect {
        code: u8,
    },
}

/// What a CONNACK of MQTT 5 announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) expiry_s: u32,
    pub(super) receive_max: u16,
    pub(super) packet_max: u32,
    pub(super) alias_max: u16,
    pub(super) keep_alive_s: u16,
    pub(super) assigned_client_id: Option<Arc<str>>,
}

/// A PUBLISH to a client. It is never marked as a duplicate: AWS does not support DUP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'p> {
    pub(super) topic: &'p str,
    pub(super) payload: &'p [u8],
    pub(super) retain: bool,
    /// 0 for QoS 0, otherwise the packet id of QoS 1.
    pub(super) id: u16,
    pub(super) properties: Option<&'p Properties>,
    /// Message Expiry Interval that is left.
    pub(super) expiry_s: Option<u32>,
}
