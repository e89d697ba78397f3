//! Consumers with enhanced fan-out: `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`,
//! `ListStreamConsumers`, and `AWS::Kinesis::StreamConsumer`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::describe::{LIMIT_MAX, limit, open_token};
use super::stream::{Status, Stream};
use super::tags::check_tags;
use super::token::{Kind, Token};
use super::wire::{ARN_CHARS, Checks, TOKEN_CHARS, Text, authorized, invalid, parse, stream_name, text};
use super::work::TickKind;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::time::Time;
use world::trace::Level;

/// How long a consumer is CREATING, and DELETING. AWS publishes neither: unverified.
const TRANSITION: Duration = Duration::from_secs(10);

/// A consumer of a stream.
#[derive(Debug)]
pub(super) struct Consumer {
    /// ARN.
    pub arn: String,
    /// When it was registered.
    created: Time,
    /// CREATING, ACTIVE or DELETING.
    pub status: Status,
    /// When it is ACTIVE, or gone.
    settles: Time,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RegisterInput<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    consumer_name: Option<Text<'a>>,
    tags: Option<BTreeMap<String, String>>,
}

/// How a request names a consumer: by its ARN, or by its name and its stream's ARN.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ConsumerInput<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    consumer_name: Option<Text<'a>>,
    #[serde(borrow, rename = "ConsumerARN")]
    consumer_arn: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListConsumersInput<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ConsumerProperties {
    consumer_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    #[serde(default)]
    tags: Vec<super::change::Tag>,
}

impl Stream {
    /// A consumer has come to life, or is gone.
    pub(super) fn settle_consumer(&mut self, cx: &mut Cx<'_>, name: &Arc<str>) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        // A wake-up may be meant for what the consumer was before, or for an earlier consumer of the name.
        if cx.now < consumer.settles {
            return;
        }
        let kind = match consumer.status {
            Status::Creating => {
                consumer.status = Status::Active;
                "consumer active"
            }
            Status::Deleting => {
                self.consumers.remove(name);
                "consumer deleted"
            }
            Status::Active | Status::Updating => return,
        };
        cx.trace.event(Level::Call, cx.now, SERVICE, kind, &self.name, &[("consumer", (&**name).into())]);
    }

    /// The name of the consumer with this ARN.
    fn consumer_by_arn(&self, arn: &str) -> Option<&Arc<str>> {
        self.consumers.iter().find(|(_, consumer)| consumer.arn == arn).map(|(name, _)| name)
    }
}

/// Stream and name in the ARN of a consumer: `...:stream/{stream}/consumer/{name}:{seconds}`.
pub(super) fn of_arn<'a>(cx: &Cx<'_>, arn: &'a str) -> Option<(&'a str, &'a str)> {
    let prefix = cx.account.arn(SERVICE, "stream/");
    let (stream, consumer) = arn.strip_prefix(&*prefix)?.split_once("/consumer/")?;
    Some((stream, consumer.split_once(':')?.0))
}

/// A consumer that does not exist. The text is the one that moto gives.
pub(super) fn consumer_not_found(consumer: &str, account: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("Consumer {consumer}, account {account} not found."))
}

