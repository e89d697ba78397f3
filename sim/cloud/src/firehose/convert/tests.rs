use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use parquet::file::properties::WriterVersion;

use super::*;
use crate::core::Principal;
use crate::firehose::config::Reading;
use world::time::Time;

const COLUMNS: &[(&str, &str)] = &[
    ("name", "string"),
    ("seq", "bigint"),
    ("count", "int"),
    ("small", "smallint"),
    ("tiny", "tinyint"),
    ("ratio", "float"),
    ("value", "double"),
    ("ok", "boolean"),
    ("flags", "array<string>"),
    ("metrics", "map<string,double>"),
    ("place", "struct<site:string,Floor:int>"),
    ("nested", "array<map<string,array<int>>>"),
];

fn converter(columns: &[(&str, &str)], case_insensitive: bool, compression: Compression) -> Converter {
    let columns = columns.iter().map(|(name, hive)| Column { name: (*name).into(), hive_type: (*hive).into() });
    let found = CatalogTable {
        database: "iot".to_owned(),
        name: "processed".to_owned(),
        version_id: "0".to_owned(),
        columns: columns.collect(),
        partition_keys: Vec::new(),
        location: String::new(),
        input_format: String::new(),
        serialization_library: String::new(),
        serde_parameters: Default::default(),
        parameters: Default::default(),
    };
    let conversion = Conversion {
        role: Principal::new("role"),
        database: "iot".to_owned(),
        table: "processed".to_owned(),
        reading: Reading { lower_case: case_insensitive, ..Reading::default() },
        compression,
        row_group_bytes: 256 << 20,
        page_bytes: 1 << 20,
        dictionary: false,
        version: WriterVersion::PARQUET_1_0,
    };
    let table = Some(Table::new(&found, case_insensitive).unwrap());
    Converter { conversion, table }
}

fn entries<T: AsRef<str>>(records: &[T]) -> Vec<Entry> {
    let entry = |record: &T| Entry::new(Bytes::copy_from_slice(record.as_ref().as_bytes()), Time::EPOCH, 0);
    records.iter().map(entry).collect()
}

