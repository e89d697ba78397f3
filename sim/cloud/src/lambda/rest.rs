//! The REST-JSON API: which operation a call asks for, and what is read of functions and mappings. What acts is in
//! `operate`; everything else is refused by its name.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::describe::{configuration, description};
use super::function::{Function, FunctionInfo};
use super::permit::permit;
use super::rates::Rates;
use super::versions::{LATEST, Target};
use super::{Lambda, Ports, permission};
use crate::core::{AwsError, Cx, Outcome};

/// Every operation of the API model: (name, method, path). `{}` is one part of a path.
const OPERATIONS: [(&str, &str, &str); 39] = [
    ("CreateFunction", "POST", "/2015-03-31/functions"),
    ("GetFunction", "GET", "/2015-03-31/functions/{}"),
    ("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{}/configuration"),
    ("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{}/code"),
    ("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{}/configuration"),
    ("DeleteFunction", "DELETE", "/2015-03-31/functions/{}"),
    ("ListFunctions", "GET", "/2015-03-31/functions"),
    ("Invoke", "POST", "/2015-03-31/functions/{}/invocations"),
    ("PublishVersion", "POST", "/2015-03-31/functions/{}/versions"),
    ("ListVersionsByFunction", "GET", "/2015-03-31/functions/{}/versions"),
    ("CreateAlias", "POST", "/2015-03-31/functions/{}/aliases"),
    ("UpdateAlias", "PUT", "/2015-03-31/functions/{}/aliases/{}"),
    ("GetAlias", "GET", "/2015-03-31/functions/{}/aliases/{}"),
    ("DeleteAlias", "DELETE", "/2015-03-31/functions/{}/aliases/{}"),
    ("ListAliases", "GET", "/2015-03-31/functions/{}/aliases"),
    ("AddPermission", "POST", "/2015-03-31/functions/{}/policy"),
    ("RemovePermission", "DELETE", "/2015-03-31/functions/{}/policy/{}"),
    ("GetPolicy", "GET", "/2015-03-31/functions/{}/policy"),
    ("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{}/concurrency"),
    ("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{}/concurrency"),
    ("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{}/concurrency"),
    ("PutProvisionedConcurrencyConfig", "PUT", "/2019-09-30/functions/{}/provisioned-concurrency"),
    ("GetProvisionedConcurrencyConfig", "GET", "/2019-09-30/functions/{}/provisioned-concurrency"),
    ("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings"),
    ("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{}"),
    ("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{}"),
    ("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{}"),
    ("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings"),
    ("PutFunctionEventInvokeConfig", "PUT", "/2019-09-25/functions/{}/event-invoke-config"),
    ("GetFunctionEventInvokeConfig", "GET", "/2019-09-25/functions/{}/event-invoke-config"),
    ("UpdateFunctionEventInvokeConfig", "POST", "/2019-09-25/functions/{}/event-invoke-config"),
    ("DeleteFunctionEventInvokeConfig", "DELETE", "/2019-09-25/functions/{}/event-invoke-config"),
    ("ListFunctionEventInvokeConfigs", "GET", "/2019-09-25/functions/{}/event-invoke-config/list"),
    ("GetAccountSettings", "GET", "/2016-08-19/account-settings"),
    ("TagResource", "POST", "/2017-03-31/tags/{}"),
    ("UntagResource", "DELETE", "/2017-03-31/tags/{}"),
    ("ListTags", "GET", "/2017-03-31/tags/{}"),
    ("InvokeWithResponseStream", "POST", "/2021-11-15/functions/{}/response-streaming-invocations"),
    ("InvokeAsync", "POST", "/2014-11-13/functions/{}/invoke-async"),
];

/// The operation of a method and a path.
pub(super) fn operation_of(method: &str, path: &str) -> Option<&'static str> {
    Request::parse(method, path).ok().map(|request| request.operation)
}

