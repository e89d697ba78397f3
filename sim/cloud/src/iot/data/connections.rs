//! The operations on connections of clients. All are granted on `client/{clientId}`; a direct message has the condition key
//! `iot:Topic` beside ("Direct messaging policy examples" of the IoT Core guide).
//!
//! Of the socket of a connection only the source's address is known here; that it is told only when the socket is asked for
//! is unverified.

use std::time::Duration;

use serde_json::json;

use super::publish::properties;
use super::{Call, permit, token};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::broker::{ConnectionInfo, DirectMessage};
use crate::iot::message::{Posted, Properties};
use crate::iot::registry::invalid;

/// Most subscriptions on one page of `ListSubscriptions`, and their number when the caller names none.
const PAGE: u64 = 200;
/// For how many seconds a confirmation can be waited for, and is when the caller names no time (API reference,
/// SendDirectMessage).
const CONFIRMED_WITHIN_S: std::ops::RangeInclusive<u64> = 1..=15;
/// See [`CONFIRMED_WITHIN_S`].
const CONFIRMED_WITHIN_DEFAULT_S: u64 = 5;

impl Iot {
    /// Whether the caller may do something with a client's connection, and its client id can be one.
    fn permit_client(&mut self, cx: &mut Cx<'_>, call: &Call<'_>, action: &str) -> Result<(), AwsError> {
        self.permit_client_in(cx, call, action, &[])
    }

    fn permit_client_in(
        &mut self,
        cx: &mut Cx<'_>,
        call: &Call<'_>,
        action: &str,
        context: &[(&str, &str)],
    ) -> Result<(), AwsError> {
        let (client, size) = (call.name.as_str(), self.quotas(cx).client_id_size);
        if client.starts_with('$') || client.len() > size {
            return Err(invalid(format!("a client id has 1 to {size} bytes and does not begin with $")));
        }
        let resource = cx.account.arn("iot", &format!("client/{client}"));
        permit(cx, action, &resource, context)
    }

    /// `GetConnection`.
    pub(super) fn data_get_connection(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.permit_client(cx, call, "iot:GetConnection")?;
        let with_socket = call.flag("includeSocketInformation")?;
        let ConnectionInfo {
            client_id,
            connected,
            thing_name,
            clean_session,
            keep_alive_s,
            source_ip,
            since,
            disconnect_reason,
            session_expiry_s,
        } = self.connection(cx, &call.name)?;
        let mut answer = json!({
            "clientId": &*client_id,
            "connected": connected,
            "cleanSession": clean_session,
            "sessionExpiry": session_expiry_s,
        });
        if let Some(thing) = thing_name {
            answer["thingName"] = (&*thing).into();
        }
        if connected {
            answer["keepAliveDuration"] = keep_alive_s.into();
            answer["connectedSince"] = since.unix_millis().into();
        } else {
            answer["disconnectedSince"] = since.unix_millis().into();
        }
        if let Some(reason) = disconnect_reason {
            answer["disconnectReason"] = reason.into();
        }
        if let Some(ip) = source_ip.filter(|_| with_socket) {
            answer["sourceIp"] = (&*ip).into();
        }
        Ok(answer.to_string().into_bytes())
    }

    /// `DeleteConnection`.
    pub(super) fn data_delete_connection(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.permit_client(cx, call, "iot:DeleteConnection")?;
        let (clean, prevent_will) = (call.flag("cleanSession")?, call.flag("preventWillMessage")?);
        self.delete_connection(cx, &call.name, clean, prevent_will)?;
        Ok(Vec::new())
    }

    /// `ListSubscriptions`.
    pub(super) fn data_list_subscriptions(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        self.permit_client(cx, call, "iot:ListSubscriptions")?;
        let after = call.next_token()?;
        let page = usize::try_from(call.number("maxResults", 1..=PAGE)?.unwrap_or(PAGE)).unwrap_or(usize::MAX);
        let mut rest = self.subscriptions_of(cx, &call.name)?;
        rest.retain(|(filter, _)| **filter > *after);
        let more = rest.len() > page;
        rest.truncate(page);
        let listed: Vec<_> = rest.iter().map(|(filter, qos)| json!({ "topicFilter": &**filter, "qos": qos })).collect();
        let mut answer = json!({ "subscriptions": listed });
        if let Some((last, _)) = rest.last().filter(|_| more) {
            answer["nextToken"] = token(last);
        }
        Ok(answer.to_string().into_bytes())
    }

    /// `SendDirectMessage`. An answer that waits for the client is announced by [`Iot::take_deferred`].
    pub(super) fn data_send_direct(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
        let topic = call.text("topic").ok_or_else(|| invalid("a direct message needs a topic"))?;
        self.permit_client_in(cx, call, "iot:SendDirectMessage", &[("iot:Topic", topic)])?;
        let confirmed = call.flag("confirmation")?;
        let timeout = if confirmed { call.number("timeout", CONFIRMED_WITHIN_S)? } else { None };
        let properties = properties(cx, call)?;
        let message = Posted {
            topic: topic.into(),
            payload: call.body.clone(),
            qos: u8::from(confirmed),
            retain: false,
            properties: (properties != Properties::default()).then(|| properties.into()),
            client: None,
            principal: Some(cx.access.user_id(cx.caller).into()),
        };
        let confirmation = confirmed.then(|| Duration::from_secs(timeout.unwrap_or(CONFIRMED_WITHIN_DEFAULT_S)));
        let direct = DirectMessage { message, confirmation };
        self.deferred = self.send_direct_message(cx, &call.name, &direct)?;
        Ok(json!({ "message": "OK", "traceId": cx.uuid() }).to_string().into_bytes())
    }
}
