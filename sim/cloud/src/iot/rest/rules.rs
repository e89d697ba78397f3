//! Topic rules over REST. The service's model has no ResourceNotFoundException for them: what is absent is denied.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{RestRequest, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::invalid;
use crate::iot::rules::{RulePayload, rule_arn};

/// Most rules on one page of `ListTopicRules` (the service's model); as many are on a page without a number (unverified).
const PAGE_MAX: usize = 10_000;

/// Who creates or changes a rule passes the roles of its actions to IoT Core.
pub(super) fn pass_roles(cx: &mut Cx<'_>, payload: &RulePayload) -> Result<(), AwsError> {
    let context = [("iam:PassedToService", "iot.amazonaws.com")];
    payload.roles().into_iter().try_for_each(|role| cx.authorize_in("iam:PassRole", role, &context))
}

/// A rule that does not exist.
pub(super) fn absent(name: &str) -> AwsError {
    AwsError::new("UnauthorizedException", format!("Access to topic rule '{name}' was denied")).status(401)
}

impl Iot {
    pub(super) fn rest_replace_topic_rule(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let payload: RulePayload = parse(request.body)?;
        if !self.rules.contains(name) {
            return Err(absent(name));
        }
        pass_roles(cx, &payload)?;
        self.replace_rule(cx, name, payload)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_delete_topic_rule(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.delete_rule(name);
        Ok(Value::Null)
    }

    pub(super) fn rest_enable_topic_rule(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        if self.set_rule_disabled(name, false) { Ok(Value::Null) } else { Err(absent(name)) }
    }

    pub(super) fn rest_disable_topic_rule(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        if self.set_rule_disabled(name, true) { Ok(Value::Null) } else { Err(absent(name)) }
    }

    pub(super) fn rest_list_topic_rules(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let mut query = query(request.query)?;
        let after = query.remove("nextToken").map(|token| {
            let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            name.ok_or_else(|| invalid("this is no nextToken of ListTopicRules"))
        });
        let after = after.transpose()?;
        let page = query.remove("maxResults").map_or(Ok(PAGE_MAX), |text| {
            let page = text.parse().ok().filter(|n| (1..=PAGE_MAX).contains(n));
            page.ok_or_else(|| invalid(format!("maxResults is 1 to {PAGE_MAX}")))
        })?;
        let disabled = match query.remove("ruleDisabled").as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => return Err(invalid(format!("ruleDisabled {other:?} is neither true nor false"))),
        };
        let fits =
            self.rules.list(after.as_deref()).filter(|rule| disabled.is_none_or(|wanted| wanted == rule.disabled));
        let mut found: Vec<_> = fits.take(page + 1).collect();
        let more = found.len() > page;
        found.truncate(page);
        let rules = found.iter().map(|rule| {
            let mut listed = json!({
                "ruleArn": rule_arn(cx, rule.name),
                "ruleName": rule.name,
                "createdAt": timestamp(rule.created),
                "ruleDisabled": rule.disabled,
            });
            if let Some(filter) = rule.filter {
                listed["topicPattern"] = filter.into();
            }
            listed
        });
        let mut answer = json!({ "rules": rules.collect::<Vec<_>>() });
        if let Some(last) = found.last().filter(|_| more) {
            answer["nextToken"] = URL_SAFE_NO_PAD.encode(last.name.as_bytes()).into();
        }
        Ok(answer)
    }
}
