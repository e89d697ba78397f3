//! The data plane of IoT Core by the real SDK: its encoder, its endpoint and its parsers judge ours.

use aws_sdk_iot::error::ProvideErrorMetadata;
use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_iotdataplane::operation::RequestId as _;
use aws_sdk_iotdataplane::primitives::Blob;
use aws_sdk_iotdataplane::types::PayloadFormatIndicator;
use aws_types::SdkConfig;
use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Subscribe};
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::Principal;
use sim::cloud::front::Credential;
use sim::cloud::iot::{DeviceRegistration, certificate_id};
use sim::seam::{Cloud, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

const TEMPLATE: &str = r#"{"Resources": {"Policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "all",
    "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}}}}}"#;

/// Connection of the device `d1`.
const DEVICE: u64 = 7;

fn credential(id: &str, arn: &str) -> Credential {
    Credential {
        access_key_id: id.to_owned(),
        secret_access_key: format!("secret of {id}"),
        session_token: None,
        expires: None,
        principal: Principal::new(arn),
    }
}

/// Runs `test` against an empty account, with the configuration of its owner and that of somebody without permission.
fn with_account<T, F>(test: impl FnOnce(Cloud, SdkConfig, SdkConfig) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(12);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
        let mut account = Account::new("eu-west-1", seed, Trace::new());
        let owner = credential("AKIAOWNER", "arn:aws:iam::123456789012:root");
        let stranger = credential("AKIASTRANGER", "arn:aws:iam::123456789012:user/stranger");
        account.add_credential(owner.clone());
        account.add_credential(stranger.clone());
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        let (owner, stranger) = (sdk_config(&cloud, &owner), sdk_config(&cloud, &stranger));
        test(cloud, owner, stranger).await
    })
}

fn encoded(packets: &[Packet]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, 1 << 20).expect("a small packet");
    }
    bytes
}

/// Registers the device `d1`, connects it and lets it subscribe.
fn connect_device(cloud: &Cloud) {
    cloud.enter(|account, now| {
        create_stack(account, now, "test", TEMPLATE).unwrap_or_else(|e| panic!("{e}"));
        let certificate_id = certificate_id(b"d1");
        let device = DeviceRegistration {
            thing_name: "d1".to_owned(),
            thing_type: None,
            attributes: Default::default(),
            certificate_id: certificate_id.clone(),
            policy_name: "all".to_owned(),
        };
        account.as_owner(now, |services, cx| services.iot.register_device(cx, &device)).unwrap();
        account.mqtt_open(now, DEVICE, &certificate_id, "10.0.0.9").unwrap();
        let subscribe = |id: u16, filter: &str| {
            Packet::Subscribe(Subscribe { pkid: id, ..Subscribe::new(filter, QoS::AtLeastOnce) })
        };
        let packets = [Packet::Connect(Connect::new("d1")), subscribe(1, "a/#"), subscribe(2, "b/#")];
        account.mqtt_receive(now, DEVICE, &encoded(&packets));
    });
}

/// A client that makes each call once.
fn once(config: &SdkConfig) -> Client {
    let config = aws_sdk_iotdataplane::config::Builder::from(config).retry_config(RetryConfig::disabled());
    Client::from_conf(config.retry_partition(RetryPartition::custom("data").build()).build())
}

fn document(payload: Option<Blob>) -> Value {
    serde_json::from_slice(payload.expect("a payload").as_ref()).expect("JSON")
}

fn blob(value: &Value) -> Blob {
    Blob::new(value.to_string())
}

/// What came of a call: nothing, or code and text of its error.
fn outcome<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> (String, String) {
    result.err().map_or_else(Default::default, |error| {
        (error.code().unwrap_or("none").to_owned(), error.message().unwrap_or("none").to_owned())
    })
}

