//! Consumers with enhanced fan-out, and what they are pushed.

use super::*;
use crate::core::{Effect, EventStream};

const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
const SHARD: &str = "shardId-000000000000";

/// What came on a stream of events.
#[derive(Debug, PartialEq)]
enum Came {
    Event(Value),
    Exception(String),
    End,
}

/// The header values and the payload of a message, whose lengths must be right.
pub(super) fn decode(message: &[u8]) -> (Vec<String>, Value) {
    let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(number(0), message.len());
    let (mut at, end, mut values) = (12, 12 + number(4), Vec::new());
    while at < end {
        at += 1 + usize::from(message[at]);
        let length = usize::from(u16::from_be_bytes(message[at + 1..at + 3].try_into().unwrap()));
        values.push(String::from_utf8(message[at + 3..at + 3 + length].to_vec()).unwrap());
        at += 3 + length;
    }
    (values, serde_json::from_slice(&message[end..message.len() - 4]).unwrap())
}

impl Account {
    fn register(&mut self, name: &str) -> String {
        let answer = self.call("RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": name}));
        assert_eq!(answer["Consumer"]["ConsumerStatus"], "CREATING");
        answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
    }

    /// An account with a consumer that is ACTIVE.
    fn with_consumer(shards: u32) -> (Self, String) {
        let mut account = Account::with_stream(shards);
        let arn = account.register("c");
        account.wait_awake(10_000);
        (account, arn)
    }

    fn try_subscribe(&mut self, arn: &str, position: Value) -> Result<EventStream, AwsError> {
        let body = json!({"ConsumerARN": arn, "ShardId": SHARD, "StartingPosition": position});
        let beginning = self.raw("SubscribeToShard", &body)?;
        assert_eq!(decode(&beginning).0[1], "initial-response");
        Ok(self.kinesis.take_opened().expect("a subscription is open").0)
    }

    fn subscribe(&mut self, arn: &str) -> EventStream {
        self.try_subscribe(arn, json!({"Type": "TRIM_HORIZON"})).unwrap()
    }

    /// What has come since the last look.
    fn came(&mut self, on: EventStream) -> Vec<Came> {
        let effects = std::mem::take(&mut self.parts.effects);
        let came = effects.into_iter().filter_map(|effect| match effect {
            Effect::StreamEvent { stream, bytes } if stream == on => {
                let (headers, payload) = decode(&bytes);
                Some(if headers[0] == "event" { Came::Event(payload) } else { Came::Exception(headers[1].clone()) })
            }
            Effect::StreamEnd { stream } if stream == on => Some(Came::End),
            _ => None,
        });
        came.collect()
    }
}

/// The payloads of all events.
fn data(came: &[Came]) -> Vec<String> {
    use base64::Engine as _;
    let text = |record: &Value| {
        let data = base64::engine::general_purpose::STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
        String::from_utf8(data).unwrap()
    };
    let events = came.iter().filter_map(|came| if let Came::Event(event) = came { Some(event) } else { None });
    events.flat_map(|event| event["Records"].as_array().unwrap().iter().map(text)).collect()
}

