//! `EventInvokeConfig`: how long asynchronous events wait for a function, how often they are tried again, and who is told
//! of their end. One for each version and alias, and one for what is not published.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::destination::Destination;
use super::mapping::session;
use super::operate::{invalid, parse};
use super::rest::{Request, function_not_found, page, with_marker};
use super::versions::{LATEST, Target};
use crate::core::{AwsError, Cx, Provisioned, Resource};
use world::time::Time;

/// The least `MaximumEventAgeInSeconds` (Lambda facts, "Execution model").
const AGE_MIN_S: u64 = 60;

/// What an account's owner decided of a function's asynchronous events.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InvokeConfig {
    retries: Option<u64>,
    age_s: Option<u64>,
    pub on_success: Option<Destination>,
    pub on_failure: Option<Destination>,
    modified: Time,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    function_name: String,
    qualifier: String,
    maximum_retry_attempts: Option<u64>,
    maximum_event_age_in_seconds: Option<u64>,
    destination_config: Option<Destinations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Body {
    maximum_retry_attempts: Option<u64>,
    maximum_event_age_in_seconds: Option<u64>,
    destination_config: Option<Destinations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destinations {
    on_success: Option<To>,
    on_failure: Option<To>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct To {
    #[serde(default)]
    destination: String,
}

impl InvokeConfig {
    /// How often an event is tried again.
    pub fn retries(config: Option<&Self>, cx: &Cx<'_>) -> u64 {
        config.and_then(|config| config.retries).unwrap_or_else(|| cx.limits.get("lambda", "async_retries"))
    }

    /// How long an event waits.
    pub fn age(config: Option<&Self>, cx: &Cx<'_>) -> Duration {
        let age_s = config.and_then(|config| config.age_s);
        Duration::from_secs(age_s.unwrap_or_else(|| cx.limits.get("lambda", "async_max_age")))
    }

    fn of(cx: &Cx<'_>, body: Body) -> Result<Self, String> {
        let limit = |name| cx.limits.get("lambda", name);
        let ranges = [
            ("MaximumRetryAttempts", body.maximum_retry_attempts, 0, limit("async_retries")),
            ("MaximumEventAgeInSeconds", body.maximum_event_age_in_seconds, AGE_MIN_S, limit("async_max_age")),
        ];
        for (member, value, min, max) in ranges {
            if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
                return Err(format!("{member} is {value}; Lambda takes {min} to {max}"));
            }
        }
        let of = |to: Option<To>, failure| match to {
            Some(To { destination }) if !destination.is_empty() => {
                Destination::of_events(cx, &destination, failure).map(Some)
            }
            _ => Ok(None),
        };
        let (on_success, on_failure) =
            body.destination_config.map_or((None, None), |config| (config.on_success, config.on_failure));
        Ok(InvokeConfig {
            retries: body.maximum_retry_attempts,
            age_s: body.maximum_event_age_in_seconds,
            on_success: of(on_success, false)?,
            on_failure: of(on_failure, true)?,
            modified: cx.now,
        })
    }

    fn description(&self, function_arn: &str, qualifier: &str) -> Value {
        let to = |destination: &Option<Destination>| {
            destination.as_ref().map_or(json!({}), |destination| json!({ "Destination": destination.arn() }))
        };
        let mut answer = json!({
            "FunctionArn": format!("{function_arn}:{qualifier}"),
            "LastModified": self.modified.epoch_seconds(),
            "DestinationConfig": { "OnSuccess": to(&self.on_success), "OnFailure": to(&self.on_failure) },
        });
        if let Some(retries) = self.retries {
            answer["MaximumRetryAttempts"] = retries.into();
        }
        if let Some(age_s) = self.age_s {
            answer["MaximumEventAgeInSeconds"] = age_s.into();
        }
        answer
    }
}

impl Lambda {
    /// Creates or changes `AWS::Lambda::EventInvokeConfig`. `is_new`: whether it is created, which CloudFormation refuses
    /// when the function has one.
    pub(super) fn put_retention(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        is_new: bool,
    ) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        let name = properties.function_name;
        let qualifier = Some(properties.qualifier).filter(|qualifier| qualifier != LATEST);
        let target = Target { function: name.clone(), qualifier };
        let key = key_of(&target).to_owned();
        let body = Body {
            maximum_retry_attempts: properties.maximum_retry_attempts,
            maximum_event_age_in_seconds: properties.maximum_event_age_in_seconds,
            destination_config: properties.destination_config,
        };
        let config = InvokeConfig::of(cx, body).map_err(|why| resource.refuse(why))?;
        let has_one = self.functions.get(&name).is_some_and(|function| function.invoke_configs.contains_key(&key));
        if is_new && has_one {
            // Code of CloudFormation's handlers; the text is unverified.
            let message = format!("The function {name} has an EventInvokeConfig for {key} already.");
            return Err(AwsError::new("AlreadyExists", message));
        }
        self.put_invoke_config(cx, &target, config)?;
        Ok(Provisioned::new(format!("{name}|{key}")))
    }

    /// Deletes `AWS::Lambda::EventInvokeConfig`: the defaults come back.
    pub(super) fn reset_retention(&mut self, physical_id: &str) {
        let (name, key) = physical_id.split_once('|').unwrap_or((physical_id, LATEST));
        if let Some(function) = self.functions.get_mut(name) {
            function.invoke_configs.remove(key);
        }
    }

    fn put_invoke_config(&mut self, cx: &mut Cx<'_>, target: &Target, config: InvokeConfig) -> Result<(), AwsError> {
        let info = self.configured(cx, target)?;
        let role = session(&info.role_arn, &info.name, &cx.account.id);
        for destination in config.on_success.iter().chain(&config.on_failure) {
            destination.permit(cx, &role)?;
        }
        if let Some(function) = self.functions.get_mut(&target.function) {
            function.invoke_configs.insert(key_of(target).to_owned(), config);
        }
        Ok(())
    }

    /// The operations on `EventInvokeConfig`.
    pub(super) fn invoke_config_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        request: &Request,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        if request.operation == "ListFunctionEventInvokeConfigs" {
            return self.list_invoke_configs(cx, request);
        }
        let target = self.target(cx, request)?;
        let arn = self.configured(cx, &target)?.arn;
        let key = key_of(&target).to_owned();
        let missing = || {
            let message = format!("The function {arn}:{key} doesn't have an EventInvokeConfig");
            AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
        };
        let old = self.functions[&target.function].invoke_configs.get(&key).cloned();
        match request.operation {
            "GetFunctionEventInvokeConfig" => Ok(old.ok_or_else(missing)?.description(&arn, &key)),
            "DeleteFunctionEventInvokeConfig" => {
                old.ok_or_else(missing)?;
                self.reset_retention(&format!("{}|{key}", target.function));
                Ok(Value::Null)
            }
            operation => {
                let asked: Body = parse(body)?;
                let keeps_destinations = asked.destination_config.is_none();
                let mut config = InvokeConfig::of(cx, asked).map_err(invalid)?;
                if operation == "UpdateFunctionEventInvokeConfig" {
                    let old = old.ok_or_else(missing)?;
                    config.retries = config.retries.or(old.retries);
                    config.age_s = config.age_s.or(old.age_s);
                    if keeps_destinations {
                        (config.on_success, config.on_failure) = (old.on_success, old.on_failure);
                    }
                }
                let answer = config.description(&arn, &key);
                self.put_invoke_config(cx, &target, config)?;
                Ok(answer)
            }
        }
    }

    fn list_invoke_configs(&self, cx: &Cx<'_>, request: &Request) -> Result<Value, AwsError> {
        request.query(&["Marker", "MaxItems"])?;
        let target = super::name_of(cx, &request.parts[0]).map_err(AwsError::not_modelled)?;
        let function = self.functions.get(&target.function);
        let function = function.ok_or_else(|| function_not_found(cx, &target.function))?;
        let (keys, next) = page(request, function.invoke_configs.keys(), |key| key.as_str())?;
        let described = keys.into_iter().map(|key| function.invoke_configs[key].description(&function.info.arn, key));
        let described: Vec<Value> = described.collect();
        Ok(with_marker(json!({ "FunctionEventInvokeConfigs": described }), next))
    }
}

/// By what the configuration of a target is kept.
pub(super) fn key_of(target: &Target) -> &str {
    target.qualifier.as_deref().unwrap_or(LATEST)
}
