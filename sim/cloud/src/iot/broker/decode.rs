//! Reading of packets, strictly: every byte of a packet is accounted for, and what the standards call malformed ends the
//! connection. Source: MQTT 3.1.1 and MQTT 5.0 of OASIS.

use std::sync::Arc;

use bytes::Bytes;

use super::packet::{Connect, Inbound, Malformed, Publish, Requested, Subscribe, Unsubscribe, Version, Will, reason};
use crate::iot::message::Properties;

/// Bytes of a packet's fixed header, and of the whole packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: usize,
    pub(super) length: usize,
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { code: reason::MALFORMED, what }
}

const fn protocol_error(what: &'static str) -> Malformed {
    Malformed { code: reason::PROTOCOL_ERROR, what }
}

/// The packet that `bytes` begin with; nothing while its length is not known. The packet may not be complete. `size_max`
/// is the most that may follow the fixed header.
pub(super) fn frame(bytes: &[u8], size_max: usize) -> Result<Option<Frame>, Malformed> {
    let mut remaining = 0_usize;
    for (position, byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            if *byte == 0 && position > 0 {
                return Err(malformed("a remaining length is longer than needed"));
            }
            if remaining > size_max {
                return Err(Malformed { code: reason::QUOTA_EXCEEDED, what: "a packet has at most 146 KiB" });
            }
            let header = position + 2;
            return Ok(Some(Frame { header, length: header + remaining }));
        }
    }
    if bytes.len() > 4 { Err(malformed("a remaining length has at most four bytes")) } else { Ok(None) }
}

/// Reads one complete packet. `version` is the connection's; none before its CONNECT.
pub(super) fn packet(bytes: &Bytes, frame: Frame, version: Option<Version>) -> Result<Inbound, Malformed> {
    let (kind, flags) = (bytes[0] >> 4, bytes[0] & 0x0f);
    let expected = match kind {
        3 => flags,
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if flags != expected {
        return Err(malformed("the flags of a fixed header are reserved"));
    }
    let mut reader = Reader { frame: bytes, at: frame.header, end: frame.length };
    let Some(version) = version else {
        if kind != 1 {
            return Err(protocol_error("the first packet is no CONNECT"));
        }
        let connect = reader.connect()?;
        reader.finish()?;
        return Ok(Inbound::Connect(Box::new(connect)));
    };
    let packet = match kind {
        1 => return Err(protocol_error("a second CONNECT")),
        3 => Inbound::Publish(reader.publish(flags, version)?),
        4 => Inbound::PubAck { id: reader.acknowledgement(version)? },
        5..=7 => return Ok(Inbound::Unsupported("packets of QoS 2")),
        8 => Inbound::Subscribe(reader.subscribe(version)?),
        10 => Inbound::Unsubscribe(reader.unsubscribe(version)?),
        12 => Inbound::PingReq,
        14 => reader.disconnect(version)?,
        15 if version == Version::V5 => return Ok(Inbound::Unsupported("AUTH")),
        _ => return Err(protocol_error("a packet that no client sends")),
    };
    reader.finish()?;
    Ok(packet)
}

/// Identifiers of properties.
mod id {
    pub(super) const PAYLOAD_FORMAT: u8 = 1;
    pub(super) const MESSAGE_EXPIRY: u8 = 2;
    pub(super) const CONTENT_TYPE: u8 = 3;
    pub(super) const RESPONSE_TOPIC: u8 = 8;
    pub(super) const CORRELATION_DATA: u8 = 9;
    pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 11;
    pub(super) const SESSION_EXPIRY: u8 = 17;
    pub(super) const AUTHENTICATION_METHOD: u8 = 21;
    pub(super) const AUTHENTICATION_DATA: u8 = 22;
    pub(super) const REQUEST_PROBLEM: u8 = 23;
    pub(super) const WILL_DELAY: u8 = 24;
    pub(super) const REQUEST_RESPONSE: u8 = 25;
    pub(super) const SERVER_REFERENCE: u8 = 28;
    pub(super) const REASON: u8 = 31;
    pub(super) const RECEIVE_MAX: u8 = 33;
    pub(super) const ALIAS_MAX: u8 = 34;
    pub(super) const ALIAS: u8 = 35;
    pub(super) const USER: u8 = 38;
    pub(super) const PACKET_MAX: u8 = 39;
}

/// A value of a property.
enum Value<'f> {
    Number(u32),
    Text(&'f str),
    Data(Bytes),
    Pair(&'f str, &'f str),
}

impl<'f> Value<'f> {
    fn number(&self) -> u32 {
        if let Value::Number(number) = self { *number } else { 0 }
    }

    fn text(&self) -> &'f str {
        if let Value::Text(text) = self { text } else { "" }
    }
}

