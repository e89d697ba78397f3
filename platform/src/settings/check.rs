//! Checks of single values, by the rules of AWS.

use std::fmt;
use std::ops::RangeInclusive;

use super::SettingsError;

/// Refuses a text that is not `ok`.
pub(super) fn check(
    key: &'static str,
    found: &str,
    ok: bool,
    expected: &str,
    hint: &'static str,
) -> Result<(), SettingsError> {
    if ok {
        return Ok(());
    }
    Err(SettingsError::Invalid { key, found: format!("{found:?}"), expected: expected.to_owned(), hint })
}

/// Refuses a number outside of a range.
pub(super) fn within<T: PartialOrd + fmt::Display>(
    key: &'static str,
    found: T,
    range: RangeInclusive<T>,
    hint: &'static str,
) -> Result<(), SettingsError> {
    if range.contains(&found) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(SettingsError::Invalid { key, found: found.to_string(), expected, hint })
}

/// Refuses what is no address of e-mail. It cannot say whether somebody reads it.
pub(super) fn email(key: &'static str, found: Option<&str>) -> Result<(), SettingsError> {
    let Some(address) = found else { return Ok(()) };
    let ok = address.len() <= 254
        && address.bytes().all(|b| b.is_ascii_graphic())
        && address.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.contains('.')
                && host.split('.').all(|part| !part.is_empty())
                && !host.contains('@')
        });
    check(key, address, ok, "an address such as team@example.com", "leave it out to send no e-mail")
}

/// Refuses what EventBridge Scheduler does not take as a schedule that repeats.
pub(super) fn schedule(key: &'static str, found: &str) -> Result<(), SettingsError> {
    let expected = "cron(minutes hours day-of-month month day-of-week year) or rate(value unit)";
    let hint = "for example cron(20 * * * ? *), or rate(1 hour); times are in UTC";
    check(key, found, schedule_is_valid(found), expected, hint)
}

/// Whether a schedule has the form of EventBridge Scheduler (guide, "Schedule types"). The values of its fields are
/// judged by AWS.
fn schedule_is_valid(text: &str) -> bool {
    let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(cron) = inside("cron") {
        let fields: Vec<&str> = cron.split(' ').collect();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b",-*/?#".contains(&b);
        let [_, _, day_of_month, _, day_of_week, _] = fields.as_slice() else { return false };
        return fields.iter().all(|field| !field.is_empty() && field.bytes().all(allowed))
            && (*day_of_month == "?") != (*day_of_week == "?");
    }
    let Some((value, unit)) = inside("rate").and_then(|rate| rate.split_once(' ')) else { return false };
    value.parse::<u32>().is_ok_and(|value| value > 0)
        && ["minute", "minutes", "hour", "hours", "day", "days"].contains(&unit)
}

/// Whether a text is an hour of the calendar, `yyyy/MM/dd/HH`.
pub(super) fn hour_is_valid(text: &str) -> bool {
    let part = |part: &str, digits: usize| {
        let whole = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        whole.then(|| part.parse::<u32>().ok()).flatten()
    };
    let parts: Vec<&str> = text.split('/').collect();
    let [year, month, day, hour] = parts.as_slice() else { return false };
    match (part(year, 4), part(month, 2), part(day, 2), part(hour, 2)) {
        (Some(year @ 2000..=2999), Some(month @ 1..=12), Some(day), Some(0..=23)) => {
            (1..=days_of(year, month)).contains(&day)
        }
        _ => false,
    }
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether S3 takes a name (S3 guide, "General purpose bucket naming rules").
pub(super) fn bucket_is_valid(name: &str) -> bool {
    let at_end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && at_end(name.bytes().next())
        && at_end(name.bytes().last())
        && !name.contains("..")
        && !(name.split('.').count() == 4 && name.split('.').all(is_number))
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a text is the name of a host below a domain.
pub(super) fn host_is_valid(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// Whether a text is the ARN of a resource of `service`: `arn:partition:service:region:account:resource`.
pub(super) fn arn_is_valid(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, of, region, account, resource] = parts.as_slice() else { return false };
    partition.starts_with("aws")
        && *of == service
        && !region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !resource.is_empty()
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The Regions that are open to a commercial account as of 2026. A name that is none of them is most likely mistyped.
pub(super) const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_their_month() {
        for (text, expected) in [
            ("2024/02/29/00", true),
            ("2000/02/29/23", true),
            ("2100/02/29/00", false),
            ("2026/02/28/00", true),
            ("2026/04/31/00", false),
            ("2026/12/31/23", true),
            ("2026/01/00/00", false),
            ("2026/13/01/00", false),
            ("2026/01/01/24", false),
            ("2026/1/01/00", false),
            ("+026/01/01/00", false),
            ("2026/01/01", false),
        ] {
            assert_eq!(hour_is_valid(text), expected, "{text}");
        }
    }

    #[test]
    fn schedules_have_the_form_of_the_scheduler() {
        for (text, expected) in [
            ("cron(20 * * * ? *)", true),
            ("cron(0 6 ? * MON-FRI 2026-2030)", true),
            ("rate(1 hour)", true),
            ("rate(15 minutes)", true),
            ("cron(20 * * * * *)", false),
            ("cron(20 * ? * ? *)", false),
            ("cron(20 * * * ?)", false),
            ("20 * * * ? *", false),
            ("rate(0 hours)", false),
            ("rate(1 second)", false),
            ("at(2026-01-01T00:00:00)", false),
        ] {
            assert_eq!(schedule_is_valid(text), expected, "{text}");
        }
    }

    #[test]
    fn arns_name_their_service_and_account() {
        let good = "arn:aws:codeconnections:eu-west-1:123456789012:connection/0a1b";
        assert!(arn_is_valid(good, "codeconnections"));
        for bad in ["arn:aws:codeconnections:eu-west-1:1234:connection/a", "arn:aws:acm:eu-west-1:123456789012:x", "x"]
        {
            assert!(!arn_is_valid(bad, "codeconnections"), "{bad}");
        }
    }

    #[test]
    fn hosts_lie_below_a_domain() {
        for (text, expected) in
            [("iot.example.com", true), ("localhost", false), ("-a.example.com", false), ("a..b", false)]
        {
            assert_eq!(host_is_valid(text), expected, "{text}");
        }
    }

    #[test]
    fn buckets_are_named_by_the_rules_of_s3() {
        let long = ["x".repeat(63), "x".repeat(64)];
        for (name, expected) in [
            ("abc", true),
            ("my.builds-2", true),
            ("1.2.3.4.example", true),
            (&long[0], true),
            (&long[1], false),
            ("ab", false),
            ("a_b", false),
            ("Builds", false),
            ("-builds", false),
            ("builds.", false),
            ("my..builds", false),
            ("192.168.5.4", false),
            ("xn--builds", false),
            ("sthree-builds", false),
            ("amzn-s3-demo-builds", false),
            ("builds-s3alias", false),
            ("builds--ol-s3", false),
            ("builds.mrap", false),
            ("builds--x-s3", false),
            ("builds--table-s3", false),
        ] {
            assert_eq!(bucket_is_valid(name), expected, "{name}");
        }
    }
}
