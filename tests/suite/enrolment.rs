//! Tenants and devices by the commands of the platform, on the real SDK, against the account with the platform in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use platform::Settings;
use platform::deploy::Plan;
use platform::enrolment::{self, EnrolError, Outcome, Request, Silent, journal_file, report_file};
use rumqttc::{Connect, Packet, Publish, QoS};
use sim::cloud::account::Account;
use sim::cloud::iot::certificate_id;
use sim::seam::{self, Cloud, Functions, sdk_config, session_credential};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

fn settings() -> Settings {
    Settings { env: "sim".to_owned(), ..Settings::default() }
}

/// Runs `test` against an account with the platform, whose owner has asked for events of things, or not.
pub(super) fn with_platform<T, F>(
    events: bool,
    test: impl FnOnce(Cloud, SdkConfig, Settings) -> F + Send + 'static,
) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(17);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
        let (settings, now) = (settings(), clock::now());
        let plan = Plan::of(&settings);
        let mut account = Account::new("eu-west-1", seed, Trace::new());
        let owner = session_credential("owner", "arn:aws:iam::123456789012:root");
        account.add_credential(owner.clone());
        seam::boot(&mut account, now, (&settings, &plan), |_, body| body).unwrap_or_else(|e| panic!("{e}"));
        seam::upload_packages(&mut account, now, &plan).unwrap_or_else(|e| panic!("{e}"));
        if events {
            seam::enable_registry_events(&mut account, now).unwrap_or_else(|e| panic!("{e}"));
        }
        let cloud = Cloud::new(account, seed);
        let node = |name: &str, ip: &str| {
            madsim::runtime::Handle::current().create_node().name(name).ip(ip.parse().unwrap()).build()
        };
        cloud.set_functions(Functions::new(node("lambda", "10.0.0.2"), None));
        cloud.spawn_pump(&node("aws", "10.0.0.1"));
        let config = sdk_config(&cloud, &owner);
        test(cloud, config, settings).await
    })
}

/// The bytes of a device's certificate.
pub(super) fn der(device: &str) -> Vec<u8> {
    format!("the certificate of {device}").into_bytes()
}

/// A file of devices of one tenant.
pub(super) fn fleet(folder: &Path, tenant: &str, devices: usize) -> PathBuf {
    let mut text = "device,tenant,device_type,certificate_pem\n".to_owned();
    for n in 0..devices {
        let body = STANDARD.encode(der(&format!("{tenant}-{n}")));
        let pem = format!("\"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\"");
        text.push_str(&format!("{tenant}-{n},{tenant},pump,{pem}\n"));
    }
    let file = folder.join(format!("{tenant}.csv"));
    std::fs::write(&file, text).unwrap();
    file
}

pub(super) async fn register(config: &SdkConfig, settings: &Settings, file: &Path) -> Result<Outcome, EnrolError> {
    let request = Request { file: file.to_owned(), dry_run: false, concurrency: enrolment::CONCURRENCY };
    enrolment::register(config, settings, &request, &mut Silent).await
}

