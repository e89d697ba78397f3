use serde_json::json;

use super::*;
use crate::core::cx::CxParts;
use crate::core::{Principal, Provisioned, Resource};
use crate::front::query::dialect;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:anomalies";

struct Bench {
    sns: Sns,
    parts: CxParts,
    owner: Principal,
}

impl Bench {
    /// With the topic `anomalies`.
    fn new() -> Self {
        let parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let mut bench = Bench { sns: Sns::new(), parts, owner: Principal::new("owner") };
        bench.provision("Topic", json!({ "TopicName": "anomalies", "DisplayName": "Anomalies" })).unwrap();
        bench
    }

    fn resource(kind: &str, properties: Value) -> Resource {
        let (stack, logical_id) = ("stack".to_owned(), "Logical".to_owned());
        Resource { stack, logical_id, kind: format!("AWS::SNS::{kind}"), properties }
    }

    fn provision(&mut self, kind: &str, properties: Value) -> Result<Provisioned, AwsError> {
        self.sns.provision(&mut self.parts.cx(Time::EPOCH, &self.owner), &Bench::resource(kind, properties))
    }

    fn call(&mut self, query: &str) -> Result<String, AwsError> {
        let body = format!("Version=2010-03-31&{query}");
        let mut form = dialect("sns").unwrap().parse(body.as_bytes()).unwrap();
        let answer = self.sns.call(&mut self.parts.cx(Time::EPOCH, &self.owner), &mut form)?;
        Ok(String::from_utf8(answer.into_bytes()).unwrap())
    }
}

#[test]
fn a_message_is_taken_kept_and_gets_an_id() {
    let mut bench = Bench::new();
    let answer = bench
        .call(&format!(
            "Action=Publish&TopicArn={ARN}&Message=hot&Subject=pump+7&MessageAttributes.entry.1.Name=kind&\
             MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=spike"
        ))
        .unwrap();
    assert!(answer.starts_with("<MessageId>") && answer.len() == 59, "{answer}");
    let topic = bench.sns.topic(ARN).unwrap();
    assert_eq!(topic.published(), 1);
    let published = &topic.messages().kept()[0];
    assert_eq!((&*published.message, published.subject.as_deref()), ("hot", Some("pump 7")));
    let attribute = Attribute { kind: "String".to_owned(), value: "spike".to_owned() };
    assert_eq!(published.attributes, BTreeMap::from([("kind".to_owned(), attribute)]));
    assert_eq!(bench.parts.meter.counters()[&("sns", "PublishSize_bytes")], 3 + 4 + 6 + 5);
}

#[test]
fn what_no_topic_takes_is_refused_with_the_texts_of_aws() {
    let long = "x".repeat(262_145);
    let topic = format!("TopicArn={ARN}");
    for (members, code, text) in [
        (format!("{topic}&Message="), "InvalidParameter", "Invalid parameter: Empty message"),
        (format!("{topic}&Message={long}"), "InvalidParameter", "Invalid parameter: Message too long"),
        (
            "TopicArn=x&Message=m".to_owned(),
            "InvalidParameter",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
        ),
        (format!("{topic}s&Message=m"), "NotFound", "Topic does not exist"),
        (
            format!("{topic}&Message=%7B%7D&MessageStructure=json"),
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
        (format!("{topic}&Message=m&Subject=two%0Alines"), "InvalidParameter", "Invalid parameter: Subject"),
        (format!("{topic}&Message=m&MessageGroupId=g"), "NotImplemented", "MessageGroupId"),
    ] {
        let error = Bench::new().call(&format!("Action=Publish&{members}")).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(text), "{error} does not say {text:?}");
    }
}

#[test]
fn an_address_stays_pending_and_goes_with_its_resource() {
    let mut bench = Bench::new();
    let properties = json!({ "TopicArn": ARN, "Protocol": "email", "Endpoint": "ops@example.com" });
    let id = bench.provision("Subscription", properties.clone()).unwrap().physical_id;
    let listed = bench.call(&format!("Action=ListSubscriptionsByTopic&TopicArn={ARN}")).unwrap();
    assert!(listed.contains("<SubscriptionArn>PendingConfirmation</SubscriptionArn>"), "{listed}");
    assert!(listed.contains("<Endpoint>ops@example.com</Endpoint>"), "{listed}");
    let resource = Bench::resource("Subscription", properties);
    bench.sns.delete(&mut bench.parts.cx(Time::EPOCH, &bench.owner), &resource, &id).unwrap();
    let listed = bench.call(&format!("Action=ListSubscriptionsByTopic&TopicArn={ARN}")).unwrap();
    assert_eq!(listed, "<Subscriptions></Subscriptions>");
    for (properties, text) in [
        (json!({ "TopicArn": ARN, "Protocol": "sqs", "Endpoint": "arn" }), "only e-mail"),
        (json!({ "TopicArn": ARN, "Protocol": "email", "Endpoint": "nobody" }), "Email address"),
        (json!({ "TopicArn": "other", "Protocol": "email", "Endpoint": "a@b" }), "Topic does not exist"),
    ] {
        let error = bench.provision("Subscription", properties).unwrap_err();
        assert!(error.message.contains(text), "{error}");
    }
}

#[test]
fn a_topic_changes_in_place_and_keeps_its_policy() {
    let mut bench = Bench::new();
    let policy = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Service": "budgets.amazonaws.com" } }] });
    bench.provision("TopicPolicy", json!({ "Topics": [ARN], "PolicyDocument": policy })).unwrap();
    let new = Bench::resource("Topic", json!({ "TopicName": "anomalies", "KmsMasterKeyId": "alias/data" }));
    bench.sns.update(&mut bench.parts.cx(Time::EPOCH, &bench.owner), &new, ARN, &json!({})).unwrap();
    let attributes = bench.call(&format!("Action=GetTopicAttributes&TopicArn={ARN}")).unwrap();
    for expected in ["<key>KmsMasterKeyId</key><value>alias/data</value>", "budgets.amazonaws.com"] {
        assert!(attributes.contains(expected), "{attributes}");
    }
    bench.sns.delete(&mut bench.parts.cx(Time::EPOCH, &bench.owner), &new, ARN).unwrap();
    assert_eq!(bench.call(&format!("Action=Publish&TopicArn={ARN}&Message=m")).unwrap_err().code, "NotFound");
}