fn read(body: Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(body).unwrap().with_batch_size(1 << 20).build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The rows that `records` become, and the codes of those that fail.
fn convert(records: &[&str], case_insensitive: bool) -> (Option<RecordBatch>, Vec<&'static str>) {
    let converted = converter(COLUMNS, case_insensitive, Compression::SNAPPY).convert(entries(records));
    (converted.body.map(read), converted.failures.iter().map(|failure| failure.code).collect())
}

#[test]
fn every_type_is_read_back_as_it_was_written() {
    let full = r#"{"name":"a \"quoted\" \u00fc","seq":-9007199254740993,"count":7,"small":-300,"tiny":5,"ratio":1.5,
        "value":0.1,"ok":true,"flags":["x",null,"y"],"metrics":{"temp":21.5,"rpm":null,"n":3},
        "place":{"site":"s","Floor":2,"unknown":{"a":[1]}},"nested":[{"k":[1,2]},{}],"unknown":[{}]}"#;
    let (batch, failures) = convert(&[full, "{}", r#"{"metrics":null,"flags":[],"place":{}}"#], false);
    let batch = batch.unwrap();
    assert_eq!(failures, [""; 0]);
    assert_eq!(batch.num_rows(), 3);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(column("name").as_string::<i32>().value(0), "a \"quoted\" ü");
    assert_eq!(column("seq").as_primitive::<Int64Type>().value(0), -9_007_199_254_740_993);
    assert_eq!(column("count").as_primitive::<Int32Type>().value(0), 7);
    assert_eq!(column("small").as_primitive::<Int16Type>().value(0), -300);
    assert_eq!(column("tiny").as_primitive::<Int8Type>().value(0), 5);
    assert_eq!(column("ratio").as_primitive::<Float32Type>().value(0), 1.5);
    assert_eq!(column("value").as_primitive::<Float64Type>().value(0), 0.1);
    assert!(column("ok").as_boolean().value(0));
    let flags = column("flags").as_list::<i32>();
    assert_eq!(flags.value(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("x"), None, Some("y")]);
    assert_eq!((flags.is_null(1), flags.value(2).len()), (true, 0));
    let metrics = column("metrics");
    assert!(matches!(metrics.data_type(), DataType::Map(..)), "{}", metrics.data_type());
    let metrics = metrics.as_map();
    assert_eq!((metrics.is_null(1), metrics.is_null(2)), (true, true));
    let first = metrics.value(0);
    assert_eq!(first.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["temp", "rpm", "n"]);
    let values = first.column(1).as_primitive::<Float64Type>();
    assert_eq!(values.iter().collect::<Vec<_>>(), [Some(21.5), None, Some(3.0)]);
    let place = column("place").as_struct();
    assert_eq!(place.column(1).as_primitive::<Int32Type>().value(0), 2);
    assert_eq!((place.is_null(1), place.is_null(2), place.column(0).is_null(2)), (true, false, true));
    let nested = column("nested").as_list::<i32>().value(0);
    assert_eq!(nested.as_map().value(0).column(1).as_list::<i32>().value(0).len(), 2);
    assert!(batch.columns().iter().all(|column| column.is_null(1)), "what is missing is null");
}

#[test]
fn a_map_reads_back_as_a_map_with_the_names_of_the_specification() {
    let converted = converter(COLUMNS, false, Compression::SNAPPY).convert(entries(&["{}"]));
    let reader = SerializedFileReader::new(converted.body.unwrap()).unwrap();
    let file = reader.metadata().file_metadata();
    assert_eq!(file.created_by(), Some(CREATED_BY));
    assert!(file.key_value_metadata().is_none(), "no hint of Arrow's types is in the file");
    let paths: Vec<String> = file.schema_descr().columns().iter().map(|column| column.path().string()).collect();
    assert!(paths.contains(&"metrics.key_value.key".to_owned()), "{paths:?}");
    assert!(paths.contains(&"flags.list.element".to_owned()), "{paths:?}");
}

#[test]
fn values_are_coerced_as_the_openx_deserializer_does() {
    let lenient = r#"{"name":5,"seq":"12","tiny":" 7 ","value":"2.5","ok":"TRUE","flags":"only",
        "metrics":{"a":"1.25"},"place":["s","3","more"]}"#;
    let (batch, failures) = convert(&[lenient, r#"{"name":{"A":[1,{"B":true}]},"flags":{"x":1}}"#], false);
    let batch = batch.unwrap();
    assert_eq!(failures, [""; 0]);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let names: Vec<_> = column("name").as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["5", r#"{"A":[1,{"B":true}]}"#]);
    assert_eq!(column("seq").as_primitive::<Int64Type>().value(0), 12);
    assert_eq!(column("tiny").as_primitive::<Int8Type>().value(0), 7);
    assert_eq!(column("value").as_primitive::<Float64Type>().value(0), 2.5);
    assert!(column("ok").as_boolean().value(0));
    assert_eq!(column("flags").as_list::<i32>().value(0).as_string::<i32>().value(0), "only");
    assert_eq!(column("flags").as_list::<i32>().value(1).as_string::<i32>().value(0), r#"{"x":1}"#);
    assert_eq!(column("metrics").as_map().value(0).column(1).as_primitive::<Float64Type>().value(0), 1.25);
    assert_eq!(column("place").as_struct().column(1).as_primitive::<Int32Type>().value(0), 3);
}

#[test]
fn a_record_that_does_not_fit_fails_alone_and_leaves_nothing() {
    const DATA: &str = "DataFormatConversion.MalformedData";
    const PARSE: &str = "DataFormatConversion.ParseError";
    let bad: [(&str, &str); 24] = [
        ("", DATA),
        (" \n", DATA),
        ("{", PARSE),
        ("not json", PARSE),
        (r#"{"name":"x"} trailing"#, PARSE),
        (r#"[{"seq":1}]"#, DATA),
        ("5", DATA),
        (r#"{"name":"x","flags":["y"],"metrics":{"m":1},"seq":"oops"}"#, DATA),
        (r#"{"seq":1.5}"#, DATA),
        (r#"{"seq":9223372036854775808}"#, DATA),
        (r#"{"count":2147483648}"#, DATA),
        (r#"{"tiny":128}"#, DATA),
        (r#"{"value":"oops"}"#, DATA),
        (r#"{"value":"NaN"}"#, DATA),
        (r#"{"value":true}"#, DATA),
        (r#"{"value":1e999}"#, DATA),
        (r#"{"ok":1}"#, DATA),
        (r#"{"ok":"maybe"}"#, DATA),
        (r#"{"metrics":[1]}"#, DATA),
        (r#"{"metrics":{"a":1,"b":"x"}}"#, DATA),
        (r#"{"metrics":{"a":1,"a":2}}"#, DATA),
        (r#"{"place":"s"}"#, DATA),
        (r#"{"nested":[{"k":[1]},{"k":["x"]}]}"#, DATA),
        (r#"{"seq":1,"seq":2}"#, DATA),
    ];
    for (record, code) in bad {
        let good = [r#"{"name":"before","metrics":{"a":1}}"#, record, r#"{"name":"after","flags":["f"]}"#];
        let (batch, failures) = convert(&good, false);
        assert_eq!(failures, [code], "{record}");
        let batch = batch.unwrap();
        let names: Vec<_> = batch.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(names, ["before", "after"], "{record}");
        assert_eq!(batch.column_by_name("metrics").unwrap().as_map().value(0).len(), 1);
        assert_eq!(batch.column_by_name("flags").unwrap().as_list::<i32>().value(1).len(), 1);
        assert_eq!(convert(&[record], false), (None, vec![code]), "{record}");
    }
}

#[test]
fn several_documents_in_one_record_are_several_rows() {
    let (batch, failures) =
        convert(&[r#"{"seq":1}{"seq":2}"#, "{\"seq\":3}\n{\"seq\":4}\n", r#"{"seq":5}{"seq":"x"}"#], false);
    assert_eq!(failures.len(), 1);
    let batch = batch.unwrap();
    let seqs: Vec<_> = batch.column(1).as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

#[test]
fn keys_are_lower_cased_only_when_case_does_not_matter() {
    let record = r#"{"NAME":"n","Metrics":{"TempC":1},"place":{"FLOOR":4,"Site":"s"}}"#;
    let floor = |batch: &RecordBatch| {
        let place = batch.column_by_name("place").unwrap().as_struct().clone();
        place.column(1).as_primitive::<Int32Type>().iter().next().unwrap()
    };
    let (batch, _) = convert(&[record], true);
    let batch = batch.unwrap();
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "n");
    assert_eq!(
        batch.column_by_name("metrics").unwrap().as_map().value(0).column(0).as_string::<i32>().value(0),
        "tempc"
    );
    assert_eq!(floor(&batch), Some(4));
    let (batch, _) = convert(&[record], false);
    let batch = batch.unwrap();
    assert!(batch.column(0).is_null(0) && batch.column_by_name("metrics").unwrap().is_null(0));
    assert_eq!(floor(&batch), None);
}

#[test]
fn every_compression_is_read_back_and_equal_records_give_equal_bytes() {
    let records: Vec<String> = (0..20_000).map(|n| format!(r#"{{"name":"d{}","seq":{n}}}"#, n % 97)).collect();
    for compression in [Compression::SNAPPY, Compression::GZIP(GzipLevel::default()), Compression::UNCOMPRESSED] {
        let bodies = [(); 2].map(|()| converter(COLUMNS, false, compression).convert(entries(&records)).body.unwrap());
        assert_eq!(bodies[0], bodies[1]);
        let batch = read(bodies[0].clone());
        let seqs = batch.column(1).as_primitive::<Int64Type>();
        assert!(seqs.values().iter().copied().eq(0..20_000), "{compression}");
    }
}
