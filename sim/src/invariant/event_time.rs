//! Whether the time that the platform tells of a reading is right: against the clock of the world, which neither the device
//! nor the platform knows.

use super::Rest;
use crate::fleet::Recorded;
use crate::world::time::Time;

/// What the platform promises: it corrects no clock that is ahead by less.
const AHEAD_MS: i64 = 1_000;
/// What the platform promises: a clock that is behind by more is corrected.
const BEHIND_MS: i64 = 90 * 60 * 1_000;
/// Times are cut to whole milliseconds at each place.
const ROUNDING_MS: i64 = 3;
/// When a reading was handed over again before it arrived, an earlier hand-over can be the one that arrived for so long: no
/// connection that carries nothing lasts longer.
const OVERTAKEN_MS: i64 = 20 * 60 * 1_000;

/// Says what is wrong with a reading's time. `stamps` are the times at which the device handed it to the network with its
/// clock in the payload: (when, what the clock said in ms); none for a payload that does not say it.
///
/// A reading that says when it was sent has one of two times: the device's own, when its clock was not ahead by more than a
/// second and not behind by more than 90 minutes, give or take the time on the way; or a corrected one, which lies after the
/// truth by no more than the time on the way. What the clock itself was moved between measuring and sending comes on top.
///
/// A clock is corrected only where it is certainly wrong: by its stamp, or because the reading would be later than its arrival.
///
/// One that does not say it has its arrival, when its clock was ahead of it by more than a second, and else its own time.
pub(super) fn wrong(rest: &Rest, reading: &Recorded, stamps: impl Iterator<Item = (Time, u64)>) -> Option<String> {
    let millis = |at: Time| signed(at.unix_millis());
    let (ts, received) = (signed(reading.ts_ms), rest.received_ms.map_or(0, signed));
    let Some(event) = rest.event_ms else { return Some("it has no event_at".to_owned()) };
    if event != ts + rest.skew_ms.unwrap_or(0) {
        return Some(format!("event_at {event} is not ts {ts} with clock_skew_ms {:?}", rest.skew_ms));
    }
    let taken = millis(reading.published_at);
    let (error, is_corrected) = (event - taken, rest.skew_ms.is_some());
    let sent: Vec<(Time, u64)> = stamps.filter(|(at, _)| millis(*at) <= received + ROUNDING_MS).collect();
    let last = sent.iter().map(|(at, _)| *at).max();
    let mut needless = false;
    for &(at, stamp) in &sent {
        let way = received - millis(at);
        if Some(at) != last && way > OVERTAKEN_MS {
            continue;
        }
        // How much the clock was moved between measuring and sending.
        let moved = ((ts - taken) - (signed(stamp) - millis(at))).abs();
        let bounds = if is_corrected { -moved..=way + moved } else { -BEHIND_MS - moved..=AHEAD_MS + way + moved };
        if (bounds.start() - ROUNDING_MS..=bounds.end() + ROUNDING_MS).contains(&error) {
            if !is_corrected || is_certain(ts, signed(stamp), received) {
                return None;
            }
            needless = true;
        }
    }
    if needless {
        return Some(format!("event_at {event} is corrected, and nothing shows that the clock was wrong"));
    }
    if !sent.is_empty() {
        let how = if is_corrected { "corrected" } else { "left as it is" };
        return Some(format!("event_at {event} is {error} ms off the truth, and was {how}"));
    }
    let is_ahead = ts > received + AHEAD_MS;
    let as_it_should = is_ahead == is_corrected && (!is_corrected || event == received);
    (!as_it_should)
        .then(|| format!("event_at {event} of a reading without sent_at, of ts {ts}, received at {received}"))
}

