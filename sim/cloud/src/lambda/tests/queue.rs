//! Invocations by services and by callers: resource policies, the queue of events, answers.

use super::*;
use crate::core::ports::{Invocations as _, NoAnswer};

const RULE: &str = "arn:aws:iot:eu-west-1:123456789012:rule/tagger";
const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:enrich";
const INVOKE: &str = "/2015-03-31/functions/enrich/invocations";

fn permission() -> Value {
    json!({
        "Action": "lambda:InvokeFunction", "FunctionName": ARN, "Principal": "iot.amazonaws.com", "SourceArn": RULE,
        "SourceAccount": "123456789012",
    })
}

impl Bench {
    fn invoke_for(&mut self, source: &str) -> Result<(), AwsError> {
        let payload = Bytes::from_static(b"{}");
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.lambda.invoke_for_service(&mut cx, ARN, "iot.amazonaws.com", source, payload)
    }

    fn event(&mut self) {
        let payload = Bytes::from_static(b"{}");
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.lambda.invoke_event(&mut cx, "enrich", payload).unwrap();
    }

    fn started(&self) -> Vec<f64> {
        self.invocations.iter().map(|i| i.started.since(START).as_secs_f64()).collect()
    }
}

#[test]
fn a_service_invokes_when_the_functions_policy_allows_its_source() {
    let mut bench = Bench::new(0);
    assert_eq!(bench.invoke_for(RULE).unwrap_err().code, "AccessDeniedException");
    let alias = bench.lambda.invoke_for_service(
        &mut bench.parts.cx(bench.now, &bench.owner),
        &format!("{ARN}:live"),
        "iot.amazonaws.com",
        RULE,
        Bytes::new(),
    );
    let refused = alias.unwrap_err().message;
    assert!(refused.contains(&format!("on resource: {ARN}:live because no")), "{refused}");
    assert_eq!(bench.parts.meter.counters()[&("iam", "AccessDenied")], 2);
    let id = bench.provision("AWS::Lambda::Permission", permission()).unwrap().physical_id;
    bench.invoke_for(RULE).unwrap();
    assert!(bench.invoke_for("arn:aws:iot:eu-west-1:123456789012:rule/other").is_err());
    let (_, body) = bench.call("GET", "/2015-03-31/functions/enrich/policy", &[], b"").unwrap();
    let policy: Value = serde_json::from_slice(&body).unwrap();
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"], RULE);
    bench.delete("AWS::Lambda::Permission", &id);
    assert!(bench.invoke_for(RULE).is_err());
    bench.run_until(at(1.0));
    assert_eq!(bench.started(), [0.0]);
    for (member, value, text) in [
        ("Principal", json!("123456789012"), "only services"),
        ("Action", json!("iot:Publish"), "none of Lambda's"),
        ("FunctionName", json!(format!("{ARN}:1")), "Function not found"),
        ("PrincipalOrgID", json!("o-1"), "PrincipalOrgID"),
    ] {
        let mut properties = permission();
        properties[member] = value;
        let error = bench.provision("AWS::Lambda::Permission", properties).unwrap_err();
        assert!(error.message.contains(text), "{error}");
    }
}

