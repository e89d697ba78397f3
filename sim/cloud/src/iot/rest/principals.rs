//! Operations on which certificates are attached to which things.

use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, query};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::certificate_arn;
use crate::iot::registry::invalid;

/// The principal of a request's header.
fn principal<'r>(request: &RestRequest<'r>) -> Result<&'r str, AwsError> {
    request.principal.ok_or_else(|| invalid("the request has no header x-amzn-principal"))
}

impl Iot {
    pub(super) fn rest_attach_thing_principal(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let exclusive = match query(request.query)?.remove("thingPrincipalType").as_deref() {
            None | Some("NON_EXCLUSIVE_THING") => false,
            Some("EXCLUSIVE_THING") => true,
            Some(other) => return Err(invalid(format!("there is no thing principal type {other:?}"))),
        };
        self.registry.attach_thing_principal(cx, name, principal(request)?, exclusive)?;
        Ok(json!({}))
    }

    pub(super) fn rest_detach_thing_principal(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.detach_thing_principal(cx, name, principal(request)?)?;
        Ok(json!({}))
    }

    pub(super) fn rest_list_thing_principals(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let principals = self.registry.thing(name)?.principals.iter();
        let entries = principals.map(|id| (id.to_string(), certificate_arn(cx, id).into()));
        Ok(Page::by_token(&query(request.query)?)?.answer("principals", entries))
    }

    pub(super) fn rest_list_principal_things(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let id = self.registry.certificate_id_of(cx, principal(request)?)?;
        let things = self.registry.certificate(&id)?.things.iter();
        let entries = things.map(|name| (name.to_string(), (&**name).into()));
        Ok(Page::by_token(&query(request.query)?)?.answer("things", entries))
    }
}
