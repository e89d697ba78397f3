//! The codec against `rumqttc`'s, which knows nothing of it: what one writes the other reads.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::{qos as qos5, v5};

use super::packet::{Accepted, Delivery, Inbound, Malformed, Outbound, Version};
use super::{decode, encode};
use crate::iot::message::Properties;

fn read(bytes: &[u8], version: Option<Version>) -> Result<Inbound, Malformed> {
    let frame = decode::frame(bytes, 150_000)?.expect("a whole packet");
    assert_eq!(frame.length, bytes.len());
    decode::packet(&Bytes::copy_from_slice(bytes), frame, version)
}

fn written(packet: &Outbound<'_>, version: Version) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode::packet(packet, version, &mut bytes);
    bytes
}

fn text() -> impl Strategy<Value = String> {
    "[a-z/\u{e4}\u{20ac}]{1,12}"
}

fn properties() -> impl Strategy<Value = v5::PublishProperties> {
    let numbers = (any::<Option<bool>>(), any::<Option<u32>>(), proptest::option::of(1..9_u16));
    let texts = (proptest::option::of(text()), proptest::option::of(text()));
    let data = (any::<Option<[u8; 5]>>(), proptest::collection::vec((text(), text()), 0..3));
    (numbers, texts, data).prop_map(|((utf8, expiry, alias), (response, kind), (data, user))| v5::PublishProperties {
        payload_format_indicator: utf8.map(u8::from),
        message_expiry_interval: expiry,
        topic_alias: alias,
        response_topic: response,
        correlation_data: data.map(|data| Bytes::copy_from_slice(&data)),
        user_properties: user,
        subscription_identifiers: vec![],
        content_type: kind,
    })
}

/// The form in which the broker keeps properties.
fn kept(p: &v5::PublishProperties) -> Properties {
    Properties {
        is_utf8: p.payload_format_indicator == Some(1),
        content_type: p.content_type.as_deref().map(Into::into),
        response_topic: p.response_topic.as_deref().map(Into::into),
        correlation_data: p.correlation_data.clone(),
        user: p.user_properties.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        expiry_s: p.message_expiry_interval,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn publishes_of_rumqttc_are_read_as_they_were_meant(
        topic in text(), payload in proptest::collection::vec(any::<u8>(), 0..300), qos in 0..3_u8, retain in any::<bool>(),
        id in 1..=u16::MAX, properties in properties(),
    ) {
        let id = if qos == 0 { 0 } else { id };
        let mut bytes = BytesMut::new();
        let packet = v4::Publish::new(&topic, rumqttc::mqttbytes::qos(qos).unwrap(), payload.clone());
        v4::Publish { retain, pkid: id, ..packet }.write(&mut bytes).unwrap();
        let Ok(Inbound::Publish(got)) = read(&bytes, Some(Version::V3)) else { panic!("{bytes:?}") };
        prop_assert_eq!((&*got.topic, got.qos, got.retain, got.id), (&*topic, qos, retain, id));
        prop_assert_eq!(&got.payload[..], &payload[..]);
        let mut bytes = BytesMut::new();
        let expected = kept(&properties);
        let alias = properties.topic_alias;
        let packet = v5::Publish::new(&*topic, qos5(qos).unwrap(), payload.clone(), Some(properties));
        v5::Publish { retain, pkid: id, ..packet }.write(&mut bytes).unwrap();
        let Ok(Inbound::Publish(got)) = read(&bytes, Some(Version::V5)) else { panic!("{bytes:?}") };
        prop_assert_eq!((&*got.topic, got.qos, got.retain, got.id, got.alias), (&*topic, qos, retain, id, alias));
        prop_assert_eq!(got.properties.as_deref().cloned().unwrap_or_default(), expected);
        prop_assert_eq!(&got.payload[..], &payload[..]);
    }

    #[test]
    fn deliveries_are_read_by_rumqttc_as_they_were_meant(
        topic in text(), payload in proptest::collection::vec(any::<u8>(), 0..300), retain in any::<bool>(),
        id in any::<u16>(), properties in properties(), v5 in any::<bool>(),
    ) {
        let described = kept(&properties);
        let delivery = Delivery {
            topic: &topic, payload: &payload, retain, id, properties: Some(&described), expiry_s: described.expiry_s,
        };
        let version = if v5 { Version::V5 } else { Version::V3 };
        let mut bytes = written(&Outbound::Publish(delivery), version);
        prop_assert_eq!(encode::publish_size(&delivery, version), bytes.len());
        if v5 {
            let v5::Packet::Publish(got) = v5::Packet::read(&mut bytes, None).unwrap() else { panic!() };
            prop_assert_eq!((&got.topic[..], got.retain, got.pkid), (topic.as_bytes(), retain, id));
            prop_assert_eq!(&got.payload[..], &payload[..]);
            prop_assert_eq!(kept(&got.properties.unwrap_or_default()), described);
        } else {
            let v4::Packet::Publish(got) = v4::Packet::read(&mut bytes, 200_000).unwrap() else { panic!() };
            prop_assert_eq!((got.topic, got.retain, got.pkid), (topic, retain, id));
            prop_assert_eq!(&got.payload[..], &payload[..]);
        }
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn any_frame_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 2..80), version in 0..3_u8) {
        let version = [None, Some(Version::V3), Some(Version::V5)][usize::from(version)];
        if let Ok(Some(frame)) = decode::frame(&bytes, 150_000)
            && frame.length <= bytes.len()
        {
            let _ = decode::packet(&Bytes::copy_from_slice(&bytes[..frame.length]), frame, version);
        }
    }
}

