//! Grants on the keys that encrypt data and logs.

use crate::cross_cutting::security;
use crate::naming::Naming;
use crate::template::Expr;
use crate::template::iam::{Statement, allow};

/// ARN of the key that encrypts data.
pub(crate) fn data_key(naming: Naming<'_>) -> Expr {
    security::Outputs::new(naming).data_key_arn.read()
}

/// What a role needs to read what these services keep under the key.
pub(crate) fn decrypt(naming: Naming<'_>, services: &[&'static str]) -> Statement {
    via(allow(["kms:Decrypt"], [data_key(naming)]), services)
}

/// What a role needs to write what these services keep under the key.
pub(crate) fn encrypt(naming: Naming<'_>, services: &[&'static str]) -> Statement {
    via(allow(["kms:GenerateDataKey"], [data_key(naming)]), services)
}

/// What a role needs to write what these services keep under the key, and to read it: for writes that the service makes
/// of parts, and for messages that it reads to send them on.
pub(crate) fn encrypt_and_decrypt(naming: Naming<'_>, services: &[&'static str]) -> Statement {
    via(allow(["kms:Decrypt", "kms:GenerateDataKey"], [data_key(naming)]), services)
}

/// What a role needs to write what these services keep under the key of logs.
pub(crate) fn encrypt_logs(naming: Naming<'_>, services: &[&'static str]) -> Statement {
    let key = security::Outputs::new(naming).logs_key_arn.read();
    via(allow(["kms:GenerateDataKey"], [key]), services)
}

fn via(statement: Statement, services: &[&'static str]) -> Statement {
    services.iter().fold(statement, |statement, service| statement.via_service(service))
}
