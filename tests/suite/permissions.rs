//! Permissions over the wire: what a caller without them is told in each protocol, what bounds a session, when it ends, and
//! what a key that is disabled stops.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::Tag;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::{Principal, Resource};
use sim::cloud::front::Credential;
use sim::seam::{Cloud, sdk_config, session_credential};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

const ACCOUNT: &str = "123456789012";
const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/readings";
const TENANT_ROLE: &str = "arn:aws:iam::123456789012:role/tenant";

/// An object of a policy document.
fn policy(statements: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn role(name: &str, statements: Value, more: Value) -> Value {
    let trust = json!([{ "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"],
                         "Principal": { "AWS": { "Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root" } } }]);
    let mut properties = json!({
        "RoleName": name,
        "AssumeRolePolicyDocument": policy(trust),
        "Policies": [{ "PolicyName": "p", "PolicyDocument": policy(statements) }],
    });
    properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "Type": "AWS::IAM::Role", "Properties": properties })
}

/// A stream, a bucket with a key and a policy, and roles that may do different things to them.
fn template() -> String {
    let key = json!({ "Fn::GetAtt": ["Key", "Arn"] });
    let of_key = json!({ "Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key,
                         "Condition": { "StringEquals": { "kms:ViaService": "s3.eu-west-1.amazonaws.com" } } });
    let everything = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
    let worker = json!([
        { "Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": STREAM },
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::lake/data/*" },
        { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/data/secret/*" },
        of_key,
    ]);
    let tenant = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
          "Resource": "arn:aws:s3:::lake/${aws:PrincipalTag/tenant}/*" },
        { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake",
          "Condition": { "StringLike": { "s3:prefix": "${aws:PrincipalTag/tenant}/*" } } },
        of_key,
    ]);
    let ada = json!([{ "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": TENANT_ROLE }]);
    let deny_plain = json!([
        { "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"],
          "Condition": { "Bool": { "aws:SecureTransport": "false" } } },
        { "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::lake/*" },
    ]);
    let encryption = json!([{ "BucketKeyEnabled": true,
                              "ServerSideEncryptionByDefault": { "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key } }]);
    json!({ "Resources": {
        "Key": { "Type": "AWS::KMS::Key", "Properties": { "EnableKeyRotation": true } },
        "Alias": { "Type": "AWS::KMS::Alias",
                   "Properties": { "AliasName": "alias/data", "TargetKeyId": { "Ref": "Key" } } },
        "Stream": { "Type": "AWS::Kinesis::Stream", "Properties": { "Name": "readings", "ShardCount": 1 } },
        "Lake": { "Type": "AWS::S3::Bucket", "Properties": { "BucketName": "lake",
            "BucketEncryption": { "ServerSideEncryptionConfiguration": encryption } } },
        "LakePolicy": { "Type": "AWS::S3::BucketPolicy",
                        "Properties": { "Bucket": { "Ref": "Lake" }, "PolicyDocument": policy(deny_plain) } },
        "Bounds": { "Type": "AWS::IAM::ManagedPolicy", "Properties": { "ManagedPolicyName": "bounds",
            "PolicyDocument": policy(json!([{ "Effect": "Allow", "Action": "kinesis:*", "Resource": "*" }])) } },
        "Worker": role("worker", worker, json!({})),
        "Bounded": role("bounded", everything.clone(), json!({ "PermissionsBoundary": { "Ref": "Bounds" } })),
        "Admin": role("admin", everything, json!({})),
        "Tenant": role("tenant", tenant, json!({ "MaxSessionDuration": 7200 })),
        "Ada": { "Type": "AWS::IAM::User", "Properties": { "UserName": "ada",
            "Policies": [{ "PolicyName": "p", "PolicyDocument": policy(ada) }] } },
    } })
    .to_string()
}

fn session(role: &str) -> Credential {
    session_credential(role, &format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/one"))
}

fn user(name: &str) -> Credential {
    session_credential(name, &format!("arn:aws:iam::{ACCOUNT}:user/{name}"))
}

/// Runs `test` against an account that [`template`] created.
fn with_account<T, F>(test: impl FnOnce(Cloud) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(12);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
        let mut account = Account::new("eu-west-1", seed, Trace::new());
        for credential in [session("worker"), session("bounded"), session("admin"), user("ada")] {
            account.add_credential(credential);
        }
        create_stack(&mut account, clock::now(), "test", &template()).unwrap_or_else(|e| panic!("{e}"));
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        test(cloud).await
    })
}

fn config(cloud: &Cloud, credential: &Credential) -> SdkConfig {
    sdk_config(cloud, credential)
}

/// Code and message of a refusal; `ok` when there is none.
fn refusal<T, E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static, R>(
    result: Result<T, SdkError<E, R>>,
) -> (String, String)
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    match result {
        Ok(_) => ("ok".to_owned(), String::new()),
        Err(error) => (error.code().unwrap_or("none").to_owned(), error.message().unwrap_or_default().to_owned()),
    }
}

async fn put(s3: &aws_sdk_s3::Client, key: &str) -> (String, String) {
    refusal(s3.put_object().bucket("lake").key(key).body(b"x".to_vec().into()).send().await)
}

async fn get(s3: &aws_sdk_s3::Client, key: &str) -> (String, String) {
    refusal(s3.get_object().bucket("lake").key(key).send().await)
}

async fn put_record(config: &SdkConfig) -> (String, String) {
    let kinesis = aws_sdk_kinesis::Client::new(config);
    refusal(kinesis.put_record().stream_name("readings").partition_key("k").data(Blob::new("x")).send().await)
}

/// A session of the role `tenant`, with a tag and a policy.
async fn assume(cloud: &Cloud, tenant: Option<&str>, policy: Option<Value>) -> (Credential, SdkConfig) {
    let sts = aws_sdk_sts::Client::new(&config(cloud, &user("ada")));
    let mut assume = sts.assume_role().role_arn(TENANT_ROLE).role_session_name("browser").duration_seconds(900);
    if let Some(tenant) = tenant {
        assume = assume.tags(Tag::builder().key("tenant").value(tenant).build().unwrap());
        assume = assume.transitive_tag_keys("tenant");
    }
    let answer = assume.set_policy(policy.map(|policy| policy.to_string())).send().await.unwrap();
    let keys = answer.credentials().unwrap();
    let arn = answer.assumed_role_user().unwrap().arn();
    assert_eq!(arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/tenant/browser"));
    let credential = Credential {
        access_key_id: keys.access_key_id().to_owned(),
        secret_access_key: keys.secret_access_key().to_owned(),
        session_token: Some(keys.session_token().to_owned()),
        expires: None,
        principal: Principal::new(arn),
    };
    let config = config(cloud, &credential);
    (credential, config)
}

#[test]
fn each_protocol_says_what_is_missing_in_aws_s_words() {
    let found = with_account(|cloud| async move {
        let config = config(&cloud, &session("worker"));
        let (kinesis, dynamodb) = (aws_sdk_kinesis::Client::new(&config), aws_sdk_dynamodb::Client::new(&config));
        let (s3, sts) = (aws_sdk_s3::Client::new(&config), aws_sdk_sts::Client::new(&config));
        assert_eq!(put_record(&config).await.0, "ok");
        [
            refusal(kinesis.describe_stream_summary().stream_name("readings").send().await),
            refusal(dynamodb.list_tables().send().await),
            refusal(s3.list_objects_v2().bucket("lake").send().await),
            refusal(sts.assume_role().role_arn(TENANT_ROLE).role_session_name("one").send().await),
        ]
    });
    let text = |action: &str, resource: &str| {
        let on = if resource.is_empty() { String::new() } else { format!(" on resource: {resource}") };
        format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/worker/one is not authorized to perform: {action}{on} because no \
             identity-based policy allows the {action} action"
        )
    };
    let expected = [
        ("AccessDeniedException", text("kinesis:DescribeStreamSummary", STREAM)),
        ("AccessDeniedException", text("dynamodb:ListTables", "")),
        ("AccessDenied", text("s3:ListBucket", "arn:aws:s3:::lake")),
        ("AccessDenied", text("sts:AssumeRole", TENANT_ROLE)),
    ];
    assert_eq!(found.map(|(code, text)| (code, text)), expected.map(|(code, text)| (code.to_owned(), text)));
}

#[test]
fn denials_and_bounds_go_before_what_is_allowed() {
    with_account(|cloud| async move {
        let worker = aws_sdk_s3::Client::new(&config(&cloud, &session("worker")));
        assert_eq!(put(&worker, "data/secret/1").await.0, "ok");
        let (code, text) = get(&worker, "data/secret/1").await;
        assert_eq!(code, "AccessDenied");
        assert!(text.ends_with("with an explicit deny in an identity-based policy"), "{text}");
        let bounded = config(&cloud, &session("bounded"));
        assert_eq!(put_record(&bounded).await.0, "ok");
        let (code, text) = put(&aws_sdk_s3::Client::new(&bounded), "data/1").await;
        assert_eq!(code, "AccessDenied");
        assert!(text.ends_with("because no permissions boundary allows the s3:PutObject action"), "{text}");
        let admin = aws_sdk_s3::Client::new(&config(&cloud, &session("admin")));
        let deleted = admin.delete_object().bucket("lake").key("data/secret/1").send().await;
        let (code, text) = refusal(deleted);
        assert_eq!(code, "AccessDenied");
        assert!(text.ends_with("with an explicit deny in a resource-based policy"), "{text}");
    });
}

#[test]
fn a_reader_who_may_not_list_does_not_learn_what_is_absent() {
    with_account(|cloud| async move {
        let worker = aws_sdk_s3::Client::new(&config(&cloud, &session("worker")));
        let (code, text) = get(&worker, "data/absent").await;
        assert_eq!(code, "AccessDenied");
        assert!(text.contains("s3:ListBucket on resource: arn:aws:s3:::lake"), "{text}");
        let admin = aws_sdk_s3::Client::new(&config(&cloud, &session("admin")));
        assert_eq!(get(&admin, "data/absent").await.0, "NoSuchKey");
        let elsewhere = worker.get_object().bucket("nowhere").key("k").send().await;
        assert_eq!(refusal(elsewhere).0, "NoSuchBucket");
    });
}

#[test]
fn a_tenant_s_session_stays_below_its_own_prefix() {
    with_account(|cloud| async move {
        let (_, config) = assume(&cloud, Some("acme"), None).await;
        let s3 = aws_sdk_s3::Client::new(&config);
        let list = |prefix: &'static str| s3.list_objects_v2().bucket("lake").prefix(prefix).send();
        assert_eq!(put(&s3, "acme/1").await.0, "ok");
        assert_eq!(get(&s3, "acme/1").await.0, "ok");
        assert_eq!(refusal(list("acme/").await).0, "ok");
        assert_eq!(get(&s3, "globex/1").await.0, "AccessDenied");
        assert_eq!(put(&s3, "globex/1").await.0, "AccessDenied");
        assert_eq!(refusal(list("globex/").await).0, "AccessDenied");
        assert_eq!(refusal(list("").await).0, "AccessDenied");
        // Without the tag there is no prefix to stay below.
        let (_, untagged) = assume(&cloud, None, None).await;
        let untagged = aws_sdk_s3::Client::new(&untagged);
        assert_eq!(get(&untagged, "acme/1").await.0, "AccessDenied");
        // A policy of the session bounds it further.
        let reading = policy(json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "kms:*"], "Resource": "*" }]));
        let (_, reading) = assume(&cloud, Some("acme"), Some(reading)).await;
        let reading = aws_sdk_s3::Client::new(&reading);
        assert_eq!(get(&reading, "acme/1").await.0, "ok");
        let (code, text) = put(&reading, "acme/1").await;
        assert_eq!(code, "AccessDenied");
        assert!(text.ends_with("because no session policy allows the s3:PutObject action"), "{text}");
    });
}

#[test]
fn sts_names_the_caller_and_refuses_what_the_role_does_not_take() {
    with_account(|cloud| async move {
        let (_, config_of_tenant) = assume(&cloud, Some("acme"), None).await;
        let who = aws_sdk_sts::Client::new(&config_of_tenant).get_caller_identity().send().await.unwrap();
        assert_eq!(who.account(), Some(ACCOUNT));
        assert!(who.user_id().is_some_and(|id| id.starts_with("AROA") && id.ends_with(":browser")), "{who:?}");
        let sts = aws_sdk_sts::Client::new(&config(&cloud, &user("ada")));
        let assume = || sts.assume_role().role_arn(TENANT_ROLE).role_session_name("browser");
        let tag = |key: &str| Tag::builder().key(key).value("v").build().unwrap();
        for (request, expected) in [
            (assume().duration_seconds(60), "DurationSeconds is 900"),
            (assume().duration_seconds(10_000), "exceeds the MaxSessionDuration"),
            (assume().role_session_name("a b"), "roleSessionName"),
            (assume().role_arn("tenant"), "is invalid"),
            (assume().role_arn("arn:aws:iam::123456789012:role/gone"), "not authorized to perform: sts:AssumeRole"),
            (assume().role_arn("arn:aws:iam::123456789012:role/admin"), "no identity-based policy"),
            (assume().policy("{}"), "Statement"),
            (assume().tags(tag("a")).tags(tag("A")), "Duplicate tag keys"),
            (assume().transitive_tag_keys("a"), "must be included"),
            (assume().source_identity("ada"), "SourceIdentity"),
        ] {
            let (code, text) = refusal(request.send().await);
            assert!(text.contains(expected), "{expected}: {code} {text}");
        }
        // A transitive tag goes on to the next session, and cannot be replaced there.
        let admin = aws_sdk_sts::Client::new(&config(&cloud, &session("admin")));
        let first = admin.assume_role().role_arn("arn:aws:iam::123456789012:role/admin").role_session_name("chain");
        let first = first.tags(tag("tenant")).transitive_tag_keys("tenant").send().await.unwrap();
        let keys = first.credentials().unwrap();
        let chained = Credential {
            access_key_id: keys.access_key_id().to_owned(),
            secret_access_key: keys.secret_access_key().to_owned(),
            session_token: Some(keys.session_token().to_owned()),
            ..session("admin")
        };
        let chained = aws_sdk_sts::Client::new(&config(&cloud, &chained));
        let again = || chained.assume_role().role_arn(TENANT_ROLE).role_session_name("chain");
        assert_eq!(refusal(again().send().await).0, "ok");
        assert!(refusal(again().tags(tag("Tenant")).send().await).1.contains("conflicts with a transitive tag key"));
        assert!(refusal(again().duration_seconds(7_200).send().await).1.contains("role chaining"));
    });
}

#[test]
fn a_session_that_is_over_is_refused_in_the_form_of_each_protocol() {
    with_account(|cloud| async move {
        let (_, config) = assume(&cloud, Some("acme"), None).await;
        let s3 = aws_sdk_s3::Client::new(&config);
        assert_eq!(put(&s3, "acme/1").await.0, "ok");
        clock::sleep(Duration::from_secs(901)).await;
        assert_eq!(get(&s3, "acme/1").await.0, "ExpiredToken");
        assert_eq!(put_record(&config).await.0, "ExpiredTokenException");
        let sts = aws_sdk_sts::Client::new(&config);
        assert_eq!(refusal(sts.get_caller_identity().send().await).0, "ExpiredToken");
    });
}

#[test]
fn a_key_that_is_disabled_stops_reading_and_writing() {
    with_account(|cloud| async move {
        let s3 = aws_sdk_s3::Client::new(&config(&cloud, &session("worker")));
        for key in ["data/1", "data/2", "data/3"] {
            assert_eq!(put(&s3, key).await.0, "ok");
            assert_eq!(get(&s3, key).await.0, "ok");
        }
        let calls = cloud.look(|account| account.meter().calls().clone());
        // One data key serves the bucket for a time.
        assert_eq!((calls[&("kms", "GenerateDataKey")].ok, calls[&("kms", "Decrypt")].ok), (1, 1));
        let change = |operation: &'static str| {
            let request = json!({ "KeyId": "alias/data" }).to_string();
            cloud.enter(|account, now| {
                account.as_owner(now, |s, cx| s.kms.call(cx, operation, request.as_bytes())).unwrap()
            });
        };
        let head = s3.head_object().bucket("lake").key("data/1").send().await.unwrap();
        assert_eq!(head.server_side_encryption().map(|by| by.as_str()), Some("aws:kms"));
        change("DisableKey");
        for (code, text) in [put(&s3, "data/4").await, get(&s3, "data/1").await] {
            assert_eq!(code, "KMS.DisabledException");
            assert!(text.ends_with(" is disabled."), "{text}");
        }
        change("EnableKey");
        assert_eq!(get(&s3, "data/1").await.0, "ok");
        // A session without permission for the key reads nothing either.
        let lake = |statement: Value| {
            let policy = json!([{ "PolicyName": "p", "PolicyDocument": policy(json!([statement])) }]);
            json!({ "UserName": "eve", "Policies": policy })
        };
        let reads = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*" });
        let eve = Resource {
            stack: "test".to_owned(),
            logical_id: "Eve".to_owned(),
            kind: "AWS::IAM::User".to_owned(),
            properties: lake(reads),
        };
        cloud.enter(|account, now| {
            account.add_credential(user("eve"));
            account.as_owner(now, |s, cx| s.iam.provision(cx, &eve)).unwrap();
        });
        let (code, text) = get(&aws_sdk_s3::Client::new(&config(&cloud, &user("eve"))), "data/1").await;
        assert_eq!(code, "AccessDenied");
        assert!(text.contains("kms:Decrypt"), "{text}");
    });
}

#[test]
fn a_bucket_that_holds_objects_is_not_deleted() {
    with_account(|cloud| async move {
        let s3 = aws_sdk_s3::Client::new(&config(&cloud, &session("worker")));
        assert_eq!(put(&s3, "data/1").await.0, "ok");
        let lake = |properties: Value, kind: &str| Resource {
            stack: "test".to_owned(),
            logical_id: "Lake".to_owned(),
            kind: kind.to_owned(),
            properties,
        };
        let bucket = lake(json!({ "BucketName": "lake" }), "AWS::S3::Bucket");
        let owned_policy = policy(json!([{ "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                                           "Resource": "arn:aws:s3:::lake/*" }]));
        let policy = lake(json!({ "Bucket": "lake", "PolicyDocument": owned_policy }), "AWS::S3::BucketPolicy");
        let deleted = cloud.enter(|account, now| {
            account.as_owner(now, |s, cx| (s.s3.delete(cx, &bucket, "lake"), s.s3.delete(cx, &policy, "lake")))
        });
        let refused = deleted.0.unwrap_err();
        assert_eq!((refused.code, refused.status), ("BucketNotEmpty", 409));
        deleted.1.unwrap();
        // Without its policy the bucket lets its administrators delete.
        let admin = aws_sdk_s3::Client::new(&config(&cloud, &session("admin")));
        assert_eq!(refusal(admin.delete_object().bucket("lake").key("data/1").send().await).0, "ok");
        cloud.enter(|account, now| account.as_owner(now, |s, cx| s.s3.delete(cx, &bucket, "lake"))).unwrap();
        assert_eq!(refusal(admin.head_bucket().bucket("lake").send().await).0, "NotFound");
    });
}
