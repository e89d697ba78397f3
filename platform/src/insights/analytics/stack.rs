//! What the stack Analytics owns: the workgroup with its scan limit, the bucket of results, and the named queries.

use super::queries;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::store::data_lake;
use crate::template::athena::{NamedQuery, ResultConfiguration, WorkGroup, WorkGroupConfiguration};
use crate::template::{Expr, Published, Retention, Template, s3};

/// Name of the stack inside an environment.
pub const STACK: &str = "analytics";

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
    let mut template = Template::new("Insights: queries on the lake.", settings.retention());
    let results = template.add_data("ResultsBucket", s3::Bucket::private(naming.bucket("results")));
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
    template.publish(&outputs.workgroup_name, "Workgroup of queries on the lake", workgroup.name());
    template.publish(&outputs.results_bucket_name, "Bucket of query results", results.name());
    template
}
