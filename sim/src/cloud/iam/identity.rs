//! What users and roles hold, and the checks on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::properties::PolicyProperties;
use super::{Iam, limit_exceeded, no_such_entity, read_policy};
use crate::cloud::core::policy::Document;
use crate::cloud::core::{AwsError, Cx};

/// Policies and tags of a user or a role.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub arn: String,
    pub id: String,
    /// Inline policies that its own declaration names.
    pub inline: BTreeMap<String, Arc<Document>>,
    /// Inline policies of `AWS::IAM::Policy`.
    pub attached_inline: BTreeMap<String, Arc<Document>>,
    /// ARNs of managed policies.
    pub managed: Vec<String>,
    /// ARN of the boundary.
    pub boundary: Option<String>,
    pub tags: BTreeMap<String, String>,
}

impl Iam {
    /// Every policy that a holder names must exist, and there are not too many.
    pub(super) fn check_holder(&self, cx: &Cx<'_>, holder: &Holder, what: &str, name: &str) -> Result<(), AwsError> {
        let distinct: BTreeSet<&String> = holder.managed.iter().collect();
        let quota = if what == "role" { "managed_policies_per_role" } else { "managed_policies_per_user" };
        let most = cx.limits.get("iam", quota);
        if distinct.len() as u64 > most {
            return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPer{what}: {most} ({name})")));
        }
        holder.managed.iter().chain(&holder.boundary).try_for_each(|arn| self.managed_document(arn).map(drop))
    }

    fn holder(&mut self, role: Option<&str>, user: Option<&str>) -> Result<&mut Holder, AwsError> {
        match (role, user) {
            (Some(name), _) => {
                let missing = || no_such_entity(format!("The role with name {name} cannot be found."));
                self.roles.get_mut(name).map(|role| &mut role.holder).ok_or_else(missing)
            }
            (None, user) => {
                let name = user.unwrap_or("");
                let missing = || no_such_entity(format!("The user with name {name} cannot be found."));
                self.users.get_mut(name).ok_or_else(missing)
            }
        }
    }

    /// Lets roles and users hold a managed policy.
    pub(super) fn attach_managed(
        &mut self,
        cx: &mut Cx<'_>,
        arn: &str,
        roles: &[String],
        users: &[String],
    ) -> Result<(), AwsError> {
        for (role, user) in targets(roles, users) {
            let holder = self.holder(role, user)?;
            if !holder.managed.iter().any(|held| held == arn) {
                holder.managed.push(arn.to_owned());
            }
        }
        self.publish_all(cx)
    }

    /// Takes a managed policy from everyone who holds it.
    pub(super) fn detach_managed(&mut self, arn: &str) {
        let holders = self.roles.values_mut().map(|role| &mut role.holder).chain(self.users.values_mut());
        holders.for_each(|holder| holder.managed.retain(|held| held != arn));
    }

    /// Writes an inline policy of `AWS::IAM::Policy` to its roles and users.
    pub(super) fn put_inline_policy(&mut self, cx: &mut Cx<'_>, properties: &PolicyProperties) -> Result<(), AwsError> {
        properties.check(cx)?;
        let document = read_policy(&properties.policy_document)?;
        // All of them must exist before any is written to.
        for (role, user) in targets(&properties.roles, &properties.users) {
            self.holder(role, user)?;
        }
        for (role, user) in targets(&properties.roles, &properties.users) {
            let holder = self.holder(role, user)?;
            holder.attached_inline.insert(properties.policy_name.clone(), Arc::clone(&document));
        }
        self.publish_all(cx)
    }

    /// Takes an inline policy of `AWS::IAM::Policy` from its roles and users.
    pub(super) fn delete_inline_policy(&mut self, properties: &PolicyProperties) {
        for (role, user) in targets(&properties.roles, &properties.users) {
            if let Ok(holder) = self.holder(role, user) {
                holder.attached_inline.remove(&properties.policy_name);
            }
        }
    }
}

fn targets<'t>(roles: &'t [String], users: &'t [String]) -> impl Iterator<Item = (Option<&'t str>, Option<&'t str>)> {
    let roles = roles.iter().map(|name| (Some(name.as_str()), None));
    roles.chain(users.iter().map(|name| (None, Some(name.as_str()))))
}
