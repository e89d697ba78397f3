//! The real SDK as the client: it signs, encodes, retries and parses; nothing between it and the service.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::retry::RetryConfig;
use futures::executor::block_on;
use http_body_util::BodyExt as _;
use serde_json::json;

use super::*;
use crate::core::Principal;
use crate::core::cx::CxParts;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const NOW: Time = Time::from_unix_secs(1_772_323_200);

struct Inner {
    s3: S3,
    parts: CxParts,
    caller: Principal,
    now: Time,
    requests: u64,
    /// Whole headers of the last answer.
    last: Option<::http::HeaderMap>,
    /// Changes a request on its way.
    tamper: Option<fn(&mut ::http::Request<Bytes>)>,
}

/// S3 with the bucket `lake` and one key.
#[derive(Clone)]
struct Fixture(Arc<Mutex<Inner>>);

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fixture")
    }
}

fn credential(id: &str) -> Credential {
    Credential {
        access_key_id: id.to_owned(),
        secret_access_key: format!("secret of {id}"),
        session_token: Some(format!("session of {id}")),
        expires: Some(NOW + Duration::from_secs(3_600)),
        principal: Principal::new("arn:aws:iam::123456789012:user/tester"),
    }
}

fn bucket(name: &str, more: serde_json::Value) -> Resource {
    let mut properties = json!({"BucketName": name});
    properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Resource {
        stack: "store".to_owned(),
        logical_id: "Bucket".to_owned(),
        kind: "AWS::S3::Bucket".to_owned(),
        properties,
    }
}

impl Fixture {
    fn new() -> Self {
        let mut inner = Inner {
            s3: S3::new(),
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng()),
            caller: Principal::new("arn:aws:iam::123456789012:root"),
            now: NOW,
            requests: 0,
            last: None,
            tamper: None,
        };
        inner.s3.add_credential(&credential("ASIATEST"));
        let mut cx = inner.parts.cx(NOW, &inner.caller);
        inner.s3.provision(&mut cx, &bucket("lake", json!({}))).unwrap();
        Fixture(Arc::new(Mutex::new(inner)))
    }

    /// Acts on the service as another service of the account does.
    fn inside<T>(&self, act: impl FnOnce(&mut S3, &mut Cx<'_>) -> T) -> T {
        let inner = &mut *self.0.lock().unwrap();
        act(&mut inner.s3, &mut inner.parts.cx(inner.now, &inner.caller))
    }

    fn client_with(&self, id: &str, secret: &str, token: &str, change: impl FnOnce(Builder) -> Builder) -> Client {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new(id, secret, Some(token.to_owned()), None, "test"))
            .http_client(self.clone())
            .sleep_impl(SharedAsyncSleep::new(NoSleep))
            .time_source(SharedTimeSource::new(Now(self.clone())))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard());
        Client::from_conf(change(config).build())
    }

    fn client(&self) -> Client {
        self.client_with("ASIATEST", "secret of ASIATEST", "session of ASIATEST", |config| config)
    }

    fn requests(&self) -> u64 {
        self.0.lock().unwrap().requests
    }

    fn header(&self, name: &str) -> Option<String> {
        let inner = self.0.lock().unwrap();
        inner.last.as_ref().and_then(|headers| headers.get(name)).map(|value| value.to_str().unwrap().to_owned())
    }

    fn calls(&self, operation: &'static str) -> (u64, u64, u64) {
        let inner = self.0.lock().unwrap();
        let calls = inner.parts.meter.calls().get(&("s3", operation)).copied().unwrap_or_default();
        (calls.ok, calls.throttled, calls.error)
    }

    fn tamper(&self, change: fn(&mut ::http::Request<Bytes>)) {
        self.0.lock().unwrap().tamper = Some(change);
    }
}

/// Retries follow at once.
#[derive(Debug)]
struct NoSleep;

impl AsyncSleep for NoSleep {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

#[derive(Debug)]
struct Now(Fixture);

impl TimeSource for Now {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0.0.lock().unwrap().now.unix_micros())
    }
}

