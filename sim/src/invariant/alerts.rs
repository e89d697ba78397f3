//! The messages of the alert topic, and what they are compared with: the anomalies of the lake.
//!
//! Nobody can read a topic over the wire, and an address is never confirmed: whoever runs the account hands over what was
//! published, in its order.
//!
//! The platform promises that every anomaly that is told by a message is in the lake first; that a message may come twice,
//! with the same id and the same contents; and that a device and kind is told at most once in a hold time, and then for
//! certain, unless its message is dropped and counted. The last two are in `holds`.

use std::collections::{BTreeMap, BTreeSet};

use record::ReadingId;
use serde::Deserialize;

use super::anomalies::{Told, is_same};
use super::ledger::{Example, violation};
use super::{ALERTS_TOLD, Violation};
use crate::world::time::Time;

/// A message as it was published.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    /// When the topic took it.
    pub at: Time,
    /// Body.
    pub body: &'m str,
    /// Values of its attributes by name.
    pub attributes: BTreeMap<&'m str, &'m str>,
}

/// A body, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
struct Body {
    id: String,
    tenant_id: String,
    severity: String,
    object: String,
    alerts: Vec<Alert>,
}

#[derive(Clone, Debug, Deserialize)]
struct Alert {
    device_id: String,
    metric: String,
    kind: String,
    score: f64,
    value: f64,
    seq: u64,
    ts: i64,
    received_at: i64,
    anomalies: usize,
}

/// What a message says, whoever repeats it.
#[derive(Debug)]
struct Contents {
    text: String,
    attributes: BTreeMap<String, String>,
    body: Body,
}

/// What is told of a device and kind by the messages about one object.
#[derive(Debug, Default)]
pub(super) struct OneAlert {
    /// Ids of the messages.
    ids: BTreeSet<String>,
    /// How many anomalies of the object the alert says to stand for.
    pub anomalies: usize,
}

/// Object, tenant, device, kind.
type Whose = (String, String, String, String);

/// What the topic was told.
#[derive(Debug, Default)]
pub struct Heard {
    /// By id.
    messages: BTreeMap<String, Contents>,
    /// By what they are about.
    alerts: BTreeMap<Whose, OneAlert>,
    /// Key of the object of each publish, and when it was.
    publishes: Vec<(String, Time)>,
    /// Messages that are not as they should be, by what is wrong.
    wrong: BTreeMap<&'static str, Vec<Example>>,
    /// Messages that were published and not kept.
    pub more: u64,
}

const NO_ALERTS: &str = "messages of the alert topic are no alerts";
const OTHER_ATTRIBUTES: &str = "messages have attributes that are not what their alerts say";
const OTHER_CONTENTS: &str = "messages have the id of another one that says something else";
const NOT_IN_LAKE: &str = "alerts are of no anomaly that their object holds for their tenant";
const SAYS_OTHERWISE: &str = "alerts say something else than their anomaly in the lake";
const TWO_MESSAGES: &str = "devices and kinds are told of one object by messages with different ids";

impl Heard {
    /// Takes one publish.
    pub fn take(&mut self, message: &Message<'_>) {
        let body: Body = match serde_json::from_str(message.body) {
            Ok(body) => body,
            Err(error) => return self.note(NO_ALERTS, (None, error.to_string())),
        };
        self.publishes.push((key(&body.object).to_owned(), message.at));
        let attributes = message.attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let contents = Contents { text: message.body.to_owned(), attributes: attributes.collect(), body };
        if let Some(known) = self.messages.get(&contents.body.id) {
            if (&known.text, &known.attributes) != (&contents.text, &contents.attributes) {
                let example = (contents.body.first(), contents.body.id.clone());
                self.note(OTHER_CONTENTS, example);
            }
            return;
        }
        if let Some(what) = contents.other_attribute() {
            let example = (contents.body.first(), format!("{what} of {}", contents.body.id));
            self.note(OTHER_ATTRIBUTES, example);
        }
        for alert in &contents.body.alerts {
            let Body { id, tenant_id, object, .. } = &contents.body;
            let whose = (key(object).to_owned(), tenant_id.clone(), alert.device_id.clone(), alert.kind.clone());
            let told = self.alerts.entry(whose).or_default();
            told.ids.insert(id.clone());
            told.anomalies = alert.anomalies;
        }
        self.messages.insert(contents.body.id.clone(), contents);
    }

    fn note(&mut self, what: &'static str, example: Example) {
        self.wrong.entry(what).or_default().push(example);
    }

