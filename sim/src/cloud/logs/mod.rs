//! CloudWatch Logs: log groups, as far as the functions that write to them need to know.
//!
//! Modelled: `AWS::Logs::LogGroup` with its name, retention, class and key; its changes and its deletion. Partly modelled:
//! log lines are not kept, so retention, class and key change nothing and the key is not used. Refused: every operation,
//! every other property, and every other type.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::core::ports::LogGroups;
use super::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// Days for which lines can be kept (API reference, `PutRetentionPolicy`).
const RETENTION_DAYS: [u64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// Longest name of a group (API reference, `CreateLogGroup`).
const NAME_MAX: usize = 512;

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    /// For how many days lines are kept; for ever when absent.
    pub retention_days: Option<u64>,
    /// ARN of the key that encrypts its lines.
    pub kms_key_id: Option<String>,
}

/// The log groups of the account.
#[derive(Debug, Default)]
pub struct Logs {
    groups: BTreeMap<String, LogGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    log_group_name: String,
    retention_in_days: Option<u64>,
    kms_key_id: Option<String>,
    log_group_class: Option<String>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

impl Logs {
    /// An account without log groups.
    pub fn new() -> Self {
        Logs::default()
    }

    /// A log group by its name.
    pub fn group(&self, name: &str) -> Option<&LogGroup> {
        self.groups.get(name)
    }

    /// Creates `AWS::Logs::LogGroup`. `Ref` is the name; attribute `Arn`, which ends with `:*`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (name, group) = read(resource)?;
        if self.groups.contains_key(&name) {
            let message = "The specified log group already exists";
            return Err(AwsError::new("ResourceAlreadyExistsException", message));
        }
        self.groups.insert(name.clone(), group);
        cx.meter.call("logs", "CreateLogGroup", Outcome::Ok);
        Ok(provisioned(cx, name))
    }

    /// Changes a log group in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _: &Value,
    ) -> Result<Provisioned, AwsError> {
        let (_, group) = read(resource)?;
        let missing = || AwsError::new("ResourceNotFoundException", "The specified log group does not exist.");
        *self.groups.get_mut(physical_id).ok_or_else(missing)? = group;
        cx.meter.call("logs", "PutRetentionPolicy", Outcome::Ok);
        Ok(provisioned(cx, physical_id.to_owned()))
    }

    /// Deletes a log group.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        if resource.kind != "AWS::Logs::LogGroup" {
            return Err(AwsError::not_modelled(format!("deleting a resource of type {}", resource.kind)));
        }
        self.groups.remove(physical_id);
        cx.meter.call("logs", "DeleteLogGroup", Outcome::Ok);
        Ok(())
    }
}

impl LogGroups for Logs {
    fn has_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }
}

fn provisioned(cx: &Cx<'_>, name: String) -> Provisioned {
    let arn = cx.account.arn("logs", &format!("log-group:{name}:*"));
    Provisioned::new(name).attribute("Arn", arn)
}

fn read(resource: &Resource) -> Result<(String, LogGroup), AwsError> {
    if resource.kind != "AWS::Logs::LogGroup" {
        return Err(resource.refuse("this resource type is not modelled"));
    }
    let properties: Properties = resource.parse()?;
    let name = properties.log_group_name;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits) {
        return Err(resource.refuse(format!("LogGroupName has 1 to {NAME_MAX} of the characters a-zA-Z0-9._-/#")));
    }
    if properties.retention_in_days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
        return Err(resource.refuse(format!("RetentionInDays is one of {RETENTION_DAYS:?}")));
    }
    if properties.log_group_class.as_deref().is_some_and(|class| class != "STANDARD") {
        return Err(resource.refuse("LogGroupClass other than STANDARD is not modelled"));
    }
    Ok((name, LogGroup { retention_days: properties.retention_in_days, kms_key_id: properties.kms_key_id }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cloud::core::Principal;
    use crate::cloud::core::cx::CxParts;
    use crate::world::seed::Seed;
    use crate::world::time::Time;
    use crate::world::trace::Trace;

    fn group(properties: Value) -> Resource {
        let kind = "AWS::Logs::LogGroup".to_owned();
        Resource { stack: "stack".to_owned(), logical_id: "Group".to_owned(), kind, properties }
    }

    #[test]
    fn a_group_is_created_changed_and_deleted() {
        let owner = Principal::new("owner");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let (mut cx, mut logs) = (parts.cx(Time::EPOCH, &owner), Logs::new());
        let first = group(json!({ "LogGroupName": "/aws/lambda/f", "RetentionInDays": 30 }));
        let provisioned = logs.provision(&mut cx, &first).unwrap();
        assert_eq!(provisioned.attributes["Arn"], "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f:*");
        assert_eq!(logs.provision(&mut cx, &first).unwrap_err().code, "ResourceAlreadyExistsException");
        let second = group(json!({ "LogGroupName": "/aws/lambda/f", "RetentionInDays": 7 }));
        logs.update(&mut cx, &second, "/aws/lambda/f", &first.properties).unwrap();
        assert_eq!(logs.group("/aws/lambda/f").unwrap().retention_days, Some(7));
        logs.delete(&mut cx, &second, "/aws/lambda/f").unwrap();
        assert!(!logs.has_group("/aws/lambda/f"));
        for (properties, text) in [
            (json!({ "LogGroupName": "a b" }), "LogGroupName"),
            (json!({ "LogGroupName": "a", "RetentionInDays": 31 }), "RetentionInDays"),
            (json!({ "LogGroupName": "a", "DataProtectionPolicy": {} }), "DataProtectionPolicy"),
        ] {
            let error = logs.provision(&mut cx, &group(properties)).unwrap_err();
            assert!(error.message.contains(text), "{error}");
        }
    }
}
