//! What the curation adds to the stack DataLake: its workgroup, its function and its schedule.

use std::collections::BTreeMap;

use super::CURATED_TABLE;
use super::handler::{DATABASE, HANDLER, STREAM_RETENTION_HOURS, WORKGROUP};
use crate::declare::{FunctionSpec, ScheduleSpec, add_function, add_schedule, data_key, encrypt_and_decrypt};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::store::data_lake::PROCESSED_TABLE;
use crate::store::data_lake::stack::Buckets;
use crate::template::athena::{ResultConfiguration, ResultEncryption, WorkGroup, WorkGroupConfiguration};
use crate::template::iam::{Statement, allow};
use crate::template::{Expr, Handle, Template, glue};

/// Prefix of the results of the curation's statements, in the curated bucket.
pub(in crate::store::data_lake) const RESULTS: &str = "athena";
/// How long these results are kept. They hold no readings: only what a statement had to say.
pub(in crate::store::data_lake) const RESULTS_DAYS: u32 = 7;

/// Adds the workgroup, the function and the schedule. `tables` are those that are read or written.
pub(in crate::store::data_lake) fn add(
    template: &mut Template,
    settings: &Settings,
    buckets: &Buckets,
    database: &Handle<glue::Database>,
    tables: [&Handle<glue::Table>; 2],
) {
    let naming = Naming::new(settings);
    let workgroup = template.add(
        "CurationWorkGroup",
        WorkGroup {
            name: naming.name("curation"),
            description: "Statements of the curation, with a limit of what one may scan",
            state: "ENABLED",
            // Its history is what its results say; the function makes no named queries.
            recursive_delete_option: true,
            work_group_configuration: WorkGroupConfiguration {
                enforce_work_group_configuration: true,
                publish_cloud_watch_metrics_enabled: true,
                scan_limit_bytes: settings.curation.scan_limit_bytes,
                result_configuration: ResultConfiguration {
                    output_location: Expr::concat([
                        "s3://".into(),
                        buckets.curated.name(),
                        format!("/{RESULTS}/").into(),
                    ]),
                    encryption_configuration: ResultEncryption::by(data_key(naming)),
                },
            },
        },
    );
    let spec = FunctionSpec {
        id: "Curation",
        handler: HANDLER,
        description: "Writes each reading of an hour once into the curated table",
        memory_mib: 256,
        timeout_s: 900,
        // Statements at the same time would not see each other's rows.
        reserved_concurrency: Some(1),
        variables: BTreeMap::from([
            (DATABASE, database.name()),
            (WORKGROUP, workgroup.name()),
            (STREAM_RETENTION_HOURS, settings.stream_retention_hours.to_string().into()),
        ]),
        policies: policies(naming, buckets, &workgroup, database, tables),
        no_dead_letters: "The schedule runs it every hour, and each run looks at the last hours again; an alarm tells of a \
                          failure.",
    };
    let function = add_function(template, settings, spec);
    let schedule = ScheduleSpec {
        name: "curation",
        description: "Runs the curation",
        expression: &settings.curation.schedule,
        enabled: settings.curation.enabled,
    };
    add_schedule(template, settings, &function, &schedule);
}

/// What the statements need: Athena reads and writes as the principal that started them (Athena guide, "Identity and access
/// management").
fn policies(
    naming: Naming<'_>,
    buckets: &Buckets,
    workgroup: &Handle<WorkGroup>,
    database: &Handle<glue::Database>,
    tables: [&Handle<glue::Table>; 2],
) -> Vec<(&'static str, Vec<Statement>)> {
    let workgroup = Expr::arn("athena", Expr::from("workgroup/").then(workgroup.name()));
    let database_arn = Expr::arn("glue", Expr::from("database/").then(database.name()));
    let [read, written] = tables
        .map(|table| Expr::arn("glue", Expr::concat(["table/".into(), database.name(), "/".into(), table.name()])));
    let catalog = Expr::arn("glue", "catalog");
    let below = |bucket: &Expr, prefix: &str| bucket.clone().then(format!("/{prefix}/*"));
    let (processed, curated) = (buckets.processed.arn(), buckets.curated.arn());
    vec![
        ("run-statements", vec![allow(["athena:GetQueryExecution", "athena:StartQueryExecution"], [workgroup])]),
        (
            "read-catalog",
            vec![
                allow(
                    ["glue:GetDatabase", "glue:GetTable"],
                    [catalog.clone(), database_arn.clone(), read, written.clone()],
                ),
                // Athena looks for this database before any query (Athena guide, "Access to databases and tables").
                allow(["glue:GetDatabase"], [Expr::arn("glue", "database/default")]),
            ],
        ),
        // INSERT looks for the partitions that it writes to, and registers them, though projection needs none of them.
        (
            "register-partitions",
            vec![allow(
                ["glue:BatchCreatePartition", "glue:GetPartition", "glue:GetPartitions", "glue:UpdatePartition"],
                [catalog, database_arn, written],
            )],
        ),
        (
            "read-processed",
            vec![
                allow(["s3:GetBucketLocation", "s3:ListBucket"], [processed.clone()]),
                allow(["s3:GetObject"], [below(&processed, PROCESSED_TABLE)]),
            ],
        ),
        (
            "write-curated",
            vec![
                allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [curated.clone()]),
                allow(
                    ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                    [below(&curated, CURATED_TABLE), below(&curated, RESULTS)],
                ),
            ],
        ),
        ("use-key", vec![encrypt_and_decrypt(naming, &["s3"])]),
    ]
}