/// Whether a reading of a time, with a stamp, tells by its arrival that the device's clock is wrong.
fn is_certain(ts: i64, stamp: i64, received: i64) -> bool {
    let unsuspicious = ROUNDING_MS - AHEAD_MS..=BEHIND_MS - ROUNDING_MS;
    !unsuspicious.contains(&(received - stamp)) || ts > received + AHEAD_MS - ROUNDING_MS
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Content;
    use crate::invariant::Flags;

    const HOUR: i64 = 3_600_000;
    /// When the reading was taken.
    const TAKEN: i64 = 1_772_323_200_000;

    /// A reading of a clock that is ahead by `ahead` ms and was moved by `moved` before the reading was sent, `kept` ms after
    /// it was taken; it was on its way for 40 ms.
    fn judge(
        ahead: i64,
        moved: i64,
        kept: i64,
        has_stamp: bool,
        skew: impl Fn(i64, i64) -> Option<i64>,
    ) -> Option<String> {
        let time = |ms: i64| Time::from_unix_secs(0) + std::time::Duration::from_millis(u64::try_from(ms).unwrap());
        let ts = TAKEN + ahead;
        let (sent, received) = (TAKEN + kept, TAKEN + kept + 40);
        let stamp = sent + ahead + moved;
        let reading = Recorded {
            ts_ms: u64::try_from(ts).unwrap(),
            published_at: time(TAKEN),
            acknowledged_at: None,
            content: Content::canonical(None, []),
        };
        let skew_ms = skew(received - ts, received - stamp);
        let rest = Rest {
            received_ms: u64::try_from(received).ok(),
            event_ms: Some(ts + skew_ms.unwrap_or(0)),
            skew_ms,
            flags: Flags::default(),
            content: reading.content,
        };
        let stamps = has_stamp.then(|| (time(sent), u64::try_from(stamp).unwrap()));
        wrong(&rest, &reading, stamps.into_iter())
    }

    #[test]
    fn an_earlier_hand_over_excuses_nothing_hours_later() {
        let time = |ms: i64| Time::from_unix_secs(0) + std::time::Duration::from_millis(u64::try_from(ms).unwrap());
        let unsigned = |ms: i64| u64::try_from(ms).unwrap();
        // A clock that is ahead; handed over at once, and again: a correction by the first stamp, or by the second one.
        let ahead = 2 * HOUR;
        for (again, by_first, right) in [(10 * HOUR, true, false), (10 * HOUR, false, true), (60_000, true, true)] {
            let reading = Recorded {
                ts_ms: unsigned(TAKEN + ahead),
                published_at: time(TAKEN),
                acknowledged_at: None,
                content: Content::canonical(None, []),
            };
            let received = TAKEN + again + 40;
            let skew = if by_first { again + 40 - ahead } else { 40 - ahead };
            let rest = Rest {
                received_ms: Some(unsigned(received)),
                event_ms: Some(TAKEN + ahead + skew),
                skew_ms: Some(skew),
                flags: Flags::default(),
                content: reading.content,
            };
            let stamps = [TAKEN, TAKEN + again].map(|at| (time(at), unsigned(at + ahead)));
            let found = wrong(&rest, &reading, stamps.into_iter());
            assert_eq!(found.is_none(), right, "{again} {by_first}: {found:?}");
        }
    }

    #[test]
    fn times_are_judged_against_the_truth() {
        for (what, ahead, moved, kept, has_stamp, left, by_stamp, by_arrival) in [
            // (.., whether it is right to leave it, to correct it by its stamp, to correct it by its arrival)
            ("a clock that is right", 0, 0, 0, true, true, false, false),
            ("ahead", 2 * HOUR, 0, 0, true, false, true, true),
            ("behind", -3 * HOUR, 0, 0, true, false, true, true),
            ("behind within any way", -HOUR, 0, 0, true, true, false, false),
            ("kept for ten hours", 0, 0, 10 * HOUR, true, true, false, false),
            ("kept, and ahead", 2 * HOUR, 0, 10 * HOUR, true, false, true, false),
            ("as far ahead as is tolerated", 1_000, 0, 0, true, true, false, false),
            ("set right before it was sent", 2 * HOUR, -2 * HOUR, 5, true, true, true, true),
            ("no stamp", 0, 0, 5, false, true, false, false),
            ("no stamp, ahead", 2 * HOUR, 0, 5, false, false, false, true),
            ("no stamp, behind or kept", -2 * HOUR, 0, HOUR, false, true, false, false),
        ] {
            let stamped = |_: i64, by_stamp: i64| Some(by_stamp);
            let arrived = |by_arrival: i64, _: i64| Some(by_arrival);
            for (how, expected, found) in [
                ("left", left, judge(ahead, moved, kept, has_stamp, |_, _| None)),
                ("corrected by its stamp", by_stamp, judge(ahead, moved, kept, has_stamp, stamped)),
                ("corrected by its arrival", by_arrival, judge(ahead, moved, kept, has_stamp, arrived)),
            ] {
                assert_eq!(found.is_none(), expected, "{what}, {how}: {found:?}");
            }
        }
    }
}
