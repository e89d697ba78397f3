//! Versions and aliases of functions.
//!
//! A version is what `$LATEST` was when it was published, with execution environments of its own; an alias names a version,
//! and may send a share of the invocations to a second one. An alias that moves moves new invocations only: those that run
//! end where they began. Source: Lambda guide, "Manage Lambda function versions", "Create an alias", "weighted alias".
//! Without a change since the last version none is published, and the last is answered. That a version is ready at once
//! is an assumption.

use std::collections::BTreeMap;
use std::fmt;

use rand::RngExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::function::{Function, FunctionInfo, Version};
use super::operate::{invalid, parse};
use super::rest::{Request, configuration, function_not_found, page, with_marker};
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
    /// Environments that wait for an event.
    pub idle: u64,
}

/// An alias.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alias {
    /// A version's number, or `$LATEST`.
    version: String,
    description: String,
    /// A second version, and its share of the invocations.
    second: Option<(String, f64)>,
    revision_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct VersionProperties {
    function_name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AliasProperties {
    function_name: String,
    function_version: String,
    name: String,
    #[serde(default)]
    description: String,
    routing_config: Option<DeclaredRouting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeclaredRouting {
    #[serde(default)]
    additional_version_weights: Vec<DeclaredWeight>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeclaredWeight {
    function_version: String,
    function_weight: f64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct PublishRequest {
    description: Option<String>,
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AliasRequest {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<Routing>,
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Routing {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
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
    fn number(&self, version: &str) -> Option<Option<u64>> {
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

    fn alias_of(&self, cx: &mut Cx<'_>, version: String, weights: Vec<(String, f64)>) -> Result<Alias, AwsError> {
        let missing = |version: &str| function_not_found(cx, &format!("{}:{version}", self.info.name));
        if self.number(&version).is_none() {
            return Err(missing(&version));
        }
        if weights.len() > 1 {
            return Err(invalid("Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned()));
        }
        let second = weights.into_iter().next();
        if let Some((other, weight)) = &second {
            if !(0.0..=1.0).contains(weight) {
                return Err(invalid(format!("the weight {weight} of version {other} is not from 0 to 1")));
            }
            if version == LATEST || other == LATEST || version == *other {
                return Err(invalid("a weighted alias takes two published versions".to_owned()));
            }
            if self.number(other).is_none() {
                return Err(missing(other));
            }
        }
        Ok(Alias { version, description: String::new(), second, revision_id: cx.uuid() })
    }

    fn alias_description(&self, name: &str) -> Value {
        let alias = &self.aliases[name];
        let mut answer = json!({
            "AliasArn": format!("{}:{name}", self.info.arn),
            "Name": name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RevisionId": alias.revision_id,
        });
        if let Some((version, weight)) = &alias.second {
            let mut weights = serde_json::Map::new();
            weights.insert(version.clone(), json!(weight));
            answer["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
        }
        answer
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

/// Whether a text can name an alias (API reference, `CreateAlias`).
fn is_alias_name(name: &str) -> bool {
    let well_formed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (1..=128).contains(&name.len()) && well_formed && !name.bytes().all(|b| b.is_ascii_digit())
}

fn check_revision(given: Option<&str>, current: &str) -> Result<(), AwsError> {
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
        function.published.insert(version, Published { info, version: environment, idle: 0 });
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

    /// Creates or changes `AWS::Lambda::Alias`: `Ref` is its ARN.
    pub(super) fn provision_alias(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        self.declare_alias(cx, resource, true)
    }

    pub(super) fn declare_alias(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        is_new: bool,
    ) -> Result<Provisioned, AwsError> {
        let properties: AliasProperties = resource.parse()?;
        let AliasProperties { function_name, function_version, name, description, routing_config } = properties;
        let function = super::name_of(cx, &function_name).map_err(|why| resource.refuse(why))?.function;
        let weights = routing_config.into_iter().flat_map(|routing| routing.additional_version_weights);
        let weights = weights.map(|weight| (weight.function_version, weight.function_weight)).collect();
        self.put_alias(cx, &function, &name, (function_version, weights, description), is_new)?;
        let arn = format!("{}:{name}", self.functions[&function].info.arn);
        Ok(Provisioned::new(arn.clone()).attribute("AliasArn", arn))
    }

    fn put_alias(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        alias: &str,
        (version, weights, description): (String, Vec<(String, f64)>, String),
        is_new: bool,
    ) -> Result<(), AwsError> {
        let function = self.functions.get_mut(name).ok_or_else(|| function_not_found(cx, name))?;
        if !is_alias_name(alias) {
            return Err(invalid(format!("{alias:?} is no name of an alias")));
        }
        if is_new && function.aliases.contains_key(alias) {
            let message = format!("Alias already exists: {}:{alias}", function.info.arn);
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        let put = Alias { description, ..function.alias_of(cx, version, weights)? };
        function.aliases.insert(alias.to_owned(), put);
        self.follow_roles(cx, name);
        Ok(())
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

    /// `CreateAlias` and `UpdateAlias`.
    pub(super) fn alias_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        request: &Request,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let asked: AliasRequest = parse(body)?;
        let function = self.unpublished(cx, request)?;
        let function_name = function.info.name.clone();
        let weights = asked.routing_config.map(|routing| routing.additional_version_weights.into_iter().collect());
        let (alias, is_new) = match request.parts.get(1) {
            Some(name) => (name.clone(), false),
            None => (asked.name.ok_or_else(|| invalid("Name is required".to_owned()))?, true),
        };
        let parts = if is_new {
            let version = asked.function_version.ok_or_else(|| invalid("FunctionVersion is required".to_owned()))?;
            (version, weights.unwrap_or_default(), asked.description.unwrap_or_default())
        } else {
            let old = function.aliases.get(&alias).ok_or_else(|| alias_not_found(function, &alias))?.clone();
            check_revision(asked.revision_id.as_deref(), &old.revision_id)?;
            (
                asked.function_version.unwrap_or(old.version),
                weights.unwrap_or_else(|| old.second.into_iter().collect()),
                asked.description.unwrap_or(old.description),
            )
        };
        self.put_alias(cx, &function_name, &alias, parts, is_new)?;
        Ok(self.functions[&function_name].alias_description(&alias))
    }

    /// `GetAlias`.
    pub(super) fn get_alias(&self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        let (function, alias) = (self.unpublished(cx, request)?, request.parts[1].as_str());
        if !function.aliases.contains_key(alias) {
            return Err(alias_not_found(function, alias));
        }
        Ok(function.alias_description(alias))
    }

    /// `ListAliases`.
    pub(super) fn list_aliases(&self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        request.query(&["FunctionVersion", "Marker", "MaxItems"])?;
        let function = self.unpublished(cx, request)?;
        let of = request.parameter("FunctionVersion");
        let chosen = function.aliases.iter().filter(|(_, alias)| of.is_none_or(|version| alias.version == version));
        let names: Vec<String> = chosen.map(|(name, _)| name.clone()).collect();
        let (chosen, next) = page(request, names.iter(), |name| name.as_str())?;
        let described: Vec<Value> = chosen.into_iter().map(|name| function.alias_description(name)).collect();
        Ok(with_marker(json!({ "Aliases": described }), next))
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

fn alias_not_found(function: &Function, alias: &str) -> AwsError {
    let message = format!("Cannot find alias arn: {}:{alias}", function.info.arn);
    AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
}
