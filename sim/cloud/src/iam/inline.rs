//! Inline policies of a role, as its owner changes them by hand: `ListRolePolicies` with `GetRolePolicy`, `PutRolePolicy`,
//! `DeleteRolePolicy`. They take effect at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Iam, Role, no_such_entity};
use crate::core::policy::Document;
use crate::core::{AwsError, Cx, Outcome};

impl Iam {
    /// The inline policies of a role by name, without those of `AWS::IAM::Policy`.
    pub fn role_policies(&self, role: &str) -> Result<&BTreeMap<String, Arc<Document>>, AwsError> {
        self.roles.get(role).map(|role| &role.holder.inline).ok_or_else(|| missing(role))
    }

    /// `PutRolePolicy`, of a document that was read.
    pub fn put_role_policy(
        &mut self,
        cx: &mut Cx<'_>,
        role: &str,
        name: &str,
        document: Arc<Document>,
    ) -> Result<(), AwsError> {
        self.role_mut(role)?.holder.inline.insert(name.to_owned(), document);
        cx.meter.call("iam", "PutRolePolicy", Outcome::Ok);
        self.publish_role(cx, role)
    }

    /// `DeleteRolePolicy`.
    pub fn delete_role_policy(&mut self, cx: &mut Cx<'_>, role: &str, name: &str) -> Result<(), AwsError> {
        let removed = self.role_mut(role)?.holder.inline.remove(name);
        let absent = || no_such_entity(format!("The role policy with name {name} cannot be found."));
        removed.ok_or_else(absent)?;
        cx.meter.call("iam", "DeleteRolePolicy", Outcome::Ok);
        self.publish_role(cx, role)
    }

    fn role_mut(&mut self, role: &str) -> Result<&mut Role, AwsError> {
        self.roles.get_mut(role).ok_or_else(|| missing(role))
    }
}

fn missing(role: &str) -> AwsError {
    no_such_entity(format!("The role with name {role} cannot be found."))
}
