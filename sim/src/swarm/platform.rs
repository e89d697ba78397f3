//! Draws the platform's configuration, within what its settings allow and a small fleet can bear.

use rand::RngExt as _;
use toml_edit::{Table, Value};

use super::lots::{chance, one_of};
use crate::scenario::Swarm;
use crate::world::seed::{Rng, Seed};

/// A reader's largest batch that needs no window (`platform/src/settings/data_path.rs`).
const WITHOUT_WINDOW_MAX: i64 = 10;

/// Settings that are drawn one by one: the table, the key, and the values.
const SETTINGS: &[(&str, &str, &[i64])] = &[
    ("", "raw_shards", &[1, 2, 3, 4, 6]),
    ("", "enriched_shards", &[1, 2, 3, 4, 6]),
    ("", "stream_retention_hours", &[24, 25, 48, 168]),
    ("raw_delivery", "buffer_interval_s", &[0, 1, 30, 60, 120, 300]),
    ("raw_delivery", "buffer_size_mib", &[1, 5, 64, 128]),
    // S3 tells whole seconds: with a buffer of 1 s, two files of one second have no order that a reader could see.
    ("processed_delivery", "buffer_interval_s", &[3, 5, 15, 30, 60, 90, 120]),
    ("processed_delivery", "buffer_size_mib", &[64, 100, 128]),
    ("enrichment", "memory_mib", &[128, 256, 512, 1_024, 3_008]),
    ("enrichment", "timeout_s", &[10, 20, 60, 120]),
    ("anomaly_detection", "memory_mib", &[256, 512, 1_024, 3_008]),
    ("anomaly_detection", "timeout_s", &[20, 30, 60, 120]),
];

/// Streams that may be on demand.
const STREAMS: [&str; 2] = ["raw", "enriched"];

/// Functions that read a stream, whose batches are drawn together with their windows.
const READERS: [&str; 2] = ["enrichment", "anomaly_detection"];
/// Most records of a batch.
const BATCH_SIZE: [i64; 8] = [2, 5, 10, 25, 100, 500, 1_000, 10_000];
/// How long a batch gathers, in seconds.
const BATCH_WINDOW_S: [i64; 6] = [0, 1, 2, 5, 10, 20];

/// The table `[platform]`, and the settings in it. `given` keeps what the swarm's file says itself.
pub(super) fn draw(swarm: &Swarm, seed: Seed, given: &mut Table) {
    for stream in STREAMS {
        let rng = &mut seed.child(stream).child("mode").rng();
        let (mode, shards) = (format!("{stream}_stream_mode"), format!("{stream}_shards"));
        if chance(rng, 0.3) && !chance(rng, swarm.setting_off.get()) && !given.contains_key(&shards) {
            given.entry(&mode).or_insert(toml_edit::value("on-demand"));
        }
    }
    for (table, key, values) in SETTINGS {
        let rng = &mut seed.child(table).child(key).rng();
        if !chance(rng, swarm.setting_off.get()) && !is_of_a_stream_on_demand(given, key) {
            set(given, table, key, one_of(rng, values));
        }
    }
    for reader in READERS {
        let rng = &mut seed.child(reader).child("batch").rng();
        if !chance(rng, swarm.setting_off.get()) {
            let (size, window) = batch(rng);
            if !has(given, reader, "batch_size") && !has(given, reader, "batch_window_s") {
                set(given, reader, "batch_size", size);
                set(given, reader, "batch_window_s", window);
            }
        }
        let rng = &mut seed.child(reader).child("reserved").rng();
        // Shards share what is set aside; one is enough to come forward.
        if chance(rng, 0.2) && !chance(rng, swarm.setting_off.get()) {
            set(given, reader, "reserved_concurrency", rng.random_range(1..=4));
        }
    }
}

fn batch(rng: &mut Rng) -> (i64, i64) {
    let size = one_of(rng, &BATCH_SIZE);
    let window = one_of(rng, &BATCH_WINDOW_S);
    (size, if size > WITHOUT_WINDOW_MAX { window.max(1) } else { window })
}

/// Whether a key counts the shards of a stream that AWS scales: it has no such setting.
fn is_of_a_stream_on_demand(platform: &Table, key: &str) -> bool {
    let mode = key.strip_suffix("_shards").and_then(|stream| platform.get(&format!("{stream}_stream_mode")));
    mode.and_then(|mode| mode.as_str()) == Some("on-demand")
}

fn has(platform: &Table, table: &str, key: &str) -> bool {
    platform.get(table).and_then(|table| table.as_table_like()).is_some_and(|table| table.contains_key(key))
}

/// Sets what is not there yet.
fn set(platform: &mut Table, table: &str, key: &str, number: i64) {
    if table.is_empty() {
        platform.entry(key).or_insert(toml_edit::value(number));
        return;
    }
    let inner = platform.entry(table).or_insert(toml_edit::table());
    if let Some(inner) = inner.as_table_like_mut() {
        inner.entry(key).or_insert(toml_edit::Item::Value(Value::from(number)));
    }
}
