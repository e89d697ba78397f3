//! Policies, their versions and their targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arns::{certificate_arn, policy_arn, thing_group_arn};
use super::{Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::policy::Document;
use crate::iot::quotas::Quotas;
use world::time::Time;

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its versions by their numbers.
    pub versions: BTreeMap<u64, PolicyVersion>,
    /// Number of the version that is in force.
    pub default: u64,
    /// Number of the newest version there ever was.
    pub newest: u64,
    /// When it was created.
    pub created: Time,
    /// When it got its default version.
    pub modified: Time,
    /// Changes with each new version in force.
    pub generation: String,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVersion {
    /// The document as it was given.
    pub text: String,
    /// The document, checked.
    pub document: Document,
    /// When it was created.
    pub created: Time,
}

impl Policy {
    /// The version that is in force.
    pub fn in_force(&self) -> &PolicyVersion {
        self.versions.get(&self.default).expect("the default version is never deleted")
    }
}

/// What a policy is attached to.
pub(super) enum Target<'a> {
    /// A certificate of this account, by its id.
    Certificate(&'a str),
    /// A thing group, by its name.
    ThingGroup(&'a str),
}

/// Characters of a policy's name beside letters, digits and underscore.
const POLICY_NAME: &str = "+=,.@-";
/// Longest name of a policy, in characters.
const POLICY_NAME_MAX: usize = 128;

impl Registry {
    /// `CreatePolicy`.
    pub fn create_policy(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        text: &str,
    ) -> Result<&Policy, AwsError> {
        check_name("policy name", name, POLICY_NAME_MAX, POLICY_NAME)?;
        let document = Document::parse(text, quotas.policy_document_size)?;
        if self.policies.contains_key(name) {
            return Err(already_exists("the policy", name, policy_arn(cx, name)));
        }
        let generation = cx.uuid();
        let version = PolicyVersion { text: text.to_owned(), document, created: cx.now };
        let versions = BTreeMap::from([(1, version)]);
        let policy = Policy { versions, default: 1, newest: 1, created: cx.now, modified: cx.now, generation };
        self.policies.insert(name.into(), policy);
        self.policy(name)
    }

    /// `CreatePolicyVersion`. Answers the number of the version.
    pub fn create_policy_version(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        text: &str,
        as_default: bool,
    ) -> Result<u64, AwsError> {
        let document = Document::parse(text, quotas.policy_document_size)?;
        let policy = self.policy_mut(name)?;
        if policy.versions.len() >= quotas.policy_versions {
            let message =
                format!("The policy {name} already has the maximum number of versions ({})", quotas.policy_versions);
            return Err(AwsError::new("VersionsLimitExceededException", message).status(409));
        }
        policy.newest += 1;
        let number = policy.newest;
        policy.versions.insert(number, PolicyVersion { text: text.to_owned(), document, created: cx.now });
        if as_default {
            self.set_default_version(cx, name, number)?;
        }
        Ok(number)
    }

    /// What CloudFormation does to change a policy: a new default version. When there are as many as can be, the oldest
    /// that is not in force goes first (unverified).
    pub fn replace_policy(&mut self, cx: &mut Cx<'_>, quotas: &Quotas, name: &str, text: &str) -> Result<(), AwsError> {
        let policy = self.policy_mut(name)?;
        if policy.versions.len() >= quotas.policy_versions {
            let oldest = policy.versions.keys().copied().find(|number| *number != policy.default);
            policy.versions.retain(|number, _| Some(*number) != oldest);
        }
        self.create_policy_version(cx, quotas, name, text, true).map(drop)
    }

    /// `SetDefaultPolicyVersion`.
    pub fn set_default_version(&mut self, cx: &mut Cx<'_>, name: &str, number: u64) -> Result<(), AwsError> {
        let generation = cx.uuid();
        let now = cx.now;
        let policy = self.policy_mut(name)?;
        if !policy.versions.contains_key(&number) {
            return Err(no_version(name, number));
        }
        if policy.default != number {
            policy.default = number;
            policy.modified = now;
            policy.generation = generation;
        }
        self.policy_changed(name);
        Ok(())
    }

    /// `DeletePolicyVersion` of one that is not in force.
    pub fn delete_policy_version(&mut self, name: &str, number: u64) -> Result<(), AwsError> {
        let policy = self.policy_mut(name)?;
        if policy.default == number {
            let message = format!("Cannot delete the default version of the policy {name}");
            return Err(AwsError::new("DeleteConflictException", message).status(409));
        }
        policy.versions.remove(&number).map(drop).ok_or_else(|| no_version(name, number))
    }

    /// `DeletePolicy`. One that is attached, or has versions beside the one in force, stays.
    pub fn delete_policy(&mut self, name: &str) -> Result<(), AwsError> {
        let versions = self.policy(name)?.versions.len();
        let conflict = |message| Err(AwsError::new("DeleteConflictException", message).status(409));
        let certificates = self.certificates.values().filter(|certificate| certificate.policies.contains(name)).count();
        let groups = self.thing_groups.values().filter(|group| group.policies.contains(name)).count();
        if certificates + groups > 0 {
            let targets = certificates + groups;
            return conflict(format!("Cannot delete the policy {name}: it is attached to {targets} targets"));
        }
        if versions > 1 {
            return conflict(format!("Cannot delete the policy {name} because it has more than one version"));
        }
        self.policies.remove(name);
        Ok(())
    }

    /// What CloudFormation does to delete a policy: the versions that are not in force go first. One that is gone already
    /// is no error.
    pub fn drop_policy(&mut self, name: &str) -> Result<(), AwsError> {
        let Some(policy) = self.policies.get_mut(name) else { return Ok(()) };
        let default = policy.default;
        policy.versions.retain(|number, _| *number == default);
        self.delete_policy(name)
    }

    /// A policy by its name.
    pub fn policy(&self, name: &str) -> Result<&Policy, AwsError> {
        self.policies.get(name).ok_or_else(|| no_policy(name))
    }

    /// A version of a policy.
    pub fn policy_version(&self, name: &str, number: u64) -> Result<&PolicyVersion, AwsError> {
        self.policy(name)?.versions.get(&number).ok_or_else(|| no_version(name, number))
    }

    fn policy_mut(&mut self, name: &str) -> Result<&mut Policy, AwsError> {
        self.policies.get_mut(name).ok_or_else(|| no_policy(name))
    }

    /// `AttachPolicy` to a certificate or a thing group, named by its ARN. The same again is no error. The limit of ten is
    /// one of principals; that it holds for groups is unverified.
    pub fn attach_policy(&mut self, cx: &Cx<'_>, quotas: &Quotas, name: &str, target: &str) -> Result<(), AwsError> {
        let (policy, _) = self.policies.get_key_value(name).ok_or_else(|| no_policy(name))?;
        let policy = policy.clone();
        let target = Target::of(cx, target)?;
        let policies = self.policies_of(&target)?;
        if policies.len() >= quotas.policies_per_principal && !policies.contains(name) {
            let message = format!("a target has at most {} policies", quotas.policies_per_principal);
            return Err(AwsError::new("LimitExceededException", message).status(410));
        }
        policies.insert(policy);
        self.target_changed(&target);
        Ok(())
    }

    /// `DetachPolicy`. One that is not attached is no error.
    pub fn detach_policy(&mut self, cx: &Cx<'_>, name: &str, target: &str) -> Result<(), AwsError> {
        let target = Target::of(cx, target)?;
        self.policies_of(&target)?.remove(name);
        self.target_changed(&target);
        Ok(())
    }

    fn policies_of(&mut self, target: &Target<'_>) -> Result<&mut BTreeSet<Arc<str>>, AwsError> {
        match target {
            Target::Certificate(id) => {
                let certificate = self.certificates.get_mut(*id);
                let missing = || not_found(format!("the certificate {id} does not exist"));
                Ok(&mut certificate.ok_or_else(missing)?.policies)
            }
            Target::ThingGroup(name) => {
                let group = self.thing_groups.get_mut(*name);
                let missing = || not_found(format!("the thing group {name} does not exist"));
                Ok(&mut group.ok_or_else(missing)?.policies)
            }
        }
    }

    /// `ListAttachedPolicies`: names of the policies of a certificate or a thing group; with `recursive` those of the
    /// groups above too.
    pub fn attached_policies(
        &self,
        cx: &Cx<'_>,
        target: &str,
        recursive: bool,
    ) -> Result<BTreeSet<Arc<str>>, AwsError> {
        match Target::of(cx, target)? {
            Target::Certificate(id) => {
                let certificate = self.certificate(id)?;
                let mut policies = certificate.policies.clone();
                if recursive {
                    for thing in certificate.things.iter().filter_map(|name| self.things.get(name)) {
                        policies.extend(self.policies_of_groups(thing).cloned());
                    }
                }
                Ok(policies)
            }
            Target::ThingGroup(name) => {
                let group = self.thing_group(name)?;
                let above = if recursive { self.path(&name.into()) } else { Vec::new() };
                let above = above.iter().filter_map(|name| self.thing_groups.get(name));
                Ok(group.policies.iter().chain(above.flat_map(|group| &group.policies)).cloned().collect())
            }
        }
    }

    /// `ListTargetsForPolicy`: ARNs of certificates and thing groups, in their order.
    pub fn targets_of(&self, cx: &Cx<'_>, name: &str) -> Result<Vec<String>, AwsError> {
        self.policy(name)?;
        let certificates = self.certificates.iter().filter(|(_, certificate)| certificate.policies.contains(name));
        let groups = self.thing_groups.iter().filter(|(_, group)| group.policies.contains(name));
        let arns = certificates.map(|(id, _)| certificate_arn(cx, id));
        Ok(arns.chain(groups.map(|(name, _)| thing_group_arn(cx, name))).collect())
    }

    /// Names of the policies of a thing's groups and of those above them.
    pub(super) fn policies_of_groups<'r>(&'r self, thing: &'r super::Thing) -> impl Iterator<Item = &'r Arc<str>> {
        let groups = thing.groups.iter().flat_map(|group| self.path(group));
        groups.filter_map(|name| self.thing_groups.get(&name)).flat_map(|group| &group.policies)
    }

    /// Names of the policies that a thing has by its groups.
    pub fn policies_of_thing(&self, name: &str) -> Result<BTreeSet<Arc<str>>, AwsError> {
        Ok(self.policies_of_groups(self.thing(name)?).cloned().collect())
    }

    /// Notes that a policy has another version in force.
    fn policy_changed(&mut self, name: &str) {
        let theirs = self.certificates.iter().filter(|(_, certificate)| certificate.policies.contains(name));
        self.changed.extend(theirs.map(|(id, _)| id.clone()));
        let groups = self.thing_groups.iter().filter(|(_, group)| group.policies.contains(name));
        for group in groups.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.group_changed(&group);
        }
    }

    fn target_changed(&mut self, target: &Target<'_>) {
        match target {
            Target::Certificate(id) => drop(self.changed.insert((*id).into())),
            Target::ThingGroup(name) => self.group_changed(name),
        }
    }

    /// Notes that the policies of a group or the place of the group changed: for all things in it and below it.
    pub(super) fn group_changed(&mut self, name: &str) {
        let is_under = |group: &Arc<str>| self.path(group).iter().any(|above| **above == *name);
        let things = self.things.values().filter(|thing| thing.groups.iter().any(is_under));
        let principals: Vec<Arc<str>> = things.flat_map(|thing| thing.principals.iter().cloned()).collect();
        self.changed.extend(principals);
    }
}

impl Target<'_> {
    /// The target of an ARN.
    fn of<'a>(cx: &Cx<'_>, arn: &'a str) -> Result<Target<'a>, AwsError> {
        if let Some(id) = arn.strip_prefix(&certificate_arn(cx, "")) {
            return Ok(Target::Certificate(id));
        }
        if let Some(name) = arn.strip_prefix(&thing_group_arn(cx, "")) {
            return Ok(Target::ThingGroup(name));
        }
        if !arn.starts_with("arn:") {
            return Err(AwsError::not_modelled(format!("iot policies of Cognito identities, as {arn}")));
        }
        Err(invalid(format!("{arn:?} is no ARN of a certificate or a thing group of this account")))
    }
}

fn no_policy(name: &str) -> AwsError {
    not_found(format!("the policy {name} does not exist"))
}

fn no_version(name: &str, number: u64) -> AwsError {
    not_found(format!("the policy {name} has no version {number}"))
}
