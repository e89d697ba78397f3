//! What a thing says of its device.

use std::fmt;

use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE};

/// Longest name of a thing group or a billing group (API reference, `CreateThingGroup`).
const GROUP_NAME_MAX: usize = 128;

/// A thing of the registry, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    pub name: String,
    /// Another thing of the same name has another id.
    pub id: String,
    pub version: i64,
    pub tenant: Option<String>,
    pub device_type: Option<String>,
    pub billing_group: Option<String>,
}

impl Thing {
    /// Takes what matters from a thing's attributes.
    pub fn with_attributes<'a>(mut self, attribute: impl Fn(&str) -> Option<&'a String>) -> Self {
        let value = |name| attribute(name).filter(|value| !value.is_empty()).cloned();
        self.tenant = value(TENANT_ATTRIBUTE);
        self.device_type = value(DEVICE_TYPE_ATTRIBUTE);
        self
    }

    /// Whether both are the same version of the same thing.
    pub fn is_same_version(&self, other: &Thing) -> bool {
        (&self.id, self.version) == (&other.id, other.version)
    }

    /// The tenant, and the name of its groups.
    pub fn tenant_and_group(&self, prefix: &str) -> Result<(&str, String), LeftAlone> {
        let tenant = self.tenant.as_deref().ok_or(LeftAlone::NoTenant)?;
        // Attributes may hold characters that neither topics nor groups may.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
        let group = format!("{prefix}{tenant}");
        if !tenant.chars().all(allowed) || group.len() > GROUP_NAME_MAX {
            return Err(LeftAlone::NotAGroup(tenant.to_owned()));
        }
        Ok((tenant, group))
    }
}

/// Why nothing is done with a thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeftAlone {
    /// It has no attribute with its tenant.
    NoTenant,
    /// No group can be named after its tenant.
    NotAGroup(String),
}

impl fmt::Display for LeftAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftAlone::NoTenant => write!(f, "it has no attribute {TENANT_ATTRIBUTE:?}"),
            LeftAlone::NotAGroup(tenant) => write!(
                f,
                "its tenant {tenant:?} cannot be part of a group's name: letters, digits, ':', '_' and '-', \
                 {GROUP_NAME_MAX} with the prefix"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_names_a_group_or_says_why_not() {
        let thing = |tenant: Option<&str>| Thing {
            name: "pump-1".to_owned(),
            id: "id".to_owned(),
            version: 1,
            tenant: tenant.map(str::to_owned),
            device_type: None,
            billing_group: None,
        };
        assert_eq!(thing(Some("acme")).tenant_and_group("p-").unwrap(), ("acme", "p-acme".to_owned()));
        assert_eq!(thing(None).tenant_and_group("p-").unwrap_err(), LeftAlone::NoTenant);
        for tenant in ["a/b", "a#b", "a.b", "a+b", &"x".repeat(127)] {
            let error = thing(Some(tenant)).tenant_and_group("p-").unwrap_err();
            assert_eq!(error, LeftAlone::NotAGroup(tenant.to_owned()));
        }
    }
}