#[test]
fn consumers_come_are_told_and_go() {
    let mut account = Account::with_stream(1);
    let arn = account.register("b");
    account.wait(1_000);
    account.register("a");
    let description = |account: &mut Account, body: Value| account.call("DescribeStreamConsumer", body);
    assert_eq!(description(&mut account, json!({"ConsumerARN": arn}))["ConsumerDescription"]["StreamARN"], STREAM);
    account.wait_awake(10_000);
    let named = json!({"StreamARN": STREAM, "ConsumerName": "b"});
    assert_eq!(description(&mut account, named.clone())["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    let list = |account: &mut Account, body: Value| {
        let answer = account.call("ListStreamConsumers", body);
        let consumers = answer["Consumers"].as_array().unwrap();
        let names: Vec<String> = consumers.iter().map(|it| it["ConsumerName"].as_str().unwrap().to_owned()).collect();
        (names, answer["NextToken"].clone())
    };
    let (names, token) = list(&mut account, json!({"StreamARN": STREAM, "MaxResults": 1}));
    assert_eq!(names, ["a"]);
    assert_eq!(
        list(&mut account, json!({"StreamARN": STREAM, "NextToken": token})),
        (vec!["b".to_owned()], Value::Null)
    );
    assert_eq!(account.refused("DeleteStream", json!({"StreamName": "s"})).0, "ResourceInUseException");
    let conflict = json!({"StreamARN": STREAM, "ConsumerName": "a", "ConsumerARN": arn});
    assert_eq!(account.refused("DescribeStreamConsumer", conflict).0, "InvalidArgumentException");
    assert_eq!(account.refused("DescribeStreamConsumer", json!({})).0, "InvalidArgumentException");
    let absent = json!({"StreamARN": STREAM, "ConsumerName": "z"});
    let text = "Consumer z, account 123456789012 not found.".to_owned();
    assert_eq!(account.refused("DeregisterStreamConsumer", absent), ("ResourceNotFoundException", text));
    account.call("DeregisterStreamConsumer", json!({"ConsumerARN": arn}));
    assert_eq!(description(&mut account, named.clone())["ConsumerDescription"]["ConsumerStatus"], "DELETING");
    account.wait_awake(10_000);
    assert_eq!(account.refused("DescribeStreamConsumer", named).0, "ResourceNotFoundException");
    account.call("DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true}));
}

#[test]
fn a_stream_has_twenty_consumers_and_five_are_created_at_once() {
    let mut account = Account::with_stream(1);
    for number in 0..20 {
        account.register(&format!("c{number}"));
        let body = json!({"StreamARN": STREAM, "ConsumerName": "more"});
        if number % 5 == 4 {
            account.wait(1_000);
            let (code, message) = account.refused("RegisterStreamConsumer", body);
            let expected = if number == 19 { "has 20 consumers" } else { "5 consumers are in the CREATING state" };
            assert!(code == "LimitExceededException" && message.contains(expected), "{number}: {message}");
            account.wait_awake(10_000);
        }
        account.wait(200);
    }
    let again = json!({"StreamARN": STREAM, "ConsumerName": "c3"});
    assert_eq!(account.refused("RegisterStreamConsumer", again).0, "ResourceInUseException");
}

#[test]
fn a_subscriber_is_pushed_what_arrives_and_can_go_on_where_it_was() {
    let (mut account, arn) = Account::with_consumer(1);
    account.put("k", "0").unwrap();
    let first = account.subscribe(&arn);
    assert_eq!(account.came(first), []);
    account.wait_awake(70);
    let came = account.came(first);
    assert_eq!(data(&came), ["0"]);
    account.put("k", "1").unwrap();
    account.put("k", "2").unwrap();
    account.wait_awake(69);
    assert_eq!(account.came(first), []);
    account.wait_awake(1);
    let came = account.came(first);
    let Came::Event(event) = &came[0] else { panic!("{came:?}") };
    assert_eq!((data(&came), &event["MillisBehindLatest"]), (vec!["1".to_owned(), "2".to_owned()], &json!(0)));
    let number = event["ContinuationSequenceNumber"].clone();
    account.wait_awake(5_000);
    let quiet = account.came(first);
    assert_eq!((quiet.len(), data(&quiet).len()), (1, 0), "an event without records tells that nothing came");
    account.put("k", "3").unwrap();
    let position = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number});
    let second = account.try_subscribe(&arn, position).unwrap();
    account.wait_awake(70);
    let effects = account.parts.effects.clone();
    assert_eq!(account.came(first), [Came::Exception("ResourceInUseException".to_owned()), Came::End], "taken over");
    account.parts.effects = effects;
    assert_eq!(data(&account.came(second)), ["3"]);
    assert_eq!(account.counter("SubscribeToShardEvent.Records"), 4);
}

