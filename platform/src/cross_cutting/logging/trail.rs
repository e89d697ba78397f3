//! The trail: who did what in the account.

use super::groups;
use crate::cross_cutting::security;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::cloudtrail::Trail;
use crate::template::iam::{Role, allow};
use crate::template::s3::{Bucket, BucketPolicy};
use crate::template::{Expr, Handle, Judge, Template};

/// What the trail is called inside an environment.
const TRAIL: &str = "audit";

/// ARN of the trail, which its bucket and its key name before it exists.
pub fn trail_arn(naming: Naming<'_>) -> Expr {
    Expr::arn("cloudtrail", format!("trail/{}", naming.name(TRAIL)))
}

/// Adds the trail, its log group and the role that writes there.
pub(super) fn add(
    template: &mut Template,
    settings: &Settings,
    key: &Expr,
    (bucket, policy): (&Handle<Bucket>, &Handle<BucketPolicy>),
) {
    let naming = Naming::new(settings);
    let days = settings.retention.log_days;
    let group = groups::add_group(template, "TrailLogs", groups::platform_log_group(naming, "trail"), days, key);
    let write = allow(["logs:CreateLogStream", "logs:PutLogEvents"], [group.arn()]);
    let role = Role::for_service(naming.role("trail"), "cloudtrail.amazonaws.com", [("write-logs", vec![write])])
        .described("Writes the events of the trail to its log group")
        .bounded_by(security::Outputs::new(naming).boundary_arn.read())
        .for_this_account_only()
        .for_source(trail_arn(naming));
    let role = template.add("TrailRole", role);
    let trail = Trail {
        trail_name: naming.name(TRAIL),
        is_logging: true,
        is_multi_region_trail: settings.trail_in_all_regions(),
        include_global_service_events: true,
        enable_log_file_validation: true,
        s3_bucket_name: bucket.name(),
        kms_key: key.clone(),
        cloud_watch_logs_log_group_arn: group.arn(),
        cloud_watch_logs_role_arn: role.arn(),
    };
    let trail = template.add("Trail", trail);
    // CloudTrail tries to write before it makes a trail.
    template.make_after(&trail, policy);
    if !settings.trail_in_all_regions() {
        let reason =
            "One trail of all Regions is enough in an account: which, the setting security.trail_in_all_regions says";
        template.explain(&trail, Judge::Checkov, "CKV_AWS_67", reason);
    }
}
