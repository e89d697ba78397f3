//! AWS STS: who calls, and sessions of roles.
//!
//! Modelled: `GetCallerIdentity`; `AssumeRole` with duration, external id, session policies (inline and managed), tags and
//! transitive tags; the trust policy of the role, evaluated with the policies of the caller; role chaining; keys that
//! expire. Partly modelled: `PackedPolicySize` is counted in characters of policies and tags, as AWS publishes no formula.
//! Refused, by name: every other operation, `SourceIdentity`, MFA, and sessions of other accounts. The rate of calls is not
//! enforced. Texts that the AWS facts do not give are unverified.

mod assume;

use crate::core::{AwsError, Cx, Outcome};
use crate::front::Credential;
use crate::front::query::{Form, Xml, unknown_action};
use crate::iam::Iam;

/// Operations that AWS has and this service refuses.
const NOT_MODELLED: [&str; 9] = [
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetDelegatedAccessToken",
    "GetFederationToken",
    "GetSessionToken",
    "GetWebIdentityToken",
];

/// AWS STS.
#[derive(Debug, Default)]
pub struct Sts {
    issued: Vec<Credential>,
}

impl Sts {
    /// Answers one call.
    pub fn call(&mut self, cx: &mut Cx<'_>, iam: &Iam, form: &mut Form) -> Result<Xml, AwsError> {
        let (name, result) = match form.action() {
            "GetCallerIdentity" => ("GetCallerIdentity", caller_identity(cx, form)),
            "AssumeRole" => ("AssumeRole", self.assume_role(cx, iam, form)),
            other => match NOT_MODELLED.iter().find(|name| **name == other) {
                Some(name) => (*name, Err(AwsError::not_modelled(format!("sts {name}")))),
                None => return Err(unknown_action(form)),
            },
        };
        cx.meter.call("sts", name, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    /// Keys that were given out since the last call: the account makes them known.
    pub fn take_issued(&mut self) -> Vec<Credential> {
        std::mem::take(&mut self.issued)
    }
}

/// Needs no permission.
fn caller_identity(cx: &Cx<'_>, form: &Form) -> Result<Xml, AwsError> {
    form.finish()?;
    let mut xml = Xml::new();
    xml.text("Arn", &cx.caller.arn);
    xml.text("UserId", cx.access.user_id(cx.caller));
    xml.text("Account", &cx.account.id);
    Ok(xml)
}