impl Kinesis {
    /// `RegisterStreamConsumer`.
    pub(super) fn register_consumer_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: RegisterInput<'_> = parse("RegisterStreamConsumer", body)?;
        let mut checks = Checks::default();
        let arn = checks.required(text(&input.stream_arn), "streamARN").unwrap_or_default();
        let consumer = checks.required(text(&input.consumer_name), "consumerName").unwrap_or_default();
        checks.stream(None, text(&input.stream_arn));
        checks.name(text(&input.consumer_name), "consumerName");
        checks.finish()?;
        let name = stream_name(cx, None, Some(arn))?;
        authorized(cx, "kinesis:RegisterStreamConsumer", name)?;
        self.register(cx, name, consumer, input.tags.unwrap_or_default())?;
        let stream = self.existing(cx, name)?;
        Ok(json!({ "Consumer": shown(consumer, &stream.consumers[consumer]) }).to_string().into_bytes())
    }

    /// Registers a consumer. Answers its ARN and when it is ACTIVE.
    fn register(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        consumer: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<(String, Time), AwsError> {
        let quotas = self.quotas(cx);
        let all = self.streams.values().flat_map(|stream| stream.consumers.values());
        let creating = all.filter(|consumer| consumer.status == Status::Creating).count() as u64;
        let stream = self.existing(cx, name)?;
        let limit_exceeded = |message: String| Err(AwsError::new("LimitExceededException", message));
        // The texts are unverified.
        if !stream.is_usable() {
            return Err(AwsError::new("ResourceInUseException", format!("Stream {name} is not ACTIVE.")));
        }
        if stream.consumers.contains_key(consumer) {
            let message = format!("Consumer {consumer} of stream {name} already exists.");
            return Err(AwsError::new("ResourceInUseException", message));
        }
        if stream.consumers.len() as u64 >= quotas.consumers {
            return limit_exceeded(format!("Stream {name} has {} consumers, which is the limit.", quotas.consumers));
        }
        if creating >= quotas.creating_consumers {
            let max = quotas.creating_consumers;
            return limit_exceeded(format!("{max} consumers are in the CREATING state, which is the limit."));
        }
        check_tags(cx, consumer, &tags, &BTreeMap::new())?;
        let arn = format!("{}/consumer/{consumer}:{}", stream.arn, cx.now.unix_secs());
        let ready = cx.now + TRANSITION;
        let new = Consumer { arn: arn.clone(), created: cx.now, status: Status::Creating, settles: ready, tags };
        let consumer: Arc<str> = consumer.into();
        stream.consumers.insert(consumer.clone(), new);
        let fields = [("consumer", (&*consumer).into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "RegisterStreamConsumer", name, &fields);
        self.ticks.at(cx, ready, &self.streams[name], TickKind::Consumer(consumer));
        Ok((arn, ready))
    }

    /// `DeregisterStreamConsumer`. Subscriptions of the consumer end.
    pub(super) fn deregister_consumer_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ConsumerInput<'_> = parse("DeregisterStreamConsumer", body)?;
        let (name, consumer) = self.named_consumer(cx, "kinesis:DeregisterStreamConsumer", &input)?;
        let stream = self.existing(cx, &name)?;
        let known = stream.consumers.get_mut(&consumer).expect("the consumer was just found");
        if known.status != Status::Deleting {
            let gone = cx.now + TRANSITION;
            (known.status, known.settles) = (Status::Deleting, gone);
            stream.end_subscriptions(cx, &consumer);
            let fields = [("consumer", (&*consumer).into())];
            cx.trace.event(Level::Call, cx.now, SERVICE, "DeregisterStreamConsumer", &name, &fields);
            self.ticks.at(cx, gone, &self.streams[&name], TickKind::Consumer(consumer));
        }
        Ok(Vec::new())
    }

    /// `DescribeStreamConsumer`.
    pub(super) fn describe_consumer_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ConsumerInput<'_> = parse("DescribeStreamConsumer", body)?;
        let (name, consumer) = self.named_consumer(cx, "kinesis:DescribeStreamConsumer", &input)?;
        let stream = self.existing(cx, &name)?;
        let mut description = shown(&consumer, &stream.consumers[&consumer]);
        description["StreamARN"] = stream.arn.as_str().into();
        Ok(json!({ "ConsumerDescription": description }).to_string().into_bytes())
    }

    /// Stream and name of the consumer that a request names and that exists.
    fn named_consumer(
        &self,
        cx: &mut Cx<'_>,
        action: &str,
        input: &ConsumerInput<'_>,
    ) -> Result<(Arc<str>, Arc<str>), AwsError> {
        let [stream_arn, name, arn] = [&input.stream_arn, &input.consumer_name, &input.consumer_arn].map(text);
        let mut checks = Checks::default();
        checks.stream(None, stream_arn);
        checks.name(name, "consumerName");
        checks.length(arn, "consumerARN", ARN_CHARS);
        checks.finish()?;
        let stream_of_arn = arn.and_then(|arn| of_arn(cx, arn));
        let (stream, consumer) = match (stream_arn, name, arn) {
            (_, _, Some(arn)) => stream_of_arn.ok_or_else(|| consumer_not_found(arn, &cx.account.id))?,
            (Some(stream), Some(name), None) => (stream_name(cx, None, Some(stream))?, name),
            // The texts are unverified.
            _ => return Err(invalid("Either ConsumerARN or both StreamARN and ConsumerName must be provided.")),
        };
        let conflicts = name.is_some_and(|name| name != consumer)
            || stream_arn.is_some_and(|arn| arn != cx.account.arn(SERVICE, &format!("stream/{stream}")));
        if conflicts {
            return Err(invalid("ConsumerARN, StreamARN and ConsumerName do not name the same consumer."));
        }
        let found = self.streams.get(stream).and_then(|stream| {
            let name = match arn {
                Some(arn) => stream.consumer_by_arn(arn)?,
                None => stream.consumers.get_key_value(consumer)?.0,
            };
            Some((stream.name.clone(), name.clone(), stream.consumers[name].arn.clone()))
        });
        match found {
            Some((stream, name, arn)) => cx.authorize(action, &arn).map(|()| (stream, name)),
            None => {
                let unknown = cx.account.arn(SERVICE, &format!("stream/{stream}/consumer/{consumer}:0"));
                cx.authorize(action, arn.unwrap_or(&unknown))?;
                Err(consumer_not_found(arn.unwrap_or(consumer), &cx.account.id))
            }
        }
    }

    /// `ListStreamConsumers`: by name.
    pub(super) fn list_consumers_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ListConsumersInput<'_> = parse("ListStreamConsumers", body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let arn = checks.required(text(&input.stream_arn), "streamARN").unwrap_or_default();
        checks.stream(None, text(&input.stream_arn));
        checks.length(text(&input.next_token), "nextToken", TOKEN_CHARS);
        checks.range(input.max_results, "maxResults", 1, LIMIT_MAX);
        checks.finish()?;
        let name = stream_name(cx, None, Some(arn))?;
        authorized(cx, "kinesis:ListStreamConsumers", name)?;
        let token = text(&input.next_token);
        let token = token.map(|token| open_token(cx.now, token, Kind::Consumers, quotas.list_token_lifetime_secs));
        let token = token.transpose()?;
        let stream = self.existing(cx, name)?;
        let created = stream.created;
        if token.as_ref().is_some_and(|token| token.stream_created != created) {
            return Err(invalid("NextToken is invalid."));
        }
        let start = token.as_ref().map_or(Bound::Unbounded, |token| Bound::Excluded(token.stream.as_str()));
        let mut rest = stream.consumers.range::<str, _>((start, Bound::Unbounded)).peekable();
        let most = limit(input.max_results, quotas.list_consumers_max);
        let page: Vec<(&Arc<str>, &Consumer)> = rest.by_ref().take(most).collect();
        let mut answer = json!({
            "Consumers": page.iter().map(|(name, consumer)| shown(name, consumer)).collect::<Vec<_>>(),
        });
        if let (Some(_), Some((last, _))) = (rest.peek(), page.last()) {
            let (issued, stream) = (cx.now, last.to_string());
            let token = Token { kind: Kind::Consumers, issued, stream, stream_created: created, shard: 0, offset: 0 };
            answer["NextToken"] = token.encode().into();
        }
        Ok(answer.to_string().into_bytes())
    }

    /// Creates `AWS::Kinesis::StreamConsumer`. `Ref` is the consumer's ARN.
    pub(super) fn provision_consumer(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: ConsumerProperties = resource.parse()?;
        let mut checks = Checks::default();
        checks.name(Some(&properties.consumer_name), "ConsumerName");
        checks.finish().map_err(|error| resource.refuse(error.message))?;
        let tags = properties.tags.iter().map(super::change::Tag::pair).collect();
        let name = stream_name(cx, None, Some(&properties.stream_arn))?;
        authorized(cx, "kinesis:RegisterStreamConsumer", name)?;
        let result = self.register(cx, name, &properties.consumer_name, tags);
        cx.meter.call(SERVICE, "RegisterStreamConsumer", super::outcome(&result));
        let (arn, ready) = result?;
        let created = cx.now.unix_secs().to_string();
        let consumer = Provisioned::new(&arn).attribute("ConsumerARN", arn.clone()).ready_at(ready);
        let consumer =
            consumer.attribute("ConsumerName", properties.consumer_name).attribute("ConsumerStatus", "ACTIVE");
        Ok(consumer.attribute("StreamARN", properties.stream_arn).attribute("ConsumerCreationTimestamp", created))
    }

    /// Deletes a template's consumer, at once.
    pub(super) fn delete_consumer(&mut self, cx: &mut Cx<'_>, arn: &str) {
        let Some((stream, _)) = of_arn(cx, arn) else { return };
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let Some(name) = stream.consumer_by_arn(arn).cloned() else { return };
        stream.end_subscriptions(cx, &name);
        stream.consumers.remove(&name);
        cx.meter.call(SERVICE, "DeregisterStreamConsumer", Outcome::Ok);
        let fields = [("consumer", (&*name).into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "consumer deleted", &stream.name, &fields);
    }
}

/// Consumer as AWS shows it.
fn shown(name: &str, consumer: &Consumer) -> Value {
    json!({
        "ConsumerName": name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status.as_str(),
        "ConsumerCreationTimestamp": consumer.created.epoch_seconds(),
    })
}