#[test]
fn a_subscription_lasts_five_minutes_and_is_taken_over_after_five_seconds() {
    let (mut account, arn) = Account::with_consumer(1);
    let position = json!({"Type": "LATEST"});
    let first = account.subscribe(&arn);
    let again = account.try_subscribe(&arn, position.clone()).unwrap_err();
    assert_eq!(again.code, "LimitExceededException", "once a second");
    account.wait_awake(1_000);
    assert_eq!(account.try_subscribe(&arn, position.clone()).unwrap_err().code, "ResourceInUseException");
    assert_eq!(account.counter("SubscribeToShard.RateExceeded"), 2, "both are counted");
    account.wait_awake(298_999);
    assert!(!account.came(first).contains(&Came::End));
    account.wait_awake(1);
    assert_eq!(account.came(first), [Came::End]);
    account.try_subscribe(&arn, position).unwrap();
}

#[test]
fn a_subscriber_gets_two_mebibytes_a_second_whoever_polls() {
    let (mut account, arn) = Account::with_consumer(1);
    let large = "x".repeat((1 << 20) - 1);
    for _ in 0..10 {
        account.put("k", &large).unwrap();
        account.wait_awake(1_000);
    }
    let stream = account.subscribe(&arn);
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    account.read(&iterator);
    let mut seen = Vec::new();
    for _ in 0..5 {
        account.wait_awake(1_000);
        seen.push(data(&account.came(stream)).len());
    }
    assert_eq!(seen, [2, 2, 2, 2, 2]);
}

#[test]
fn a_subscriber_that_reads_nothing_is_sent_no_more_until_it_does() {
    let (mut account, arn) = Account::with_consumer(1);
    let body = json!({"ConsumerARN": arn, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}});
    account.raw("SubscribeToShard", &body).unwrap();
    let (stream, unread) = account.kinesis.take_opened().unwrap();
    account.wait_awake(1_000);
    drop(account.came(stream));
    unread.sent((2 << 20) + 1);
    for number in 0..20 {
        account.put("k", &number.to_string()).unwrap();
        account.wait_awake(1_000);
    }
    assert_eq!(account.came(stream), [], "neither records nor an event without any");
    unread.read(1);
    account.wait_awake(1_000);
    assert_eq!(data(&account.came(stream)), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    // A subscription ends in its time, whoever reads.
    unread.sent(1);
    account.put("k", "last").unwrap();
    account.wait_awake(300_000);
    assert_eq!(account.came(stream), [Came::End]);
}

#[test]
fn a_part_of_the_quotas_is_a_part_of_what_is_pushed() {
    let (mut account, arn) = Account::with_consumer(1);
    let large = "x".repeat((256 << 10) - 1);
    for _ in 0..60 {
        account.put("k", &large).unwrap();
        account.wait_awake(250);
    }
    account.parts.limits.scale(SERVICE).set(0.25);
    let stream = account.subscribe(&arn);
    account.wait_awake(12_100);
    // Half a mebibyte a second, by events of two.
    assert_eq!(data(&account.came(stream)).len(), 8 * 4);
    assert!(account.parts.limits.scale(SERVICE).refused() > 0);
    account.parts.limits.scale(SERVICE).set(1.0);
    account.wait_awake(5_000);
    assert_eq!(data(&account.came(stream)).len(), 28, "and then all of it");
}

#[test]
fn a_wake_up_of_an_earlier_life_of_a_consumer_is_none() {
    let mut account = Account::with_stream(1);
    let arn = account.register("c");
    let status = |account: &mut Account| {
        let answer = account.raw("DescribeStreamConsumer", &json!({"StreamARN": STREAM, "ConsumerName": "c"}));
        answer.map(|body| {
            serde_json::from_slice::<Value>(&body).unwrap()["ConsumerDescription"]["ConsumerStatus"].clone()
        })
    };
    account.wait_awake(9_000);
    account.call("DeregisterStreamConsumer", json!({"ConsumerARN": arn}));
    for (wait, expected) in [(1_000, true), (8_999, true), (1, false)] {
        account.wait_awake(wait);
        assert_eq!(status(&mut account).is_ok_and(|status| status == "DELETING"), expected, "{:?}", account.now);
    }
    let arn = account.register("c");
    account.wait_awake(4_000);
    let consumer = Resource { kind: "AWS::Kinesis::StreamConsumer".to_owned(), ..resource(json!({})) };
    account.act(|kinesis, cx| kinesis.delete(cx, &consumer, &arn)).unwrap();
    account.register("c");
    for (wait, expected) in [(6_000, "CREATING"), (3_999, "CREATING"), (1, "ACTIVE")] {
        account.wait_awake(wait);
        assert_eq!(status(&mut account).unwrap(), expected);
    }
}