#[test]
fn shadows_are_updated_read_listed_and_deleted() {
    with_account(|_, config, _| async move {
        let client = once(&config);
        let update = |name: Option<&str>, state: Value| {
            let update = client.update_thing_shadow().thing_name("pump:1").set_shadow_name(name.map(str::to_owned));
            update.payload(blob(&json!({ "state": state, "clientToken": "t" })))
        };
        let state = json!({ "desired": { "interval": 5, "firmware": "2.0" }, "reported": { "interval": 60 } });
        let accepted = document(update(None, state.clone()).send().await.unwrap().payload);
        assert_eq!(
            (&accepted["state"], &accepted["version"], &accepted["clientToken"]),
            (&state, &json!(1), &json!("t"))
        );
        let got = document(client.get_thing_shadow().thing_name("pump:1").send().await.unwrap().payload);
        assert_eq!(got["state"]["delta"], json!({ "interval": 5, "firmware": "2.0" }));
        assert_eq!(got["metadata"]["desired"]["firmware"]["timestamp"], 1_772_323_200);
        for name in ["b", "$a", "c"] {
            update(Some(name), json!({ "reported": { "x": 1 } })).send().await.unwrap();
        }
        let mut names = Vec::new();
        let mut pages = client.list_named_shadows_for_thing().thing_name("pump:1").page_size(2).send().await.unwrap();
        loop {
            names.extend(pages.results().to_vec());
            let Some(token) = pages.next_token().map(str::to_owned) else { break };
            let list = client.list_named_shadows_for_thing().thing_name("pump:1").page_size(2);
            pages = list.next_token(token).send().await.unwrap();
        }
        assert_eq!(names, ["$a", "b", "c"]);
        let deleted = client.delete_thing_shadow().thing_name("pump:1").send().await.unwrap();
        assert_eq!(document(Some(deleted.payload))["version"], 1);
        let got = client.get_thing_shadow().thing_name("pump:1").shadow_name("$a").send().await.unwrap();
        assert_eq!(document(got.payload)["state"], json!({ "reported": { "x": 1 } }));
    });
}

