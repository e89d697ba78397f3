//! Athena against fakes of the catalog and of S3.

mod insert;
mod lake;
mod load;
mod sql;
mod states;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, Float64Builder, Int64Array, ListBuilder, MapBuilder, MapFieldNames, RecordBatch, StringArray,
    StringBuilder,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::Athena;
use crate::core::cx::CxParts;
use crate::core::ports::{Catalog, CatalogTable, Column, ObjectSummary, Objects};
use crate::core::{AwsError, Cx, Principal, Resource};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

/// 2026-03-01 05:30:00 UTC.
pub(super) const NOW: Time = Time::from_unix_secs(1_772_343_000);

/// S3 as a map.
#[derive(Default)]
pub(super) struct FakeObjects {
    pub(super) buckets: BTreeMap<String, BTreeMap<String, Bytes>>,
    pub(super) gets: usize,
}

impl FakeObjects {
    pub(super) fn put(&mut self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        self.buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), body.into());
    }
}

impl Objects for FakeObjects {
    fn put_object(
        &mut self,
        _: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        _: &str,
    ) -> Result<String, AwsError> {
        let objects = self.buckets.get_mut(bucket).ok_or_else(|| AwsError::new("NoSuchBucket", bucket).status(404))?;
        objects.insert(key.to_owned(), body);
        Ok("etag".to_owned())
    }

    fn get_object(&mut self, _: &mut Cx<'_>, bucket: &str, key: &str) -> Result<Bytes, AwsError> {
        self.gets += 1;
        let object = self.buckets.get(bucket).and_then(|objects| objects.get(key));
        object.cloned().ok_or_else(|| AwsError::new("NoSuchKey", key).status(404))
    }

    fn list_objects(&mut self, _: &mut Cx<'_>, bucket: &str, prefix: &str) -> Result<Vec<ObjectSummary>, AwsError> {
        let objects = self.buckets.get(bucket).ok_or_else(|| AwsError::new("NoSuchBucket", bucket).status(404))?;
        let listed = objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, body)| ObjectSummary {
            key: key.clone(),
            size_bytes: body.len() as u64,
            last_modified: NOW,
            etag: format!("{:x}", xxhash_rust::xxh3::xxh3_64(body)),
        });
        Ok(listed.collect())
    }
}

/// The Data Catalog as a map.
#[derive(Default)]
pub(super) struct FakeCatalog(pub(super) BTreeMap<(String, String), Arc<CatalogTable>>);

impl Catalog for FakeCatalog {
    fn get_table(&mut self, _: &mut Cx<'_>, database: &str, table: &str) -> Result<Arc<CatalogTable>, AwsError> {
        let found = self.0.get(&(database.to_owned(), table.to_owned()));
        found.cloned().ok_or_else(|| AwsError::new("EntityNotFoundException", format!("Table {table} not found.")))
    }

    fn table_names(&mut self, _: &mut Cx<'_>, database: &str) -> Result<Vec<String>, AwsError> {
        Ok(self.0.keys().filter(|(known, _)| known == database).map(|(_, table)| table.clone()).collect())
    }

    fn database_names(&mut self, _: &mut Cx<'_>) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().map(|(database, _)| database.clone()).collect();
        names.dedup();
        names
    }
}

