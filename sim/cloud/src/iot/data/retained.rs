//! The operations on retained messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Call, permit, throttled, token};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::not_found;

/// Most messages on one page of `ListRetainedMessages`, and their number when the caller names none.
const PAGE: u64 = 200;

impl Iot {
    /// `GetRetainedMessage`.
    pub(super) fn data_get_retained(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        let topic = call.name.as_str();
        let resource = cx.account.arn("iot", &format!("topic/{topic}"));
        permit(cx, "iot:GetRetainedMessage", &resource, &[])?;
        self.quotas(cx).take_call(cx, "GetRetainedMessage").map_err(|_| throttled())?;
        let retained = self.retained(cx.now, topic);
        let retained =
            retained.ok_or_else(|| not_found(format!("there is no retained message of the topic {topic}")))?;
        let mut answer = json!({
            "topic": topic,
            "payload": STANDARD.encode(&retained.payload),
            "qos": retained.qos,
            "lastModifiedTime": retained.since.unix_millis(),
        });
        let user = retained.properties.as_deref().map_or(&[][..], |properties| &properties.user);
        if !user.is_empty() {
            let object = |(name, value): &(Box<str>, Box<str>)| -> Value {
                Map::from_iter([(name.to_string(), Value::from(&**value))]).into()
            };
            let user: Vec<Value> = user.iter().map(object).collect();
            answer["userProperties"] = STANDARD.encode(Value::from(user).to_string()).into();
        }
        Ok(answer.to_string().into_bytes())
    }

    /// `ListRetainedMessages`.
    pub(super) fn data_list_retained(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        permit(cx, "iot:ListRetainedMessages", "*", &[])?;
        let after = call.next_token()?;
        let page = call.number("maxResults", 1..=PAGE)?.unwrap_or(PAGE);
        self.quotas(cx).take_call(cx, "ListRetainedMessages").map_err(|_| throttled())?;
        let mut rest = self.retained_list(cx.now).skip_while(|(topic, _)| ***topic <= *after);
        let mut last = "";
        let mut topics = Vec::new();
        for (topic, retained) in rest.by_ref().take(usize::try_from(page).unwrap_or(usize::MAX)) {
            topics.push(json!({
                "topic": &**topic,
                "payloadSize": retained.payload.len(),
                "qos": retained.qos,
                "lastModifiedTime": retained.since.unix_millis(),
            }));
            last = topic;
        }
        let more = rest.next().is_some();
        let mut answer = json!({ "retainedTopics": topics });
        if more {
            answer["nextToken"] = token(last);
        }
        Ok(answer.to_string().into_bytes())
    }
}
