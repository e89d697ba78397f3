//! The operations on shadows.

use serde_json::json;

use super::{Call, permit, token};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::thing_arn;
use crate::iot::reserved::ShadowVerb;

/// Most names on one page of `ListNamedShadowsForThing`, and their number when the caller names none.
const PAGE: u64 = 100;

impl Iot {
    pub(super) fn data_get_shadow(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.data_shadow(cx, call, "iot:GetThingShadow", ShadowVerb::Get)
    }

    pub(super) fn data_update_shadow(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.data_shadow(cx, call, "iot:UpdateThingShadow", ShadowVerb::Update)
    }

    pub(super) fn data_delete_shadow(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.data_shadow(cx, call, "iot:DeleteThingShadow", ShadowVerb::Delete)
    }

    fn data_shadow(
        &mut self,
        cx: &mut Cx<'_>,
        call: &Call<'_>,
        action: &str,
        verb: ShadowVerb,
    ) -> Result<Vec<u8>, AwsError> {
        let name = call.text("name");
        let classic = thing_arn(cx, &call.name);
        let resource = name.map_or_else(|| classic.clone(), |name| format!("{classic}/{name}"));
        permit(cx, action, &resource, &[])?;
        // Only an update has a payload.
        let payload: &[u8] = if verb == ShadowVerb::Update { call.body } else { &[] };
        self.rest_shadow(cx, &call.name, name, verb, payload)
    }

    /// `ListNamedShadowsForThing`. A thing without named shadows has an empty list, whether it is registered or not
    /// (unverified).
    pub(super) fn data_list_shadows(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        permit(cx, "iot:ListNamedShadowsForThing", "*", &[])?;
        let after = call.next_token()?;
        let page = call.number("pageSize", 1..=PAGE)?.unwrap_or(PAGE);
        let timestamp = cx.now.unix_secs();
        let (names, more) = self.named_shadows(cx, &call.name, &after, usize::try_from(page).unwrap_or(usize::MAX))?;
        let mut answer = json!({ "results": names, "timestamp": timestamp });
        if let Some(last) = names.last().filter(|_| more) {
            answer["nextToken"] = token(last);
        }
        Ok(answer.to_string().into_bytes())
    }
}
