//! Lifecycle events: what `$aws/events/presence/...` and `$aws/events/subscriptions/...` say. Source: "Lifecycle events" of
//! the IoT Core guide. They are published with QoS 1 (unverified) after the step that they tell of; AWS may also repeat and
//! reorder them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::session::{Disconnect, Live, SessionId};
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::message::Posted;

impl Iot {
    pub(super) fn tell_connected(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.broker.sessions.get(id) else { return };
        let Some(live) = &session.live else { return };
        let mut event = described(cx, &session.client, live, "connected");
        event.insert("ipAddress".to_owned(), json!(live.ip));
        event.insert("versionNumber".to_owned(), json!(live.version_number));
        let client = session.client.clone();
        self.tell(cx, "presence/connected", &client, event);
    }

    pub(super) fn tell_disconnected(&mut self, cx: &mut Cx<'_>, client: &Arc<str>, live: &Live, why: Disconnect) {
        let mut event = described(cx, client, live, "disconnected");
        let by_client = matches!(why, Disconnect::ClientInitiated { .. });
        event.insert("clientInitiatedDisconnect".to_owned(), json!(by_client));
        event.insert("disconnectReason".to_owned(), json!(why.name()));
        event.insert("versionNumber".to_owned(), json!(live.version_number));
        self.tell(cx, "presence/disconnected", client, event);
    }

    pub(super) fn tell_connect_failed(&mut self, cx: &mut Cx<'_>, connection: u64, client: &str) {
        let Some(state) = self.broker.connections.get(&connection) else { return };
        let mut event = Map::new();
        event.insert("clientId".to_owned(), json!(client));
        event.insert("timestamp".to_owned(), json!(cx.now.unix_millis()));
        event.insert("eventType".to_owned(), json!("connect_failed"));
        event.insert("connectFailureReason".to_owned(), json!("AUTHORIZATION_FAILED"));
        event.insert("principalIdentifier".to_owned(), json!(state.certificate));
        event.insert("sessionIdentifier".to_owned(), json!(cx.uuid()));
        event.insert("ipAddress".to_owned(), json!(state.ip));
        self.tell(cx, "presence/connect_failed", client, event);
    }

    /// Tells of filters that were subscribed to or unsubscribed from by one packet.
    pub(super) fn tell_subscriptions(&mut self, cx: &mut Cx<'_>, id: SessionId, kind: &'static str, topics: &[&str]) {
        let Some(session) = self.broker.sessions.get(id) else { return };
        let Some(live) = session.live.as_ref().filter(|_| !topics.is_empty()) else { return };
        let mut event = described(cx, &session.client, live, kind);
        event.insert("topics".to_owned(), json!(topics));
        let client = session.client.clone();
        self.tell(
            cx,
            if kind == "subscribed" { "subscriptions/subscribed" } else { "subscriptions/unsubscribed" },
            &client,
            event,
        );
    }

    fn tell(&mut self, cx: &mut Cx<'_>, kind: &str, client: &str, event: Map<String, Value>) {
        // AWS tells nothing of client ids with wildcards. A slash would make a topic of another depth (unverified).
        if client.contains(['#', '+', '/', '\0']) {
            return;
        }
        let topic = format!("$aws/events/{kind}/{client}");
        self.broker.outbox.post(cx, Posted::by_service(topic, 1, Value::Object(event).to_string()));
    }
}

fn described(cx: &Cx<'_>, client: &str, live: &Live, kind: &str) -> Map<String, Value> {
    let mut event = Map::new();
    event.insert("clientId".to_owned(), json!(client));
    if let Some(thing) = &live.thing {
        event.insert("thingName".to_owned(), json!(thing));
    }
    event.insert("timestamp".to_owned(), json!(cx.now.unix_millis()));
    event.insert("eventType".to_owned(), json!(kind));
    event.insert("sessionIdentifier".to_owned(), json!(live.identifier));
    event.insert("principalIdentifier".to_owned(), json!(live.certificate));
    event
}
