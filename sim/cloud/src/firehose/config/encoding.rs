//! How records become an object.

use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterVersion;

use super::invalid;
use crate::core::{AwsError, Cx, Principal};
use crate::firehose::properties::{Deserializer, Destination, FormatConversion, OpenX, ParquetSerDe};
use crate::iot::sql::time::EpochPattern;

/// How records become an object.
pub(in crate::firehose) enum Encoding {
    /// One after the other.
    Plain,
    /// The same, as one gzip member.
    Gzip,
    /// The same, as the one file of a ZIP archive.
    Zip,
    /// The same, in the blocks of snappy-java.
    Snappy,
    /// The same, in the blocks of Hadoop.
    HadoopSnappy,
    /// Parquet.
    Parquet(Conversion),
}

impl Encoding {
    /// The end of an object's name. That Hadoop's Snappy ends like the other one comes from another emulator that says it
    /// probed AWS; the guide says `.hsnappy`.
    pub fn extension(&self) -> &'static str {
        match self {
            Encoding::Plain => "",
            Encoding::Gzip => ".gz",
            Encoding::Zip => ".zip",
            Encoding::Snappy | Encoding::HadoopSnappy => ".snappy",
            Encoding::Parquet(_) => ".parquet",
        }
    }
}

/// JSON to Parquet by the schema of a table.
#[derive(Clone)]
pub(in crate::firehose) struct Conversion {
    pub role: Principal,
    pub database: String,
    pub table: String,
    pub reading: Reading,
    pub compression: Compression,
    pub row_group_bytes: usize,
    pub page_bytes: usize,
    pub dictionary: bool,
    pub version: WriterVersion,
}

/// How JSON is read.
#[derive(Clone, Debug, Default)]
pub(in crate::firehose) struct Reading {
    /// Whether keys are lower-cased before they are looked up.
    pub lower_case: bool,
    /// Whether it is the Hive deserializer, not OpenX.
    pub is_hive: bool,
    /// Patterns that a text of a timestamp may have, beside the usual forms.
    pub patterns: Vec<EpochPattern>,
    /// Whether a number may be a timestamp in milliseconds.
    pub millis: bool,
}

/// How objects are written: in a compression, or converted.
pub(super) fn encoding(format: &str, conversion: Option<Conversion>) -> Result<Encoding, AwsError> {
    match (format, conversion) {
        ("UNCOMPRESSED", Some(conversion)) => Ok(Encoding::Parquet(conversion)),
        (_, Some(_)) => Err(invalid(
            "CompressionFormat must be UNCOMPRESSED when data format conversion is enabled: the serializer compresses",
        )),
        ("UNCOMPRESSED", None) => Ok(Encoding::Plain),
        ("GZIP", None) => Ok(Encoding::Gzip),
        ("ZIP", None) => Ok(Encoding::Zip),
        ("Snappy", None) => Ok(Encoding::Snappy),
        ("HADOOP_SNAPPY", None) => Ok(Encoding::HadoopSnappy),
        (other, None) => Err(AwsError::new("ValidationException", format!("{other} is not a compression format"))),
    }
}

/// The format conversion of a destination, if it is enabled.
pub(super) fn conversion(cx: &Cx<'_>, described: &Destination) -> Result<Option<Conversion>, AwsError> {
    let given = described.data_format_conversion_configuration.as_ref().filter(|given| given.enabled);
    given.map(|given| enabled(cx, given)).transpose()
}

fn enabled(cx: &Cx<'_>, given: &FormatConversion) -> Result<Conversion, AwsError> {
    let (Some(schema), Some(input), Some(output)) =
        (&given.schema_configuration, &given.input_format_configuration, &given.output_format_configuration)
    else {
        return Err(invalid("data format conversion needs a schema, an input format and an output format"));
    };
    if schema.catalog_id.as_ref().is_some_and(|id| *id != cx.account.id) {
        return Err(AwsError::not_modelled("a schema in the catalog of another account"));
    }
    if schema.region.as_ref().is_some_and(|region| *region != cx.account.region) {
        return Err(AwsError::not_modelled("a schema in another region"));
    }
    if schema.version_id.as_ref().is_some_and(|version| version != "LATEST") {
        return Err(AwsError::not_modelled("a schema of a fixed VersionId"));
    }
    let out = &output.serializer.parquet;
    let sizes = sizes(out)?;
    let compression = match out.compression.as_deref().unwrap_or("SNAPPY") {
        "SNAPPY" => Compression::SNAPPY,
        "GZIP" => Compression::GZIP(GzipLevel::default()),
        "UNCOMPRESSED" => Compression::UNCOMPRESSED,
        other => return Err(AwsError::new("ValidationException", format!("{other} is not a Parquet compression"))),
    };
    let version = match out.writer_version.as_deref().unwrap_or("V1") {
        "V1" => WriterVersion::PARQUET_1_0,
        "V2" => WriterVersion::PARQUET_2_0,
        other => return Err(AwsError::new("ValidationException", format!("{other} is not a WriterVersion"))),
    };
    Ok(Conversion {
        role: Principal::new(schema.role_arn.clone()),
        database: schema.database_name.clone(),
        table: schema.table_name.clone(),
        reading: reading(&input.deserializer)?,
        compression,
        row_group_bytes: sizes.0,
        page_bytes: sizes.1,
        dictionary: out.enable_dictionary_compression.unwrap_or(false),
        version,
    })
}

/// Bytes of a row group (`BlockSizeBytes`, 256 MiB by default) and of a page (1 MiB).
fn sizes(given: &ParquetSerDe) -> Result<(usize, usize), AwsError> {
    let block = given.block_size_bytes.unwrap_or(256 << 20);
    let page = given.page_size_bytes.unwrap_or(1 << 20);
    if block < 64 << 20 || page < 64 << 10 {
        let message = "BlockSizeBytes must be at least 67108864, and PageSizeBytes at least 65536";
        return Err(AwsError::new("ValidationException", message));
    }
    Ok((block, page))
}

fn reading(given: &Deserializer) -> Result<Reading, AwsError> {
    match (&given.open_x, &given.hive) {
        (Some(OpenX { case_insensitive }), None) => {
            Ok(Reading { lower_case: case_insensitive.unwrap_or(true), ..Reading::default() })
        }
        (None, Some(hive)) => {
            let mut reading = Reading { lower_case: true, is_hive: true, ..Reading::default() };
            for format in hive.timestamp_formats.iter().flatten() {
                if format == "millis" {
                    reading.millis = true;
                    continue;
                }
                let pattern = EpochPattern::parse(format).map_err(|refused| {
                    let message = format!("the timestamp format {format:?}: {}", refused.why);
                    if refused.not_modelled { AwsError::not_modelled(message) } else { invalid(message) }
                })?;
                reading.patterns.push(pattern);
            }
            Ok(reading)
        }
        _ => Err(invalid("a Deserializer is either OpenXJsonSerDe or HiveJsonSerDe")),
    }
}
