//! Resources that are configuration only: what a template declares of them is checked, kept and given back to references,
//! and has **no effect in a run**. No alarm rings, no trail records, no pipeline runs, nobody logs in.
//!
//! Modelled: creation with AWS's form of ids and ARNs, generated names, uniqueness of names, changes in place, deletion;
//! the body of a dashboard must be JSON. Properties are checked by CloudFormation against its table of types.
//! Which types are kept is the table in `kinds.rs`. Unverified: ids that AWS documents only as "generated".

mod kinds;

use std::collections::BTreeMap;

use rand::RngExt as _;
use serde_json::Value;

use self::kinds::{Identity, Kind};
use crate::core::ports::LogGroups;
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// A resource that is kept.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    properties: Value,
    provisioned: Provisioned,
    changes: u64,
}

/// All resources that are kept, by type and identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    entries: BTreeMap<(&'static str, String), Entry>,
}

/// Whether resources of this type are kept.
pub fn keeps(kind: &str) -> bool {
    kinds::find(kind).is_some()
}

fn find(resource: &Resource) -> Result<&'static Kind, AwsError> {
    kinds::find(&resource.kind).ok_or_else(|| resource.refuse("this resource type is not modelled"))
}

impl Kept {
    /// Creates a resource.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let kind = find(resource)?;
        check(resource)?;
        let id = identity(cx, kind, resource)?;
        let key = (kind.name, id);
        if self.entries.contains_key(&key) {
            let (name, id) = key;
            let message = format!("Resource of type '{name}' with identifier '{id}' already exists.");
            return Err(AwsError::new("AlreadyExistsException", message));
        }
        let provisioned = kind.provisioned(cx, &key.1, &resource.properties, 0);
        let entry = Entry { properties: resource.properties.clone(), provisioned: provisioned.clone(), changes: 0 };
        self.entries.insert(key, entry);
        cx.meter.call("kept", "Create", Outcome::Ok);
        Ok(provisioned)
    }

    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let kind = find(resource)?;
        check(resource)?;
        let (id, entry) = self.entry_mut(kind, resource, physical_id).ok_or_else(|| {
            let message = format!("Resource of type '{}' with identifier '{physical_id}' was not found.", kind.name);
            AwsError::new("NotFound", message).status(404)
        })?;
        entry.changes += 1;
        entry.properties = resource.properties.clone();
        let fixed = entry.provisioned.attributes.clone();
        entry.provisioned = kind.provisioned(cx, &id, &resource.properties, entry.changes);
        // What was drawn at creation stays.
        if let Some(arn) = fixed.get("Arn") {
            entry.provisioned.attributes.insert("Arn".to_owned(), arn.clone());
        }
        cx.meter.call("kept", "Update", Outcome::Ok);
        Ok(entry.provisioned.clone())
    }

    /// Deletes a resource; one that is gone is deleted already.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let kind = find(resource)?;
        if let Some(id) = self.entry_mut(kind, resource, physical_id).map(|(id, _)| id) {
            self.entries.remove(&(kind.name, id));
        }
        cx.meter.call("kept", "Delete", Outcome::Ok);
        Ok(())
    }

    /// The properties of a resource by its type and the value of its `Ref`.
    pub fn properties(&self, kind: &str, physical_id: &str) -> Option<&Value> {
        self.of_kind(kind).find(|(id, _)| *id == physical_id).map(|(_, properties)| properties)
    }

    /// The resources of a type: the value of `Ref`, and the properties.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.entries.iter().filter(move |((name, _), _)| *name == kind);
        entries.map(|(_, entry)| (entry.provisioned.physical_id.as_str(), &entry.properties))
    }

    fn entry_mut(&mut self, kind: &Kind, resource: &Resource, physical_id: &str) -> Option<(String, &mut Entry)> {
        let derived = match kind.identity {
            Identity::Of(paths) => Some(joined(paths, &resource.properties)),
            _ => None,
        };
        let mut entries = self.entries.iter_mut().filter(|((name, _), _)| *name == kind.name);
        let found = entries.find(|((_, id), entry)| match &derived {
            Some(derived) => id == derived,
            None => entry.provisioned.physical_id == physical_id,
        });
        found.map(|((_, id), entry)| (id.clone(), entry))
    }
}

impl LogGroups for Kept {
    fn has_group(&self, name: &str) -> bool {
        self.properties("AWS::Logs::LogGroup", name).is_some()
    }
}

fn check(resource: &Resource) -> Result<(), AwsError> {
    if resource.kind == "AWS::CloudWatch::Dashboard" {
        let body = resource.properties["DashboardBody"].as_str().unwrap_or("");
        serde_json::from_str::<Value>(body).map_err(|error| {
            let message = format!("The field DashboardBody must be a valid JSON object: {error}");
            AwsError::new("InvalidParameterInput", message)
        })?;
    }
    Ok(())
}