struct Reader<'f> {
    frame: &'f Bytes,
    at: usize,
    end: usize,
}

impl<'f> Reader<'f> {
    fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    fn finish(&self) -> Result<(), Malformed> {
        if self.is_at_end() { Ok(()) } else { Err(malformed("a packet is longer than what it holds")) }
    }

    fn take(&mut self, length: usize) -> Result<&'f [u8], Malformed> {
        if length > self.end - self.at {
            return Err(malformed("a packet is shorter than what it holds"));
        }
        let taken = &self.frame[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn variable(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for position in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return if byte == 0 && position > 0 {
                    Err(malformed("a number is longer than needed"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(malformed("a number has at most four bytes"))
    }

    fn text(&mut self) -> Result<&'f str, Malformed> {
        let length = usize::from(self.u16()?);
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| malformed("a text is not UTF-8"))?;
        if text.as_bytes().contains(&0) { Err(malformed("a text has a NUL")) } else { Ok(text) }
    }

    fn data(&mut self) -> Result<Bytes, Malformed> {
        let length = usize::from(self.u16()?);
        let start = self.at;
        self.take(length)?;
        Ok(self.frame.slice(start..self.at))
    }

    fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(protocol_error("a packet id is 0")),
            id => Ok(id),
        }
    }

    /// Reads properties; `each` takes one, or says that the packet does not have it.
    fn properties(&mut self, mut each: impl FnMut(u8, Value<'f>) -> Result<bool, Malformed>) -> Result<(), Malformed> {
        let length = self.variable()? as usize;
        if length > self.end - self.at {
            return Err(malformed("properties are longer than their packet"));
        }
        let mut part = Reader { frame: self.frame, at: self.at, end: self.at + length };
        let mut seen = 0_u64;
        while !part.is_at_end() {
            let id = part.u8()?;
            let value = part.value(id)?;
            if id != id::USER {
                if seen & (1 << id) != 0 {
                    return Err(protocol_error("a property is there twice"));
                }
                seen |= 1 << id;
            }
            if !each(id, value)? {
                return Err(protocol_error("a property does not belong to its packet"));
            }
        }
        self.at = part.end;
        Ok(())
    }

    fn value(&mut self, id: u8) -> Result<Value<'f>, Malformed> {
        let value = match id {
            id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM | id::REQUEST_RESPONSE => match self.u8()? {
                flag @ 0..=1 => Value::Number(u32::from(flag)),
                _ => return Err(protocol_error("a property is neither 0 nor 1")),
            },
            id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY => Value::Number(self.u32()?),
            id::PACKET_MAX => match self.u32()? {
                0 => return Err(protocol_error("the Maximum Packet Size is 0")),
                size => Value::Number(size),
            },
            id::RECEIVE_MAX => match self.u16()? {
                0 => return Err(protocol_error("the Receive Maximum is 0")),
                count => Value::Number(u32::from(count)),
            },
            id::ALIAS_MAX | id::ALIAS => Value::Number(u32::from(self.u16()?)),
            id::SUBSCRIPTION_IDENTIFIER => match self.variable()? {
                0 => return Err(protocol_error("a Subscription Identifier is 0")),
                identifier => Value::Number(identifier),
            },
            id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::AUTHENTICATION_METHOD | id::SERVER_REFERENCE | id::REASON => {
                Value::Text(self.text()?)
            }
            id::CORRELATION_DATA | id::AUTHENTICATION_DATA => Value::Data(self.data()?),
            id::USER => Value::Pair(self.text()?, self.text()?),
            _ => return Err(malformed("a property is unknown")),
        };
        Ok(value)
    }

