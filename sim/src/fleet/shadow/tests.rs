use super::*;
use crate::world::seed::Seed;

/// A device that does what is desired at once, and its shadow.
struct Bench {
    shadow: Shadow,
    rng: Rng,
    now: Time,
    own: Value,
    revision: u64,
}

impl Bench {
    fn new() -> Self {
        let own = json!({ "firmware": "1.0.0", "publish_interval_ms": 10_000, MEASURED: 80 });
        let mut bench =
            Bench { shadow: Shadow::new(), rng: Seed::root(1).rng(), now: Time::from_unix_secs(9), own, revision: 0 };
        bench.shadow.listens();
        bench
    }

    /// One that knows its shadow as of version 5.
    fn settled() -> Self {
        let mut bench = Bench::new();
        bench.says("get");
        bench.hears("get/accepted", json!({ "state": { "reported": bench.own.clone() }, "version": 5 }), true);
        assert!(bench.is_settled());
        bench
    }

    fn is_settled(&self) -> bool {
        self.shadow.is_settled(self.revision)
    }

    fn next(&mut self) -> Option<(&'static str, Value)> {
        let own = self.own.clone();
        self.shadow.next(self.now, &mut self.rng, &Own { revision: self.revision, reported: &|| own.clone() })
    }

    /// The device says something to this topic, and no more.
    fn says(&mut self, suffix: &str) -> Value {
        let (found, payload) = self.next().unwrap_or_else(|| panic!("nothing is said to {suffix}"));
        assert_eq!(found, suffix);
        assert_eq!(self.next(), None, "one request is under way at a time");
        payload
    }

    /// A message comes; with the token of the last request when it answers that. Answers what is to be applied.
    fn hears(&mut self, suffix: &str, mut message: Value, answers: bool) -> Option<Map<String, Value>> {
        if answers {
            message["clientToken"] = token(self.shadow.requests).into();
        }
        let own = self.own.clone();
        let own = Own { revision: self.revision, reported: &|| own.clone() };
        let desired = self.shadow.received(self.now, &mut self.rng, suffix, message.to_string().as_bytes(), &own)?;
        for (key, value) in &desired {
            if self.own[key] != *value {
                self.own[key] = value.clone();
                self.revision += 1;
            }
        }
        Some(desired)
    }

    fn delta(&mut self, version: u64, firmware: &str) -> bool {
        self.hears("update/delta", json!({ "state": { "firmware": firmware }, "version": version }), false).is_some()
    }
}

#[test]
fn a_device_gets_its_document_after_each_connect_and_applies_what_is_desired() {
    let mut bench = Bench::new();
    assert_eq!(bench.says("get"), json!({ "clientToken": "r1" }));
    let state = json!({ "desired": { "firmware": "1.1.0" }, "reported": { "firmware": "1.0.0" } });
    bench.hears("get/accepted", json!({ "state": state, "version": 3 }), true);
    assert_eq!(bench.own["firmware"], "1.1.0");
    let report = bench.says("update");
    assert_eq!(report["state"]["reported"], bench.own);
    bench.hears("update/accepted", json!({ "version": 4 }), true);
    assert!(bench.is_settled() && bench.next().is_none());
    bench.shadow.lost();
    assert!(bench.is_settled() && bench.next().is_none(), "the shadow has what the device is");
    bench.shadow.listens();
    bench.says("get");
}

#[test]
fn without_a_shadow_the_first_report_makes_one() {
    let mut bench = Bench::new();
    bench.says("get");
    bench.hears("get/rejected", json!({ "code": 404, "message": "No shadow exists with name: 'x'" }), true);
    bench.says("update");
    bench.hears("update/accepted", json!({ "version": 1 }), true);
    assert!(bench.is_settled());
}

#[test]
fn deltas_count_when_they_are_newer_than_all_before() {
    let mut bench = Bench::settled();
    for (version, firmware, counts) in
        [(7, "2", true), (6, "1", false), (7, "2", false), (5, "0", false), (8, "3", true), (3, "9", false)]
    {
        assert_eq!(bench.delta(version, firmware), counts, "version {version}");
    }
    assert_eq!(bench.own["firmware"], "3");
    bench.says("update");
}

#[test]
fn a_shadow_that_was_deleted_begins_anew_and_an_answer_that_a_delta_overtook_does_not() {
    let answer = |version| json!({ "state": { "desired": { "firmware": "4" } }, "version": version });
    let mut bench = Bench::settled();
    bench.shadow.listens();
    bench.says("get");
    bench.hears("get/accepted", answer(2), true);
    assert_eq!(bench.own["firmware"], "4");
    assert!(bench.delta(3, "5"));

    let mut bench = Bench::settled();
    bench.shadow.listens();
    bench.says("get");
    assert!(bench.delta(9, "6"));
    bench.hears("get/accepted", answer(7), true);
    assert_eq!(bench.own["firmware"], "6", "the delta is newer");
    // An answer to a request of an earlier connection says nothing.
    assert_eq!(bench.hears("get/accepted", answer(20), false), None);
}

#[test]
fn what_the_shadow_does_not_know_is_reported_again() {
    // A delta that asks for what the device is already.
    let mut bench = Bench::settled();
    assert!(bench.delta(6, "1.0.0"));
    bench.says("update");
    // A report of before that came late.
    let mut bench = Bench::settled();
    let late = json!({ "state": { "reported": { "firmware": "0.9.0" } }, "version": 6, "clientToken": "r77" });
    bench.hears("update/accepted", late, false);
    bench.says("update");
    // What is measured makes no report.
    let mut bench = Bench::settled();
    bench.own[MEASURED] = 79.into();
    bench.shadow.listens();
    bench.says("get");
    bench.hears(
        "get/accepted",
        json!({ "state": { "reported": { "firmware": "1.0.0", "publish_interval_ms": 10_000 } }, "version": 5 }),
        true,
    );
    assert!(bench.is_settled());
}

#[test]
fn what_is_rejected_or_not_answered_is_repeated_with_back_off() {
    let mut bench = Bench::new();
    bench.says("get");
    bench.hears("get/rejected", json!({ "code": 429, "message": "Too many requests" }), true);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert_eq!(bench.next(), None);
        let at = bench.shadow.wake_at(bench.revision);
        waits.push(at.since(bench.now).as_secs_f64());
        bench.now = at;
        bench.says("get");
        // Nobody answers.
        bench.now = bench.shadow.wake_at(bench.revision);
    }
    for (nth, wait) in waits.iter().enumerate() {
        let range = f64::from(2_u32 << nth).min(120.0);
        assert!((range / 2.0..=range).contains(wait), "wait {nth}: {wait} s of {range} s");
    }
    bench.next();
    bench.now = bench.shadow.wake_at(bench.revision);
    bench.says("get");
    bench.hears("get/rejected", json!({ "code": 404 }), true);
    bench.says("update");
    bench.hears("update/rejected", json!({ "code": 500 }), true);
    assert_eq!((bench.next(), bench.is_settled()), (None, false));
    bench.now = bench.shadow.wake_at(bench.revision);
    bench.says("update");
}
