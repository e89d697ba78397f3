//! Which certificates are attached to which things, and what a connection comes to by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::arns::certificate_arn;
use super::{Certificate, Registry, Thing, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::endpoint;
use crate::iot::policy::{Context, Permissions};

impl Registry {
    /// `AttachThingPrincipal` of a certificate, named by its ARN. The same again is no error. A certificate that is attached
    /// exclusively is attached to nothing else, and one that is attached becomes no exclusive one of another thing (the code
    /// of these refusals is unverified).
    pub fn attach_thing_principal(
        &mut self,
        cx: &Cx<'_>,
        thing: &str,
        principal: &str,
        exclusive: bool,
    ) -> Result<(), AwsError> {
        let thing = self.thing(thing)?.name.clone();
        let id = self.certificate_id_of(cx, principal)?;
        let certificate = self.certificates.entry(id.clone()).or_default();
        let others = certificate.things.iter().any(|other| *other != thing);
        if others && (exclusive || certificate.exclusive) {
            return Err(invalid(format!("the certificate {principal} is attached to another thing already")));
        }
        certificate.exclusive = exclusive;
        certificate.things.insert(thing.clone());
        self.thing_mut(&thing)?.principals.insert(id.clone());
        self.changed.insert(id);
        Ok(())
    }

    /// `DetachThingPrincipal`. One that is not attached is no error (unverified).
    pub fn detach_thing_principal(&mut self, cx: &Cx<'_>, thing: &str, principal: &str) -> Result<(), AwsError> {
        let thing = self.thing(thing)?.name.clone();
        let id = self.certificate_id_of(cx, principal)?;
        let certificate = self.certificates.entry(id.clone()).or_default();
        certificate.things.remove(&thing);
        certificate.exclusive &= !certificate.things.is_empty();
        self.thing_mut(&thing)?.principals.remove(&id);
        self.changed.insert(id);
        Ok(())
    }

    /// The id of a certificate of this account that exists, by its ARN.
    pub fn certificate_id_of(&self, cx: &Cx<'_>, principal: &str) -> Result<Arc<str>, AwsError> {
        let Some(id) = principal.strip_prefix(&certificate_arn(cx, "")) else {
            if !principal.starts_with("arn:") {
                return Err(AwsError::not_modelled(format!("iot principals of Cognito, as {principal}")));
            }
            return Err(invalid(format!("{principal:?} is no ARN of a certificate of this account")));
        };
        let found = self.certificates.get_key_value(id);
        found.map(|(id, _)| id.clone()).ok_or_else(|| not_found(format!("the certificate {id} does not exist")))
    }

    /// The thing that a connection with this certificate and client id stands for: that of an exclusive attachment, or the
    /// attached one whose name is the client id.
    pub fn thing_of_connection(&self, certificate: &Certificate, client: &str) -> Option<&Thing> {
        let attached = if certificate.exclusive { certificate.things.first() } else { certificate.things.get(client) };
        self.things.get(attached?)
    }

    /// What policies come to for a connection with this certificate and client id from this address: those of the
    /// certificate, and those of the groups of the connection's thing and above.
    pub fn permissions(&self, cx: &Cx<'_>, id: &str, client: &str, ip: &str) -> Permissions {
        let Ok(certificate) = self.certificate(id) else { return Permissions::default() };
        let thing = self.thing_of_connection(certificate, client);
        let domain = endpoint(cx.account);
        let x509 = certificate.x509.as_deref();
        let context = Context { account: cx.account, client, ip, domain: &domain, thing, certificate: id, x509 };
        let mut names: BTreeSet<&Arc<str>> = certificate.policies.iter().collect();
        if let Some(thing) = thing {
            names.extend(self.policies_of_groups(thing));
        }
        let policies = names.into_iter().filter_map(|name| self.policies.get(name));
        Permissions::compile(policies.map(|policy| &policy.in_force().document), &context)
    }
}
