//! AWS IAM: users, roles and managed policies, and who may assume which role.
//!
//! Modelled: `AWS::IAM::Role`, `AWS::IAM::User`, `AWS::IAM::ManagedPolicy`, `AWS::IAM::Policy`, each created, changed and
//! deleted; inline and managed policies, permissions boundaries, tags; trust policies with conditions and federated
//! principals; names, sizes and numbers within IAM's limits; policy documents are read strictly (see `core/policy`) and
//! refused with MalformedPolicyDocument. What is written here takes effect at once, where AWS takes seconds.
//!
//! Partly modelled: a managed policy that a role and the policy itself both declare is held until neither declares it, where
//! AWS knows one attachment and detaches it with the first; a trust or resource policy keeps the ARN of a role, where AWS keeps the role's unique id; of the
//! policies that AWS manages, those in `managed.rs`.
//!
//! The operations PutRolePolicy and DeleteRolePolicy, and what they change, are there for the account's owner (`inline`).
//!
//! Refused, by name: groups, login profiles, paths of roles and users, instance profiles, identity providers, versions of
//! managed policies, other policies that AWS manages, and IAM's own interface (Query). Texts of errors are unverified.

mod change;
mod identity;
mod inline;
mod managed;
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::core::access::Identity;
use crate::core::policy::{Caller, Document, Kind, Policies, Purpose, Request};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use identity::Holder;
use managed::ManagedPolicy;
use properties::{ManagedPolicyProperties, PolicyProperties, RoleProperties, UserProperties};
use world::time::Time;

/// A role: what it may do, and who may assume it.
#[derive(Clone, Debug)]
pub struct Role {
    /// What it holds.
    holder: Holder,
    /// Who may assume it.
    trust: Arc<Document>,
    /// Longest session in seconds.
    max_session_s: u64,
}

impl Role {
    /// ARN.
    pub fn arn(&self) -> &str {
        &self.holder.arn
    }

    /// Unique id, `AROA…`.
    pub fn id(&self) -> &str {
        &self.holder.id
    }

    /// Who may assume it.
    pub fn trust(&self) -> &Arc<Document> {
        &self.trust
    }

    /// Longest session in seconds.
    pub fn max_session_s(&self) -> u64 {
        self.max_session_s
    }

    /// Tags.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.holder.tags
    }
}

/// The identities of the account.
#[derive(Debug, Default)]
pub struct Iam {
    roles: BTreeMap<String, Role>,
    users: BTreeMap<String, Holder>,
    /// Customer-managed policies by ARN.
    managed: BTreeMap<String, ManagedPolicy>,
}

pub(super) fn malformed(why: impl std::fmt::Display) -> AwsError {
    AwsError::new("MalformedPolicyDocument", format!("{why}"))
}

fn no_such_entity(message: String) -> AwsError {
    AwsError::new("NoSuchEntity", message).status(404)
}

fn exists(what: &str, name: &str) -> AwsError {
    AwsError::new("EntityAlreadyExists", format!("{what} with name {name} already exists.")).status(409)
}

fn limit_exceeded(message: String) -> AwsError {
    AwsError::new("LimitExceeded", message).status(409)
}

/// Reads a policy of an identity.
fn read_policy(document: &Value) -> Result<Arc<Document>, AwsError> {
    Document::parse(document, Purpose::Identity).map(Arc::new).map_err(malformed)
}

