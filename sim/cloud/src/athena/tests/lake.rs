//! Tables: projection of partitions, what is read, what does not fit.

use super::{JSON, NOW, PARQUET, Reading, World, parquet};

fn scanned(world: &mut World, sql: &str) -> u64 {
    let (description, csv) = world.run(sql);
    assert!(csv.is_some(), "{sql}: {}", description["Status"]);
    description["Statistics"]["DataScannedInBytes"].as_u64().expect("bytes")
}

#[test]
fn conditions_on_partitions_decide_which_files_are_read() {
    for (condition, files) in [
        ("datehour = '2026/03/01/04'", 1),
        ("datehour >= '2026/03/01/04'", 2),
        ("datehour < '2026/03/01/00'", 1),
        ("datehour BETWEEN '2026/02/01/00' AND '2026/03/01/04'", 2),
        ("datehour IN ('2026/03/01/05', '2026/02/27/05', '2031/01/01/00')", 2),
        ("datehour <> '2026/03/01/04' AND datehour LIKE '2026/03/%'", 1),
        ("datehour >= date_format(current_timestamp - INTERVAL '1' DAY, '%Y/%m/%d/%H')", 2),
        ("datehour = '2026/03/01/06'", 0),
        ("datehour = '2025/12/31/23'", 0),
        ("substr(datehour, 1, 7) = '2026/02'", 1),
        ("(datehour = '2026/03/01/04' OR seq = 4)", 3),
        ("true", 3),
    ] {
        let mut world = World::new();
        world.run(&format!("SELECT count(seq) FROM processed WHERE {condition}"));
        assert_eq!(world.objects.gets, files, "{condition}");
    }
}

#[test]
fn a_partitions_value_counts_though_the_file_holds_a_column_of_its_name() {
    let mut world = World::new();
    let parameters: &[(&str, String)] = &[
        ("projection.enabled", "true".to_owned()),
        ("projection.tenant_id.type", "enum".to_owned()),
        ("projection.tenant_id.values", "acme,zed".to_owned()),
    ];
    let keys: &[(&str, &str)] = &[("tenant_id", "string")];
    world.table_with("bytenant", PARQUET, &[("seq", "bigint")], keys, "s3://lake/bytenant/", parameters);
    let rows: Vec<Reading> = (0..4).map(Reading::nth).collect();
    world.objects.put("lake", "bytenant/tenant_id=zed/a.parquet", parquet(&rows, 2));
    for (condition, count) in [
        ("tenant_id = 'zed'", 4),
        ("tenant_id = 'zed' OR seq > 100", 4),
        ("(tenant_id = 'zed' AND seq >= 2) OR seq > 100", 2),
        ("tenant_id = 'acme' OR seq = 1", 1),
        ("seq IS NULL", 0),
    ] {
        let got = world.rows(&format!("SELECT count(*) FROM bytenant WHERE {condition}"));
        assert_eq!(got, [format!("\"{count}\"")], "{condition}");
    }
    assert!(world.reason("SELECT count(*) FROM bytenant WHERE 1 / 0 = 1").starts_with("DIVISION_BY_ZERO"));
}

