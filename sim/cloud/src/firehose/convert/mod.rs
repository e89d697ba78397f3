//! JSON records to Parquet, by the schema of a Glue table.

mod columns;
mod errors;
mod hive;
mod json;
mod keys;
mod scalars;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use self::columns::Members;
pub(super) use self::errors::{Failure, error_object};
use self::hive::HiveType;
use super::buffer::Entry;
use super::config::Conversion;
use crate::core::ports::{Catalog, CatalogTable, Column};
use crate::core::{AwsError, Cx};

/// Rows are handed to the writer in chunks of at most this many.
const CHUNK_ROWS: usize = 8192;
/// And of about this many bytes of JSON.
const CHUNK_BYTES: usize = 8 << 20;
/// Written into each file.
const CREATED_BY: &str = "Amazon Data Firehose, simulated by Orrery";

/// Converts the records of one delivery stream.
pub(super) struct Converter {
    conversion: Conversion,
    table: Option<Table>,
}

/// A version of the table, ready to be filled.
struct Table {
    version_id: String,
    source: Vec<Column>,
    schema: SchemaRef,
    members: Members,
}

/// What a batch became.
pub(super) struct Converted {
    /// The file; nothing when no record converted.
    pub body: Option<Bytes>,
    /// Size of the records in the file, as JSON.
    pub read_bytes: u64,
    /// Size of the records that are not.
    pub failed_bytes: u64,
    pub failures: Vec<Failure>,
    /// The records in the file.
    pub entries: Vec<Entry>,
}

impl Converter {
    /// A converter that has not read its table yet.
    pub fn new(conversion: Conversion) -> Self {
        Converter { conversion, table: None }
    }

    /// What it was configured to do.
    pub fn conversion(&self) -> &Conversion {
        &self.conversion
    }

    /// Reads the table when the delivery stream is created, and answers as AWS does when it is not there or not to be read.
    pub fn check(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog) -> Result<(), AwsError> {
        self.refresh(cx, catalog).map_err(|error| match error.code {
            "EntityNotFoundException" => AwsError::new(
                "InvalidArgumentException",
                format!("Encountered an exception while accessing the table's schema: {error}"),
            ),
            "AccessDeniedException" => AwsError::new(
                "InvalidArgumentException",
                "Access was denied when calling Glue. Please ensure that the role specified in the data format \
                 conversion configuration has the necessary permissions.",
            ),
            _ => error,
        })
    }

    /// Reads the newest version of the table.
    pub fn refresh(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog) -> Result<(), AwsError> {
        let Conversion { role, database, table, .. } = &self.conversion;
        let mut cx = cx.acting_as(role);
        // Firehose reads versions of the table, and Glue asks for the catalog and the database beside it.
        for resource in ["catalog".to_owned(), format!("database/{database}"), format!("table/{database}/{table}")] {
            cx.authorize("glue:GetTableVersions", &cx.account.arn("glue", &resource))?;
        }
        let found = cx.called("glue", "GetTable", table, |cx| catalog.get_table(cx, database, table))?;
        let known = self.table.as_ref();
        if known.is_none_or(|known| known.version_id != found.version_id || known.source != found.columns) {
            self.table = Some(Table::new(&found, self.conversion.reading.lower_case)?);
        }
        Ok(())
    }

    /// Converts records by the version of the table that was read last.
    ///
    /// # Panics
    /// When no version was read yet.
    pub fn convert(&mut self, entries: Vec<Entry>) -> Converted {
        const WRITES: &str = "columns match the schema, and writing to memory does not fail";
        let Table { schema, members, .. } =
            self.table.as_mut().expect("the table is read before records are converted");
        let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
        let options = options.with_properties(properties(&self.conversion));
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).expect(WRITES);
        let mut converted =
            Converted { body: None, read_bytes: 0, failed_bytes: 0, failures: Vec::new(), entries: Vec::new() };
        let mut chunk_bytes = 0;
        let mut flush = |members: &mut Members| {
            if members.rows > 0 {
                let batch = RecordBatch::try_new(schema.clone(), members.finish()).expect(WRITES);
                writer.write(&batch).expect(WRITES);
            }
        };
        for entry in entries {
            let size = entry.data.len();
            match json::append(&entry.data, members, &self.conversion.reading) {
                Ok(()) => {
                    converted.read_bytes += size as u64;
                    chunk_bytes += size;
                    converted.entries.push(entry);
                }
                Err(json::Malformed { code, message }) => {
                    converted.failed_bytes += size as u64;
                    converted.failures.push(Failure { entry, code, message });
                }
            }
            if members.rows >= CHUNK_ROWS || chunk_bytes >= CHUNK_BYTES {
                flush(members);
                chunk_bytes = 0;
            }
        }
        flush(members);
        if converted.read_bytes > 0 {
            converted.body = Some(writer.into_inner().expect(WRITES).into());
        }
        converted
    }
}

impl Table {
    fn new(found: &CatalogTable, lower_case: bool) -> Result<Self, AwsError> {
        let mut columns = Vec::with_capacity(found.columns.len());
        for Column { name, hive_type } in &found.columns {
            let parsed = HiveType::parse(hive_type).map_err(|what| {
                AwsError::not_modelled(format!("{what} of the column {}.{}.{name}", found.database, found.name))
            })?;
            columns.push((name.clone(), parsed));
        }
        if columns.is_empty() {
            let message = format!("the table {}.{} has no columns", found.database, found.name);
            return Err(AwsError::new("InvalidArgumentException", message));
        }
        let members = Members::new(&columns, lower_case);
        let schema = Arc::new(Schema::new(members.fields().clone()));
        Ok(Table { version_id: found.version_id.clone(), source: found.columns.clone(), schema, members })
    }
}

/// As it was configured; Firehose's defaults are no dictionaries, and row groups of 256 MiB.
fn properties(conversion: &Conversion) -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(conversion.version)
        .set_compression(conversion.compression)
        .set_dictionary_enabled(conversion.dictionary)
        .set_data_page_size_limit(conversion.page_bytes)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(Some(conversion.row_group_bytes))
        .build()
}
