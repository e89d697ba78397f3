//! The quotas of AWS IoT Core, read once, and the account's token buckets.

use std::collections::BTreeMap;

use crate::core::{AwsError, Cx, TokenBucket};

/// Name of the service in the quota table.
const SERVICE: &str = "iot-core";

/// Quotas and the buckets that enforce the account's rates.
#[derive(Debug)]
pub struct Quotas {
    pub(super) payload_size: usize,
    pub(super) packet_size: usize,
    pub(super) client_id_size: usize,
    pub(super) keep_alive_min_s: u64,
    pub(super) keep_alive_max_s: u64,
    pub(super) connections: usize,
    pub(super) publishes_per_connection: u64,
    pub(super) bytes_per_connection: u64,
    pub(super) inbound_unacked: usize,
    pub(super) outbound_unacked: usize,
    pub(super) redelivery_s: u64,
    pub(super) redelivery_v5_s: u64,
    pub(super) session_expiry_s: u64,
    pub(super) session_expiry_slack_s: u64,
    pub(super) replay_per_second: u64,
    pub(super) client_packet_min: usize,
    pub(super) topic_aliases: usize,
    pub(super) user_properties_size: usize,
    pub(super) content_type_size: usize,
    pub(super) correlation_data_size: usize,
    pub(super) message_expiry_max_s: u64,
    pub(super) retained_per_topic: u64,
    pub(super) share_name_length: usize,
    pub(super) shared_groups: usize,
    pub(super) subscriptions_per_group: usize,
    pub(super) shared_group_changes: u64,
    pub(super) queued_per_group: usize,
    pub(super) dequeue_per_member: u64,
    pub(super) connection_calls_per_client: u64,
    pub(super) subscriptions_per_connection: usize,
    pub(super) subscriptions_per_packet: usize,
    pub(super) subscriptions_per_account: usize,
    pub(super) thing_name_size: usize,
    pub(super) attributes_without_type: usize,
    pub(super) attributes_with_type: usize,
    pub(super) attributes_total_size: usize,
    pub(super) groups_per_thing: usize,
    pub(super) group_depth: usize,
    pub(super) direct_child_groups: usize,
    pub(super) group_attributes: usize,
    pub(super) billing_groups: usize,
    pub(super) attribute_name_size: usize,
    pub(super) attribute_value_size: usize,
    pub(super) policy_document_size: u64,
    pub(super) policies_per_principal: usize,
    pub(super) policy_versions: usize,
    pub(super) deprecated_s: u64,
    pub(super) rules: usize,
    pub(super) actions_per_rule: usize,
    pub(super) rule_payload_size: usize,
    pub(super) connects: TokenBucket,
    pub(super) connects_per_client: u64,
    pub(super) publishes_in: TokenBucket,
    pub(super) publishes_out: TokenBucket,
    pub(super) subscribes: TokenBucket,
    pub(super) queued: TokenBucket,
    pub(super) retained: TokenBucket,
    pub(super) get_connection: TokenBucket,
    pub(super) delete_connection: TokenBucket,
    pub(super) list_subscriptions: TokenBucket,
    pub(super) direct_messages: TokenBucket,
    pub(super) evaluations: TokenBucket,
    calls: BTreeMap<&'static str, TokenBucket>,
}

