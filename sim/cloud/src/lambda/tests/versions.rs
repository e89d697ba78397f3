//! Versions and aliases: publishing, invoking, moving in mid-traffic.

use super::*;

const FUNCTION: &str = "AWS::Lambda::Function";
const BASE: &str = "/2015-03-31/functions/enrich";

impl Bench {
    /// A call of the API: its status, and its answer, or the code of its refusal.
    fn api(&mut self, method: &str, target: &str, body: Value) -> Result<(u16, Value), &'static str> {
        let body: &'static [u8] = body.to_string().leak().as_bytes();
        let (status, answer) = self.call(method, target, &[], body).map_err(|error| error.code)?;
        Ok((status, if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() }))
    }

    fn deploy(&mut self, key: &str) {
        let mut properties = function("enrich");
        properties["Code"]["S3Key"] = key.into();
        self.update(FUNCTION, "enrich", properties).unwrap();
        self.run_until(self.now + Duration::from_secs(3));
    }

    /// Publishes a version of a new deployment.
    fn publish(&mut self, key: &str) -> String {
        self.deploy(key);
        let (status, published) = self.api("POST", &format!("{BASE}/versions"), json!({})).unwrap();
        assert_eq!(status, 201);
        published["Version"].as_str().unwrap().to_owned()
    }

    fn invoke(&mut self, qualifier: &str) -> Result<u16, &'static str> {
        let target = format!("{BASE}/invocations?Qualifier={qualifier}");
        self.call("POST", &target, &[], b"{}").map(|(status, _)| status).map_err(|error| error.code)
    }

    fn versions_run(&self) -> Vec<&str> {
        self.invocations.iter().map(|i| i.version.as_str()).collect()
    }
}

#[test]
fn a_version_is_what_was_there_when_it_was_published() {
    let mut bench = Bench::new(0);
    assert_eq!((bench.publish("v1.zip"), bench.publish("v2.zip")), ("1".to_owned(), "2".to_owned()));
    // Without a change the last version is answered.
    let (status, again) = bench.api("POST", &format!("{BASE}/versions"), json!({ "Description": "again" })).unwrap();
    assert_eq!((status, again["Version"].as_str()), (201, Some("2")));
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:enrich";
    assert_eq!(again["FunctionArn"], json!(format!("{arn}:2")));
    let (_, listed) = bench.api("GET", &format!("{BASE}/versions"), json!({})).unwrap();
    let versions: Vec<_> = listed["Versions"].as_array().unwrap().iter().map(|v| v["Version"].clone()).collect();
    assert_eq!(versions, ["$LATEST", "1", "2"]);
    for qualifier in ["1", "2", "$LATEST", "3"] {
        let expected = if qualifier == "3" { Err("ResourceNotFoundException") } else { Ok(200) };
        assert_eq!(bench.invoke(qualifier), expected, "{qualifier}");
    }
    bench.run_until(bench.now + Duration::from_secs(1));
    assert_eq!(bench.versions_run(), ["1", "2", "$LATEST"]);
    let executed: Vec<&str> = bench.answers.iter().map(|(_, headers, _)| headers[0].1.as_str()).collect();
    assert_eq!(executed, ["1", "2", "$LATEST"]);
    assert!(bench.invocations.iter().all(|i| i.is_cold()), "each has environments of its own");
    assert_eq!(bench.invoke("1"), Ok(200));
    bench.run_until(bench.now + Duration::from_secs(1));
    assert!(!bench.invocations.last().unwrap().is_cold());
    assert_eq!(bench.api("PUT", &format!("{BASE}:1/configuration"), json!({})), Err("InvalidParameterValueException"));
}

