//! What the stack Logging owns: log groups, the trail, the audit bucket, the bucket of access logs, and that of what rules
//! could not hand over.

use super::{buckets, groups, trail};
use crate::cross_cutting::security;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::{Published, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "logging";

/// What the stack publishes for all later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the bucket that takes the access logs of all other buckets.
    pub access_logs_bucket_name: Published,
    /// Name of the bucket of audit records.
    pub audit_bucket_name: Published,
    /// Name of the bucket that takes what the actions of rules could not hand over.
    pub rule_errors_bucket_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            access_logs_bucket_name: naming.published(STACK, "access-logs-bucket-name"),
            audit_bucket_name: naming.published(STACK, "audit-bucket-name"),
            rule_errors_bucket_name: naming.published(STACK, "rule-errors-bucket-name"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let key = security::Outputs::new(naming).logs_key_arn.read();
    let description = "Foundation: log groups, the trail, audit records, access logs, errors of rules.";
    let mut template = Template::of_stack(settings, STACK, description);
    groups::add_all(&mut template, settings, &key);
    let access_logs = buckets::add_access_logs(&mut template, settings);
    let (audit, policy) = buckets::add_audit(&mut template, settings, key.clone(), &access_logs);
    let rule_errors = buckets::add_rule_errors(&mut template, settings, key.clone(), &access_logs);
    trail::add(&mut template, settings, &key, (&audit, &policy));
    template.publish(&outputs.access_logs_bucket_name, "Bucket of access logs", access_logs.name());
    template.publish(&outputs.audit_bucket_name, "Bucket of audit records", audit.name());
    template.publish(&outputs.rule_errors_bucket_name, "Bucket of errors of rules", rule_errors.name());
    template
}