impl HttpClient for Fixture {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Fixture {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let fixture = self.clone();
        HttpConnectorFuture::new(async move {
            let (head, body) = request.try_into_http1x().unwrap().into_parts();
            let mut request = ::http::Request::from_parts(head, body.collect().await.unwrap().to_bytes());
            let inner = &mut *fixture.0.lock().unwrap();
            inner.requests += 1;
            if let Some(tamper) = inner.tamper {
                tamper(&mut request);
            }
            let response = inner.s3.http(&mut inner.parts.cx(inner.now, &inner.caller), request);
            inner.last = Some(response.headers().clone());
            Ok(HttpResponse::try_from(response.map(SdkBody::from)).unwrap())
        })
    }
}

fn code<T: std::fmt::Debug, E>(result: Result<T, SdkError<E, HttpResponse>>) -> String
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.unwrap_err();
    error.code().map_or_else(|| format!("{error:?}"), str::to_owned)
}

fn body(text: &str) -> ByteStream {
    ByteStream::from(text.as_bytes().to_vec())
}

#[test]
fn an_object_is_given_back_with_what_was_put_beside_it() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        let key = "tenant=acmé/a b+c%/ü.json";
        let put = s3.put_object().bucket("lake").key(key).body(body("hello")).content_type("application/json");
        let put = put.metadata("origin", "pump 7").metadata("a", "1").cache_control("no-store").send().await.unwrap();
        assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
        assert_eq!(put.checksum_crc32(), Some("NhCmhg=="));
        let got = s3.get_object().bucket("lake").key(key).send().await.unwrap();
        assert_eq!(got.content_type(), Some("application/json"));
        assert_eq!(got.cache_control(), Some("no-store"));
        assert_eq!(got.metadata().unwrap()["origin"], "pump 7");
        assert_eq!(got.checksum_crc32(), Some("NhCmhg=="));
        assert_eq!(got.last_modified().unwrap().secs(), 1_772_323_200);
        assert_eq!((got.e_tag(), got.content_length()), (put.e_tag(), Some(5)));
        assert_eq!(got.body.collect().await.unwrap().into_bytes().as_ref(), b"hello");
        let head = s3.head_object().bucket("lake").key(key).send().await.unwrap();
        assert_eq!((head.content_length(), head.e_tag()), (Some(5), put.e_tag()));
        assert_eq!(head.metadata().unwrap()["a"], "1");
        let list = s3.list_objects_v2().bucket("lake").send().await.unwrap();
        assert_eq!(list.contents()[0].key(), Some(key));
    });
    assert_eq!(fixture.calls("PutObject"), (1, 0, 0));
    let inner = fixture.0.lock().unwrap();
    let counters = inner.parts.meter.counters();
    assert_eq!((counters[&("s3", "BytesUploaded")], counters[&("s3", "BytesDownloaded")]), (5, 5));
}

#[test]
fn ranges_are_parts_of_the_body_or_not_satisfiable() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        s3.put_object().bucket("lake").key("k").body(body("0123456789")).send().await.unwrap();
        for (range, expected, content_range) in [
            ("bytes=0-0", "0", "bytes 0-0/10"),
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=8-100", "89", "bytes 8-9/10"),
        ] {
            let got = s3.get_object().bucket("lake").key("k").range(range).send().await.unwrap();
            assert_eq!(got.content_range(), Some(content_range));
            assert_eq!(got.body.collect().await.unwrap().into_bytes().as_ref(), expected.as_bytes(), "{range}");
        }
        assert_eq!(code(s3.get_object().bucket("lake").key("k").range("bytes=10-").send().await), "InvalidRange");
    });
}

