//! Reserved topics (`$aws/...`): which service of IoT Core a publish to one of them asks. Source: "Reserved topics" of the
//! IoT Core guide.

/// What a publish to a reserved topic asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'t> {
    /// Basic Ingest: this rule alone, on this topic (what follows the rule's name).
    BasicIngest {
        /// The rule.
        rule: &'t str,
        /// The topic as the rule sees it.
        topic: &'t str,
    },
    /// A shadow: get, update or delete.
    Shadow {
        /// The thing.
        thing: &'t str,
        /// The named shadow; none for the classic one.
        name: Option<&'t str>,
        /// What is asked.
        verb: ShadowVerb,
    },
    /// `$aws/certificates/create/json` or `$aws/certificates/create-from-csr/json`.
    CreateCertificate {
        /// Whether the certificate is made from the device's signing request.
        from_csr: bool,
    },
    /// `$aws/provisioning-templates/{template}/provision/json`.
    Provision {
        /// The template.
        template: &'t str,
    },
}

/// What can be asked of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowVerb {
    /// `/get`
    Get,
    /// `/update`
    Update,
    /// `/delete`
    Delete,
}

/// What a publish to a topic that begins with `$` asks for; nothing when no service takes it.
pub fn request(topic: &str) -> Option<Request<'_>> {
    if let Some(rest) = topic.strip_prefix("$aws/rules/") {
        let (rule, topic) = rest.split_once('/').unwrap_or((rest, ""));
        return (!rule.is_empty()).then_some(Request::BasicIngest { rule, topic });
    }
    if !topic.starts_with("$aws/") {
        return None;
    }
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        ["$aws", "things", thing, "shadow", verb] => shadow(thing, None, verb),
        ["$aws", "things", thing, "shadow", "name", name, verb] => shadow(thing, Some(name), verb),
        ["$aws", "certificates", "create", "json"] => Some(Request::CreateCertificate { from_csr: false }),
        ["$aws", "certificates", "create-from-csr", "json"] => Some(Request::CreateCertificate { from_csr: true }),
        ["$aws", "provisioning-templates", template, "provision", "json"] => Some(Request::Provision { template }),
        _ => None,
    }
}

/// The part of a topic that its limits count: of Basic Ingest, what follows the rule's name.
pub fn counted(topic: &str) -> &str {
    match topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) if !rest.is_empty() => rest,
        _ => topic,
    }
}

fn shadow<'t>(thing: &'t str, name: Option<&'t str>, verb: &str) -> Option<Request<'t>> {
    let verb = match verb {
        "get" => ShadowVerb::Get,
        "update" => ShadowVerb::Update,
        "delete" => ShadowVerb::Delete,
        _ => return None,
    };
    Some(Request::Shadow { thing, name, verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_basic_ingest_does_not_count() {
        for (topic, expected) in [
            ("$aws/rules/r/a/b", "a/b"),
            ("$aws/rules/r/", "$aws/rules/r/"),
            ("$aws/rules/r", "$aws/rules/r"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(counted(topic), expected, "{topic}");
        }
    }

    #[test]
    fn publishes_to_reserved_topics_find_their_service() {
        let shadow = |name, verb| Some(Request::Shadow { thing: "t", name, verb });
        for (topic, expected) in [
            ("$aws/rules/r/a/b", Some(Request::BasicIngest { rule: "r", topic: "a/b" })),
            ("$aws/rules/r", Some(Request::BasicIngest { rule: "r", topic: "" })),
            ("$aws/rules/", None),
            ("$aws/things/t/shadow/get", shadow(None, ShadowVerb::Get)),
            ("$aws/things/t/shadow/name/n/update", shadow(Some("n"), ShadowVerb::Update)),
            ("$aws/things/t/shadow/name/n/delete", shadow(Some("n"), ShadowVerb::Delete)),
            ("$aws/things/t/shadow/update/accepted", None),
            ("$aws/certificates/create/json", Some(Request::CreateCertificate { from_csr: false })),
            ("$aws/certificates/create-from-csr/json", Some(Request::CreateCertificate { from_csr: true })),
            ("$aws/certificates/create/cbor", None),
            ("$aws/provisioning-templates/p/provision/json", Some(Request::Provision { template: "p" })),
            ("$aws/things/t/jobs/get", None),
            ("$aws/events/thing/t/created", None),
        ] {
            assert_eq!(request(topic), expected, "{topic}");
        }
    }
}
