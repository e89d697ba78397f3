//! The data plane of IoT Core by the real SDK: its encoder, its endpoint and its parsers judge ours.

use aws_sdk_iot::error::ProvideErrorMetadata;
use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_iotdataplane::operation::RequestId as _;
use aws_sdk_iotdataplane::primitives::Blob;
use aws_sdk_iotdataplane::types::PayloadFormatIndicator;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::core::Principal;
use sim::cloud::front::Credential;
use sim::seam::{Cloud, sdk_config};
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

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