#[test]
fn a_service_that_waits_is_told_by_its_ticket_how_the_function_ended() {
    let mut bench = Bench::new(0);
    bench.ends = [End::Answers("[1]"), End::Crashes, End::TimesOut].into();
    let wait = |bench: &mut Bench, function: &str| {
        let mut cx = bench.parts.cx(bench.now, &bench.owner);
        bench.lambda.invoke_and_wait(&mut cx, function, Bytes::from_static(b"{}"))
    };
    let tickets: Vec<u64> = (0..3).map(|_| wait(&mut bench, ARN).unwrap()).collect();
    assert!(bench.lambda.take_answers().is_empty(), "none has begun");
    bench.run_until(at(100.0));
    let told = [
        Ok(Bytes::from_static(b"[1]")),
        Err(NoAnswer::Failed("Runtime.ExitError: the script says so".to_owned())),
        Err(NoAnswer::TimedOut("Sandbox.Timedout: the script says so".to_owned())),
    ];
    assert_eq!(bench.lambda.take_answers(), tickets.into_iter().zip(told).collect::<Vec<_>>());
    let mut properties = function("enrich");
    properties["ReservedConcurrentExecutions"] = 0.into();
    bench.update("AWS::Lambda::Function", "enrich", properties).unwrap();
    let ticket = wait(&mut bench, "enrich").unwrap();
    bench.run_until(at(101.0));
    let [(told, Err(NoAnswer::Refused(error)))] = &bench.lambda.take_answers()[..] else { panic!("one answer") };
    assert_eq!((*told, error.message.as_str()), (ticket, "Rate Exceeded."));
    assert_eq!(wait(&mut bench, "gone").unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(wait(&mut bench, &format!("{ARN}:live")).unwrap_err().code, "ResourceNotFoundException");
}

#[test]
fn a_failed_event_is_tried_again_after_one_minute_and_after_two_and_then_dropped() {
    let mut bench = Bench::new(0);
    bench.ends = [End::Throws, End::TimesOut, End::Throws].into();
    bench.event();
    bench.run_until(at(1_000.0));
    // The second one runs for its timeout of 60 s.
    assert_eq!(bench.started(), [0.0, 60.1, 240.1]);
    assert_eq!((bench.counter("AsyncEventsReceived"), bench.counter("AsyncEventsDropped")), (1, 1));
    bench.ends = [End::Throws, End::Ok].into();
    bench.event();
    bench.run_until(at(2_000.0));
    assert_eq!((bench.started().len(), bench.counter("AsyncEventsDropped")), (5, 1));
}

#[test]
fn a_throttled_event_waits_longer_and_longer_until_it_is_too_old() {
    let mut bench = Bench::new(0);
    let mut properties = function("enrich");
    properties["ReservedConcurrentExecutions"] = 0.into();
    bench.update("AWS::Lambda::Function", "enrich", properties).unwrap();
    let config = json!({ "FunctionName": "enrich", "Qualifier": "$LATEST", "MaximumEventAgeInSeconds": 60 });
    let id = bench.provision("AWS::Lambda::EventInvokeConfig", config.clone()).unwrap().physical_id;
    let second = bench.provision("AWS::Lambda::EventInvokeConfig", config.clone()).unwrap_err();
    assert_eq!(second.code, "AlreadyExists");
    bench.event();
    bench.run_until(at(1_000.0));
    // At 0, 1, 3, 7, 15 and 31 s; at 63 s it is older than a minute.
    assert_eq!((bench.counter("Throttles"), bench.counter("AsyncEventsDropped")), (6, 1));
    bench.event();
    bench.run_until(at(1_004.0));
    bench.update("AWS::Lambda::Function", "enrich", function("enrich")).unwrap();
    bench.run_until(at(1_010.0));
    assert_eq!(bench.started(), [1_007.0]);
    bench.delete("AWS::Lambda::EventInvokeConfig", &id);
    let mut no_retries = config;
    no_retries["MaximumRetryAttempts"] = 0.into();
    bench.provision("AWS::Lambda::EventInvokeConfig", no_retries.clone()).unwrap();
    bench.ends = [End::Throws].into();
    bench.event();
    bench.run_until(at(2_000.0));
    assert_eq!((bench.started().len(), bench.counter("AsyncEventsDropped")), (2, 2));
    no_retries["MaximumRetryAttempts"] = 3.into();
    let error = bench.provision("AWS::Lambda::EventInvokeConfig", no_retries).unwrap_err();
    assert!(error.message.contains("MaximumRetryAttempts is 3; Lambda takes 0 to 2"), "{error}");
}

#[test]
fn a_caller_waits_for_the_answer_or_leaves_an_event() {
    let mut bench = Bench::new(0);
    bench.ends = [End::Answers("[1]"), End::Throws].into();
    let (mut tickets, mut ids) = (Vec::new(), Vec::new());
    // A call need not have a payload.
    for payload in [&b"{}"[..], b""] {
        assert_eq!(bench.call("POST", INVOKE, &[], payload).unwrap().0, 200);
        tickets.push(bench.lambda.take_deferred().expect("the answer comes later"));
        ids.push(bench.lambda.take_request_id().expect("it is the invocation's"));
    }
    let event = [("x-amz-invocation-type", "Event")];
    assert_eq!(bench.call("POST", INVOKE, &event, b"").unwrap().0, 202);
    assert_eq!(bench.lambda.take_deferred(), None);
    ids.push(bench.lambda.take_request_id().expect("it is the event's"));
    bench.run_until(at(1.0));
    assert_eq!(bench.started().len(), 3);
    let invoked: Vec<_> = bench.invocations.iter().map(|i| (i.request_id.clone(), i.event.clone())).collect();
    assert_eq!(invoked, ids.into_iter().map(|id| (id, json!({}))).collect::<Vec<_>>());
    let version = ("x-amz-executed-version", "$LATEST".to_owned());
    assert_eq!(bench.answers[0], (tickets[0], vec![version.clone()], Bytes::from_static(b"[1]")));
    let (ticket, headers, body) = &bench.answers[1];
    assert_eq!((*ticket, headers), (tickets[1], &vec![version, ("x-amz-function-error", "Unhandled".to_owned())]));
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body, json!({ "errorType": "Error", "errorMessage": "the script says so" }));
    for (headers, body, code) in [
        (vec![("x-amz-log-type", "Tail")], &b"{}"[..], "NotImplemented"),
        (vec![], b"{", "InvalidRequestContentException"),
        (vec![("x-amz-invocation-type", "Event")], b"{", "InvalidRequestContentException"),
    ] {
        assert_eq!(bench.call("POST", INVOKE, &headers, body).unwrap_err().code, code, "{headers:?}");
    }
    let dry = bench.call("POST", INVOKE, &[("x-amz-invocation-type", "DryRun")], b"{}").unwrap();
    assert_eq!((dry.0, bench.started().len()), (204, 3), "nothing runs");
    assert_eq!(bench.lambda.take_request_id(), None);
    let gone = bench.call("POST", "/2015-03-31/functions/gone/invocations", &[], b"{}").unwrap_err();
    assert_eq!((gone.code, gone.status), ("ResourceNotFoundException", 404));
}

