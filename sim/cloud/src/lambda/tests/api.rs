//! Creation of functions and mappings, and the REST API.

use super::*;
use crate::lambda::RestCall;

fn refused<T: std::fmt::Debug>(result: Result<T, AwsError>, code: &str, text: &str) {
    let error = result.expect_err(text);
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(text), "{error} does not say {text:?}");
}

impl Bench {
    fn rest(&mut self, method: &str, target: &str) -> Result<Value, AwsError> {
        let (status, body) = self.call(method, target, &[], b"")?;
        assert_eq!(status, 200);
        Ok(serde_json::from_slice(&body).expect("an answer is JSON"))
    }

    pub(super) fn call(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &'static [u8],
    ) -> Result<(u16, Vec<u8>), AwsError> {
        let caller = Principal::new("caller");
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        let body = Bytes::from_static(body);
        let call = RestCall { method, target, headers: &map, body: &body };
        let mut ports = ports(&mut self.stream, &mut self.store, &mut self.topics);
        self.lambda.call_rest(&mut self.parts.cx(self.now, &caller), &mut ports, &call)
    }
}

#[test]
fn a_function_answers_its_references_and_is_known_to_the_boot() {
    let mut bench = Bench::new(1);
    let provisioned = bench.provision("AWS::Lambda::Function", function("tagger")).unwrap();
    assert_eq!(provisioned.physical_id, "tagger");
    assert_eq!(provisioned.attributes["Arn"], "arn:aws:lambda:eu-west-1:123456789012:function:tagger");
    let known: Vec<_> = bench.lambda.functions().collect();
    assert_eq!(known.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["enrich", "tagger"]);
    assert_eq!(known[0].handler, "enrichment");
    assert_eq!(known[0].environment["TABLE"], "directory");
    assert_eq!((known[0].memory_mib, known[0].timeout), (512, Duration::from_secs(60)));
    assert_eq!(known[0].role_arn, "arn:aws:iam::123456789012:role/enrichment-role");
}

#[test]
fn memory_and_timeout_have_lambdas_defaults() {
    let mut bench = Bench::new(1);
    let mut properties = function("small");
    for member in ["MemorySize", "Timeout", "Environment"] {
        properties.as_object_mut().unwrap().remove(member);
    }
    bench.provision("AWS::Lambda::Function", properties).unwrap();
    let small = bench.lambda.functions().find(|f| f.name == "small").unwrap();
    assert_eq!((small.memory_mib, small.timeout.as_secs()), (128, 3));
}

#[test]
fn what_no_function_can_be_is_refused() {
    let big = json!({ "Variables": { "BIG": "x".repeat(4_096) } });
    let validation = "ValidationError";
    for (member, value, code, text) in [
        ("FunctionName", json!("no spaces"), validation, "FunctionName"),
        ("FunctionName", json!("enrich"), "ResourceConflictException", "Function already exist: enrich"),
        ("MemorySize", json!(127), validation, "MemorySize is 127; Lambda takes 128 to 10240"),
        ("Timeout", json!(901), validation, "Timeout is 901"),
        ("Runtime", json!("python3.13"), validation, "python3.13"),
        ("Role", json!("admin"), validation, "Role"),
        ("Layers", json!([]), validation, "Layers"),
        ("ReservedConcurrentExecutions", json!(901), "InvalidParameterValueException", "minimum value of [100]"),
        ("TracingConfig", json!({"Mode": "On"}), validation, "TracingConfig.Mode"),
        (
            "DeadLetterConfig",
            json!({ "TargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead" }),
            validation,
            "queues are not modelled",
        ),
        ("Environment", big, "InvalidParameterValueException", "exceeded the 4KB limit"),
        ("Environment", json!({"Variables": {"AWS_REGION": "x"}}), "InvalidParameterValueException", "reserved keys"),
        ("Environment", json!({"Variables": {"1": "x"}}), "InvalidParameterValueException", "does not match"),
        ("Code", json!({"ZipFile": "x"}), validation, "ZipFile"),
    ] {
        let mut properties = function("other");
        properties[member] = value;
        refused(Bench::new(1).provision("AWS::Lambda::Function", properties), code, text);
    }
    refused(Bench::new(1).provision("AWS::Lambda::LayerVersion", json!({})), validation, "not modelled");
}

