//! Changes and deletions of CloudFormation resources.

use serde_json::Value;

use super::managed::ManagedPolicy;
use super::properties::{ManagedPolicyProperties, PolicyProperties, RoleProperties, UserProperties};
use super::{Iam, no_such_entity};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Iam {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::IAM::Role" => ("UpdateRole", self.update_role(cx, resource, physical_id)),
            "AWS::IAM::User" => ("UpdateUser", self.update_user(cx, resource, physical_id)),
            "AWS::IAM::ManagedPolicy" => {
                ("CreatePolicyVersion", self.update_managed_policy(cx, resource, physical_id, previous))
            }
            "AWS::IAM::Policy" => ("PutRolePolicy", self.update_inline_policy(cx, resource, previous)),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        if result.is_ok() {
            cx.meter.call("iam", operation, Outcome::Ok);
        }
        result
    }

    fn update_role(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let properties: RoleProperties = resource.parse()?;
        let missing = || no_such_entity(format!("The role with name {name} cannot be found."));
        let old = self.roles.get(name).ok_or_else(missing)?.holder.clone();
        let mut role = Self::role_of(cx, resource, properties, old.arn.clone(), old.id.clone())?;
        role.holder.attached_inline = old.attached_inline;
        role.holder.attached_managed = old.attached_managed;
        self.check_holder(cx, &role.holder, "role", name)?;
        self.roles.insert(name.to_owned(), role);
        self.publish_role(cx, name)?;
        Ok(Provisioned::new(name).attribute("Arn", old.arn).attribute("RoleId", old.id))
    }

    fn update_user(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let properties: UserProperties = resource.parse()?;
        let missing = || no_such_entity(format!("The user with name {name} cannot be found."));
        let old = self.users.get(name).ok_or_else(missing)?.clone();
        let mut user = Self::user_of(cx, properties, old.arn.clone(), old.id)?;
        user.attached_inline = old.attached_inline;
        user.attached_managed = old.attached_managed;
        self.check_holder(cx, &user, "user", name)?;
        self.users.insert(name.to_owned(), user);
        self.publish_user(cx, name)?;
        Ok(Provisioned::new(name).attribute("Arn", old.arn))
    }

    fn update_managed_policy(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        arn: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let properties: ManagedPolicyProperties = resource.parse()?;
        let old: ManagedPolicyProperties = Resource { properties: previous.clone(), ..resource.clone() }.parse()?;
        let missing = || no_such_entity(format!("Policy {arn} was not found."));
        let id = self.managed.get(arn).ok_or_else(missing)?.id.clone();
        let policy = ManagedPolicy { id: id.clone(), document: properties.read(cx)? };
        self.check_attachment(cx, &arn.to_owned(), &properties)?;
        self.managed.insert(arn.to_owned(), policy);
        self.detach_managed(arn, &old);
        self.attach_managed(arn, &properties);
        self.publish_all(cx)?;
        Ok(Provisioned::new(arn).attribute("PolicyArn", arn).attribute("PolicyId", id))
    }

    fn update_inline_policy(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let properties: PolicyProperties = resource.parse()?;
        let old: PolicyProperties = Resource { properties: previous.clone(), ..resource.clone() }.parse()?;
        let document = self.read_inline_policy(cx, &properties)?;
        self.delete_inline_policy(&old);
        self.put_inline_policy(&properties, &document);
        self.publish_all(cx)?;
        Ok(Provisioned::new(properties.policy_name))
    }

    /// Deletes a resource. A managed policy that somebody still holds cannot be deleted.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::IAM::Role" => {
                self.roles.remove(physical_id);
                cx.access.remove_role(physical_id);
                "DeleteRole"
            }
            "AWS::IAM::User" => {
                self.users.remove(physical_id);
                cx.access.remove_user(physical_id);
                "DeleteUser"
            }
            "AWS::IAM::ManagedPolicy" => {
                self.delete_managed_policy(resource, physical_id)?;
                self.publish_all(cx)?;
                "DeletePolicy"
            }
            "AWS::IAM::Policy" => {
                self.delete_inline_policy(&resource.parse()?);
                self.publish_all(cx)?;
                "DeleteRolePolicy"
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("iam", operation, Outcome::Ok);
        Ok(())
    }

    /// CloudFormation detaches a policy from those to whom its own declaration gives it; others keep it alive.
    fn delete_managed_policy(&mut self, resource: &Resource, arn: &str) -> Result<(), AwsError> {
        let properties: ManagedPolicyProperties = resource.parse()?;
        let given = |names: &[String], name: &str| names.iter().any(|given| given == name);
        let roles = self.roles.iter().map(|(name, role)| (given(&properties.roles, name), &role.holder));
        let users = self.users.iter().map(|(name, user)| (given(&properties.users, name), user));
        let in_use = roles.chain(users).any(|(is_given, holder)| {
            holder.boundary.as_deref() == Some(arn) || !is_given && holder.all_managed().iter().any(|held| *held == arn)
        });
        if in_use {
            let message = "Cannot delete a policy attached to entities.";
            return Err(AwsError::new("DeleteConflict", message).status(409));
        }
        self.forget_managed(arn);
        self.managed.remove(arn);
        Ok(())
    }
}
