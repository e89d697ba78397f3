//! What the stack Security owns: keys, their aliases, the permissions boundary, compliance rules.

use super::{boundary, compliance, keys};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::kms::{Alias, Key};
use crate::template::{Published, Retention, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "security";

/// What the stack publishes for all other stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the key that encrypts data: streams, buckets, tables, topics.
    pub data_key_arn: Published,
    /// ARN of the key that encrypts logs: log groups, the trail, the audit bucket.
    pub logs_key_arn: Published,
    /// ARN of the managed policy that is the permissions boundary of every role of the platform.
    pub boundary_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            data_key_arn: naming.published(STACK, "data-key-arn"),
            logs_key_arn: naming.published(STACK, "logs-key-arn"),
            boundary_arn: naming.published(STACK, "boundary-arn"),
        }
    }
}

/// How long a key can be saved after its deletion was asked for: the most where data is kept, the least elsewhere (API
/// reference, `ScheduleKeyDeletion`).
fn pending_days(settings: &Settings) -> u32 {
    match settings.retention() {
        Retention::Retain => 30,
        Retention::Delete => 7,
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let description = "Foundation: keys, the boundary of what roles may do, and compliance rules.";
    let mut template = Template::of_stack(settings, STACK, description);
    // A key is kept with the data that it encrypts: without it the data is lost.
    let days = pending_days(settings);
    let data = Key::rotating("Encrypts readings and what is derived from them", days, keys::data_policy(settings));
    let data = template.add_data("DataKey", data);
    let logs = Key::rotating("Encrypts logs and audit records", days, keys::logs_policy(settings));
    let logs = template.add_data("LogsKey", logs);
    for (logical_id, key, name) in [("DataKeyAlias", &data, "data"), ("LogsKeyAlias", &logs, "logs")] {
        template.add(logical_id, Alias { alias_name: format!("alias/{}", naming.name(name)), target_key_id: key.id() });
    }
    let boundary = template.add("Boundary", boundary::policy(settings, &[data.arn(), logs.arn()]));
    if settings.security.compliance_rules {
        compliance::add_rules(&mut template, settings);
    }
    template.publish(&outputs.data_key_arn, "Key of data", data.arn());
    template.publish(&outputs.logs_key_arn, "Key of logs", logs.arn());
    template.publish(&outputs.boundary_arn, "Permissions boundary of every role", boundary.arn());
    template
}
