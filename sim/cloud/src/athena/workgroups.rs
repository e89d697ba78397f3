//! Workgroups: who may run queries, where results go, how much a query may read.

use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{GetWorkGroup, List, ResultConfiguration, page, parse};
use super::{Athena, invalid};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::time::Time;
use world::trace::Level;

/// The version of the query engine.
pub(super) const ENGINE_VERSION: &str = "Athena engine version 3";

/// A workgroup.
#[derive(Clone, Debug)]
pub(super) struct WorkGroup {
    pub(super) name: String,
    pub(super) enabled: bool,
    description: Option<String>,
    created: Time,
    pub(super) configuration: Configuration,
}

/// `WorkGroupConfiguration`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Configuration {
    #[serde(default)]
    pub(super) result_configuration: ResultConfiguration,
    enforce_work_group_configuration: Option<bool>,
    /// Metrics are not modelled: without effect.
    publish_cloud_watch_metrics_enabled: Option<bool>,
    pub(super) bytes_scanned_cutoff_per_query: Option<u64>,
    /// Requests are billed to nobody: without effect.
    requester_pays_enabled: Option<bool>,
    engine_version: Option<EngineVersion>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EngineVersion {
    selected_engine_version: Option<String>,
}

impl Configuration {
    /// Whether clients cannot choose where results go. The default is unverified.
    pub(super) fn enforced(&self) -> bool {
        self.enforce_work_group_configuration.unwrap_or(true)
    }

    fn selected_engine_version(&self) -> &str {
        self.engine_version.as_ref().and_then(|v| v.selected_engine_version.as_deref()).unwrap_or("AUTO")
    }

    fn check(&self, cx: &Cx<'_>) -> Result<(), AwsError> {
        self.result_configuration.check()?;
        let least = cx.limits.get("athena", "bytes_scanned_cutoff_min");
        if self.bytes_scanned_cutoff_per_query.is_some_and(|cutoff| cutoff < least) {
            return Err(invalid(format!("BytesScannedCutoffPerQuery must be at least {least}")));
        }
        match self.selected_engine_version() {
            "AUTO" | ENGINE_VERSION => Ok(()),
            other => Err(AwsError::not_modelled(format!("athena engine version {other:?}"))),
        }
    }

    fn to_json(&self) -> Value {
        let mut out = json!({
            "EnforceWorkGroupConfiguration": self.enforced(),
            "PublishCloudWatchMetricsEnabled": self.publish_cloud_watch_metrics_enabled.unwrap_or(false),
            "RequesterPaysEnabled": self.requester_pays_enabled.unwrap_or(false),
            "EngineVersion": {
                "SelectedEngineVersion": self.selected_engine_version(),
                "EffectiveEngineVersion": ENGINE_VERSION,
            },
            "ResultConfiguration": {},
        });
        if let Some(location) = &self.result_configuration.output_location {
            out["ResultConfiguration"]["OutputLocation"] = location.as_str().into();
        }
        if let Some(cutoff) = self.bytes_scanned_cutoff_per_query {
            out["BytesScannedCutoffPerQuery"] = cutoff.into();
        }
        out
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    name: String,
    description: Option<String>,
    state: Option<String>,
    recursive_delete_option: Option<bool>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
    #[serde(default)]
    work_group_configuration: Configuration,
}

impl WorkGroup {
    /// The workgroup that every account has: no location of results (its settings are unverified).
    pub(super) fn primary() -> Self {
        WorkGroup {
            name: "primary".to_owned(),
            enabled: true,
            description: None,
            created: Time::EPOCH,
            configuration: Configuration { enforce_work_group_configuration: Some(false), ..Configuration::default() },
        }
    }

    fn state(&self) -> &'static str {
        if self.enabled { "ENABLED" } else { "DISABLED" }
    }
}

impl Athena {
    /// The workgroup of a request; `primary` when it names none.
    pub(super) fn workgroup(&self, name: Option<&str>) -> Result<&WorkGroup, AwsError> {
        let name = name.unwrap_or("primary");
        self.workgroups.get(name).ok_or_else(|| invalid(format!("WorkGroup {name} is not found.")))
    }

