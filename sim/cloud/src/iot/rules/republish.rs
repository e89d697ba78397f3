//! The action `republish`: the result is a message of the broker, published after this step by the service itself.

use std::sync::Arc;

use bytes::Bytes;

use super::target::Means;
use crate::core::{AwsError, Cx};
use crate::iot::message::{Posted, Properties};
use crate::iot::reserved::{self, Request};
use crate::iot::topic::check_topic;

/// Posts a message in the role of the action. It counts for the account's rate of publishes, which is all that bounds a
/// loop of rules; beyond it the action is throttled and waits.
pub(super) fn post(
    cx: &mut Cx<'_>,
    means: &mut Means<'_, '_>,
    topic: &str,
    qos: u8,
    properties: Option<Arc<Properties>>,
    payload: Bytes,
) -> Result<(), AwsError> {
    let refuse = |why: String| Err(AwsError::new("InvalidRequestException", why));
    if let Err(why) = check_topic(reserved::counted(topic)) {
        return refuse(format!("cannot republish to {topic:?}: {why}"));
    }
    if topic.starts_with('$') {
        match reserved::request(topic) {
            Some(Request::BasicIngest { .. } | Request::Shadow { .. }) => {}
            Some(_) => return Err(AwsError::not_modelled("republishing to this reserved topic")),
            None => return refuse(format!("cannot republish to {topic:?}: no service takes publishes to it")),
        }
    }
    if payload.len() > means.quotas.payload_size {
        return refuse(format!("the result has {} bytes, more than a message can have", payload.len()));
    }
    let arn = cx.account.arn("iot", &format!("topic/{topic}"));
    cx.authorize("iot:Publish", &arn)?;
    if !means.quotas.publishes_in.try_take(cx.now, 1) {
        return Err(AwsError::new("ThrottlingException", "the account publishes too often"));
    }
    means.outbox.post(cx, Posted { properties, ..Posted::by_service(topic, qos, payload) });
    Ok(())
}
