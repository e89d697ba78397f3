//! Denials that a fault explains: by whom they were met, what was denied, on what, and when. All others break the
//! invariant `authorization`.

use std::time::Duration;

use crate::cloud::core::access::Denial;
use crate::world::time::Time;

/// What a stroke denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denies {
    /// Name of the role that meets the denial.
    pub role: String,
    /// The service whose actions are denied; those of all when empty.
    pub service: String,
    /// What is part of the resource's ARN; any resource when empty.
    pub resource: String,
    /// How long after it was put right calls that were under way may still be denied.
    pub under_way: Duration,
}

/// A time in which denials are explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excuse {
    pub denies: Denies,
    pub from: Time,
    /// The last instant: when it was put right, and calls that were under way had ended.
    pub until: Time,
}

impl Excuse {
    /// What denied is put right.
    pub fn ends(&mut self, now: Time) {
        self.until = now + self.denies.under_way;
    }

    /// Whether the denial is explained.
    pub fn covers(&self, denial: &Denial) -> bool {
        let Denies { role, service, resource, .. } = &self.denies;
        let of_service = denial.action.split(':').next().is_some_and(|its| service.is_empty() || its == service);
        (self.from..=self.until).contains(&denial.at)
            && of_service
            && denial.resource.contains(resource.as_str())
            && role_of(&denial.principal) == Some(role.as_str())
    }
}

/// Name of the role behind a principal: the role itself, or a session of it.
fn role_of(principal: &str) -> Option<&str> {
    let (kind, rest) = principal.rsplit_once(':')?.1.split_once('/')?;
    match kind {
        "role" => rest.rsplit('/').next(),
        "assumed-role" => rest.split('/').next(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/enrichment-role/enrichment";
    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/directory";

    #[test]
    fn a_denial_is_explained_by_its_role_action_resource_and_time_and_by_nothing_less() {
        let denies = Denies {
            role: "enrichment-role".into(),
            service: "dynamodb".into(),
            resource: "/directory".into(),
            under_way: Duration::from_secs(5),
        };
        let mut excuse = Excuse { denies, from: Time::from_unix_secs(10), until: Time::MAX };
        excuse.ends(Time::from_unix_secs(15));
        for (second, principal, action, resource, expected) in [
            (10, SESSION, "dynamodb:BatchGetItem", TABLE, true),
            (20, "arn:aws:iam::123456789012:role/enrichment-role", "dynamodb:GetItem", TABLE, true),
            (9, SESSION, "dynamodb:BatchGetItem", TABLE, false),
            (21, SESSION, "dynamodb:BatchGetItem", TABLE, false),
            (15, SESSION, "kinesis:PutRecords", TABLE, false),
            (15, SESSION, "dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/other", false),
            (15, "arn:aws:sts::123456789012:assumed-role/other/enrichment-role", "dynamodb:GetItem", TABLE, false),
            (15, "arn:aws:iam::123456789012:user/enrichment-role", "dynamodb:GetItem", TABLE, false),
        ] {
            let denial = Denial {
                at: Time::from_unix_secs(second),
                principal: principal.to_owned(),
                action: action.to_owned(),
                resource: resource.to_owned(),
                message: String::new(),
                count: 1,
            };
            assert_eq!(excuse.covers(&denial), expected, "{denial:?}");
        }
    }
}