    /// Creates `AWS::Athena::WorkGroup`. `Ref` is the name.
    pub(super) fn provision_workgroup(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        let name = properties.name;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 128 || !name.chars().all(allowed) {
            return Err(resource.refuse(format!("the name {name:?} does not match [a-zA-Z0-9._-]{{1,128}}")));
        }
        let enabled = is_enabled(properties.state.as_deref(), resource)?;
        if self.workgroups.contains_key(&name) {
            return Err(invalid(format!("WorkGroup {name} is already created")));
        }
        if self.workgroups.len() as u64 >= cx.limits.get("athena", "workgroups") {
            return Err(invalid("The number of workgroups exceeds the limit of the account"));
        }
        properties.work_group_configuration.check(cx).map_err(|error| resource.refuse(error.message))?;
        let workgroup = WorkGroup {
            name: name.clone(),
            enabled,
            description: properties.description,
            created: cx.now,
            configuration: properties.work_group_configuration,
        };
        self.workgroups.insert(name.clone(), workgroup);
        cx.meter.call("athena", "CreateWorkGroup", Outcome::Ok);
        cx.trace.event(Level::Call, cx.now, "athena", "CreateWorkGroup", &name, &[]);
        Ok(Provisioned::new(name)
            .attribute("CreationTime", cx.now.unix_secs().to_string())
            .attribute("WorkGroupConfiguration.EngineVersion.EffectiveEngineVersion", ENGINE_VERSION))
    }

    /// Changes a workgroup in place. Queries that run go on under the configuration with which they began.
    pub(super) fn update_workgroup(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        name: &str,
    ) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        let enabled = is_enabled(properties.state.as_deref(), resource)?;
        properties.work_group_configuration.check(cx).map_err(|error| resource.refuse(error.message))?;
        let missing = || invalid(format!("WorkGroup {name} is not found."));
        let workgroup = self.workgroups.get_mut(name).ok_or_else(missing)?;
        workgroup.enabled = enabled;
        workgroup.description = properties.description;
        workgroup.configuration = properties.work_group_configuration;
        cx.meter.call("athena", "UpdateWorkGroup", Outcome::Ok);
        cx.trace.event(Level::Call, cx.now, "athena", "UpdateWorkGroup", name, &[]);
        Ok(Provisioned::new(name)
            .attribute("CreationTime", workgroup.created.unix_secs().to_string())
            .attribute("WorkGroupConfiguration.EngineVersion.EffectiveEngineVersion", ENGINE_VERSION))
    }

    /// Deletes a workgroup. One that holds named queries or a history of queries is deleted only recursively.
    pub(super) fn delete_workgroup(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        name: &str,
    ) -> Result<(), AwsError> {
        let properties: Properties = resource.parse()?;
        let used = self.named_queries.iter().any(|query| query.belongs_to(name)) || self.has_history(name);
        if used && !properties.recursive_delete_option.unwrap_or(false) {
            return Err(invalid(format!("WorkGroup {name} is not empty")));
        }
        self.named_queries.retain(|query| !query.belongs_to(name));
        self.workgroups.remove(name);
        cx.meter.call("athena", "DeleteWorkGroup", Outcome::Ok);
        cx.trace.event(Level::Call, cx.now, "athena", "DeleteWorkGroup", name, &[]);
        Ok(())
    }

    pub(super) fn get_work_group(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: GetWorkGroup = parse(body)?;
        let workgroup = self.workgroup(Some(&request.work_group))?;
        let mut out = json!({
            "Name": workgroup.name,
            "State": workgroup.state(),
            "Configuration": workgroup.configuration.to_json(),
            "CreationTime": workgroup.created.epoch_seconds(),
        });
        if let Some(description) = &workgroup.description {
            out["Description"] = description.as_str().into();
        }
        Ok(json!({ "WorkGroup": out }).to_string().into_bytes())
    }

    pub(super) fn list_work_groups(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: List = parse(body)?;
        if request.work_group.is_some() {
            return Err(AwsError::not_modelled("athena request member WorkGroup"));
        }
        let all: Vec<&WorkGroup> = self.workgroups.values().collect();
        let (some, next) = page(&all, request.next_token.as_deref(), request.max_results, 50)?;
        let summaries = some.iter().map(|workgroup| {
            json!({
                "Name": workgroup.name,
                "State": workgroup.state(),
                "Description": workgroup.description.clone().unwrap_or_default(),
                "CreationTime": workgroup.created.epoch_seconds(),
                "EngineVersion": {
                    "SelectedEngineVersion": workgroup.configuration.selected_engine_version(),
                    "EffectiveEngineVersion": ENGINE_VERSION,
                },
            })
        });
        let mut out = json!({ "WorkGroups": summaries.collect::<Vec<_>>() });
        if let Some(next) = next {
            out["NextToken"] = next.into();
        }
        Ok(out.to_string().into_bytes())
    }
}

fn is_enabled(state: Option<&str>, resource: &Resource) -> Result<bool, AwsError> {
    match state {
        None | Some("ENABLED") => Ok(true),
        Some("DISABLED") => Ok(false),
        Some(other) => Err(resource.refuse(format!("State is {other:?}"))),
    }
}
