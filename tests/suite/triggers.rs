//! What makes functions run, through the seam: event source mappings, rules, schedules and callers, with functions that
//! are deployed while they work; and the topic that they publish to, with the real SDK.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_sns::error::ProvideErrorMetadata as _;
use aws_types::SdkConfig;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use platform::function::{Function, FunctionError, InvocationContext};
use platform::transform::enrichment;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::{Deferred, Principal};
use sim::cloud::front::Credential;
use sim::cloud::iot::RestRequest;
use sim::seam::{Cloud, FunctionFactory, Functions, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

use crate::support::role;

const START: Time = Time::from_unix_secs(1_772_323_200);

/// What the function of a test was invoked with.
#[derive(Default)]
struct Seen {
    /// Environments that were built.
    environments: usize,
    /// (seconds since the start, event)
    events: Vec<(u64, Value)>,
}

/// A function that notes its events.
struct Probe(Arc<Mutex<Seen>>);

#[async_trait]
impl Function for Probe {
    async fn invoke(&self, event: &[u8], _: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event: Value = serde_json::from_slice(event).expect("an event is JSON");
        self.0.lock().unwrap().events.push((clock::now().since(START).as_secs(), event));
        Ok(b"{\"batchItemFailures\":[]}".to_vec())
    }
}

/// A function with everything that can trigger it. `key` names its package, `actions` are what its role allows.
fn template(key: &str, actions: &[&str]) -> String {
    let variables: Value = enrichment::VARIABLES.iter().map(|name| ((*name).to_owned(), json!("x"))).collect();
    json!({ "Resources": {
        "Role": role("probe-role", "lambda.amazonaws.com", actions),
        "ScheduleRole": role("schedule-role", "scheduler.amazonaws.com", &["lambda:InvokeFunction"]),
        "Logs": { "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": "/aws/lambda/probe" } },
        "Stream": { "Type": "AWS::Kinesis::Stream", "Properties": { "Name": "readings", "ShardCount": 1 } },
        "Function": { "Type": "AWS::Lambda::Function", "DependsOn": "Logs", "Properties": {
            "FunctionName": "probe", "Handler": enrichment::HANDLER, "Runtime": "provided.al2023", "Timeout": 30,
            "Role": { "Fn::GetAtt": ["Role", "Arn"] }, "Code": { "S3Bucket": "artifacts", "S3Key": key },
            "Environment": { "Variables": variables },
        } },
        "Mapping": { "Type": "AWS::Lambda::EventSourceMapping", "Properties": {
            "EventSourceArn": { "Fn::GetAtt": ["Stream", "Arn"] }, "FunctionName": { "Ref": "Function" },
            "StartingPosition": "TRIM_HORIZON",
        } },
        "Rule": { "Type": "AWS::IoT::TopicRule", "Properties": { "RuleName": "joined", "TopicRulePayload": {
            "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT thingName FROM '$aws/events/thing/+/created'",
            "Actions": [{ "Lambda": { "FunctionArn": { "Fn::GetAtt": ["Function", "Arn"] } } }],
        } } },
        "Permission": { "Type": "AWS::Lambda::Permission", "Properties": {
            "Action": "lambda:InvokeFunction", "FunctionName": { "Ref": "Function" }, "Principal": "iot.amazonaws.com",
            "SourceArn": { "Fn::GetAtt": ["Rule", "Arn"] },
        } },
        "Schedule": { "Type": "AWS::Scheduler::Schedule", "Properties": {
            "Name": "every-ten", "ScheduleExpression": "cron(0/10 * * * ? *)", "StartDate": "2026-03-01T00:05:00Z",
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": { "Arn": { "Fn::GetAtt": ["Function", "Arn"] }, "RoleArn": { "Fn::GetAtt": ["ScheduleRole", "Arn"] },
                "Input": "{\"at\":\"<aws.scheduler.scheduled-time>\"}" },
        } },
        "Topic": { "Type": "AWS::SNS::Topic", "Properties": { "TopicName": "anomalies" } },
    } })
    .to_string()
}

const ALL: [&str; 2] = ["kinesis:*", "logs:*"];

fn credential() -> Credential {
    Credential {
        access_key_id: "ASIAOWNER".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
        expires: None,
        principal: Principal::new("arn:aws:iam::123456789012:root"),
    }
}