/// One call of the API.
pub struct RestCall<'r> {
    /// HTTP method.
    pub method: &'r str,
    /// Path, with its query behind `?`.
    pub target: &'r str,
    /// Headers.
    pub headers: &'r HeaderMap,
    /// Body.
    pub body: &'r Bytes,
}

/// A request whose operation is known.
pub(super) struct Request {
    pub operation: &'static str,
    /// The parts of the path that `{}` stands for.
    pub parts: Vec<String>,
    query: Vec<(String, String)>,
}

impl Request {
    /// Finds the operation of a method and a target: a path, and a query behind `?` when there is one.
    fn parse(method: &str, target: &str) -> Result<Self, AwsError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        for (operation, its_method, pattern) in OPERATIONS {
            if method == its_method
                && let Some(parts) = matches(pattern, path)
            {
                let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                return Ok(Request { operation, parts, query });
            }
        }
        Err(AwsError::unknown_operation(&format!("{method} {path}")).status(404))
    }

    /// The query, each of whose parameters must be one of `known`.
    pub fn query(&self, known: &[&str]) -> Result<(), AwsError> {
        match self.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(AwsError::not_modelled(format!("lambda {} {name}", self.operation))),
            None => Ok(()),
        }
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(its_name, _)| its_name == name).map(|(_, value)| value.as_str())
    }
}

fn matches(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut parts = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some("{}"), Some(part)) if !part.is_empty() => parts.push(decode(part)),
            (Some(want), Some(part)) if want == part => {}
            _ => return None,
        }
    }
}

