//! What a reading costs: at the door of the account, and from a device to Athena. Run with `cargo benches`.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Publish};
use sim::cloud::account::Account;
use sim::fleet::plan;
use sim::run::{RunOptions, run};
use sim::scenario::{Overrides, Scenario};
use sim::seam::{boot, register_device};
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

const START: Time = Time::from_unix_secs(1_772_323_200);

fn smoke(devices: u32, hardship: Duration) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let scenario = Scenario::load(&path).expect("scenarios/smoke.toml is valid");
    let overrides = Overrides { devices: Some(devices), hardship: Some(hardship), ..Overrides::default() };
    scenario.with_overrides(&overrides).expect("a small fleet is valid")
}

/// An account with the platform's stacks, as `change` leaves them, with one device that is connected, and the bytes of one
/// publish of that device with QoS 1.
fn connected(change: impl Fn(&str, String) -> String) -> (Account, bytes::BytesMut) {
    let seed = Seed::root(1);
    let mut account = Account::new("eu-west-1", seed, Trace::new());
    let settings = platform::Settings::default();
    let stacks = platform::deploy::Plan::of(&settings);
    let deployed = boot(&mut account, START, (&settings, &stacks), change).expect("the templates boot");
    let devices = plan(&smoke(50, Duration::from_secs(60)).fleets, seed).expect("the fleet is valid");
    let device = &devices[0];
    register_device(&mut account, START, &deployed, device).expect("the device is registered");
    account.mqtt_open(START, 1, &device.certificate_id, "10.1.0.1").expect("the certificate is known");
    let mut connect = bytes::BytesMut::new();
    Connect::new(&device.id).write(&mut connect).expect("a small packet");
    account.mqtt_receive(START, 1, &connect);
    let mut publish = Publish::new(
        format!("tenant/{}/device/{}/data", device.tenant, device.id),
        QoS::AtLeastOnce,
        r#"{"seq":1,"ts":1772323200000,"metrics":{"temp":21.512,"pressure":3.071}}"#,
    );
    publish.pkid = 1;
    let mut packet = bytes::BytesMut::new();
    publish.write(&mut packet).expect("a small packet");
    account.take_effects();
    (account, packet)
}

/// What is changed of a stack's template: (stack, template) to the template.
type Change = fn(&str, String) -> String;

/// Each resource of a template is changed.
fn edited(body: &str, edit: impl Fn(&str, &mut serde_json::Value)) -> String {
    let mut template: serde_json::Value = serde_json::from_str(body).expect("a template is JSON");
    for resource in template["Resources"].as_object_mut().into_iter().flat_map(|resources| resources.values_mut()) {
        let kind = resource["Type"].as_str().unwrap_or("").to_owned();
        edit(&kind, &mut resource["Properties"]);
    }
    template.to_string()
}

/// The rules select, and do nothing with it: the broker alone.
fn without_actions(_: &str, body: String) -> String {
    edited(&body, |kind, properties| {
        if kind == "AWS::IoT::TopicRule" {
            properties["TopicRulePayload"]["Actions"] = serde_json::json!([]);
        }
    })
}

/// The rules are disabled, and devices may do everything.
fn without_rule_and_variables(_: &str, body: String) -> String {
    edited(&body, |kind, properties| match kind {
        "AWS::IoT::TopicRule" => properties["TopicRulePayload"]["RuleDisabled"] = true.into(),
        "AWS::IoT::Policy" => {
            properties["PolicyDocument"] = serde_json::json!({
                "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }],
            });
        }
        _ => {}
    })
}

/// One publish with QoS 1: no device, no network. With the platform's policy, its rule and its `PutRecord`; with policy and
/// rule alone, which is the broker's part; and with a policy that allows everything and without a rule: decode, rates, PUBACK.
fn broker(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broker");
    group.throughput(Throughput::Elements(1));
    let variants: [(&str, Change); 3] = [
        ("publish", |_, body| body),
        ("publish, policy and rule without its action", without_actions),
        ("publish, no rule, no variables", without_rule_and_variables),
    ];
    for (name, change) in variants {
        let (mut account, packet) = connected(change);
        let mut now = START;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // A connection may publish 100 times a second.
                now += Duration::from_millis(10);
                account.mqtt_receive(now, 1, black_box(&packet));
                assert_eq!(account.take_effects().len(), 1, "one PUBACK");
            });
        });
    }
    group.finish();
}

/// Whole runs, from the boot of the account to the answer of the oracles.
fn runs(criterion: &mut Criterion) {
    let scenario = smoke(50, Duration::from_secs(120));
    let mut group = criterion.benchmark_group("run");
    group.sample_size(10);
    group.throughput(Throughput::Elements(50 * 12));
    group.bench_function("smoke, 2 minutes", |bencher| {
        bencher.iter_batched(
            || scenario.clone(),
            |scenario| run(&scenario, RunOptions::seeded(1)).expect("the run ends"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, broker, runs);
criterion_main!(benches);