#[test]
fn answers_are_read_by_rumqttc() {
    let accepted = Accepted {
        expiry_s: 60,
        receive_max: 100,
        packet_max: 149_504,
        alias_max: 8,
        keep_alive_s: 30,
        assigned_client_id: Some("c".into()),
    };
    for packet in [
        Outbound::ConnAck { session_present: true, code: 0, accepted: Some(&accepted) },
        Outbound::ConnAck { session_present: false, code: 0x87, accepted: None },
        Outbound::PubAck { id: 1, code: 0 },
        Outbound::PubAck { id: 1, code: 0x97 },
        Outbound::SubAck { id: 2, codes: &[0, 1, 0x8F] },
        Outbound::UnsubAck { id: 3, codes: &[0, 0x80] },
        Outbound::PingResp,
        Outbound::Disconnect { code: 0x8E },
    ] {
        let mut bytes = written(&packet, Version::V5);
        let read = v5::Packet::read(&mut bytes, None);
        assert!(read.is_ok() && bytes.is_empty(), "{packet:?}: {read:?}");
    }
}

#[test]
fn what_the_standard_allows_is_read() {
    for (what, bytes, version) in [
        ("a goodbye of MQTT 5 without a reason", &b"\xe0\0"[..], Some(Version::V5)),
        ("one with a reason and no properties", b"\xe0\x01\x04", Some(Version::V5)),
        ("a PUBACK with a reason", b"\x40\x03\0\x01\x10", Some(Version::V5)),
        ("a PUBACK with properties", b"\x40\x07\0\x01\0\x03\x1f\0\0", Some(Version::V5)),
        ("a password that is no text", b"\x10\x13\0\x04MQTT\x04\xc2\0\x3c\0\x01a\0\x01u\0\x01\xff", None),
        ("a password without a name, MQTT 5", b"\x10\x11\0\x04MQTT\x05\x42\0\x3c\0\0\x01a\0\x01\xff", None),
        ("user properties of an UNSUBSCRIBE", b"\xa2\x0d\0\x01\x07\x26\0\x01k\0\x01v\0\x01a", Some(Version::V5)),
    ] {
        assert!(read(bytes, version).is_ok(), "{what}: {:?}", read(bytes, version));
    }
}
