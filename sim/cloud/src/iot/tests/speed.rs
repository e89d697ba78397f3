//! What one publish costs. Run with `--ignored --nocapture`: a figure, not a check.

use std::time::Duration;

use super::fleet::{HOT_SQL, World, encode, publish};

#[test]
#[ignore = "prints a figure"]
#[allow(clippy::disallowed_methods, reason = "measures wall time")]
fn microseconds_a_publish() {
    let mut world = World::new();
    world.rule("readings", HOT_SQL);
    world.streams.forget = true;
    let devices = 10_000_u64;
    for device in 0..devices {
        let name = format!("acme-{device:05}");
        world.register(&name, "acme", "device");
        world.connect(device, &name);
        world.now += Duration::from_millis(1);
    }
    let packets: Vec<Vec<u8>> = (0..devices)
        .map(|device| {
            let payload = r#"{"seq":123456,"ts":1772323200123,"metrics":{"temperature":21.473829,"pressure":4.0182,"vibration":0.9,"humidity":55.25,"current":12.875,"voltage":229.98}}"#;
            encode(&publish(&format!("tenant/acme/device/acme-{device:05}/data"), 7, payload))
        })
        .collect();
    let rounds = 40;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        for device in 0..devices {
            world.bytes(device, &packets[usize::try_from(device).unwrap()]);
            world.parts.effects.clear();
            world.now += Duration::from_micros(1_000);
        }
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / (rounds * devices) as f64;
    println!("{each:.2} us a publish of {} bytes, {} puts", packets[0].len(), world.streams.calls);
    assert_eq!(world.streams.calls, rounds * devices);
}