/// Runs `test` against an account that [`template`] created, whose function is a [`Probe`].
fn with_account<T, F>(
    actions: &'static [&'static str],
    test: impl FnOnce(Cloud, SdkConfig, Arc<Mutex<Seen>>) -> F + Send + 'static,
) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(11);
    simulate(seed, START, move || async move {
        let mut account = Account::new("eu-west-1", seed, Trace::new());
        account.add_credential(credential());
        create_stack(&mut account, clock::now(), "test", &template("v1.zip", actions))
            .unwrap_or_else(|e| panic!("{e}"));
        account.as_owner(clock::now(), |services, cx| services.iot.enable_thing_events(cx)).unwrap();
        let cloud = Cloud::new(account, seed);
        let node = |name| madsim::runtime::Handle::current().create_node().name(name).build();
        let seen = Arc::<Mutex<Seen>>::default();
        let probe = seen.clone();
        let wrap: FunctionFactory = Arc::new(move |name, _| {
            assert_eq!(name, "probe");
            probe.lock().unwrap().environments += 1;
            Box::new(Probe(probe.clone()))
        });
        cloud.set_functions(Functions::new(node("lambda"), Some(wrap)));
        cloud.spawn_pump(&node("aws"));
        let config = sdk_config(&cloud, &credential());
        test(cloud, config, seen).await
    })
}

fn counter(cloud: &Cloud, name: &'static str) -> u64 {
    cloud.look(|account| account.meter().counters().get(&("lambda", name)).copied().unwrap_or(0))
}

#[test]
fn a_thing_that_joins_and_a_schedule_invoke_their_function() {
    let events = with_account(&ALL, |cloud, _, seen| async move {
        clock::sleep(Duration::from_secs(60)).await;
        cloud.enter(|account, now| {
            account.as_owner(now, |services, cx| {
                let (method, path) = ("POST", "/things/d1");
                let request = RestRequest { method, path, query: "", principal: None, body: b"{}" };
                services.iot.rest(cx, &request).unwrap()
            })
        });
        clock::sleep(Duration::from_secs(1_500)).await;
        assert_eq!(counter(&cloud, "LogsDenied"), 0);
        std::mem::take(&mut seen.lock().unwrap().events)
    });
    assert_eq!(
        events,
        [
            (60, json!({ "thingName": "d1" })),
            (600, json!({ "at": "2026-03-01T00:10:00Z" })),
            (1_200, json!({ "at": "2026-03-01T00:20:00Z" })),
        ]
    );
}

#[test]
fn a_deployment_in_mid_traffic_starts_new_environments_and_loses_no_record() {
    let (environments, records, status) = with_account(&ALL, |_, config, seen| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        for second in 0..120 {
            let put = kinesis.put_record().stream_name("readings").partition_key("d1");
            put.data(Blob::new(format!("{second:03}"))).send().await.unwrap();
            if second == 30 {
                let update = cloudformation.update_stack().stack_name("test").template_body(template("v2.zip", &ALL));
                update.capabilities("CAPABILITY_NAMED_IAM".into()).send().await.unwrap();
            }
            clock::sleep(Duration::from_secs(1)).await;
        }
        clock::sleep(Duration::from_secs(30)).await;
        let described = cloudformation.describe_stacks().stack_name("test").send().await.unwrap();
        let status = described.stacks()[0].stack_status().unwrap().as_str().to_owned();
        let seen = seen.lock().unwrap();
        let records = seen.events.iter().filter_map(|(_, event)| event["Records"].as_array());
        let data = records.flatten().map(|record| record["kinesis"]["data"].as_str().unwrap().to_owned());
        (seen.environments, data.collect::<Vec<_>>(), status)
    });
    use base64::Engine as _;
    let expected: Vec<String> =
        (0..120).map(|second| base64::engine::general_purpose::STANDARD.encode(format!("{second:03}"))).collect();
    assert_eq!(status, "UPDATE_COMPLETE");
    assert_eq!(records, expected, "each once, in order");
    assert_eq!(environments, 2, "one for each deployment");
}

#[test]
fn a_role_that_may_not_write_logs_runs_all_the_same_and_is_counted() {
    let (denied, events) = with_account(&["kinesis:*"], |cloud, _, seen| async move {
        clock::sleep(Duration::from_secs(700)).await;
        (counter(&cloud, "LogsDenied"), seen.lock().unwrap().events.len())
    });
    assert_eq!((denied, events), (1, 1));
}