    /// Properties that none of our answers depends on.
    fn plain_properties(&mut self, known: &[u8]) -> Result<(), Malformed> {
        self.properties(|id, _| Ok(id == id::USER || known.contains(&id)))
    }

    fn connect(&mut self) -> Result<Connect, Malformed> {
        let (name, level) = (self.text()?, self.u8()?);
        let version = match (name, level) {
            ("MQTT", 4) => Version::V3,
            ("MQTT", 5) => Version::V5,
            ("MQTT" | "MQIsdp", _) => {
                let what = "the protocol level is neither 4 (MQTT 3.1.1) nor 5";
                return Err(Malformed { code: reason::UNSUPPORTED_VERSION, what });
            }
            _ => return Err(malformed("the protocol is not MQTT")),
        };
        let flags = self.u8()?;
        let (has_user, has_password, has_will) = (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x04 != 0);
        let (will_retain, will_qos) = (flags & 0x20 != 0, (flags >> 3) & 3);
        if flags & 1 != 0 || will_qos == 3 || (!has_will && (will_retain || will_qos != 0)) {
            return Err(malformed("the flags of a CONNECT contradict each other"));
        }
        if has_password && !has_user && version == Version::V3 {
            return Err(malformed("a CONNECT of MQTT 3.1.1 has a password and no user name"));
        }
        let keep_alive_s = self.u16()?;
        let mut connect = Connect {
            version,
            clean: flags & 2 != 0,
            keep_alive_s,
            client_id: "".into(),
            will: None,
            expiry_s: 0,
            receive_max: None,
            packet_max: None,
            extended_authentication: false,
        };
        if version == Version::V5 {
            self.connect_properties(&mut connect)?;
        }
        connect.client_id = self.text()?.into();
        if has_will {
            connect.will = Some(self.will(version, will_qos, will_retain)?);
        }
        // AWS reads neither for a client with a certificate.
        if has_user {
            self.text()?;
        }
        if has_password {
            self.data()?;
        }
        Ok(connect)
    }

