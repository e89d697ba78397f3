//! How often a schedule comes due, where its expression tells it simply.

/// Minutes of a day.
const DAY_MIN: i64 = 24 * 60;

/// Shortest and longest time between two times of a schedule, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gaps {
    pub shortest_min: i64,
    pub longest_min: i64,
}

/// The gaps of a schedule of EventBridge Scheduler; nothing when they cannot be told: a day, month or year that is no plain
/// number, list, range or step, or a form that the scheduler does not take.
pub(super) fn gaps(expression: &str) -> Option<Gaps> {
    let inside = |name: &str| expression.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(rate) = inside("rate") {
        let (value, unit) = rate.split_once(' ')?;
        let unit_min = match unit.trim_end_matches('s') {
            "minute" => 1,
            "hour" => 60,
            "day" => DAY_MIN,
            _ => return None,
        };
        let every = value.parse::<i64>().ok()?.checked_mul(unit_min)?;
        return Some(Gaps { shortest_min: every, longest_min: every });
    }
    let fields: Vec<&str> = inside("cron")?.split(' ').collect();
    let [minutes, hours, day_of_month, month, day_of_week, _] = fields.as_slice() else { return None };
    let (minutes, hours) = (values(minutes, 60)?, values(hours, 24)?);
    let times: Vec<i64> = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 60 + minute)).collect();
    let next = times.iter().skip(1).copied().chain([times.first()? + DAY_MIN]);
    let gaps: Vec<i64> = times.iter().zip(next).map(|(time, next)| next - time).collect();
    let every_day = [day_of_month, month, day_of_week].iter().all(|field| ["*", "?", "1/1", "*/1"].contains(*field));
    // On other days it rests at least for one.
    let rest_min = if every_day { 0 } else { DAY_MIN };
    Some(Gaps { shortest_min: *gaps.iter().min()?, longest_min: gaps.iter().max()? + rest_min })
}

/// The values of a field from 0 to below `end`, in order: of `*`, numbers, ranges, steps, and lists of them.
fn values(field: &str, end: i64) -> Option<Vec<i64>> {
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, end - 1),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None if step.is_some() => (range.parse().ok()?, end - 1),
            None => (range.parse().ok()?, range.parse().ok()?),
        };
        let step = step.map_or(Some(1), |step| step.parse::<usize>().ok()).filter(|step| *step > 0)?;
        if !(0..end).contains(&first) || !(first..end).contains(&last) {
            return None;
        }
        all.extend((first..=last).step_by(step));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_of_rates_and_simple_crons() {
        for (expression, expected) in [
            ("rate(1 hour)", Some((60, 60))),
            ("rate(15 minutes)", Some((15, 15))),
            ("rate(2 days)", Some((2880, 2880))),
            ("rate(99999999999999999 days)", None),
            ("cron(20 * * * ? *)", Some((60, 60))),
            ("cron(20 0/3 1/1 * ? *)", Some((180, 180))),
            ("cron(20 5/3 * * ? *)", Some((180, 360))),
            ("cron(0,30 * * * ? *)", Some((30, 30))),
            ("cron(*/20 1-2 * * ? *)", Some((20, 1340))),
            ("cron(5 6 * * ? *)", Some((1440, 1440))),
            ("cron(20 * ? * MON-FRI *)", Some((60, 1500))),
            ("cron(20 25 * * ? *)", None),
            ("cron(x * * * ? *)", None),
            ("cron(1/0 * * * ? *)", None),
            ("at(2026-01-01T00:00:00)", None),
        ] {
            let expected = expected.map(|(shortest_min, longest_min)| Gaps { shortest_min, longest_min });
            assert_eq!(gaps(expression), expected, "{expression}");
        }
    }
}
