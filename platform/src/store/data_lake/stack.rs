//! What the stack DataLake owns: the raw and the processed bucket, the Glue database with its tables, and the Firehose
//! deliveries from the streams.

use super::{delivery, tables};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::{Published, Template, glue, s3};
use crate::transform::{enrichment, streaming};

/// Name of the stack inside an environment.
pub const STACK: &str = "data-lake";

/// What the stack publishes for later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the bucket of raw readings.
    pub raw_bucket_name: Published,
    /// Name of the bucket of processed readings.
    pub processed_bucket_name: Published,
    /// Name of the Glue database.
    pub database_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            raw_bucket_name: naming.published(STACK, "raw-bucket-name"),
            processed_bucket_name: naming.published(STACK, "processed-bucket-name"),
            database_name: naming.published(STACK, "database-name"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::new("Store: the lake, its tables and the deliveries that fill it.", settings.retention());
    let raw = template.add_data("RawBucket", s3::Bucket::private(streaming::raw_bucket(naming)));
    let processed = template.add_data("ProcessedBucket", s3::Bucket::private(enrichment::quarantine_bucket(naming)));
    let database = glue::Database::new(naming.identifier("lake"), "Readings of all tenants");
    let database = template.add_data("Database", database);
    template.add_data("RawTable", tables::raw(settings, &database, &raw));
    let table = template.add_data("ProcessedTable", tables::processed(settings, &database, &processed));
    delivery::add_raw(&mut template, settings, &raw);
    delivery::add_processed(&mut template, settings, &processed, &database, &table);
    template.publish(&outputs.raw_bucket_name, "Bucket of raw readings", raw.name());
    template.publish(&outputs.processed_bucket_name, "Bucket of processed readings", processed.name());
    template.publish(&outputs.database_name, "Database of the lake's tables", database.name());
    template
}