#[test]
fn a_schedule_whose_role_may_not_invoke_is_refused() {
    let (events, calls) = with_account(&ALL, |cloud, _, seen| async move {
        let allowed = template("v1.zip", &ALL);
        let body = allowed.replace("[\"lambda:InvokeFunction\"]", "[\"lambda:GetFunction\"]");
        assert_ne!(body, allowed);
        let config = sdk_config(&cloud, &credential());
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let update = cloudformation.update_stack().stack_name("test").template_body(body);
        update.capabilities("CAPABILITY_NAMED_IAM".into()).send().await.unwrap();
        clock::sleep(Duration::from_secs(700)).await;
        let calls = cloud.look(|account| account.meter().calls()[&("scheduler", "InvokeTarget")]);
        (seen.lock().unwrap().events.len(), calls)
    });
    assert_eq!((events, calls.ok, calls.error), (0, 0, 1));
}

#[test]
fn a_caller_gets_the_functions_answer_and_an_unsigned_one_gets_none() {
    let answers = with_account(&ALL, |cloud, _, seen| async move {
        let mut answers = Vec::new();
        for key in ["secret", "wrong"] {
            let request = signed("/2015-03-31/functions/probe/invocations", key, br#"{"asked":1}"#);
            let mut response = cloud.enter(|account, now| account.http(now, request));
            if let Some(ticket) = response.extensions().get::<Deferred>().copied() {
                response = cloud.answer(ticket).await;
            }
            let version =
                response.headers().get("x-amz-executed-version").map(|value| value.to_str().unwrap().to_owned());
            answers.push((response.status().as_u16(), version, String::from_utf8(response.body().to_vec()).unwrap()));
        }
        assert_eq!(seen.lock().unwrap().events[0].1, json!({ "asked": 1 }));
        assert_eq!(seen.lock().unwrap().events.len(), 1);
        answers
    });
    assert_eq!(answers[0], (200, Some("$LATEST".to_owned()), "{\"batchItemFailures\":[]}".to_owned()));
    assert_eq!((answers[1].0, answers[1].1.clone()), (403, None), "{}", answers[1].2);
}

#[test]
fn a_topic_takes_messages_of_the_sdk_and_refuses_with_the_codes_of_sns() {
    let (id, code, published) = with_account(&ALL, |cloud, config, _| async move {
        let sns = aws_sdk_sns::Client::new(&config);
        let arn = "arn:aws:sns:eu-west-1:123456789012:anomalies";
        let publish = sns.publish().topic_arn(arn).subject("pump 7").message("<hot> & \"dry\"");
        let id = publish.send().await.unwrap().message_id().unwrap().to_owned();
        let gone = sns.publish().topic_arn(format!("{arn}-gone")).message("m").send().await.unwrap_err();
        let attributes = sns.get_topic_attributes().topic_arn(arn).send().await.unwrap();
        assert_eq!(attributes.attributes().unwrap()["TopicArn"], arn);
        let published = cloud.look(|account| account.services.sns.topic(arn).unwrap().published());
        (id, gone.into_service_error().code().map(str::to_owned), published)
    });
    assert_eq!((id.len(), code.as_deref(), published), (36, Some("NotFound"), 1));
}

/// A POST to Lambda that is signed with a key, by hand.
fn signed(path: &str, secret: &str, body: &'static [u8]) -> http::Request<Bytes> {
    let host = "lambda.eu-west-1.amazonaws.com";
    let now = clock::now().to_datetime();
    let (stamp, date) = (now.format("%Y%m%dT%H%M%SZ").to_string(), now.format("%Y%m%d").to_string());
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let canonical = format!("POST\n{path}\n\nhost:{host}\nx-amz-date:{stamp}\n\nhost;x-amz-date\n{}", digest(body));
    let scope = format!("{date}/eu-west-1/lambda/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", digest(canonical.as_bytes()));
    let mac = |key: &[u8], data: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(data.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = mac(format!("AWS4{secret}").as_bytes(), &date);
    let key = ["eu-west-1", "lambda", "aws4_request"].iter().fold(key, |key, part| mac(&key, part));
    let signature = hex::encode(mac(&key, &to_sign));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=ASIAOWNER/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}");
    http::Request::post(path)
        .header("host", host)
        .header("x-amz-date", stamp)
        .header("authorization", authorization)
        .body(Bytes::from_static(body))
        .expect("a valid request")
}
