//! When a reading was taken, by a clock that is right: the device's own clock, corrected where it is certainly wrong.
//!
//! A device stamps each publish with its clock (`sent_at`, payload version 2), also when it publishes a reading anew. So
//! `received_at - sent_at` is the time on the way minus what the device's clock is ahead. The way takes no negative time: a
//! publish that arrives before it was sent comes from a clock that is ahead. And it has an end: what arrives later than that
//! after it was sent comes from a clock that is behind. In between nothing is certain, and nothing is corrected; above all
//! not readings that a device kept while it had no network, whose `ts` is old and whose `sent_at` is not.
//!
//! The correction moves `ts` by the whole difference, so that it is wrong by the time on the way: usually below a second,
//! never more than [`LONGEST_WAY_MS`], and by what the clock itself was moved between measuring and sending.

/// A clock is not said to be ahead by less: clocks that are set by NTP agree within a tenth of it.
pub(super) const TOLERANCE_MS: i64 = 1_000;

/// Longest time from the last hand-over of a publish to its arrival, so that more is a clock that is behind. A client may
/// keep a packet as it is for as long as its persistent session lasts, an hour by default, from when the broker misses it:
/// one and a half times the keep-alive, which is 20 minutes at most (AWS IoT Core endpoints and quotas: "Persistent session
/// expiry period", "Keep-alive interval"; MQTT 3.1.1, 3.1.2.10).
pub(super) const LONGEST_WAY_MS: i64 = (60 + 30) * 60 * 1000;

/// What is added to `ts` to have the time of the reading, in ms; nothing when nothing is certain. It depends on the reading
/// alone, so a reading that comes again is corrected in the same way.
///
/// In any case a reading was taken before it arrived: `ts` that would be later by more than [`TOLERANCE_MS`] becomes the
/// arrival.
pub(super) fn skew_ms(ts: i64, sent_at: Option<i64>, received_at: i64) -> Option<i64> {
    let way = sent_at.map_or(0, |sent_at| received_at.saturating_sub(sent_at));
    let skew = if (-TOLERANCE_MS..=LONGEST_WAY_MS).contains(&way) { 0 } else { way };
    let arrival = received_at.saturating_sub(ts);
    let skew = if skew.saturating_sub(arrival) > TOLERANCE_MS { arrival } else { skew };
    (skew != 0).then_some(skew)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T: i64 = 1_772_323_200_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn only_what_is_certain_is_corrected() {
        for (what, ts, sent_at, received_at, expected) in [
            ("a clock that is right", T, Some(T + 5), T + 45, None),
            ("within the tolerance", T + 1_000, Some(T + 1_000), T, None),
            ("a clock that is ahead", T + 2 * HOUR, Some(T + 2 * HOUR + 5), T + 45, Some(40 - 2 * HOUR)),
            ("just ahead", T + 1_100, Some(T + 1_100), T + 99, Some(-1_001)),
            ("a clock that is behind", T - 3 * HOUR, Some(T - 3 * HOUR), T + 40, Some(3 * HOUR + 40)),
            ("on its way for long", T, Some(T), T + LONGEST_WAY_MS, None),
            ("longer than any way", T, Some(T), T + LONGEST_WAY_MS + 1, Some(LONGEST_WAY_MS + 1)),
            ("kept for a day without a network", T, Some(T + 24 * HOUR), T + 24 * HOUR + 40, None),
            ("kept, by a clock that is ahead", T + HOUR, Some(T + 9 * HOUR), T + 8 * HOUR + 40, Some(40 - HOUR)),
            ("set right between measuring and sending", T + HOUR, Some(T + 5), T + 45, Some(45 - HOUR)),
            ("no stamp, a clock that is right", T, None, T + 40, None),
            ("no stamp, a clock that is ahead", T + HOUR, None, T + 40, Some(40 - HOUR)),
            ("no stamp, within the tolerance", T + 1_000, None, T, None),
            ("no stamp, kept or behind: nobody knows", T, None, T + 24 * HOUR, None),
        ] {
            assert_eq!(skew_ms(ts, sent_at, received_at), expected, "{what}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_error_is_the_time_on_the_way_however_wrong_the_clock_is(
            offset in -10 * HOUR..10 * HOUR, kept in 0..100 * HOUR, way in 0..LONGEST_WAY_MS
        ) {
            let (ts, sent_at, received_at) = (T + offset, T + kept + offset, T + kept + way);
            let event_at = ts + skew_ms(ts, Some(sent_at), received_at).unwrap_or(0);
            prop_assert!(event_at <= received_at + TOLERANCE_MS, "after its arrival");
            match skew_ms(ts, Some(sent_at), received_at) {
                Some(_) => prop_assert!((0..=way).contains(&(event_at - T)), "{} with {} on the way", event_at - T, way),
                None => prop_assert!((-LONGEST_WAY_MS..=way + TOLERANCE_MS).contains(&offset)),
            }
        }

        #[test]
        fn no_numbers_overflow(ts in any::<i64>(), sent_at in any::<Option<i64>>(), received_at in any::<i64>()) {
            skew_ms(ts, sent_at, received_at);
        }
    }
}
