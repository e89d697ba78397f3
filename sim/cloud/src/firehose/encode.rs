//! Objects of concatenated records, with or without gzip.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};

use super::buffer::Batch;

/// The compressor is handed blocks of at least this size: small writes cost more than the compression.
const BLOCK_BYTES: usize = 64 << 10;

/// Records one after the other, each followed by `delimiter`.
pub(super) fn plain(batch: &Batch, delimiter: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(batch.bytes);
    for entry in &batch.entries {
        body.extend_from_slice(&entry.data);
        body.extend_from_slice(delimiter);
    }
    body.into()
}

/// The same as one gzip member without name and time, so that equal records give equal bytes. AWS's level is not
/// published; ours is the fastest.
pub(super) fn gzip(batch: &Batch, delimiter: &[u8]) -> Bytes {
    const IN_MEMORY: &str = "writing to memory does not fail";
    let mut encoder = GzBuilder::new().write(Vec::with_capacity(batch.bytes / 4), Compression::fast());
    let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
    for entry in &batch.entries {
        block.extend_from_slice(&entry.data);
        block.extend_from_slice(delimiter);
        if block.len() >= BLOCK_BYTES {
            encoder.write_all(&block).expect(IN_MEMORY);
            block.clear();
        }
    }
    encoder.write_all(&block).expect(IN_MEMORY);
    encoder.finish().expect(IN_MEMORY).into()
}
