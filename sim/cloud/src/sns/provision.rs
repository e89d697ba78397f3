//! Resources of CloudFormation.

use serde::Deserialize;
use serde_json::Value;

use super::{Sns, Subscription, Topic, topic_not_found};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TopicProperties {
    topic_name: String,
    display_name: Option<String>,
    kms_master_key_id: Option<String>,
    #[serde(default)]
    subscription: Vec<SubscriptionOfTopic>,
    fifo_topic: Option<bool>,
    #[serde(rename = "SignatureVersion")]
    _signature_version: Option<String>,
    #[serde(rename = "TracingConfig")]
    _tracing_config: Option<String>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SubscriptionOfTopic {
    endpoint: String,
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SubscriptionProperties {
    topic_arn: String,
    endpoint: String,
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyProperties {
    topics: Vec<String>,
    policy_document: Value,
}

impl Sns {
    /// Creates `AWS::SNS::Topic` (`Ref` is the ARN; attributes `TopicArn` and `TopicName`), `AWS::SNS::TopicPolicy`
    /// (attribute `Id`) or `AWS::SNS::Subscription` (`Ref` and `Arn` name it).
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::SNS::Topic" => ("CreateTopic", self.create_topic(cx, resource)),
            "AWS::SNS::TopicPolicy" => ("SetTopicAttributes", self.put_policy(cx, resource, None)),
            "AWS::SNS::Subscription" => ("Subscribe", self.subscribe(cx, resource)),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("sns", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    /// Changes a topic or a policy in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let result = match resource.kind.as_str() {
            "AWS::SNS::Topic" => self.change_topic(cx, resource, physical_id),
            "AWS::SNS::TopicPolicy" => {
                let old: PolicyProperties = Resource { properties: previous.clone(), ..resource.clone() }.parse()?;
                self.clear_policies(&old.topics);
                self.put_policy(cx, resource, Some(physical_id))
            }
            kind => return Err(AwsError::not_modelled(format!("changing a resource of type {kind}"))),
        };
        cx.meter.call("sns", "SetTopicAttributes", result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    /// Deletes a resource. With a topic go its subscriptions.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::SNS::Topic" => {
                self.topics.remove(physical_id);
                "DeleteTopic"
            }
            "AWS::SNS::TopicPolicy" => {
                let topics = resource.parse::<PolicyProperties>()?.topics;
                self.clear_policies(&topics);
                "SetTopicAttributes"
            }
            "AWS::SNS::Subscription" => {
                for topic in self.topics.values_mut() {
                    topic.subscriptions.retain(|subscription| subscription.id != physical_id);
                }
                "Unsubscribe"
            }
            kind => return Err(AwsError::not_modelled(format!("deleting a resource of type {kind}"))),
        };
        cx.meter.call("sns", operation, Outcome::Ok);
        Ok(())
    }

    fn create_topic(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let topic = read_topic(cx, resource)?;
        let arn = cx.account.arn("sns", &topic.name);
        if self.topics.contains_key(&arn) {
            return Err(AwsError::new("AlreadyExists", format!("the topic {arn} already exists")));
        }
        let provisioned = answer(&arn, &topic.name);
        self.topics.insert(arn, topic);
        Ok(provisioned)
    }

    fn change_topic(&mut self, cx: &mut Cx<'_>, resource: &Resource, arn: &str) -> Result<Provisioned, AwsError> {
        let new = read_topic(cx, resource)?;
        let topic = self.topics.get_mut(arn).ok_or_else(topic_not_found)?;
        if new.name != topic.name {
            return Err(resource.refuse("a change of TopicName needs a replacement"));
        }
        topic.display_name = new.display_name;
        topic.kms_key = new.kms_key;
        // Those of the topic's own declaration; subscriptions that are resources stay.
        topic.subscriptions.retain(|subscription| !subscription.id.starts_with(OF_TOPIC));
        topic.subscriptions.extend(new.subscriptions);
        Ok(answer(arn, &topic.name))
    }

    fn subscribe(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let SubscriptionProperties { topic_arn, endpoint, protocol } = resource.parse()?;
        check_subscription(resource, &protocol, &endpoint)?;
        let pending_max = cx.limits.get("sns", "pending_subscriptions");
        if self.topics.values().map(|topic| topic.subscriptions.len() as u64).sum::<u64>() >= pending_max {
            let message = format!("an account has at most {pending_max} subscriptions that are not confirmed");
            return Err(AwsError::new("SubscriptionLimitExceeded", message).status(403));
        }
        let id = format!("{topic_arn}:{}", cx.uuid());
        let topic = self.topics.get_mut(&topic_arn).ok_or_else(topic_not_found)?;
        topic.subscriptions.push(Subscription { id: id.clone(), protocol, endpoint });
        Ok(Provisioned::new(id.clone()).attribute("Arn", id))
    }

    fn put_policy(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: Option<&str>,
    ) -> Result<Provisioned, AwsError> {
        let PolicyProperties { topics, policy_document } = resource.parse()?;
        if !policy_document["Statement"].is_array() && !policy_document["Statement"].is_object() {
            return Err(super::invalid("Policy Error: a policy has statements"));
        }
        if topics.iter().any(|arn| !self.topics.contains_key(arn)) {
            return Err(topic_not_found());
        }
        for arn in &topics {
            if let Some(topic) = self.topics.get_mut(arn) {
                topic.policy = Some(policy_document.clone());
            }
        }
        let id = match physical_id {
            Some(id) => id.to_owned(),
            None => format!("{}-{}-{}", resource.stack, resource.logical_id, &cx.uuid()[..12]),
        };
        Ok(Provisioned::new(id.clone()).attribute("Id", id))
    }

    fn clear_policies(&mut self, topics: &[String]) {
        for arn in topics {
            if let Some(topic) = self.topics.get_mut(arn) {
                topic.policy = None;
            }
        }
    }
}

/// Begins the ids of subscriptions that a topic declares itself.
const OF_TOPIC: &str = "topic:";

fn answer(arn: &str, name: &str) -> Provisioned {
    Provisioned::new(arn).attribute("TopicArn", arn).attribute("TopicName", name)
}

fn read_topic(cx: &mut Cx<'_>, resource: &Resource) -> Result<Topic, AwsError> {
    let properties: TopicProperties = resource.parse()?;
    let name = properties.topic_name;
    if properties.fifo_topic == Some(true) || name.ends_with(".fifo") {
        return Err(resource.refuse("FIFO topics are not modelled"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 256 || !name.chars().all(fits) {
        return Err(super::invalid("Topic Name"));
    }
    let mut subscriptions = Vec::new();
    for SubscriptionOfTopic { endpoint, protocol } in properties.subscription {
        check_subscription(resource, &protocol, &endpoint)?;
        subscriptions.push(Subscription { id: format!("{OF_TOPIC}{}", cx.uuid()), protocol, endpoint });
    }
    Ok(Topic {
        name,
        display_name: properties.display_name.unwrap_or_default(),
        kms_key: properties.kms_master_key_id.filter(|key| !key.is_empty()),
        subscriptions,
        ..Topic::default()
    })
}

fn check_subscription(resource: &Resource, protocol: &str, endpoint: &str) -> Result<(), AwsError> {
    match protocol {
        "email" | "email-json" if endpoint.contains('@') => Ok(()),
        "email" | "email-json" => Err(super::invalid("Email address")),
        other => Err(resource.refuse(format!("Protocol {other:?}: only e-mail is modelled"))),
    }
}