/// Undoes percent-encoding; a `+` of a path is itself.
fn decode(part: &str) -> String {
    let text = part.replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

/// The refusal of a function that does not exist.
pub(super) fn function_not_found(cx: &Cx<'_>, name: &str) -> AwsError {
    let arn = cx.account.arn("lambda", &format!("function:{name}"));
    AwsError::new("ResourceNotFoundException", format!("Function not found: {arn}")).status(404).with("Type", "User")
}

/// The refusal of a mapping that does not exist.
pub(super) fn mapping_not_found() -> AwsError {
    let message = "The resource you requested does not exist.";
    AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
}

impl Lambda {
    /// Answers one call of the REST API: (status, body). An answer that has to wait is announced by
    /// [`Lambda::take_deferred`].
    pub fn call_rest(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        call: &RestCall<'_>,
    ) -> Result<(u16, Vec<u8>), AwsError> {
        let request = Request::parse(call.method, call.target)?;
        let named = request.parts.first().map(String::as_str);
        if request.operation == "Invoke" {
            permit(cx, request.operation, named, request.parameter("Qualifier"))?;
            return self.invoke_over_rest(cx, ports, &request, call).map(|status| (status, Vec::new()));
        }
        let status = match request.operation {
            "CreateEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping" => 202,
            "PublishVersion" | "CreateAlias" => 201,
            "DeleteAlias" | "DeleteFunction" | "DeleteFunctionEventInvokeConfig" => 204,
            _ => 200,
        };
        let qualifier = request.parameter("Qualifier");
        let allowed =
            self.within_rate(cx, request.operation).and_then(|()| permit(cx, request.operation, named, qualifier));
        let result = allowed.and_then(|()| match request.operation {
            "CreateEventSourceMapping" => self.create_mapping_over_rest(cx, ports.streams, call.body),
            "UpdateEventSourceMapping" => self.update_mapping_over_rest(cx, ports.streams, &request, call.body),
            "DeleteEventSourceMapping" => self.delete_mapping_over_rest(cx, &request),
            "PublishVersion" => self.publish_over_rest(cx, &request, call.body),
            "CreateAlias" | "UpdateAlias" => self.alias_over_rest(cx, &request, call.body),
            "DeleteAlias" | "DeleteFunction" => self.delete_over_rest(cx, &request),
            "PutFunctionEventInvokeConfig"
            | "UpdateFunctionEventInvokeConfig"
            | "GetFunctionEventInvokeConfig"
            | "DeleteFunctionEventInvokeConfig"
            | "ListFunctionEventInvokeConfigs" => self.invoke_config_over_rest(cx, &request, call.body),
            "UpdateFunctionCode" => self.update_code(cx, &request, call.body),
            "UpdateFunctionConfiguration" => self.update_configuration(cx, &request, call.body),
            _ => self.answer(cx, &request),
        });
        cx.meter.call("lambda", request.operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        let body = |answer: Value| if answer.is_null() { Vec::new() } else { answer.to_string().into_bytes() };
        result.map(|answer| (status, body(answer)))
    }

    fn within_rate(&mut self, cx: &Cx<'_>, operation: &str) -> Result<(), AwsError> {
        let rates = self.rates.get_or_insert_with(|| Rates::new(cx));
        let rate = match operation {
            "GetFunction" => &mut rates.get_function,
            "GetPolicy" => &mut rates.get_policy,
            _ => &mut rates.control_plane,
        };
        if rate.try_take(cx.now, 1) {
            return Ok(());
        }
        let error = AwsError::new("TooManyRequestsException", "Rate exceeded").status(429);
        Err(error.with("Type", "User").with("Reason", "CallerRateLimitExceeded"))
    }

    fn answer(&self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        match request.operation {
            "GetFunction" => {
                let (function, qualifier) = self.find(cx, request)?;
                let configuration = configuration(cx, function, qualifier.as_deref());
                Ok(json!({ "Configuration": configuration, "Code": { "RepositoryType": "S3" } }))
            }
            "GetFunctionConfiguration" => {
                let (function, qualifier) = self.find(cx, request)?;
                Ok(configuration(cx, function, qualifier.as_deref()))
            }
            "ListVersionsByFunction" => self.list_versions(cx, request),
            "GetAlias" => self.get_alias(cx, request),
            "ListAliases" => self.list_aliases(cx, request),
            "GetPolicy" => {
                let (function, qualifier) = self.find(cx, request)?;
                let statements = || function.policy.iter().filter(|one| one.is_of(qualifier.as_deref()));
                if statements().next().is_none() {
                    let message = "The resource you requested does not exist.";
                    return Err(AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User"));
                }
                let policy = permission::document(&function.info.arn, statements()).to_string();
                Ok(json!({ "Policy": policy, "RevisionId": function.info.revision_id }))
            }
            "ListFunctions" => {
                request.query(&["Marker", "MaxItems"])?;
                let (page, next) = page(request, self.functions.values(), |function| &function.info.name)?;
                let functions: Vec<Value> =
                    page.into_iter().map(|function| configuration(cx, function, None)).collect();
                Ok(with_marker(json!({ "Functions": functions }), next))
            }
            "GetEventSourceMapping" => {
                let uuid = &request.parts[0];
                let found = self.shown_mappings(cx).find(|mapping| mapping.uuid == *uuid);
                found.map(|mapping| description(mapping, cx.now)).ok_or_else(mapping_not_found)
            }
            "ListEventSourceMappings" => {
                request.query(&["EventSourceArn", "FunctionName", "Marker", "MaxItems"])?;
                let (source, function) = (request.parameter("EventSourceArn"), request.parameter("FunctionName"));
                let function =
                    function.map(|given| super::name_of(cx, given).map_err(AwsError::not_modelled)).transpose()?;
                if let Some(target) = &function {
                    self.configured(cx, target)?;
                }
                let chosen = self.shown_mappings(cx).filter(|mapping| {
                    source.is_none_or(|arn| mapping.source_arn == arn)
                        && function.as_ref().is_none_or(|target| mapping.target() == *target)
                });
                let (page, next) = page(request, chosen, |mapping| &mapping.uuid)?;
                let mappings: Vec<Value> = page.into_iter().map(|mapping| description(mapping, cx.now)).collect();
                Ok(with_marker(json!({ "EventSourceMappings": mappings }), next))
            }
            other => Err(AwsError::not_modelled(format!("lambda {other}"))),
        }
    }

    /// What a path and the query name.
    pub(super) fn target(&self, cx: &Cx<'_>, request: &Request) -> Result<Target, AwsError> {
        request.query(&["Qualifier"])?;
        let Target { function, qualifier } = super::name_of(cx, &request.parts[0]).map_err(AwsError::not_modelled)?;
        let asked = request.parameter("Qualifier").filter(|qualifier| *qualifier != LATEST);
        match (qualifier, asked) {
            (Some(of_name), Some(asked)) if of_name != asked => {
                let message = "The derived qualifier from the function name does not match the specified qualifier.";
                Err(AwsError::new("InvalidParameterValueException", message).with("Type", "User"))
            }
            (of_name, asked) => Ok(Target { function, qualifier: of_name.or_else(|| asked.map(str::to_owned)) }),
        }
    }

    /// The function that a request names, and the version or the alias of it, which exists.
    fn find(&self, cx: &Cx<'_>, request: &Request) -> Result<(&Function, Option<String>), AwsError> {
        let target = self.target(cx, request)?;
        self.configured(cx, &target)?;
        Ok((&self.functions[&target.function], target.qualifier))
    }

    /// The function that a path names, which can be changed: neither a version nor an alias.
    pub(super) fn unpublished(&self, cx: &Cx<'_>, request: &Request) -> Result<&Function, AwsError> {
        let target = super::name_of(cx, &request.parts[0]).map_err(AwsError::not_modelled)?;
        if request.parameter("Qualifier").or(target.qualifier.as_deref()).is_some_and(|one| one != LATEST) {
            let message = format!("{} is not for versions and aliases", request.operation);
            return Err(AwsError::new("InvalidParameterValueException", message).with("Type", "User"));
        }
        self.functions.get(&target.function).ok_or_else(|| function_not_found(cx, &target.function))
    }

    /// How what a target names is configured.
    pub(super) fn configured(&self, cx: &Cx<'_>, target: &Target) -> Result<FunctionInfo, AwsError> {
        let found = self.functions.get(&target.function);
        let configured = found.and_then(|function| function.configured(target.qualifier.as_deref()));
        configured.map(|(info, _)| info.clone()).ok_or_else(|| function_not_found(cx, &target.to_string()))
    }
}

/// The items behind the marker, at most MaxItems of them, and the marker of the next page: the last item's id.
pub(super) fn page<'i, T>(
    request: &Request,
    items: impl Iterator<Item = &'i T>,
    id: impl Fn(&T) -> &str,
) -> Result<(Vec<&'i T>, Option<String>), AwsError> {
    let invalid = |message: String| AwsError::new("InvalidParameterValueException", message).with("Type", "User");
    let max = match request.parameter("MaxItems") {
        None => PAGE_ITEMS,
        Some(text) => match text.parse() {
            Ok(n @ 1..=10_000) => PAGE_ITEMS.min(n),
            _ => return Err(invalid(format!("MaxItems is {text:?}; it takes 1 to 10000"))),
        },
    };
    let mut items: Vec<&T> = items.collect();
    if let Some(marker) = request.parameter("Marker") {
        let position = items.iter().position(|item| id(item) == marker);
        let position = position.ok_or_else(|| invalid(format!("Invalid Marker: {marker}")))?;
        items.drain(..=position);
    }
    let more = items.len() > max;
    items.truncate(max);
    let next = items.last().filter(|_| more).map(|last| id(last).to_owned());
    Ok((items, next))
}

/// Most items of a page (API reference, `ListFunctions`: 50; for mappings 100, treated alike: unverified).
const PAGE_ITEMS: usize = 50;

pub(super) fn with_marker(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextMarker"] = next.into();
    }
    answer
}