/// A device connects with its certificate and publishes a reading.
fn publish(cloud: &Cloud, connection: u64, tenant: &str, device: &str) {
    let mut bytes = BytesMut::new();
    let topic = format!("tenant/{tenant}/device/{device}/data");
    let ts = clock::now().unix_micros() / 1000;
    let payload = format!(r#"{{"seq":1,"ts":{ts},"metrics":{{"temp":20.5}}}}"#);
    let mut reading = Publish::new(topic, QoS::AtLeastOnce, payload);
    reading.pkid = 1;
    for packet in [Packet::Connect(Connect::new(device)), Packet::Publish(reading)] {
        packet.write(&mut bytes, usize::MAX).expect("it is a packet");
    }
    let certificate = certificate_id(&der(device));
    cloud.enter(|account, now| {
        account.mqtt_open(now, connection, &certificate, "10.1.0.1").expect("the certificate is known and active");
        account.mqtt_receive(now, connection, &bytes);
    });
}

/// What is in the raw stream.
async fn raw(config: &SdkConfig) -> Vec<serde_json::Value> {
    let kinesis = aws_sdk_kinesis::Client::new(config);
    let mut found = Vec::new();
    for shard in ["shardId-000000000000", "shardId-000000000001"] {
        let iterator = kinesis.get_shard_iterator().stream_name("iot-platform-sim-raw").shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let batch = kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
        found.extend(batch.records().iter().map(|record| serde_json::from_slice(record.data().as_ref()).unwrap()));
    }
    found
}

/// Whether a device has an item in the directory that does not expire.
async fn is_known(config: &SdkConfig, tenant: &str, device: &str) -> bool {
    let key = AttributeValue::S(format!("{tenant}#{device}"));
    let get = aws_sdk_dynamodb::Client::new(config).get_item().table_name("iot-platform-sim-devices");
    let item = get.key("device_key", key).consistent_read(true).send().await.unwrap().item;
    item.is_some_and(|item| !item.contains_key("expires_at"))
}

/// Names of the groups of a thing, and its billing group.
async fn groups(config: &SdkConfig, device: &str) -> (Vec<String>, Option<String>) {
    let iot = aws_sdk_iot::Client::new(config);
    let groups = iot.list_thing_groups_for_thing().thing_name(device).send().await.unwrap();
    let names = groups.thing_groups().iter().filter_map(|group| group.group_name()).map(str::to_owned).collect();
    (names, iot.describe_thing().thing_name(device).send().await.unwrap().billing_group_name)
}

#[test]
fn five_hundred_devices_are_registered_across_an_interruption_and_one_of_them_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let file = fleet(folder.path(), "acme", 500);
    let path = file.clone();
    let (noted, elapsed, throttled) = with_platform(true, |cloud, config, settings| async move {
        assert!(matches!(register(&config, &settings, &path).await, Err(EnrolError::NoTenant { .. })));
        assert!(enrolment::add(&config, &settings, "acme").await.unwrap());
        assert!(!enrolment::add(&config, &settings, "acme").await.unwrap());
        let begun = clock::now();
        let cut = madsim::time::timeout(Duration::from_secs(25), register(&config, &settings, &path)).await;
        assert!(cut.is_err(), "it was interrupted");
        let noted = std::fs::read_to_string(journal_file(&path)).unwrap().lines().count();
        let outcome = register(&config, &settings, &path).await.unwrap();
        assert_eq!(outcome, Outcome { before: noted, registered: 500 - noted, ..Outcome::default() });
        let elapsed = clock::now().since(begun);
        let again = register(&config, &settings, &path).await.unwrap();
        assert_eq!(again, Outcome { before: 500, ..Outcome::default() });
        assert_eq!(enrolment::devices(&config, &settings, Some("acme")).await.unwrap().len(), 500);

        // The device tagger hears of them.
        clock::sleep(Duration::from_secs(60)).await;
        assert!(is_known(&config, "acme", "acme-499").await);
        let group = "iot-platform-sim-acme".to_owned();
        assert_eq!(groups(&config, "acme-499").await, (vec![group.clone()], Some(group)));
        publish(&cloud, 1, "acme", "acme-499");
        clock::sleep(Duration::from_secs(5)).await;
        let readings = raw(&config).await;
        assert_eq!(readings.len(), 1, "{readings:?}");
        assert_eq!((&readings[0]["tenant_id"], &readings[0]["device_id"]), (&"acme".into(), &"acme-499".into()));

        let error = enrolment::remove(&config, &settings, "acme").await.unwrap_err();
        assert!(matches!(error, EnrolError::HasDevices { .. }), "{error}");
        let throttled = cloud.look(|account| {
            account
                .meter()
                .calls()
                .iter()
                .filter(|((service, _), _)| *service == "iot")
                .map(|(_, calls)| calls.throttled)
                .sum::<u64>()
        });
        (noted, elapsed, throttled)
    });
    assert!((100..300).contains(&noted), "{noted} in the first 25 s");
    // Eight certificates a second.
    assert!((Duration::from_secs(60)..Duration::from_secs(90)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(throttled, 0, "the pace stays below the rates");
    assert!(!report_file(&file).exists());
}

#[test]
fn what_lost_events_have_left_out_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = fleet(folder.path(), "acme", 20);
    with_platform(false, |_, config, settings| async move {
        enrolment::add(&config, &settings, "acme").await.unwrap();
        register(&config, &settings, &file).await.unwrap();
        clock::sleep(Duration::from_secs(60)).await;
        assert!(!is_known(&config, "acme", "acme-7").await, "nobody heard of it");
        let done = enrolment::reconcile(&config, &settings, &mut Silent).await.unwrap();
        assert_eq!((done.settled, done.gone, done.failures.len()), (20, 0, 0), "{done:?}");
        assert!(is_known(&config, "acme", "acme-7").await);
        let group = "iot-platform-sim-acme".to_owned();
        assert_eq!(groups(&config, "acme-7").await, (vec![group.clone()], Some(group)));

        // One moves and one goes, and nobody hears of that either.
        let iot = aws_sdk_iot::Client::new(&config);
        let attributes = aws_sdk_iot::types::AttributePayload::builder().attributes("tenant", "globex").merge(true);
        iot.update_thing().thing_name("acme-3").attribute_payload(attributes.build()).send().await.unwrap();
        let principal = format!("arn:aws:iot:eu-west-1:123456789012:cert/{}", certificate_id(&der("acme-7")));
        iot.detach_thing_principal().thing_name("acme-7").principal(principal).send().await.unwrap();
        iot.delete_thing().thing_name("acme-7").send().await.unwrap();
        let done = enrolment::reconcile(&config, &settings, &mut Silent).await.unwrap();
        assert_eq!((done.settled, done.gone, done.failures.len()), (19, 1, 0), "{done:?}");
        assert!(!is_known(&config, "acme", "acme-7").await && !is_known(&config, "acme", "acme-3").await);
        assert!(is_known(&config, "globex", "acme-3").await);
        assert_eq!(groups(&config, "acme-3").await.0, ["iot-platform-sim-globex"]);
        let done = enrolment::reconcile(&config, &settings, &mut Silent).await.unwrap();
        assert_eq!((done.settled, done.gone, done.failures.len()), (19, 0, 0), "a second time changes nothing");
    });
}

#[test]
fn tenants_are_listed_and_removed_with_their_claims() {
    with_platform(true, |_, config, settings| async move {
        for tenant in ["globex", "acme"] {
            assert!(enrolment::add(&config, &settings, tenant).await.unwrap());
        }
        let claim = enrolment::claim(&config, &settings, "acme", None, |_| Ok(())).await.unwrap();
        assert!(claim.private_key.starts_with("-----BEGIN"), "{}", claim.private_key);
        let names = async || {
            let found = enrolment::list(&config, &settings).await.unwrap();
            found.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>()
        };
        assert_eq!(names().await, ["acme", "globex"]);
        enrolment::remove(&config, &settings, "acme").await.unwrap();
        assert_eq!(names().await, ["globex"]);
        let key = AttributeValue::S(format!("#claim#{}", claim.certificate_id));
        let get = aws_sdk_dynamodb::Client::new(&config).get_item().table_name("iot-platform-sim-devices");
        assert!(get.key("device_key", key).send().await.unwrap().item.is_none());
        enrolment::remove(&config, &settings, "acme").await.unwrap();
    });
}