#[test]
fn a_table_is_not_what_lies_beside_its_folder() {
    let mut world = World::new();
    for folder in ["part", "part_old", "partial"] {
        world.objects.put("lake", &format!("{folder}/a.json"), "{\"n\": 1}\n");
    }
    for location in ["s3://lake/part", "s3://lake/part/"] {
        world.table("part", JSON, &[("n", "int")], &[], location);
        assert_eq!(world.rows("SELECT count(*) FROM part"), [r#""1""#], "{location}");
    }
}

#[test]
fn the_end_of_the_projection_moves_with_the_clock() {
    let mut world = World::new();
    assert_eq!(world.rows("SELECT count(*) FROM processed"), [r#""7""#]);
    world.now = NOW + std::time::Duration::from_secs(1_800);
    assert_eq!(world.rows("SELECT count(*) FROM processed"), [r#""8""#]);
}

#[test]
fn ranges_relative_to_now_intervals_enums_and_integers_are_projected() {
    let mut world = World::new();
    let rows = |n: i64| parquet(&[Reading::nth(n)], 1);
    let day = |range: &str| -> Vec<(&'static str, String)> {
        vec![
            ("projection.enabled", "TRUE".to_owned()),
            ("projection.day.type", "date".to_owned()),
            ("projection.day.format", "yyyy-MM-dd".to_owned()),
            ("projection.day.range", range.to_owned()),
            ("projection.site.type", "enum".to_owned()),
            ("projection.site.values", "a,ab".to_owned()),
            ("projection.shard.type", "integer".to_owned()),
            ("projection.shard.range", "0,8".to_owned()),
            ("projection.shard.interval", "2".to_owned()),
            ("projection.shard.digits", "2".to_owned()),
        ]
    };
    let keys: &[(&str, &str)] = &[("day", "date"), ("site", "string"), ("shard", "int")];
    for (n, path) in [
        (1, "day=2026-03-01/site=a/shard=00"),
        (2, "day=2026-02-28/site=ab/shard=08"),
        (4, "day=2026-02-27/site=ab/shard=02"),
        (8, "day=2026-02-28/site=c/shard=02"),
        (16, "day=2026-02-28/site=a/shard=03"),
        (32, "day=2026-02-28/site=a/shard=2"),
        (64, "day=2026-02-28/site=a/shard=10"),
        (128, "day=2026-03-02/site=a/shard=02"),
    ] {
        world.objects.put("lake", &format!("byday/{path}/f.parquet"), rows(n));
    }
    for (range, sum) in [
        ("2026-01-01,NOW", 7),
        ("NOW-2DAYS,NOW", 7),
        ("NOW-1DAYS,NOW", 3),
        ("NOW-1DAYS,NOW+1DAY", 131),
        ("NOW-1MONTHS,2026-02-28", 6),
        ("2027-01-01,NOW+1YEARS", 0),
    ] {
        world.table_with("byday", PARQUET, &[("seq", "bigint")], keys, "s3://lake/byday/", &day(range));
        let got = world.rows("SELECT coalesce(sum(seq), 0) FROM byday");
        assert_eq!(got, [format!("\"{sum}\"")], "{range}");
    }
    world.table_with("byday", PARQUET, &[("seq", "bigint")], keys, "s3://lake/byday/", &day("2026-01-01,NOW"));
    let got = world.rows("SELECT seq, day, site, shard FROM byday WHERE day < DATE '2026-03-01' AND shard > 2");
    assert_eq!(got, [r#""2","2026-02-28","ab","8""#]);
}

#[test]
fn broken_projections_fail_and_say_why() {
    let base = |name: &str, value: &str| {
        vec![("projection.enabled", "true".to_owned()), ("projection.k.type", value.to_owned()), ("x", name.to_owned())]
    };
    let dates = |range: &str, interval: &str| {
        vec![
            ("projection.enabled", "true".to_owned()),
            ("projection.k.type", "date".to_owned()),
            ("projection.k.format", "yyyy-MM-dd".to_owned()),
            ("projection.k.range", range.to_owned()),
            ("projection.k.interval", interval.to_owned()),
        ]
    };
    for (parameters, expected) in [
        (vec![], "NOT_SUPPORTED: not modelled by this simulator: partitions of iot.t in the catalog"),
        (vec![("projection.enabled", "true".to_owned())], "HIVE_METASTORE_ERROR: projection.k.type is missing"),
        (base("", "injected"), "NOT_SUPPORTED: not modelled by this simulator: partition projection of type injected"),
        (base("", "enum"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.values is missing"),
        (base("", "date"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.format is missing"),
        (
            vec![
                ("projection.enabled", "true".to_owned()),
                ("projection.k.type", "integer".to_owned()),
                ("projection.k.range", "0,9".to_owned()),
                ("projection.k.digits", "99999999999".to_owned()),
            ],
            "INVALID_TABLE_PROPERTY: iot.t: projection.k.digits is not a whole number",
        ),
        (dates("NOW-9223372036854775807YEARS,NOW", "1"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.range"),
        (dates("NOW\u{e9},NOW", "1"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.range"),
        (dates("NOW-1DAYS,NOW", "9223372036854775807"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.interval"),
        (base("", "frob"), "INVALID_TABLE_PROPERTY: iot.t: projection.k.type is \"frob\""),
    ] {
        let mut world = World::new();
        world.table_with("t", PARQUET, &[("seq", "bigint")], &[("k", "string")], "s3://lake/t/", &parameters);
        let reason = world.reason("SELECT * FROM t");
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn only_the_columns_and_row_groups_that_are_needed_count_as_scanned() {
    let mut world = World::new();
    let rows: Vec<Reading> = (0..20_000).map(Reading::nth).collect();
    let bytes = parquet(&rows, 2_000);
    let size = bytes.len() as u64;
    world.objects.put("lake", "wide/a.parquet", bytes);
    world.table("wide", PARQUET, super::PROCESSED, &[], "s3://lake/wide/");
    let footer = scanned(&mut world, "SELECT count(*) FROM wide");
    let one = scanned(&mut world, "SELECT max(seq) FROM wide");
    let two = scanned(&mut world, "SELECT max(seq), max(ts) FROM wide");
    let all = scanned(&mut world, "SELECT * FROM wide");
    let group = scanned(&mut world, "SELECT max(seq) FROM wide WHERE seq >= 18000");
    assert!(footer < one && one < two && two < all && all <= size, "{footer} {one} {two} {all} {size}");
    let column = one - footer;
    assert!((group - footer) * 8 < column, "{group} of {one}, footer {footer}");
    assert_eq!(world.rows("SELECT count(*), min(seq) FROM wide WHERE seq >= 18000"), [r#""2000","18000""#]);
    let json = world.objects.buckets["lake"]["raw/2026/03/01/05/r.gz"].len() as u64;
    assert_eq!(scanned(&mut world, "SELECT count(*) FROM raw"), json);
}

#[test]
fn the_platforms_named_queries_run() {
    let mut world = World::new();
    let last_day = "datehour >= date_format(current_timestamp - INTERVAL '1' DAY, '%Y/%m/%d/%H')";
    let per_hour = format!(
        "SELECT tenant_id, hour_start, count(*) AS readings\nFROM (\n  SELECT DISTINCT tenant_id, device_id, seq, \
         date_trunc('hour', from_unixtime(ts / 1000)) AS hour_start\n  FROM processed\n  WHERE {last_day}\n) AS reading\n\
         GROUP BY tenant_id, hour_start\nORDER BY tenant_id, hour_start"
    );
    assert_eq!(
        world.rows(&per_hour),
        [r#""acme","2026-03-01 05:00:00.000 UTC","3""#, r#""globex","2026-03-01 05:00:00.000 UTC","3""#]
    );
    let last_seen = format!(
        "SELECT tenant_id, device_id, from_unixtime(max(received_at) / 1000) AS last_seen, max(seq) AS last_seq\n\
         FROM processed\nWHERE {last_day}\nGROUP BY tenant_id, device_id\nORDER BY last_seen, tenant_id, device_id"
    );
    let rows = world.rows(&last_seen);
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0], r#""acme","d0","2026-03-01 05:29:50.000 UTC","0""#);
    let dedup = "SELECT count(*) FROM (SELECT DISTINCT tenant_id, device_id, seq FROM processed)";
    assert_eq!(world.rows(dedup), [r#""7""#]);
}

#[test]
fn types_of_files_that_do_not_fit_the_table_are_errors_in_the_data() {
    let mut world = World::new();
    world.objects.put("lake", "odd/a.parquet", parquet(&[Reading::nth(1)], 1));
    world.table("odd", PARQUET, &[("tenant_id", "bigint"), ("seq", "int")], &[], "s3://lake/odd/");
    for column in ["tenant_id", "seq"] {
        let (description, _) = world.run(&format!("SELECT {column} FROM odd"));
        assert_eq!(description["Status"]["AthenaError"]["ErrorType"], 1001);
        let reason = description["Status"]["StateChangeReason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(&format!("HIVE_BAD_DATA: Field {column} of table iot.odd")), "{reason}");
    }
    world.objects.put("lake", "odd/a.parquet", &b"this is not Parquet"[..]);
    assert!(
        world
            .reason("SELECT seq FROM odd")
            .starts_with("HIVE_BAD_DATA: Error reading Parquet file s3://lake/odd/a.parquet")
    );
    world.objects.put("lake", "lines/a.json", "{\"n\": 1}\n{\"n\": tru\n");
    world.table("lines", JSON, &[("n", "int")], &[], "s3://lake/lines/");
    assert!(world.reason("SELECT n FROM lines").starts_with("HIVE_CURSOR_ERROR: Row is not a valid JSON Object"));
    world.table("orc", "org.apache.hadoop.hive.ql.io.orc.OrcSerde", &[("n", "int")], &[], "s3://lake/lines/");
    assert!(world.reason("SELECT n FROM orc").starts_with("NOT_SUPPORTED"));
}

#[test]
fn a_file_that_was_replaced_is_read_anew() {
    let mut world = World::new();
    world.objects.put("lake", "again/a.parquet", parquet(&[Reading::nth(1)], 1));
    world.table("again", PARQUET, &[("seq", "bigint")], &[], "s3://lake/again/");
    assert_eq!(world.rows("SELECT seq FROM again"), [r#""1""#]);
    world.objects.put("lake", "again/a.parquet", parquet(&[Reading::nth(2), Reading::nth(3)], 1));
    assert_eq!(world.rows("SELECT seq FROM again ORDER BY 1"), [r#""2""#, r#""3""#]);
}
