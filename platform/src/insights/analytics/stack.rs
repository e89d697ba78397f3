//! What the stack Analytics owns: the workgroup with its scan limit, the bucket of results, and the named queries.

use super::queries;
use crate::declare::{DataBucket, add_bucket, data_key};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::store::data_lake;
use crate::template::athena::{NamedQuery, ResultConfiguration, ResultEncryption, WorkGroup, WorkGroupConfiguration};
use crate::template::s3::LifecycleRule;
use crate::template::{Expr, Published, Retention, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "analytics";

/// How long results are kept.
const RESULTS_DAYS: u32 = 14;

/// What the stack publishes for those who query.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the workgroup.
    pub workgroup_name: Published,
    /// Name of the bucket of results.
    pub results_bucket_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            workgroup_name: naming.published(STACK, "workgroup-name"),
            results_bucket_name: naming.published(STACK, "results-bucket-name"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let database = data_lake::Outputs::new(naming).database_name;
    let mut template = Template::of_stack(settings, STACK, "Insights: queries on the lake.");
    let results = DataBucket {
        id: "ResultsBucket",
        name: naming.bucket("results"),
        what: "results",
        lifecycle: vec![LifecycleRule::expire("end-of-results", RESULTS_DAYS)],
        unversioned: Some("Results are written once under the id of their query, and asking again makes them again."),
    };
    let results = add_bucket(&mut template, settings, results);
    let workgroup = template.add(
        "WorkGroup",
        WorkGroup {
            name: naming.name("analytics"),
            description: "Queries on the lake, with a limit of what one may scan",
            state: "ENABLED",
            recursive_delete_option: settings.retention() == Retention::Delete,
            work_group_configuration: WorkGroupConfiguration {
                enforce_work_group_configuration: true,
                publish_cloud_watch_metrics_enabled: true,
                scan_limit_bytes: settings.athena_scan_limit_bytes,
                result_configuration: ResultConfiguration {
                    output_location: Expr::concat(["s3://".into(), results.name(), "/athena/".into()]),
                    encryption_configuration: ResultEncryption::by(data_key(naming)),
                },
            },
        },
    );
    let named = |name: &str, description, query_string| NamedQuery {
        name: naming.name(name),
        description,
        database: database.read(),
        work_group: workgroup.name(),
        query_string,
    };
    let per_hour = "Readings of the last day by tenant and hour, each counted once";
    template.add("ReadingsPerHour", named("readings-per-hour", per_hour, queries::readings_per_hour()));
    let last_seen = "When each device of the last day was last heard of, the most silent first";
    template.add("DeviceLastSeen", named("device-last-seen", last_seen, queries::device_last_seen()));
    let flagged = "Readings of the last day with a flag, by device: clocks that are wrong, units that nobody declared";
    template.add("FlaggedReadings", named("flagged-readings", flagged, queries::flagged_readings()));
    let daily = "Curated readings of the last 30 days by tenant, device and day";
    template.add("ReadingsPerDay", named("readings-per-day", daily, queries::readings_per_day()));
    template.publish(&outputs.workgroup_name, "Workgroup of queries on the lake", workgroup.name());
    template.publish(&outputs.results_bucket_name, "Bucket of query results", results.name());
    template
}
