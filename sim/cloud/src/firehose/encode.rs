//! Objects of concatenated records, compressed or not.

use std::io::{Cursor, Write as _};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::buffer::Batch;
use super::config::Encoding;

/// The compressor is handed blocks of at least this size: small writes cost more than the compression.
const BLOCK_BYTES: usize = 64 << 10;
/// A block of snappy-java before compression: its default.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;
/// A block of Hadoop before compression: its default buffer.
const HADOOP_BLOCK_BYTES: usize = 256 << 10;
/// What a stream of snappy-java begins with: the magic, the version and the oldest version that can read it.
const SNAPPY_HEADER: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The name of the file in a ZIP archive. AWS's is unverified.
const ZIP_ENTRY: &str = "records";

const IN_MEMORY: &str = "writing to memory does not fail";

/// The object of a batch: its records one after the other, each followed by `delimiter`.
pub(super) fn body(encoding: &Encoding, batch: &Batch, delimiter: &[u8]) -> Bytes {
    match encoding {
        Encoding::Gzip => gzip(batch, delimiter),
        Encoding::Zip => zip(&plain(batch, delimiter)),
        Encoding::Snappy => snappy(&plain(batch, delimiter)),
        Encoding::HadoopSnappy => hadoop_snappy(&plain(batch, delimiter)),
        Encoding::Plain | Encoding::Parquet(_) => plain(batch, delimiter).into(),
    }
}

fn plain(batch: &Batch, delimiter: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.bytes);
    for entry in &batch.entries {
        body.extend_from_slice(&entry.data);
        body.extend_from_slice(delimiter);
    }
    body
}

/// One gzip member without name and time, so that equal records give equal bytes. AWS's level is not published; ours is
/// the fastest.
fn gzip(batch: &Batch, delimiter: &[u8]) -> Bytes {
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

/// An archive of one file without a time.
fn zip(plain: &[u8]) -> Bytes {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_level(Some(1)).large_file(false);
    archive.start_file(ZIP_ENTRY, options).expect(IN_MEMORY);
    archive.write_all(plain).expect(IN_MEMORY);
    archive.finish().expect(IN_MEMORY).into_inner().into()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a buffer holds less than 4 GiB").to_be_bytes()
}

fn compressed(block: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(block).expect("a block is small enough to be compressed")
}

/// Blocks, each after its compressed length, behind the header of snappy-java.
fn snappy(plain: &[u8]) -> Bytes {
    let mut out = SNAPPY_HEADER.to_vec();
    for block in plain.chunks(SNAPPY_BLOCK_BYTES) {
        let block = compressed(block);
        out.extend_from_slice(&length(&block));
        out.extend_from_slice(&block);
    }
    out.into()
}

/// Blocks, each after its plain and its compressed length.
fn hadoop_snappy(plain: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(plain.len() / 2);
    for block in plain.chunks(HADOOP_BLOCK_BYTES) {
        out.extend_from_slice(&length(block));
        let block = compressed(block);
        out.extend_from_slice(&length(&block));
        out.extend_from_slice(&block);
    }
    out.into()
}