#[test]
fn writes_and_reads_obey_their_conditions() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        let put = |text: &str| s3.put_object().bucket("lake").key("k").body(body(text));
        assert_eq!(code(put("x").if_match("\"0\"").send().await), "NoSuchKey");
        let first = put("one").if_none_match("*").send().await.unwrap().e_tag.unwrap();
        assert_eq!(code(put("x").if_none_match("*").send().await), "PreconditionFailed");
        let second = put("two").if_match(&first).send().await.unwrap().e_tag.unwrap();
        assert_eq!(code(put("x").if_match(&first).send().await), "PreconditionFailed");
        let get = || s3.get_object().bucket("lake").key("k");
        assert_eq!(code(get().if_match(&first).send().await), "PreconditionFailed");
        get().if_match(&second).send().await.unwrap();
        get().if_none_match(&first).send().await.unwrap();
        let same = get().if_none_match(&second).send().await.unwrap_err();
        assert_eq!(same.raw_response().unwrap().status().as_u16(), 304);
        let delete = || s3.delete_object().bucket("lake").key("k");
        assert_eq!(code(delete().if_match(&first).send().await), "PreconditionFailed");
        delete().if_match(&second).send().await.unwrap();
        assert_eq!(code(get().send().await), "NoSuchKey");
        delete().send().await.unwrap();
    });
    assert_eq!(fixture.calls("PutObject"), (2, 0, 3));
}

#[test]
fn paging_over_2_500_keys_gives_each_once_in_binary_order() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    let mut keys: Vec<String> = (0..2_500).map(|n| format!("raw/{:04}", (n * 7) % 2_500)).collect();
    keys.extend(["raw/É".to_owned(), "raw/a".to_owned(), "sibling".to_owned()]);
    for key in &keys {
        let put = fixture.inside(|s3, cx| s3.put_object(cx, "lake", key, Bytes::from_static(b"x"), "text/plain"));
        assert_eq!(put.unwrap(), "9dd4e461268c8034f5c8564e155c67a6");
    }
    keys.sort();
    let expected: Vec<String> = keys.iter().filter(|key| key.starts_with("raw/")).cloned().collect();
    let before = fixture.requests();
    let seen: Vec<String> = block_on(async {
        let mut pages = s3.list_objects_v2().bucket("lake").prefix("raw/").into_paginator().send();
        let mut seen = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            assert!(page.contents().len() <= 1_000);
            seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        seen
    });
    assert_eq!(seen, expected);
    assert_eq!(fixture.requests() - before, 3);
    let inner: Vec<ObjectSummary> = fixture.inside(|s3, cx| s3.list_objects(cx, "lake", "raw/")).unwrap();
    assert_eq!(inner.iter().map(|object| object.key.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(fixture.calls("ListObjectsV2"), (6, 0, 0));
}

#[test]
fn listings_fold_keys_below_a_delimiter() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        for key in ["a/1", "a/2", "b", "c/d/1", "e"] {
            s3.put_object().bucket("lake").key(key).body(body("x")).send().await.unwrap();
        }
        let list = s3.list_objects_v2().bucket("lake").delimiter("/").max_keys(3).send().await.unwrap();
        let prefixes: Vec<&str> = list.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
        assert_eq!((prefixes, list.contents()[0].key()), (vec!["a/", "c/"], Some("b")));
        assert_eq!((list.key_count(), list.is_truncated()), (Some(3), Some(true)));
        let token = list.next_continuation_token().unwrap();
        let rest = s3.list_objects_v2().bucket("lake").delimiter("/").continuation_token(token).send().await.unwrap();
        assert_eq!((rest.contents()[0].key(), rest.common_prefixes().len()), (Some("e"), 0));
        let after = s3.list_objects_v2().bucket("lake").start_after("c/d/1").send().await.unwrap();
        assert_eq!(after.contents().len(), 1);
    });
}

#[test]
fn many_objects_are_deleted_by_one_call() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        for key in ["a", "b", "c"] {
            s3.put_object().bucket("lake").key(key).body(body(key)).send().await.unwrap();
        }
        let id = |key: &str| ObjectIdentifier::builder().key(key);
        let objects =
            vec![id("a").build().unwrap(), id("absent").build().unwrap(), id("b").e_tag("\"0\"").build().unwrap()];
        let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
        let answer = s3.delete_objects().bucket("lake").delete(delete).send().await.unwrap();
        let deleted: Vec<&str> = answer.deleted().iter().filter_map(|object| object.key()).collect();
        assert_eq!(deleted, ["a", "absent"]);
        let errors: Vec<_> = answer.errors().iter().map(|e| (e.key().unwrap(), e.code().unwrap())).collect();
        assert_eq!(errors, [("b", "PreconditionFailed")]);
        let left = s3.list_objects_v2().bucket("lake").send().await.unwrap();
        assert_eq!(left.key_count(), Some(2));
    });
}

