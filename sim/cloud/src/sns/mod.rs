//! Amazon SNS: standard topics that take messages.
//!
//! Modelled: `AWS::SNS::Topic` with its key, `AWS::SNS::TopicPolicy`, `AWS::SNS::Subscription` of an e-mail address, their
//! changes and deletions; the operations Publish, GetTopicAttributes, ListTopics, ListSubscriptionsByTopic; the limits of a
//! message and the account's rate of publishes; the use of a customer-managed key by who publishes.
//!
//! Partly modelled: a message is kept ([`Topic::messages`]) and leaves an event; it is delivered to nobody, because an address
//! is never confirmed: its subscription stays pending. Policies of topics are kept and answered; that they allow or deny a caller is the business of
//! IAM. DisplayName, SignatureVersion, TracingConfig and Tags change nothing.
//!
//! Refused: FIFO topics, other protocols, filter policies, phone numbers, every other operation and property by its name.
//!
//! Not stated by AWS, decided here: the code for a topic that CloudFormation creates a second time; that a lower-case
//! letter, digit or punctuation mark may begin a subject.

mod messages;
mod port;
mod provision;
mod publish;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::messages::{Attribute, Messages, Published};

use super::core::{AwsError, Cx, Outcome, TokenBucket};
use super::front::query::{Form, Xml, unknown_action};

/// Topics or subscriptions of one page (SNS facts, "Operations").
const PAGE: usize = 100;

/// A subscription of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subscription {
    /// Names the resource; AWS shows it once the address is confirmed.
    id: String,
    protocol: String,
    endpoint: String,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topic {
    name: String,
    display_name: String,
    kms_key: Option<String>,
    policy: Option<Value>,
    subscriptions: Vec<Subscription>,
    messages: Messages,
}

impl Topic {
    /// Messages that were published so far.
    pub fn published(&self) -> u64 {
        self.messages.count()
    }

    /// The messages themselves.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }
}

/// The topics of the account.
#[derive(Debug, Default)]
pub struct Sns {
    /// By ARN.
    topics: BTreeMap<String, Topic>,
    publishes: Option<TokenBucket>,
}

impl Sns {
    /// An account without topics.
    pub fn new() -> Self {
        Sns::default()
    }

    /// A topic by its ARN.
    pub fn topic(&self, arn: &str) -> Option<&Topic> {
        self.topics.get(arn)
    }

    /// Answers one call of the Query API.
    pub fn call(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        let (operation, result) = match form.action() {
            "Publish" => ("Publish", self.publish(cx, form)),
            "GetTopicAttributes" => ("GetTopicAttributes", self.get_topic_attributes(cx, form)),
            "ListTopics" => ("ListTopics", self.list_topics(cx, form)),
            "ListSubscriptionsByTopic" => ("ListSubscriptionsByTopic", self.list_subscriptions(cx, form)),
            other if OTHERS.contains(&other) => return Err(AwsError::not_modelled(format!("sns {other}"))),
            _ => return Err(unknown_action(form)),
        };
        cx.meter.call("sns", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    /// The topic that a member names, once the caller may do `action` on it.
    fn find(&mut self, cx: &mut Cx<'_>, action: &str, arn: &str) -> Result<&mut Topic, AwsError> {
        let elements = arn.split(':').count();
        if elements < 6 {
            return Err(invalid(format!("TopicArn Reason: An ARN must have at least 6 elements, not {elements}")));
        }
        authorize(cx, action, arn)?;
        self.topics.get_mut(arn).ok_or_else(topic_not_found)
    }

    fn get_topic_attributes(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        let arn = form.required("TopicArn")?;
        form.finish()?;
        let owner = cx.account.id.clone();
        let topic = self.find(cx, "sns:GetTopicAttributes", &arn)?;
        let mut attributes = vec![
            ("TopicArn", arn.clone()),
            ("Owner", owner),
            ("DisplayName", topic.display_name.clone()),
            ("SubscriptionsConfirmed", "0".to_owned()),
            ("SubscriptionsPending", topic.subscriptions.len().to_string()),
            ("SubscriptionsDeleted", "0".to_owned()),
        ];
        attributes.extend(topic.policy.as_ref().map(|policy| ("Policy", policy.to_string())));
        attributes.extend(topic.kms_key.clone().map(|key| ("KmsMasterKeyId", key)));
        let mut xml = Xml::new();
        xml.element("Attributes", |xml| {
            for (name, value) in &attributes {
                xml.element("entry", |xml| {
                    xml.text("key", name);
                    xml.text("value", value);
                });
            }
        });
        Ok(xml)
    }

    fn list_topics(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        let after = form.text("NextToken");
        form.finish()?;
        authorize(cx, "sns:ListTopics", "*")?;
        let start = after.as_deref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rest = self.topics.range::<str, _>((start, std::ops::Bound::Unbounded)).map(|(arn, _)| arn);
        let mut page: Vec<&String> = rest.take(PAGE + 1).collect();
        let more = page.len() > PAGE;
        page.truncate(PAGE);
        let mut xml = Xml::new();
        xml.list("Topics", &page, |xml, arn| xml.text("TopicArn", arn));
        xml.optional("NextToken", page.last().filter(|_| more));
        Ok(xml)
    }

    fn list_subscriptions(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        let arn = form.required("TopicArn")?;
        form.finish()?;
        let owner = cx.account.id.clone();
        let topic = self.find(cx, "sns:ListSubscriptionsByTopic", &arn)?;
        if topic.subscriptions.len() > PAGE {
            return Err(AwsError::not_modelled("sns ListSubscriptionsByTopic in several pages"));
        }
        let mut xml = Xml::new();
        xml.list("Subscriptions", &topic.subscriptions, |xml, subscription| {
            xml.text("SubscriptionArn", "PendingConfirmation");
            xml.text("Owner", &owner);
            xml.text("Protocol", &subscription.protocol);
            xml.text("Endpoint", &subscription.endpoint);
            xml.text("TopicArn", &arn);
        });
        Ok(xml)
    }
}

/// Operations that AWS has and this simulator does not.
const OTHERS: [&str; 17] = [
    "AddPermission",
    "ConfirmSubscription",
    "CreateTopic",
    "DeleteTopic",
    "GetDataProtectionPolicy",
    "GetSubscriptionAttributes",
    "ListSubscriptions",
    "ListTagsForResource",
    "PublishBatch",
    "PutDataProtectionPolicy",
    "RemovePermission",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "TagResource",
    "Unsubscribe",
    "UntagResource",
];

/// SNS has a code of its own for what IAM denies.
fn authorize(cx: &mut Cx<'_>, action: &str, arn: &str) -> Result<(), AwsError> {
    cx.authorize(action, arn).map_err(|error| AwsError { code: "AuthorizationError", status: 403, ..error })
}

fn topic_not_found() -> AwsError {
    AwsError::new("NotFound", "Topic does not exist").status(404)
}

fn invalid(what: impl std::fmt::Display) -> AwsError {
    AwsError::new("InvalidParameter", format!("Invalid parameter: {what}"))
}
