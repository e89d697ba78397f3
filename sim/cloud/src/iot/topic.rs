//! Topics and topic filters.

use rumqttc::mqttbytes::valid_filter;

/// Longest topic or filter, in bytes of UTF-8, and most slashes in it (quotas `topic_length`, `topic_slashes`).
pub const LENGTH_MAX: usize = 256;
/// See [`LENGTH_MAX`].
pub const SLASHES_MAX: usize = 7;

/// A topic filter, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Box<str>);

impl Filter {
    /// Checks a filter, or says why it is none.
    pub fn parse(text: &str) -> Result<Filter, &'static str> {
        check_filter(text)?;
        Ok(Filter(text.into()))
    }

    /// The filter as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the filter names reserved topics, which begin with `$`, other than those of [`is_known_reserved`].
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$') && !is_known_reserved(&self.0)
    }

    /// See [`matches`].
    #[cfg(test)]
    pub fn matches(&self, segments: &[&str]) -> bool {
        matches(&self.0, segments)
    }
}

/// Whether a filter matches a topic with these segments: the plain form of what the trie answers. `#` stands for one level
/// or more; unlike the standard it does not match the parent. No wildcard stands for the first level of a reserved topic.
pub fn matches(filter: &str, segments: &[&str]) -> bool {
    if filter.starts_with(['#', '+']) && segments.first().is_some_and(|first| first.starts_with('$')) {
        return false;
    }
    let mut rest = segments;
    for level in filter.split('/') {
        let Some((first, others)) = rest.split_first() else { return false };
        match level {
            "#" => return true,
            "+" => rest = others,
            exact if exact == *first => rest = others,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Reserved topics on which the simulated services publish or are asked: `*` stands for one level. Sources: "Reserved
/// topics", "Registry events" and "Lifecycle events" of the IoT Core guide. Jobs, Device Defender and the rest are missing.
const RESERVED: &[&str] = &[
    "$aws/events/presence/connected/*",
    "$aws/events/presence/disconnected/*",
    "$aws/events/presence/connect_failed/*",
    "$aws/events/subscriptions/subscribed/*",
    "$aws/events/subscriptions/unsubscribed/*",
    "$aws/events/thing/*/created",
    "$aws/events/thing/*/updated",
    "$aws/events/thing/*/deleted",
    "$aws/events/thingType/*/created",
    "$aws/events/thingType/*/updated",
    "$aws/events/thingType/*/deleted",
    "$aws/events/thingTypeAssociation/thing/*/thingType/*/added",
    "$aws/events/thingTypeAssociation/thing/*/thingType/*/removed",
    "$aws/events/thingGroup/*/created",
    "$aws/events/thingGroup/*/updated",
    "$aws/events/thingGroup/*/deleted",
    "$aws/events/thingGroupMembership/thingGroup/*/thing/*/added",
    "$aws/events/thingGroupMembership/thingGroup/*/thing/*/removed",
    "$aws/events/thingGroupHierarchy/thingGroup/*/childThingGroup/*/added",
    "$aws/events/thingGroupHierarchy/thingGroup/*/childThingGroup/*/removed",
    "$aws/events/certificates/registered/*",
    "$aws/certificates/create/json",
    "$aws/certificates/create/json/accepted",
    "$aws/certificates/create/json/rejected",
    "$aws/certificates/create-from-csr/json",
    "$aws/certificates/create-from-csr/json/accepted",
    "$aws/certificates/create-from-csr/json/rejected",
    "$aws/provisioning-templates/*/provision/json",
    "$aws/provisioning-templates/*/provision/json/accepted",
    "$aws/provisioning-templates/*/provision/json/rejected",
];

/// What follows `$aws/things/*/shadow/` and `$aws/things/*/shadow/name/*/`.
const SHADOW: &[&str] = &[
    "get",
    "get/accepted",
    "get/rejected",
    "update",
    "update/accepted",
    "update/rejected",
    "update/delta",
    "update/documents",
    "delete",
    "delete/accepted",
    "delete/rejected",
];

/// Whether a filter can match a reserved topic that is modelled.
pub fn is_known_reserved(filter: &str) -> bool {
    if RESERVED.iter().any(|known| overlap(filter.split('/'), known.split('/'))) {
        return true;
    }
    let prefixes = ["$aws/things/*/shadow", "$aws/things/*/shadow/name/*"];
    prefixes
        .iter()
        .any(|prefix| SHADOW.iter().any(|rest| overlap(filter.split('/'), prefix.split('/').chain(rest.split('/')))))
}

/// Whether a filter matches one of the topics of a pattern. The first level of a reserved topic has no wildcard.
fn overlap<'t>(mut filter: impl Iterator<Item = &'t str>, mut pattern: impl Iterator<Item = &'t str>) -> bool {
    loop {
        match (filter.next(), pattern.next()) {
            (Some("#"), Some(_)) | (None, None) => return true,
            (Some("+"), Some(known)) if !known.starts_with('$') => {}
            (Some(level), Some(known)) if known == "*" || known == level => {}
            _ => return false,
        }
    }
}

/// Says why a text is no topic filter.
pub fn check_filter(text: &str) -> Result<(), &'static str> {
    check_size(text)?;
    if valid_filter(text) { Ok(()) } else { Err("a topic filter has + as a whole level and # as the last one") }
}

/// Says why a text is no topic that can be published to. The prefix of Basic Ingest does not count for its size.
pub fn check_topic(text: &str) -> Result<(), &'static str> {
    check_size(without_rule(text))?;
    if text.bytes().any(|b| b == b'+' || b == b'#') { Err("a topic has no wildcards") } else { Ok(()) }
}

