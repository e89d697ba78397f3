//! The role of every tenant's users. What it grants depends on the session's tag.

use crate::cross_cutting::security;
use crate::ingest::device_registry;
use crate::naming::Naming;
use crate::template::Handle;
use crate::template::cognito::IdentityPool;
use crate::template::iam::{Principal, Role, allow, deny};

/// The role. Cognito assumes it for users of the identity pool who have signed in, with the tag of their tenant (Cognito
/// guide, "Using attributes for access control").
pub(super) fn role(naming: Naming<'_>, identities: &Handle<IdentityPool>) -> Role {
    let security = security::Outputs::new(naming);
    let directory = device_registry::Outputs::new(naming).directory_table_arn;
    let signed_in = allow(["sts:AssumeRoleWithWebIdentity", "sts:TagSession"], [])
        .to(Principal::Federated("cognito-identity.amazonaws.com".into()))
        .when("StringEquals", "cognito-identity.amazonaws.com:aud", identities.id())
        .when("ForAnyValue:StringLike", "cognito-identity.amazonaws.com:amr", "authenticated");
    // An item's key begins with its tenant, and no tenant's name holds the `#` after it. `ForAllValues` holds where no key
    // is named at all, so the actions are those that always name one.
    let own_devices = allow(["dynamodb:BatchGetItem", "dynamodb:GetItem"], [directory.read()]).when(
        "ForAllValues:StringLike",
        "dynamodb:LeadingKeys",
        "${aws:PrincipalTag/tenant}#*",
    );
    let decrypt = allow(["kms:Decrypt"], [security.data_key_arn.read()]).via_service("dynamodb");
    let tenantless =
        deny(["*"], ["*".into()]).named("NothingWithoutTenant").when("Null", "aws:PrincipalTag/tenant", "true");
    Role::trusting(
        naming.role("tenant"),
        [signed_in],
        [("read-own-devices", vec![own_devices, decrypt]), ("nothing-without-tenant", vec![tenantless])],
    )
    .described("Reads what belongs to the tenant of a user who has signed in")
    .bounded_by(security.boundary_arn.read())
}
