//! Messages of `application/vnd.amazon.eventstream`: a prelude of two lengths and their CRC, headers, a payload, and the CRC
//! of all of it. Numbers are big-endian. Source: "Event stream encoding" of the Smithy specification.

use flate2::Crc;

/// Type of a header whose value is a text.
const STRING: u8 = 7;
/// Bytes around headers and payload.
const FRAME_BYTES: usize = 16;

/// What a message is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    /// An event of this type.
    Event(&'a str),
    /// An error of this type. It is the last message.
    Exception(&'a str),
}

/// Writes a message whose payload is JSON.
pub(super) fn encode(message: Message<'_>, payload: &[u8]) -> Vec<u8> {
    let (kind, name, value) = match message {
        Message::Event(event) => ("event", ":event-type", event),
        Message::Exception(exception) => ("exception", ":exception-type", exception),
    };
    let headers = [(":message-type", kind), (name, value), (":content-type", "application/x-amz-json-1.1")];
    let header_bytes: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let total = FRAME_BYTES + header_bytes + payload.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&length(total));
    out.extend_from_slice(&length(header_bytes));
    append_crc(&mut out);
    for (name, value) in headers {
        out.push(u8::try_from(name.len()).expect("names of headers are short"));
        out.extend_from_slice(name.as_bytes());
        out.push(STRING);
        out.extend_from_slice(&u16::try_from(value.len()).expect("values of headers are short").to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    append_crc(&mut out);
    out
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("an event holds at most some MiB").to_be_bytes()
}

fn append_crc(out: &mut Vec<u8>) {
    let mut crc = Crc::new();
    crc.update(out);
    out.extend_from_slice(&crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the AWS SDKs' shared test vectors (`payload_no_headers`): its prelude and its CRCs.
    #[test]
    fn checksums_are_those_of_the_shared_test_vectors() {
        let mut out = [length(29), length(0)].concat();
        append_crc(&mut out);
        assert_eq!(out[8..], 0xfd52_8c5a_u32.to_be_bytes());
        out.extend_from_slice(b"{'foo':'bar'}");
        append_crc(&mut out);
        assert_eq!(out[25..], 0xc365_3936_u32.to_be_bytes());
    }

    #[test]
    fn lengths_count_everything() {
        let message = encode(Message::Event("SubscribeToShardEvent"), b"{}");
        assert_eq!(message[..4], length(message.len()));
        let headers = u32::from_be_bytes(message[4..8].try_into().unwrap()) as usize;
        assert_eq!(&message[12 + headers..14 + headers], b"{}");
    }
}
