//! What is a reading, and why the rest is none.

use proptest::prelude::*;

use super::*;

const SECOND: &str = r#"{"v":2,"seq":7,"ts":1772323200000,"sent_at":1772323200010,"metrics":{"temp":{"value":294.65,"unit":"kelvin"},"rpm":900,"load":{"value":-1}},"tenant_id":"acme","device_id":"pump-1","received_at":1772323200050}"#;
const VALID: &str = r#"{"seq":7,"ts":1772323200000,"metrics":{"temp":21.5,"rpm":900},"tenant_id":"acme","device_id":"pump-1","received_at":1772323200050}"#;

#[test]
fn a_valid_reading_is_borrowed_from_its_payload() {
    let reading = Reading::parse(VALID.as_bytes()).unwrap();
    assert_eq!((reading.seq, reading.ts, reading.received_at), (7, 1_772_323_200_000, 1_772_323_200_050));
    let metrics: Vec<_> = reading.metrics.0.iter().map(|metric| (metric.name.as_ref(), metric.value)).collect();
    assert_eq!(metrics, [("temp", 21.5), ("rpm", 900.0)]);
    assert!(matches!(reading.tenant_id, Cow::Borrowed("acme")));
    assert!(matches!(reading.metrics.0[0].name, Cow::Borrowed("temp")));
    assert_eq!(reading.recorded_at, None);
}

