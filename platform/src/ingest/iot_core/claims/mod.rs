//! Claims: certificates with which devices of one tenant may register themselves, and with which nothing else can be done.
//!
//! **Which tenant a device gets is not the device's to say.** All claims share one policy and one template, so nothing in
//! them tells tenants apart; whoever registers could name any tenant. IoT Core asks a pre-provisioning hook before it
//! registers, and tells it which certificate the connection was made with. The hook looks up whose claim that is in the
//! device directory ([`claim_key`]) and sets the template's parameter `Tenant` to it, whatever the device asked for. A
//! claim that is unknown or over registers nothing. A template and a policy for each tenant would do without a function,
//! but an account has 256 templates at most (IoT quotas), and a claim could not end.
//!
//! **What is left.** The template refuses a thing that is there already with other attributes, so a claim never moves a
//! device from one tenant to another. Within its tenant a claim may give a device another certificate: a device whose
//! registration was answered and not heard has to. Claims connect as `claim-…` only, and no device may be called so:
//! otherwise one could take over the connection of any device by its client id.

mod handler;
mod policy;

#[cfg(test)]
mod tests;

pub use handler::{DIRECTORY_TABLE, HANDLER, ProvisioningHook, VARIABLES};
pub(super) use policy::document;

/// First part of the client ids that claims connect with. No device's name begins with it.
pub const CLAIM_CLIENT_PREFIX: &str = "claim-";

/// Key of a claim's item in the device directory. No device has such a key: tenants have names, and none has a `#`.
pub fn claim_key(certificate_id: &str) -> String {
    format!("#claim#{certificate_id}")
}