/// A topic without `$aws/rules/{rule}/`; as it is when nothing follows that.
fn without_rule(topic: &str) -> &str {
    let rest = topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/'));
    rest.map(|(_, topic)| topic).filter(|topic| !topic.is_empty()).unwrap_or(topic)
}

fn check_size(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > LENGTH_MAX {
        return Err("a topic has 1 to 256 bytes");
    }
    let (mut slashes, mut nul) = (0, false);
    for byte in text.bytes() {
        slashes += usize::from(byte == b'/');
        nul |= byte == 0;
    }
    if nul {
        return Err("a topic has no NUL");
    }
    if slashes > SLASHES_MAX { Err("a topic has at most 7 slashes") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_aws_documents_it() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/+", "a/", true),
            ("a/#", "a", false),
            ("a/#", "a/", true),
            ("a/#", "a/b/c", true),
            ("#", "a", true),
            ("+", "a", true),
            ("+", "a/b", false),
            ("+/+", "/", true),
            ("tenant/+/device/+/data", "tenant/acme/device/d1/data", true),
            ("tenant/+/device/+/data", "tenant/acme/device/d1/datum", false),
            ("tenant/+/device/+/data", "tenant/acme/x/device/d1/data", false),
        ] {
            let segments: Vec<&str> = topic.split('/').collect();
            assert_eq!(Filter::parse(filter).unwrap().matches(&segments), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn filters_on_reserved_topics_are_known_where_the_topics_are() {
        for (filter, expected) in [
            ("$aws/events/presence/connected/d1", true),
            ("$aws/events/presence/+/+", true),
            ("$aws/events/presence/connected/d1/x", false),
            ("$aws/events/presence", false),
            ("$aws/events/#", true),
            ("$aws/#", true),
            ("$aws/events/thing/+/created", true),
            ("$aws/events/thing/+/renamed", false),
            ("$aws/events/thingGroupMembership/thingGroup/g/thing/+/added", true),
            ("$aws/things/d1/shadow/update/delta", true),
            ("$aws/things/+/shadow/name/+/update/documents", true),
            ("$aws/things/d1/shadow/get/delta", false),
            ("$aws/things/d1/shadow/#", true),
            ("$aws/things/d1/jobs/notify", false),
            ("$aws/certificates/create/json/accepted", true),
            ("$aws/certificates/create/cbor/accepted", false),
            ("$aws/provisioning-templates/t/provision/json/rejected", true),
            ("$aws/rules/r/a", false),
            ("$SYS/broker", false),
            ("$share/g/a", false),
        ] {
            assert_eq!(is_known_reserved(filter), expected, "{filter}");
        }
    }

    #[test]
    fn texts_beyond_the_limits_are_no_topics() {
        let ingest = format!("$aws/rules/{}/1/2/3/4/5/6/7/8", "r".repeat(200));
        assert!(check_topic(&ingest).is_ok(), "the prefix of Basic Ingest does not count");
        assert!(check_topic(&format!("{ingest}/9")).is_err());
        assert!(check_topic(&"a".repeat(LENGTH_MAX)).is_ok());
        assert!(check_topic("1/2/3/4/5/6/7/8").is_ok());
        for bad in ["", &"a".repeat(LENGTH_MAX + 1), "1/2/3/4/5/6/7/8/9", "a/+", "a/#", "a\0b"] {
            assert!(check_topic(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a/#/b", "a+/b", "a#"] {
            assert!(check_filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_limits_are_those_of_the_quota_table() {
        let limits = crate::core::Limits::aws_defaults();
        assert_eq!(limits.get("iot-core", "topic_length"), LENGTH_MAX as u64);
        assert_eq!(limits.get("iot-core", "topic_slashes"), SLASHES_MAX as u64);
    }
}
