//! States of versions 2 and 3: numbers of fixed length, sequence numbers as digits, detectors of 53 bytes.
//!
//! Those detectors were of another algorithm: they begin anew. What tells readings that come again is kept, and so is
//! who was asked for something.

use super::asked::AskedDevices;
use super::sequence::Sequence;
use super::state::{Device, Shard};

/// First bytes of version 2.
const MAGIC: &[u8; 5] = b"ANOM\x02";
/// First bytes of version 3: devices that were asked for something follow at the end.
const MAGIC_WITH_ASKED: &[u8; 5] = b"ANOM\x03";
/// Bytes of a detector.
const DETECTOR_BYTES: usize = 53;

/// Whether the bytes begin as one of these versions does.
pub(super) fn is_known(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_WITH_ASKED)
}

/// The state; nothing when it is damaged.
pub(super) fn shard(bytes: &[u8]) -> Option<Shard> {
    let (magic, rest) = bytes.split_first_chunk::<5>()?;
    let mut cursor = Cursor(rest);
    let (highest, newest_ms, swept_ms) = (cursor.sequence()?, cursor.number()?, cursor.number()?);
    let mut shard = Shard { highest, newest_ms, swept_ms, ..Shard::default() };
    for _ in 0..cursor.count()? {
        let key = cursor.text()?.into();
        let (applied, seq) = (cursor.sequence()?, cursor.number()?.cast_unsigned());
        let device = Device { applied, seq, arrived_ms: cursor.number()?, ..Device::default() };
        for _ in 0..cursor.count()? {
            cursor.text()?;
            cursor.array::<DETECTOR_BYTES>()?;
        }
        shard.devices.insert(key, device);
    }
    if magic == MAGIC_WITH_ASKED {
        shard.asked = AskedDevices::take_old(&mut cursor)?;
    }
    cursor.0.is_empty().then_some(shard)
}

/// Bytes that are read from the front.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Bytes whose number is known.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// Eight bytes.
    pub fn number(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Four bytes.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    /// A text after its length.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// A sequence number as digits; none was written as no digits.
    fn sequence(&mut self) -> Option<Sequence> {
        match self.text()? {
            "" => Some(Sequence::default()),
            digits => Sequence::parse(digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::Work;
    use super::*;

    fn put_text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }

    /// What the version wrote of a shard with one device that has one series.
    fn written(version: u8) -> Vec<u8> {
        let mut bytes = vec![b'A', b'N', b'O', b'M', version];
        put_text(&mut bytes, "1002");
        bytes.extend_from_slice(&1_772_323_200_000_i64.to_le_bytes());
        bytes.extend_from_slice(&0_i64.to_le_bytes());
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        put_text(&mut bytes, "acme#a");
        put_text(&mut bytes, "1001");
        bytes.extend_from_slice(&7_u64.to_le_bytes());
        bytes.extend_from_slice(&1_772_323_100_000_i64.to_le_bytes());
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        put_text(&mut bytes, "temp");
        bytes.extend_from_slice(&[9; DETECTOR_BYTES]);
        if version == 3 {
            bytes.extend_from_slice(&2_u32.to_le_bytes());
            for (key, inherited) in [("acme#a", 0), ("acme#b", 1)] {
                put_text(&mut bytes, key);
                bytes.extend_from_slice(&[2, inherited, 0]);
                bytes.extend_from_slice(&5_i64.to_le_bytes());
                bytes.extend_from_slice(&0_i64.to_le_bytes());
                bytes.extend_from_slice(&250_u64.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn of_a_state_before_everything_is_kept_but_the_detectors() {
        for version in [2, 3] {
            let bytes = written(version);
            let shard = Shard::from_bytes(&bytes).expect("it is whole");
            assert_eq!((shard.highest, shard.newest_ms), (Sequence::parse("1002").unwrap(), 1_772_323_200_000));
            let device = &shard.devices["acme#a"];
            assert_eq!((device.applied, device.seq), (Sequence::parse("1001").unwrap(), 7));
            assert_eq!((device.arrived_ms, device.series.len(), shard.series), (1_772_323_100_000, 0, 0));
            let due = shard.asked.due(i64::MAX / 2, 1);
            let asked = [("acme#a".into(), Work::Withdraw { interval_ms: 250 })];
            assert_eq!(due, if version == 3 { asked.to_vec() } else { Vec::new() });
            for length in 5..bytes.len() {
                assert!(Shard::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
            }
            assert!(Shard::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
        }
    }
}
