//! What a record costs. Run by hand: `cargo test -p sim --lib -- --ignored --nocapture kinesis_costs`.

use super::*;

/// Readings as the platform's rule puts them: about 250 bytes with the fields that vary.
fn reading(number: u64, micros: u64) -> (String, Bytes) {
    let device = number % 10_000;
    let (seq, value) = (number / 10_000, number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let key = format!("tenant-{:02}-pump-{device:05}", device % 20);
    let data = format!(
        "{{\"seq\":{seq},\"ts\":{},\"metrics\":{{\"temperature\":{}.{:03},\"pressure\":{}.{:02},\
         \"vibration\":0.{:04},\"rpm\":{}}},\
         \"site\":\"plant-{}\",\"tenant_id\":\"tenant-{:02}\",\"device_id\":\"{key}\",\"received_at\":{}}}",
        micros / 1_000,
        20 + value % 60,
        value / 64 % 1_000,
        1 + value / 1_024 % 9,
        value / 65_536 % 100,
        value / 131_072 % 10_000,
        1_400 + value / 262_144 % 200,
        device % 7,
        device % 20,
        micros / 1_000 + 35,
    );
    (key, data.into())
}

#[test]
#[ignore = "a measurement with a wall clock"]
#[expect(clippy::disallowed_methods, reason = "it measures wall time")]
fn kinesis_costs() {
    const RECORDS: u64 = 1_000_000;
    let mut account = Account::with_stream(4);
    let start = account.now.unix_micros();
    let records: Vec<(String, Bytes)> = (0..RECORDS).map(|number| reading(number, start + number * 400)).collect();
    let bytes: usize = records.iter().map(|(key, data)| key.len() + data.len()).sum();
    let shards = account.kinesis.list_shards("s").unwrap();
    let start = |shard: &ShardInfo, account: &mut Account| {
        account.act(|kinesis, cx| kinesis.cursor(cx, "s", &shard.id, StartingPosition::TrimHorizon)).unwrap()
    };
    let mut cursors: Vec<ShardCursor> = shards.iter().map(|shard| start(shard, &mut account)).collect();
    let read_all = |account: &mut Account, cursors: &mut [ShardCursor], limit| {
        let (began, mut read) = (std::time::Instant::now(), 0);
        for cursor in cursors {
            loop {
                let batch = account.act(|kinesis, cx| kinesis.get_records(cx, cursor, limit)).unwrap();
                *cursor = batch.next.unwrap();
                read += batch.records.len() as u64;
                if batch.millis_behind_latest == 0 {
                    break;
                }
                account.wait(1_000);
            }
        }
        (began.elapsed(), read)
    };
    let (mut put, mut tip, mut tip_records) = (std::time::Duration::ZERO, std::time::Duration::ZERO, 0);
    for chunk in records.chunks(2_500) {
        let began = std::time::Instant::now();
        for (key, data) in chunk {
            account.now += std::time::Duration::from_micros(400);
            account.act(|kinesis, cx| kinesis.put_record(cx, "s", key, data.clone())).unwrap();
        }
        put += began.elapsed();
        let (elapsed, read) = read_all(&mut account, &mut cursors, 5_000);
        tip += elapsed;
        tip_records += read;
    }
    assert_eq!(tip_records, RECORDS);
    let held = account.kinesis.held_bytes("s");
    let mut cursors: Vec<ShardCursor> = shards.iter().map(|shard| start(shard, &mut account)).collect();
    let (lagging, lagging_records) = read_all(&mut account, &mut cursors, 5_000);
    assert_eq!(lagging_records, RECORDS);
    let nanos = |duration: std::time::Duration| duration.as_nanos() / u128::from(RECORDS);
    let began = std::time::Instant::now();
    let hashes = records.iter().fold(0, |sum: u128, (key, _)| sum.wrapping_add(routing::hash_key(key)));
    let md5 = began.elapsed();
    assert_ne!(hashes, 0);
    let stored = |(key, data): &(String, Bytes)| segment::Stored {
        data: data.clone(),
        key: key[..].into(),
        arrival: account.now,
    };
    let stored: Vec<segment::Stored> = records.iter().map(stored).collect();
    let began = std::time::Instant::now();
    let packed: usize = stored.chunks(1_100).map(|chunk| segment::Segment::pack(0, chunk).held_bytes()).sum();
    let pack = began.elapsed();
    assert!(packed < bytes);
    println!("{RECORDS} records of {} bytes with key", bytes as u64 / RECORDS);
    println!(
        "put {} ns (MD5 {} ns, packing {} ns), read at the tip {} ns, read packed {} ns",
        nanos(put),
        nanos(md5),
        nanos(pack),
        nanos(tip),
        nanos(lagging)
    );
    println!("held {} bytes a record, {:.2} of its size", held as u64 / RECORDS, held as f64 / bytes as f64);
}
