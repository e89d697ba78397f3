//! Amazon Cognito: user pools and identity pools.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::Cognito::UserPool`, whose users are made by administrators and sign in by their address of e-mail.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserPool {
    /// Name.
    pub user_pool_name: String,
    /// `LITE`, `ESSENTIALS` or `PLUS`: what is paid for, and what the pool can do.
    pub user_pool_tier: &'static str,
    /// `ACTIVE` when the pool cannot be deleted.
    pub deletion_protection: &'static str,
    /// `ON`, `OPTIONAL` or `OFF`.
    pub mfa_configuration: &'static str,
    /// Second factors.
    pub enabled_mfas: Vec<&'static str>,
    /// Attributes by which a user signs in.
    pub username_attributes: Vec<&'static str>,
    /// How names are compared.
    pub username_configuration: UsernameConfiguration,
    /// Attributes that Cognito verifies.
    pub auto_verified_attributes: Vec<&'static str>,
    /// Own attributes.
    pub schema: Vec<SchemaAttribute>,
    /// Policies.
    pub policies: UserPoolPolicies,
    /// Who makes users.
    pub admin_create_user_config: AdminCreateUserConfig,
    /// How an account is recovered.
    pub account_recovery_setting: AccountRecoverySetting,
    /// Protection against stolen passwords and unusual sign-ins. Needs the tier `PLUS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_pool_add_ons: Option<UserPoolAddOns>,
}

/// How names are compared.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UsernameConfiguration {
    /// Whether upper and lower case differ.
    pub case_sensitive: bool,
}

/// An own attribute of users. In tokens its claim is `custom:{name}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SchemaAttribute {
    /// Name without `custom:`.
    pub name: &'static str,
    /// Type.
    pub attribute_data_type: &'static str,
    /// Whether it can change after the user was made.
    pub mutable: bool,
    /// Length.
    pub string_attribute_constraints: StringAttributeConstraints,
}

/// Length of a text, in texts as CloudFormation wants it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StringAttributeConstraints {
    /// Least.
    pub min_length: &'static str,
    /// Most.
    pub max_length: &'static str,
}

/// Policies of a user pool.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserPoolPolicies {
    /// Passwords.
    pub password_policy: PasswordPolicy,
}

/// What a password must have.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PasswordPolicy {
    /// Length.
    pub minimum_length: u32,
    /// How many former passwords cannot be used again.
    pub password_history_size: u32,
    /// A lower-case letter.
    pub require_lowercase: bool,
    /// A digit.
    pub require_numbers: bool,
    /// Another character.
    pub require_symbols: bool,
    /// An upper-case letter.
    pub require_uppercase: bool,
    /// How long the password of an invitation is valid.
    pub temporary_password_validity_days: u32,
}

/// Who makes users.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdminCreateUserConfig {
    /// Administrators only: nobody signs up.
    pub allow_admin_create_user_only: bool,
}

/// How an account is recovered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountRecoverySetting {
    /// Ways, the first one first.
    pub recovery_mechanisms: Vec<RecoveryOption>,
}

/// A way to recover an account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecoveryOption {
    /// Name.
    pub name: &'static str,
    /// 1 is tried first.
    pub priority: u32,
}

/// Add-ons of a user pool.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserPoolAddOns {
    /// `OFF`, `AUDIT` or `ENFORCED`.
    pub advanced_security_mode: &'static str,
}

impl Resource for UserPool {
    const TYPE: &'static str = "AWS::Cognito::UserPool";
    const TAGS: Tagging = Tagging::MapIn("UserPoolTags");
}

impl Handle<UserPool> {
    /// Id.
    pub fn id(&self) -> Expr {
        self.reference()
    }

    /// Name as an identity provider: `cognito-idp.{region}.amazonaws.com/{id}`.
    pub fn provider_name(&self) -> Expr {
        self.attribute("ProviderName")
    }
}

/// `AWS::Cognito::UserPoolClient` of an application that keeps no secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserPoolClient {
    /// Name.
    pub client_name: String,
    /// User pool.
    pub user_pool_id: Expr,
    /// Whether the client has a secret.
    pub generate_secret: bool,
    /// How users sign in.
    pub explicit_auth_flows: Vec<&'static str>,
    /// Whether sign-in says that a user does not exist.
    pub prevent_user_existence_errors: &'static str,
    /// Whether refresh tokens can be revoked.
    pub enable_token_revocation: bool,
    /// Attributes that the client reads.
    pub read_attributes: Vec<&'static str>,
    /// Attributes that the client writes.
    pub write_attributes: Vec<&'static str>,
    /// How long access tokens are valid.
    pub access_token_validity: u32,
    /// How long identity tokens are valid.
    pub id_token_validity: u32,
    /// How long refresh tokens are valid.
    pub refresh_token_validity: u32,
    /// Units of the three.
    pub token_validity_units: TokenValidityUnits,
}

/// Units of the validity of tokens: `seconds`, `minutes`, `hours` or `days`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TokenValidityUnits {
    /// Access tokens.
    pub access_token: &'static str,
    /// Identity tokens.
    pub id_token: &'static str,
    /// Refresh tokens.
    pub refresh_token: &'static str,
}

impl Resource for UserPoolClient {
    const TYPE: &'static str = "AWS::Cognito::UserPoolClient";
}

impl Handle<UserPoolClient> {
    /// Id.
    pub fn id(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::Cognito::IdentityPool`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPool {
    /// Name.
    pub identity_pool_name: String,
    /// Whether strangers get credentials.
    pub allow_unauthenticated_identities: bool,
    /// Whether clients choose the role themselves.
    pub allow_classic_flow: bool,
    /// User pools whose users get credentials.
    pub cognito_identity_providers: Vec<CognitoIdentityProvider>,
}

/// A user pool whose users get credentials.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CognitoIdentityProvider {
    /// Client of the user pool.
    pub client_id: Expr,
    /// The user pool's name as a provider.
    pub provider_name: Expr,
    /// Whether the user pool is asked if the token was revoked.
    pub server_side_token_check: bool,
}

impl Resource for IdentityPool {
    const TYPE: &'static str = "AWS::Cognito::IdentityPool";
    const TAGS: Tagging = Tagging::ListIn("IdentityPoolTags");
}

impl Handle<IdentityPool> {
    /// Id.
    pub fn id(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::Cognito::IdentityPoolRoleAttachment`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPoolRoleAttachment {
    /// Identity pool.
    pub identity_pool_id: Expr,
    /// Roles.
    pub roles: IdentityRoles,
}

/// Roles of an identity pool.
#[derive(Clone, Debug, Serialize)]
pub struct IdentityRoles {
    /// Of users who have signed in.
    pub authenticated: Expr,
}

impl Resource for IdentityPoolRoleAttachment {
    const TYPE: &'static str = "AWS::Cognito::IdentityPoolRoleAttachment";
}

/// `AWS::Cognito::IdentityPoolPrincipalTag`: which claims of a token become tags of the session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPoolPrincipalTag {
    /// Identity pool.
    pub identity_pool_id: Expr,
    /// The user pool's name as a provider.
    pub identity_provider_name: Expr,
    /// Claim by tag.
    pub principal_tags: BTreeMap<&'static str, String>,
    /// Whether Cognito's own choice of claims is taken instead.
    pub use_defaults: bool,
}

impl Resource for IdentityPoolPrincipalTag {
    const TYPE: &'static str = "AWS::Cognito::IdentityPoolPrincipalTag";
}
