//! What somebody with a device's certificate tries to do in spaces that are not the device's: a list of attempts, each of
//! which must come to nothing.

use rumqttc::mqttbytes::QoS;
use rumqttc::{LastWill, Packet, Publish, Subscribe, SubscribeFilter};

/// Who the certificate belongs to, and whose space is attacked.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    /// Tenant and name of the device whose certificate it is.
    pub(super) own: (String, String),
    /// Tenant and name of the device that is attacked, of another tenant where there is one.
    pub(super) other: (String, String),
}

/// One attempt.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    /// Connect as another client.
    ConnectAs(String),
    /// Connect with a will on this topic.
    Will(LastWill),
    /// Publish.
    Publish(Publish),
    /// Subscribe to these filters.
    Subscribe(Vec<String>),
}

/// Topics below which nothing of the device's own lies: to publish to, with what is published.
fn foreign_topics(aim: &Aim, number: u64, ts_ms: u64) -> Vec<(String, String)> {
    let ((own_tenant, own), (tenant, other)) = (&aim.own, &aim.other);
    // A reading in everything but its right to be there, with a sequence number that no device comes to.
    let seq = FORGED_SEQ + number;
    let reading = format!(r#"{{"seq":{seq},"ts":{ts_ms},"metrics":{{"temp":1.5}},"forged":{number}}}"#);
    let desired = format!(r#"{{"state":{{"desired":{{"publish_interval_ms":200,"forged":{number}}}}}}}"#);
    let mut topics = vec![
        (format!("tenant/{tenant}/device/{other}/data"), reading.clone()),
        (format!("tenant/{tenant}/device/{own}/data"), reading.clone()),
        (format!("tenant/{own_tenant}/device/{other}/data"), reading.clone()),
        (format!("tenant/{tenant}/device/{other}/command"), format!(r#"{{"id":{seq}}}"#)),
        (format!("tenant/{own_tenant}/device/{own}/command"), format!(r#"{{"id":{seq}}}"#)),
        (format!("$aws/things/{other}/shadow/update"), desired.clone()),
        (format!("$aws/things/{other}/shadow/delete"), String::new()),
        (format!("$aws/things/{own}/shadow/update/accepted"), desired),
        (format!("$aws/rules/readings/tenant/{tenant}/device/{other}/data"), reading),
        (format!("$aws/events/thing/{other}/deleted"), "{}".to_owned()),
    ];
    if tenant == own_tenant {
        // With one tenant alone, the tenant that is attacked is nobody's.
        topics.retain(|(topic, _)| *topic != format!("tenant/{own_tenant}/device/{own}/data"));
    }
    topics
}

/// Sequence numbers of forged readings begin here: no device publishes so many.
pub(super) const FORGED_SEQ: u64 = 9_000_000_000;

/// Filters that take in what is not the device's own.
fn foreign_filters(aim: &Aim) -> Vec<String> {
    let ((_, own), (tenant, other)) = (&aim.own, &aim.other);
    vec![
        "#".to_owned(),
        "+/+/+/+/+".to_owned(),
        "tenant/#".to_owned(),
        "tenant/+/device/+/data".to_owned(),
        format!("tenant/{tenant}/#"),
        format!("tenant/{tenant}/device/{other}/data"),
        format!("tenant/{tenant}/device/{other}/command"),
        format!("tenant/+/device/{own}/command"),
        format!("$aws/things/{other}/shadow/update/delta"),
        "$aws/things/+/shadow/update/delta".to_owned(),
        format!("$aws/things/{other}/#"),
        "$aws/events/#".to_owned(),
        "$share/thieves/tenant/#".to_owned(),
        format!("$share/thieves/tenant/{tenant}/device/{other}/command"),
    ]
}

/// The attempts of one stroke: each connection that is refused costs its owner a reconnect, so that a stroke makes a few of
/// them, and the next stroke goes on where it stopped.
pub(super) fn attempts(aim: &Aim, stroke: u64, ts_ms: u64) -> Vec<Attempt> {
    let topics = foreign_topics(aim, stroke, ts_ms);
    let at = |n: u64| {
        let turn = usize::try_from((stroke * PUBLISHES + n) % topics.len() as u64).unwrap_or(0);
        topics[turn].clone()
    };
    let mut attempts = vec![Attempt::ConnectAs(aim.other.1.clone())];
    for n in 0..PUBLISHES {
        let (topic, payload) = at(n);
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = 7;
        attempts.push(Attempt::Publish(publish));
    }
    // A SUBSCRIBE takes at most eight filters.
    attempts.extend(foreign_filters(aim).chunks(7).map(|filters| Attempt::Subscribe(filters.to_vec())));
    let (topic, payload) = at(PUBLISHES);
    attempts.push(Attempt::Will(LastWill::new(topic, payload, QoS::AtLeastOnce, false)));
    attempts
}

/// Publishes of one stroke.
const PUBLISHES: u64 = 3;

/// A SUBSCRIBE of these filters.
pub(super) fn subscribe(filters: &[String]) -> Packet {
    let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
    let mut packet = Subscribe::new_many(filters);
    packet.pkid = 9;
    Packet::Subscribe(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(other: &str) -> Aim {
        Aim { own: ("acme".to_owned(), "a-1".to_owned()), other: (other.to_owned(), "b-1".to_owned()) }
    }

    #[test]
    fn nothing_that_is_tried_is_the_devices_own_right() {
        for tenant in ["globex", "acme"] {
            for (topic, _) in foreign_topics(&aim(tenant), 0, 0) {
                let own =
                    ["tenant/acme/device/a-1/data", "$aws/things/a-1/shadow/update", "$aws/things/a-1/shadow/get"];
                assert!(!own.contains(&topic.as_str()), "{topic}");
            }
            let allowed = ["tenant/acme/device/a-1/command", "$aws/things/a-1/shadow/update/delta"];
            assert!(foreign_filters(&aim(tenant)).iter().all(|filter| !allowed.contains(&filter.as_str())));
        }
    }

    #[test]
    fn strokes_go_round_all_topics() {
        let mut tried = std::collections::BTreeSet::new();
        for stroke in 0..10 {
            for attempt in attempts(&aim("globex"), stroke, 0) {
                if let Attempt::Publish(publish) = attempt {
                    tried.insert(publish.topic);
                }
            }
        }
        assert_eq!(tried.len(), foreign_topics(&aim("globex"), 0, 0).len());
    }
}