#[test]
fn a_copy_has_its_source_s_bytes_and_attributes() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        let put =
            s3.put_object().bucket("lake").key("from").body(body("data")).metadata("m", "1").send().await.unwrap();
        let copy = || s3.copy_object().bucket("lake").key("to").copy_source("lake/from");
        let copied = copy().send().await.unwrap();
        assert_eq!(copied.copy_object_result().unwrap().e_tag(), put.e_tag());
        assert_eq!(code(copy().if_none_match("*").send().await), "PreconditionFailed");
        assert_eq!(code(copy().copy_source_if_none_match(put.e_tag().unwrap()).send().await), "PreconditionFailed");
        assert_eq!(code(s3.copy_object().bucket("lake").key("x").copy_source("lake/nope").send().await), "NoSuchKey");
        let head = s3.head_object().bucket("lake").key("to").send().await.unwrap();
        assert_eq!((head.metadata().unwrap()["m"].as_str(), head.content_length()), ("1", Some(4)));
    });
}

#[test]
fn buckets_are_found_by_every_way_of_asking() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    fixture.inside(|s3, cx| s3.provision(cx, &bucket("logs.of.2026", json!({}))).unwrap());
    block_on(async {
        let all = s3.list_buckets().send().await.unwrap();
        let names: Vec<&str> = all.buckets().iter().filter_map(|bucket| bucket.name()).collect();
        assert_eq!(names, ["lake", "logs.of.2026"]);
        let first = s3.list_buckets().max_buckets(1).send().await.unwrap();
        let next = s3.list_buckets().max_buckets(1).continuation_token(first.continuation_token().unwrap());
        assert_eq!(next.send().await.unwrap().buckets()[0].name(), Some("logs.of.2026"));
        for name in ["lake", "logs.of.2026"] {
            let head = s3.head_bucket().bucket(name).send().await.unwrap();
            assert_eq!(head.bucket_region(), Some("eu-west-1"));
            let location = s3.get_bucket_location().bucket(name).send().await.unwrap();
            assert_eq!(location.location_constraint().unwrap().as_str(), "eu-west-1");
        }
        let absent = s3.head_bucket().bucket("absent").send().await.unwrap_err();
        assert_eq!(absent.raw_response().unwrap().status().as_u16(), 404);
        assert_eq!(absent.raw_response().unwrap().body().bytes().map(<[u8]>::len), Some(0));
        assert_eq!(code(s3.get_object().bucket("absent").key("k").send().await), "NoSuchBucket");
    });
    let path_style =
        fixture.client_with("ASIATEST", "secret of ASIATEST", "session of ASIATEST", |c| c.force_path_style(true));
    block_on(async {
        path_style.put_object().bucket("lake").key("p/q").body(body("x")).send().await.unwrap();
        s3.get_object().bucket("lake").key("p/q").send().await.unwrap();
    });
}

#[test]
fn keys_tokens_regions_and_clocks_are_checked() {
    let fixture = Fixture::new();
    let (secret, token) = ("secret of ASIATEST", "session of ASIATEST");
    let ask = |id: &str, secret: &str, token: &str| {
        let s3 = fixture.client_with(id, secret, token, |config| config.retry_config(RetryConfig::disabled()));
        block_on(async { code(s3.list_buckets().send().await) })
    };
    assert_eq!(ask("ASIATEST", "wrong", token), "SignatureDoesNotMatch");
    assert_eq!(ask("ASIAUNKNOWN", secret, token), "InvalidAccessKeyId");
    assert_eq!(ask("ASIATEST", secret, "another"), "InvalidToken");
    let elsewhere = fixture.client_with("ASIATEST", secret, token, |config| config.region(Region::new("us-west-2")));
    assert_eq!(block_on(async { code(elsewhere.list_buckets().send().await) }), "AuthorizationHeaderMalformed");
    fixture.tamper(|request| {
        request.headers_mut().insert("x-amz-date", "20260228T230000Z".parse().unwrap());
    });
    assert_eq!(ask("ASIATEST", secret, token), "RequestTimeTooSkewed");
    fixture.tamper(|_| {});
    assert_eq!(fixture.calls("Refused"), (0, 0, 5));
    fixture.0.lock().unwrap().now = NOW + Duration::from_secs(3_600);
    assert_eq!(ask("ASIATEST", secret, token), "ExpiredToken");
}

