//! Replay of the quarantine by the commands of the platform, on the real SDK, against the account with the platform in it.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use platform::enrolment;
use platform::transform::enrichment::replay::{
    DETECTION_FAILED, FUNCTION_FAILED, Filter, Replayed, Request, Silent, list, replay,
};
use rumqttc::{Connect, Packet, Publish, QoS};
use serde_json::{Value, json};
use sim::cloud::iot::certificate_id;
use sim::seam::Cloud;
use sim::world::clock;

use super::enrolment::{der, fleet, register, with_platform};

const BUCKET: &str = "iot-platform-sim-processed-123456789012-eu-west-1";

/// Says in the directory which unit a device's temperature has.
async fn set_unit(config: &SdkConfig, device: &str, unit: &str) {
    let units = AttributeValue::M([("temp".to_owned(), AttributeValue::S(unit.to_owned()))].into());
    let key = AttributeValue::S(format!("acme#{device}"));
    let update = aws_sdk_dynamodb::Client::new(config).update_item().table_name("iot-platform-sim-devices");
    let update = update.key("device_key", key).update_expression("SET units = :units");
    update.expression_attribute_values(":units", units).send().await.expect("the directory takes it");
}

/// A device connects with its certificate and publishes readings.
fn publish(cloud: &Cloud, connection: u64, device: &str, seqs: std::ops::RangeInclusive<u16>) {
    let mut bytes = BytesMut::new();
    let ts = clock::now().unix_millis();
    Packet::Connect(Connect::new(device)).write(&mut bytes, usize::MAX).expect("it is a packet");
    for seq in seqs {
        let payload = format!(r#"{{"seq":{seq},"ts":{ts},"metrics":{{"temp":50}}}}"#);
        let mut reading = Publish::new(format!("tenant/acme/device/{device}/data"), QoS::AtLeastOnce, payload);
        reading.pkid = seq;
        Packet::Publish(reading).write(&mut bytes, usize::MAX).expect("it is a packet");
    }
    let certificate = certificate_id(&der(device));
    cloud.enter(|account, now| {
        account.mqtt_open(now, connection, &certificate, "10.1.0.1").expect("the certificate is known and active");
        account.mqtt_receive(now, connection, &bytes);
    });
}

/// The records of a stream, shard by shard in their order.
async fn records(config: &SdkConfig, stream: &str) -> Vec<Value> {
    let kinesis = aws_sdk_kinesis::Client::new(config);
    let mut found = Vec::new();
    for shard in kinesis.list_shards().stream_name(stream).send().await.expect("a stream").shards() {
        let iterator = kinesis.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id());
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
        let batch = kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await.expect("records");
        found.extend(batch.records().iter().map(|r| serde_json::from_slice::<Value>(r.data().as_ref()).expect("JSON")));
    }
    found
}

/// (seq, temperature, arrival) of the enriched readings by device, in the order of the stream.
async fn enriched(config: &SdkConfig) -> BTreeMap<String, Vec<(u64, f64, i64)>> {
    let mut found: BTreeMap<String, Vec<(u64, f64, i64)>> = BTreeMap::new();
    for reading in records(config, "iot-platform-sim-enriched").await {
        let device = reading["device_id"].as_str().expect("a device").to_owned();
        let (seq, received_at) =
            (reading["seq"].as_u64().expect("a seq"), reading["received_at"].as_i64().expect("ms"));
        found.entry(device).or_default().push((
            seq,
            reading["metrics"]["temp"].as_f64().expect("a value"),
            received_at,
        ));
    }
    found
}

fn replayed(objects: u64, replayed: u64, before: u64) -> Replayed {
    Replayed { objects, replayed, before, ..Replayed::default() }
}