#[test]
fn errors_of_shadows_are_those_of_the_model() {
    with_account(|cloud, config, stranger| async move {
        let (client, stranger) = (once(&config), once(&stranger));
        let get = client.get_thing_shadow().thing_name("t").send().await.unwrap_err();
        assert!(get.request_id().is_some());
        let get = get.into_service_error();
        assert!(get.is_resource_not_found_exception(), "{get:?}");
        let update = |payload: &str| client.update_thing_shadow().thing_name("t").payload(Blob::new(payload)).send();
        let send = |payload: &'static str| async move { update(payload).await.unwrap_err().into_service_error() };
        assert!(send(r#"{"state":{},"version":4}"#).await.is_conflict_exception());
        assert!(send("{").await.is_invalid_request_exception());
        let error =
            client.update_thing_shadow().thing_name("t").payload(Blob::new([0xff_u8])).send().await.unwrap_err();
        assert!(error.into_service_error().is_unsupported_document_encoding_exception());
        let large = format!(r#"{{"state":{{"reported":{{"x":"{}"}}}}}}"#, "x".repeat(9_000));
        assert!(update(&large).await.unwrap_err().into_service_error().is_request_entity_too_large_exception());
        assert!(update(r#"{"state":{}}"#).await.is_ok());
        let delete = client.delete_thing_shadow().thing_name("t").shadow_name("n").send().await.unwrap_err();
        assert!(delete.into_service_error().is_resource_not_found_exception());
        let list = client.list_named_shadows_for_thing().thing_name("t").page_size(101).send().await.unwrap_err();
        assert!(list.into_service_error().is_invalid_request_exception());
        let mut throttled = 0;
        for burst in 0..2 {
            let calls = (0..20).map(|_| client.get_thing_shadow().thing_name("busy").send());
            for answer in futures::future::join_all(calls).await {
                throttled += u32::from(answer.unwrap_err().into_service_error().is_throttling_exception());
            }
            assert!(burst == 1 || throttled == 0, "20 requests a second are allowed");
        }
        assert!((16..=20).contains(&throttled), "{throttled} of 20 more within some 50 ms");
        let forbidden = ("ForbiddenException".to_owned(), "Forbidden".to_owned());
        assert_eq!(outcome(stranger.get_thing_shadow().thing_name("t").send().await), forbidden);
        let update = stranger.update_thing_shadow().thing_name("t").shadow_name("n").payload(Blob::new("{}"));
        assert_eq!(outcome(update.send().await), forbidden);
        assert_eq!(outcome(stranger.delete_thing_shadow().thing_name("t").send().await), forbidden);
        assert_eq!(outcome(stranger.list_named_shadows_for_thing().thing_name("t").send().await), forbidden);
        let denied = cloud.look(|account| {
            let denials = account.denials().kept().iter();
            denials.map(|denial| format!("{} {}", denial.action, denial.resource)).collect::<Vec<_>>()
        });
        let thing = "arn:aws:iot:eu-west-1:123456789012:thing/t";
        let expected = [
            format!("iot:GetThingShadow {thing}"),
            format!("iot:UpdateThingShadow {thing}/n"),
            format!("iot:DeleteThingShadow {thing}"),
            "iot:ListNamedShadowsForThing *".to_owned(),
        ];
        assert_eq!(denied, expected);
    });
}

#[test]
fn a_publish_reaches_the_account_at_its_endpoint() {
    with_account(|cloud, config, stranger| async move {
        let iot = aws_sdk_iot::config::Builder::from(&config);
        let iot = aws_sdk_iot::Client::from_conf(
            iot.retry_partition(aws_sdk_iot::config::retry::RetryPartition::custom("iot").build()).build(),
        );
        let endpoint = iot.describe_endpoint().endpoint_type("iot:Data-ATS").send().await.unwrap();
        let url = format!("https://{}", endpoint.endpoint_address().unwrap());
        let builder = aws_sdk_iotdataplane::config::Builder::from(&config).endpoint_url(url);
        let at_endpoint =
            Client::from_conf(builder.retry_partition(RetryPartition::custom("endpoint").build()).build());
        // A request to a shadow by its topic shows at once that it arrived, wherever it was sent.
        for (n, client) in (1..).zip([at_endpoint, once(&config)]) {
            let state = json!({ "state": { "desired": { "n": n } } });
            let publish = client.publish().topic("$aws/things/t/shadow/update").qos(1).payload(blob(&state));
            publish.send().await.unwrap();
            let got = document(client.get_thing_shadow().thing_name("t").send().await.unwrap().payload);
            assert_eq!((&got["version"], &got["state"]["desired"]), (&json!(n), &state["state"]["desired"]));
        }
        let publish = once(&config).publish().topic("tenant/a b/é").content_type("text/plain").response_topic("r/s");
        let publish = publish.payload_format_indicator(PayloadFormatIndicator::Utf8Data).correlation_data("AQI=");
        let publish = publish.user_properties(r#"[{"a":"1"},{"b":"2"}]"#).message_expiry(60).payload(Blob::new("x"));
        publish.send().await.unwrap();
        let error = once(&config).publish().topic("a/#").send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_request_exception());
        let error = once(&config).publish().topic("a").qos(2).send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_request_exception());
        assert_eq!(outcome(once(&stranger).publish().topic("a/b").send().await).0, "ForbiddenException");
        let (accepted, denied) = cloud.look(|account| {
            let denied = account.denials().kept().iter().map(|denial| denial.resource.clone()).collect::<Vec<_>>();
            (account.meter().counters()[&("iot", "PublishIn.Success")], denied)
        });
        assert_eq!((accepted, denied), (3, vec!["arn:aws:iot:eu-west-1:123456789012:topic/a/b".to_owned()]));
    });
}

#[test]
fn retained_messages_are_read_and_listed() {
    with_account(|_, config, stranger| async move {
        let (client, stranger) = (once(&config), once(&stranger));
        for topic in ["r/2", "r/1", "r/3"] {
            let publish = client.publish().topic(topic).retain(true).qos(1).user_properties(r#"[{"a":"1"}]"#);
            publish.payload(Blob::new(topic)).send().await.unwrap();
        }
        let got = client.get_retained_message().topic("r/1").send().await.unwrap();
        assert_eq!((got.topic(), got.qos(), got.payload().unwrap().as_ref()), (Some("r/1"), 1, &b"r/1"[..]));
        assert!(got.last_modified_time() >= 1_772_323_200_000, "{got:?}");
        assert_eq!(got.user_properties().unwrap().as_ref(), br#"[{"a":"1"}]"#);
        let mut pages = client.list_retained_messages().max_results(2).into_paginator().send();
        let mut topics = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            assert!(page.retained_topics().iter().all(|summary| summary.payload_size() == 3 && summary.qos() == 1));
            topics.extend(page.retained_topics().iter().map(|summary| summary.topic().unwrap().to_owned()));
        }
        assert_eq!(topics, ["r/1", "r/2", "r/3"]);
        let absent = client.get_retained_message().topic("r/4").send().await.unwrap_err().into_service_error();
        assert!(absent.is_resource_not_found_exception());
        let wrong = client.list_retained_messages().max_results(201).send().await.unwrap_err().into_service_error();
        assert!(wrong.is_invalid_request_exception());
        let calls = (0..20).map(|_| client.list_retained_messages().send());
        let answers = futures::future::join_all(calls).await;
        let mut throttled = answers.into_iter().filter_map(Result::err);
        assert!(throttled.any(|error| error.into_service_error().is_throttling_exception()));
        assert_eq!(outcome(stranger.get_retained_message().topic("r/1").send().await).0, "ForbiddenException");
        assert_eq!(outcome(stranger.list_retained_messages().send().await).0, "ForbiddenException");
        assert_eq!(outcome(stranger.publish().topic("r/1").retain(true).send().await).0, "ForbiddenException");
    });
}

#[test]
fn connections_are_described_messaged_and_ended() {
    with_account(|cloud, config, stranger| async move {
        connect_device(&cloud);
        let (client, stranger) = (once(&config), once(&stranger));
        let got = client.get_connection().client_id("d1").include_socket_information(true).send().await.unwrap();
        assert_eq!((got.connected(), got.client_id(), got.source_ip()), (true, Some("d1"), Some("10.0.0.9")));
        let again = client.get_connection().client_id("d1").send().await.unwrap_err().into_service_error();
        assert!(again.is_throttling_exception(), "one call a second about a client: {again:?}");
        clock::sleep(std::time::Duration::from_secs(1)).await;
        let listed = client.list_subscriptions().client_id("d1").max_results(1).send().await.unwrap();
        assert_eq!((listed.subscriptions()[0].topic_filter(), listed.subscriptions()[0].qos()), ("a/#", 1));
        clock::sleep(std::time::Duration::from_secs(1)).await;
        let rest = client.list_subscriptions().client_id("d1").set_next_token(listed.next_token);
        let rest = rest.send().await.unwrap();
        assert_eq!((rest.subscriptions().len(), rest.next_token()), (1, None));

        let send = |confirmation| {
            client
                .send_direct_message()
                .client_id("d1")
                .topic("direct")
                .confirmation(confirmation)
                .payload(Blob::new("x"))
        };
        assert_eq!(send(false).send().await.unwrap().message(), Some("OK"));
        let acknowledge = async {
            clock::sleep(std::time::Duration::from_secs(2)).await;
            let bytes = encoded(&[Packet::PubAck(PubAck::new(1))]);
            cloud.enter(|account, now| account.mqtt_receive(now, DEVICE, &bytes));
        };
        let before = clock::now();
        let (confirmed, ()) = futures::future::join(send(true).send(), acknowledge).await;
        assert_eq!(confirmed.unwrap().message(), Some("OK"));
        assert_eq!(clock::now().since(before).as_secs(), 2, "the answer waits for the client");
        let late = send(true).timeout(3).send().await.unwrap_err().into_service_error();
        assert!(late.is_gateway_timeout_exception(), "{late:?}");
        assert_eq!(clock::now().since(before).as_secs(), 5);
        let large = send(false).payload(Blob::new(vec![0; 131_073])).send().await.unwrap_err().into_service_error();
        assert!(large.is_request_entity_too_large_exception());
        let absent = client.send_direct_message().client_id("d2").topic("a").send().await.unwrap_err();
        assert!(absent.into_service_error().is_resource_not_found_exception());

        client.delete_connection().client_id("d1").clean_session(true).send().await.unwrap();
        let gone = client.delete_connection().client_id("d2").send().await.unwrap_err().into_service_error();
        assert!(gone.is_resource_not_found_exception());
        clock::sleep(std::time::Duration::from_secs(1)).await;
        let got = client.get_connection().client_id("d1").send().await.unwrap();
        assert_eq!((got.connected(), got.disconnect_reason()), (false, Some("API_INITIATED_DISCONNECT")));
        assert!(got.disconnected_since() >= 1_772_323_200_000, "{got:?}");
        let get = stranger.get_connection().client_id("d1").send().await.unwrap_err().into_service_error();
        assert!(get.is_forbidden_exception());
        let delete = stranger.delete_connection().client_id("d1").send().await.unwrap_err().into_service_error();
        assert!(delete.is_forbidden_exception());
        let list = stranger.list_subscriptions().client_id("d1").send().await.unwrap_err().into_service_error();
        assert!(list.is_forbidden_exception());
        let send = stranger.send_direct_message().client_id("d1").topic("a").send().await.unwrap_err();
        assert!(send.into_service_error().is_forbidden_exception());
    });
}