#[test]
fn an_error_names_resource_and_request() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    let error = block_on(async { s3.get_object().bucket("lake").key("a&b").send().await.unwrap_err() });
    let text = String::from_utf8(error.raw_response().unwrap().body().bytes().unwrap().to_vec()).unwrap();
    let id = fixture.header("x-amz-request-id").unwrap();
    assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
    let expected = "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&amp;b</Key>";
    assert!(text.contains(expected), "{text}");
    assert_eq!(fixture.header("date").as_deref(), Some("Sun, 01 Mar 2026 00:00:00 GMT"));
}

#[test]
fn an_error_has_the_members_of_its_code() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    let elsewhere = fixture.client_with("ASIATEST", "secret of ASIATEST", "session of ASIATEST", |config| {
        config.region(Region::new("us-west-2"))
    });
    fn text<E: std::fmt::Debug>(error: SdkError<E, HttpResponse>) -> String {
        String::from_utf8(error.raw_response().unwrap().body().bytes().unwrap().to_vec()).unwrap()
    }
    block_on(async {
        let absent = text(s3.get_object().bucket("absent").key("k").send().await.unwrap_err());
        assert!(absent.contains("<BucketName>absent</BucketName>"), "{absent}");
        s3.put_object().bucket("lake").key("k").body(body("x")).send().await.unwrap();
        let stale = text(s3.get_object().bucket("lake").key("k").if_match("\"0\"").send().await.unwrap_err());
        assert!(stale.contains("<Condition>If-Match</Condition>"), "{stale}");
        let wrong = text(elsewhere.list_buckets().send().await.unwrap_err());
        assert!(wrong.contains("<Region>eu-west-1</Region>"), "{wrong}");
        // A failure leaves nothing behind for the next one.
        let plain = text(s3.get_bucket_acl().bucket("lake").send().await.unwrap_err());
        assert!(!plain.contains("<Region>") && !plain.contains("<Condition>"), "{plain}");
    });
}

#[test]
fn a_body_that_changed_on_its_way_is_not_kept() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    fixture.tamper(|request| {
        let mut changed = request.body().to_vec();
        if let Some(byte) = changed.iter_mut().rev().find(|byte| **byte == b'o') {
            *byte = b'0';
        }
        *request.body_mut() = Bytes::from(changed);
    });
    block_on(async {
        let put = s3.put_object().bucket("lake").key("k").body(body("hello"));
        let refused = code(put.send().await);
        assert!(["XAmzContentSHA256Mismatch", "BadDigest"].contains(&refused.as_str()), "{refused}");
        assert_eq!(code(s3.get_object().bucket("lake").key("k").send().await), "NoSuchKey");
    });
}

#[test]
fn a_streamed_body_comes_in_chunks_with_its_checksum_behind() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    let data = Bytes::from((0..200_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    fixture.tamper(|request| {
        if request.method() == ::http::Method::PUT {
            let kind = request.headers()["x-amz-content-sha256"].to_str().unwrap();
            assert_eq!(kind, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        }
    });
    block_on(async {
        // A body that is not in memory, as a file gives it: the SDK sends it aws-chunked.
        let stream = ByteStream::from_body_1_x(http_body_util::Full::new(data.clone()));
        let put = s3.put_object().bucket("lake").key("k").body(stream).send().await.unwrap();
        assert!(put.checksum_crc32().is_some());
        let got = s3.get_object().bucket("lake").key("k").send().await.unwrap();
        assert_eq!(got.content_encoding(), None);
        assert_eq!(got.checksum_crc32(), put.checksum_crc32());
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), data);
    });
}