#[test]
fn what_was_refused_comes_through_once_the_directory_is_put_right_and_a_second_replay_brings_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = fleet(folder.path(), "acme", 4);
    with_platform(true, |cloud, config, settings| async move {
        enrolment::add(&config, &settings, "acme").await.unwrap();
        register(&config, &settings, &file).await.unwrap();
        clock::sleep(Duration::from_secs(60)).await;
        // Two devices whose temperature is in no unit, one in degrees Fahrenheit, and one of which nothing is said.
        for (device, unit) in [("acme-0", "furlong"), ("acme-1", "furlong"), ("acme-2", "fahrenheit")] {
            set_unit(&config, device, unit).await;
        }
        for (connection, device) in (1..).zip(["acme-0", "acme-1", "acme-2", "acme-3"]) {
            publish(&cloud, connection, device, 1..=5);
        }
        clock::sleep(Duration::from_secs(10)).await;
        let before = enriched(&config).await;
        assert_eq!(before.keys().collect::<Vec<_>>(), ["acme-2", "acme-3"]);
        let arrivals: BTreeMap<(String, u64), i64> = records(&config, "iot-platform-sim-raw")
            .await
            .iter()
            .map(|raw| {
                (
                    (raw["device_id"].as_str().unwrap().to_owned(), raw["seq"].as_u64().unwrap()),
                    raw["received_at"].as_i64().unwrap(),
                )
            })
            .collect();
        let listing = list(&config, &settings, &Filter::default()).await.unwrap();
        let counts: Vec<_> =
            listing.groups.iter().map(|g| (g.reason.as_str(), g.tenant.as_deref(), g.records, g.replayed)).collect();
        assert_eq!(counts, [("unknown-unit", Some("acme"), 10, 0)]);

        for device in ["acme-0", "acme-1"] {
            set_unit(&config, device, "fahrenheit").await;
        }
        // The function believes what the directory said for five minutes.
        clock::sleep(Duration::from_secs(301)).await;
        let filter = Filter::new(vec!["unknown-unit".to_owned()], Some("acme".to_owned()), None, None, None).unwrap();
        let request = Request { filter, ..Request::default() };
        let dry = Request { dry_run: true, ..request.clone() };
        let counted = replay(&config, &settings, &dry, &mut Silent).await.unwrap();
        assert_eq!((counted.replayed, counted.before), (10, 0));
        let done = replay(&config, &settings, &request, &mut Silent).await.unwrap();
        assert_eq!(done, replayed(done.objects, 10, 0));
        clock::sleep(Duration::from_secs(10)).await;
        let after = enriched(&config).await;
        for device in ["acme-0", "acme-1"] {
            let expected: Vec<_> = (1..=5).map(|seq| (seq, 10.0, arrivals[&(device.to_owned(), seq)])).collect();
            assert_eq!(after[device], expected, "each once, in order, with the arrival that it had");
        }
        assert_eq!((&after["acme-2"], &after["acme-3"]), (&before["acme-2"], &before["acme-3"]));
        assert_eq!(replay(&config, &settings, &request, &mut Silent).await.unwrap(), replayed(done.objects, 0, 10));
        clock::sleep(Duration::from_secs(10)).await;
        assert_eq!(enriched(&config).await, after, "a second replay brings nothing");
        let listing = list(&config, &settings, &Filter::default()).await.unwrap();
        assert_eq!((listing.groups[0].records, listing.groups[0].replayed), (10, 10));
    });
}

#[test]
fn batches_that_lambda_gave_up_are_replayed_from_their_objects() {
    let folder = tempfile::tempdir().unwrap();
    let file = fleet(folder.path(), "acme", 1);
    with_platform(true, |_, config, settings| async move {
        enrolment::add(&config, &settings, "acme").await.unwrap();
        register(&config, &settings, &file).await.unwrap();
        clock::sleep(Duration::from_secs(60)).await;
        let received_at = clock::now().unix_millis();
        let record = |seq: u64| {
            let reading = json!({
                "seq": seq, "ts": received_at, "metrics": {"temp": 50}, "tenant_id": "acme", "device_id": "acme-0",
                "received_at": received_at,
            });
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0", "partitionKey": "acme-0", "sequenceNumber": (1_000 + seq).to_string(),
                    "data": STANDARD.encode(reading.to_string()), "approximateArrivalTimestamp": 1_772_323_200.1,
                },
                "eventID": format!("shardId-000000000000:{}", 1_000 + seq),
            })
        };
        let event = json!({ "Records": [record(1), record(2)] }).to_string();
        let given_up = |stream: &str| {
            json!({
                "requestContext": {"requestId": "r", "functionArn": "f", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 21},
                "version": "1.0",
                "KinesisBatchInfo": {"shardId": "shardId-000000000000", "streamArn": format!("arn:aws:kinesis:eu-west-1:123456789012:stream/iot-platform-sim-{stream}")},
                "payload": event,
            })
        };
        let s3 = aws_sdk_s3::Client::new(&config);
        for stream in ["raw", "enriched"] {
            let key = format!("aws/lambda/mapping-{stream}/shardId-000000000000/2026/03/01/2026-03-01T00.01.00-r");
            let put = s3.put_object().bucket(BUCKET).key(key).body(given_up(stream).to_string().into_bytes().into());
            put.send().await.expect("the bucket takes it");
        }
        let filter =
            Filter::new(vec![FUNCTION_FAILED.to_owned()], None, Some("acme-0".to_owned()), None, None).unwrap();
        let request = Request { filter, ..Request::default() };
        assert_eq!(replay(&config, &settings, &request, &mut Silent).await.unwrap(), replayed(2, 2, 0));
        clock::sleep(Duration::from_secs(10)).await;
        let found = enriched(&config).await;
        assert_eq!(found["acme-0"].iter().map(|(seq, _, _)| *seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(replay(&config, &settings, &request, &mut Silent).await.unwrap(), replayed(2, 0, 2));
        let listing = list(&config, &settings, &Filter::default()).await.unwrap();
        let counts: Vec<_> = listing.groups.iter().map(|g| (g.reason.as_str(), g.records, g.replayed)).collect();
        assert_eq!(counts, [(DETECTION_FAILED, 2, 0), (FUNCTION_FAILED, 2, 2)]);
    });
}