impl Iam {
    /// Creates a resource. `Ref` of a role, a user and an inline policy is the name, that of a managed policy the ARN.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::IAM::Role" => ("CreateRole", self.create_role(cx, resource)),
            "AWS::IAM::User" => ("CreateUser", self.create_user(cx, resource)),
            "AWS::IAM::ManagedPolicy" => ("CreatePolicy", self.create_managed_policy(cx, resource)),
            "AWS::IAM::Policy" => ("PutRolePolicy", self.create_inline_policy(cx, resource)),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        if result.is_ok() {
            cx.meter.call("iam", operation, Outcome::Ok);
        }
        result
    }

    fn create_role(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: RoleProperties = resource.parse()?;
        let name = properties.role_name.clone();
        if self.roles.contains_key(&name) {
            return Err(exists("Role", &name));
        }
        let roles_max = cx.limits.get("iam", "roles");
        if self.roles.len() as u64 >= roles_max {
            return Err(limit_exceeded(format!("Cannot exceed quota for RolesPerAccount: {roles_max}")));
        }
        let arn = format!("arn:aws:iam::{}:role/{name}", cx.account.id);
        let id = unique_id(cx, "AROA");
        let role = Self::role_of(cx, resource, properties, arn.clone(), id.clone())?;
        self.check_holder(cx, &role.holder, "role", &name)?;
        self.roles.insert(name.clone(), role);
        self.publish_role(cx, &name)?;
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("RoleId", id))
    }

    /// The role that properties describe. What it holds is to be checked.
    fn role_of(
        cx: &Cx<'_>,
        resource: &Resource,
        properties: RoleProperties,
        arn: String,
        id: String,
    ) -> Result<Role, AwsError> {
        properties.check(cx, resource)?;
        let trust = Document::parse(&properties.assume_role_policy_document, Purpose::Trust).map_err(malformed)?;
        let max_session_s = properties.max_session_duration.unwrap_or(3_600);
        if !(3_600..=43_200).contains(&max_session_s) {
            let message = format!("MaxSessionDuration is 3600 to 43200 seconds, not {max_session_s}");
            return Err(AwsError::new("ValidationError", message));
        }
        let holder = Holder {
            arn,
            id,
            inline: properties::inline(&properties.policies)?,
            attached_inline: BTreeMap::new(),
            managed: properties.managed_policy_arns,
            attached_managed: BTreeSet::new(),
            boundary: properties.permissions_boundary,
            tags: properties::tags(&properties.tags)?,
        };
        Ok(Role { holder, trust: Arc::new(trust), max_session_s })
    }

    fn create_user(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: UserProperties = resource.parse()?;
        let name = properties.user_name.clone();
        if self.users.contains_key(&name) {
            return Err(exists("User", &name));
        }
        let arn = format!("arn:aws:iam::{}:user/{name}", cx.account.id);
        let id = unique_id(cx, "AIDA");
        let user = Self::user_of(cx, properties, arn.clone(), id)?;
        self.check_holder(cx, &user, "user", &name)?;
        self.users.insert(name.clone(), user);
        self.publish_user(cx, &name)?;
        Ok(Provisioned::new(name).attribute("Arn", arn))
    }

    /// The user that properties describe. What it holds is to be checked.
    fn user_of(cx: &Cx<'_>, properties: UserProperties, arn: String, id: String) -> Result<Holder, AwsError> {
        properties::check_name("userName", &properties.user_name, properties::ROLE_NAME_CHARS_MAX)?;
        let holder = Holder {
            arn,
            id,
            inline: properties::inline(&properties.policies)?,
            attached_inline: BTreeMap::new(),
            managed: properties.managed_policy_arns,
            attached_managed: BTreeSet::new(),
            boundary: properties.permissions_boundary,
            tags: properties::tags(&properties.tags)?,
        };
        let most = cx.limits.get("iam", "inline_user");
        if properties.policies.iter().map(|p| properties::size_chars(&p.policy_document)).sum::<u64>() > most {
            let name = &properties.user_name;
            return Err(limit_exceeded(format!("Maximum policy size of {most} bytes exceeded for user {name}")));
        }
        Ok(holder)
    }

    fn create_managed_policy(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: ManagedPolicyProperties = resource.parse()?;
        let arn = properties.arn(cx.account, resource)?;
        if self.managed.contains_key(&arn) {
            let message = format!("A policy called {} already exists. Duplicate names are not allowed.", arn);
            return Err(AwsError::new("EntityAlreadyExists", message).status(409));
        }
        let policies_max = cx.limits.get("iam", "customer_policies");
        if self.managed.len() as u64 >= policies_max {
            return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerAccount: {policies_max}")));
        }
        let id = unique_id(cx, "ANPA");
        let policy = ManagedPolicy { id: id.clone(), document: properties.read(cx)? };
        self.check_attachment(cx, &arn, &properties)?;
        self.managed.insert(arn.clone(), policy);
        self.attach_managed(&arn, &properties);
        self.publish_all(cx)?;
        Ok(Provisioned::new(arn.clone()).attribute("PolicyArn", arn).attribute("PolicyId", id))
    }

    fn create_inline_policy(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: PolicyProperties = resource.parse()?;
        let document = self.read_inline_policy(cx, &properties)?;
        self.put_inline_policy(&properties, &document);
        self.publish_all(cx)?;
        Ok(Provisioned::new(properties.policy_name))
    }

    /// The role with this ARN.
    pub fn role(&self, arn: &str) -> Option<&Role> {
        let name = arn.rsplit('/').next()?;
        self.roles.get(name).filter(|role| role.holder.arn == arn)
    }

    /// Checks that `service` (such as `lambda.amazonaws.com`) may assume the role on behalf of its own account.
    pub fn check_assumable(&self, arn: &str, service: &str) -> Result<(), AwsError> {
        self.check_assumable_for(arn, service, None)
    }

    /// The same, on behalf of a resource: trust policies may ask for `aws:SourceArn`.
    pub fn check_assumable_for(&self, arn: &str, service: &str, source: Option<&str>) -> Result<(), AwsError> {
        let Some(role) = self.role(arn) else {
            return Err(AwsError::new("ValidationError", format!("the role {arn} does not exist")));
        };
        let account = arn.split(':').nth(4).unwrap_or("");
        let mut context = vec![("aws:SourceAccount", account)];
        context.extend(source.map(|source| ("aws:SourceArn", source)));
        let none = BTreeMap::new();
        let request = Request {
            now: Time::EPOCH,
            region: "",
            account,
            caller: Caller::Service(service),
            user_id: "",
            tags: &none,
            session_tags: &none,
            issued: None,
            action: "sts:AssumeRole",
            resource: arn,
            context: &context,
        };
        let policies = Policies {
            resource: Some(&role.trust),
            resource_kind: Kind::Trust,
            resource_must_allow: true,
            ..Policies::default()
        };
        match request.evaluate(&policies).decision {
            Ok(()) => Ok(()),
            Err(_) => Err(AwsError::new("ValidationError", format!("the role {arn} cannot be assumed by {service}"))),
        }
    }

    fn publish_role(&self, cx: &mut Cx<'_>, name: &str) -> Result<(), AwsError> {
        let role = &self.roles[name];
        let identity = self.identity_of(&role.holder)?;
        cx.access.put_role(name, identity);
        Ok(())
    }

    fn publish_user(&self, cx: &mut Cx<'_>, name: &str) -> Result<(), AwsError> {
        let identity = self.identity_of(&self.users[name])?;
        cx.access.put_user(name, identity);
        Ok(())
    }

    fn publish_all(&self, cx: &mut Cx<'_>) -> Result<(), AwsError> {
        self.roles.keys().try_for_each(|name| self.publish_role(cx, name))?;
        self.users.keys().try_for_each(|name| self.publish_user(cx, name))
    }

    fn identity_of(&self, holder: &Holder) -> Result<Identity, AwsError> {
        let mut policies: Vec<Arc<Document>> = holder.inline.values().cloned().collect();
        policies.extend(holder.attached_inline.values().cloned());
        for arn in holder.all_managed() {
            policies.push(self.managed_document(arn)?);
        }
        let boundary = holder.boundary.as_deref().map(|arn| self.managed_document(arn)).transpose()?;
        let Holder { arn, id, tags, .. } = holder;
        Ok(Identity { arn: arn.clone(), id: id.clone(), policies, boundary, tags: tags.clone() })
    }
}

/// `AROA` and the like, and 17 characters.
fn unique_id(cx: &mut Cx<'_>, prefix: &str) -> String {
    format!("{prefix}{}", &cx.uuid().replace('-', "").to_uppercase()[..17])
}
