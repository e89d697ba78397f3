//! Messages of devices that are no readings.

use bytes::Bytes;

/// A message that is no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Its bytes: unlike those of any other of the run's, by their number.
    pub(super) payload: Bytes,
    /// Whether the topic rule passes it on: it is a JSON object. A statement with `*` and further members has no result
    /// for anything else (AWS IoT Core Developer Guide, "SELECT clause"; unverified in detail).
    pub(super) passes: bool,
}

/// Sequence numbers of what is no reading begin here: no device takes so many readings.
pub const FIRST_SEQ: u64 = 1 << 40;

/// The shapes. `N` stands for the message's own number, `S` for a sequence number that no reading has, `T` for the time in
/// ms. Members are written as the rules engine writes them, so that it passes on the very same bytes.
const SHAPES: &[&str] = &[
    // Of the wrong types.
    r#"{"seq":"S","ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":S.5,"ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":-S,"ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":S,"ts":"yesterday","metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":[21.5],"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":{"temp":"21.5"},"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":{"temp":null},"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":{"temp":21.5},"recorded_at":N}"#,
    r#"[S,T,{"temp":21.5},N]"#,
    // Without members, or with nothing in them.
    r#"{"ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":S,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"seq":S,"ts":T,"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":{},"message":N}"#,
    // Out of range.
    r#"{"seq":S,"ts":0,"metrics":{"temp":21.5},"message":N}"#,
    // Of a version that nobody knows, or of the second with what it does not allow.
    r#"{"v":3,"seq":S,"ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"v":"2","seq":S,"ts":T,"metrics":{"temp":21.5},"message":N}"#,
    r#"{"v":2,"seq":S,"ts":T,"sent_at":"noon","metrics":{"temp":21.5},"message":N}"#,
    r#"{"v":2,"seq":S,"ts":T,"metrics":{"temp":{"unit":"celsius"}},"message":N}"#,
    r#"{"v":2,"seq":S,"ts":T,"metrics":{"temp":{"value":21.5,"unit":7}},"message":N}"#,
    r#"{"v":2,"seq":S,"ts":T,"metrics":{"temp":{"value":21.5,"unit":"mood"}},"message":N}"#,
    r#"{"seq":S,"ts":T,"metrics":{"temp":{"value":21.5,"unit":"celsius"}},"message":N}"#,
    // Cut off, or no JSON at all.
    r#"{"seq":S,"ts":T,"metrics":{"temp":21.5},"message":N"#,
    r#"{"message":N,"seq":S,"ts":T,"metr"#,
    "temp=21.5;message=N",
    // Not even a text: the lozenges become bytes that no UTF-8 has.
    "\u{fffd}\u{fffd}N\u{fffd}",
];

impl Malformed {
    /// The message with the number `number`, of the shape that `roll` (0..1) chooses.
    pub(super) fn new(number: u32, ts_ms: u64, roll: f64) -> Self {
        let shape = ((roll * SHAPES.len() as f64) as usize).min(SHAPES.len() - 1);
        Malformed::shaped(SHAPES[shape], number, ts_ms)
    }

    fn shaped(shape: &str, number: u32, ts_ms: u64) -> Self {
        let mut payload = Vec::with_capacity(shape.len() + 32);
        for c in shape.chars() {
            let mut utf8 = [0; 4];
            match c {
                'N' => payload.extend_from_slice(number.to_string().as_bytes()),
                'S' => payload.extend_from_slice((FIRST_SEQ + u64::from(number)).to_string().as_bytes()),
                'T' => payload.extend_from_slice(ts_ms.to_string().as_bytes()),
                '\u{fffd}' => payload.push(0xff),
                c => payload.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
            }
        }
        let passes = payload.starts_with(b"{") && payload.ends_with(b"}");
        Malformed { payload: payload.into(), passes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_shape_is_a_reading_and_only_objects_pass_the_rule() {
        let mut passing = 0;
        for (n, shape) in SHAPES.iter().enumerate() {
            let Malformed { payload, passes } = Malformed::shaped(shape, 7, 1_772_323_200_000);
            let parsed: Option<serde_json::Value> = serde_json::from_slice(&payload).ok();
            assert_eq!(passes, parsed.as_ref().is_some_and(serde_json::Value::is_object), "{shape}");
            passing += u32::from(passes);
            assert_eq!(Malformed::new(7, 1_772_323_200_000, (n as f64 + 0.5) / SHAPES.len() as f64).payload, payload);
            let Some(parsed) = parsed else { continue };
            let metrics = parsed["metrics"].as_object();
            let version = parsed.get("v").map_or(Some(1), serde_json::Value::as_u64);
            let is_reading = parsed["seq"].is_u64()
                && parsed["ts"].as_u64().is_some_and(|ts| ts > 946_684_800_000)
                && metrics.is_some_and(|m| !m.is_empty() && m.values().all(serde_json::Value::is_number))
                && matches!(version, Some(1 | 2))
                && !parsed["sent_at"].is_string()
                && parsed["recorded_at"].is_null();
            assert!(!is_reading, "{shape}");
        }
        assert!(passing > 8 && passing < SHAPES.len() as u32, "{passing}");
    }

    #[test]
    fn no_two_messages_are_equal() {
        let payloads: BTreeSet<Bytes> =
            (0..2_000).map(|n| Malformed::new(n, 5, f64::from(n % 18) / 18.0).payload).collect();
        assert_eq!(payloads.len(), 2_000);
    }
}