#[test]
fn unknown_members_are_ignored_and_escapes_are_decoded() {
    let text = VALID.replace("\"ts\"", r#""site":{"floor":[1,2]},"recorded_at":"2014-02-14 14:30:00","ts""#);
    let text = text.replace("\"temp\"", r#""t\u0065mp""#);
    let reading = Reading::parse(text.as_bytes()).unwrap();
    assert_eq!(reading.recorded_at, Some(Text("2014-02-14 14:30:00".into())));
    assert_eq!(reading.metrics.0[0].name, "temp");
}

#[test]
fn the_second_version_has_units_and_says_when_it_was_sent_wherever_its_version_stands() {
    let moved = SECOND.replace("\"v\":2,", "").replace("\"tenant_id\"", "\"v\":2,\"tenant_id\"");
    for text in [SECOND, &moved] {
        let reading = Reading::parse(text.as_bytes()).unwrap();
        assert_eq!(reading.sent_at(), Some(1_772_323_200_010));
        let metrics = &reading.metrics.0;
        let units: Vec<_> = metrics.iter().map(|m| (m.name.as_ref(), m.value, m.unit())).collect();
        assert_eq!(units, [("temp", 294.65, Some("kelvin")), ("rpm", 900.0, None), ("load", -1.0, None)]);
        assert!(matches!(metrics[0].form, Form::Object(Some(Cow::Borrowed("kelvin")))), "nothing is copied");
    }
    let unstamped = SECOND.replace("\"sent_at\":1772323200010", "\"sent_at\":null");
    assert_eq!(Reading::parse(unstamped.as_bytes()).unwrap().sent_at(), None);
}

#[test]
fn what_the_second_version_added_means_nothing_in_the_first() {
    let one = VALID.replace("{\"seq\"", "{\"v\":1,\"seq\"");
    let null = VALID.replace("{\"seq\"", "{\"v\":null,\"seq\"");
    assert!(Reading::parse(one.as_bytes()).is_ok() && Reading::parse(null.as_bytes()).is_ok());
    for sent_at in
        ["5", "1772323200010", "\"noon\"", "1.5", "true", "[1,{\"a\":2}]", "{\"v\":2}", "99999999999999999999"]
    {
        let text = VALID.replace("\"seq\"", &format!("\"sent_at\":{sent_at},\"seq\""));
        assert_eq!(Reading::parse(text.as_bytes()).unwrap().sent_at(), None, "{sent_at}");
    }
}

#[test]
fn each_defect_of_the_second_version_has_its_own_reason() {
    for (from, to, expected) in [
        ("\"v\":2", "\"v\":3", Reason::UnsupportedVersion),
        ("\"v\":2", "\"v\":0", Reason::UnsupportedVersion),
        ("\"v\":2", "\"v\":-1", Reason::UnsupportedVersion),
        ("\"v\":2", "\"v\":2.5", Reason::UnsupportedVersion),
        ("\"v\":2", "\"v\":\"2\"", Reason::UnsupportedVersion),
        ("\"v\":2,\"seq\":7", "\"v\":[3]", Reason::UnsupportedVersion),
        ("\"v\":2", "\"v\":1", Reason::MetricNotANumber),
        ("1772323200010", "\"noon\"", Reason::SentAtNotAnInteger),
        ("1772323200010", "1.5", Reason::SentAtNotAnInteger),
        ("1772323200010", "{}", Reason::SentAtNotAnInteger),
        ("1772323200010", "0", Reason::SentAtOutOfRange),
        ("\"value\":294.65", "\"value\":\"294.65\"", Reason::MetricNotANumber),
        ("\"value\":294.65,", "", Reason::MetricNotANumber),
        ("\"value\":294.65", "\"value\":1e999", Reason::NumberOutOfRange),
        ("{\"value\":294.65,\"unit\":\"kelvin\"}", "[294.65,\"kelvin\"]", Reason::MetricNotANumber),
        ("\"kelvin\"", "5", Reason::UnitNotText),
        ("\"rpm\"", "\"temp\"", Reason::MetricDuplicated),
        ("\"v\":2", "\"v\":2,\"v\":2", Reason::Malformed),
    ] {
        let text = SECOND.replace(from, to);
        assert_ne!(text, SECOND, "{from} is in the valid reading");
        let rejection = Reading::parse(text.as_bytes()).expect_err(&text);
        assert_eq!(rejection.reason, expected, "{text}: {rejection}");
        assert!(!rejection.detail.is_empty(), "{text}");
    }
}

#[test]
fn each_defect_has_its_own_reason() {
    for (from, to, expected) in [
        (VALID, "", Reason::NotJson),
        (VALID, "temp=21", Reason::NotJson),
        (VALID, "{\"seq\":7", Reason::NotJson),
        (VALID, "[1]", Reason::NotAnObject),
        (VALID, " [7,1772323200000,{\"temp\":21.5},null,\"acme\",\"pump-1\",1772323200050]", Reason::NotAnObject),
        (VALID, "\"text\"", Reason::NotAnObject),
        ("\"seq\":7,", "", Reason::SeqMissing),
        ("\"seq\":7", "\"seq\":null", Reason::SeqMissing),
        ("\"seq\":7", "\"seq\":-1", Reason::SeqNegative),
        ("\"seq\":7", "\"seq\":7.5", Reason::SeqNotAnInteger),
        ("\"seq\":7", "\"seq\":\"7\"", Reason::SeqNotAnInteger),
        ("\"seq\":7", "\"seq\":9223372036854775808", Reason::SeqOutOfRange),
        ("\"seq\":7", "\"seq\":99999999999999999999", Reason::SeqOutOfRange),
        ("\"ts\":1772323200000,", "", Reason::TsMissing),
        ("\"ts\":1772323200000", "\"ts\":\"now\"", Reason::TsNotAnInteger),
        ("\"ts\":1772323200000", "\"ts\":1.5", Reason::TsNotAnInteger),
        ("\"ts\":1772323200000", "\"ts\":1772323200", Reason::TsOutOfRange),
        ("\"ts\":1772323200000", "\"ts\":-5", Reason::TsOutOfRange),
        ("\"ts\":1772323200000", "\"ts\":4102444800000", Reason::TsOutOfRange),
        ("\"ts\":1772323200000", "\"ts\":99999999999999999999", Reason::TsOutOfRange),
        (",\"metrics\":{\"temp\":21.5,\"rpm\":900}", "", Reason::MetricsMissing),
        ("{\"temp\":21.5,\"rpm\":900}", "[21.5]", Reason::MetricsNotAnObject),
        ("\"temp\":21.5,\"rpm\":900", "", Reason::MetricsEmpty),
        ("21.5", "\"21.5\"", Reason::MetricNotANumber),
        ("21.5", "null", Reason::MetricNotANumber),
        ("21.5", "1e999", Reason::NumberOutOfRange),
        ("21.5", "NaN", Reason::NotJson),
        ("\"rpm\"", "\"temp\"", Reason::MetricDuplicated),
        ("\"tenant_id\":\"acme\",", "", Reason::TenantMissing),
        ("\"acme\"", "\"\"", Reason::TenantMissing),
        ("\"acme\"", "5", Reason::TenantMissing),
        ("\"device_id\":\"pump-1\",", "", Reason::DeviceMissing),
        ("\"pump-1\"", "\"\"", Reason::DeviceMissing),
        ("pump-1", &"x".repeat(257), Reason::IdTooLong),
        ("acme", &"x".repeat(257), Reason::IdTooLong),
        (",\"received_at\":1772323200050", "", Reason::ReceivedAtMissing),
        ("1772323200050", "\"noon\"", Reason::ReceivedAtMissing),
        ("1772323200050", "1772323200050000", Reason::ReceivedAtOutOfRange),
        ("1772323200050", "1772323200", Reason::ReceivedAtOutOfRange),
        ("1772323200050", "-1", Reason::ReceivedAtOutOfRange),
        ("1772323200050", "99999999999999999999", Reason::ReceivedAtOutOfRange),
        ("\"seq\":7", "\"seq\":7,\"recorded_at\":5", Reason::RecordedAtNotText),
        ("\"seq\":7", "\"seq\":7,\"seq\":8", Reason::Malformed),
    ] {
        let text = VALID.replace(from, to);
        assert_ne!(text, VALID, "{from} is in the valid reading");
        let rejection = Reading::parse(text.as_bytes()).expect_err(&text);
        assert_eq!(rejection.reason, expected, "{text}: {rejection}");
        assert!(!rejection.detail.is_empty(), "{text}");
    }
}

#[test]
fn a_name_that_comes_twice_is_found_among_many() {
    let members = (0..40).map(|n| format!("\"m{}\":1", if n == 39 { 3 } else { n })).collect::<Vec<_>>().join(",");
    let text = VALID.replace("\"temp\":21.5,\"rpm\":900", &members);
    let rejection = Reading::parse(text.as_bytes()).unwrap_err();
    assert_eq!(rejection.to_string(), "metric-duplicated: metric \"m3\" comes twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(rejection) = Reading::parse(&payload) {
            prop_assert!(!rejection.detail.is_empty());
        }
    }

    #[test]
    fn numbers_come_back_as_they_were_sent(seq in 0..=i64::MAX, ts in TS_RANGE_MS, value in -1e12..1e12f64) {
        let text = VALID.replace("\"seq\":7", &format!("\"seq\":{seq}")).replace("1772323200000", &ts.to_string());
        let text = text.replace("21.5", &serde_json::to_string(&value).unwrap());
        let reading = Reading::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(i64::try_from(reading.seq).unwrap(), seq);
        prop_assert_eq!(reading.ts, ts);
        prop_assert_eq!(reading.metrics.0[0].value, value);
    }
}
