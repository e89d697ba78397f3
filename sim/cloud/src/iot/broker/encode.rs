//! Writing of packets at the protocol level of their connection.

use bytes::{BufMut as _, BytesMut};

use super::packet::{Accepted, Delivery, Outbound, Version};
use crate::iot::message::Properties;

/// Appends a packet.
pub(super) fn packet(packet: &Outbound<'_>, version: Version, out: &mut BytesMut) {
    let is_v5 = version == Version::V5;
    match packet {
        Outbound::ConnAck { session_present, code, accepted } => {
            let mut properties = Vec::new();
            if let Some(accepted) = accepted.filter(|_| is_v5) {
                announce(accepted, &mut properties);
            }
            fixed(out, 0x20, 2 + if is_v5 { with_length(properties.len()) } else { 0 });
            out.put_slice(&[u8::from(*session_present), *code]);
            if is_v5 {
                put_with_length(out, &properties);
            }
        }
        Outbound::Publish(delivery) => publish(delivery, is_v5, out),
        Outbound::PubAck { id, code } => {
            // Success needs no code.
            let has_code = is_v5 && *code != 0;
            fixed(out, 0x40, 2 + usize::from(has_code));
            out.put_u16(*id);
            if has_code {
                out.put_u8(*code);
            }
        }
        Outbound::SubAck { id, codes } => acknowledge(out, 0x90, *id, codes, is_v5),
        Outbound::UnsubAck { id, codes } => acknowledge(out, 0xB0, *id, if is_v5 { codes } else { &[] }, is_v5),
        Outbound::PingResp => fixed(out, 0xD0, 0),
        Outbound::Disconnect { code } => {
            if is_v5 {
                // With an empty length of properties: readers that expect one after the code find it.
                fixed(out, 0xE0, 2);
                out.put_slice(&[*code, 0]);
            }
        }
    }
}

/// Size of a PUBLISH in bytes.
pub(super) fn publish_size(delivery: &Delivery<'_>, version: Version) -> usize {
    let mut size = 2 + delivery.topic.len() + if delivery.id == 0 { 0 } else { 2 } + delivery.payload.len();
    if version == Version::V5 {
        let mut properties = Vec::new();
        describe(delivery, &mut properties);
        size += with_length(properties.len());
    }
    1 + variable_size(size) + size
}

fn publish(delivery: &Delivery<'_>, is_v5: bool, out: &mut BytesMut) {
    let mut size = 2 + delivery.topic.len() + if delivery.id == 0 { 0 } else { 2 } + delivery.payload.len();
    let mut properties = Vec::new();
    if is_v5 {
        describe(delivery, &mut properties);
        size += with_length(properties.len());
    }
    out.reserve(size + 5);
    fixed(out, 0x30 | u8::from(delivery.retain) | if delivery.id == 0 { 0 } else { 2 }, size);
    put_text(out, delivery.topic.as_bytes());
    if delivery.id != 0 {
        out.put_u16(delivery.id);
    }
    if is_v5 {
        put_with_length(out, &properties);
    }
    out.put_slice(delivery.payload);
}

fn acknowledge(out: &mut BytesMut, first: u8, id: u16, codes: &[u8], is_v5: bool) {
    fixed(out, first, 2 + usize::from(is_v5) + codes.len());
    out.put_u16(id);
    if is_v5 {
        out.put_u8(0);
    }
    out.put_slice(codes);
}

/// What AWS announces in a CONNACK. Source: "MQTT 5 supported features" and "MQTT 5 properties" of the IoT Core guide.
fn announce(accepted: &Accepted, out: &mut Vec<u8>) {
    let Accepted { expiry_s, receive_max, packet_max, alias_max, keep_alive_s, assigned_client_id } = accepted;
    out.put_u8(17);
    out.put_u32(*expiry_s);
    out.put_u8(33);
    out.put_u16(*receive_max);
    // Maximum QoS 1, Retain Available.
    out.put_slice(&[36, 1, 37, 1, 39]);
    out.put_u32(*packet_max);
    if let Some(id) = assigned_client_id {
        out.put_u8(18);
        put_text(out, id.as_bytes());
    }
    out.put_u8(34);
    out.put_u16(*alias_max);
    // Wildcard Subscription, no Subscription Identifier, Shared Subscription.
    out.put_slice(&[40, 1, 41, 0, 42, 1, 19]);
    out.put_u16(*keep_alive_s);
}

/// Properties of a message.
fn describe(delivery: &Delivery<'_>, out: &mut Vec<u8>) {
    if let Some(left) = delivery.expiry_s {
        out.put_u8(2);
        out.put_u32(left);
    }
    let Some(Properties { is_utf8, content_type, response_topic, correlation_data, user, expiry_s: _ }) =
        delivery.properties
    else {
        return;
    };
    if *is_utf8 {
        out.put_slice(&[1, 1]);
    }
    if let Some(content_type) = content_type {
        out.put_u8(3);
        put_text(out, content_type.as_bytes());
    }
    if let Some(topic) = response_topic {
        out.put_u8(8);
        put_text(out, topic.as_bytes());
    }
    if let Some(data) = correlation_data {
        out.put_u8(9);
        put_text(out, data);
    }
    for (key, value) in user {
        out.put_u8(38);
        put_text(out, key.as_bytes());
        put_text(out, value.as_bytes());
    }
}

fn fixed(out: &mut BytesMut, first: u8, size: usize) {
    out.put_u8(first);
    put_variable(out, size);
}

fn put_variable(out: &mut impl bytes::BufMut, mut value: usize) {
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

fn variable_size(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

fn with_length(size: usize) -> usize {
    variable_size(size) + size
}

fn put_with_length(out: &mut BytesMut, properties: &[u8]) {
    put_variable(out, properties.len());
    out.put_slice(properties);
}

/// A text or binary data with its length. Whatever comes here was read from such a field or is bounded by a quota below
/// 64 KiB.
fn put_text(out: &mut impl bytes::BufMut, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("texts of MQTT have less than 64 KiB");
    out.put_u16(length);
    out.put_slice(&bytes[..usize::from(length)]);
}
