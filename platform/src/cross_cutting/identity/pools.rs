//! The pool of users with its client, and the pool of identities.

use super::stack::TENANT_ATTRIBUTE;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::cognito::{
    AccountRecoverySetting, AdminCreateUserConfig, CognitoIdentityProvider, IdentityPool, PasswordPolicy,
    RecoveryOption, SchemaAttribute, StringAttributeConstraints, TokenValidityUnits, UserPool, UserPoolAddOns,
    UserPoolClient, UserPoolPolicies, UsernameConfiguration,
};
use crate::template::{Handle, Retention};

/// How long somebody stays signed in.
const REFRESH_TOKEN_DAYS: u32 = 30;
/// How long an invitation is valid.
const INVITATION_DAYS: u32 = 3;
/// How many former passwords cannot be used again.
const FORMER_PASSWORDS: u32 = 5;

/// The users. Administrators make them, with their tenant.
pub(super) fn users(settings: &Settings) -> UserPool {
    let kept = settings.retention() == Retention::Retain;
    let protected = settings.identity.threat_protection;
    UserPool {
        user_pool_name: Naming::new(settings).name("users"),
        user_pool_tier: if protected { "PLUS" } else { "ESSENTIALS" },
        deletion_protection: if kept { "ACTIVE" } else { "INACTIVE" },
        // A second factor is a burden in an environment whose data is no one's.
        mfa_configuration: if kept { "ON" } else { "OPTIONAL" },
        enabled_mfas: vec!["SOFTWARE_TOKEN_MFA"],
        username_attributes: vec!["email"],
        username_configuration: UsernameConfiguration { case_sensitive: false },
        auto_verified_attributes: vec!["email"],
        // Never changed: who moves to another tenant is another user.
        schema: vec![SchemaAttribute {
            name: TENANT_ATTRIBUTE,
            attribute_data_type: "String",
            mutable: false,
            string_attribute_constraints: StringAttributeConstraints { min_length: "1", max_length: "128" },
        }],
        policies: UserPoolPolicies {
            password_policy: PasswordPolicy {
                minimum_length: settings.identity.password_length_min,
                password_history_size: FORMER_PASSWORDS,
                require_lowercase: true,
                require_numbers: true,
                require_symbols: true,
                require_uppercase: true,
                temporary_password_validity_days: INVITATION_DAYS,
            },
        },
        admin_create_user_config: AdminCreateUserConfig { allow_admin_create_user_only: true },
        account_recovery_setting: AccountRecoverySetting {
            recovery_mechanisms: vec![RecoveryOption { name: "verified_email", priority: 1 }],
        },
        user_pool_add_ons: protected.then_some(UserPoolAddOns { advanced_security_mode: "ENFORCED" }),
    }
}

/// The client by which applications in browsers and on phones sign users in: it keeps no secret, and a password is never
/// sent.
pub(super) fn client(settings: &Settings, users: &Handle<UserPool>) -> UserPoolClient {
    let minutes = settings.identity.token_validity_minutes;
    UserPoolClient {
        client_name: Naming::new(settings).name("app"),
        user_pool_id: users.id(),
        generate_secret: false,
        explicit_auth_flows: vec!["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        prevent_user_existence_errors: "ENABLED",
        enable_token_revocation: true,
        read_attributes: vec!["email", "custom:tenant_id"],
        // Not the tenant.
        write_attributes: vec!["email"],
        access_token_validity: minutes,
        id_token_validity: minutes,
        refresh_token_validity: REFRESH_TOKEN_DAYS,
        token_validity_units: TokenValidityUnits {
            access_token: "minutes",
            id_token: "minutes",
            refresh_token: "days",
        },
    }
}

/// The identities: credentials for users of the pool, and for nobody else.
pub(super) fn identities(
    naming: Naming<'_>,
    users: &Handle<UserPool>,
    client: &Handle<UserPoolClient>,
) -> IdentityPool {
    IdentityPool {
        identity_pool_name: naming.name("identities"),
        allow_unauthenticated_identities: false,
        allow_classic_flow: false,
        cognito_identity_providers: vec![CognitoIdentityProvider {
            client_id: client.id(),
            provider_name: users.provider_name(),
            server_side_token_check: true,
        }],
    }
}
