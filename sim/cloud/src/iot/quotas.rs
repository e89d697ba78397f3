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
    pub(super) outbound_unacked: usize,
    pub(super) redelivery_s: u64,
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
            outbound_unacked: size("outbound_unacked_qos1_per_client"),
            redelivery_s: get("qos1_redelivery_max_v3"),
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
