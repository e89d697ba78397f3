//! What the stack Identity owns: the user pool with its client, the identity pool, the role of tenants.

use std::collections::BTreeMap;

use super::{pools, tenant_role};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::cognito::{IdentityPoolPrincipalTag, IdentityPoolRoleAttachment, IdentityRoles};
use crate::template::{Published, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "identity";

/// Attribute of users that names their tenant.
pub(super) const TENANT_ATTRIBUTE: &str = "tenant_id";
/// Tag of sessions that names their tenant.
pub(super) const TENANT_TAG: &str = "tenant";

/// What the stack publishes for applications.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Id of the user pool.
    pub user_pool_id: Published,
    /// Id of the client by which applications sign users in.
    pub client_id: Published,
    /// Id of the identity pool, which gives credentials to users who have signed in.
    pub identity_pool_id: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            user_pool_id: naming.published(STACK, "user-pool-id"),
            client_id: naming.published(STACK, "client-id"),
            identity_pool_id: naming.published(STACK, "identity-pool-id"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let description = "Cross-cutting: users, and credentials that reach their tenant only.";
    let mut template = Template::of_stack(settings, STACK, description);
    let users = template.add_data("UserPool", pools::users(settings));
    let client = template.add("UserPoolClient", pools::client(settings, &users));
    let identities = template.add("IdentityPool", pools::identities(naming, &users, &client));
    let role = template.add("TenantRole", tenant_role::role(naming, &identities));
    template.add(
        "IdentityPoolRoles",
        IdentityPoolRoleAttachment {
            identity_pool_id: identities.id(),
            roles: IdentityRoles { authenticated: role.arn() },
        },
    );
    template.add(
        "TenantTag",
        IdentityPoolPrincipalTag {
            identity_pool_id: identities.id(),
            identity_provider_name: users.provider_name(),
            principal_tags: BTreeMap::from([(TENANT_TAG, format!("custom:{TENANT_ATTRIBUTE}"))]),
            use_defaults: false,
        },
    );
    template.publish(&outputs.user_pool_id, "Users", users.id());
    template.publish(&outputs.client_id, "Client by which applications sign users in", client.id());
    template.publish(&outputs.identity_pool_id, "Credentials of users who have signed in", identities.id());
    template
}