#[test]
fn code_and_configuration_change_over_the_api() {
    let mut bench = Bench::new(0);
    let path = "/2015-03-31/functions/enrich";
    let code = br#"{"S3Bucket":"artifacts","S3Key":"v2.zip"}"#;
    let (_, body) = bench.call("PUT", &format!("{path}/code"), &[], code).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["LastUpdateStatus"], "InProgress");
    let busy = bench.call("PUT", &format!("{path}/configuration"), &[], br#"{"Timeout":5}"#).unwrap_err();
    assert_eq!((busy.code, busy.status), ("ResourceConflictException", 409));
    bench.run_until(at(3.0));
    bench.call("PUT", &format!("{path}/configuration"), &[], br#"{"Timeout":5,"MemorySize":256}"#).unwrap();
    bench.run_until(at(6.0));
    bench.event();
    bench.run_until(at(7.0));
    assert_eq!((bench.invocations[0].revision, bench.invocations[0].deadline), (3, at(11.0)));
    for (target, body, code) in [
        ("code", &br#"{"ZipFile":"x"}"#[..], "NotImplemented"),
        ("configuration", br#"{"Timeout":901}"#, "InvalidParameterValueException"),
        ("configuration", br#"{"Layers":[]}"#, "NotImplemented"),
    ] {
        assert_eq!(bench.call("PUT", &format!("{path}/{target}"), &[], body).unwrap_err().code, code);
    }
}

#[test]
fn an_event_may_come_twice_or_be_overtaken() {
    for (twice, late_s, expected) in [(true, 0, vec![0, 0]), (false, 7, vec![7]), (true, 7, vec![0, 7])] {
        let mut bench = Bench::new(0);
        let event = EventFate { twice, late: Duration::from_secs(late_s) };
        bench.parts.disturb = Some(Box::new(Plan { event, ..Plan::default() }));
        let owner = Principal::new("owner");
        let enrich = crate::lambda::versions::Target { function: "enrich".to_owned(), qualifier: None };
        let mut cx = bench.parts.cx(bench.now, &owner);
        let request_id = bench.lambda.enqueue(&mut cx, &enrich, Bytes::from_static(b"{}")).unwrap();
        bench.run_until(START + Duration::from_secs(60));
        let seconds: Vec<u64> = bench.invocations.iter().map(|i| i.started.since(START).as_secs()).collect();
        assert_eq!(seconds, expected, "{twice} {late_s}");
        assert!(!request_id.is_empty());
        assert_eq!(bench.counter("AsyncEventsReceived"), 1);
    }
}

const CONFIG: &str = "/2019-09-25/functions/enrich/event-invoke-config";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:events";

fn leaked(body: &Value) -> &'static [u8] {
    body.to_string().leak().as_bytes()
}

#[test]
fn the_end_of_an_event_is_told_to_its_destination() {
    let mut bench = Bench::new(0);
    bench.provision("AWS::Lambda::Function", function("listener")).unwrap();
    let listener = ARN.replace("enrich", "listener");
    let config = json!({
        "MaximumRetryAttempts": 1,
        "DestinationConfig": {
            "OnSuccess": { "Destination": listener }, "OnFailure": { "Destination": "arn:aws:s3:::failed" },
        },
    });
    bench.call("PUT", CONFIG, &[], leaked(&config)).unwrap();
    bench.ends = [End::Answers("{\"done\":7}")].into();
    bench.event();
    bench.run_until(at(10.0));
    let [first, told] = bench.invocations.as_slice() else { panic!("{:?}", bench.invocations) };
    assert_eq!((first.function.as_str(), told.function.as_str()), ("enrich", "listener"));
    let record = &told.event;
    assert_eq!(record["requestContext"]["condition"], "Success");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(record["requestContext"]["functionArn"], json!(format!("{ARN}:$LATEST")));
    assert_eq!(record["responseContext"], json!({ "statusCode": 200, "executedVersion": "$LATEST" }));
    assert_eq!((&record["requestPayload"], &record["responsePayload"]), (&json!({}), &json!({ "done": 7 })));
    bench.ends = [End::Throws, End::Throws].into();
    bench.event();
    bench.run_until(at(200.0));
    let [(_, bucket, key, record)] = bench.store.objects.as_slice() else { panic!("{:?}", bench.store.objects) };
    assert_eq!(bucket, "failed");
    assert!(key.starts_with("aws/lambda/async/enrich/2027/01/15/2027-01-15T08.01."), "{key}");
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorType"], "Error");
}

#[test]
fn an_event_that_nobody_can_process_is_a_dead_letter_and_one_that_cannot_be_told_is_counted() {
    let mut bench = Bench::new(0);
    let mut properties = function("enrich");
    properties["DeadLetterConfig"] = json!({ "TargetArn": TOPIC });
    properties["ReservedConcurrentExecutions"] = json!(0);
    bench.update("AWS::Lambda::Function", "enrich", properties).unwrap();
    bench.run_until(at(3.0));
    bench.event();
    bench.run_until(at(4.0));
    assert_eq!(bench.topics.messages, [(TOPIC.to_owned(), json!({}))]);
    assert_eq!((bench.counter("AsyncEventsDropped"), bench.counter("Throttles")), (1, 0));
    let failed = json!({ "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:s3:::failed" } } });
    bench.call("PUT", CONFIG, &[], leaked(&failed)).unwrap();
    bench.store.refusals = 1;
    bench.event();
    bench.run_until(at(5.0));
    assert_eq!((bench.store.objects.len(), bench.counter("DestinationDeliveryFailures")), (0, 1));
    bench.event();
    bench.run_until(at(6.0));
    let record = &bench.store.objects[0].3;
    assert_eq!(record["requestContext"]["condition"], "ZeroReservedConcurrency");
    assert_eq!(record.get("responseContext"), None);
}

#[test]
fn the_configuration_of_events_is_put_changed_read_and_deleted() {
    let mut bench = Bench::new(0);
    let mut ask = |method: &str, target: &str, body: Value| {
        let result = bench.call(method, target, &[], leaked(&body)).map_err(|error| error.code)?;
        Ok((result.0, serde_json::from_slice::<Value>(&result.1).unwrap_or_default()))
    };
    let missing: Result<(u16, Value), _> = Err("ResourceNotFoundException");
    assert_eq!(ask("GET", CONFIG, json!({})), missing);
    assert_eq!(ask("POST", CONFIG, json!({})), missing);
    let destination = json!({ "OnFailure": { "Destination": TOPIC } });
    ask("PUT", CONFIG, json!({ "MaximumRetryAttempts": 0, "DestinationConfig": destination })).unwrap();
    ask("POST", CONFIG, json!({ "MaximumEventAgeInSeconds": 60 })).unwrap();
    let (_, got) = ask("GET", CONFIG, json!({})).unwrap();
    assert_eq!((&got["MaximumRetryAttempts"], &got["MaximumEventAgeInSeconds"]), (&json!(0), &json!(60)));
    assert_eq!(got["DestinationConfig"]["OnFailure"]["Destination"], TOPIC);
    let (_, listed) = ask("GET", &format!("{CONFIG}/list"), json!({})).unwrap();
    assert_eq!(listed["FunctionEventInvokeConfigs"], json!([got]));
    // What is put replaces the whole.
    let (_, put) = ask("PUT", CONFIG, json!({ "MaximumEventAgeInSeconds": 90 })).unwrap();
    assert_eq!((put.get("MaximumRetryAttempts"), &put["DestinationConfig"]["OnFailure"]), (None, &json!({})));
    for (config, code) in [
        (json!({ "MaximumRetryAttempts": 3 }), "InvalidParameterValueException"),
        (
            json!({ "DestinationConfig": { "OnSuccess": { "Destination": "arn:aws:s3:::b" } } }),
            "InvalidParameterValueException",
        ),
        (
            json!({ "DestinationConfig": { "OnSuccess": { "Destination": "arn:aws:events:eu-west-1:123456789012:event-bus/b" } } }),
            "InvalidParameterValueException",
        ),
    ] {
        assert_eq!(ask("PUT", CONFIG, config), Err(code));
    }
    assert_eq!(ask("DELETE", CONFIG, json!({})).unwrap().0, 204);
    assert_eq!(ask("DELETE", CONFIG, json!({})), missing);
}
