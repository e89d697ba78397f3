//! What users and roles hold, and the checks on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::properties::{ManagedPolicyProperties, PolicyProperties};
use super::{Iam, limit_exceeded, no_such_entity, read_policy};
use crate::core::policy::Document;
use crate::core::{AwsError, Cx};

/// Policies and tags of a user or a role.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub arn: String,
    pub id: String,
    /// Inline policies that its own declaration names.
    pub inline: BTreeMap<String, Arc<Document>>,
    /// Inline policies of `AWS::IAM::Policy`.
    pub attached_inline: BTreeMap<String, Arc<Document>>,
    /// ARNs of managed policies that its own declaration names.
    pub managed: Vec<String>,
    /// ARNs of managed policies whose declarations name it.
    pub attached_managed: BTreeSet<String>,
    /// ARN of the boundary.
    pub boundary: Option<String>,
    pub tags: BTreeMap<String, String>,
}

impl Holder {
    /// ARNs of all managed policies that it holds, each once.
    pub fn all_managed(&self) -> BTreeSet<&String> {
        self.managed.iter().chain(&self.attached_managed).collect()
    }
}

impl Iam {
    /// Every policy that a holder names must exist, and there are not too many.
    pub(super) fn check_holder(&self, cx: &Cx<'_>, holder: &Holder, what: &str, name: &str) -> Result<(), AwsError> {
        check_count(cx, &holder.all_managed(), what, name)?;
        holder.managed.iter().chain(&holder.boundary).try_for_each(|arn| self.managed_document(arn).map(drop))
    }

    fn holder(&self, role: Option<&str>, user: Option<&str>) -> Result<&Holder, AwsError> {
        match (role, user) {
            (Some(name), _) => {
                let missing = || no_such_entity(format!("The role with name {name} cannot be found."));
                self.roles.get(name).map(|role| &role.holder).ok_or_else(missing)
            }
            (None, user) => {
                let name = user.unwrap_or("");
                let missing = || no_such_entity(format!("The user with name {name} cannot be found."));
                self.users.get(name).ok_or_else(missing)
            }
        }
    }

    fn holder_mut(&mut self, role: Option<&str>, user: Option<&str>) -> Option<&mut Holder> {
        match (role, user) {
            (Some(name), _) => self.roles.get_mut(name).map(|role| &mut role.holder),
            (None, user) => self.users.get_mut(user.unwrap_or("")),
        }
    }

    /// Whether all whom a managed policy names exist and can hold it.
    pub(super) fn check_attachment(
        &self,
        cx: &Cx<'_>,
        arn: &String,
        properties: &ManagedPolicyProperties,
    ) -> Result<(), AwsError> {
        targets(&properties.roles, &properties.users).try_for_each(|(role, user)| {
            let mut held = self.holder(role, user)?.all_managed();
            held.insert(arn);
            check_count(cx, &held, if role.is_some() { "role" } else { "user" }, role.or(user).unwrap_or(""))
        })
    }

    /// Lets those whom a managed policy names hold it. Whether they can was checked before.
    pub(super) fn attach_managed(&mut self, arn: &str, properties: &ManagedPolicyProperties) {
        for (role, user) in targets(&properties.roles, &properties.users) {
            if let Some(holder) = self.holder_mut(role, user) {
                holder.attached_managed.insert(arn.to_owned());
            }
        }
    }

    /// Takes a managed policy from those whom its declaration named. Whoever names the policy itself keeps it.
    pub(super) fn detach_managed(&mut self, arn: &str, properties: &ManagedPolicyProperties) {
        for (role, user) in targets(&properties.roles, &properties.users) {
            if let Some(holder) = self.holder_mut(role, user) {
                holder.attached_managed.remove(arn);
            }
        }
    }

    /// Takes a managed policy from everyone who holds it.
    pub(super) fn forget_managed(&mut self, arn: &str) {
        let holders = self.roles.values_mut().map(|role| &mut role.holder).chain(self.users.values_mut());
        holders.for_each(|holder| {
            holder.managed.retain(|held| held != arn);
            holder.attached_managed.remove(arn);
        });
    }

    /// Reads an inline policy of `AWS::IAM::Policy`, whose roles and users must exist.
    pub(super) fn read_inline_policy(
        &self,
        cx: &Cx<'_>,
        properties: &PolicyProperties,
    ) -> Result<Arc<Document>, AwsError> {
        properties.check(cx)?;
        targets(&properties.roles, &properties.users).try_for_each(|(role, user)| self.holder(role, user).map(drop))?;
        read_policy(&properties.policy_document)
    }

    /// Writes an inline policy that was read to its roles and users.
    pub(super) fn put_inline_policy(&mut self, properties: &PolicyProperties, document: &Arc<Document>) {
        for (role, user) in targets(&properties.roles, &properties.users) {
            if let Some(holder) = self.holder_mut(role, user) {
                holder.attached_inline.insert(properties.policy_name.clone(), Arc::clone(document));
            }
        }
    }

    /// Takes an inline policy of `AWS::IAM::Policy` from its roles and users.
    pub(super) fn delete_inline_policy(&mut self, properties: &PolicyProperties) {
        for (role, user) in targets(&properties.roles, &properties.users) {
            if let Some(holder) = self.holder_mut(role, user) {
                holder.attached_inline.remove(&properties.policy_name);
            }
        }
    }
}

/// Whether these are not too many managed policies for one user or role.
fn check_count(cx: &Cx<'_>, managed: &BTreeSet<&String>, what: &str, name: &str) -> Result<(), AwsError> {
    let quota = if what == "role" { "managed_policies_per_role" } else { "managed_policies_per_user" };
    let most = cx.limits.get("iam", quota);
    if managed.len() as u64 > most {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPer{what}: {most} ({name})")));
    }
    Ok(())
}

fn targets<'t>(roles: &'t [String], users: &'t [String]) -> impl Iterator<Item = (Option<&'t str>, Option<&'t str>)> {
    let roles = roles.iter().map(|name| (Some(name.as_str()), None));
    roles.chain(users.iter().map(|name| (None, Some(name.as_str()))))
}
