//! INSERT INTO: what is added to a table, and what is refused.

use serde_json::json;

use super::{JSON, PARQUET, PROCESSED, World};

const CURATE: &str =
    "INSERT INTO curated (tenant_id, device_id, seq, ts, metrics, datehour, device_type, received_at, \
                      recorded_at, flags)
SELECT tenant_id, device_id, seq, ts, metrics, datehour, device_type, received_at, recorded_at, flags
FROM (
  SELECT *, row_number() OVER (PARTITION BY tenant_id, device_id, seq ORDER BY received_at, ts) AS copy
  FROM processed
  WHERE datehour >= '2026/03/01/04'
) AS reading
WHERE copy = 1
  AND NOT EXISTS (
    SELECT 1 FROM curated AS kept
    WHERE kept.tenant_id = reading.tenant_id AND kept.device_id = reading.device_id AND kept.seq = reading.seq
  )";

fn world() -> World {
    let mut world = World::new();
    world.table("curated", PARQUET, PROCESSED, &[("datehour", "string")], "s3://lake/curated/");
    world
}

fn keys(world: &World, prefix: &str) -> Vec<String> {
    world.objects.buckets["lake"].keys().filter(|key| key.starts_with(prefix)).cloned().collect()
}

#[test]
fn rows_go_to_their_partitions_once_and_are_read_back() {
    let mut world = world();
    let twice = world.objects.buckets["lake"]["processed/2026/03/01/04/a.parquet"].clone();
    world.objects.put("lake", "processed/2026/03/01/04/again.parquet", twice);
    let (description, result) = world.run(CURATE);
    assert_eq!(description["Status"]["State"], "SUCCEEDED", "{description}");
    assert_eq!((&description["StatementType"], &description["SubstatementType"]), (&json!("DML"), &json!("INSERT")));
    assert_eq!(result, None, "an INSERT has no rows to show");
    let id = description["QueryExecutionId"].as_str().unwrap().to_owned();
    let answer = world.call("GetQueryResults", json!({ "QueryExecutionId": id })).unwrap();
    assert_eq!((&answer["UpdateCount"], &answer["ResultSet"]["Rows"]), (&json!(6), &json!([])));
    let written = keys(&world, "curated/");
    assert_eq!(written.len(), 2, "a file for each hour: {written:?}");
    assert!(written[0].starts_with("curated/2026/03/01/04/") && written[1].starts_with("curated/2026/03/01/05/"));
    let manifest = &world.objects.buckets["results"][&format!("athena/{id}-manifest.csv")];
    assert_eq!(String::from_utf8(manifest.to_vec()).unwrap().lines().count(), 2);
    let select = |table: &str| {
        format!(
            "SELECT DISTINCT tenant_id, device_id, seq, ts, metrics['temperature'], cardinality(flags), datehour \
             FROM {table} WHERE datehour >= '2026/03/01/04' ORDER BY seq"
        )
    };
    assert_eq!(world.rows(&select("curated")), world.rows(&select("processed")));
    assert_eq!(world.rows("SELECT count(*) FROM curated"), ["\"6\""]);
}

#[test]
fn what_is_there_already_is_not_inserted_again() {
    let mut world = world();
    world.run(CURATE);
    let before = keys(&world, "curated/");
    let (description, _) = world.run(CURATE);
    assert_eq!(description["Status"]["State"], "SUCCEEDED", "{description}");
    assert_eq!(keys(&world, "curated/"), before);
}

#[test]
fn inserts_that_do_not_fit_or_are_not_modelled_say_why_and_write_nothing() {
    let mut world = world();
    world.table("plain", PARQUET, &[("n", "bigint"), ("s", "string")], &[], "s3://lake/plain/");
    world.table("lines", JSON, &[("n", "bigint")], &[], "s3://lake/lines/");
    for (sql, expected) in [
        ("INSERT INTO gone SELECT 1", "TABLE_NOT_FOUND: line 1:13: Table 'awsdatacatalog.iot.gone' does not exist"),
        ("INSERT INTO plain (n, x) SELECT seq, device_id FROM processed", "COLUMN_NOT_FOUND"),
        ("INSERT INTO plain SELECT device_id, seq FROM processed", "TYPE_MISMATCH"),
        ("INSERT INTO plain SELECT seq FROM processed", "TYPE_MISMATCH"),
        (
            "INSERT INTO plain (n) SELECT seq FROM processed",
            "not modelled by this simulator: INSERT without the column s",
        ),
        ("INSERT INTO lines SELECT seq FROM processed", "whose files are not Parquet"),
        ("DELETE FROM plain", "statements other than SELECT and INSERT INTO: DELETE"),
        (
            "INSERT INTO curated (tenant_id, device_id, device_type, seq, ts, received_at, recorded_at, metrics, flags, \
             datehour) SELECT tenant_id, device_id, device_type, seq, ts, received_at, recorded_at, metrics, flags, \
             '1999/01/01/00' FROM processed",
            "the partition (1999/01/01/00) of iot.curated, which is not projected",
        ),
    ] {
        let reason = world.reason(sql);
        assert!(reason.contains(expected), "{sql}: {reason}");
    }
    assert!(
        keys(&world, "plain/").is_empty() && keys(&world, "lines/").is_empty() && keys(&world, "curated/").is_empty()
    );
    let (description, _) = world.run("INSERT INTO plain SELECT seq, device_id FROM processed");
    assert_eq!(description["Status"]["State"], "SUCCEEDED", "{description}");
    assert_eq!(world.rows("SELECT count(*), max(n) FROM plain"), ["\"7\",\"6\""]);
}

#[test]
fn the_curation_of_an_hour_writes_where_projection_looks_without_a_location_template() {
    let mut world = World::new();
    let parameters = [
        ("projection.enabled", "true"),
        ("projection.datehour.type", "date"),
        ("projection.datehour.format", "yyyy-MM-dd-HH"),
        ("projection.datehour.range", "2026-01-01-00,NOW"),
        ("projection.datehour.interval", "1"),
        ("projection.datehour.interval.unit", "HOURS"),
    ]
    .map(|(key, value)| (key, value.to_owned()));
    let keys_of_table = [("datehour", "string")];
    world.table_with("curated", PARQUET, PROCESSED, &keys_of_table, "s3://lake/curated/", &parameters);
    // 2026-03-01 04:00 UTC, twice: the second time there is nothing to add.
    let statement = platform::store::data_lake::curation::statement::curate(1_772_337_600);
    for _ in 0..2 {
        let (description, _) = world.run(&statement);
        assert_eq!(description["Status"]["State"], "SUCCEEDED", "{description}");
        let written = keys(&world, "curated/");
        assert!(written.len() == 1 && written[0].starts_with("curated/datehour=2026-03-01-04/"), "{written:?}");
    }
    let hours = world.rows("SELECT datehour, count(*) FROM curated GROUP BY datehour");
    assert_eq!(hours, ["\"2026-03-01-04\",\"4\""]);
}
