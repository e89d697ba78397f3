//! Bugs of what passes between devices and the broker. Bytes are replaced by as many others, so that packets stay whole.

use std::borrow::Cow;
use std::sync::Arc;

use crate::run::Harness;
use crate::seam::WireTamper;

fn planted(wire: impl WireTamper + 'static) -> Harness {
    Harness { wire: Some(Arc::new(wire)), ..Harness::default() }
}

/// Where `part` begins in `bytes`.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Name and level of MQTT 3.1.1 in a CONNECT; its flags follow (MQTT 3.1.1, 3.1.2).
const CONNECT: &[u8] = b"\0\x04MQTT\x04";
/// The flag that asks for a clean session.
const CLEAN_SESSION: u8 = 0x02;

struct AllClean;

impl WireTamper for AllClean {
    fn to_broker<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let is_connect = bytes.first().is_some_and(|first| first >> 4 == 1);
        let Some(at) = find(bytes, CONNECT).filter(|_| is_connect) else { return Cow::Borrowed(bytes) };
        let mut bytes = bytes.to_vec();
        if let Some(flags) = bytes.get_mut(at + CONNECT.len()) {
            *flags |= CLEAN_SESSION;
        }
        Cow::Owned(bytes)
    }
}

pub(super) fn sessions_forgotten() -> Harness {
    planted(AllClean)
}

/// Replaces a text in what devices hear by another one of its length.
struct Misheard {
    /// What a packet must hold to be changed.
    about: &'static [u8],
    from: &'static [u8],
    to: &'static [u8],
}

impl WireTamper for Misheard {
    fn to_device<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        debug_assert_eq!(self.from.len(), self.to.len());
        if find(bytes, self.about).is_none() || find(bytes, self.from).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = bytes.to_vec();
        while let Some(at) = find(&bytes, self.from) {
            bytes[at..at + self.to.len()].copy_from_slice(self.to);
        }
        Cow::Owned(bytes)
    }
}

pub(super) fn desired_firmware_unheard() -> Harness {
    planted(Misheard { about: b"/shadow/", from: b"\"firmware\":", to: b"\"firm.are\":" })
}

/// Lowers the last digit of each command's number that ends with an odd one.
struct OneBefore;

impl WireTamper for OneBefore {
    fn to_device<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let (begin, end) = (b"{\"id\":", b",\"command\"");
        let digit = find(bytes, begin).and_then(|at| Some(at + find(&bytes[at..], end)? - 1));
        let Some(at) = digit.filter(|at| matches!(bytes[*at], b'3' | b'5' | b'7' | b'9')) else {
            return Cow::Borrowed(bytes);
        };
        let mut bytes = bytes.to_vec();
        bytes[at] -= 1;
        Cow::Owned(bytes)
    }
}

pub(super) fn commands_to_the_neighbour() -> Harness {
    planted(OneBefore)
}