#[test]
fn what_is_not_modelled_is_refused_by_name_and_not_retried() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        let acl = s3.get_bucket_acl().bucket("lake").send().await.unwrap_err().into_service_error();
        assert_eq!(acl.code(), Some("NotImplemented"));
        assert!(acl.message().unwrap().contains("s3 GetBucketAcl"), "{acl:?}");
        let upload = s3.create_multipart_upload().bucket("lake").key("k").send().await;
        assert_eq!(code(upload), "NotImplemented");
        assert_eq!(code(s3.create_bucket().bucket("more").send().await), "NotImplemented");
        let tagged = s3.put_object().bucket("lake").key("k").tagging("a=b").body(body("x")).send().await;
        assert_eq!(code(tagged), "NotImplemented");
        assert_eq!(code(s3.get_object().bucket("lake").key("k").version_id("v").send().await), "NotImplemented");
        let renamed = s3.get_object().bucket("lake").key("k").response_content_type("text/plain").send().await;
        assert_eq!(code(renamed), "NotImplemented");
        let copy = s3.copy_object().bucket("lake").key("k").copy_source("lake/from");
        assert_eq!(code(copy.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await), "NotImplemented");
    });
    assert_eq!(fixture.requests(), 7);
}

#[test]
fn sizes_and_rates_are_limited() {
    let fixture = Fixture::new();
    let s3 = fixture.client();
    block_on(async {
        let long = "k".repeat(1_025);
        assert_eq!(code(s3.put_object().bucket("lake").key(&long).body(body("x")).send().await), "KeyTooLongError");
        let metadata = s3.put_object().bucket("lake").key("k").metadata("m", "v".repeat(2_048)).body(body("x"));
        assert_eq!(code(metadata.send().await), "MetadataTooLarge");
    });
    let refused = fixture.inside(|s3, cx| s3.put_object(cx, "lake", &"k".repeat(1_025), Bytes::new(), ""));
    assert_eq!(refused.unwrap_err().code, "KeyTooLongError");
    for n in 0..3_500 {
        fixture.inside(|s3, cx| s3.put_object(cx, "lake", &format!("hot/{n}"), Bytes::new(), "")).unwrap();
    }
    let before = fixture.requests();
    block_on(async {
        assert_eq!(code(s3.put_object().bucket("lake").key("hot/x").body(body("x")).send().await), "SlowDown");
    });
    assert_eq!(fixture.requests() - before, 3, "the SDK retries a SlowDown");
    assert_eq!(fixture.calls("PutObject").1, 3);
}

#[test]
fn templates_create_buckets_and_name_what_they_cannot() {
    let fixture = Fixture::new();
    let provision = |resource: Resource| fixture.inside(|s3, cx| s3.provision(cx, &resource));
    let private = json!({
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
        "PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true,
            "RestrictPublicBuckets": true},
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "Tags": [{"Key": "stage", "Value": "store"}],
    });
    let made = provision(bucket("data", private)).unwrap();
    assert_eq!(made.physical_id, "data");
    assert_eq!(made.attributes["Arn"], "arn:aws:s3:::data");
    assert_eq!(made.attributes["DomainName"], "data.s3.amazonaws.com");
    assert_eq!(made.attributes["RegionalDomainName"], "data.s3.eu-west-1.amazonaws.com");
    assert_eq!(provision(bucket("data", json!({}))).unwrap_err().code, "BucketAlreadyOwnedByYou");
    for name in ["Data", "ab", "a..b", "192.168.0.1", "-data"] {
        assert_eq!(provision(bucket(name, json!({}))).unwrap_err().code, "InvalidBucketName", "{name}");
    }
    for (property, value) in [
        ("VersioningConfiguration", json!({"Status": "On"})),
        ("LifecycleConfiguration", json!({"Rules": [{"Status": "Enabled", "TagFilters": []}]})),
        ("WebsiteConfiguration", json!({"IndexDocument": "index.html"})),
        ("OwnershipControls", json!({"Rules": [{"ObjectOwnership": "ObjectWriter"}]})),
    ] {
        let error = provision(bucket("other", json!({property: value}))).unwrap_err();
        assert!(error.message.contains("store Bucket (AWS::S3::Bucket)"), "{error}");
    }
}

