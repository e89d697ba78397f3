//! Versions of functions, and what names them.
//!
//! A version is what `$LATEST` was when it was published, with execution environments of its own; an alias names a version,
//! and may send a share of the invocations to a second one. An alias that moves moves new invocations only: those that run
//! end where they began. Source: Lambda guide, "Manage Lambda function versions", "Create an alias", "weighted alias".
//! Without a change since the last version none is published, and the last is answered. That a version is ready at once
//! is an assumption.

use std::fmt;

use rand::RngExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::admission::Pool;
use super::aliases::Alias;
use super::describe::configuration;
use super::function::{Function, FunctionInfo, Version};
use super::operate::{invalid, parse};
use super::rest::{Request, function_not_found, page, with_marker};
use crate::core::{AwsError, Cx, Provisioned, Resource};

/// What is not published.
pub(super) const LATEST: &str = "$LATEST";

/// A function, or one of its versions or aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub function: String,
    /// A version or an alias; nothing for what is not published.
    pub qualifier: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.qualifier {
            Some(qualifier) => write!(f, "{}:{qualifier}", self.function),
            None => f.write_str(&self.function),
        }
    }
}

/// A published version.
#[derive(Debug)]
pub(super) struct Published {
    pub info: FunctionInfo,
    pub version: Version,
    /// Its environments that run nothing.
    pub pool: Pool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct VersionProperties {
    function_name: String,
    #[serde(default)]
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct PublishRequest {
    description: Option<String>,
    revision_id: Option<String>,
}

impl Function {
    /// The version that an invocation of this qualifier runs: nothing for what is not published. `None` when there is none.
    /// A weighted alias draws.
    pub fn resolve(&self, cx: &mut Cx<'_>, qualifier: Option<&str>) -> Option<Option<u64>> {
        let Some(qualifier) = qualifier else { return Some(None) };
        let version = match self.aliases.get(qualifier) {
            Some(Alias { second: Some((second, weight)), .. }) if cx.rng.random_bool(*weight) => second,
            Some(alias) => &alias.version,
            None => qualifier,
        };
        self.number(version)
    }

    /// The number of a version that exists.
    pub(super) fn number(&self, version: &str) -> Option<Option<u64>> {
        if version == LATEST {
            return Some(None);
        }
        version.parse().ok().filter(|number| self.published.contains_key(number)).map(Some)
    }

    /// What a qualifier stands for, without the second version of an alias: its configuration, and its version.
    pub fn configured(&self, qualifier: Option<&str>) -> Option<(&FunctionInfo, String)> {
        let version = qualifier.map_or(LATEST, |name| self.aliases.get(name).map_or(name, |alias| &alias.version));
        match self.number(version)? {
            None => Some((&self.info, LATEST.to_owned())),
            Some(number) => Some((&self.published[&number].info, number.to_string())),
        }
    }
}

/// Whether two configurations are the same version: the time and the mark of a change do not count, nor what is reserved.
fn is_same(published: &FunctionInfo, latest: &FunctionInfo) -> bool {
    let latest = FunctionInfo {
        description: published.description.clone(),
        last_modified: published.last_modified,
        revision_id: published.revision_id.clone(),
        reserved_concurrency: published.reserved_concurrency,
        ..latest.clone()
    };
    latest == *published
}

pub(super) fn check_revision(given: Option<&str>, current: &str) -> Result<(), AwsError> {
    if given.is_none_or(|given| given == current) {
        return Ok(());
    }
    let message = "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to \
                   retrieve the latest RevisionId";
    Err(AwsError::new("PreconditionFailedException", message).status(412).with("Type", "User"))
}

impl Lambda {
    /// Publishes a version, and answers its number and whether it is new.
    fn publish(&mut self, cx: &mut Cx<'_>, name: &str, description: Option<String>) -> Result<(u64, bool), AwsError> {
        let number = self.revisions + 1;
        let function = self.functions.get_mut(name).ok_or_else(|| function_not_found(cx, name))?;
        function.settle(cx.now);
        if function.is_changing(cx.now) {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                function.info.arn
            );
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        if let Some((last, published)) = function.published.last_key_value()
            && is_same(&published.info, &function.info)
        {
            return Ok((*last, false));
        }
        self.revisions = number;
        function.versions += 1;
        let version = function.versions;
        let info = FunctionInfo {
            description: description.unwrap_or_else(|| function.info.description.clone()),
            revision_id: cx.uuid(),
            reserved_concurrency: None,
            ..function.info.clone()
        };
        let environment = Version::new(&info, number, &version.to_string());
        function.published.insert(version, Published { info, version: environment, pool: Pool::default() });
        Ok((version, true))
    }

    /// Creates `AWS::Lambda::Version`: `Ref` is the version's ARN.
    pub(super) fn provision_version(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: VersionProperties = resource.parse()?;
        let name = super::name_of(cx, &properties.function_name).map_err(|why| resource.refuse(why))?.function;
        let description = Some(properties.description).filter(|text| !text.is_empty());
        let (version, is_new) = self.publish(cx, &name, description)?;
        if !is_new {
            let message = format!(
                "A version for this Lambda function exists ( {version} ). Modify the function to create a new version."
            );
            return Err(AwsError::new("AlreadyExists", message));
        }
        let arn = &self.functions[&name].info.arn;
        let provisioned = Provisioned::new(format!("{arn}:{version}")).attribute("Version", version.to_string());
        Ok(provisioned.attribute("FunctionArn", format!("{arn}:{version}")))
    }

    /// Mappings read in the role of what they invoke.
    pub(super) fn follow_roles(&mut self, cx: &Cx<'_>, name: &str) {
        let Some(function) = self.functions.get(name) else { return };
        for (index, mapping) in self.mappings.iter_mut().enumerate().filter(|(_, m)| m.function == name) {
            let Some((info, _)) = function.configured(mapping.qualifier.as_deref()) else { continue };
            mapping.set_role(cx, info);
            for poller in self.pollers.iter_mut().filter(|poller| poller.mapping == index) {
                poller.measure(mapping);
            }
        }
    }

    /// Deletes a version or an alias by its ARN, which is gone already or not.
    pub(super) fn delete_qualified(&mut self, cx: &Cx<'_>, arn: &str) -> Result<(), AwsError> {
        let Ok(Target { function, qualifier: Some(qualifier) }) = super::name_of(cx, arn) else { return Ok(()) };
        let Some(function) = self.functions.get_mut(&function) else { return Ok(()) };
        if function.aliases.remove(&qualifier).is_some() {
            return Ok(());
        }
        let uses = |alias: &Alias| {
            alias.version == qualifier || alias.second.as_ref().is_some_and(|(second, _)| *second == qualifier)
        };
        if function.aliases.values().any(uses) {
            let message =
                format!("Function version {qualifier} is used by an alias. Please delete or update the alias first.");
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        if let Ok(number) = qualifier.parse::<u64>() {
            function.published.remove(&number);
        }
        Ok(())
    }

    /// `PublishVersion`.
    pub(super) fn publish_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        request: &Request,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let asked: PublishRequest = if body.is_empty() { PublishRequest::default() } else { parse(body)? };
        let name = self.unpublished(cx, request)?.info.name.clone();
        check_revision(asked.revision_id.as_deref(), &self.functions[&name].info.revision_id)?;
        let (version, _) = self.publish(cx, &name, asked.description.filter(|text| !text.is_empty()))?;
        Ok(configuration(cx, &self.functions[&name], Some(&version.to_string())))
    }

    /// `ListVersionsByFunction`: what is not published comes first.
    pub(super) fn list_versions(&self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        request.query(&["Marker", "MaxItems"])?;
        let function = self.unpublished(cx, request)?;
        let numbers = function.published.keys().map(ToString::to_string);
        let versions: Vec<String> = std::iter::once(LATEST.to_owned()).chain(numbers).collect();
        let (chosen, next) = page(request, versions.iter(), |version| version.as_str())?;
        let described: Vec<Value> =
            chosen.into_iter().map(|version| configuration(cx, function, Some(version.as_str()))).collect();
        Ok(with_marker(json!({ "Versions": described }), next))
    }

    /// `DeleteAlias`, and `DeleteFunction` with or without a version. What is deleted may be gone already, but not the
    /// function.
    pub(super) fn delete_over_rest(&mut self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        match request.operation {
            "DeleteAlias" => {
                let arn = format!("{}:{}", self.unpublished(cx, request)?.info.arn, request.parts[1]);
                self.delete_qualified(cx, &arn)?;
            }
            _ => {
                let target = self.target(cx, request)?;
                let function = self.functions.get(&target.function);
                let arn = function.ok_or_else(|| function_not_found(cx, &target.to_string()))?.info.arn.clone();
                match &target.qualifier {
                    Some(version) if version.bytes().all(|b| b.is_ascii_digit()) => {
                        self.delete_qualified(cx, &format!("{arn}:{version}"))?;
                    }
                    Some(alias) => {
                        return Err(invalid(format!("{alias:?} is no version: DeleteAlias deletes aliases")));
                    }
                    None => drop(self.functions.remove(&target.function)),
                }
            }
        }
        Ok(Value::Null)
    }
}
