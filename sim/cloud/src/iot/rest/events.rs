//! Operations on what registry events the account asks for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{RestRequest, parse};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateEventConfigurations {
    #[serde(default)]
    event_configurations: BTreeMap<String, Configuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Configuration {
    #[serde(default)]
    enabled: bool,
}

impl Iot {
    pub(super) fn rest_update_event_configurations(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: UpdateEventConfigurations = parse(request.body)?;
        let wanted = body.event_configurations.into_iter().map(|(kind, to)| (kind, to.enabled)).collect();
        self.registry.events.configure(cx, &wanted)?;
        Ok(json!({}))
    }

    pub(super) fn rest_describe_event_configurations(
        &mut self,
        _: &mut Cx<'_>,
        _: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        Ok(self.registry.events.described())
    }
}
