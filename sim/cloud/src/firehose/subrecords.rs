//! Records of one source record: aggregated by the Kinesis Producer Library, or standing one after the other.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::config::SubRecords;

/// Begins an aggregated record.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// Ends an aggregated record: the MD5 of what stands between.
const DIGEST_BYTES: usize = 16;
/// Most records of one source record that are told apart (guide: "Apply dynamic partitioning to aggregated data"). One
/// that has more is passed on as a whole.
const MOST: usize = 500;

/// A record of an aggregated one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aggregated {
    pub partition_key: Arc<str>,
    pub data: Bytes,
}

/// The records of one that the Kinesis Producer Library has aggregated; nothing when it has not.
pub(super) fn aggregated(record: &Bytes) -> Option<Vec<Aggregated>> {
    let body = record.strip_prefix(&MAGIC)?;
    let (message, digest) = body.split_at_checked(body.len().checked_sub(DIGEST_BYTES)?)?;
    if Md5::digest(message)[..] != *digest {
        return None;
    }
    let (mut keys, mut records) = (Vec::<Arc<str>>::new(), Vec::new());
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Field::Bytes(key)) => keys.push(std::str::from_utf8(key).ok()?.into()),
            (3, Field::Bytes(inner)) => records.push(inner),
            _ => {}
        }
    }
    let read = |inner: &[u8]| {
        let (mut index, mut data) = (None, None);
        let mut fields = Fields(inner);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Field::Number(number)) => index = usize::try_from(number).ok(),
                (3, Field::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        Some(Aggregated { partition_key: keys.get(index?)?.clone(), data: record.slice_ref(data?) })
    };
    records.into_iter().map(read).collect()
}

/// The fields of a message of Protocol Buffers.
struct Fields<'m>(&'m [u8]);

enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

impl<'m> Fields<'m> {
    /// The next field with its number; `Some(None)` at the end, and `None` when it is no message.
    fn next(&mut self) -> Option<Option<(u64, Field<'m>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// The records of a source record. One that has too many, or is not of the form, is its only record.
pub(super) fn split(record: &Bytes, how: &SubRecords) -> Vec<Bytes> {
    let whole = || vec![record.clone()];
    let found = match how {
        SubRecords::Json => json(record),
        SubRecords::Delimited(delimiter) => Some(delimited(record, delimiter)),
    };
    match found {
        Some(found) if (1..=MOST).contains(&found.len()) => found,
        _ => whole(),
    }
}

/// JSON objects with white space or nothing between them.
fn json(record: &Bytes) -> Option<Vec<Bytes>> {
    let mut objects = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(record).into_iter::<&serde_json::value::RawValue>();
    for object in &mut stream {
        let text = object.ok()?.get();
        if !text.starts_with('{') {
            return None;
        }
        objects.push(record.slice_ref(text.as_bytes()));
    }
    Some(objects)
}

/// What stands between delimiters; what is empty is none.
fn delimited(record: &Bytes, delimiter: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = &record[..];
    loop {
        let end = rest.windows(delimiter.len()).position(|window| window == delimiter);
        let (piece, next) = end.map_or((rest, None), |end| (&rest[..end], Some(&rest[end + delimiter.len()..])));
        if !piece.is_empty() {
            pieces.push(record.slice_ref(piece));
        }
        match next {
            Some(next) => rest = next,
            None => return pieces,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
        out.push(number << 3 | 2);
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(bytes);
    }

    /// A record as the Kinesis Producer Library writes it: the first partition key for all.
    pub fn aggregate(records: &[&[u8]]) -> Bytes {
        let mut message = Vec::new();
        field(&mut message, 1, b"key");
        for record in records {
            let mut inner = vec![1 << 3, 0];
            field(&mut inner, 3, record);
            field(&mut message, 3, &inner);
        }
        let digest = Md5::digest(&message);
        [&MAGIC[..], &message, &digest].concat().into()
    }

    #[test]
    fn aggregated_records_are_taken_apart() {
        let long = vec![b'x'; 300];
        let record = aggregate(&[b"one", b"", &long]);
        let found = aggregated(&record).unwrap();
        assert_eq!(found.iter().map(|it| &it.data[..]).collect::<Vec<_>>(), [&b"one"[..], b"", &long]);
        assert!(found.iter().all(|it| &*it.partition_key == "key"));
    }

    #[test]
    fn what_only_looks_aggregated_is_left_alone() {
        let good = aggregate(&[b"one"]);
        let mut bad_digest = good.to_vec();
        *bad_digest.last_mut().unwrap() ^= 1;
        let cut = good[..10].to_vec();
        let mut message = vec![0xFF; 11];
        let digest = Md5::digest(&message);
        message = [&MAGIC[..], &message, &digest].concat();
        for record in [b"plain".to_vec(), bad_digest, cut, MAGIC.to_vec(), message] {
            assert_eq!(aggregated(&record.clone().into()), None, "{record:?}");
        }
    }

    #[test]
    fn sub_records_are_told_apart_or_left_whole() {
        let many = "{}".repeat(501);
        for (how, record, expected) in [
            (SubRecords::Json, r#"{"a":1}{"a":2}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
            (SubRecords::Json, "{\"a\":1}\n{\"a\":\"}{\"}\n", vec![r#"{"a":1}"#, r#"{"a":"}{"}"#]),
            (SubRecords::Json, r#"[{"a":1}]"#, vec![r#"[{"a":1}]"#]),
            (SubRecords::Json, r#"{"a":1} oops"#, vec![r#"{"a":1} oops"#]),
            (SubRecords::Json, "", vec![""]),
            (SubRecords::Json, &many, vec![&many]),
            (SubRecords::Delimited(Bytes::from_static(b"##")), "a##b#c##", vec!["a", "b#c"]),
            (SubRecords::Delimited(Bytes::from_static(b"##")), "##", vec!["##"]),
        ] {
            let found = split(&Bytes::copy_from_slice(record.as_bytes()), &how);
            assert_eq!(found, expected, "{record}");
        }
    }
}
