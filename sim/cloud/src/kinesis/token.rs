//! Shard iterators and the tokens of listings: opaque texts that come back unchanged, or are refused.
//!
//! An iterator has the length that AWS gives it for the stream's name and begins as AWS's do (kinesalite,
//! `db/index.js`); what it says inside is this simulator's own, with a check value over all of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use world::time::Time;

const VERSION: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const CHECK_SEED: u64 = 0x6b69_6e65_7369_7300;
const CHECK_BYTES: usize = 16;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ShardIterator.
    Iterator = 1,
    /// NextToken of ListShards.
    Shards = 2,
    /// NextToken of ListStreams.
    Streams = 3,
    /// NextToken of ListStreamConsumers.
    Consumers = 4,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is for.
    pub kind: Kind,
    /// When it was given out.
    pub issued: Time,
    /// Name of the stream; of the last stream listed for [`Kind::Streams`], of the last consumer for [`Kind::Consumers`].
    pub stream: String,
    /// When that stream was created: another stream of the same name does not take the token.
    pub stream_created: Time,
    /// Index of the shard; of the next one to list for [`Kind::Shards`].
    pub shard: u32,
    /// Offset to read on from.
    pub offset: u64,
}

impl Token {
    /// The text to give out: at most 376 characters.
    pub fn encode(&self) -> String {
        let length = 152 + (self.stream.len() + 2) / 16 * 16;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&VERSION);
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.issued.unix_micros().to_be_bytes());
        bytes.extend_from_slice(&self.stream_created.unix_micros().to_be_bytes());
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.push(u8::try_from(self.stream.len()).expect("a stream's name has at most 128 characters"));
        bytes.extend_from_slice(self.stream.as_bytes());
        bytes.resize(length - CHECK_BYTES, 0);
        let check = xxh3_128_with_seed(&bytes, CHECK_SEED);
        mask(&mut bytes[VERSION.len()..], check);
        bytes.extend_from_slice(&check.to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// Reads a token of one kind; `None` for a text that was not given out as such.
    pub fn decode(text: &str, kind: Kind) -> Option<Token> {
        let mut bytes = STANDARD.decode(text).ok()?;
        let body = bytes.len().checked_sub(CHECK_BYTES)?;
        let check = u128::from_be_bytes(bytes[body..].try_into().ok()?);
        bytes.truncate(body);
        mask(bytes.get_mut(VERSION.len()..)?, check);
        if xxh3_128_with_seed(&bytes, CHECK_SEED) != check || bytes[..VERSION.len()] != VERSION {
            return None;
        }
        let mut rest = &bytes[VERSION.len()..];
        if take::<1>(&mut rest)? != [kind as u8] {
            return None;
        }
        let issued = Time::from_unix_micros(u64::from_be_bytes(take(&mut rest)?));
        let stream_created = Time::from_unix_micros(u64::from_be_bytes(take(&mut rest)?));
        let shard = u32::from_be_bytes(take(&mut rest)?);
        let offset = u64::from_be_bytes(take(&mut rest)?);
        let [length] = take(&mut rest)?;
        let stream = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?.to_owned();
        Some(Token { kind, issued, stream, stream_created, shard, offset })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Hides the bytes, or shows them again, under a stream of bytes that follows from the check value.
fn mask(bytes: &mut [u8], check: u128) {
    for (index, chunk) in bytes.chunks_mut(8).enumerate() {
        let pad = xxh3_64_with_seed(&check.to_be_bytes(), index as u64).to_be_bytes();
        chunk.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> impl Strategy<Value = Token> {
        let fields = (any::<u64>(), "[a-zA-Z0-9_.-]{1,128}", any::<u64>(), any::<u32>(), any::<u64>());
        fields.prop_map(|(issued, stream, created, shard, offset)| Token {
            kind: Kind::Iterator,
            issued: Time::from_unix_micros(issued),
            stream,
            stream_created: Time::from_unix_micros(created),
            shard,
            offset,
        })
    }

    #[test]
    fn an_iterator_looks_like_one_of_aws() {
        let (created, stream) = (Time::from_unix_secs(5), "readings".to_owned());
        let token =
            Token { kind: Kind::Iterator, issued: created, stream, stream_created: created, shard: 0, offset: 0 };
        let text = token.encode();
        assert!(text.starts_with("AAAAAAAAAA"), "{text}");
        assert_eq!(text.len(), 204);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_token_comes_back_and_fits_512_characters(token in token()) {
            let text = token.encode();
            prop_assert!(text.len() <= 512);
            prop_assert_eq!(Token::decode(&text, Kind::Shards), None);
            prop_assert_eq!(Token::decode(&text, Kind::Iterator), Some(token));
        }

        #[test]
        fn a_changed_token_is_refused(token in token(), at: prop::sample::Index, with in "[A-Za-z0-9+/=]") {
            let text = token.encode();
            let at = at.index(text.len());
            let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            prop_assume!(changed != text);
            prop_assert_eq!(Token::decode(&changed, Kind::Iterator), None);
            prop_assert_eq!(Token::decode(&text[..at], Kind::Iterator), None);
        }
    }
}