#[test]
fn an_alias_that_moves_moves_new_invocations_only() {
    let mut bench = Bench::new(1);
    bench.publish("v1.zip");
    bench.publish("v2.zip");
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    assert_eq!(bench.api("POST", &format!("{BASE}/aliases"), alias.clone()).unwrap().0, 201);
    assert_eq!(bench.api("POST", &format!("{BASE}/aliases"), alias), Err("ResourceConflictException"));
    bench
        .map(json!({ "FunctionName": "enrich:live", "BatchSize": 1, "MaximumRetryAttempts": 0,
        "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:s3:::quarantine" } } }))
        .unwrap();
    bench.run = Duration::from_secs(5);
    bench.put("shard-0", 3);
    bench.ends = [End::Throws].into();
    bench.run_until(bench.now + Duration::from_secs(2));
    let moved = bench.api("PUT", &format!("{BASE}/aliases/live"), json!({ "FunctionVersion": "2" })).unwrap();
    assert_eq!((moved.0, moved.1["FunctionVersion"].as_str()), (200, Some("2")));
    bench.run_until(bench.now + Duration::from_secs(30));
    assert_eq!(bench.versions_run(), ["1", "2", "2"]);
    let record = &bench.store.objects[0].3;
    let arn = record["requestContext"]["functionArn"].as_str().unwrap();
    assert!(arn.ends_with(":function:enrich:live"), "{arn}");
    assert_eq!(record["responseContext"]["executedVersion"], "1");
    // A version that an alias names stays.
    assert_eq!(bench.api("DELETE", &format!("{BASE}?Qualifier=2"), json!({})), Err("ResourceConflictException"));
    assert_eq!(bench.api("DELETE", &format!("{BASE}?Qualifier=1"), json!({})).unwrap().0, 204);
    let (_, listed) = bench.api("GET", &format!("{BASE}/aliases?FunctionVersion=2"), json!({})).unwrap();
    assert_eq!(listed["Aliases"][0]["Name"], "live");
    assert_eq!(bench.api("DELETE", &format!("{BASE}/aliases/live"), json!({})).unwrap().0, 204);
    assert_eq!(bench.api("GET", &format!("{BASE}/aliases/live"), json!({})), Err("ResourceNotFoundException"));
}

#[test]
fn a_weighted_alias_divides_the_invocations() {
    let mut bench = Bench::new(0);
    bench.publish("v1.zip");
    bench.publish("v2.zip");
    let routing = |weights: Value| json!({ "AdditionalVersionWeights": weights });
    let alias = |weights: Value| json!({ "Name": "live", "FunctionVersion": "1", "RoutingConfig": routing(weights) });
    for (weights, expected) in [
        (json!({ "2": 1.5 }), "InvalidParameterValueException"),
        (json!({ "$LATEST": 0.5 }), "InvalidParameterValueException"),
        (json!({ "1": 0.1, "2": 0.1 }), "InvalidParameterValueException"),
        (json!({ "7": 0.1 }), "ResourceNotFoundException"),
    ] {
        assert_eq!(bench.api("POST", &format!("{BASE}/aliases"), alias(weights)), Err(expected));
    }
    bench.api("POST", &format!("{BASE}/aliases"), alias(json!({ "2": 0.25 }))).unwrap();
    for _ in 0..400 {
        bench.invoke("live").unwrap();
        bench.run_until(bench.now + Duration::from_millis(200));
    }
    let second = bench.versions_run().iter().filter(|version| **version == "2").count();
    assert!((60..=140).contains(&second), "{second} of 400");
}

#[test]
fn versions_and_aliases_are_declared_and_need_statements_of_their_own() {
    let mut bench = Bench::new(0);
    let version = json!({ "FunctionName": "enrich" });
    let created = bench.provision("AWS::Lambda::Version", version.clone()).unwrap();
    assert!(created.physical_id.ends_with(":function:enrich:1"));
    assert_eq!(created.attributes["Version"], "1");
    let again = bench.provision("AWS::Lambda::Version", version).unwrap_err();
    assert!(again.message.contains("exists ( 1 )"), "{again}");
    let alias = json!({ "FunctionName": "enrich", "FunctionVersion": "1", "Name": "live" });
    let live = bench.provision("AWS::Lambda::Alias", alias).unwrap().physical_id;
    let permission = |target: &str| json!({ "Action": "lambda:InvokeFunction", "FunctionName": target, "Principal": "iot.amazonaws.com" });
    bench.provision("AWS::Lambda::Permission", permission("enrich")).unwrap();
    let invoke = |bench: &mut Bench| {
        use crate::core::ports::Invocations as _;
        let mut cx = bench.parts.cx(bench.now, &bench.owner);
        let payload = Bytes::from_static(b"{}");
        bench.lambda.invoke_for_service(&mut cx, &live, "iot.amazonaws.com", "arn", payload).map_err(|error| error.code)
    };
    assert_eq!(invoke(&mut bench), Err("AccessDeniedException"));
    bench.provision("AWS::Lambda::Permission", permission("enrich:live")).unwrap();
    assert_eq!(invoke(&mut bench), Ok(()));
    bench.run_until(at(1.0));
    assert_eq!(bench.versions_run(), ["1"]);
    let moved = json!({ "FunctionName": "enrich", "FunctionVersion": "$LATEST", "Name": "live" });
    bench.update("AWS::Lambda::Alias", &live, moved).unwrap();
    bench.delete("AWS::Lambda::Version", &created.physical_id);
    assert_eq!(bench.invoke("1"), Err("ResourceNotFoundException"));
    bench.delete("AWS::Lambda::Alias", &live);
    assert_eq!(bench.invoke("live"), Err("ResourceNotFoundException"));
}
