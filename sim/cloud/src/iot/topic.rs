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

    /// Whether the filter names reserved topics, which begin with `$`, other than those of [`is_of_thing_events`].
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$') && !is_of_thing_events(&self.0)
    }

    /// Whether the filter matches a topic with these segments: the plain form of what the trie answers. `#` stands for
    /// one level or more; unlike the standard it does not match the parent.
    #[cfg(test)]
    pub fn matches(&self, segments: &[&str]) -> bool {
        let mut rest = segments;
        for level in self.0.split('/') {
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
}

/// Whether a filter names topics of the registry's events of things: the reserved topics that are modelled.
pub fn is_of_thing_events(filter: &str) -> bool {
    filter.starts_with("$aws/events/thing/")
}

/// Whether a filter names topics of the answers of fleet provisioning.
pub fn is_of_provisioning(filter: &str) -> bool {
    filter.starts_with("$aws/certificates/create") || filter.starts_with("$aws/provisioning-templates/")
}

/// Says why a text is no topic filter.
pub fn check_filter(text: &str) -> Result<(), &'static str> {
    check_size(text)?;
    if valid_filter(text) { Ok(()) } else { Err("a topic filter has + as a whole level and # as the last one") }
}

/// Says why a text is no topic that can be published to.
pub fn check_topic(text: &str) -> Result<(), &'static str> {
    check_size(text)?;
    if text.bytes().any(|b| b == b'+' || b == b'#') { Err("a topic has no wildcards") } else { Ok(()) }
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
    fn texts_beyond_the_limits_are_no_topics() {
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