/// An account with a lake, a bucket of results and a workgroup.
pub(super) struct World {
    pub(super) athena: Athena,
    pub(super) objects: FakeObjects,
    pub(super) catalog: FakeCatalog,
    pub(super) parts: CxParts,
    pub(super) caller: Principal,
    pub(super) now: Time,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = World {
            athena: Athena::new(),
            objects: FakeObjects::default(),
            catalog: FakeCatalog::default(),
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(5).rng()),
            caller: Principal::new("arn:aws:iam::123456789012:user/analyst"),
            now: NOW,
        };
        world.objects.buckets.insert("results".to_owned(), BTreeMap::new());
        world.workgroup(json!({
            "Name": "analysts",
            "WorkGroupConfiguration": {
                "EnforceWorkGroupConfiguration": true,
                "ResultConfiguration": { "OutputLocation": "s3://results/athena/" },
            },
        }));
        world.add_tables();
        world
    }

    pub(super) fn workgroup(&mut self, properties: Value) {
        self.provision("AWS::Athena::WorkGroup", properties).expect("a workgroup");
    }

    pub(super) fn provision(&mut self, kind: &str, properties: Value) -> Result<crate::core::Provisioned, AwsError> {
        let resource =
            Resource { stack: "test".to_owned(), logical_id: "Thing".to_owned(), kind: kind.to_owned(), properties };
        self.athena.provision(&mut self.parts.cx(self.now, &self.caller), &resource)
    }

    fn add_tables(&mut self) {
        self.table("processed", PARQUET, PROCESSED, &[("datehour", "string")], "s3://lake/processed/");
        self.table("raw", JSON, RAW, &[("datehour", "string")], "s3://lake/raw/");
        self.table("flat", JSON, FLAT, &[], "s3://lake/flat/");
        let rows = |range: std::ops::Range<i64>| range.map(Reading::nth).collect::<Vec<_>>();
        self.objects.put("lake", "processed/2026/03/01/04/a.parquet", parquet(&rows(0..4), 2));
        self.objects.put("lake", "processed/2026/03/01/05/b.parquet", parquet(&rows(4..6), 2));
        self.objects.put("lake", "processed/2026/02/27/05/c.parquet", parquet(&rows(6..7), 2));
        // Neither is projected: one lies before the range, one in the future.
        self.objects.put("lake", "processed/2025/12/31/23/old.parquet", parquet(&rows(7..8), 2));
        self.objects.put("lake", "processed/2026/03/01/06/early.parquet", parquet(&rows(8..9), 2));
        self.objects.put("lake", "processed/2026/03/01/05/_temporary/x.parquet", &b"junk"[..]);
        let lines = r#"{"seq":1,"ts":1772340000000,"metrics":{"t":21.5,"h":null},"tenant_id":"acme","device_id":"d1"}
{"seq":2,"ts":1772340001000,"metrics":{},"tenant_id":"acme","device_id":"d2","recorded_at":"2014-04-01 00:00:00","extra":[1]}

{"SEQ":3,"ts":null,"tenant_id":"o\"hara","device_id":"dé"}
"#;
        self.objects.put("lake", "raw/2026/03/01/05/r.gz", gzip(lines.as_bytes()));
        let flat = r#"{"n":1,"s":"b","d":1.5,"t":true,"m":{"x":1.0,"y":2.5},"a":["p","q"],"r":{"k":7,"v":"seven"},"day":"2026-02-28","at":"2026-02-28 23:59:59.5","f":0.1}
{"n":2,"s":"a","d":-0.0001,"t":false,"m":{"x":-3.0},"a":[],"r":{"k":null,"v":null},"day":"2024-02-29","at":"2024-02-29 00:00:00","f":2.5}
{"n":3,"s":null,"d":12345678.9,"t":null,"m":null,"a":null,"r":null,"day":null,"at":null,"f":null}
{"n":4,"s":"ÄÖ x","d":100.0,"t":true,"m":{},"a":["r",null],"r":{"k":1,"v":""},"day":"1969-12-31","at":"1969-12-31 23:00:00","f":-1.0}
"#;
        self.objects.put("lake", "flat/1.json", flat);
    }

    pub(super) fn table(
        &mut self,
        name: &str,
        serde: &str,
        columns: &[(&str, &str)],
        keys: &[(&str, &str)],
        location: &str,
    ) {
        let parameters: &[(&str, String)] = &[
            ("projection.enabled", "true".to_owned()),
            ("projection.datehour.type", "date".to_owned()),
            ("projection.datehour.format", "yyyy/MM/dd/HH".to_owned()),
            ("projection.datehour.range", "2026/01/01/00,NOW".to_owned()),
            ("projection.datehour.interval", "1".to_owned()),
            ("projection.datehour.interval.unit", "HOURS".to_owned()),
            ("storage.location.template", format!("{location}${{datehour}}/")),
        ];
        let parameters = if keys.is_empty() { &[] } else { parameters };
        self.table_with(name, serde, columns, keys, location, parameters);
    }

    pub(super) fn table_with(
        &mut self,
        name: &str,
        serde: &str,
        columns: &[(&str, &str)],
        keys: &[(&str, &str)],
        location: &str,
        parameters: &[(&str, String)],
    ) {
        let columns_of = |columns: &[(&str, &str)]| {
            columns
                .iter()
                .map(|(name, kind)| Column { name: (*name).to_owned(), hive_type: (*kind).to_owned() })
                .collect()
        };
        let table = CatalogTable {
            database: "iot".to_owned(),
            name: name.to_owned(),
            version_id: "0".to_owned(),
            columns: columns_of(columns),
            partition_keys: columns_of(keys),
            location: location.to_owned(),
            input_format: String::new(),
            serialization_library: serde.to_owned(),
            serde_parameters: BTreeMap::new(),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        self.catalog.0.insert(("iot".to_owned(), name.to_owned()), Arc::new(table));
    }

    /// One call of the API.
    pub(super) fn call(&mut self, operation: &str, body: Value) -> Result<Value, AwsError> {
        let mut cx = self.parts.cx(self.now, &self.caller);
        let body = body.to_string();
        let answer = self.athena.call(&mut cx, &mut self.catalog, &mut self.objects, operation, body.as_bytes())?;
        Ok(serde_json::from_slice(&answer).expect("an answer in JSON"))
    }

    pub(super) fn start(&mut self, sql: &str) -> Result<String, AwsError> {
        let body =
            json!({ "QueryString": sql, "WorkGroup": "analysts", "QueryExecutionContext": { "Database": "iot" } });
        let answer = self.call("StartQueryExecution", body)?;
        Ok(answer["QueryExecutionId"].as_str().expect("an id").to_owned())
    }

    /// Runs every wake-up up to the end of the queries.
    pub(super) fn settle(&mut self) {
        while let Some(due) = self.parts.timers.next_due() {
            self.now = self.now.max(due);
            while let Some(wake) = self.parts.timers.pop_due(self.now) {
                let mut cx = self.parts.cx(self.now, &self.caller);
                self.athena.wake(&mut cx, &mut self.catalog, &mut self.objects, wake.token);
            }
        }
    }

    pub(super) fn describe(&mut self, id: &str) -> Value {
        self.call("GetQueryExecution", json!({ "QueryExecutionId": id })).expect("a description")["QueryExecution"]
            .clone()
    }

    /// Runs a query to its end. Answers its description and, when it succeeded, the text of its result.
    pub(super) fn run(&mut self, sql: &str) -> (Value, Option<String>) {
        let id = self.start(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        self.settle();
        let description = self.describe(&id);
        let csv = self.objects.buckets["results"].get(&format!("athena/{id}.csv"));
        (description, csv.map(|csv| String::from_utf8(csv.to_vec()).expect("UTF-8")))
    }

    /// The rows of a query without its header.
    pub(super) fn rows(&mut self, sql: &str) -> Vec<String> {
        let (description, csv) = self.run(sql);
        let csv = csv.unwrap_or_else(|| panic!("{sql}: {}", description["Status"]));
        csv.lines().skip(1).map(str::to_owned).collect()
    }

    /// Why a query failed.
    pub(super) fn reason(&mut self, sql: &str) -> String {
        let (description, csv) = self.run(sql);
        assert_eq!(csv, None, "{sql}");
        assert_eq!(description["Status"]["State"], "FAILED", "{sql}");
        description["Status"]["StateChangeReason"].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
pub(super) const JSON: &str = "org.openx.data.jsonserde.JsonSerDe";
pub(super) const PROCESSED: &[(&str, &str)] = &[
    ("tenant_id", "string"),
    ("device_id", "string"),
    ("device_type", "string"),
    ("seq", "bigint"),
    ("ts", "bigint"),
    ("received_at", "bigint"),
    ("recorded_at", "string"),
    ("metrics", "map<string,double>"),
    ("flags", "array<string>"),
];
pub(super) const RAW: &[(&str, &str)] = &[
    ("seq", "bigint"),
    ("ts", "bigint"),
    ("metrics", "map<string,double>"),
    ("recorded_at", "string"),
    ("tenant_id", "string"),
    ("device_id", "string"),
    ("received_at", "bigint"),
];
pub(super) const FLAT: &[(&str, &str)] = &[
    ("n", "int"),
    ("s", "string"),
    ("d", "double"),
    ("t", "boolean"),
    ("m", "map<string,double>"),
    ("a", "array<string>"),
    ("r", "struct<k:int,v:string>"),
    ("day", "date"),
    ("at", "timestamp"),
    ("f", "float"),
];

/// A row of the processed table.
pub(super) struct Reading {
    pub(super) tenant: String,
    pub(super) device: String,
    pub(super) seq: i64,
    pub(super) ts: i64,
}

impl Reading {
    /// The n-th: tenants and devices alternate, a reading a second before [`NOW`].
    pub(super) fn nth(n: i64) -> Self {
        let now = i64::try_from(NOW.unix_millis()).expect("a date of this century");
        Reading {
            tenant: if n % 2 == 0 { "acme" } else { "globex" }.to_owned(),
            device: format!("d{}", n % 3),
            seq: n,
            ts: now - (10 - n) * 1_000,
        }
    }
}

/// A Parquet file with row groups of `group` rows. It lacks the columns `device_type` and `recorded_at`, and `flags` is
/// null in every other row.
pub(super) fn parquet(rows: &[Reading], group: usize) -> Vec<u8> {
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut metrics = MapBuilder::new(Some(names), StringBuilder::new(), Float64Builder::new());
    let mut flags = ListBuilder::new(StringBuilder::new());
    for row in rows {
        metrics.keys().append_value("temperature");
        metrics.values().append_value(20.0 + row.seq as f64 / 2.0);
        metrics.append(true).expect("keys and values have the same length");
        if row.seq % 2 == 0 {
            flags.values().append_value("late");
            flags.append(true);
        } else {
            flags.append(false);
        }
    }
    let text =
        |f: fn(&Reading) -> &str| Arc::new(rows.iter().map(|row| Some(f(row))).collect::<StringArray>()) as ArrayRef;
    let whole = |f: fn(&Reading) -> i64| Arc::new(rows.iter().map(f).collect::<Int64Array>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("tenant_id", text(|row| &row.tenant)),
        ("device_id", text(|row| &row.device)),
        ("seq", whole(|row| row.seq)),
        ("ts", whole(|row| row.ts)),
        ("received_at", whole(|row| row.ts + 250)),
        ("metrics", Arc::new(metrics.finish()) as ArrayRef),
        ("flags", Arc::new(flags.finish()) as ArrayRef),
    ])
    .expect("columns of equal length");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_compression(datafusion::parquet::basic::Compression::SNAPPY)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("a batch");
    writer.close().expect("a footer");
    bytes
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