#[test]
fn who_was_subscribed_to_a_shard_that_has_expired_is_forgotten() {
    let (mut account, arn) = Account::with_consumer(1);
    account.subscribe(&arn);
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": (1_u128 << 127).to_string()});
    account.call("SplitShard", split);
    account.wait_awake(24 * 3_600_000);
    assert_eq!(account.kinesis.streams["s"].subscriptions.len(), 1);
    account.wait_awake(60_000);
    assert_eq!(account.kinesis.streams["s"].subscriptions.len(), 0);
}

#[test]
fn the_end_of_a_shard_names_its_children() {
    let (mut account, arn) = Account::with_consumer(1);
    let stream = account.subscribe(&arn);
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": (1_u128 << 127).to_string()});
    account.call("SplitShard", split);
    account.put("k", "last").unwrap();
    account.wait_awake(31_000);
    let came = account.came(stream);
    assert_eq!((data(&came), came.last()), (vec!["last".to_owned()], Some(&Came::End)));
    let Came::Event(event) = &came[came.len() - 2] else { panic!("{came:?}") };
    assert_eq!(event["ChildShards"].as_array().unwrap().len(), 2);
    assert_eq!(event.get("ContinuationSequenceNumber"), None);
}

#[test]
fn who_is_gone_is_sent_nothing() {
    let (mut account, arn) = Account::with_consumer(1);
    let stream = account.subscribe(&arn);
    account.wait_awake(1_000);
    drop(account.came(stream));
    account.kinesis.event_stream_closed(stream);
    account.put("k", "x").unwrap();
    account.wait_awake(400_000);
    assert_eq!(account.came(stream), []);
    let stream = account.subscribe(&arn);
    account.call("DeregisterStreamConsumer", json!({"ConsumerARN": arn}));
    let gone = Came::Exception("ResourceNotFoundException".to_owned());
    assert_eq!(account.came(stream), [gone, Came::End]);
    assert_eq!(account.try_subscribe(&arn, json!({"Type": "LATEST"})).unwrap_err().code, "ResourceInUseException");
}

#[test]
fn a_template_has_consumers_and_all_take_tags() {
    let mut account = Account::with_stream(1);
    let consumer = Resource {
        kind: "AWS::Kinesis::StreamConsumer".to_owned(),
        ..resource(json!({"ConsumerName": "c", "StreamARN": STREAM, "Tags": [{"Key": "env", "Value": "sim"}]}))
    };
    let provisioned = account.act(|kinesis, cx| kinesis.provision(cx, &consumer)).unwrap();
    let arn = provisioned.physical_id.clone();
    assert_eq!(arn, format!("{STREAM}/consumer/c:1772323200"));
    assert_eq!(provisioned.attributes["ConsumerARN"], arn);
    assert_eq!(provisioned.ready_at, Some(account.now + std::time::Duration::from_secs(10)));
    for arn in [STREAM, &*arn] {
        account.call("TagResource", json!({"ResourceARN": arn, "Tags": {"a": "1", "b": "2"}}));
        account.call("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["b"]}));
    }
    let tags = account.call("ListTagsForResource", json!({"ResourceARN": arn}))["Tags"].clone();
    assert_eq!(tags, json!([{"Key": "a", "Value": "1"}, {"Key": "env", "Value": "sim"}]));
    let tags = account.call("ListTagsForResource", json!({"ResourceARN": STREAM}))["Tags"].clone();
    assert_eq!(tags, json!([{"Key": "a", "Value": "1"}]));
    account.act(|kinesis, cx| kinesis.delete(cx, &consumer, &arn)).unwrap();
    account.act(|kinesis, cx| kinesis.delete(cx, &consumer, &arn)).expect("what is gone is deleted");
    assert_eq!(account.refused("ListTagsForResource", json!({"ResourceARN": arn})).0, "ResourceNotFoundException");
}