    fn connect_properties(&mut self, connect: &mut Connect) -> Result<(), Malformed> {
        let (mut method, mut data) = (false, false);
        self.properties(|id, value| {
            match id {
                id::SESSION_EXPIRY => connect.expiry_s = value.number(),
                id::RECEIVE_MAX => connect.receive_max = u16::try_from(value.number()).ok(),
                id::PACKET_MAX => connect.packet_max = Some(value.number()),
                id::AUTHENTICATION_METHOD => method = true,
                id::AUTHENTICATION_DATA => data = true,
                id::ALIAS_MAX | id::REQUEST_RESPONSE | id::REQUEST_PROBLEM | id::USER => {}
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        connect.extended_authentication = method;
        if data && !method { Err(protocol_error("Authentication Data without a method")) } else { Ok(()) }
    }

    fn will(&mut self, version: Version, qos: u8, retain: bool) -> Result<Will, Malformed> {
        let (mut delay_s, mut properties) = (0, None);
        if version == Version::V5 {
            let mut gathered = Gathered::default();
            self.properties(|id, value| {
                if id == id::WILL_DELAY {
                    delay_s = value.number();
                    return Ok(true);
                }
                gathered.add(id, value)
            })?;
            properties = gathered.finish();
        }
        let (topic, payload) = (self.text()?.into(), self.data()?);
        Ok(Will { topic, payload, qos, retain, delay_s, properties })
    }

    fn publish(&mut self, flags: u8, version: Version) -> Result<Publish, Malformed> {
        let (qos, retain) = ((flags >> 1) & 3, flags & 1 != 0);
        if qos == 3 || (qos == 0 && flags & 8 != 0) {
            return Err(malformed("the flags of a PUBLISH contradict each other"));
        }
        let topic: Arc<str> = self.text()?.into();
        let id = if qos == 0 { 0 } else { self.packet_id()? };
        let (mut alias, mut properties) = (None, None);
        if version == Version::V5 {
            let mut gathered = Gathered::default();
            self.properties(|id, value| {
                if id == id::ALIAS {
                    alias = u16::try_from(value.number()).ok();
                    return Ok(true);
                }
                gathered.add(id, value)
            })?;
            properties = gathered.finish();
        }
        let payload = self.frame.slice(self.at..self.end);
        self.at = self.end;
        Ok(Publish { topic, alias, qos, retain, id, payload, properties })
    }

    fn acknowledgement(&mut self, version: Version) -> Result<u16, Malformed> {
        let id = self.packet_id()?;
        if version == Version::V5 && !self.is_at_end() {
            // A refusal of the client takes the message from the window like an acknowledgement.
            self.u8()?;
            if !self.is_at_end() {
                self.plain_properties(&[id::REASON])?;
            }
        }
        Ok(id)
    }

    fn subscribe(&mut self, version: Version) -> Result<Subscribe, Malformed> {
        let id = self.packet_id()?;
        let mut has_identifier = false;
        if version == Version::V5 {
            self.properties(|id, _| {
                has_identifier |= id == id::SUBSCRIPTION_IDENTIFIER;
                Ok(matches!(id, id::SUBSCRIPTION_IDENTIFIER | id::USER))
            })?;
        }
        let mut filters = Vec::new();
        while !self.is_at_end() {
            let (filter, options) = (self.text()?.into(), self.u8()?);
            let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
            let (qos, retain_handling) = (options & 3, (options >> 4) & 3);
            if options & reserved != 0 || qos == 3 || retain_handling == 3 {
                return Err(malformed("the options of a subscription are reserved"));
            }
            let (no_local, as_published) = (options & 4 != 0, options & 8 != 0);
            filters.push(Requested { filter, qos, no_local, as_published, retain_handling });
        }
        if filters.is_empty() {
            return Err(protocol_error("a SUBSCRIBE has no filter"));
        }
        Ok(Subscribe { id, filters, has_identifier })
    }

    fn unsubscribe(&mut self, version: Version) -> Result<Unsubscribe, Malformed> {
        let id = self.packet_id()?;
        if version == Version::V5 {
            self.plain_properties(&[])?;
        }
        let mut filters = Vec::new();
        while !self.is_at_end() {
            filters.push(self.text()?.into());
        }
        if filters.is_empty() {
            return Err(protocol_error("an UNSUBSCRIBE has no filter"));
        }
        Ok(Unsubscribe { id, filters })
    }

    fn disconnect(&mut self, version: Version) -> Result<Inbound, Malformed> {
        let (mut code, mut expiry_s) = (reason::SUCCESS, None);
        if version == Version::V5 && !self.is_at_end() {
            code = self.u8()?;
            if !self.is_at_end() {
                self.properties(|id, value| {
                    if id == id::SESSION_EXPIRY {
                        expiry_s = Some(value.number());
                    }
                    Ok(matches!(id, id::SESSION_EXPIRY | id::REASON | id::USER))
                })?;
            }
        }
        Ok(Inbound::Disconnect { code, expiry_s })
    }
}

/// Properties of a message while they are read.
#[derive(Default)]
struct Gathered(Option<Properties>);

impl Gathered {
    fn add(&mut self, id: u8, value: Value<'_>) -> Result<bool, Malformed> {
        let properties = self.0.get_or_insert_default();
        match (id, value) {
            (id::PAYLOAD_FORMAT, value) => properties.is_utf8 = value.number() == 1,
            (id::MESSAGE_EXPIRY, value) => properties.expiry_s = Some(value.number()),
            (id::CONTENT_TYPE, value) => properties.content_type = Some(value.text().into()),
            (id::RESPONSE_TOPIC, value) => {
                let topic = value.text();
                if topic.contains(['+', '#']) {
                    return Err(protocol_error("a Response Topic has no wildcards"));
                }
                properties.response_topic = Some(topic.into());
            }
            (id::CORRELATION_DATA, Value::Data(data)) => {
                // What is kept may not keep the buffer of the connection.
                properties.correlation_data = Some(Bytes::copy_from_slice(&data));
            }
            (id::USER, Value::Pair(key, value)) => properties.user.push((key.into(), value.into())),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Option<Arc<Properties>> {
        self.0.map(Arc::new)
    }
}
