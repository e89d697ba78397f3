//! INSERT INTO: what is added to a table, and what is refused.

use serde_json::json;

use super::{JSON, PARQUET, PROCESSED, World};

const CURATE: &str =
    "INSERT INTO curated (tenant_id, device_id, seq, ts, metrics, datehour, device_type, received_at, \
                      recorded_at, flags)
SELECT tenant_id, device_id, seq, ts, metrics, replace(datehour, '/', '-'), device_type, received_at, recorded_at, flags
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
    let parameters: &[(&str, String)] = &[
        ("projection.enabled", "true".to_owned()),
        ("projection.datehour.type", "date".to_owned()),
        ("projection.datehour.format", "yyyy-MM-dd-HH".to_owned()),
        ("projection.datehour.range", "2026-01-01-00,NOW".to_owned()),
        ("projection.datehour.interval", "1".to_owned()),
        ("projection.datehour.interval.unit", "HOURS".to_owned()),
    ];
    world.table_with("curated", PARQUET, PROCESSED, &[("datehour", "string")], "s3://lake/curated/", parameters);
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
    assert!(
        written[0].starts_with("curated/datehour=2026-03-01-04/")
            && written[1].starts_with("curated/datehour=2026-03-01-05/")
    );
    let manifest = &world.objects.buckets["results"][&format!("athena/{id}-manifest.csv")];
    assert_eq!(String::from_utf8(manifest.to_vec()).unwrap().lines().count(), 2);
    let select = |table: &str, hour: &str, from: &str| {
        format!(
            "SELECT DISTINCT tenant_id, device_id, seq, ts, metrics['temperature'], cardinality(flags), {hour} AS hour \
             FROM {table} WHERE datehour >= '{from}' ORDER BY seq"
        )
    };
    let curated = world.rows(&select("curated", "datehour", "2026-03-01-04"));
    assert_eq!(curated, world.rows(&select("processed", "replace(datehour, '/', '-')", "2026/03/01/04")));
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
fn a_location_template_is_not_asked_and_hides_what_is_inserted() {
    let mut world = World::new();
    world.table("copy", PARQUET, PROCESSED, &[("datehour", "string")], "s3://lake/copy/");
    let (description, _) = world.run("INSERT INTO copy SELECT * FROM processed WHERE datehour = '2026/03/01/04'");
    assert_eq!(description["Status"]["State"], "SUCCEEDED", "{description}");
    let written = keys(&world, "copy/");
    assert!(written.len() == 1 && written[0].starts_with("copy/datehour=2026%2F03%2F01%2F04/"), "{written:?}");
    assert_eq!(world.rows("SELECT count(*) FROM copy"), ["\"0\""]);
}