    /// Alerts, each counted once.
    pub fn count(&self) -> u64 {
        self.alerts.len() as u64
    }

    /// What is told of a device and kind by the messages about one object.
    pub(super) fn alert(&self, object: &str, tenant: &str, device: &str, kind: &str) -> Option<&OneAlert> {
        let whose = (object.to_owned(), tenant.to_owned(), device.to_owned(), kind.to_owned());
        self.alerts.get(&whose)
    }

    /// Key of the object that each publish is about, and when it was, in their order.
    pub(super) fn publishes(&self) -> impl Iterator<Item = (&str, Time)> {
        self.publishes.iter().map(|(object, at)| (&**object, *at))
    }

    /// Messages that are wrong whatever else is told: against each other, and against the anomalies of the lake, which were
    /// read after the last message.
    pub fn violations(&self, lake: &Told) -> Vec<Violation> {
        let mut wrong: BTreeMap<&str, Vec<Example>> = self.wrong.iter().map(|(what, of)| (*what, of.clone())).collect();
        for Contents { body, .. } in self.messages.values() {
            for alert in &body.alerts {
                if let Some(what) = body.unlike(alert, lake) {
                    wrong.entry(what).or_default().push(body.example(alert));
                }
            }
        }
        for ((object, tenant, device, kind), told) in self.alerts.iter().filter(|(_, told)| told.ids.len() > 1) {
            let ids: Vec<&str> = told.ids.iter().map(String::as_str).collect();
            let text = format!("{kind} of {tenant}/{device} in {object}: {}", ids.join(" and "));
            wrong.entry(TWO_MESSAGES).or_default().push((None, text));
        }
        wrong.iter().map(|(what, of)| broken(what, of)).collect()
    }
}

/// The violation of `alerts-told` by these, the first of which are named.
pub(super) fn broken(what: &str, examples: &[Example]) -> Violation {
    violation(ALERTS_TOLD, what, examples.len() as u64, &examples[..examples.len().min(NAMED_MAX)])
}

/// How many a message names before it says "and so on".
const NAMED_MAX: usize = 4;

/// The key of an object that is named by `s3://bucket/key`.
fn key(object: &str) -> &str {
    object.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).map_or(object, |(_, key)| key)
}

impl Body {
    fn example(&self, alert: &Alert) -> Example {
        let id = ReadingId { tenant: self.tenant_id.clone(), device: alert.device_id.clone(), seq: alert.seq };
        let text = format!("{} of {} of {id} by {}", alert.kind, alert.metric, self.id);
        (Some(id), text)
    }

    fn first(&self) -> Option<ReadingId> {
        self.alerts.first().and_then(|alert| self.example(alert).0)
    }

    /// How an alert differs from what the lake holds.
    fn unlike(&self, alert: &Alert, lake: &Told) -> Option<&'static str> {
        let of_reading = lake.of(&self.tenant_id, &alert.device_id, alert.seq);
        let key = key(&self.object);
        let mut same = of_reading
            .iter()
            .filter(|row| row.metric == alert.metric && row.kind == alert.kind)
            .filter(|row| lake.objects()[row.place.0].listed.key == key)
            .peekable();
        if same.peek().is_none() {
            return Some(NOT_IN_LAKE);
        }
        let agrees = same.any(|row| {
            is_same(row.score, alert.score)
                && is_same(row.value, alert.value)
                && (row.ts, row.received_ms) == (alert.ts, alert.received_at)
        });
        (!agrees).then_some(SAYS_OTHERWISE)
    }
}

