//! Aliases of functions: names that stand for a version, or share the invocations out between two.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::function::Function;
use super::operate::{invalid, parse};
use super::rest::{Request, function_not_found, page, with_marker};
use super::versions::{LATEST, check_revision};
use crate::core::{AwsError, Cx, Provisioned, Resource};

/// An alias.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alias {
    /// A version's number, or `$LATEST`.
    pub version: String,
    description: String,
    /// A second version, and its share of the invocations.
    pub second: Option<(String, f64)>,
    revision_id: String,
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

/// Whether a text can name an alias (API reference, `CreateAlias`).
fn is_alias_name(name: &str) -> bool {
    let well_formed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (1..=128).contains(&name.len()) && well_formed && !name.bytes().all(|b| b.is_ascii_digit())
}

impl Lambda {
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
}

fn alias_not_found(function: &Function, alias: &str) -> AwsError {
    let message = format!("Cannot find alias arn: {}:{alias}", function.info.arn);
    AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
}