/// What tells a resource from others of its type.
fn identity(cx: &mut Cx<'_>, kind: &Kind, resource: &Resource) -> Result<String, AwsError> {
    Ok(match &kind.identity {
        Identity::Name { path, characters_max } => {
            given(path, &resource.properties).unwrap_or_else(|| generated_name(cx, resource, *characters_max))
        }
        Identity::Of(paths) => match paths.iter().find(|path| given(path, &resource.properties).is_none()) {
            Some(path) => return Err(resource.refuse(format!("a generated {path} is not modelled: give one"))),
            None => joined(paths, &resource.properties),
        },
        Identity::Letters(count) => random_letters(cx, b"abcdefghijklmnopqrstuvwxyz0123456789", *count),
        Identity::PoolId => {
            const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            format!("{}_{}", cx.account.region, random_letters(cx, LETTERS, 9))
        }
        Identity::RegionUuid => format!("{}:{}", cx.account.region, cx.uuid()),
    })
}

fn given(path: &str, properties: &Value) -> Option<String> {
    let value = path.split('.').try_fold(properties, |value, member| value.get(member));
    value.and_then(Value::as_str).map(str::to_owned)
}

fn joined(paths: &[&str], properties: &Value) -> String {
    let parts: Vec<String> = paths.iter().map(|path| given(path, properties).unwrap_or_default()).collect();
    parts.join("|")
}

/// A name as CloudFormation makes it: stack, logical id, twelve letters and digits.
pub fn generated_name(cx: &mut Cx<'_>, resource: &Resource, characters_max: usize) -> String {
    let suffix = random_letters(cx, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 12);
    let start: String = format!("{}-{}", resource.stack, resource.logical_id);
    let start: String = start.chars().take(characters_max.saturating_sub(13)).collect();
    format!("{start}-{suffix}")
}

fn random_letters(cx: &mut Cx<'_>, letters: &[u8], count: usize) -> String {
    (0..count).map(|_| char::from(letters[cx.ids.random_range(0..letters.len())])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::Principal;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::time::Time;
    use world::trace::Trace;

    fn resource(kind: &str, properties: Value) -> Resource {
        Resource { stack: "s".to_owned(), logical_id: "X".to_owned(), kind: kind.to_owned(), properties }
    }

    fn act<T>(act: impl FnOnce(&mut Cx<'_>, &mut Kept) -> T) -> T {
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        act(&mut parts.cx(Time::EPOCH, &caller), &mut Kept::default())
    }

    #[test]
    fn ids_and_arns_have_the_form_of_their_type() {
        for (kind, properties, id, attribute, value) in [
            (
                "AWS::Logs::LogGroup",
                json!({"LogGroupName": "/a/b"}),
                "/a/b",
                "Arn",
                "arn:aws:logs:eu-west-1:123456789012:log-group:/a/b:*",
            ),
            (
                "AWS::CloudWatch::Alarm",
                json!({"AlarmName": "hot"}),
                "hot",
                "Arn",
                "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:hot",
            ),
            (
                "AWS::IoT::RoleAlias",
                json!({"RoleAlias": "r"}),
                "r",
                "RoleAliasArn",
                "arn:aws:iot:eu-west-1:123456789012:rolealias/r",
            ),
            ("AWS::Events::Rule", json!({"Name": "n"}), "n", "Arn", "arn:aws:events:eu-west-1:123456789012:rule/n"),
            ("AWS::CodePipeline::Pipeline", json!({"Name": "p"}), "p", "Version", "1"),
        ] {
            let made = act(|cx, kept| kept.provision(cx, &resource(kind, properties))).unwrap();
            assert_eq!((made.physical_id.as_str(), made.attributes[attribute].as_str()), (id, value));
        }
        let pool = act(|cx, kept| kept.provision(cx, &resource("AWS::Cognito::UserPool", json!({})))).unwrap();
        assert!(pool.attributes["Arn"].ends_with(&format!(":userpool/{}", pool.physical_id)), "{pool:?}");
        let named = act(|cx, kept| kept.provision(cx, &resource("AWS::CloudTrail::Trail", json!({})))).unwrap();
        assert!(named.physical_id.starts_with("s-X-") && named.physical_id.len() == 16, "{named:?}");
    }

    #[test]
    fn a_name_is_there_once_and_is_free_after_deletion() {
        act(|cx, kept| {
            let group = resource("AWS::Logs::LogGroup", json!({"LogGroupName": "a", "RetentionInDays": 7}));
            kept.provision(cx, &group).unwrap();
            assert_eq!(kept.provision(cx, &group).unwrap_err().code, "AlreadyExistsException");
            let longer = resource("AWS::Logs::LogGroup", json!({"LogGroupName": "a", "RetentionInDays": 30}));
            kept.update(cx, &longer, "a", &group.properties).unwrap();
            assert_eq!(kept.properties("AWS::Logs::LogGroup", "a"), Some(&longer.properties));
            assert_eq!(kept.update(cx, &longer, "b", &group.properties).unwrap_err().code, "NotFound");
            kept.delete(cx, &longer, "a").unwrap();
            kept.delete(cx, &longer, "a").unwrap();
            assert_eq!(*kept, Kept::default());
            kept.provision(cx, &group).unwrap();
        });
    }

    #[test]
    fn a_dashboard_has_a_body_of_json() {
        let dashboard = |body: &str| json!({"DashboardName": "d", "DashboardBody": body});
        act(|cx, kept| {
            let error = kept.provision(cx, &resource("AWS::CloudWatch::Dashboard", dashboard("{"))).unwrap_err();
            assert_eq!(error.code, "InvalidParameterInput");
            kept.provision(cx, &resource("AWS::CloudWatch::Dashboard", dashboard("{\"widgets\": []}"))).unwrap();
        });
    }
}
