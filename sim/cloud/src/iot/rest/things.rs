//! Operations that change and delete things.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{AttributePayload, RestRequest, parse, query};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::{ThingUpdate, invalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateThing {
    thing_type_name: Option<String>,
    attribute_payload: Option<AttributePayload>,
    expected_version: Option<u64>,
    #[serde(default)]
    remove_thing_type: bool,
}

impl Iot {
    pub(super) fn rest_update_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: UpdateThing = parse(request.body)?;
        let update = ThingUpdate {
            expected_version: body.expected_version,
            attributes: body.attribute_payload.map(|payload| (payload.attributes, payload.merge.unwrap_or(false))),
            thing_type: body.thing_type_name,
            remove_type: body.remove_thing_type,
        };
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.update_thing(cx, quotas, name, update)?;
        Ok(json!({}))
    }

    pub(super) fn rest_delete_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let expected = query(request.query)?.remove("expectedVersion").map(|text| text.parse());
        let expected = expected.transpose().map_err(|_| invalid("expectedVersion is a number"))?;
        self.registry.delete_thing(cx, name, expected)?;
        Ok(json!({}))
    }
}