#[test]
fn what_no_mapping_can_be_is_refused() {
    let validation = "ValidationError";
    let invalid = "InvalidParameterValueException";
    let other_stream = STREAM_ARN.replace("raw", "other");
    for (member, value, code, text) in [
        ("EventSourceArn", json!(other_stream), invalid, "Stream not found: arn:aws:kinesis"),
        ("EventSourceArn", json!("arn:aws:sqs:eu-west-1:123456789012:queue"), validation, "EventSourceArn"),
        ("EventSourceArn", json!(format!("{STREAM_ARN}/consumer/c:1")), validation, "EventSourceArn"),
        ("FunctionName", json!("none"), "ResourceNotFoundException", "Function not found: arn:aws:lambda"),
        ("FunctionName", json!("enrich:1"), "ResourceNotFoundException", "function:enrich:1"),
        ("StartingPosition", Value::Null, validation, "StartingPosition is required"),
        ("StartingPosition", json!("AT_TIMESTAMP"), validation, "StartingPositionTimestamp"),
        ("StartingPosition", json!("NOW"), validation, "NOW"),
        ("BatchSize", json!(0), validation, "BatchSize is 0; Lambda takes 1 to 10000"),
        ("BatchSize", json!(10_001), validation, "BatchSize is 10001"),
        ("MaximumBatchingWindowInSeconds", json!(301), validation, "takes 0 to 300"),
        ("ParallelizationFactor", json!(0), validation, "ParallelizationFactor is 0; Lambda takes 1 to 10"),
        ("ParallelizationFactor", json!(11), validation, "ParallelizationFactor is 11"),
        ("MaximumRetryAttempts", json!(-2), validation, "MaximumRetryAttempts is -2; Lambda takes -1, or 0 to 10000"),
        ("MaximumRetryAttempts", json!(10_001), validation, "MaximumRetryAttempts is 10001"),
        ("MaximumRecordAgeInSeconds", json!(59), validation, "takes -1, or 60 to 604800"),
        ("TumblingWindowInSeconds", json!(10), validation, "TumblingWindowInSeconds"),
        ("DestinationConfig", json!({ "OnFailure": {} }), validation, "Destination field is required"),
        ("DestinationConfig", json!({ "OnSuccess": {} }), validation, "OnSuccess"),
        (
            "DestinationConfig",
            json!({ "OnFailure": { "Destination": "arn:aws:sqs:eu-west-1:123456789012:queue" } }),
            validation,
            "a destination of sqs is not modelled",
        ),
        ("FilterCriteria", json!({ "Filters": [{ "Pattern": "x" }] }), validation, "Invalid filter pattern definition"),
        ("FilterCriteria", json!({ "Filters": vec![json!({ "Pattern": "{}" }); 6] }), validation, "at most 5 filters"),
        ("FunctionResponseTypes", json!(["Other"]), validation, "ReportBatchItemFailures"),
    ] {
        refused(Bench::new(1).map(json!({ member: value })), code, text);
    }
    let at_timestamp =
        |time: u64| json!({ "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_800_000_000 + time });
    refused(Bench::new(1).map(at_timestamp(1)), invalid, "cannot be in the future");
    Bench::new(1).map(at_timestamp(0)).unwrap();
    let mut bench = Bench::mapped(1, json!({}));
    refused(bench.map(json!({})), "ResourceConflictException", "mapping already exists");
}

#[test]
fn a_mapping_that_is_not_enabled_reads_nothing() {
    let mut bench = Bench::mapped(1, json!({ "Enabled": false }));
    bench.put("shard-0", 3);
    bench.run_until(at(60.0));
    assert!(bench.stream.reads.is_empty());
}

#[test]
fn functions_and_mappings_are_read_over_the_api() {
    let mut bench = Bench::new(1);
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:enrich";
    let id = bench.map(json!({ "FunctionName": arn })).unwrap().physical_id;
    for name in ["enrich", "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aenrich"] {
        let got = bench.rest("GET", &format!("/2015-03-31/functions/{name}")).unwrap();
        assert_eq!(got["Configuration"]["FunctionArn"], json!(arn));
        let got = bench.rest("GET", &format!("/2015-03-31/functions/{name}/configuration")).unwrap();
        assert_eq!(got["Environment"]["Variables"], json!({ "TABLE": "directory" }));
        assert_eq!(got["LastModified"], json!("2027-01-15T08:00:00.000+0000"));
    }
    let listed = bench.rest("GET", "/2015-03-31/functions?MaxItems=10").unwrap();
    assert_eq!(listed["Functions"][0]["FunctionName"], json!("enrich"));

    bench.put("shard-0", 1);
    bench.run_until(at(3.0));
    let got = bench.rest("GET", &format!("/2015-03-31/event-source-mappings/{id}")).unwrap();
    assert_eq!(got["UUID"], json!(id));
    assert_eq!((&got["State"], &got["LastProcessingResult"]), (&json!("Enabled"), &json!("OK")));
    let list = "/2015-03-31/event-source-mappings";
    let listed = bench.rest("GET", &format!("{list}?FunctionName=enrich")).unwrap();
    assert_eq!(listed["EventSourceMappings"].as_array().unwrap().len(), 1);
    let elsewhere = "arn%3Aaws%3Akinesis%3Aeu-west-1%3A123456789012%3Astream%2Fother";
    let listed = bench.rest("GET", &format!("{list}?EventSourceArn={elsewhere}")).unwrap();
    assert!(listed["EventSourceMappings"].as_array().unwrap().is_empty());
}

#[test]
fn lists_come_in_pages() {
    let mut bench = Bench::new(1);
    for name in ["a", "b"] {
        bench.provision("AWS::Lambda::Function", function(name)).unwrap();
    }
    let names = |page: &Value| -> Vec<String> {
        let functions = page["Functions"].as_array().unwrap();
        functions.iter().map(|f| f["FunctionName"].as_str().unwrap().to_owned()).collect()
    };
    let first = bench.rest("GET", "/2015-03-31/functions?MaxItems=2").unwrap();
    assert_eq!((names(&first), &first["NextMarker"]), (vec!["a".to_owned(), "b".to_owned()], &json!("b")));
    let second = bench.rest("GET", "/2015-03-31/functions?Marker=b&MaxItems=2").unwrap();
    assert_eq!((names(&second), &second["NextMarker"]), (vec!["enrich".to_owned()], &Value::Null));
}

#[test]
fn calls_that_are_not_modelled_are_refused_by_name() {
    let mut bench = Bench::new(1);
    for (method, target, code, text) in [
        ("POST", "/2015-03-31/functions", "NotImplemented", "lambda CreateFunction"),
        ("GET", "/2015-03-31/functions?FunctionVersion=ALL", "NotImplemented", "ListFunctions FunctionVersion"),
        ("GET", "/2015-03-31/functions/enrich?Qualifier=1", "ResourceNotFoundException", "function:enrich:1"),
        ("GET", "/2015-03-31/functions/none", "ResourceNotFoundException", "Function not found: arn:"),
        ("GET", "/2015-03-31/event-source-mappings/none", "ResourceNotFoundException", "does not exist"),
        ("GET", "/2015-03-31/nothing", "UnknownOperationException", "/2015-03-31/nothing"),
    ] {
        refused(bench.rest(method, target), code, text);
    }
}

#[test]
fn the_control_plane_has_a_rate() {
    let mut bench = Bench::new(1);
    let answered = (0..50).take_while(|_| bench.rest("GET", "/2015-03-31/functions").is_ok()).count();
    assert_eq!(answered, 15);
    let error = bench.rest("GET", "/2015-03-31/functions").unwrap_err();
    assert_eq!((error.code, error.status), ("TooManyRequestsException", 429));
    assert!(bench.rest("GET", "/2015-03-31/functions/enrich").is_ok(), "GetFunction has a rate of its own");
    bench.now += Duration::from_secs(1);
    assert!(bench.rest("GET", "/2015-03-31/functions").is_ok());
}
