//! What the end of a large run costs. Run with `--ignored --nocapture`.

use super::{PARQUET, PROCESSED, Reading, World, parquet};

/// 3.6 million rows in 60 files, one query for each of 20 tenants.
#[test]
#[ignore = "takes a while; prints figures"]
fn twenty_tenants_read_three_million_rows() {
    const FILES: i64 = 60;
    const ROWS: i64 = 60_000;
    let mut world = World::new();
    let mut lake_bytes = 0;
    for file in 0..FILES {
        let rows: Vec<Reading> = (0..ROWS)
            .map(|n| {
                let device = (n * 7_919 + file) % 10_000;
                Reading {
                    tenant: format!("tenant-{:02}", device % 20),
                    device: format!("device-{device:05}"),
                    seq: file * 6 + n / 10_000,
                    ts: 1_772_340_000_000 + file * 60_000 + n,
                }
            })
            .collect();
        let bytes = parquet(&rows, 1_000_000);
        lake_bytes += bytes.len();
        world.objects.put("lake", &format!("big/2026/03/01/05/{file:03}.parquet"), bytes);
    }
    world.table("big", PARQUET, PROCESSED, &[("datehour", "string")], "s3://lake/big/");
    #[expect(clippy::disallowed_methods, reason = "it measures wall time")]
    let started = std::time::Instant::now();
    let mut rows = 0;
    for tenant in 0..20 {
        let sql = format!("SELECT tenant_id, device_id, seq, ts FROM big WHERE tenant_id = 'tenant-{tenant:02}'");
        let (_, csv) = world.run(&sql);
        rows += csv.expect("a result").lines().count() - 1;
        world.objects.buckets.get_mut("results").expect("the bucket").clear();
    }
    println!("lake of {lake_bytes} bytes; 20 queries gave {rows} rows in {:?}", started.elapsed());
    #[expect(clippy::disallowed_methods, reason = "it measures wall time")]
    let started = std::time::Instant::now();
    let count = world.rows("SELECT count(*), count(DISTINCT device_id), sum(seq) FROM big");
    println!("{count:?} in {:?}", started.elapsed());
    assert_eq!(rows, 3_600_000);
}
