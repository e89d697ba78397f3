//! What the stack DataLake owns: the raw, the processed and the curated bucket, the Glue database with its tables, the
//! Firehose deliveries from the streams, and the curation with its schedule.

use super::curation::{self, CURATED_TABLE};
use super::delivery;
use super::tables::{self, PROCESSED_TABLE, RAW_TABLE};
use crate::declare::{DataBucket, add_bucket};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::s3::{Bucket, LifecycleRule};
use crate::template::{Expr, Handle, Published, Template, glue};
use crate::transform::enrichment;

/// Name of the stack inside an environment.
pub const STACK: &str = "data-lake";

/// What the stack publishes for later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the bucket of raw readings.
    pub raw_bucket_name: Published,
    /// Name of the bucket of processed readings, anomalies and what was refused.
    pub processed_bucket_name: Published,
    /// Name of the bucket of curated readings.
    pub curated_bucket_name: Published,
    /// Name of the Glue database.
    pub database_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            raw_bucket_name: naming.published(STACK, "raw-bucket-name"),
            processed_bucket_name: naming.published(STACK, "processed-bucket-name"),
            curated_bucket_name: naming.published(STACK, "curated-bucket-name"),
            database_name: naming.published(STACK, "database-name"),
        }
    }
}

/// The lake's buckets.
pub(super) struct Buckets {
    pub raw: Handle<Bucket>,
    pub processed: Handle<Bucket>,
    pub curated: Handle<Bucket>,
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::of_stack(settings, STACK, "Store: the lake, its tables, what fills it and what curates it.");
    let buckets = add_buckets(&mut template, settings);
    let database = glue::Database::new(naming.identifier("lake"), "Readings of all tenants");
    let database = template.add_data("Database", database);
    template.add_data("RawTable", tables::raw(settings, &database, &buckets.raw));
    template.add_data("AnomaliesTable", tables::anomalies(settings, &database, &buckets.processed));
    let processed = template.add_data("ProcessedTable", tables::processed(settings, &database, &buckets.processed));
    let curated = template.add_data("CuratedTable", tables::curated(settings, &database, &buckets.curated));
    delivery::add_raw(&mut template, settings, &buckets.raw);
    delivery::add_processed(&mut template, settings, &buckets.processed, &database, &processed);
    curation::add(&mut template, settings, &buckets, &database, [&processed, &curated]);
    template.publish(&outputs.raw_bucket_name, "Bucket of raw readings", buckets.raw.name());
    template.publish(&outputs.processed_bucket_name, "Bucket of processed readings", buckets.processed.name());
    template.publish(&outputs.curated_bucket_name, "Bucket of curated readings", buckets.curated.name());
    template.publish(&outputs.database_name, "Database of the lake's tables", database.name());
    template
}

/// Everything in a bucket ends after the same time: readings, and what went wrong with readings of that time.
fn add_buckets(template: &mut Template, settings: &Settings) -> Buckets {
    let naming = Naming::new(settings);
    let keep = settings.retention;
    let mut bucket = |id, what, name: Expr, lifecycle| {
        add_bucket(template, settings, DataBucket { id, name, what, lifecycle, unversioned: None })
    };
    let end = |days| vec![LifecycleRule::expire("end-of-retention", days)];
    let curated = vec![
        LifecycleRule::expire("end-of-retention", keep.curated_days).below(format!("{CURATED_TABLE}/")),
        LifecycleRule::expire("end-of-results", curation::RESULTS_DAYS).below(format!("{}/", curation::RESULTS)),
    ];
    Buckets {
        raw: bucket("RawBucket", RAW_TABLE, naming.bucket("raw"), end(keep.raw_days)),
        processed: bucket(
            "ProcessedBucket",
            PROCESSED_TABLE,
            enrichment::quarantine_bucket(naming),
            end(keep.processed_days),
        ),
        curated: bucket("CuratedBucket", CURATED_TABLE, naming.bucket("curated"), curated),
    }
}