impl Quotas {
    /// Reads the account's quotas; every bucket is full.
    pub fn new(cx: &Cx<'_>) -> Self {
        let get = |name: &str| cx.limits.get(SERVICE, name);
        let size = |name: &str| usize::try_from(get(name)).unwrap_or(usize::MAX);
        let rate = |name: &str| cx.limits.bucket(SERVICE, name, cx.now);
        Quotas {
            payload_size: size("payload_size"),
            packet_size: size("mqtt5_packet_max"),
            client_id_size: size("client_id_size"),
            keep_alive_min_s: get("keep_alive_min"),
            keep_alive_max_s: get("keep_alive_max"),
            connections: size("concurrent_connections"),
            publishes_per_connection: get("publish_requests_per_connection"),
            bytes_per_connection: get("throughput_per_connection") * 1024,
            inbound_unacked: size("inbound_unacked_qos1_per_client"),
            outbound_unacked: size("outbound_unacked_qos1_per_client"),
            redelivery_s: get("qos1_redelivery_max_v3"),
            redelivery_v5_s: get("qos1_redelivery_max_v5"),
            session_expiry_s: get("persistent_session_expiry_default"),
            session_expiry_slack_s: get("persistent_session_expiry_slack"),
            replay_per_second: get("persistent_session_stored_message_replay"),
            client_packet_min: size("mqtt5_min_client_max_packet"),
            topic_aliases: size("mqtt5_topic_alias_max"),
            user_properties_size: size("mqtt5_user_properties_total"),
            content_type_size: size("mqtt5_content_type"),
            correlation_data_size: size("mqtt5_correlation_data"),
            message_expiry_max_s: get("mqtt5_message_expiry_max"),
            retained_per_topic: get("retained_publish_per_topic"),
            share_name_length: size("share_name_length"),
            shared_groups: size("shared_subscription_groups"),
            subscriptions_per_group: size("subscriptions_per_shared_group"),
            shared_group_changes: get("shared_group_subscribe_rate"),
            queued_per_group: size("queued_messages_per_shared_group"),
            dequeue_per_member: get("shared_subscription_dequeue_per_member"),
            connection_calls_per_client: get("connection_calls_per_client"),
            subscriptions_per_connection: size("subscriptions_per_connection"),
            subscriptions_per_packet: size("subscriptions_per_subscribe_packet"),
            subscriptions_per_account: size("subscriptions_per_account"),
            thing_name_size: size("thing_name_size"),
            attributes_without_type: size("thing_attributes_without_type"),
            attributes_with_type: size("thing_attributes_with_type"),
            attributes_total_size: size("thing_attributes_total_size"),
            groups_per_thing: size("groups_per_thing"),
            group_depth: size("group_depth"),
            direct_child_groups: size("direct_child_groups"),
            group_attributes: size("group_attributes"),
            billing_groups: size("billing_groups"),
            attribute_name_size: size("attribute_name_size"),
            attribute_value_size: size("attribute_value_size"),
            policy_document_size: get("policy_document_size"),
            policies_per_principal: size("policies_per_principal"),
            policy_versions: size("policy_versions"),
            deprecated_s: get("thing_type_deprecated_before_deletion"),
            rules: size("rules_per_account"),
            actions_per_rule: size("actions_per_rule"),
            rule_payload_size: size("rule_payload_size"),
            connects: rate("connect_rate_per_account"),
            connects_per_client: get("connect_rate_per_client_id"),
            // A publish that is throttled is not acknowledged, and later ones of the same window are taken: the order of a
            // device's readings is lost, and no platform behind the broker can bring it back.
            publishes_in: TokenBucket::per_second(get("inbound_publishes_per_account"), cx.now),
            publishes_out: rate("outbound_publishes_per_account"),
            subscribes: rate("subscribe_rate_per_account"),
            queued: rate("queued_messages_per_account"),
            retained: rate("retained_publish_per_account"),
            get_connection: rate("api_GetConnection"),
            delete_connection: rate("api_DeleteConnection"),
            list_subscriptions: rate("api_ListSubscriptions"),
            direct_messages: rate("api_SendDirectMessage"),
            // What exceeds it is dropped although it was acknowledged: nothing that a platform could survive.
            evaluations: TokenBucket::per_second(get("rule_evaluations_per_account"), cx.now),
            calls: BTreeMap::new(),
        }
    }

    /// Takes one call of an operation of the control plane from its rate.
    pub fn take_call(&mut self, cx: &Cx<'_>, operation: &'static str) -> Result<(), AwsError> {
        let bucket = self
            .calls
            .entry(operation)
            .or_insert_with(|| cx.limits.bucket(SERVICE, &format!("api_{operation}"), cx.now));
        if bucket.try_take(cx.now, 1) {
            return Ok(());
        }
        Err(AwsError::new("ThrottlingException", "Rate exceeded"))
    }
}
