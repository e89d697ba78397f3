//! The error output of a format conversion: one JSON document a line (the separation is unverified), in the schema of
//! the guide's "Handling errors for data format conversion".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use super::super::buffer::Entry;
use super::super::config::Conversion;
use crate::core::Cx;
use crate::core::ports::render_sequence_number;

/// A record that did not convert.
pub(in crate::firehose) struct Failure {
    pub entry: Entry,
    pub code: &'static str,
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    attempts_made: u32,
    arrival_timestamp: u64,
    last_error_code: &'a str,
    last_error_message: &'a str,
    attempt_ending_timestamp: u64,
    raw_data: String,
    sequence_number: String,
    sub_sequence_number: u64,
    data_catalog_table: &'a DataCatalogTable<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DataCatalogTable<'a> {
    catalog_id: &'a str,
    database_name: &'a str,
    table_name: &'a str,
    region: &'a str,
    version_id: &'a str,
    catalog_arn: Option<&'a str>,
}

/// The object that holds `failures`.
pub(in crate::firehose) fn error_object(failures: &[Failure], conversion: &Conversion, cx: &Cx<'_>) -> Bytes {
    let table = DataCatalogTable {
        catalog_id: &cx.account.id,
        database_name: &conversion.database,
        table_name: &conversion.table,
        region: &cx.account.region,
        version_id: "LATEST",
        catalog_arn: None,
    };
    let mut body = Vec::new();
    for failure in failures {
        let line = Line {
            attempts_made: 1,
            arrival_timestamp: failure.entry.arrival.unix_millis(),
            last_error_code: failure.code,
            last_error_message: &failure.message,
            attempt_ending_timestamp: cx.now.unix_millis(),
            raw_data: STANDARD.encode(&failure.entry.data),
            sequence_number: render_sequence_number(failure.entry.sequence_number),
            sub_sequence_number: failure.entry.sub_sequence_number.into(),
            data_catalog_table: &table,
        };
        serde_json::to_writer(&mut body, &line).expect("writing text to memory does not fail");
        body.push(b'\n');
    }
    body.into()
}