#[test]
fn a_second_policy_of_a_bucket_is_refused() {
    let fixture = Fixture::new();
    let policy = |action: &str| Resource {
        kind: "AWS::S3::BucketPolicy".to_owned(),
        properties: json!({"Bucket": "lake", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "arn:aws:s3:::lake/*"}]}}),
        ..bucket("lake", json!({}))
    };
    let create = |action: &str| fixture.inside(|s3, cx| s3.provision(cx, &policy(action))).map(drop);
    create("s3:GetObject").unwrap();
    assert_eq!(create("s3:PutObject").unwrap_err().code, "AlreadyExists");
    let old = policy("s3:GetObject");
    fixture.inside(|s3, cx| s3.update(cx, &policy("s3:PutObject"), "lake", &old.properties)).unwrap();
    fixture.inside(|s3, cx| s3.delete(cx, &old, "lake")).unwrap();
    create("s3:PutObject").unwrap();
}

#[test]
fn the_same_calls_give_the_same_bytes_and_digest() {
    let run = || {
        let fixture = Fixture::new();
        let s3 = fixture.client();
        block_on(async {
            let put = s3.put_object().bucket("lake").key("k").body(body("x"));
            put.metadata("a", "1").metadata("b", "2").metadata("c", "3").send().await.unwrap();
            s3.get_object().bucket("lake").key("k").send().await.unwrap();
        });
        let inner = fixture.0.lock().unwrap();
        let headers: Vec<String> = inner.last.as_ref().unwrap().iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
        (headers, inner.parts.trace.digest())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_rotten_copy_is_found_repaired_and_never_served() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let body: Vec<u8> = (0..=255).collect();
    let put = |key: &str| fixture.inside(|s3, cx| s3.put_object(cx, "lake", key, body.clone().into(), "")).unwrap();
    let rot = |bit: u64| fixture.inside(|s3, _| s3.flip_bits(&mut |_, key| key.starts_with("a/").then_some(bit)));
    let found =
        || fixture.0.lock().unwrap().parts.meter.counters().get(&("s3", "BitRotDetected")).copied().unwrap_or(0);
    ["a/1", "a/2", "b/1"].into_iter().for_each(|key| drop(put(key)));
    assert_eq!((rot(1_000), rot(1_000)), (2, 0), "a copy rots once");
    // Over the wire whole and in part, by another service, and by a copy: each read serves what was written.
    let get = |range: Option<&str>| {
        let request = client.get_object().bucket("lake").key("a/1").set_range(range.map(str::to_owned));
        block_on(async { request.send().await.unwrap().body.collect().await.unwrap().into_bytes() })
    };
    assert_eq!((get(None), found()), (Bytes::from(body.clone()), 1));
    assert_eq!((get(None), found()), (Bytes::from(body.clone()), 1), "it was repaired");
    assert_eq!(rot(1_000), 1);
    assert_eq!((get(Some("bytes=120-129")), found()), (Bytes::copy_from_slice(&body[120..130]), 2));
    let inside = fixture.inside(|s3, cx| s3.get_object(cx, "lake", "a/2")).unwrap();
    assert_eq!((inside, found()), (Bytes::from(body.clone()), 3));
    assert_eq!(rot(9), 2);
    block_on(client.copy_object().bucket("lake").key("c/1").copy_source("lake/a/1").send()).unwrap();
    let copied = fixture.inside(|s3, cx| s3.get_object(cx, "lake", "c/1")).unwrap();
    assert_eq!((copied, found()), (Bytes::from(body.clone()), 4));
    // What is overwritten or deleted is gone with its copies; what nobody reads is found in the background.
    put("a/2");
    assert_eq!(fixture.inside(|s3, cx| s3.scrub(cx)), 0);
    assert_eq!((rot(0), fixture.inside(|s3, cx| s3.scrub(cx)), found()), (2, 2, 6));
    assert_eq!(fixture.0.lock().unwrap().parts.trace.marks()["rot-detected"], 6);
}