impl Contents {
    /// The first attribute that is not what the body says.
    fn other_attribute(&self) -> Option<&'static str> {
        let text = |name: &str| self.attributes.get(name).map_or("", String::as_str);
        let list = |name: &str| serde_json::from_str::<BTreeSet<String>>(text(name)).unwrap_or_default();
        let of = |part: fn(&Alert) -> &String| self.body.alerts.iter().map(part).cloned().collect::<BTreeSet<String>>();
        [
            ("tenant", text("tenant") == self.body.tenant_id),
            ("severity", text("severity") == self.body.severity),
            ("device", list("device") == of(|alert| &alert.device_id)),
            ("kind", list("kind") == of(|alert| &alert.kind)),
        ]
        .into_iter()
        .find(|(_, is_so)| !is_so)
        .map(|(name, _)| name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::invariant::anomalies::tests::lake;

    pub(in crate::invariant) const START: Time = Time::from_unix_secs(1_000);

    /// The body of a message with one alert, of the reading `seq` of a device, from the object of its number.
    pub(in crate::invariant) fn body(device: &str, seq: u64, object: u64, anomalies: usize) -> Value {
        json!({
            "id": format!("shard-{object}-0"), "tenant_id": "acme", "severity": "high",
            "object": format!("s3://bucket/anomalies/{object}.parquet"),
            "alerts": [{
                "device_id": device, "metric": "temp", "kind": "spike", "score": 1.0, "value": 21.5, "expected": 20.0,
                "scale": 0.1, "seq": seq, "ts": 5, "received_at": 1_000 * seq, "anomalies": anomalies,
            }],
        })
    }

    /// Has it published `second` seconds after the start.
    pub(in crate::invariant) fn publish(heard: &mut Heard, body: &Value, second: u64) {
        publish_as(heard, body, second, "acme");
    }

    fn publish_as(heard: &mut Heard, body: &Value, second: u64, tenant: &str) {
        let device = json!([body["alerts"][0]["device_id"]]).to_string();
        let attributes = BTreeMap::from([
            ("tenant", tenant),
            ("severity", "high"),
            ("device", device.as_str()),
            ("kind", r#"["spike"]"#),
        ]);
        let at = START + Duration::from_secs(second);
        heard.take(&Message { at, body: &body.to_string(), attributes });
    }

    fn said(heard: &Heard) -> Vec<String> {
        let lake = lake(&[(1, &[("pump-1", 40), ("pump-1", 41)]), (2, &[("pump-1", 50)])]);
        heard.violations(&lake).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn a_message_that_comes_twice_is_the_same() {
        let mut heard = Heard::default();
        let first = body("pump-1", 40, 1, 2);
        for (n, body) in [&first, &body("pump-1", 50, 2, 1), &first].into_iter().enumerate() {
            publish(&mut heard, body, n as u64);
        }
        assert_eq!(said(&heard), Vec::<String>::new());
        assert_eq!((heard.count(), heard.publishes().count()), (2, 3));
        publish(&mut heard, &body("pump-1", 41, 1, 2), 9);
        assert_eq!(said(&heard), [format!("1 {OTHER_CONTENTS}: shard-1-0")]);
    }

    #[test]
    fn an_alert_is_an_anomaly_of_its_object_and_tenant_and_says_what_it_says() {
        let with = |pointer: &str, value: Value| {
            let mut body = body("pump-1", 40, 1, 1);
            *body.pointer_mut(pointer).expect("it is there") = value;
            body
        };
        for (body, what) in [
            (with("/alerts/0/seq", 42.into()), NOT_IN_LAKE),
            (with("/alerts/0/kind", "drift".into()), OTHER_ATTRIBUTES),
            (with("/alerts/0/metric", "rpm".into()), NOT_IN_LAKE),
            (with("/object", "s3://bucket/anomalies/2.parquet".into()), NOT_IN_LAKE),
            (with("/alerts/0/score", 0.5.into()), SAYS_OTHERWISE),
            (with("/alerts/0/value", 21.6.into()), SAYS_OTHERWISE),
            (with("/alerts/0/received_at", 7.into()), SAYS_OTHERWISE),
            (with("/severity", "low".into()), OTHER_ATTRIBUTES),
            (with("/alerts", Value::Null), NO_ALERTS),
        ] {
            let mut heard = Heard::default();
            publish(&mut heard, &body, 0);
            let said = said(&heard);
            assert!(said.iter().any(|said| said.contains(what)), "{body}: {said:?}");
        }
        let mut heard = Heard::default();
        publish_as(&mut heard, &body("pump-1", 40, 1, 1), 0, "globex");
        assert_eq!(said(&heard), [format!("1 {OTHER_ATTRIBUTES}: tenant of shard-1-0")]);
        let mut heard = Heard::default();
        publish_as(&mut heard, &with("/tenant_id", "globex".into()), 0, "globex");
        assert_eq!(said(&heard), [format!("1 {NOT_IN_LAKE}: spike of temp of globex/pump-1 seq 40 by shard-1-0")]);
    }

    #[test]
    fn one_alert_under_two_ids_is_two_alerts() {
        let mut heard = Heard::default();
        let mut again = body("pump-1", 40, 1, 1);
        publish(&mut heard, &again, 0);
        again["id"] = "shard-1-1".into();
        publish(&mut heard, &again, 1);
        let text = "spike of acme/pump-1 in anomalies/1.parquet: shard-1-0 and shard-1-1";
        assert_eq!(said(&heard), [format!("1 {TWO_MESSAGES}: {text}")]);
    }
}
